"""Problems as answers over HTTP: for a route to give, for what no route answers, and for what is no HTTP.

What a route raises by mistake is told as `INTERNAL` and nothing else; `ws/http/shell.py` logs it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from engine.outcomes import Code
from ws.http.headers import completed
from ws.http.problems import MEDIA_TYPE, Problem, problem
from ws.rates.rates import Refusal

BODY_BYTES_MAX: Final = 262_144
"""Of a request: as of a frame of the WebSocket. A thousand items of a payout have 56 KB at the most."""

WORDS: Final = {
    HTTPStatus.UNAUTHORIZED: (Code.UNAUTHORIZED, None),
    HTTPStatus.FORBIDDEN: (Code.FORBIDDEN, None),
    HTTPStatus.TOO_MANY_REQUESTS: (Code.RATE_LIMITED, None),
    HTTPStatus.SERVICE_UNAVAILABLE: (Code.OVERLOADED, None),
    HTTPStatus.NOT_FOUND: (Code.NOT_FOUND, "there is nothing at this path"),
    HTTPStatus.METHOD_NOT_ALLOWED: (Code.INVALID_REQUEST, "this path does not take this method"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        Code.INVALID_REQUEST,
        f"a body may have {BODY_BYTES_MAX} bytes",
    ),
}
"""The code, and the words unless they are the code's own, where nobody has said it better."""


def answer(told: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as a response."""
    return Response(msgspec.json.encode(told), told.status, headers, MEDIA_TYPE)


def not_now(refusal: Refusal) -> Response:
    """429, and when to come back: `Retry-After` in whole seconds, rounded up (RFC 9110, section 10.2.3)."""
    told = problem(Code.RATE_LIMITED, "too many requests; come back later", refusal.wait_ms)
    return answer(told, {"Retry-After": str(math.ceil(refusal.wait_ms / 1000))})


def of_status(status: int) -> Problem:
    """The problem of an HTTP status, from 400 on, that has no command behind it, such as 404 or 405."""
    known = HTTPStatus(status)
    other = Code.INVALID_REQUEST if status < 500 else Code.INTERNAL, known.phrase
    code, detail = WORDS.get(known, other)
    return problem(code, detail, status=known)


async def deny(websocket: WebSocket, refused: Response) -> None:
    """Refuse a WebSocket before it is accepted, with this answer over HTTP and the headers of any other."""
    refused.raw_headers = completed(refused.raw_headers, websocket.scope["scheme"].replace("ws", "http"))
    await websocket.send_denial_response(refused)


def raw(told: Problem, *headers: tuple[bytes, bytes]) -> bytes:
    """The problem as bytes that end a connection, for who has sent what is no HTTP."""
    body = msgspec.json.encode(told)
    lines = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *headers,
    ]
    head = b"".join(b"%s: %s\r\n" % line for line in completed(lines, "http"))
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (told.status, told.title.encode(), head, body)


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)
    if refused.status_code < 400:
        return Response(status_code=refused.status_code, headers=refused.headers)
    return answer(of_status(refused.status_code), refused.headers)


async def _gone(request: Request, fault: Exception) -> Response:
    return Response(
        status_code=HTTPStatus.BAD_REQUEST
    )  # to nobody: the client has left in the middle of its body


async def _failed(request: Request, fault: Exception) -> Response:
    return answer(problem(Code.INTERNAL))


HANDLERS: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    HTTPException: _refused,
    ClientDisconnect: _gone,
    Exception: _failed,
}
"""For Starlette: what is answered when a route, or the lack of one, raises this."""
