"""How the operations of `/openapi.json` may be refused: a response for each status, with its codes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

import msgspec

from engine.outcomes import Code
from ws.contracts.schemas import name_of, ref
from ws.http.problems import MEDIA_TYPE, STATUS, problem
from ws.strict_json import EXPECTED_TYPE
from ws.v1.routes import OF_A_BET
from ws.wire.messages import BetRejected

Json = dict[str, Any]

REJECTED_BET: Final = "RejectedBet"
"""The schema of a problem that also tells what `bet.rejected` does."""

OF_A_BODY: Final = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: EXPECTED_TYPE,
}
"""Where HTTP has a finer status for an INVALID_REQUEST."""


def refusals(may: Iterable[Code], schema: str, *, has_body: bool) -> Iterator[tuple[HTTPStatus, str, Json]]:
    """How something may be refused: each status that tells one of these codes, the name under which several
    operations share the response, and the response. `schema`: the name of the problem's schema."""
    by_status: dict[HTTPStatus, list[Code]] = {}
    for code in may:
        by_status.setdefault(STATUS[code], []).append(code)
    for status, found in by_status.items():
        name = ".".join([str(status.value), *(code.name.lower() for code in found)])
        if schema == REJECTED_BET:
            name += ".bet"
        yield status, name, _problem(status, found, schema)
    if has_body:
        for status, words in OF_A_BODY.items():
            told = _problem(status, [Code.INVALID_REQUEST], "Problem", words)
            yield status, f"{status.value}.invalid_request", told


def _problem(status: HTTPStatus, codes_: list[Code], schema: str, words: str | None = None) -> Json:
    told = {code: problem(code, words, status=status) for code in codes_}
    response: Json = {
        "description": "; ".join(f"`{code.name}`: {each.detail}" for code, each in told.items()) + ".",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [ref(schema)],
                    "properties": {
                        "status": {"const": status.value},
                        "code": {"enum": [code.name for code in codes_]},
                    },
                },
                "examples": {code.name: {"value": msgspec.to_builtins(each)} for code, each in told.items()},
            }
        },
    }
    headers = _headers_of(status)
    return response | ({"headers": headers} if headers else {})


def _headers_of(status: HTTPStatus) -> Json:
    if status is HTTPStatus.UNAUTHORIZED:
        words = "Says that a bearer token is wanted, and what is wrong with this one (RFC 6750)."
        return {"WWW-Authenticate": {"description": words, "required": True, "schema": {"type": "string"}}}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        words = "When to come back, in seconds, where that is known."
        return {"Retry-After": {"description": words, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return {}


def rejected_bet(known: dict[str, Json]) -> Json:
    """A problem of a bet, which also tells what `bet.rejected` does."""
    more = known[name_of(BetRejected)]["properties"]
    properties = known["Problem"]["properties"] | {name: more[name] for name in OF_A_BET}
    return known["Problem"] | {"title": REJECTED_BET, "properties": properties}
