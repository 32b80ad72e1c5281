"""Who asks over HTTP, and with the handshake of a socket: the bearer token of a request.

Source: RFC 6750; PROTOCOL, "Who is asking".
"""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import HTTPConnection

from ws.auth import TokenRefused, identify
from ws.effects import Identity


class Unknown(NamedTuple):
    """Nobody that the server knows: why, and what `WWW-Authenticate` says of it."""

    why: str
    challenge: str


def bearer(connection: HTTPConnection) -> str | None:
    """The token of the header `Authorization`, if there is one; tokens are taken from nowhere else."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def who_asks(secret: str, connection: HTTPConnection) -> Identity | Unknown:
    """Whoever the token speaks for."""
    if len(connection.headers.getlist("authorization")) > 1:
        return Unknown("Authorization: there twice", "Bearer")
    token = bearer(connection)
    if token is None:
        return Unknown("Authorization: expected Bearer and an access token", "Bearer")
    try:
        return identify(secret, token)
    except TokenRefused as refused:
        return Unknown(str(refused), f'Bearer error="invalid_token", error_description="{refused}"')


def address_of(connection: HTTPConnection) -> str:
    """The network address that is asked from, without a port; empty where there is none."""
    return "" if connection.client is None else connection.client.host
