"""Frames as a client reads and writes them: the server's own types, taken leniently. Pure.

An unknown field of a reply is ignored, and so is a message of an unknown type: servers may be newer than
their clients. What a client sends is strict, since the server is: fields that were left out do not travel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from ws.wire import limits, messages
from ws.wire.archives import Archive
from ws.wire.books import BookChanged
from ws.wire.checks import CheckShown
from ws.wire.circuit import CircuitShown
from ws.wire.clock import ClockShown
from ws.wire.fields import Reply, Request
from ws.wire.figures import Figures
from ws.wire.operators import BetCashedOut, BetRolledBack, BetSettled, BetUnsettled, WalletMoved
from ws.wire.payouts import Payout, PayoutProgress, Payouts
from ws.wire.players import Players
from ws.wire.receipts import HeadShown, ReceiptShown
from ws.wire.signers import Keys
from ws.wire.trails import Trail
from ws.wire.wallets import BonusGranted, FreeBetChanged, WalletOpened, Wallets

AnyReply = (
    messages.Welcome
    | messages.BetPending
    | messages.BetConfirmed
    | messages.BetRejected
    | messages.Error
    | messages.BetState
    | messages.Balance
    | messages.WalletEntry
    | messages.Resumed
    | messages.Pong
    | BetSettled
    | BetUnsettled
    | BetRolledBack
    | BetCashedOut
    | WalletMoved
    | Payout
    | PayoutProgress
    | limits.LimitChanged
    | limits.Limits
    | WalletOpened
    | Wallets
    | BonusGranted
    | FreeBetChanged
    | BookChanged
    | Archive
    | ClockShown
    | CircuitShown
    | ReceiptShown
    | HeadShown
    | Figures
    | CheckShown
    | Players
    | Payouts
    | Trail
    | Keys
)
"""Every message that a server sends."""

_FRAME: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[AnyReply] | AnyReply)


def decode_frame(text: str) -> Sequence[Reply]:
    """The messages of one frame that are known here, in order. Raises `ValueError` where it is no JSON."""
    try:
        found = _FRAME.decode(text)
    except msgspec.ValidationError:  # one is of a type, or a kind, that is newer than this client
        return [*_those_known(msgspec.json.decode(text))]
    return found if isinstance(found, list) else [found]


def _those_known(content: Any) -> Iterator[Reply]:
    for each in content if isinstance(content, list) else [content]:
        try:
            yield msgspec.convert(each, AnyReply)
        except msgspec.ValidationError:
            continue


def encode(request: Request) -> bytes:
    """One message. What is None and may be left out is left out."""
    fields: dict[str, Any] = msgspec.to_builtins(request)
    required = _required(type(request))
    return msgspec.json.encode(
        {name: value for name, value in fields.items() if value is not None or name in required}
    )


@cache
def _required(kind: type[Request]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind) if field.required)


def in_frames(sent: Sequence[bytes], frame_bytes: int, frame_messages: int) -> Iterator[str]:
    """These messages in as few frames as the server's `limits` allow; each message fits into one alone."""
    some: list[bytes] = []
    size = 1
    for message in sent:
        if some and (size + len(message) + 1 > frame_bytes or len(some) == frame_messages):
            yield _frame(some)
            some, size = [], 1
        some.append(message)
        size += len(message) + 1  # its comma, or the bracket
    if some:
        yield _frame(some)


def _frame(sent: list[bytes]) -> str:
    frame = sent[0] if len(sent) == 1 else b"[" + b",".join(sent) + b"]"
    return frame.decode()
