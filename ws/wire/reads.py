"""What only HTTP asks for: a wallet, its entries and its bets page by page, a block, the audit log. Pure.

These have the form of messages, so that both doors share what is checked, who may ask, and how that is
described.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from ws.wire.fields import PAGE, Id, Natural, PageSize, Reply, Request, Text, TransactionId, UserId
from ws.wire.messages import WalletEntry

BetStateName = Literal["confirmed", "won", "lost", "void", "cashed_out", "rolled_back"]


class WalletGet(Request, tag="wallet.get"):
    """`user_id`: for operators and auditors, who must say it."""

    id: Id
    user_id: UserId | None = None


class EntriesGet(Request, tag="wallet.entries"):
    """The entries after `after` (a `seq`; 0 unless told), oldest first; or those before `before`, newest
    first. `user_id`: as above."""

    id: Id
    after: Natural | None = None
    before: Natural | None = None
    limit: PageSize = PAGE
    user_id: UserId | None = None


class BetsGet(Request, tag="wallet.bets"):
    """Bets, newest first: those before `before` (a `seq`). `user_id`: as above."""

    id: Id
    before: Natural | None = None
    limit: PageSize = PAGE
    state: BetStateName | None = None
    user_id: UserId | None = None


class BlockGet(Request, tag="block.get"):
    """The header of a block and its signature."""

    id: Id
    block: TransactionId


class AuditLogGet(Request, tag="audit_log.get"):
    """Deeds, newest first: those before `before` (the `deed` of one). `actor`: only his, 0 at the command
    line; `action`: only of this type."""

    id: Id
    before: Natural | None = None
    limit: PageSize = PAGE
    actor: Natural | None = None
    action: Text | None = None


class WalletShown(Reply, tag="wallet"):
    """A wallet now. `seq`: its newest entry."""

    id: str
    user_id: int
    currency: str
    status: str
    balance: int
    held: int
    available: int
    seq: int


class Entries(Reply, tag="wallet.entries"):
    """A page of entries. `next`: what to ask `after`, or `before`, for the next one, null at the end. `gap`:
    entries between, or older ones, were archived."""

    id: str
    items: list[WalletEntry]
    next: str | None
    gap: bool


class BetShown(msgspec.Struct, gc=False):
    """A bet that was confirmed once. `seq`: of the entry that staked it; `payout`: all that was paid for it
    and not taken back."""

    bet_id: str
    state: str
    stake: int
    payout: int
    transaction_id: int
    seq: int
    at: int
    game: str | UnsetType = UNSET
    round: str | UnsetType = UNSET
    selection: str | UnsetType = UNSET
    odds_milli: int | UnsetType = UNSET


class Bets(Reply, tag="wallet.bets"):
    """A page of bets, which may hold fewer than were asked for, even none, before the end: a page looks
    through so many entries and no more. `next`: what to ask `before` for the next one, null at the end.
    `gap`: older ones were archived."""

    id: str
    items: list[BetShown]
    next: str | None
    gap: bool


class DeedShown(msgspec.Struct, gc=False):
    """What was asked on behalf of the house: see `engine.deeds.Deed`."""

    deed: int
    at: int
    actor: int
    role: str
    address: str
    door: str
    action: str
    subject: dict[str, Any]
    key: str | None
    outcome: str
    transaction_id: int | None
    name: str | None


class AuditLog(Reply, tag="audit_log"):
    """A page of the audit log. `next`: what to ask `before` for the next one, null at the end."""

    id: str
    items: list[DeedShown]
    next: str | None
