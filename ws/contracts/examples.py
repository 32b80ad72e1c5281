"""What examples of the contracts show where the fields' own examples would make no story. Pure."""

from __future__ import annotations

from typing import Any, Final

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "WalletTransfer": {
        "key": "gift-5",
        "legs": [
            {"user_id": 42, "amount": -1000},
            {"user_id": 43, "amount": 970},
            {"user_id": 3, "amount": 30, "name": "FEE"},
        ],
    },
    "WalletMoved": {
        "seq": 931,
        "balance": 99_380,
        "held": 1500,
        "available": 97_880,
        "hold_id": 88_210,
        "hold_state": "open",
        "hold_left": 1500,
    },
    "BetPending": {},
    "BetRejected": {"balance": 100, "available": 100},
    "BetCashedOut": {"stake": 100, "payout": 130},
    "BetRolledBack": {"state": "rolled_back", "payout": 0},
    "BetSettled": {"state": "won", "seq": 921, "balance": 100_250, "available": 100_250},
    "Payout": {
        "state": "paid",
        "in_suspense": [
            {"number": 1, "user_id": 43, "amount": 500, "reason": "ACCOUNT_BLOCKED", "state": "suspended"}
        ],
    },
}
"""By the name of the schema: instead of what `ws/contracts/meanings.py` has."""
