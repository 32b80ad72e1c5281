"""JSON to requests and replies to JSON, bets from requests and messages from outcomes. Pure.

Decoding is strict: a float is no integer, not even `1.0`, a boolean neither, and an unknown field is
refused. One bad element of an array does not void the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from engine.commands import Command, PlaceBet
from engine.outcomes import RETRYABLE, Accepted, Code, Outcome
from engine.records import Entry
from engine.snapshots import KINDS_OF_BETS, PostedEntry
from ws.wire.archives import archive_begun
from ws.wire.books import book_changed
from ws.wire.fields import EXPECTED, EXPECTED_OF, Id, Reply, Request
from ws.wire.limits import limit_changed
from ws.wire.messages import (
    TYPES,
    AnyRequest,
    BetConfirmed,
    BetGet,
    BetPlace,
    BetRejected,
    Error,
    WalletEntry,
)
from ws.wire.operators import BetCashout, BetRollback, BetSettle, BetUnsettle, moved, why_refused
from ws.wire.payouts import payout_moved
from ws.wire.wallets import bonus_granted, free_bet_changed, wallet_opened

AS_BET_REJECTED = frozenset(
    {
        Code.RATE_LIMITED,
        Code.CIRCUIT_OPEN,
        Code.OVERLOADED,
        Code.TIMED_OUT,
        Code.ACCOUNT_NOT_FOUND,
        Code.ACCOUNT_BLOCKED,
        Code.CURRENCY_MISMATCH,
        Code.BET_ROLLED_BACK,
        Code.BET_CLOSED,
        Code.LIMIT_EXCEEDED,
        Code.INSUFFICIENT_FUNDS,
    }
)
"""Codes that say of a bet that it moved no money; the others are an `error`, which says nothing about it."""

WORDS: dict[Code, str] = {
    Code.INVALID_REQUEST: "the request is not one of this protocol",
    Code.UNAUTHORIZED: "authenticate first",
    Code.FORBIDDEN: "this role may not do that",
    Code.NOT_FOUND: "no such thing is known here",
    Code.IDEMPOTENCY_CONFLICT: "this bet_id or key was used before for another request",
    Code.STALE_REQUEST: "sent_at is more than 80 s behind or 10 s ahead of the server's time; send it anew",
    Code.NONCE_REUSED: "this nonce was used for another bet",
    Code.OUTCOME_UNKNOWN: "whether this took place is not known now; ask with bet.get, or send it again",
    Code.INTERNAL: "something went wrong here; send the same again",
    Code.RATE_LIMITED: "too many at a time; send the same again later",
    Code.CIRCUIT_OPEN: "no money is moved at the moment; send the same again later",
    Code.OVERLOADED: "too much is going on; send the same again later",
    Code.TIMED_OUT: "it waited past its deadline and was not executed; send the same again",
    Code.ACCOUNT_NOT_FOUND: "there is no such wallet",
    Code.ACCOUNT_BLOCKED: "this wallet is blocked or closed",
    Code.CURRENCY_MISMATCH: "this wallet is kept in another currency",
    Code.BET_ROLLED_BACK: "this bet was rolled back",
    Code.BET_CLOSED: "the state of this bet does not allow it",
    Code.PAYOUT_CLOSED: "this payout, or this item of it, does not wait for that",
    Code.HOLD_CLOSED: "this hold was captured, released or has expired",
    Code.LIMIT_EXCEEDED: "a limit of this wallet does not allow it",
    Code.INSUFFICIENT_FUNDS: "the available balance does not cover it",
}
"""What each code means, for people. The code is the contract; the words may change."""

ARCHIVED_WORDS: dict[Code, str] = {
    Code.IDEMPOTENCY_CONFLICT: (
        "this bet_id or key was used by a command that is archived, and nothing happens twice; of a bet, ask "
        "with bet.get"
    ),
    Code.BET_CLOSED: "this bet is archived: it is over, and stays as it is",
}
"""The same where it is because of an archive."""

NO_FREE_BET = "this free bet does not pay this bet: not this wallet's, not open, or of another amount"
"""What `INSUFFICIENT_FUNDS` means for a bet that a free bet was to pay."""


Requested = TypeVar("Requested", bound=Request)


class Malformed(NamedTuple):
    """A message that is no request: why, and its `id` where one could be read."""

    id: str | None
    message: str


def decode_frame(text: str, frame_messages: int) -> Sequence[AnyRequest | Malformed]:
    """The requests of one text frame, in order; at least one element. Never raises.

    A frame that is no JSON, or has more than `frame_messages` elements, is one `Malformed` without an id.
    """
    # JSON allows a control character only as an escape, and the upper ones are not ASCII: most frames have
    # none, and that is seen at once.
    is_plain = text.isascii() and "\\" not in text and "\x7f" not in text
    if not text.lstrip().startswith("["):
        return [_decode_one(text, is_plain)]
    try:
        requests: Sequence[AnyRequest | Malformed] = [
            _checked(request, is_plain) for request in _MANY.decode(text)
        ]
    except msgspec.ValidationError:
        requests = _decode_each(text, frame_messages, is_plain)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        return [Malformed(None, f"the frame is not JSON: {_reason(error)}")]
    if not requests:
        return [Malformed(None, "the frame is an empty array")]
    return _too_many(len(requests), frame_messages) or requests


def read_request(kind: type[Requested], fields: dict[str, Any]) -> Requested | Malformed:
    """The request of this kind that consists of `fields`, JSON values; checked as those of a frame are."""
    try:
        request = msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        return Malformed(None, _in_words(str(error), str(kind.__struct_config__.tag)))
    wrong = _wrong_in(request, is_plain=False)
    return request if wrong is None else Malformed(None, _expected(wrong, ""))


def is_bet_id(text: str) -> bool:
    """Whether it is a UUID as PROTOCOL wants it."""
    return _is_uuid(text) is not None


def _too_many(count: int, frame_messages: int) -> list[Malformed]:
    if count <= frame_messages:
        return []
    return [Malformed(None, f"the frame has {count} messages; at most {frame_messages} are allowed")]


def encode_frame(replies: Sequence[Reply]) -> bytes:
    """One frame, as UTF-8: the object itself for one reply, an array for more."""
    return _ENCODER.encode(replies[0] if len(replies) == 1 else replies)


def to_command(request: BetPlace, user_id: int) -> PlaceBet:
    """The command that stakes money of `user_id`'s wallet."""
    return PlaceBet(
        request.bet_id,
        user_id,
        request.stake,
        request.nonce,
        request.sent_at * 1000,
        request.currency,
        request.game,
        request.round,
        request.selection,
        request.odds_milli,
        request.free_bet_id,
    )


