"""What each player of the demo notes: each bet before it leaves, and each answer as it arrives.

One file each, one JSON object a line, written by the process that is not killed. `read_notes` reads them from
the disk, so that what is judged is what was written down, not what a program believes:

    {"at_ns":…,"user_id":7,"placing":"0198…","stake":250}
    {"at_ns":…,"bet_id":"0198…","told":"bet.confirmed","transaction_id":81,"seq":160}
    {"at_ns":…,"settling":"demo/0198…","bet_id":"0198…"}
    {"at_ns":…,"settled":"demo/0198…","transaction_id":95}
    {"at_ns":…,"refused":"demo/0198…","code":"BET_CLOSED"}
    {"at_ns":…,"user_id":7,"balance":99750}

`at_ns` is CLOCK_MONOTONIC.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Notes:
    """Writes one file. Each line has left this process before the call returns."""

    def __init__(self, path: Path) -> None:
        """Raises `FileExistsError`: nobody continues another's notes."""
        self._file = path.open("x", encoding="utf-8")

    def note(self, **what: Any) -> None:
        """Add a line, with the time."""
        line = json.dumps({"at_ns": time.monotonic_ns()} | what, separators=(",", ":"))
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


@dataclass
class Bet:
    """A bet that somebody was about to place, and the one answer that he was given. Money in minor units."""

    bet_id: str
    user_id: int
    stake: int
    placed_ns: int
    told: str | None = None
    """`bet.confirmed` or `bet.rejected`; None: he was never told."""
    told_ns: int = 0
    transaction_id: int | None = None
    seq: int | None = None

    @property
    def is_confirmed(self) -> bool:
        return self.told == "bet.confirmed"


@dataclass
class Settlement:
    """A bet that was to be ended under `key`, and the one answer to that: the transaction that did so, or the
    code of a refusal; both None: nobody was told."""

    key: str
    bet_id: str
    told_ns: int = 0
    transaction_id: int | None = None
    refused: str | None = None


@dataclass
class Told:
    """All that was noted."""

    bets: dict[str, Bet] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    balances: dict[int, int] = field(default_factory=dict)
    """By user: the last that each was shown."""
    players: set[int] = field(default_factory=set)

    def add(self, line: Json) -> None:
        """Take in one line. Raises `KeyError` for an answer to what was not noted before."""
        if "placing" in line:
            bet = Bet(line["placing"], line["user_id"], line["stake"], line["at_ns"])
            self.bets[bet.bet_id] = bet
            self.players.add(bet.user_id)
        elif "told" in line:
            bet = self.bets[line["bet_id"]]
            bet.told, bet.told_ns = line["told"], line["at_ns"]
            bet.transaction_id, bet.seq = line.get("transaction_id"), line.get("seq")
        elif "settling" in line:
            self.settlements[line["settling"]] = Settlement(line["settling"], line["bet_id"])
        elif "settled" in line:
            settlement = self.settlements[line["settled"]]
            settlement.told_ns, settlement.transaction_id = line["at_ns"], line["transaction_id"]
        elif "refused" in line:
            settlement = self.settlements[line["refused"]]
            settlement.told_ns, settlement.refused = line["at_ns"], line["code"]
        elif "balance" in line:
            self.balances[line["user_id"]] = line["balance"]


def read_notes(folder: Path) -> Told:
    """What all files of `folder` say."""
    told = Told()
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            told.add(json.loads(line))
    return told
