"""Access tokens: JSON Web Tokens signed with one secret and one algorithm. Source: PROTOCOL, "Who is
asking".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Container
from typing import Any, Final

import jwt

from engine.money import WIRE_MAX_MINOR
from engine.people import SCOPES
from ws import strict_json
from ws.effects import ENDED_WORDS, EXPIRED_WORDS, ROLES, Identity

ALGORITHM: Final = "HS256"
NAME: Final = "solidgreen"
TYPE: Final = "at+jwt"
"""The `typ` header of an access token (RFC 9068): no other token signed with this secret passes for one."""

CHARS_MAX: Final = 4096
"""Ten times what ours have; as much as an `auth` message takes."""

SUBJECT: Final = re.compile(r"[1-9][0-9]{0,15}")
"""A `sub` is written one way only; that it is at most 2^53 − 1 is looked at afterwards."""

SID: Final = re.compile(r"[lk][1-9][0-9]{0,15}")
"""A log-in or a service key (`engine/people.py`)."""

SHELL_CHARS_MAX: Final = 128
"""Of a user's name and his machine's: Linux has at most 32 and 64."""

HEADER: Final = frozenset({"alg", "typ"})
"""What the header of our tokens has. `kid`, `jku`, `x5u` and the like would say where to find a key, `crit`
and `b64` how else to read it (RFC 7515): there is one key and one way, so whoever says more is not us."""

NOT_OURS: Final = "the token is not an access token of this server"


class TokenRefused(Exception):
    """The token does not say who is asking. The message may be shown to the client."""


def issue(
    secret: str,
    user_id: int,
    role: str,
    now_s: int,
    life_s: int,
    *,
    sid: str | None = None,
    scope: str | None = None,
    shell: str | None = None,
) -> str:
    """A token for `user_id` in `role`, valid for `life_s` seconds from `now_s` (Unix time). `sid`: the log-in
    that it comes from; `scope`: names with a space between two, of all that the role may do (RFC 8693, 4.2);
    `shell`: see `Identity`, for the command line only.
    """
    assert role in ROLES
    claims = {
        "iss": NAME,
        "aud": NAME,
        "sub": str(user_id),
        "role": role,
        "iat": now_s,
        "exp": now_s + life_s,
    }
    more = {"sid": sid, "scope": scope, "shell": shell}
    claims |= {name: value for name, value in more.items() if value is not None}
    return jwt.encode(claims, secret, algorithm=ALGORITHM, headers={"typ": TYPE})


def identify(secret: str, token: str, ended: Container[str] = frozenset()) -> Identity:
    """Who the token speaks for. Raises `TokenRefused` for anything but a valid, unexpired access token of
    ours, whose log-in is not among the `ended`.
    """
    try:
        if not _is_written_our_way(token):
            raise TokenRefused("the token is not valid")
        decoded = jwt.decode_complete(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=NAME,
            issuer=NAME,
            options={"require": ["iss", "aud", "sub", "exp"], "strict_aud": True},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenRefused(EXPIRED_WORDS) from error
    # ValueError: a token that is not even ASCII, or no strict JSON; RecursionError: brackets within brackets,
    # one more than that allows.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused("the token is not valid") from error
    if decoded["header"].keys() != HEADER or decoded["header"]["typ"] != TYPE:
        raise TokenRefused(NOT_OURS)
    return _identity(decoded["payload"], ended)


def _identity(claims: dict[str, Any], ended: Container[str]) -> Identity:
    role, sid, scope, shell = (claims.get(name) for name in ("role", "sid", "scope", "shell"))
    if not isinstance(role, str) or role not in ROLES:
        raise TokenRefused(NOT_OURS)
    if not all(type(claims[name]) is int for name in ("exp", "iat", "nbf") if name in claims):
        raise TokenRefused(NOT_OURS)  # PyJWT would take 1.5 and "2" as well
    expires_at: int = claims["exp"]
    if expires_at > WIRE_MAX_MINOR:
        raise TokenRefused(NOT_OURS)
    if not SUBJECT.fullmatch(claims["sub"]) or int(claims["sub"]) > WIRE_MAX_MINOR:
        raise TokenRefused("the token names no user")
    if sid is not None and not (isinstance(sid, str) and SID.fullmatch(sid)):
        raise TokenRefused(NOT_OURS)
    if scope is not None and not (isinstance(scope, str) and set(scope.split(" ")) <= set(SCOPES)):
        raise TokenRefused(NOT_OURS)
    # No log-in and no key comes from a shell, and no player acts for the house.
    if shell is not None and not (_is_at_a_shell(shell) and role != "player" and sid is scope is None):
        raise TokenRefused(NOT_OURS)
    if sid is not None and sid in ended:
        raise TokenRefused(ENDED_WORDS)
    scopes = None if scope is None else frozenset(scope.split(" "))
    return Identity(int(claims["sub"]), role, expires_at, sid, scopes, shell)


def _is_at_a_shell(shell: object) -> bool:
    return isinstance(shell, str) and 0 < len(shell) <= SHELL_CHARS_MAX and shell.isprintable()


def _is_written_our_way(token: str) -> bool:
    """Whether each of its parts is base64url as it is written, and its JSON strict: what is left to chance
    there, two readers may read differently. Raises `ValueError`."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > CHARS_MAX:
        return False
    texts = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]
    for part, text in zip(parts, texts, strict=True):
        if base64.urlsafe_b64encode(text).rstrip(b"=") != part.encode():
            return False
    for text in texts[:2]:
        strict_json.read(text, dict)
    return True
