"""Bodies of HTTP requests: how large they may be, and how those of people's routes are read."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from ws.strict_json import EXPECTED_TYPE, NotStrict, is_json, read

BODY_BYTES_MAX: Final = 262_144
"""Of any request: as of a frame of the WebSocket. A thousand items of a payout have 56 KB at the most."""

STRANGERS_BYTES_MAX: Final = 8192
"""Of what a stranger may send, to be let in: a password of 256 characters, each escaped as twelve bytes of
JSON, and as much for the rest."""

Some = TypeVar("Some", bound=msgspec.Struct)


class BodyRefused(Exception):
    """It is not what this route takes: INVALID_REQUEST with this status. The message may be shown."""

    def __init__(self, words: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(words)
        self.status = status


def too_large(bytes_max: int) -> str:
    """What to say, with status 413."""
    return f"a body may have {bytes_max} bytes"


async def read_body(request: Request, kind: type[Some]) -> Some:
    """The body as a `kind`; none stands for an object without fields. Raises `BodyRefused`."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > STRANGERS_BYTES_MAX:
            raise BodyRefused(too_large(STRANGERS_BYTES_MAX), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if body:
        expect_json(request)
    try:
        return read(body or b"{}", kind)
    except NotStrict as error:
        raise BodyRefused(str(error)) from error


def expect_json(request: Request) -> None:
    """Raises `BodyRefused` unless the request has the media type of JSON."""
    if not is_json(request.headers.get("content-type", "")):
        raise BodyRefused(EXPECTED_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
