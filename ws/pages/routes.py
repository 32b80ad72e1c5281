"""How the pages are served: read once, at the start, under a policy that lets in nothing but themselves."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from ws.http.fixed import fixed
from ws.pages.files import PAGES, served

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Of both pages: scripts and styles are files of this server, and no text ever becomes one
(Content Security Policy 3; Trusted Types)."""


def page_routes() -> list[Route]:
    """The routes of both pages and of all that they load."""
    return [
        fixed(path, file.read_bytes(), media_type, POLICY if path in PAGES else None)
        for path, file, media_type in served()
    ]