def bet_answer(request_id: str, command: PlaceBet, outcome: Outcome) -> Reply:
    """The message that tells a bet's outcome."""
    if isinstance(outcome, Accepted):
        wallet = outcome.wallet
        assert wallet is not None
        return BetConfirmed(
            request_id,
            command.bet_id,
            command.stake_minor,
            outcome.transaction_id,
            outcome.block_id,
            wallet.seq,
            wallet.balance_minor,
            wallet.held_minor,
            wallet.available_minor,
            outcome.replayed,
            UNSET if outcome.source is None else outcome.source.amount_minor,
        )
    code = outcome.code
    if code not in AS_BET_REJECTED:
        return error(request_id, code, ARCHIVED_WORDS[code] if outcome.is_archived else None)
    shown = outcome.wallet
    is_unpaid = code is Code.INSUFFICIENT_FUNDS and command.free_bet_id is not None
    return BetRejected(
        request_id,
        command.bet_id,
        code.name,
        NO_FREE_BET if is_unpaid else WORDS[code],
        code in RETRYABLE,
        outcome.replayed,
        balance=UNSET if shown is None else shown.balance_minor,
        held=UNSET if shown is None else shown.held_minor,
        available=UNSET if shown is None else shown.available_minor,
        retry_after_ms=_or_unset(outcome.retry_after_us),
    )


def answer(request_id: str, command: Command, outcome: Outcome) -> Reply:
    """The message that tells the outcome of any command."""
    if isinstance(command, PlaceBet):
        return bet_answer(request_id, command, outcome)
    if isinstance(outcome, Accepted):
        if outcome.payout is not None:
            return payout_moved(request_id, outcome, outcome.payout)
        if outcome.limit is not None:
            return limit_changed(request_id, outcome, outcome.limit)
        if outcome.opened is not None:
            return wallet_opened(request_id, outcome, outcome.opened)
        if outcome.bonus is not None:
            return bonus_granted(request_id, outcome, outcome.bonus)
        if outcome.archive is not None:
            return archive_begun(request_id, outcome, outcome.archive)
        if outcome.floor is not None:
            return book_changed(request_id, outcome, outcome.floor)
        if outcome.free_bet is not None and outcome.bet is None:
            return free_bet_changed(request_id, outcome, outcome.free_bet)
        return moved(request_id, command, outcome)
    words = ARCHIVED_WORDS.get(outcome.code) if outcome.is_archived else None
    refused = error(request_id, outcome.code, words or why_refused(command, outcome.code))
    refused.retry_after_ms = _or_unset(outcome.retry_after_us)
    return refused


