"""From a reply of the wire to an HTTP response: status, headers, body.

A reply has the same JSON object as on the socket, without `id`. An `error` or `bet.rejected` is a problem
(RFC 9457) with the same code. What is read has an `ETag` of its bytes.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from engine.outcomes import Code
from ws.http.answers import answer
from ws.http.fixed import ASK_AGAIN, is_known, tag_of
from ws.http.problems import problem
from ws.v1.routes import OF_A_BET, Route
from ws.wire.fields import Reply
from ws.wire.messages import BetRejected, Error
from ws.wire.reads import BlockGet
from ws.wire.receipts import ReceiptGet

KEEP_AND_ASK: Final = f"private, {ASK_AGAIN}"
"""The same of what is one person's."""

FOR_EVER: Final = "private, max-age=31536000, immutable"
"""Keep it (RFC 8246): a block, and the receipt of a transaction, never change."""

JSON: Final = "application/json"
_IMMUTABLE: Final = frozenset({BlockGet, ReceiptGet})


def told(route: Route, reply: Reply, if_none_match: str | None) -> Response:
    """The response that tells this reply. `if_none_match`: the header of the request, if it has one."""
    if isinstance(reply, Error):
        return answer(problem(Code[reply.code], reply.message, reply.retry_after_ms))
    body = msgspec.to_builtins(reply)
    if isinstance(reply, BetRejected):
        extra = {name: body[name] for name in OF_A_BET if name in body}
        return answer(problem(Code[reply.code], reply.message, reply.retry_after_ms), extra=extra)
    del body["id"]
    content = msgspec.json.encode(body)
    if route.moves_money:
        status = HTTPStatus.OK if body.get("replayed") else HTTPStatus.CREATED
        return Response(content, status, None, JSON)
    if route.method != "GET":
        return Response(content, HTTPStatus.OK, None, JSON)
    tag = tag_of(content)
    lasts = FOR_EVER if route.request in _IMMUTABLE else KEEP_AND_ASK
    headers = {"ETag": tag, "Cache-Control": lasts, "Vary": "Authorization"}
    if if_none_match is not None and is_known(tag, if_none_match):
        return Response(b"", HTTPStatus.NOT_MODIFIED, headers)
    return Response(content, HTTPStatus.OK, headers, JSON)
