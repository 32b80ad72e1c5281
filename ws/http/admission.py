"""Which HTTP requests get as far as a route: not too many, not too large, and known by their token where they
have one.

Nobody is refused here for his token: it only says who is counted. A route that needs one says what is wrong
with it. What has to be told while all else is refused, health and figures, is never counted.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.outcomes import Code
from ws.effects import Identity
from ws.http.answers import answer, not_now, of_status
from ws.http.bearer import AGAIN, ASKER, Identify, who_asks
from ws.http.bodies import BODY_BYTES_MAX
from ws.http.problems import problem
from ws.rates.addresses import network_of
from ws.rates.rates import Rates

WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Nothing here reads one with these, and "might lead some implementations to reject the request … because of
its potential as a request smuggling attack" (RFC 9110, section 9.3.1): a proxy that reads none where one is
sent takes it for the next request."""

LENGTH_DIGITS_MAX: Final = 15


class Admission:
    """ASGI middleware: counts a request, looks at its size, and puts who asks into its scope: see
    `bearer.asker_of`."""

    def __init__(self, app: ASGIApp, identify: Identify, rates: Rates) -> None:
        self._app = app
        self._identify = identify
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or have it answered."""
        if scope["type"] == "http":
            refused = await self._refuse(scope)
            if refused is not None:
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope) -> Response | None:
        authorizations: list[bytes] = []
        length: bytes | None = None
        is_chunked = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorizations.append(value)
            elif name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                is_chunked = True
        path = scope["path"]
        if not (path.startswith("/health/") or path == "/metrics"):
            asker = who_asks(self._identify, authorizations)
            scope.setdefault("state", {}).update(
                {ASKER: asker, AGAIN: partial(who_asks, self._identify, authorizations)}
            )
            client = scope.get("client")
            refusal = await self._rates.of_request(
                scope["method"],
                path,
                network_of(client[0] if client else None),
                asker.user_id if isinstance(asker, Identity) else None,
            )
            if refusal is not None:
                return not_now(refusal)
        if path.endswith("\n"):
            # The expression of a route ends with `$`, which matches in front of it as well: `/metrics%0A`,
            # which is no `/metrics` to a proxy that keeps that to itself, would be it here.
            return answer(of_status(HTTPStatus.NOT_FOUND))
        return None if length is None and not is_chunked else _of_body(scope["method"], length, is_chunked)


def _of_body(method: str, length: bytes | None, is_chunked: bool) -> Response | None:
    size = 0
    if length is not None:
        # The length first: int() raises for thousands of digits. The parser lets nothing but digits through.
        size = int(length) if len(length) <= LENGTH_DIGITS_MAX and length.isdigit() else BODY_BYTES_MAX + 1
    if size > BODY_BYTES_MAX:
        return answer(of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
    if method in WITHOUT_BODY and (size or is_chunked):
        return answer(problem(Code.INVALID_REQUEST, f"{method} takes no body"))
    return None
