"""The routes of HTTP `/v1`: one table, which the server, the contracts and the tests are made from. Pure.

A route is a message of the wire in another form. Each field of the message comes from one place: the path
where the path names it, else the query of a GET, else the JSON body; the `key` of what moves money from the
header `Idempotency-Key` or the body. Nothing about a route is said anywhere else. `docs/http.md` describes
them for people. The routes of identity are in `ws/people/routes.py` and `staff_routes.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from ws.wire.archives import Archive, ArchiveBegin, ArchiveGet
from ws.wire.books import BookChanged, BookFloor
from ws.wire.checks import CheckBegin, CheckGet, CheckShown
from ws.wire.circuit import CircuitGet, CircuitShown
from ws.wire.clock import ClockConfirm, ClockGet, ClockShown
from ws.wire.fields import Reply, Request
from ws.wire.limits import LimitChanged, LimitExclude, LimitGet, Limits, LimitSet
from ws.wire.messages import BetConfirmed, BetGet, BetPlace, BetState
from ws.wire.operators import (
    BetCashedOut,
    BetCashout,
    BetRollback,
    BetRolledBack,
    BetSettle,
    BetSettled,
    BetUnsettle,
    BetUnsettled,
    HoldCapture,
    HoldRelease,
    Move,
    WalletDeposit,
    WalletHold,
    WalletMoved,
    WalletStatus,
    WalletTransfer,
    WalletWithdraw,
)
from ws.wire.payouts import (
    Payout,
    PayoutAdd,
    PayoutGet,
    PayoutList,
    PayoutMake,
    PayoutOpen,
    PayoutResolve,
    Payouts,
    PayoutStart,
)
from ws.wire.players import PlayerFind, Players
from ws.wire.reads import (
    AuditLog,
    AuditLogGet,
    Bets,
    BetsGet,
    BlockGet,
    Entries,
    EntriesGet,
    WalletGet,
    WalletShown,
)
from ws.wire.receipts import HeadGet, HeadShown, ReceiptGet, ReceiptShown
from ws.wire.signers import Keys, KeysGet
from ws.wire.trails import Trail, TrailGet
from ws.wire.wallets import (
    BonusGrant,
    BonusGranted,
    FreeBetChanged,
    FreeBetGrant,
    FreeBetRevoke,
    WalletList,
    WalletOpen,
    WalletOpened,
    Wallets,
)

OF_A_BET: Final = ("bet_id", "replayed", "balance", "held", "available")
"""What a `bet.rejected` tells beside its code."""

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

NOT_SENT: Final = frozenset({"type", "id"})
"""What a message has on the socket only: over HTTP the path says what it is, and the answer is the reply."""


class Where(Enum):
    """Where a field of a request comes from."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    KEY = "key"
    """The header `Idempotency-Key`, or the field `key` of the body: one of them, or both alike."""


class Field(NamedTuple):
    """A field of a request over HTTP. `kind`: its type, as `msgspec` knows it."""

    name: str
    where: Where
    is_required: bool
    kind: Any


class Route(NamedTuple):
    """What one method of one path does."""

    method: str
    path: str
    summary: str
    request: type[Request]
    """The message that it becomes; its `type` is the name of the route, also in `roles.RULES`."""
    reply: type[Reply]
    """What comes back when it was done: this, as a JSON object without `id`."""
    may_lack: frozenset[str] = frozenset()
    """Fields that the message needs, and that the server fills in where they are left out."""

    @property
    def name(self) -> str:
        """As `roles.RULES` and the contracts name it."""
        return str(self.request.__struct_config__.tag)

    @property
    def moves_money(self) -> bool:
        """Whether it is a command, done at most once under its key: 201 when it is done, 200 when it was
        done before."""
        return issubclass(self.request, Move) or self.request is BetPlace

    @property
    def needs_key(self) -> bool:
        """Whether the header `Idempotency-Key`, or `key` in the body, must be there."""
        return issubclass(self.request, Move)

    @property
    def has_body(self) -> bool:
        """Whether a JSON object is read. It may be left out where no field of it is required."""
        return self.method in ("POST", "PUT")

    def fields(self) -> Iterator[Field]:
        """Where each field of the request comes from."""
        in_path = frozenset(re.findall(r"{(\w+)}", self.path))
        for field in msgspec.structs.fields(self.request):
            if field.name in NOT_SENT:
                continue
            if field.name in in_path:
                where = Where.PATH
            elif field.name == "key":
                where = Where.KEY
            else:
                where = Where.BODY if self.has_body else Where.QUERY
            is_required = where is Where.PATH or (field.required and field.name not in self.may_lack)
            yield Field(field.name, where, is_required, field.type)


