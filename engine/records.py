"""The rows that a batch reads and writes, as records. Amounts in minor units, times in microseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from engine.subjects import Bonus, Row


class Limit(msgspec.Struct, array_like=True, gc=False):
    """What a player may do in a day, a week or a month, and how much of it he has (see `engine.limits`)."""

    user_id: int
    kind: str
    period: str
    amount: int
    pending: int
    pending_from_us: int
    """From when on `pending` is the amount; 0: nothing is pending."""
    window: int
    used: int
    last_bet_us: int
    is_changed: bool = False


class LimitRow(NamedTuple):
    """A limit as a batch leaves it."""

    user_id: int
    kind: str
    period: str
    amount: int
    pending: int
    pending_from_us: int
    window: int
    used: int
    last_bet_us: int


class Account(msgspec.Struct, array_like=True, gc=False):
    """A row of `users`, as it is after the commands decided so far. Amounts in minor units."""

    id: int
    kind: str
    currency: str
    status: str
    balance_minor: int
    held_minor: int
    floor_minor: int
    version: int
    last_entry_id: int
    refused_minute: int
    refused_count: int
    owed_minor: int = 0
    """What a clawback could not take, to be kept back from later wins."""
    is_limited: int = 0
    """1 if this player has ever set himself a limit."""
    participant_id: int = 0
    """Whose wallet it is; 0: it is a book of the house's."""
    limits: tuple[Limit, ...] = ()
    bonus: Bonus | None = None
    """The bonus that is spent from this wallet, or of which this is the wallet."""
    opening_minor: int = 0
    """The balance before the batch that is being decided."""

    @property
    def is_wallet(self) -> bool:
        """Whether it is a player's, and not a book of the house's."""
        return self.participant_id != 0

    @property
    def available_minor(self) -> int:
        return self.balance_minor - self.held_minor - self.floor_minor

    def as_made(self) -> Row:
        return self.id, self.kind, self.currency, self.participant_id

    def as_moved(self) -> Row:
        """What a batch does to the row, if it changes nothing but the balance and the refusals."""
        return (
            self.balance_minor - self.opening_minor,
            self.last_entry_id,
            self.refused_minute,
            self.refused_count,
            self.id,
            self.version,
        )

    def as_changed(self) -> Row:
        """What a batch does to the row, whatever it changes."""
        return (
            *self.as_moved(),
            self.held_minor,
            self.owed_minor,
            self.status,
            self.is_limited,
            self.floor_minor,
        )


class Head(NamedTuple):
    """Where the chain stands. `at_us` is the newest block's time; all zeros before the first block.

    `peaks`: those of the tree over all blocks so far, whose root the next block holds (engine/merkle.py).
    """

    block_id: int
    hash: bytes
    at_us: int
    last_transaction_id: int
    last_entry_id: int
    peaks: tuple[bytes, ...] = ()


GENESIS = Head(0, bytes(32), 0, 0, 0)


class Entry(NamedTuple):
    """One signed posting, in the column order of `transaction_ledger`."""

    id: int
    user_id: int
    currency: str
    amount_minor: int
    balance_after_minor: int
    ref_type: str
    ref_id: str
    transaction_id: int
    block_id: int
    prev_id: int


class Transaction(NamedTuple):
    """One economic event, in the column order of `transactions`. `answer` is the JSON of what was answered
    first.
    """

    id: int
    kind: str
    scope: str
    key: str
    fingerprint: bytes
    answer: str
    block_id: int


ABSENT: Final = 0
"""Stands for None in the terms of a bet that is to be written: sqlite3 binds None, which may have an adapter,
five times as slowly as a number. No term is the number 0; the file has NULL.
"""


class Bet(NamedTuple):
    """A bet as it is placed, in the column order of `bets`."""

    transaction_id: int
    user_id: int
    currency: str
    stake_minor: int
    game: str | None
    round: str | None
    selection: str | None
    odds_milli: int | None


class Item(NamedTuple):
    """What one winner of a payout gets, in the column order of `payout_items`."""

    payout_id: int
    number: int
    user_id: int
    amount_minor: int


class Refusal(NamedTuple):
    """A bet refused for good, in the column order of `refusals`. `code` is the name of an `outcomes.Code`."""

    bet_id: str
    user_id: int
    stake_minor: int
    fingerprint: bytes
    code: str
    balance_minor: int
    held_minor: int
    at_us: int


# The class itself would make a tuple, call a function of Python's and copy the tuple: three times as slow.
new_entry: Callable[[tuple[Any, ...]], Entry] = partial(tuple.__new__, Entry)
new_transaction: Callable[[tuple[Any, ...]], Transaction] = partial(tuple.__new__, Transaction)
new_bet: Callable[[tuple[Any, ...]], Bet] = partial(tuple.__new__, Bet)
