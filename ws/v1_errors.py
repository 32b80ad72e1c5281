"""What Starlette itself refuses, as a problem: no such path, no such method."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.outcomes import Code
from ws.v1_replies import refused

_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: Code.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: Code.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Code.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: Code.RATE_LIMITED,
}


async def http_problem(request: Request, error: Exception) -> Response:
    """The problem that this exception stands for, with its headers (`Allow`)."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = _CODES.get(status, Code.INVALID_REQUEST)
    return refused(code, error.detail, status=status, headers=dict(error.headers or {}))