ROUTES: Final = (
    Route("GET", "/v1/wallet", "a wallet now", WalletGet, WalletShown),
    Route("GET", "/v1/wallet/entries", "its ledger entries, from either end", EntriesGet, Entries),
    Route("GET", "/v1/wallet/bets", "its bets, newest first", BetsGet, Bets),
    Route(
        "POST",
        "/v1/bets",
        "place a bet",
        BetPlace,
        BetConfirmed,
        may_lack=frozenset({"bet_id", "nonce", "sent_at"}),
    ),
    Route("GET", "/v1/bets/{bet_id}", "what has become of a bet", BetGet, BetState),
    Route("GET", "/v1/bets/{bet_id}/trail", "its way through the ledger", TrailGet, Trail),
    Route("POST", "/v1/bets/{bet_id}/settle", "end a bet, and pay", BetSettle, BetSettled),
    Route("POST", "/v1/bets/{bet_id}/unsettle", "take a settlement back", BetUnsettle, BetUnsettled),
    Route("POST", "/v1/bets/{bet_id}/rollback", "as if the bet had never been", BetRollback, BetRolledBack),
    Route("POST", "/v1/bets/{bet_id}/cashout", "pay for a part of its stake", BetCashout, BetCashedOut),
    Route("POST", "/v1/deposits", "money in", WalletDeposit, WalletMoved),
    Route("POST", "/v1/withdrawals", "money out", WalletWithdraw, WalletMoved),
    Route("POST", "/v1/transfers", "money across", WalletTransfer, WalletMoved),
    Route("POST", "/v1/holds", "set money aside", WalletHold, WalletMoved),
    Route("POST", "/v1/holds/{hold_id}/capture", "take what is set aside", HoldCapture, WalletMoved),
    Route("POST", "/v1/holds/{hold_id}/release", "give it back", HoldRelease, WalletMoved),
    Route("POST", "/v1/payouts", "pay up to 100 winners at once", PayoutMake, Payout),
    Route("GET", "/v1/payouts", "all payouts, newest first", PayoutList, Payouts),
    Route("POST", "/v1/payouts/open", "begin to collect the items of a payout", PayoutOpen, Payout),
    Route("GET", "/v1/payouts/{payout_id}", "how far a payout is", PayoutGet, Payout),
    Route("POST", "/v1/payouts/{payout_id}/items", "add items to it", PayoutAdd, Payout),
    Route("POST", "/v1/payouts/{payout_id}/start", "have it paid", PayoutStart, Payout),
    Route(
        "POST",
        "/v1/payouts/{payout_id}/items/{number}",
        "pay an item in suspense, or give it back",
        PayoutResolve,
        Payout,
    ),
    Route("GET", "/v1/receipts/{transaction_id}", "the receipt of a transaction", ReceiptGet, ReceiptShown),
    Route("GET", "/v1/blocks/head", "the newest block, signed", HeadGet, HeadShown),
    Route("GET", "/v1/blocks/{block}", "a block, signed", BlockGet, HeadShown),
    Route("GET", "/v1/keys", "the keys that have signed blocks, newest first", KeysGet, Keys),
    Route("GET", "/v1/limits", "the limits of a wallet", LimitGet, Limits),
    Route("PUT", "/v1/limits", "set a limit", LimitSet, LimitChanged),
    Route("POST", "/v1/limits/exclude", "keep a player out until a time", LimitExclude, LimitChanged),
    Route("GET", "/v1/wallets", "all wallets of a person, and free bets", WalletList, Wallets),
    Route("POST", "/v1/wallets", "open a wallet", WalletOpen, WalletOpened),
    Route("PUT", "/v1/wallets/{user_id}/status", "open, block or close a wallet", WalletStatus, WalletMoved),
    Route("POST", "/v1/bonuses", "give bonus money", BonusGrant, BonusGranted),
    Route("POST", "/v1/free-bets", "give a free bet", FreeBetGrant, FreeBetChanged),
    Route("POST", "/v1/free-bets/{free_bet_id}/revoke", "take it back", FreeBetRevoke, FreeBetChanged),
    Route("GET", "/v1/players", "look for a player", PlayerFind, Players),
    Route("PUT", "/v1/books/{user_id}/floor", "how far below zero a book may go", BookFloor, BookChanged),
    Route("GET", "/v1/audit-log", "what was done on behalf of the house", AuditLogGet, AuditLog),
    Route("POST", "/v1/archives", "begin to archive what is older", ArchiveBegin, Archive),
    Route("GET", "/v1/archives", "where an archive stands", ArchiveGet, Archive),
    Route("GET", "/v1/clock", "whether the time of the books follows the wall clock", ClockGet, ClockShown),
    Route("POST", "/v1/clock/confirm", "the wall clock is right", ClockConfirm, ClockShown),
    Route("POST", "/v1/checks/{check}", "check the books beside the bets", CheckBegin, CheckShown),
    Route("GET", "/v1/checks/{check}", "how far that is, or what it has found", CheckGet, CheckShown),
    Route("GET", "/v1/circuit", "whether bets are taken", CircuitGet, CircuitShown),
)
"""All routes but those of identity. The first that matches serves: `head` comes before `{block}`."""

ONLY_ON_THE_SOCKET: Final = frozenset(
    {"auth", "ping", "balance.get", "resume", "payout.follow", "figures.follow"}
)
"""Messages without a route: what a socket needs, what is pushed, and what `wallet.get` and
`wallet.entries` tell."""
