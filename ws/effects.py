"""What a conversation asks its shell to do, and who a token says is asking. Pure.

`ws/protocol.py` decides on these, `ws/sockets/session.py` carries them out.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

import msgspec

from engine.actors import CLI
from engine.commands import Command
from engine.outcomes import Code
from ws.wire.archives import ArchiveGet
from ws.wire.checks import CheckBegin, CheckGet
from ws.wire.circuit import CircuitGet
from ws.wire.clock import ClockConfirm, ClockGet
from ws.wire.fields import Reply
from ws.wire.figures import FiguresFollow
from ws.wire.limits import LimitGet
from ws.wire.messages import BalanceGet, BetGet, Resume
from ws.wire.payouts import PayoutFollow, PayoutGet, PayoutList
from ws.wire.players import PlayerFind
from ws.wire.reads import AuditLogGet, BetsGet, BlockGet, EntriesGet, WalletGet
from ws.wire.receipts import HeadGet, ReceiptGet
from ws.wire.signers import KeysGet
from ws.wire.trails import TrailGet
from ws.wire.wallets import WalletList

ROLES: Final = frozenset({"player", "operator", "auditor", "admin"})
"""What each may do: `ws/asking/roles.py`."""

Looked = (
    BetGet
    | BalanceGet
    | Resume
    | LimitGet
    | WalletList
    | PayoutGet
    | PayoutFollow
    | ReceiptGet
    | HeadGet
    | ArchiveGet
    | ClockGet
    | ClockConfirm
    | CircuitGet
    | WalletGet
    | EntriesGet
    | BetsGet
    | BlockGet
    | AuditLogGet
    | FiguresFollow
    | CheckBegin
    | CheckGet
    | PlayerFind
    | PayoutList
    | TrailGet
    | KeysGet
)
"""What is answered without moving money."""

EXPIRED_WORDS: Final = "the token has expired"
ENDED_WORDS: Final = "the log-in has ended"
"""Why a token is taken no more: at the handshake, over HTTP, and when a socket is closed for it."""


class CloseCode(int, Enum):
    """Why the server ends a socket. Source: PROTOCOL, close codes."""

    DONE = 1000
    STOPPING = 1001
    FAULT = 1011
    NOT_THIS_PROTOCOL = 4400
    NOT_AUTHENTICATED = 4401
    NO_AUTH_IN_TIME = 4408
    TOO_MUCH = 4429


class Identity(NamedTuple):
    """Who a token says is asking. `expires_at_s`: seconds since the Unix epoch."""

    user_id: int
    role: str
    expires_at_s: int
    session: str | None = None
    """The log-in that the token came from, which can be ended; None: it ends only with its time."""
    scopes: frozenset[str] | None = None
    """Of all that the role may do, what this token is for; None: all of it."""
    shell: str | None = None
    """Who at the command line of the machine made this token for one call, as `user@machine`; None: it is not
    from there."""

    @property
    def caller(self) -> str:
        """What the scopes of his commands begin with."""
        return CLI if self.shell is not None else str(self.user_id)


class Authenticate(NamedTuple):
    """Check this token, then call `welcome` or close with 4401. `request_id`: of the message that brought
    it.
    """

    token: str
    request_id: str | None = None


class Submit(msgspec.Struct, frozen=True, gc=False):
    """Hand this command to the batcher; its outcome comes back through `answered`."""

    request_id: str
    command: Command
    objection: Code | None = None


class Look(NamedTuple):
    """Read something and answer it."""

    request: Looked


class Close(NamedTuple):
    """Send what is to be sent, then close."""

    code: CloseCode
    reason: str


Effect = Reply | Authenticate | Submit | Look | Close
