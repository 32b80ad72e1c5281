"""Which replies each request may get. Pure.

`/asyncapi.json` is made of this, and the tests hold every answer that they hear against it. Source: the
tables of docs/protocol.md and docs/wire.md.
"""

from __future__ import annotations

from typing import Final

from ws.archives import Archive, ArchiveBegin, ArchiveGet
from ws.books import BookChanged, BookFloor
from ws.circuit import CircuitGet, CircuitShown
from ws.clock import ClockConfirm, ClockGet, ClockShown
from ws.fields import Reply, Request
from ws.limits import LimitChanged, LimitExclude, LimitGet, Limits, LimitSet
from ws.messages import (
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
from ws.operators import (
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
    WalletDeposit,
    WalletHold,
    WalletMoved,
    WalletStatus,
    WalletTransfer,
    WalletWithdraw,
)
from ws.payouts import (
    Payout,
    PayoutAdd,
    PayoutFollow,
    PayoutGet,
    PayoutMake,
    PayoutOpen,
    PayoutProgress,
    PayoutResolve,
    PayoutStart,
)
from ws.receipts import HeadGet, HeadShown, ReceiptGet, ReceiptShown
from ws.wallets import (
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
}
"""In the order in which they come. Beside these, each may be answered by `Error`."""

PUSHES: Final[tuple[type[Reply], ...]] = (Welcome, WalletEntry, PayoutProgress, Error)
"""What comes unasked: `Welcome` where the handshake brought the token, `Error` (`id`: null) where a message
had no `id` that could be read."""

REPLIES: Final[tuple[type[Reply], ...]] = tuple(
    dict.fromkeys([*(reply for replies in REPLIES_OF.values() for reply in replies), *PUSHES])
)
"""Every message of the server's, each once."""
