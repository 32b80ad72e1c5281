"""The accounts, bets and keys that a batch touches, and how an entry changes them.

A `View` is the working copy of one batch: it begins as the batch before it ends, is changed by `decide` in
arrival order, then written by the store in one transaction. It knows no SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec


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
    refused_minute: int
    refused_count: int
    user_id: int
    version: int


# The class itself would make a tuple, call a function of Python's and copy the tuple: three times as slow.
new_entry: Callable[[tuple[Any, ...]], Entry] = partial(tuple.__new__, Entry)
new_transaction: Callable[[tuple[Any, ...]], Transaction] = partial(tuple.__new__, Transaction)
new_bet: Callable[[tuple[Any, ...]], Bet] = partial(tuple.__new__, Bet)


class View:
    """What a batch may look at, and what it has changed so far.

    `accounts` holds each account named by a command and the books of each currency in play;
    `transactions` and `refusals` hold those of the batch's keys that are known already.
    """

    def __init__(
        self,
        *,
        head: Head,
        now_us: int,
        accounts: dict[int, Account],
        books: dict[tuple[str, str], int],
        transactions: dict[tuple[str, str], Transaction],
        refusals: dict[str, Refusal],
    ) -> None:
        self.head = head
        self.block_id = head.block_id + 1
        # Block time never runs back, whatever the wall clock does.
        self.at_us = max(head.at_us, now_us)
        self.accounts = accounts
        self.books = books
        self.transactions = transactions
        self.refusals = refusals
        self.new_transactions: list[Transaction] = []
        self.new_entries: list[Entry] = []
        self.new_bets: list[Bet] = []
        self.new_refusals: list[Refusal] = []
        self.touched: dict[int, Account] = {}
        self._last_entry_id = head.last_entry_id
        self.next_transaction_id = head.last_transaction_id + 1

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.touched)

    def book(self, kind: str, currency: str) -> Account:
        """The house's own book of this kind. Raises `KeyError` where the file has none: a fault, not an
        outcome.
        """
        return self.accounts[self.books[kind, currency]]

    def post(self, account: Account, amount_minor: int, ref_type: str, ref_id: str) -> Entry:
        """Add one entry of the transaction being decided, and change its holder's balance."""
        user_id = account.id
        if user_id not in self.touched:
            self._touch(account)
        account.balance_minor += amount_minor
        self._last_entry_id += 1
        entry = new_entry(
            (
                self._last_entry_id,
                user_id,
                account.currency,
                amount_minor,
                account.balance_minor,
                ref_type,
                ref_id,
                self.next_transaction_id,
                self.block_id,
                account.last_entry_id,
            )
        )
        account.last_entry_id = self._last_entry_id
        self.new_entries.append(entry)
        return entry

    def record(self, transaction: Transaction) -> None:
        """Close the transaction being decided; a later command of the batch finds it by its key."""
        assert transaction.id == self.next_transaction_id
        self.next_transaction_id += 1
        self.new_transactions.append(transaction)
        self.transactions[transaction.scope, transaction.key] = transaction

    def refuse(self, refusal: Refusal, account: Account) -> None:
        """Write a refusal down and count it for its user's minute."""
        if account.id not in self.touched:
            self._touch(account)
        minute = self.at_us // MINUTE_US
        account.refused_count = account.refused_count + 1 if account.refused_minute == minute else 1
        account.refused_minute = minute
        self.new_refusals.append(refusal)
        self.refusals[refusal.bet_id] = refusal

    def close(self) -> Iterator[Change]:
        """What the batch does to each account, once all of it is decided. From then on the accounts are those
        of the next batch.
        """
        for account in self.touched.values():
            yield Change(
                account.balance_minor - account.opening_minor,
                account.last_entry_id,
                account.refused_minute,
                account.refused_count,
                account.id,
                account.version,
            )
            account.version += 1

    def _touch(self, account: Account) -> None:
        account.opening_minor = account.balance_minor
        self.touched[account.id] = account


MINUTE_US = 60_000_000
