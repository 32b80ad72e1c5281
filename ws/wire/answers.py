"""Which replies each request may get, and which codes. Pure.

The contracts are made of this, and the tests hold every answer that they hear on a socket against it. Source:
the tables of docs/protocol.md and docs/wire.md.
"""

from __future__ import annotations

from typing import Final

from engine.outcomes import Code
from ws.wire.archives import Archive, ArchiveBegin, ArchiveGet
from ws.wire.books import BookChanged, BookFloor
from ws.wire.checks import CheckBegin, CheckGet, CheckShown
from ws.wire.circuit import CircuitGet, CircuitShown
from ws.wire.clock import ClockConfirm, ClockGet, ClockShown
from ws.wire.fields import Reply, Request
from ws.wire.figures import Figures, FiguresFollow
from ws.wire.limits import LimitChanged, LimitExclude, LimitGet, Limits, LimitSet
from ws.wire.messages import (
    Auth,
    Balance,
    BalanceGet,
    BetConfirmed,
    BetGet,
    BetPending,
    BetPlace,
    BetRejected,
    BetState,
    Error,
    Ping,
    Pong,
    Resume,
    Resumed,
    WalletEntry,
    Welcome,
)
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
    PayoutFollow,
    PayoutGet,
    PayoutList,
    PayoutMake,
    PayoutOpen,
    PayoutProgress,
    PayoutResolve,
    Payouts,
    PayoutStart,
)
from ws.wire.players import PlayerFind, Players
from ws.wire.reads import AuditLogGet, BetsGet, BlockGet, EntriesGet, WalletGet
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

REPLIES_OF: Final[dict[type[Request], tuple[type[Reply], ...]]] = {
    Auth: (Welcome,),
    BetPlace: (BetPending, BetConfirmed, BetRejected),
    BetGet: (BetState,),
    BalanceGet: (Balance,),
    Resume: (WalletEntry, Resumed),
    Ping: (Pong,),
    BetSettle: (BetSettled,),
    BetUnsettle: (BetUnsettled,),
    BetRollback: (BetRolledBack,),
    BetCashout: (BetCashedOut,),
    WalletDeposit: (WalletMoved,),
    WalletWithdraw: (WalletMoved,),
    WalletHold: (WalletMoved,),
    WalletTransfer: (WalletMoved,),
    WalletStatus: (WalletMoved,),
    HoldCapture: (WalletMoved,),
    HoldRelease: (WalletMoved,),
    PayoutMake: (Payout,),
    PayoutOpen: (Payout,),
    PayoutAdd: (Payout,),
    PayoutStart: (Payout,),
    PayoutResolve: (Payout,),
    PayoutGet: (Payout,),
    PayoutFollow: (Payout,),
    LimitSet: (LimitChanged,),
    LimitExclude: (LimitChanged,),
    LimitGet: (Limits,),
    WalletOpen: (WalletOpened,),
    WalletList: (Wallets,),
    BonusGrant: (BonusGranted,),
    FreeBetGrant: (FreeBetChanged,),
    FreeBetRevoke: (FreeBetChanged,),
    BookFloor: (BookChanged,),
    ArchiveBegin: (Archive,),
    ArchiveGet: (Archive,),
    ReceiptGet: (ReceiptShown,),
    HeadGet: (HeadShown,),
    ClockGet: (ClockShown,),
    ClockConfirm: (ClockShown,),
    CircuitGet: (CircuitShown,),
    FiguresFollow: (Figures,),
    CheckBegin: (CheckShown,),
    CheckGet: (CheckShown,),
    PlayerFind: (Players,),
    PayoutList: (Payouts,),
    TrailGet: (Trail,),
    KeysGet: (Keys,),
}
"""In the order in which they come. Beside these, each may be answered by `Error`."""

PUSHES: Final[tuple[type[Reply], ...]] = (
    Welcome,
    WalletEntry,
    PayoutProgress,
    Figures,
    CheckShown,
    Error,
)
"""What comes unasked: `Welcome` where the handshake brought the token, `Error` (`id`: null) where a message
had no `id` that could be read."""

REPLIES: Final[tuple[type[Reply], ...]] = tuple(
    dict.fromkeys([*(reply for replies in REPLIES_OF.values() for reply in replies), *PUSHES])
)
"""Every message of the server's, each once."""

AT_THE_DOOR: Final = frozenset(
    {Code.INVALID_REQUEST, Code.UNAUTHORIZED, Code.FORBIDDEN, Code.RATE_LIMITED, Code.INTERNAL}
)
"""Codes that any request may be answered with."""

OF_COMMANDS: Final = frozenset(
    {Code.IDEMPOTENCY_CONFLICT, Code.OUTCOME_UNKNOWN, Code.CIRCUIT_OPEN, Code.OVERLOADED, Code.TIMED_OUT}
)
"""Codes that any request may hear that moves money, or anything else, under a key."""

OF_LOOKS: Final = frozenset({Code.NOT_FOUND, Code.TIMED_OUT})
"""Codes that any request may hear that reads the books: what is asked for may be in an archive that is
missing."""

_WRITTEN_FIRST: Final = frozenset({Code.OUTCOME_UNKNOWN, Code.CIRCUIT_OPEN, Code.OVERLOADED})
"""What is no command and a deed, which has to be in the audit log before it is done."""

