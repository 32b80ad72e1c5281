"""How the model of the wallet answers: a dictionary; of all reasons against a request, the first is told."""

from __future__ import annotations

from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]
Known = dict[str, Any]
Why = set[str]

PRECEDENCE = [
    "INVALID_REQUEST",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "NOT_FOUND",
    "IDEMPOTENCY_CONFLICT",
    "STALE_REQUEST",
    "NONCE_REUSED",
    "OUTCOME_UNKNOWN",
    "INTERNAL",
    "RATE_LIMITED",
    "CIRCUIT_OPEN",
    "OVERLOADED",
    "TIMED_OUT",
    "ACCOUNT_NOT_FOUND",
    "ACCOUNT_BLOCKED",
    "CURRENCY_MISMATCH",
    "BET_ROLLED_BACK",
    "BET_CLOSED",
    "HOLD_CLOSED",
    "PAYOUT_CLOSED",
    "LIMIT_EXCEEDED",
    "INSUFFICIENT_FUNDS",
]
"""PROTOCOL's list of codes, and HOLD_CLOSED and PAYOUT_CLOSED beside their sister."""

MOST = 9_007_199_254_740_991
"""What JSON shows exactly, 2^53 - 1."""


def reasons(**applies: bool) -> Why:
    """The codes that apply."""
    return {code for code, does in applies.items() if does}


def yes() -> Answer:
    """Accepted, and nothing shown yet."""
    shown = dict.fromkeys(
        ("wallet", "bet", "hold", "payout", "limit", "opened", "bonus", "free_bet", "floor", "source")
    )
    return {"code": None, "replayed": False, "moved": [], **shown}


def no(why: Why, wallet: list[int] | None = None) -> Answer:
    """Refused."""
    return {"code": min(why, key=PRECEDENCE.index), "replayed": False, "wallet": wallet}


def again(first: Answer) -> Answer:
    """The first answer, told once more: its money has moved long since."""
    return first | {"replayed": True} | ({"moved": []} if first["code"] is None else {})


def again_if_same(terms: Known, first_terms: Known, first: Answer) -> Answer:
    """The first answer, if these are the terms that it was given to."""
    return again(first) if terms == first_terms else no({"IDEMPOTENCY_CONFLICT"})
