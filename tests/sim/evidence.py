"""What the auditor goes by: what clients have asked for, and what the disk has, as COMMITs left it."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from batcher.breaker import State
from tests.sim.rows import Entry, Transaction

Body = dict[str, Any]
Name = tuple[str, str]
"""What a command is known by for ever: its scope and key."""

KINDS: Final = {
    **{"bet.settle": "settle", "bet.unsettle": "unsettle", "bet.rollback": "rollback"},
    **{"bet.cashout": "cashout", "wallet.deposit": "deposit", "wallet.withdraw": "withdraw"},
    **{"wallet.hold": "hold", "hold.capture": "capture", "hold.release": "release"},
    **{"wallet.transfer": "transfer", "wallet.status": "status", "payout.make": "pay"},
    **{"payout.open": "payout-open", "payout.add": "payout-add", "payout.start": "payout-start"},
}
"""Of each request that moves money, how its scope names it."""


class Finding(BaseException):
    """Something that must never be. No `except Exception` sees it: it may come up while a statement of the
    engine takes its time."""


@dataclass
class Surroundings:
    """What the auditor may ask besides: none of it says what became of money."""

    now_us: Callable[[], int]
    wall_us: Callable[[], int] = lambda: 0
    last_us: Callable[[str], int] = lambda fault: -1
    """When this fault struck last; -1: never."""
    breaker: Callable[[], State | None] = lambda: None
    has_failed: Callable[[], bool] = lambda: False
    """Whether no money is taken until a restart."""


@dataclass(eq=False)
class Copy:
    """One sending of one request."""

    body: Body
    user_id: int
    role: str
    link: int
    sent_us: int
    arrived_us: int | None = None
    pending_us: int | None = None
    told_us: int | None = None
    answer: Body | None = None
    breaker: State | None = None
    has_failed: bool = False
    """Whether no money was taken any more when it was given its answer."""
    is_known: bool = False
    """Whether its bet was on disk when it arrived."""
    newest: int = 0
    """The newest entry of its wallet that was on disk then."""

    @property
    def name(self) -> Name | None:
        """What it is known by; None if it moves nothing."""
        if self.body["type"] == "bet.place":
            return ("bet", self.body["bet_id"])
        kind = KINDS.get(self.body["type"])
        return None if kind is None else (f"{self.user_id}:{kind}", self.body["key"])

    @property
    def wallet(self) -> int:
        """Whose money it is about."""
        return self.body.get("user_id", self.user_id) if self.role != "player" else self.user_id

    @property
    def terms(self) -> str:
        """What two requests under one name must have in common."""
        left_out = ("id", "nonce", "sent_at")
        return json.dumps([self.wallet, {k: v for k, v in self.body.items() if k not in left_out}])


class Evidence:
    """Everything that was sent, and all that is on disk."""

    def __init__(self) -> None:
        self.copies: dict[str, Copy] = {}
        self.by_name: dict[Name, list[Copy]] = defaultdict(list)
        self.transactions: dict[Name, tuple[Transaction, int]] = {}
        """And when each was committed; 0: it was there before anybody asked for anything."""
        self.entries: dict[int, Entry] = {}
        self._entries_of: dict[int, list[int]] = defaultdict(list)
        self._by_transaction: dict[int, Transaction] = {}
        self._nonces: dict[tuple[int, str], set[str]] = defaultdict(set)

    def sent(self, copy: Copy) -> None:
        """A client has sent this; its `id` is its alone."""
        body, name = copy.body, copy.name
        assert body["id"] not in self.copies
        self.copies[body["id"]] = copy
        if name is not None:
            self.by_name[name].append(copy)
        if body["type"] == "bet.place":
            self._nonces[copy.wallet, body["nonce"]].add(body["bet_id"])

    def committed(self, at_us: int, transactions: Iterable[Transaction], entries: Iterable[Entry]) -> None:
        """A COMMIT has left these."""
        for transaction in transactions:
            self._by_transaction[transaction.id] = transaction
            self.transactions[transaction.scope, transaction.key] = (transaction, at_us)
        for entry in entries:
            self.entries[entry.id] = entry
            self._entries_of[entry.user_id].append(entry.id)

    def newest_of(self, user_id: int) -> int:
        """The newest entry of this wallet; 0: it has none."""
        ids = self._entries_of.get(user_id)
        return ids[-1] if ids else 0

    def entries_of(self, user_id: int, after: int = 0, until: int | None = None) -> Sequence[int]:
        """The entries of this wallet, in order."""
        ids = self._entries_of.get(user_id, [])
        return ids[bisect_right(ids, after) : None if until is None else bisect_right(ids, until)]

    def bet(self, bet_id: str) -> Transaction | None:
        """What took the stake of this bet, if anything did."""
        known = self.transactions.get(("bet", bet_id))
        return known[0] if known is not None and known[0].kind == "BET" else None

    def bets_with(self, user_id: int, nonce: str) -> int:
        """How many bets this wallet was ever asked for under this nonce."""
        return len(self._nonces[user_id, nonce])

    def check_file(self, entries: Iterable[Entry], transactions: Iterable[Transaction]) -> None:
        """What has once been committed is there, all of it, as it was, and nothing else."""
        found = {entry.id: entry for entry in entries}
        if found != self.entries:
            differing = sorted(set(found.items()) ^ set(self.entries.items()))
            raise Finding(f"the ledger is not what was committed: {differing[:3]}")
        if {each.id: each for each in transactions} != self._by_transaction:
            raise Finding("the transactions are not what was committed")