_SHUT: Final = frozenset({Code.ACCOUNT_NOT_FOUND, Code.ACCOUNT_BLOCKED})
_BET_IS_OVER: Final = frozenset({Code.BET_ROLLED_BACK, Code.BET_CLOSED})
_NO_ROOM: Final = frozenset({Code.LIMIT_EXCEEDED, Code.INSUFFICIENT_FUNDS})

REFUSALS_OF: Final[dict[type[Request], frozenset[Code]]] = {
    BetPlace: frozenset({Code.STALE_REQUEST, Code.NONCE_REUSED, Code.CURRENCY_MISMATCH})
    | _SHUT
    | _BET_IS_OVER
    | _NO_ROOM,
    BetSettle: frozenset({Code.NOT_FOUND, Code.ACCOUNT_BLOCKED}) | _BET_IS_OVER | _NO_ROOM,
    BetUnsettle: frozenset({Code.NOT_FOUND, Code.INSUFFICIENT_FUNDS}) | _BET_IS_OVER,
    BetRollback: frozenset(
        {Code.NOT_FOUND, Code.ACCOUNT_BLOCKED, Code.CURRENCY_MISMATCH, Code.BET_CLOSED, *_NO_ROOM}
    ),
    BetCashout: frozenset({Code.NOT_FOUND, Code.ACCOUNT_BLOCKED}) | _BET_IS_OVER | _NO_ROOM,
    WalletDeposit: _SHUT | _NO_ROOM,
    WalletWithdraw: _SHUT | {Code.INSUFFICIENT_FUNDS},
    WalletTransfer: _SHUT | {Code.CURRENCY_MISMATCH} | _NO_ROOM,
    WalletStatus: frozenset({Code.ACCOUNT_NOT_FOUND, Code.LIMIT_EXCEEDED}),
    WalletHold: _SHUT | {Code.INSUFFICIENT_FUNDS},
    HoldCapture: frozenset({Code.NOT_FOUND, Code.HOLD_CLOSED, Code.INSUFFICIENT_FUNDS}),
    HoldRelease: frozenset({Code.NOT_FOUND, Code.HOLD_CLOSED}),
    PayoutMake: frozenset({Code.CURRENCY_MISMATCH}) | _NO_ROOM,
    PayoutOpen: frozenset({Code.CURRENCY_MISMATCH}),
    PayoutAdd: frozenset({Code.NOT_FOUND, Code.PAYOUT_CLOSED, Code.LIMIT_EXCEEDED}),
    PayoutStart: frozenset({Code.NOT_FOUND, Code.PAYOUT_CLOSED, Code.INSUFFICIENT_FUNDS}),
    PayoutResolve: frozenset(
        {Code.NOT_FOUND, Code.CURRENCY_MISMATCH, Code.PAYOUT_CLOSED, Code.LIMIT_EXCEEDED}
    )
    | _SHUT,
    LimitSet: frozenset({Code.ACCOUNT_NOT_FOUND}),
    LimitExclude: frozenset({Code.ACCOUNT_NOT_FOUND, Code.LIMIT_EXCEEDED}),
    WalletOpen: frozenset({Code.ACCOUNT_NOT_FOUND, Code.CURRENCY_MISMATCH}),
    BonusGrant: _SHUT | _NO_ROOM,
    FreeBetGrant: _SHUT | {Code.LIMIT_EXCEEDED},
    FreeBetRevoke: frozenset({Code.NOT_FOUND, Code.BET_CLOSED}),
    BookFloor: frozenset({Code.ACCOUNT_NOT_FOUND, Code.INSUFFICIENT_FUNDS}),
    ArchiveBegin: frozenset({Code.NOT_FOUND}),
    Auth: frozenset(),
    Ping: frozenset(),
    CircuitGet: frozenset(),
    ClockGet: frozenset(),
    ClockConfirm: _WRITTEN_FIRST,
    FiguresFollow: frozenset(),
    CheckBegin: _WRITTEN_FIRST,
    CheckGet: frozenset(),
    PlayerFind: OF_LOOKS,
    PayoutList: OF_LOOKS,
    TrailGet: OF_LOOKS,
    KeysGet: OF_LOOKS,
    Resume: OF_LOOKS,
    BalanceGet: OF_LOOKS,
    BetGet: OF_LOOKS | {Code.OUTCOME_UNKNOWN},
    LimitGet: OF_LOOKS | {Code.ACCOUNT_NOT_FOUND},
    WalletList: OF_LOOKS | {Code.ACCOUNT_NOT_FOUND},
    PayoutGet: OF_LOOKS,
    PayoutFollow: OF_LOOKS,
    ArchiveGet: OF_LOOKS,
    ReceiptGet: OF_LOOKS,
    HeadGet: OF_LOOKS,
    WalletGet: OF_LOOKS | {Code.ACCOUNT_NOT_FOUND},
    EntriesGet: OF_LOOKS | {Code.ACCOUNT_NOT_FOUND},
    BetsGet: OF_LOOKS | {Code.ACCOUNT_NOT_FOUND},
    BlockGet: OF_LOOKS,
    AuditLogGet: OF_LOOKS,
}
"""Why each may be refused, beside `AT_THE_DOOR` and, if it is a command, `OF_COMMANDS`."""


def codes_of(request: type[Request]) -> tuple[Code, ...]:
    """All codes that this may hear, in order of precedence."""
    is_command = issubclass(request, Move) or request is BetPlace
    may = AT_THE_DOOR | REFUSALS_OF[request] | (OF_COMMANDS if is_command else frozenset())
    return tuple(code for code in Code if code in may)
