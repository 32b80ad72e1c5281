"""Messages of the wire as HTTP requests, by the table of routes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

import httpx

from tests.operator_messages import BET_ID, SOUND
from ws.v1.routes import IDEMPOTENCY_KEY, ROUTES, Route, Where

BY_NAME: Final = {route.name: route for route in ROUTES}

READS: Final[dict[str, dict[str, Any]]] = {
    "wallet.get": {"user_id": 7},
    "wallet.entries": {"user_id": 7, "after": 0, "before": 9, "limit": 10},
    "wallet.bets": {"user_id": 7, "before": 1, "limit": 10, "state": "won"},
    "bet.get": {"bet_id": BET_ID},
    "payout.get": {"payout_id": 88, "suspended_from": 0},
    "receipt.get": {"transaction_id": 8, "user_id": 7},
    "head.get": {"since": 1},
    "block.get": {"block": 1},
    "audit_log.get": {"before": 9, "limit": 10, "actor": 0, "action": "bet.settle"},
    "limit.get": {"user_id": 7},
    "wallet.list": {"user_id": 7},
    "archive.get": {"archive_id": 88},
    "clock.get": {},
    "clock.confirm": {},
    "circuit.get": {},
    "check.begin": {"check": "reconcile"},
    "check.get": {"check": "verify"},
    "player.find": {"text": "7"},
    "payout.list": {"before": 9, "limit": 10},
    "bet.trail": {"bet_id": BET_ID},
    "keys.get": {},
}
BET: Final = {"bet_id": BET_ID, "stake": 1, "nonce": "12345678", "sent_at": 1, "user_id": 7}
BET_OPTIONS: Final = {"currency": "EUR", "game": "g", "round": "r", "selection": "s", "odds_milli": 2000}
EVERY: Final = SOUND | READS | {"bet.place": BET | BET_OPTIONS | {"free_bet_id": 88}}
"""Each request with all its fields."""

_keys = itertools.count(1)


def new_key() -> str:
    return f"key-{next(_keys)}"


def bearing(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def as_http(route: Route, fields: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
    """The message as arguments of `httpx.Client.request`, each field where its route has it."""
    at = {field.name: field.where for field in route.fields()}
    assert fields.keys() <= at.keys(), (route.name, fields)
    path = route.path.format(**fields)
    asked: dict[str, Any] = {
        "method": route.method,
        "url": path,
        "params": {name: value for name, value in fields.items() if at[name] is Where.QUERY},
    }
    if route.has_body:
        asked["json"] = {name: value for name, value in fields.items() if at[name] is Where.BODY}
    if key is not None:
        asked["headers"] = {IDEMPOTENCY_KEY: key}
    return asked


def ask(
    http: httpx.Client,
    name: str,
    fields: Mapping[str, Any] | None = None,
    *,
    token: str | None,
    key: str | None = None,
) -> httpx.Response:
    """The answer to a message over HTTP, by its name; under a new key unless told, where it needs one."""
    route = BY_NAME[name]
    asked = as_http(route, fields or {}, key or (new_key() if route.needs_key else None))
    asked["headers"] = asked.get("headers", {}) | bearing(token)
    return http.request(**asked)


def code_of(answer: httpx.Response) -> str:
    """`OK`, or the code of the problem."""
    if answer.is_success:
        return "OK"
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return str(problem["code"])
