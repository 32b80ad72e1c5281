"""What both contracts say of this server: its name, its codes, who may ask for what. Pure."""

from __future__ import annotations

from typing import Any, Final

from engine.outcomes import RETRYABLE, Code
from ws.asking.roles import RULES
from ws.http.problems import STATUS
from ws.wire.outcomes import AS_BET_REJECTED, WORDS

Json = dict[str, Any]

TITLE: Final = "Solid Green"
VERSION: Final = "1.0.0"
"""Of `wallet.v1` and `/v1`: additions raise the second number, and nothing raises the first one."""

WHAT_IT_IS: Final = "A betting wallet: every bet is in a double-entry ledger before it is shown green."

BEARER: Final = "bearer"
WHO_IS_ASKING: Final = (
    "A JWT (HS256; `iss` and `aud` are `solidgreen`, `typ` is `at+jwt`), in the header "
    "`Authorization: Bearer …`, never in the URL."
)

CONVENTIONS: Final = (
    "JSON, UTF-8. Money is an integer of minor units (cents), written without a fraction or an exponent: "
    "`1.0` is refused. Times (`_at`) are milliseconds since the Unix epoch. A request with a field that is "
    "not described is refused, naming it. Clients must ignore fields of replies that they do not know, and "
    "must expect that lists of values and codes grow."
)


def codes() -> list[Json]:
    """Every code, in order of precedence: what it means, and how it is told."""
    return [
        {
            "code": code.name,
            "meaning": WORDS[code],
            "retryable": code in RETRYABLE,
            "of_a_bet": "bet.rejected" if code in AS_BET_REJECTED else "error",
            "status": STATUS[code].value,
        }
        for code in Code
    ]


def roles(name: str) -> dict[str, str]:
    """Who may ask for this: each role, and whether only of what is his own, or of anybody's."""
    return {role: reach.value for role, reach in sorted(RULES[name].reach.items())}


def scopes(name: str) -> list[str]:
    """What the key of a service account must be for: one of these, or anything if there are none."""
    return sorted(RULES[name].scopes)