def in_ms(wait_us: int | None) -> int | None:
    """A wait as the wire shows it, rounded up: who comes back a little early would be turned away again."""
    return None if wait_us is None else -(-wait_us // 1000)


def _or_unset(wait_us: int | None) -> int | UnsetType:
    wait_ms = in_ms(wait_us)
    return UNSET if wait_ms is None else wait_ms


def error(request_id: str | None, code: Code, message: str | None = None) -> Error:
    """An `error`, in `message`'s words or in the code's own."""
    return Error(request_id, code.name, message or WORDS[code], code in RETRYABLE)


def wallet_entry(entry: Entry | PostedEntry, at_us: int) -> WalletEntry:
    """An entry of a block of time `at_us`, as a push to the wallet's sockets or a reply to `resume`."""
    return WalletEntry(
        seq=entry.id,
        prev_seq=entry.prev_id,
        transaction_id=entry.transaction_id,
        kind=entry.ref_type,
        amount=entry.amount_minor,
        balance=entry.balance_after_minor,
        at=at_us // 1000,
        bet_id=entry.ref_id if entry.ref_type in KINDS_OF_BETS else UNSET,
    )


_ONE = msgspec.json.Decoder(AnyRequest)
_MANY = msgspec.json.Decoder(list[AnyRequest])
_EACH = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.json.Encoder()

_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_WITH_BET_ID = (BetPlace, BetGet, BetSettle, BetUnsettle, BetRollback, BetCashout)


class _Named(msgspec.Struct):
    """Just enough of a bad message to answer it."""

    id: Id | None = None


class _Typed(msgspec.Struct):
    """Just enough of a bad message to know what it should have been."""

    type: str = ""


_NAMED = msgspec.json.Decoder(_Named)
_TYPED = msgspec.json.Decoder(_Typed)


def _decode_each(text: str, frame_messages: int, is_plain: bool) -> Sequence[AnyRequest | Malformed]:
    try:
        elements = _EACH.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        return [Malformed(None, f"the frame is not JSON: {_reason(error)}")]
    # Before each is looked at: a hundred thousand bad ones would hold up everybody for a quarter of a second.
    return _too_many(len(elements), frame_messages) or [_decode_one(each, is_plain) for each in elements]


def _decode_one(text: str | msgspec.Raw, is_plain: bool) -> AnyRequest | Malformed:
    try:
        request: AnyRequest = _ONE.decode(text)
    except msgspec.ValidationError as error:
        return Malformed(_id_of(text), _in_words(str(error), _type_of(text)))
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        return Malformed(None, f"the message is not JSON: {_reason(error)}")
    return _checked(request, is_plain)


def _checked(request: AnyRequest, is_plain: bool) -> AnyRequest | Malformed:
    """`request`, unless one of its texts breaks a pattern of `ws/wire/fields.py`."""
    wrong = _wrong_in(request, is_plain)
    if wrong is None:
        return request
    id_ = None if request.id is None or _has_control(request.id) else request.id
    return Malformed(id_, _expected(wrong, ""))


def _wrong_in(request: AnyRequest | Request, is_plain: bool) -> str | None:
    """The field that breaks a pattern."""
    if isinstance(request, _WITH_BET_ID) and not _is_uuid(request.bet_id):
        return "bet_id"
    if is_plain:
        return None
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if isinstance(value, str) and name != "token" and _has_control(value):
            return name
    return None


def _id_of(text: str | msgspec.Raw) -> str | None:
    try:
        id_ = _NAMED.decode(text).id
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return None if id_ is None or _has_control(id_) else id_


def _type_of(text: str | msgspec.Raw) -> str:
    try:
        return _TYPED.decode(text).type
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return ""


_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING_FIELD = re.compile(r"Object missing required field `(\w+)`$")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_POSITION = re.compile(r"\[\d+\]")
_WORDS_OF = EXPECTED | {"type": f"one of {', '.join(TYPES)}"}


def _in_words(complaint: str, type_: str) -> str:
    """msgspec's complaint in this protocol's words: "legs[3].amount: expected an integer other than 0 …"."""
    where = ""
    found = _WHERE.search(complaint)
    # An unknown field's name may look like a place itself: only a place of this protocol counts.
    if found and _general(found[1]) in _WORDS_OF:
        complaint, where = complaint[: found.start()], found[1]
    if found := _UNKNOWN_FIELD.match(complaint):
        return f"{_within(where, found[1][:64])}: unknown field"
    if found := _MISSING_FIELD.match(complaint):
        where = _within(where, found[1])
    return _expected(where, type_) if where else "a message is an object with a type and an id"


def _within(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _general(where: str) -> str:
    return _POSITION.sub("[]", where)


def _expected(where: str, type_: str) -> str:
    name = _general(where)
    return f"{where}: expected {EXPECTED_OF.get((type_, name)) or _WORDS_OF[name]}"


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
