"""Mass payouts over the socket: the messages, the commands that they become, the replies. Pure.

payout.make                                  up to 100 winners at once
payout.open, payout.add …, payout.start      any number of them, paid in the background
payout.get, payout.follow                    how far it is, now and from now on
payout.list                                  all of them, newest first
payout.resolve                               an item in suspense, tried again or given back
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine import lifecycle
from engine.commands import (
    CHUNK_ITEMS,
    AddPayoutItems,
    Keyed,
    OpenPayout,
    Pay,
    PayoutItem,
    ResolveItem,
    StartPayout,
)
from engine.outcomes import Accepted, PayoutTold
from engine.snapshots import PayoutState
from ws.wire.fields import (
    PAGE,
    Amount,
    CurrencyCode,
    Id,
    Natural,
    PageSize,
    Reply,
    Request,
    TransactionId,
    UserId,
)
from ws.wire.operators import Move

ADDED_AT_ONCE = 1000
"""Items of one `payout.add`, about 40 KB: a batch that has a few of them is still written in milliseconds."""


class PayoutWinner(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What one winner gets."""

    user_id: UserId
    amount: Amount


class PayoutMake(Move, tag="payout.make"):
    currency: CurrencyCode
    items: Annotated[list[PayoutWinner], Meta(min_length=1, max_length=CHUNK_ITEMS)]

    def to_command(self, caller: str) -> Keyed:
        return Pay(self.currency, _items(self.items), key=self.key, caller=caller)


class PayoutOpen(Move, tag="payout.open"):
    currency: CurrencyCode

    def to_command(self, caller: str) -> Keyed:
        return OpenPayout(self.currency, key=self.key, caller=caller)


class PayoutAdd(Move, tag="payout.add"):
    payout_id: TransactionId
    first: Natural
    items: Annotated[list[PayoutWinner], Meta(min_length=1, max_length=ADDED_AT_ONCE)]

    def to_command(self, caller: str) -> Keyed:
        return AddPayoutItems(self.payout_id, self.first, _items(self.items), key=self.key, caller=caller)


class PayoutStart(Move, tag="payout.start"):
    payout_id: TransactionId
    items: Amount
    total: Amount

    def to_command(self, caller: str) -> Keyed:
        return StartPayout(self.payout_id, self.items, self.total, key=self.key, caller=caller)


class PayoutResolve(Move, tag="payout.resolve"):
    payout_id: TransactionId
    number: Natural
    returns: bool = False

    def to_command(self, caller: str) -> Keyed:
        return ResolveItem(self.payout_id, self.number, self.returns, key=self.key, caller=caller)


class PayoutGet(Request, tag="payout.get"):
    id: Id
    payout_id: TransactionId
    suspended_from: Natural = 0


class PayoutFollow(Request, tag="payout.follow"):
    id: Id
    payout_id: TransactionId


class PayoutList(Request, tag="payout.list"):
    """Payouts, newest first: those before `before` (a `payout_id`)."""

    id: Id
    limit: PageSize = PAGE
    before: Natural | None = None


class SuspendedItem(msgspec.Struct, gc=False):
    """An item that could not be paid when its turn came. `state`: suspended, paid or returned."""

    number: int
    user_id: int
    amount: int
    reason: str
    state: str


class Payout(Reply, tag="payout"):
    """Where a payout stands: `done` of its `items` were paid, or are in suspense, as `suspended` of them
    are now."""

    id: str
    payout_id: int
    state: str
    items: int
    total: int
    done: int
    suspended: int
    transaction_id: int | UnsetType = UNSET
    block: int | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    in_suspense: list[SuspendedItem] | UnsetType = UNSET


class PayoutListed(msgspec.Struct, gc=False):
    """A payout in a list: as in `payout`, without the items in suspense."""

    payout_id: int
    state: str
    items: int
    total: int
    done: int
    suspended: int
    currency: str
    opened_at: int


class Payouts(Reply, tag="payouts"):
    """A page of payouts. `next`: what to ask `before` for the next one, null at the end."""

    id: str
    items: list[PayoutListed]
    next: str | None


class PayoutProgress(Reply, tag="payout.progress"):
    """Pushed to those who follow a payout, with each change."""

    payout_id: int
    state: str
    items: int
    total: int
    done: int
    suspended: int


def payout_moved(request_id: str, accepted: Accepted, told: PayoutTold) -> Payout:
    """What a command has made of a payout."""
    return Payout(
        request_id,
        told.id,
        told.state,
        told.items,
        told.total_minor,
        told.done,
        told.suspended,
        accepted.transaction_id,
        accepted.block_id,
        accepted.replayed,
    )


def payout_shown(request_id: str, payout: PayoutState) -> Payout:
    """A payout as it was read."""
    return Payout(
        request_id,
        payout.id,
        payout.state,
        payout.items,
        payout.total_minor,
        payout.done,
        payout.suspended,
        in_suspense=[
            SuspendedItem(each.number, each.user_id, each.amount_minor, each.reason, each.state)
            for each in payout.in_suspense
        ],
    )


def is_over(state: str, suspended: int) -> bool:
    """Whether nothing becomes of such a payout any more: all of it was paid or given back."""
    return state == lifecycle.PayoutState.PAID and not suspended


def progress(told: PayoutTold) -> PayoutProgress:
    """The push that tells how far a payout is."""
    return PayoutProgress(told.id, told.state, told.items, told.total_minor, told.done, told.suspended)


def _items(winners: list[PayoutWinner]) -> tuple[PayoutItem, ...]:
    return tuple(PayoutItem(winner.user_id, winner.amount) for winner in winners)
