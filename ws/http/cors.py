"""Which web pages may read what is answered over HTTP: those of the origins that may also open a WebSocket.
Source: the Fetch standard, CORS.

Pages of other origins get answers without a word about CORS, which their browsers then keep from them; their
preflights are requests like any others. The one cookie (`ws/people/routes.py`) is SameSite=Strict and for
this origin only: a page of another sends a token, so no credentials are allowed by browsers' own means.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.outcomes import Code
from ws.http.answers import answer
from ws.http.problems import problem

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MAY_SEND: Final = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-Id")
MAY_READ: Final = ("ETag", "Retry-After", "Location", "X-Request-Id")
KEPT_S: Final = 600
"""How long a browser may remember the answer to a preflight."""


class Cors:
    """ASGI middleware: Starlette's, for the configured origins only. Any answer says that it depends on the
    origin.
    """

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = origins
        self._for_ours = _ForOurs(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=MAY_SEND,
            expose_headers=MAY_READ,
            max_age=KEPT_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or have the request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if len(origins) == 1 and origins[0] in self._origins:
            await self._for_ours(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"vary", b"Origin")]
            await send(message)

        await self._app(scope, receive, send_on)


class _ForOurs(CORSMiddleware):
    """Starlette's, whose refusals are problems as well."""

    def preflight_response(self, request_headers: Headers) -> Response:
        said = super().preflight_response(request_headers)
        if said.status_code < 400:
            return said
        told = answer(problem(Code.INVALID_REQUEST, bytes(said.body).decode()))
        for name, value in said.headers.items():
            if name not in told.headers:
                told.headers[name] = value
        return told
