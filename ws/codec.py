"""JSON to requests, replies to JSON, and the command that a bet asks for. Pure.

Decoding is strict: a float is no integer, not even `1.0`, a boolean neither, and an unknown field is
refused. One bad element of an array does not void the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from engine.commands import PlaceBet
from ws.wire.fields import EXPECTED, EXPECTED_OF, Id, Reply, Request
from ws.wire.messages import TYPES, AnyRequest, BetGet, BetPlace
from ws.wire.operators import BetCashout, BetRollback, BetSettle, BetUnsettle
from ws.wire.trails import TrailGet

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


_ONE = msgspec.json.Decoder(AnyRequest)
_MANY = msgspec.json.Decoder(list[AnyRequest])
_EACH = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.json.Encoder()

_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_WITH_BET_ID = (BetPlace, BetGet, BetSettle, BetUnsettle, BetRollback, BetCashout, TrailGet)


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
