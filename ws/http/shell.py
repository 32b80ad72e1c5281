"""What is around every HTTP request. Sockets pass through it once, when they are opened, and untouched.

    Shell                names the request, completes the headers of its answer, tells of a route that fails
      Cors               which pages may read the answer
        Admission        not too many, not too large, and from whom
          Preflights     what pages may send
            Starlette    the routes; problems for what none of them answers; bodies bounded as they are read

Pure ASGI: nothing is buffered, and what a route streams is streamed. The bounds on bytes and time of a
connection are below this, in `ws/transport/http_door.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from engine.outcomes import Code
from ws.http.admission import Admission
from ws.http.answers import HANDLERS, answer, deny, of_status
from ws.http.bearer import Identify
from ws.http.bodies import BODY_BYTES_MAX
from ws.http.cors import Cors, Preflights
from ws.http.headers import completed
from ws.http.problems import problem
from ws.http.request_ids import HEADER, named, request_id
from ws.rates.rates import Rates

log = logging.getLogger("solidgreen.http")


def shelled(
    routes: Sequence[BaseRoute], identify: Identify, rates: Rates, origins: frozenset[str]
) -> ASGIApp:
    """The application of these routes with all that is around them.

    `origins`: of web pages.
    """
    starlette = Starlette(routes=routes, exception_handlers=HANDLERS, max_body_size=BODY_BYTES_MAX)
    # Else `/v1/wallet/` is answered by a redirect to whatever `Host` the client has named.
    starlette.router.redirect_slashes = False
    there_is_none = starlette.router.default

    async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
        """No route is there. Of a socket Starlette would say 403, which is for who may not come."""
        if scope["type"] == "websocket":
            await deny(WebSocket(scope, receive, send), answer(of_status(HTTPStatus.NOT_FOUND)))
        else:
            await there_is_none(scope, receive, send)

    starlette.router.default = nowhere
    if not origins:
        return Shell(Admission(starlette, identify, rates))
    return Shell(Cors(Admission(Preflights(starlette, origins), identify, rates), origins))


class Shell:
    """ASGI middleware, the outermost: each answer has the name of its request and the headers of
    `ws/http/headers.py`.

    Whatever is raised below is logged once, with that name and the traceback; the client hears `INTERNAL`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = named([value for key, value in scope["headers"] if key == HEADER])
        request_id.set(name)  # of this request's own task: there is nothing to put back
        is_answered = False

        async def send_on(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                own = (each for each in message.get("headers", ()) if each[0] != HEADER)
                message["headers"] = completed([*own, (HEADER, name.encode())], scope["scheme"])
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:
            # The path is a stranger's text: its line breaks must not become the log's.
            log.exception("request %s failed: %s %.200r", name, scope["method"], scope["path"])
            if not is_answered:
                await answer(problem(Code.INTERNAL))(scope, receive, send_on)
