"""What is served: the WebSocket, the routes, and what is around them."""

from __future__ import annotations

from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from engine.outcomes import Code
from ws.docs.routes import contract_routes
from ws.effects import CloseCode
from ws.http.answers import answer, deny, not_now
from ws.http.bearer import bearer
from ws.http.problems import problem
from ws.http.shell import shelled
from ws.http.trace_parent import HEADER as TRACE_PARENT
from ws.http.trace_parent import trace_parent
from ws.pages.routes import page_routes
from ws.people.entrance import Entrance
from ws.rates.addresses import network_of
from ws.rates.rates import Rates
from ws.sockets.session import Door, Session
from ws.v1.endpoints import v1_routes
from ws.watching.health import health_routes
from ws.watching.house import House
from ws.watching.metrics import metrics_route
from ws.wire.fields import SUBPROTOCOL


def application(
    door: Door, house: House, origins: frozenset[str], rates: Rates, entrance: Entrance
) -> ASGIApp:
    """The application. `origins`: of web pages that may speak to it, besides its own."""

    async def wallet_socket(websocket: WebSocket) -> None:
        refusal = await rates.of_handshake(network_of(websocket.client.host if websocket.client else None))
        if refusal is not None:
            await deny(websocket, not_now(refusal))
            return
        if not _is_welcome(websocket, origins):
            await deny(websocket, answer(problem(Code.FORBIDDEN, "pages of this origin may not connect")))
            return
        if SUBPROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(CloseCode.NOT_THIS_PROTOCOL, f"ask for the subprotocol {SUBPROTOCOL}")
            return
        await websocket.accept(SUBPROTOCOL)
        session = Session(websocket, door)
        session.traceparent = trace_parent(websocket.headers.getlist(TRACE_PARENT))
        await session.run(bearer(websocket))

    routes = [
        WebSocketRoute("/ws", wallet_socket),
        *health_routes(house),
        metrics_route(house),
        *entrance.routes(),
        *v1_routes(door),
        *contract_routes(),
        *page_routes(),
    ]
    return shelled(routes, door.identify, rates, origins)


def _is_welcome(websocket: WebSocket, origins: frozenset[str]) -> bool:
    """A page may connect from the server's own origin or a configured one; programs send no Origin at all."""
    origin = websocket.headers.get("origin")
    # Compared as text: an origin is scheme://host[:port] (RFC 6454, section 6.2), and parsers raise for
    # others.
    return origin is None or origin in origins or origin.partition("://")[2] == websocket.headers.get("host")
