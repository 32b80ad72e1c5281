"""Problems as answers over HTTP: for a route to give, for what no route answers, and for what is no HTTP.

Whatever is refused over HTTP is made here: its status, its media type, when to come back and how to be let in
are said in no other place. That no cache keeps it is said of every answer in `ws/http/headers.py`.

What a route raises by mistake is told as `INTERNAL` and nothing else; `ws/http/shell.py` logs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from engine.outcomes import Code
from ws.http.bearer import CHALLENGE, NotKnown
from ws.http.bodies import BODY_BYTES_MAX, BodyRefused, too_large
from ws.http.headers import completed
from ws.http.problems import MEDIA_TYPE, Problem, problem
from ws.rates.rates import Refusal

WORDS: Final = {
    HTTPStatus.UNAUTHORIZED: (Code.UNAUTHORIZED, None),
    HTTPStatus.FORBIDDEN: (Code.FORBIDDEN, None),
    HTTPStatus.TOO_MANY_REQUESTS: (Code.RATE_LIMITED, None),
    HTTPStatus.SERVICE_UNAVAILABLE: (Code.OVERLOADED, None),
    HTTPStatus.NOT_FOUND: (Code.NOT_FOUND, "there is nothing at this path"),
    HTTPStatus.METHOD_NOT_ALLOWED: (Code.INVALID_REQUEST, "this path does not take this method"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (Code.INVALID_REQUEST, too_large(BODY_BYTES_MAX)),
}
"""The code, and the words unless they are the code's own, where nobody has said it better."""


def answer(
    told: Problem,
    *,
    challenge: str = CHALLENGE,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem as a response. `challenge`: what a 401 says of how to be let in; `extra`: further members;
    `headers`: beside those that follow from the problem."""
    content: Any = told if extra is None else msgspec.to_builtins(told) | dict(extra)
    sent = _headers_of(told, challenge) | dict(headers or {})
    return Response(msgspec.json.encode(content), told.status, sent, MEDIA_TYPE)


def _headers_of(told: Problem, challenge: str) -> dict[str, str]:
    found = {}
    if isinstance(told.retry_after_ms, int):  # in whole seconds, rounded up (RFC 9110, section 10.2.3)
        found["Retry-After"] = str(-(-told.retry_after_ms // 1000))
    if told.status == HTTPStatus.UNAUTHORIZED:  # which must have it (RFC 9110, section 11.6.1)
        found["WWW-Authenticate"] = challenge
    return found


def not_now(refusal: Refusal) -> Response:
    """429, and when to come back."""
    return answer(problem(Code.RATE_LIMITED, "too many requests; come back later", refusal.wait_ms))


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


def raw(told: Problem) -> bytes:
    """The problem as bytes that end a connection, for who has sent what is no HTTP."""
    refused = answer(told, headers={"Connection": "close"})
    head = b"".join(b"%s: %s\r\n" % line for line in completed(refused.raw_headers, "http"))
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (told.status, told.title.encode(), head, bytes(refused.body))


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)
    if refused.status_code < 400:
        return Response(status_code=refused.status_code, headers=refused.headers)
    return answer(of_status(refused.status_code), headers=refused.headers)


async def _not_known(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, NotKnown)
    return answer(problem(Code.UNAUTHORIZED, refused.asker.why), challenge=refused.asker.challenge)


async def _not_read(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, BodyRefused)
    return answer(problem(Code.INVALID_REQUEST, str(refused), status=refused.status))


async def _gone(request: Request, fault: Exception) -> Response:
    return Response(
        status_code=HTTPStatus.BAD_REQUEST
    )  # to nobody: the client has left in the middle of its body


async def _failed(request: Request, fault: Exception) -> Response:
    return answer(problem(Code.INTERNAL))


HANDLERS: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    HTTPException: _refused,
    NotKnown: _not_known,
    BodyRefused: _not_read,
    ClientDisconnect: _gone,
    Exception: _failed,
}
"""For Starlette: what is answered when a route, or the lack of one, raises this."""
