"""Bodies of HTTP requests, read and decoded strictly."""

from __future__ import annotations

import json
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from ws.strict_json import named_once

BODY_BYTES_MAX: Final = 8192
"""A password of 256 characters, each escaped as twelve bytes of JSON, and as much for the rest."""

Some = TypeVar("Some", bound=msgspec.Struct)


class BodyRefused(Exception):
    """It is not what this route takes. The message may be shown to the client."""


async def read_body(request: Request, kind: type[Some], *, may_be_empty: bool = False) -> Some:
    """The body as a `kind`; `may_be_empty`: no body stands for one without fields. Raises `BodyRefused`.

    Only `application/json` is read. A page of another origin cannot send that without asking first (the Fetch
    standard, CORS-preflight), and a form cannot at all: so none can have a browser spend its cookie here.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise BodyRefused(f"a body of more than {BODY_BYTES_MAX} bytes")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and (body or not may_be_empty or "cookie" in request.headers):
        raise BodyRefused("expected the content type application/json")
    if not body and may_be_empty:
        body = b"{}"
    try:
        decoded = msgspec.json.decode(body, type=kind)
        json.loads(body, object_pairs_hook=named_once)
    except msgspec.ValidationError as error:
        raise BodyRefused(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BodyRefused(f"no JSON: {error}") from error
    return decoded
