"""Which web pages may read what is answered over HTTP: those of the origins that may also open a WebSocket.
Source: the Fetch standard, CORS protocol.

    Cors          says of each answer, also of a refusal, whether a page of this origin may read it
      Admission
        Preflights    answers a browser that asks what a page may send

So a preflight is counted and bounded like any other request, which Starlette's middleware, in one piece,
cannot have. Pages of other origins get answers without a word about CORS, which their browsers then keep from
them; their preflights are requests like any others. The one cookie (`ws/people/routes.py`) is SameSite=Strict
and for this origin only: a page of another sends a token, so no credentials are allowed by browsers' own
means.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.outcomes import Code
from ws.http.answers import answer
from ws.http.problems import problem

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MAY_SEND: Final = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-Id")
SAFE: Final = ("Accept", "Accept-Language", "Content-Language", "Content-Type")
"""What pages may send in any case ("CORS-safelisted"): a browser asks for it where its value is unusual."""
MAY_READ: Final = ("ETag", "Retry-After", "Location", "X-Request-Id")
KEPT_S: Final = 600
"""How long a browser may remember the answer to a preflight."""

_SENT: Final = frozenset(name.lower() for name in (*MAY_SEND, *SAFE))
_TO_ANY: Final = [(b"vary", b"Origin")]
_TO_OURS: Final = [*_TO_ANY, (b"access-control-expose-headers", ", ".join(MAY_READ).encode())]
_TO_PREFLIGHTS: Final = {
    "Access-Control-Allow-Methods": ", ".join(METHODS),
    "Access-Control-Allow-Headers": ", ".join(MAY_SEND),
    "Access-Control-Max-Age": str(KEPT_S),
    "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
}


class Cors:
    """ASGI middleware: any answer says that it depends on the origin, and to one of ours that it may read."""

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = origin_of(scope)
        more = _TO_ANY
        if origin in self._origins:
            more = [*_TO_OURS, (b"access-control-allow-origin", origin.encode("latin-1"))]

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        await self._app(scope, receive, send_on)


class Preflights:
    """ASGI middleware within `Cors`: answers those of its origins."""

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or have the request answered."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and origin_of(scope) in self._origins:
            headers = Headers(scope=scope)
            if "access-control-request-method" in headers:
                await _answered(headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def origin_of(scope: Scope) -> str | None:
    """The one `Origin` of this request; None where there is none, or more than one."""
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    return origins[0].decode("latin-1") if len(origins) == 1 else None


def _answered(asked: Headers) -> Response:
    """What a page may send; any status but 2xx is a no."""
    method = asked["access-control-request-method"]
    names = asked.get("access-control-request-headers")
    if method not in METHODS:
        wrong = "method"
    elif names is not None and not {name.strip().lower() for name in names.split(",")} <= _SENT:
        wrong = "headers"
    else:
        return Response(headers=_TO_PREFLIGHTS)
    told = problem(Code.INVALID_REQUEST, f"pages may not send this: {wrong}")
    return answer(told, headers=_TO_PREFLIGHTS)
