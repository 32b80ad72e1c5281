"""Who asks over HTTP, and with the handshake of a socket: the bearer token of a request.

Source: RFC 6750; PROTOCOL, "Who is asking". The token of an HTTP request is looked at once, on its way in
(`ws/http/admission.py`); a route that has to know who asks is told by `known`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from starlette.requests import HTTPConnection
from starlette.types import Scope

from ws.auth import TokenRefused
from ws.effects import Identity

ASKER: Final = "asker"
"""Where `scope["state"]` has who asks."""

AGAIN: Final = "ask_again"
"""And what tells it anew."""

CHALLENGE: Final = "Bearer"
"""What `WWW-Authenticate` says where there was no token to complain of (RFC 6750, section 3.1)."""

Identify = Callable[[str], Identity]
"""Who an access token speaks for, now; raises `TokenRefused`."""


class Unknown(NamedTuple):
    """Nobody that the server knows: why, and what `WWW-Authenticate` says of it."""

    why: str
    challenge: str = CHALLENGE


class NotKnown(Exception):
    """Somebody has to be known here, and whoever asks is not: 401."""

    def __init__(self, asker: Unknown) -> None:
        super().__init__(asker.why)
        self.asker = asker


NOBODY: Final = Unknown("Authorization: expected Bearer and an access token")
TWICE: Final = Unknown("Authorization: there twice")


def bearer(connection: HTTPConnection) -> str | None:
    """The token of the header `Authorization`, if there is one; tokens are taken from nowhere else."""
    given = connection.headers.getlist("authorization")
    return _token_of(given[0]) if len(given) == 1 else "" if given else None  # "": two are no token


def who_asks(identify: Identify, authorizations: Sequence[bytes]) -> Identity | Unknown:
    """Whoever the token speaks for. `authorizations`: the values of all headers of that name."""
    if len(authorizations) != 1:
        return TWICE if authorizations else NOBODY
    token = _token_of(authorizations[0].decode("latin-1"))
    if token is None:
        return NOBODY
    try:
        return identify(token)
    except TokenRefused as refused:
        return Unknown(str(refused), f'Bearer error="invalid_token", error_description="{refused}"')


def asker_of(scope: Scope) -> Identity | Unknown:
    """Who asks this HTTP request. Only behind `Admission`, and not for `/health/` and `/metrics`, where
    nobody is looked for.
    """
    found: Identity | Unknown = scope["state"][ASKER]
    return found


def known(scope: Scope) -> Identity:
    """The same, where it has to be somebody. Raises `NotKnown`."""
    return _known(asker_of(scope))


def still_known(scope: Scope) -> Identity:
    """The same, looked at anew: behind a body, which may have come so slowly that the log-in has ended
    meanwhile. Raises `NotKnown`."""
    again: Callable[[], Identity | Unknown] = scope["state"][AGAIN]
    return _known(again())


def _known(asker: Identity | Unknown) -> Identity:
    if isinstance(asker, Unknown):
        raise NotKnown(asker)
    return asker


def _token_of(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
