"""Serves the contracts: `/openapi.json`, `/asyncapi.json`, and the pages at `/docs`.

All of it is made once, at the start, and never changes while the server runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from starlette.routing import Route

from ws.contracts.asyncapi import asyncapi
from ws.contracts.openapi import openapi
from ws.docs.pages import STYLE_PATH, pages
from ws.http.fixed import fixed

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
        fixed("/asyncapi.json", msgspec.json.encode(socket), "application/json"),
        fixed("/openapi.json", msgspec.json.encode(http), "application/json"),
        fixed(STYLE_PATH, _STYLE.read_bytes(), "text/css; charset=utf-8"),
        *(fixed(path, text.encode(), "text/html; charset=utf-8", POLICY) for path, text in texts.items()),
    ]
