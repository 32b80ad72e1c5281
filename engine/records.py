"""The rows that a batch reads and writes, as records. Amounts in minor units, times in microseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec


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
    limits: list[Limit] = []
    opening_minor: int = 0
    """The balance before the batch that is being decided."""

    @property
    def available_minor(self) -> int:
        return self.balance_minor - self.held_minor - self.floor_minor


class Head(NamedTuple):
    """Where the chain stands. `at_us` is the newest block's time; all zeros before the first block."""

    block_id: int
    hash: bytes
    at_us: int
    last_transaction_id: int
    last_entry_id: int


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


class LiveBet(msgspec.Struct, array_like=True, gc=False):
    """What has become of a bet, as it is after the commands decided so far."""

    bet_id: str
    transaction_id: int
    user_id: int
    currency: str
    stake_minor: int
    state: str = "confirmed"
    payout_minor: int = 0
    """All that was paid for it and not taken back."""
    settled_minor: int = 0
    """Of `payout_minor`, what its settlement paid; 0 while it is not settled."""
    cashed_stake_minor: int = 0
    """Of `stake_minor`, what was cashed out."""
    last_transaction_id: int = 0
    """The newest transaction that changed it; 0: none since it was placed."""
    last_block_id: int = 0
    last_answer: str = ""
    """What that transaction was answered."""
    opening_transaction_id: int = 0
    """`last_transaction_id` before the batch that is being decided."""

    @property
    def left_minor(self) -> int:
        """The stake that is still at play while the bet is confirmed."""
        return self.stake_minor - self.cashed_stake_minor


class BetChange(NamedTuple):
    """What a batch does to one bet. `read_transaction_id`: the newest transaction of the row that it
    changes."""

    state: str
    payout_minor: int
    settled_minor: int
    cashed_stake_minor: int
    last_transaction_id: int
    transaction_id: int
    read_transaction_id: int


class Hold(msgspec.Struct, array_like=True, gc=False):
    """Money set aside, as it is after the commands decided so far. `purpose`: `hold` or `withdrawal`;
    `expires_at_us`: 0 if never.
    """

    id: int
    user_id: int
    currency: str
    purpose: str
    amount_minor: int
    expires_at_us: int
    state: str
    left_minor: int
    last_transaction_id: int
    opening_transaction_id: int = 0
    """`last_transaction_id` before the batch that is being decided."""


class HoldChange(NamedTuple):
    """What a batch does to one hold. `read_transaction_id`: the newest transaction of the row that it
    changes."""

    state: str
    left_minor: int
    last_transaction_id: int
    id: int
    read_transaction_id: int


class Payout(msgspec.Struct, array_like=True, gc=False):
    """A mass payout, as it is after the commands decided so far. Items are numbered from 0; those below
    `done` were paid or put into suspense; `suspended` of them are there now."""

    id: int
    caller: str
    currency: str
    state: str
    items: int
    total_minor: int
    done: int
    suspended: int
    last_transaction_id: int
    opening_transaction_id: int = 0
    """`last_transaction_id` before the batch that is being decided."""


class PayoutChange(NamedTuple):
    """What a batch does to one payout. `read_transaction_id`: the newest transaction of the row that it
    changes."""

    state: str
    items: int
    total_minor: int
    done: int
    suspended: int
    last_transaction_id: int
    id: int
    read_transaction_id: int


class Item(NamedTuple):
    """What one winner of a payout gets, in the column order of `payout_items`."""

    payout_id: int
    number: int
    user_id: int
    amount_minor: int


class Suspended(msgspec.Struct, array_like=True, gc=False):
    """An item that could not be paid when its turn came, and why. `state`: `suspended`, `paid` or
    `returned`."""

    payout_id: int
    number: int
    reason: str
    state: str
    last_transaction_id: int
    opening_transaction_id: int = 0


class SuspendedChange(NamedTuple):
    """What a batch does to one item in suspense."""

    state: str
    last_transaction_id: int
    payout_id: int
    number: int
    read_transaction_id: int


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


class Change(NamedTuple):
    """What a batch does to one account. `version`: that of the row which it changes."""

    amount_minor: int
    last_entry_id: int
    held_minor: int
    owed_minor: int
    status: str
    is_limited: int
    refused_minute: int
    refused_count: int
    user_id: int
    version: int


# The class itself would make a tuple, call a function of Python's and copy the tuple: three times as slow.
new_entry: Callable[[tuple[Any, ...]], Entry] = partial(tuple.__new__, Entry)
new_transaction: Callable[[tuple[Any, ...]], Transaction] = partial(tuple.__new__, Transaction)
new_bet: Callable[[tuple[Any, ...]], Bet] = partial(tuple.__new__, Bet)
