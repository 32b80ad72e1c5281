"""Requests of every type, made from the types that the server decodes: sound ones, and each way to break one.

Nothing here is a list of messages: a request type that is added to `ws/wire/messages.py` is fuzzed from then
on. What is sound comes in two forms. A *live* one would be carried out if it came through the right door: its
wallets exist and have money, its bets and holds are open, it is sent now. A *doomed* one is sound as well and
finds nothing: its ids are of nobody.
"""

from __future__ import annotations

import copy
import enum
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from msgspec import inspect

from ws.wire.messages import AnyRequest

Json = dict[str, Any]
Path = tuple[str | int, ...]

NOBODY: Final = 2**53 - 2
"""An id that no wallet, hold or payout has, and none of whose shorter forms by a few digits has one."""

READS: Final = frozenset({
    *("auth", "ping", "bet.get", "balance.get", "resume", "limit.get", "wallet.list"),
    *("payout.get", "payout.follow", "archive.get", "receipt.get", "head.get", "circuit.get", "clock.get"),
    *("figures.follow", "check.get", "player.find", "payout.list", "bet.trail", "keys.get"),
})  # fmt: skip
"""What changes nothing, whoever asks. Any other type is taken for one that does."""

PLAYERS_OWN: Final = frozenset({"bet.place", "limit.set", "limit.exclude"})
"""What changes something and is a player's to ask for."""

IDS: Final = frozenset({
    *("user_id", "participant_id", "bet_id", "hold_id", "payout_id", "free_bet_id"),
    *("transaction_id", "archive_id", "legs"),
})  # fmt: skip
"""Fields that name what a request is about: where one must be given, it can be of nobody."""

UNDOOMED: Final = frozenset({"payout.make", "bet.rollback", "limit.set", "limit.exclude"})
"""Sound ones of these leave a row even where every id is of nobody (a prize that waits for its winner, a
rollback that overtakes its bet), or are about who asks.
"""


@dataclass(frozen=True)
class Things:
    """What there is in the file, for live requests."""

    user_id: int
    other_id: int
    bet_id: str
    """An open bet of `other_id`."""
    hold_id: int
    payout_id: int
    free_bet_id: int


@dataclass(frozen=True)
class Shape:
    """One request type."""

    type: str
    fields: tuple[inspect.Field, ...]

    @property
    def can_be_doomed(self) -> bool:
        """Whether a sound one can be made of which nothing comes, even where an operator sends it."""
        names_something = any(field.required and field.name in IDS for field in self.fields)
        return self.type in READS or (names_something and self.type not in UNDOOMED)


def _shapes() -> dict[str, Shape]:
    union = inspect.type_info(AnyRequest)
    assert isinstance(union, inspect.UnionType)
    found = {}
    for each in union.types:
        assert isinstance(each, inspect.StructType)
        found[str(each.tag)] = Shape(str(each.tag), each.fields)
    return found


SHAPES: Final = _shapes()


def live(shape: Shape, things: Things, now_ms: int, chance: Random) -> Json:
    """A request that does something, or reads something, for who may ask for it."""
    known: dict[str, Callable[[], Any]] = {
        "user_id": lambda: things.user_id,
        "bet_id": lambda: _bet_id(chance) if shape.type == "bet.place" else things.bet_id,
        "hold_id": lambda: things.hold_id,
        "payout_id": lambda: things.payout_id,
        "free_bet_id": lambda: things.free_bet_id,
        "sent_at": lambda: now_ms,
        "expires_at": lambda: now_ms + 3_600_000,
        "until": lambda: now_ms + 3_600_000,
        "currency": lambda: "EUR",
        "first": lambda: 0,
        "legs": lambda: [
            {"user_id": things.user_id, "amount": -1, "name": "TRANSFER"},
            {"user_id": things.other_id, "amount": 1, "name": "TRANSFER"},
        ],
        "items": lambda: 1 if shape.type == "payout.start" else [{"user_id": things.user_id, "amount": 1}],
    }
    optional = {"expires_at", "currency"}  # the others name somebody else, or forbid it to players
    message: Json = {"type": shape.type}
    for field in shape.fields:
        if field.required or field.name in optional:
            message[field.name] = known.get(field.name, lambda of=field: _simple(of, chance))()
    return message


def doomed(shape: Shape, chance: Random) -> Json:
    """A sound request that finds nothing; its optional fields come and go."""
    known: dict[str, Callable[[], Any]] = {
        **dict.fromkeys(("user_id", "hold_id", "payout_id", "free_bet_id"), lambda: NOBODY),
        **dict.fromkeys(("participant_id", "transaction_id", "archive_id"), lambda: NOBODY),
        "bet_id": lambda: _bet_id(chance),
        "sent_at": lambda: 0,
        "legs": lambda: [{"user_id": NOBODY, "amount": -1}, {"user_id": NOBODY - 1, "amount": 1}],
        "items": lambda: 1 if shape.type == "payout.start" else [{"user_id": NOBODY, "amount": 1}],
    }
    message: Json = {"type": shape.type}
    for field in shape.fields:
        if field.required or (field.name != "user_id" and chance.random() < 0.3):
            message[field.name] = known.get(field.name, lambda of=field: _simple(of, chance))()
    return message


