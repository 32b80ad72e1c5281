"""Content that is the same for everybody and for as long as the server runs: read or made once, at the start,
and asked for again by its `ETag`."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ASK_AGAIN: Final = "no-cache"
"""Keep it, but ask whether it is still so (RFC 9111, section 5.2.2.4): a new version may be served."""


def fixed(path: str, content: bytes, media_type: str, policy: str | None = None) -> Route:
    """The route that serves `content` at `path`. `policy`: the `Content-Security-Policy` of a page."""
    tag = tag_of(content)
    headers = {"ETag": tag, "Cache-Control": ASK_AGAIN, "X-Content-Type-Options": "nosniff"}
    if policy is not None:
        headers["Content-Security-Policy"] = policy

    async def serve(request: Request) -> Response:
        if is_known(tag, request.headers.get("if-none-match", "")):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(content, headers={**headers, "Content-Type": media_type})

    return Route(path, serve)


def tag_of(content: bytes) -> str:
    """The `ETag` of these bytes, a strong one."""
    return f'"{blake2b(content, digest_size=16).hexdigest()}"'


def is_known(tag: str, if_none_match: str) -> bool:
    """Whether the client has it already: compared weakly (RFC 9110, section 13.1.2)."""
    known = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return if_none_match.strip() == "*" or tag in known
