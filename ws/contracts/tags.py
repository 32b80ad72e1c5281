"""What an operation of `/openapi.json` is called, and with which others it stands. Pure."""

from __future__ import annotations

import re
from typing import Final

TAGS: Final = {
    "wallet": ("Wallet", "What is in a wallet, and what has moved."),
    "bets": ("Bets", "A bet's life."),
    "money": ("Money", "In, out, across, aside."),
    "payouts": ("Payouts", "To many winners, and how far that is."),
    "evidence": ("Evidence", "Receipts and signed blocks."),
    "limits": ("Limits", "What a player allows himself."),
    "wallets": ("Wallets", "Of a person; bonus money and free bets."),
    "house": (
        "House",
        "Books, archives, checks, the clock, the circuit, the audit log, who plays.",
    ),
    "identity": ("Identity", "Who is asking."),
    "watching": ("Watching", "For machines that watch, and people who read."),
}
_TAG_OF: Final = {
    **dict.fromkeys(("deposits", "withdrawals", "transfers", "holds"), "money"),
    **dict.fromkeys(("receipts", "blocks", "keys"), "evidence"),
    **dict.fromkeys(("bonuses", "free-bets"), "wallets"),
    **dict.fromkeys(("auth", "admin"), "identity"),
    **dict.fromkeys(("books", "archives", "clock", "circuit", "audit-log", "checks", "players"), "house"),
}


def operation_id(name: str) -> str:
    """The stable name of an operation, for clients that are generated: `bet.place` is `betPlace`."""
    first, *others = re.split(r"[._]", name)
    return first + "".join(each.capitalize() for each in others)


def tag_of(path: str) -> str:
    """Which group a path belongs to."""
    parts = path.split("/")
    segment = parts[2] if parts[1] == "v1" else "watching"
    return TAGS[_TAG_OF.get(segment, segment)][0]