def breaks(shape: Shape, message: Json) -> Iterator[tuple[Path, Any]]:
    """Every way to break a sound request in one place: the place, and what is put there (`MISSING`: nothing).

    What comes out is no request of the protocol, by its published bounds and not by what the server takes.
    """
    for value in ("", "no.such", "PING", 7, None, True, [], {}, "x" * 5000, "ping\x00"):
        yield ("type",), value
    yield ("type",), MISSING
    yield ("admin",), True
    yield ("\ud800",), 1
    for field in shape.fields:
        yield from _breaks_of((field.name,), field, message)


class _Missing:
    """Nothing at all is put there."""


MISSING: Final = _Missing()
CONTROLS: Final = ("\x00", "a\nbcdefgh", "abcdefgh\x7f", "\u0085abcdefgh", "abcdefgh\ud83d", "\udc00abcdefgh")
"""Texts that no field but a token takes: control characters, and halves of surrogate pairs."""


def _breaks_of(path: Path, field: inspect.Field, message: Json) -> Iterator[tuple[Path, Any]]:
    kind, is_nullable = _kind_of(field.type)
    if field.required:
        yield path, MISSING
    for value in _of_other_type(kind):
        if value is not None or not is_nullable:
            yield path, value
    if isinstance(kind, inspect.IntType):
        yield from ((path, value) for value in (2**63, -(2**63) - 1, 2**64, 10**400))
        if kind.le is not None:
            yield path, kind.le + 1
        if kind.ge is not None:
            yield path, kind.ge - 1
    elif isinstance(kind, inspect.StrType):
        if kind.min_length:
            yield path, "x" * (kind.min_length - 1)
        yield path, "x" * ((kind.max_length or 5000) + 1)
        if path[-1] == "currency":
            yield from ((path, value) for value in ("eur", "EU", "EURO", "EUR\n", "ÉUR"))
        if path[-1] == "bet_id":
            upper = str(uuid.UUID(int=10**38)).upper()
            yield from ((path, value) for value in ("", "x" * 36, upper, "0" * 32))
        if path[-1] != "token":
            yield from ((path, value) for value in CONTROLS)
    elif isinstance(kind, inspect.EnumType | inspect.LiteralType):
        yield from ((path, value) for value in ("", "no such", "x" * 5000, "won\x00"))
    elif isinstance(kind, inspect.ListType):
        yield path, []
        yield path, [message[path[-1]][0]] * 1001  # type: ignore[index]
        yield from (((*path, 0), value) for value in (None, 7, "x", [], {}, True, 1.5))
        item = kind.item_type
        assert isinstance(item, inspect.StructType)
        yield (*path, 0, "admin"), True
        for each in item.fields:
            yield from _breaks_of((*path, 0, each.name), each, message)


def _of_other_type(kind: inspect.Type) -> list[Any]:
    values: list[Any] = [None, True, 7, 1.0, 1.5, -0.0, 1e300, float("nan"), float("inf"), "7", [], [1], {}]
    values += [{"a": 1}, nested(30)]
    same: tuple[type, ...] = {
        inspect.IntType: (int,), inspect.BoolType: (bool,), inspect.ListType: (list,),
    }.get(type(kind), (str,))  # fmt: skip
    return [value for value in values if type(value) not in same]


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def broken(message: Json, path: Path, value: Any) -> Json:
    """A copy of `message` with `value` at `path`."""
    changed = copy.deepcopy(message)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if isinstance(value, _Missing):
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return changed


def _kind_of(type_: inspect.Type) -> tuple[inspect.Type, bool]:
    """The type below its metadata, and whether null will do as well."""
    if isinstance(type_, inspect.Metadata):
        return _kind_of(type_.type)
    if isinstance(type_, inspect.UnionType):
        (rest,) = (each for each in type_.types if not isinstance(each, inspect.NoneType))
        return _kind_of(rest)[0], True
    return type_, False


def _simple(field: inspect.Field, chance: Random) -> Any:
    """A sound value by its type alone."""
    kind, _ = _kind_of(field.type)
    match kind:
        case inspect.IntType():
            return max(1, kind.ge or 0) if kind.le is None or kind.le >= 1 else kind.le
        case inspect.StrType():
            return f"{chance.getrandbits(64):016x}" if not kind.pattern else "EUR"
        case inspect.BoolType():
            return True
        case inspect.EnumType():
            first: enum.Enum = next(iter(kind.cls))
            return first.value
        case inspect.LiteralType():
            return kind.values[0]
    raise AssertionError(f"{field.name}: nothing is known of {kind}")


def _bet_id(chance: Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
