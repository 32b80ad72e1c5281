"""The accounts, bets and keys that a batch touches, and how an entry changes them.

A `View` is the working copy of one batch: it begins as the batch before it ends, is changed by `decide` in
arrival order, then written by the store in one transaction. It knows no SQL.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from engine.commands import BET_SCOPE
from engine.records import (
    Account,
    Bet,
    BetChange,
    Change,
    Entry,
    Head,
    Hold,
    HoldChange,
    Item,
    LimitRow,
    LiveBet,
    Payout,
    PayoutChange,
    Refusal,
    Suspended,
    SuspendedChange,
    Transaction,
    new_entry,
)


class Changes(NamedTuple):
    """What a batch does to rows that were there before it, or that it has made."""

    accounts: list[Change]
    bets: list[BetChange]
    holds: list[HoldChange]
    payouts: list[PayoutChange]
    suspended: list[SuspendedChange]
    limits: list[LimitRow]


class View:
    """What a batch may look at, and what it has changed so far.

    `accounts` holds each account named by a command, by a bet or by a hold, and the books of each currency in
    play; the others hold those of the batch's keys, bets and holds that are known already.
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
    ) -> None:
        self.head = head
        self.block_id = head.block_id + 1
        # Block time never runs back, whatever the wall clock does.
        self.at_us = max(head.at_us, now_us)
        self.accounts = accounts
        self.books = books
        self.transactions = transactions
        self.refusals = refusals
        self.bets = bets
        self.holds = holds
        self.payouts = payouts
        self.items = items
        self.suspended = suspended
        self.new_transactions: list[Transaction] = []
        self.new_entries: list[Entry] = []
        self.new_bets: list[Bet] = []
        self.new_refusals: list[Refusal] = []
        self.new_holds: list[Hold] = []
        self.new_accounts: list[Account] = []
        self.new_payouts: list[Payout] = []
        self.new_items: list[Item] = []
        self.new_suspended: list[Suspended] = []
        self.touched: dict[int, Account] = {}
        self._touched_bets: dict[str, LiveBet] = {}
        self._touched_holds: dict[int, Hold] = {}
        self._touched_payouts: dict[int, Payout] = {}
        self._touched_suspended: dict[tuple[int, int], Suspended] = {}
        self._last_entry_id = head.last_entry_id
        self.next_transaction_id = head.last_transaction_id + 1

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.touched or self.new_transactions)

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
                known = LiveBet(bet_id, placing.id, bet.user_id, bet.currency, bet.stake_minor)
                self.bets[bet_id] = known
        return known

    def change_bet(self, bet: LiveBet) -> LiveBet:
        """`bet`, to be changed by the transaction being decided."""
        if bet.bet_id not in self._touched_bets:
            bet.opening_transaction_id = bet.last_transaction_id
            self._touched_bets[bet.bet_id] = bet
        bet.last_transaction_id = self.next_transaction_id
        bet.last_block_id = self.block_id
        return bet

    def change_hold(self, hold: Hold) -> Hold:
        """`hold`, to be changed by the transaction being decided."""
        if hold.id not in self._touched_holds:
            hold.opening_transaction_id = hold.last_transaction_id
            self._touched_holds[hold.id] = hold
        hold.last_transaction_id = self.next_transaction_id
        return hold

    def change_payout(self, payout: Payout) -> Payout:
        """`payout`, to be changed by the transaction being decided."""
        if payout.id not in self._touched_payouts:
            payout.opening_transaction_id = payout.last_transaction_id
            self._touched_payouts[payout.id] = payout
        payout.last_transaction_id = self.next_transaction_id
        return payout

    def change_suspended(self, item: Suspended) -> Suspended:
        """`item`, to be changed by the transaction being decided."""
        where = item.payout_id, item.number
        if where not in self._touched_suspended:
            item.opening_transaction_id = item.last_transaction_id
            self._touched_suspended[where] = item
        item.last_transaction_id = self.next_transaction_id
        return item

    def open_account(self, account: Account) -> Account:
        """Make `account`, which is empty, in this batch."""
        self.accounts[account.id] = account
        self.new_accounts.append(account)
        return account

    def open_payout(self, payout: Payout) -> Payout:
        """Make `payout` of the transaction being decided."""
        assert payout.id == self.next_transaction_id
        self.payouts[payout.id] = payout
        self.new_payouts.append(payout)
        return payout

    def add_items(self, items: Sequence[Item]) -> None:
        """Note what winners get, of a payout that the transaction being decided makes or adds to."""
        self.new_items += items
        self.items.update(((item.payout_id, item.number), item) for item in items)

    def suspend(self, item: Suspended) -> None:
        """Note why an item could not be paid by the transaction being decided."""
        self.suspended[item.payout_id, item.number] = item
        self.new_suspended.append(item)

    def change_account(self, account: Account) -> Account:
        """`account`, to be changed by the transaction being decided."""
        if account.id not in self.touched:
            account.opening_minor = account.balance_minor
            self.touched[account.id] = account
        return account

    def set_aside(self, hold: Hold, account: Account) -> None:
        """Make `hold` of the transaction being decided, out of what is available in `account`."""
        assert hold.id == self.next_transaction_id
        self.change_account(account).held_minor += hold.amount_minor
        self.holds[hold.id] = hold
        self.new_holds.append(hold)

    def post(self, account: Account, amount_minor: int, ref_type: str, ref_id: str) -> Entry:
        """Add one entry of the transaction being decided, and change its holder's balance."""
        user_id = account.id
        if user_id not in self.touched:
            self.change_account(account)
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
        self.change_account(account)
        minute = self.at_us // MINUTE_US
        account.refused_count = account.refused_count + 1 if account.refused_minute == minute else 1
        account.refused_minute = minute
        self.new_refusals.append(refusal)
        self.refusals[refusal.bet_id] = refusal

    def close(self) -> Changes:
        """What the batch does to each row, once all of it is decided. From then on the accounts, bets and
        holds are those of the next batch.
        """
        accounts = []
        limits = []
        for account in self.touched.values():
            accounts.append(
                Change(
                    account.balance_minor - account.opening_minor,
                    account.last_entry_id,
                    account.held_minor,
                    account.owed_minor,
                    account.status,
                    account.is_limited,
                    account.refused_minute,
                    account.refused_count,
                    account.id,
                    account.version,
                )
            )
            account.version += 1
            for limit in account.limits:
                if limit.is_changed:
                    limit.is_changed = False
                    limits.append(LimitRow(*msgspec.structs.astuple(limit)[:-1]))
        bets = [
            BetChange(
                bet.state,
                bet.payout_minor,
                bet.settled_minor,
                bet.cashed_stake_minor,
                bet.last_transaction_id,
                bet.transaction_id,
                bet.opening_transaction_id,
            )
            for bet in self._touched_bets.values()
        ]
        holds = [
            HoldChange(
                hold.state, hold.left_minor, hold.last_transaction_id, hold.id, hold.opening_transaction_id
            )
            for hold in self._touched_holds.values()
        ]
        payouts = [
            PayoutChange(
                payout.state,
                payout.items,
                payout.total_minor,
                payout.done,
                payout.suspended,
                payout.last_transaction_id,
                payout.id,
                payout.opening_transaction_id,
            )
            for payout in self._touched_payouts.values()
        ]
        suspended = [
            SuspendedChange(
                item.state, item.last_transaction_id, item.payout_id, item.number, item.opening_transaction_id
            )
            for item in self._touched_suspended.values()
        ]
        return Changes(accounts, bets, holds, payouts, suspended, limits)


MINUTE_US = 60_000_000
