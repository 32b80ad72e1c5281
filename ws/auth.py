"""Access tokens: JSON Web Tokens signed with one secret and one algorithm. Source: PROTOCOL, "Who is
asking".
"""

from __future__ import annotations

from typing import Final

import jwt

from engine.money import WIRE_MAX_MINOR
from ws.effects import ROLES, Identity

ALGORITHM: Final = "HS256"
NAME: Final = "solidgreen"
TYPE: Final = "at+jwt"
"""The `typ` header of an access token (RFC 9068): no other token signed with this secret passes for one."""

DIGITS_MAX: Final = 16
"""A `sub` is an integer that JSON carries exactly: at most 2^53 − 1."""


class TokenRefused(Exception):
    """The token does not say who is asking. The message may be shown to the client."""


def issue(secret: str, user_id: int, role: str, now_s: int, life_s: int) -> str:
    """A token for `user_id` in `role`, valid for `life_s` seconds from `now_s` (Unix time)."""
    assert role in ROLES
    claims = {
        "iss": NAME,
        "aud": NAME,
        "sub": str(user_id),
        "role": role,
        "iat": now_s,
        "exp": now_s + life_s,
    }
    return jwt.encode(claims, secret, algorithm=ALGORITHM, headers={"typ": TYPE})


def identify(secret: str, token: str) -> Identity:
    """Who the token speaks for. Raises `TokenRefused` for anything but a valid, unexpired access token of
    ours.
    """
    try:
        decoded = jwt.decode_complete(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=NAME,
            issuer=NAME,
            options={"require": ["iss", "aud", "sub", "exp"], "strict_aud": True},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenRefused("the token has expired") from error
    except (jwt.PyJWTError, ValueError) as error:  # ValueError: a token that is not even ASCII
        raise TokenRefused("the token is not valid") from error
    claims = decoded["payload"]
    subject, role, expires_at = claims["sub"], claims.get("role"), claims["exp"]
    if decoded["header"].get("typ") != TYPE or not isinstance(role, str) or role not in ROLES:
        raise TokenRefused("the token is not an access token of this server")
    if type(expires_at) is not int or expires_at > WIRE_MAX_MINOR:
        raise TokenRefused("the token is not an access token of this server")
    if not (subject.isascii() and subject.isdigit() and len(subject) <= DIGITS_MAX):
        raise TokenRefused("the token names no user")
    return Identity(int(subject), role, expires_at)
