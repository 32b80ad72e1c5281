"""The accounts and the head of the chain as the batches decided so far leave them, committed or under way.

The only writer knows what it has written, so it need not read it again, and need not wait for COMMIT before
the next batch is decided. All of it rests on the batches under way: if one of them fails, or another
connection has changed the file, everything is forgotten, read anew and decided anew (docs/adr/0006).
Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from engine.blocks import Block, head_after
from engine.commands import Touched
from engine.now import Now, sure
from engine.records import Account, Head, Item, Refusal, Transaction
from engine.subjects import Archive, FreeBet, Hold, LiveBet, Payout, Suspended
from engine.view import NOWHERE, Boundary, View

ACCOUNTS_MAX: Final = 200_000
"""Accounts that are kept, at about 300 bytes; beyond it they are all forgotten, and read as they come."""

Books = dict[tuple[str, str], int]
"""The ids of the house's own books by (kind, currency)."""


class Found(NamedTuple):
    """What the file says of what a batch touches, and of accounts that were asked for. `head`, and
    `last_user_id` with it, is None if it was not; `archive`, the newest one, likewise, or if there is none.
    """

    accounts: list[Account]
    transactions: list[Transaction]
    refusals: list[Refusal]
    bets: list[LiveBet]
    holds: list[Hold]
    payouts: list[Payout]
    items: list[Item]
    suspended: list[Suspended]
    free_bets: list[FreeBet]
    head: Head | None
    last_user_id: int | None
    archive: Archive | None = None
    archived: frozenset[tuple[str, str]] = frozenset()
    boundaries: Mapping[int, Boundary] = NOWHERE


class Turn(NamedTuple):
    """When a decided batch may be written, or told: in this epoch, when so many batches are written."""

    epoch: int
    batches: int


class Warm:
    """What is known without reading. One batch after another is decided on it, and written in that order."""

    def __init__(self) -> None:
        self.epoch = 0
        """Grows whenever all is forgotten: whatever was decided before is void."""
        self._written = 0  # batches, in this epoch
        self._accounts: dict[int, Account] = {}
        self._head: Head | None = None
        self._last_user_id = 0  # as of the head
        self._archive: Archive | None = None  # likewise
        self._under_way: deque[View] = deque()

    @property
    def is_cold(self) -> bool:
        """Whether nothing is known: the head has to be read, and behind the batch that is being written."""
        return self._head is None

    def under_way(self) -> Sequence[View]:
        """Views that are decided and not known to be committed, oldest first."""
        return tuple(self._under_way)

    def missing(self, user_ids: Iterable[int]) -> list[int]:
        """Of `user_ids`, the accounts that have to be read."""
        if len(self._accounts) > ACCOUNTS_MAX and not self._under_way:
            self._accounts.clear()
        return [user_id for user_id in user_ids if user_id not in self._accounts]

    def view(
        self,
        touched: Touched,
        found: Found,
        under_way: Sequence[View],
        books: Books,
        now: Now | int,
    ) -> View:
        """The view of the next batch. `under_way`: as it was before `found` was read, since what they write
        may or may not have been in the file by then.
        """
        keys = touched.keys
        _, at_us, unsure_since_us = sure(now)
        for account in found.accounts:
            self._accounts.setdefault(account.id, account)
        if self._head is None:
            self._head = found.head
            self._last_user_id = found.last_user_id or 0
            self._archive = found.archive
        assert self._head is not None
        transactions = {(each.scope, each.key): each for each in found.transactions}
        refusals = {each.bet_id: each for each in found.refusals}
        bets = {each.bet_id: each for each in found.bets}
        holds = {each.id: each for each in found.holds}
        payouts = {each.id: each for each in found.payouts}
        items = {(each.payout_id, each.number): each for each in found.items}
        suspended = {(each.payout_id, each.number): each for each in found.suspended}
        free_bets = {each.id: each for each in found.free_bets}
        for view in under_way:
            if not view.transactions.keys().isdisjoint(keys):
                transactions |= {key: view.transactions[key] for key in keys if key in view.transactions}
            if view.refusals:
                refusals |= {key: view.refusals[key] for _, key in keys if key in view.refusals}
            bets |= {bet_id: bet for bet_id in touched.bet_ids if (bet := view.bet(bet_id)) is not None}
            if view.holds:
                holds |= {id_: view.holds[id_] for id_ in touched.hold_ids if id_ in view.holds}
            if view.payouts:
                payouts |= {id_: view.payouts[id_] for id_ in touched.payout_ids if id_ in view.payouts}
                items |= {(each.payout_id, each.number): each for each in view.new_items}
                suspended |= view.suspended
            free_bets |= view.free_bets
        return View(
            head=self._head,
            now_us=at_us,
            unsure_since_us=unsure_since_us,
            accounts=self._accounts,
            books=books,
            transactions=transactions,
            refusals=refusals,
            bets=bets,
            holds=holds,
            payouts=payouts,
            items=items,
            suspended=suspended,
            free_bets=free_bets,
            last_user_id=self._last_user_id,
            archive=self._archive,
            archived=found.archived,
            boundaries=found.boundaries,
        )

    def decided(self, view: View, block: Block | None) -> None:
        """`view` has changed something and will be written; the next one begins where it ends."""
        self._under_way.append(view)
        self._last_user_id = view.last_user_id
        self._archive = view.archive
        if block is not None:
            assert self._head is not None, "something was decided on it"
            self._head = head_after(self._head, block)

    def next_turn(self) -> Turn:
        """The turn of the batch that is to be decided next: behind all that are under way."""
        return Turn(self.epoch, self._written + len(self._under_way))

    def written(self, turn: Turn) -> None:
        """The batch of this turn, which had come, is committed."""
        if turn.epoch == self.epoch:
            self._under_way.popleft()
            self._written += 1

    def void(self, turn: Turn) -> None:
        """The batch of this turn was not written, or nobody knows: nor is what was decided on it true."""
        if turn.epoch == self.epoch:
            self.forget()

    def forget(self) -> None:
        """What was decided may not be written, or the file has changed: know nothing."""
        self.epoch += 1
        self._written = 0
        # A new dict: a view that is void must not share accounts with those to come.
        self._accounts = {}
        self._head = None
        self._under_way.clear()
