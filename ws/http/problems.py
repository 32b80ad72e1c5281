"""Errors over HTTP: `application/problem+json`. Source: RFC 9457; PROTOCOL, "HTTP /v1". Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from engine.outcomes import RETRYABLE, Code
from ws.wire.outcomes import WORDS

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final = {
    Code.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Code.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.IDEMPOTENCY_CONFLICT: HTTPStatus.CONFLICT,
    Code.STALE_REQUEST: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.NONCE_REUSED: HTTPStatus.CONFLICT,
    Code.OUTCOME_UNKNOWN: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.CIRCUIT_OPEN: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.TIMED_OUT: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.ACCOUNT_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ACCOUNT_BLOCKED: HTTPStatus.FORBIDDEN,
    Code.CURRENCY_MISMATCH: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.BET_ROLLED_BACK: HTTPStatus.CONFLICT,
    Code.BET_CLOSED: HTTPStatus.CONFLICT,
    Code.HOLD_CLOSED: HTTPStatus.CONFLICT,
    Code.PAYOUT_CLOSED: HTTPStatus.CONFLICT,
    Code.LIMIT_EXCEEDED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.INSUFFICIENT_FUNDS: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""The one table from a code to its HTTP status."""


TITLES: Final = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.REQUEST_URI_TOO_LONG: "URI Too Long",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}
"""As RFC 9110 calls them: Python does so from 3.13 on, and a title must not change with that."""


class Problem(msgspec.Struct, gc=False):
    """What went wrong. `type` names the kind of it for ever, and can be compared; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    retry_after_ms: int | UnsetType = UNSET


def problem(
    code: Code,
    detail: str | None = None,
    retry_after_ms: int | UnsetType = UNSET,
    status: HTTPStatus | None = None,
) -> Problem:
    """The problem of this code, in `detail`'s words or in the code's own. `status`: unless `STATUS` says it,
    where HTTP has a finer one for the same code, such as 405 for an INVALID_REQUEST."""
    said = status or STATUS[code]
    return Problem(
        f"urn:solidgreen:problem:{code.name.lower().replace('_', '-')}",
        TITLES.get(said, said.phrase),
        said,
        detail or WORDS[code],
        code.name,
        code in RETRYABLE,
        retry_after_ms,
    )
