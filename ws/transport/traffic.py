"""What comes through the doors: HTTP requests by route and status, and how sockets end; counted, and logged
if that is asked for.

`Watched` stands around everything else, so that it also sees what is refused on the way in. Only the
template of a route is kept, never the path of a request: paths hold ids, and anybody can make up a new one.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.histograms import LONG_TIMES_US, Histogram
from ws.effects import CloseCode

log = logging.getLogger("solidgreen.http")

ABNORMAL: Final = 1006
NO_STATUS: Final = 1005
KNOWN_CODES: Final = frozenset(CloseCode) | {NO_STATUS, ABNORMAL, *(1002, 1003, 1007, 1009, 1010)}
"""Of RFC 6455, section 7.4.1, and ours; a peer may say any other number, and all of those are `other`."""

NO_ROUTE: Final = "none"
"""Where no route has answered: there is none, or the request was refused before."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traffic:
    """The counts since the start. On the event loop."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        """HTTP requests that were answered, and handshakes, by template of the route and by status; the
        status is `gone` where nobody waited for an answer any more."""
        self.times: dict[str, Histogram] = {}
        """Microseconds that requests took, by template of the route; handshakes are not among them."""
        self.ended: Counter[str] = Counter()
        """Sockets that have ended, by the code that whoever began it has given."""

    def answered(self, route: str, status: str, took_us: int) -> None:
        """A request has been answered."""
        self.requests[route, status] += 1
        times = self.times.get(route)
        if times is None:
            times = self.times[route] = Histogram(LONG_TIMES_US)
        times.add(took_us)

    def shaken_hands(self, route: str, status: str) -> None:
        """A socket was accepted (101), or refused."""
        self.requests[route, status] += 1

    def socket_ended(self, code: int) -> None:
        """An accepted socket is over."""
        self.ended[str(int(code)) if code in KNOWN_CODES else "other"] += 1


class Watched:
    """An ASGI application, counted."""

    def __init__(self, app: ASGIApp, traffic: Traffic, *, access_log: bool = False) -> None:
        """`access_log`: whether each HTTP request has a line in the log, at level info."""
        self._app = app
        self._traffic = traffic
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look at what is answered."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._handshake(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, request_id = "gone", None

        async def seen(message: Message) -> None:
            nonlocal status, request_id
            if message["type"] == "http.response.start":
                status = str(message["status"])
                request_id = _header(message, b"x-request-id")
            await send(message)

        began_ns = time.monotonic_ns()
        try:
            await self._app(scope, receive, seen)
        finally:
            took_us = (time.monotonic_ns() - began_ns) // 1000
            route = template(scope)
            self._traffic.answered(route, status, took_us)
            if self._access_log:
                method = scope["method"] if scope["method"] in METHODS else "other"
                extra = {} if request_id is None else {"request_id": request_id}
                log.info("%s %s %s in %.1f ms", method, route, status, took_us / 1000, extra=extra)

    async def _handshake(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_answered = False

        async def seen(message: Message) -> None:
            nonlocal is_answered
            if not is_answered:
                is_answered = True
                self._traffic.shaken_hands(template(scope), _status_of_handshake(message))
            await send(message)

        await self._app(scope, receive, seen)


def template(scope: Scope) -> str:
    """The path of the route that answers, as it was declared (`/v1/bets/{bet_id}`)."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else NO_ROUTE


def _status_of_handshake(message: Message) -> str:
    if message["type"] == "websocket.http.response.start":
        return str(message["status"])
    return "101" if message["type"] == "websocket.accept" else "403"


def _header(message: Message, name: bytes) -> str | None:
    headers: Any = message.get("headers", ())
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)
