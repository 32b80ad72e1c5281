"""Routes of HTTP that are no messages of the wire, for the contract: health, figures, contracts. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

Json = dict[str, Any]

JSON: Final = "application/json"
TEXT: Final = {"type": "string"}
REPORT: Final = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}


class Other(NamedTuple):
    """One of them. `answers`: by status, in words, of what media type, of what schema."""

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, tuple[str, str, Json]]
    is_public: bool = True


OTHERS: Final = (
    Other("GET", "/health/live", "healthLive", "is the process alive?", {200: ("It is.", JSON, REPORT)}),
    Other(
        "GET",
        "/health/ready",
        "healthReady",
        "may it be sent bets?",
        {
            200: ("It may. How each part of it is.", JSON, REPORT),
            503: ("Bets would be refused now, and why.", JSON, REPORT),
        },
    ),
    Other(
        "GET",
        "/metrics",
        "metrics",
        "figures for Prometheus",
        {200: ("In Prometheus' text form.", "text/plain", TEXT)},
    ),
    Other(
        "GET", "/openapi.json", "openapi", "this contract", {200: ("OpenAPI 3.1.", JSON, {"type": "object"})}
    ),
    Other(
        "GET",
        "/asyncapi.json",
        "asyncapi",
        "the contract of the socket",
        {200: ("AsyncAPI 3.0.", JSON, {"type": "object"})},
    ),
    Other("GET", "/docs", "docs", "both, for people", {200: ("A page.", "text/html", TEXT)}),
)
