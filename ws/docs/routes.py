"""Serves the contracts: `/openapi.json`, `/asyncapi.json`, and the pages at `/docs`.

All of it is made once, at the start, and never changes while the server runs.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ws.contracts.asyncapi import asyncapi
from ws.contracts.openapi import openapi
from ws.docs.pages import STYLE_PATH, pages
from ws.v1.replies import is_known, tag_of

ASK_AGAIN: Final = "no-cache"
"""Keep it, but ask whether it is still so (RFC 9111, section 5.2.2.4): a new version may be served."""

POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of the pages: their own stylesheet and nothing else, no script at all (Content Security Policy 3)."""

_STYLE: Final = Path(__file__).with_name("style.css")


def contract_routes() -> list[Route]:
    """The routes of both contracts and of the pages that show them."""
    socket, http = asyncapi(), openapi()
    texts = pages(socket, http)
    return [
        _route("/asyncapi.json", msgspec.json.encode(socket), "application/json"),
        _route("/openapi.json", msgspec.json.encode(http), "application/json"),
        _route(STYLE_PATH, _STYLE.read_bytes(), "text/css; charset=utf-8"),
        *(_route(path, text.encode(), "text/html; charset=utf-8") for path, text in texts.items()),
    ]


def _route(path: str, content: bytes, media_type: str) -> Route:
    tag = tag_of(content)
    headers = {"ETag": tag, "Cache-Control": ASK_AGAIN, "X-Content-Type-Options": "nosniff"}
    if media_type.startswith("text/html"):
        headers["Content-Security-Policy"] = POLICY

    async def serve(request: Request) -> Response:
        if is_known(tag, request.headers.get("if-none-match", "")):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(content, headers={**headers, "Content-Type": media_type})

    return Route(path, serve)
