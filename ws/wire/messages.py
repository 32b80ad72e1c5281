"""The messages of `wallet.v1`, as types: they decode requests, encode replies and generate the
contracts. Names and bounds are PROTOCOL's.

Here are those that any role may send, and the sum of all requests. Beside it: what only operators may ask
for, and how that is answered (`operators.py`, `payouts.py`, `wallets.py`, `books.py`), limits, receipts, the
clock.
"""

from __future__ import annotations

from typing import Final, get_args

import msgspec
from msgspec import UNSET, UnsetType

from ws.wire.allowance import MESSAGES_PER_S
from ws.wire.archives import ArchiveBegin, ArchiveGet
from ws.wire.books import BookFloor
from ws.wire.checks import CheckBegin, CheckGet
from ws.wire.circuit import CircuitGet
from ws.wire.clock import ClockConfirm, ClockGet
from ws.wire.fields import (
    BetId,
    CurrencyCode,
    Id,
    Natural,
    Nonce,
    OddsMilli,
    Reply,
    Request,
    Stake,
    Text,
    Token,
    TransactionId,
    UserId,
)
from ws.wire.figures import FiguresFollow
from ws.wire.limits import LimitExclude, LimitGet, LimitSet
from ws.wire.operators import (
    BetCashout,
    BetRollback,
    BetSettle,
    BetUnsettle,
    HoldCapture,
    HoldRelease,
    WalletDeposit,
    WalletHold,
    WalletStatus,
    WalletTransfer,
    WalletWithdraw,
)
from ws.wire.payouts import (
    PayoutAdd,
    PayoutFollow,
    PayoutGet,
    PayoutList,
    PayoutMake,
    PayoutOpen,
    PayoutResolve,
    PayoutStart,
)
from ws.wire.players import PlayerFind
from ws.wire.receipts import HeadGet, ReceiptGet
from ws.wire.signers import KeysGet
from ws.wire.trails import TrailGet
from ws.wire.wallets import BonusGrant, FreeBetGrant, FreeBetRevoke, WalletList, WalletOpen


class Auth(Request, tag="auth"):
    """The first message of a client that cannot set headers: a browser."""

    token: Token
    id: Id | None = None


class BetPlace(Request, tag="bet.place"):
    id: Id
    bet_id: BetId
    stake: Stake
    nonce: Nonce
    sent_at: Natural
    currency: CurrencyCode | None = None
    game: Text | None = None
    round: Text | None = None
    selection: Text | None = None
    odds_milli: OddsMilli | None = None
    user_id: UserId | None = None
    free_bet_id: TransactionId | None = None


class BetGet(Request, tag="bet.get"):
    id: Id
    bet_id: BetId


class BalanceGet(Request, tag="balance.get"):
    id: Id


class Resume(Request, tag="resume"):
    id: Id
    from_seq: Natural


class Ping(Request, tag="ping"):
    id: Id


AnyRequest = (
    Auth
    | BetPlace
    | BetGet
    | BalanceGet
    | Resume
    | Ping
    | BetSettle
    | BetUnsettle
    | BetRollback
    | BetCashout
    | WalletDeposit
    | WalletWithdraw
    | WalletHold
    | WalletTransfer
    | WalletStatus
    | HoldCapture
    | HoldRelease
    | PayoutMake
    | PayoutOpen
    | PayoutAdd
    | PayoutStart
    | PayoutResolve
    | PayoutGet
    | PayoutFollow
    | LimitSet
    | LimitExclude
    | LimitGet
    | WalletOpen
    | WalletList
    | BonusGrant
    | FreeBetGrant
    | FreeBetRevoke
    | BookFloor
    | ArchiveBegin
    | ArchiveGet
    | ReceiptGet
    | HeadGet
    | ClockGet
    | ClockConfirm
    | CircuitGet
    | FiguresFollow
    | CheckBegin
    | CheckGet
    | PlayerFind
    | PayoutList
    | TrailGet
    | KeysGet
)
"""Every request. A `Move` that is missing here is refused as of unknown `type`."""

TYPES: Final[tuple[str, ...]] = tuple(str(each.__struct_config__.tag) for each in get_args(AnyRequest))
"""The `type` of each request, as clients write it."""


class Limits(msgspec.Struct, frozen=True):
    """The bounds that a client should know. Source: PROTOCOL, `welcome`."""

    frame_bytes: int = 262_144
    frame_messages: int = 1000
    in_flight: int = 1000
    nonce_window_ms: int = 90_000
    deadline_ms: int = 2000
    messages_per_s: int = MESSAGES_PER_S


class Welcome(Reply, tag="welcome"):
    user_id: int
    role: str
    server_time: int
    limits: Limits
    currency: str | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    seq: int | UnsetType = UNSET


class BetPending(Reply, tag="bet.pending"):
    id: str
    bet_id: str


class BetConfirmed(Reply, tag="bet.confirmed"):
    id: str
    bet_id: str
    stake: int
    transaction_id: int
    block: int
    seq: int
    balance: int
    held: int
    available: int
    replayed: bool
    bonus: int | UnsetType = UNSET
    """What of the stake this wallet has not paid: its bonus has, or the free bet."""


class BetRejected(Reply, tag="bet.rejected"):
    id: str
    bet_id: str
    code: str
    message: str
    retryable: bool
    replayed: bool
    balance: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET


class Error(Reply, tag="error"):
    id: str | None
    code: str
    message: str
    retryable: bool
    retry_after_ms: int | UnsetType = UNSET


class BetState(Reply, tag="bet.state"):
    id: str
    bet_id: str
    state: str
    stake: int
    payout: int
    transaction_id: int | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    code: str | UnsetType = UNSET


class Balance(Reply, tag="balance"):
    id: str
    currency: str
    balance: int
    held: int
    available: int
    seq: int


class WalletEntry(Reply, tag="wallet.entry"):
    seq: int
    prev_seq: int
    transaction_id: int
    kind: str
    amount: int
    balance: int
    at: int
    bet_id: str | UnsetType = UNSET


class Resumed(Reply, tag="resumed"):
    id: str
    seq: int
    more: bool
    gap: bool


class Pong(Reply, tag="pong"):
    id: str
    server_time: int
