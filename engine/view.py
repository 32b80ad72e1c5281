"""The accounts, bets and keys that a batch touches, and how an entry changes them.

A `View` is the working copy of one batch: it begins as the batch before it ends, is changed by `decide` in
arrival order, then written by the store in one transaction. It knows no SQL.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

import msgspec

from engine.commands import BET_SCOPE
from engine.deeds import Deed
from engine.records import Account, Bet, Entry, Head, Item, LimitRow, Refusal, Transaction, new_entry
from engine.subjects import Archive, Bonus, FreeBet, Hold, LiveBet, Payout, Row, Subject, Suspended

Changing = TypeVar("Changing", bound=Subject)


class Boundary(NamedTuple):
    """Up to where an archive would go: the newest block before a time, 0 if there is none, and where it ends.
    `moved_id`: the newest archive of which nothing is left to be moved, 0 if there is none. `archives`: how
    many there are."""

    block_id: int
    transaction_id: int
    entry_id: int
    moved_id: int
    archives: int


NOWHERE: Final[Mapping[int, Boundary]] = {}


class Changes(NamedTuple):
    """What a batch does to rows that were there before it, or that it has made."""

    moved: list[Row]
    """Accounts of which the balance has moved and nothing else has changed: see `Account.as_moved`."""
    accounts: list[Row]
    """All others: see `Account.as_changed`."""
    limits: list[LimitRow]
    rows: Mapping[type, list[Row]]
    """Of each kind of `Subject`: see its `as_changed`."""


class View:
    """What a batch may look at, and what it has changed so far.

    `accounts` holds each account named by a command, by a bet or by a hold, and the books of each currency in
    play; where a wallet is there, so are the bonus wallet beside it and its participant's first one. The
    others hold those of the batch's keys, bets, holds, free bets and payouts that are known already.
    `now_us`, `unsure_since_us`: the time of the books, as `engine.now.Now` has it.
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
        bets: dict[str, LiveBet],
        holds: dict[int, Hold],
        payouts: dict[int, Payout],
        items: dict[tuple[int, int], Item],
        suspended: dict[tuple[int, int], Suspended],
        free_bets: dict[int, FreeBet],
        last_user_id: int,
        archive: Archive | None = None,
        archived: Collection[tuple[str, str]] = frozenset(),
        boundaries: Mapping[int, Boundary] = NOWHERE,
        unsure_since_us: int | None = None,
    ) -> None:
        self.head = head
        self.block_id = head.block_id + 1
        # Block time never runs back, whatever the wall clock does.
        self.at_us = max(head.at_us, now_us)
        self._unsure_since_us = unsure_since_us
        self.accounts = accounts
        self.books = books
        self.transactions = transactions
        self.refusals = refusals
        self.bets = bets
        self.holds = holds
        self.payouts = payouts
        self.items = items
        self.suspended = suspended
        self.free_bets = free_bets
        self.last_user_id = last_user_id
        """The newest of the numbers that wallets are given in a row."""
        self.archive = archive
        """The newest one."""
        self.archived = archived
        """Of the batch's keys, those of commands that were archived."""
        self.boundaries = boundaries
        """By the times that commands name."""
        self.sources: dict[str, tuple[int, int, int]] = {}
        """Of bets of this batch: `source_id`, `source_minor` and `free_bet_id`, where there are any."""
        self.new_transactions: list[Transaction] = []
        self.new_entries: list[Entry] = []
        self.new_bets: list[Bet] = []
        self.new_refusals: list[Refusal] = []
        self.new_items: list[Item] = []
        self.new_deeds: list[Deed] = []
        """Of commands that were asked for on behalf of the house, refused ones as well."""
        self.made: dict[type, list[Row]] = defaultdict(list)
        """The rows of other kinds that the batch makes, as they begin."""
        self.touched: dict[int, Account] = {}
        self._changed: set[int] = set()  # of those, whose accounts may have changed but for the balance
        self._changing: dict[int, Subject] = {}  # by identity, of rows that live as long as this view
        self._last_entry_id = head.last_entry_id
        self.next_transaction_id = head.last_transaction_id + 1

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.touched or self.new_transactions or self.new_deeds)

    @property
    def matured_us(self) -> int:
        """The time up to which things have expired and limits have become looser."""
        since_us = self._unsure_since_us
        return self.at_us if since_us is None else min(self.at_us, since_us)

    def book(self, kind: str, currency: str) -> Account:
        """The house's own book of this kind. Raises `KeyError` where the file has none: a fault, not an
        outcome.
        """
        return self.accounts[self.books[kind, currency]]

    def bet(self, bet_id: str) -> LiveBet | None:
        """What has become of a bet that was asked for, or that this batch has placed; None if it never was.

        Most bets are not asked for again in the batch that places them, so their state is made only here.
        """
        known = self.bets.get(bet_id)
        placing = self.transactions.get((BET_SCOPE, bet_id))
        if known is None and placing is not None and placing.id > self.head.last_transaction_id:
            at = bisect_left(self.new_bets, placing.id, key=attrgetter("transaction_id"))
            if at < len(self.new_bets) and self.new_bets[at].transaction_id == placing.id:
                bet = self.new_bets[at]
                source = self.sources.get(bet_id, ())
                known = LiveBet(bet_id, placing.id, bet.user_id, bet.currency, bet.stake_minor, *source)
                self.bets[bet_id] = known
        return known

    def change(self, row: Changing) -> Changing:
        """`row`, to be changed by the transaction being decided."""
        if id(row) not in self._changing:
            row.opening_transaction_id = row.last_transaction_id
            self._changing[id(row)] = row
        row.last_transaction_id = self.next_transaction_id
        return row

    def open_account(self, account: Account) -> Account:
        """Make `account`, which is empty, in this batch."""
        self.accounts[account.id] = account
        self.made[Account].append(account.as_made())
        return account

    def open_wallet(self, kind: str, currency: str, participant_id: int | None) -> Account:
        """Make an empty wallet, of the next number; of a new participant if that is None."""
        self.last_user_id = number = self.last_user_id + 1
        whose = number if participant_id is None else participant_id
        account = Account(number, kind, currency, "open", 0, 0, 0, 0, 0, 0, 0, participant_id=whose)
        return self.open_account(account)

    def open_bonus(self, wallet: Account, spend: str, expires_at_us: int, state: str) -> Bonus:
        """Make a bonus wallet beside `wallet`, by the transaction being decided."""
        beside = self.open_wallet("player_bonus", wallet.currency, wallet.participant_id)
        bonus = Bonus(beside.id, wallet.id, spend, expires_at_us, state, self.next_transaction_id)
        wallet.bonus = beside.bonus = bonus
        self.made[Bonus].append(bonus.as_made())
        return bonus

    def add_free_bet(self, free_bet: FreeBet) -> None:
        """Make `free_bet` of the transaction being decided."""
        assert free_bet.id == self.next_transaction_id
        self.free_bets[free_bet.id] = free_bet
        self.made[FreeBet].append(free_bet.as_made())

    def is_closed_for_good(self, bet: LiveBet) -> bool:
        """Whether a bet that is over may not be changed any more: it is going to be archived."""
        upto = 0 if self.archive is None else self.archive.upto_transaction_id
        return 0 < bet.last_transaction_id <= upto and not bet.free_bet_id

    def open_archive(self, archive: Archive) -> Archive:
        """Make `archive` of the transaction being decided."""
        assert archive.id == self.next_transaction_id
        self.archive = archive
        self.made[Archive].append(archive.as_made())
        return archive

    def open_payout(self, payout: Payout) -> Payout:
        """Make `payout` of the transaction being decided."""
        assert payout.id == self.next_transaction_id
        self.payouts[payout.id] = payout
        self.made[Payout].append(payout.as_made())
        return payout

    def add_items(self, items: Sequence[Item]) -> None:
        """Note what winners get, of a payout that the transaction being decided makes or adds to."""
        self.new_items += items
        self.items.update(((item.payout_id, item.number), item) for item in items)

    def suspend(self, item: Suspended) -> None:
        """Note why an item could not be paid by the transaction being decided."""
        self.suspended[item.payout_id, item.number] = item
        self.made[Suspended].append(item.as_made())

    def change_account(self, account: Account) -> Account:
        """`account`, to be changed by the transaction being decided in more than its balance."""
        self._touch(account)
        self._changed.add(account.id)
        return account

    def set_aside(self, hold: Hold, account: Account) -> None:
        """Make `hold` of the transaction being decided, out of what is available in `account`."""
        assert hold.id == self.next_transaction_id
        self.change_account(account).held_minor += hold.amount_minor
        self.holds[hold.id] = hold
        self.made[Hold].append(hold.as_made())

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
        self._touch(account)
        minute = self.at_us // MINUTE_US
        account.refused_count = account.refused_count + 1 if account.refused_minute == minute else 1
        account.refused_minute = minute
        self.new_refusals.append(refusal)
        self.refusals[refusal.bet_id] = refusal

    def close(self) -> Changes:
        """What the batch does to each row, once all of it is decided. From then on the accounts, bets and
        holds are those of the next batch.
        """
        moved, accounts, limits = [], [], []
        for account in self.touched.values():
            if account.id in self._changed:
                accounts.append(account.as_changed())
            else:
                moved.append(account.as_moved())
            account.version += 1
            for limit in account.limits:
                if limit.is_changed:
                    limit.is_changed = False
                    limits.append(LimitRow(*msgspec.structs.astuple(limit)[:-1]))
        rows: dict[type, list[Row]] = defaultdict(list)
        for row in self._changing.values():
            rows[type(row)].append(row.as_changed())
        return Changes(moved, accounts, limits, rows)

    def _touch(self, account: Account) -> None:
        if account.id not in self.touched:
            account.opening_minor = account.balance_minor
            self.touched[account.id] = account


MINUTE_US = 60_000_000
