"""What a case is, by its seed and number alone: which door it comes to, and what is sent there.

Of messages there are three sorts, and each must leave the books as they are.
*broken*: a live request, broken in one place. If the server took it, it would move money.
*barred*: a live request at a door where it must be refused: a role that may not, a bet of somebody else's.
*mangled*: a request that finds nothing, its text damaged as chance will have it. It may even be sound.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from tests.fuzz import byte_level
from tests.fuzz.shapes import (
    MISSING,
    PLAYERS_OWN,
    READS,
    SHAPES,
    Shape,
    Things,
    breaks,
    broken,
    doomed,
    live,
)

DOORS: Final = ("player", "operator", "auditor", "stranger")
KINDS: Final = {"message": 60, "frames": 15, "http": 15, "token": 10}
"""And how many of a hundred."""

MESSAGES_MAX: Final = 20
"""Of one array. Frames of more than a thousand are a case of `test_wire_hostile.py`."""

FRAME_CHARS: Final = 200_000
"""Below the size for which a socket is closed: a group of cases shares it."""

SPLICED: Final = (
    *("{", "}", "[", "]", ",", ":", '"', "\\", "\\u0000", "\\ud800", "\\udc00\\ud800", "1e400", "-0", "2.5"),
    *("null", "NaN", "-Infinity", "`$.x`", "\x00", "\x7f", "\u2028", "\ufeff", "🂡", "//", "/**/", "'", "\\x"),
)


@dataclass(frozen=True)
class Case:
    """One malformed thing. `refusals`: how many errors it has for an answer, at least."""

    number: int
    kind: str
    door: str
    sent: str | bytes
    refusals: int = 0
    type: str = ""
    """The request type that it was made of."""


def case(seed: str, number: int, things: Things, now_ms: int) -> Case:
    """The case of that number: the same again, but for the time that live requests were sent at."""
    chance = Random(f"{seed}/{number}")
    (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
    match kind:
        case "message":
            return replace(_message(chance, things, now_ms), number=number)
        case "frames":
            door = chance.choice(("player", "stranger"))
            text = _mangled(chance, door, _type_for(chance, door, _is_harmless)).sent
            assert isinstance(text, str)
            payload = text.encode("utf-8", "surrogatepass")[:2000]
            return Case(number, kind, door, byte_level.frames(chance, payload or b"{}"))
        case "http":
            return Case(number, kind, "stranger", byte_level.http(chance))
        case _:
            door = chance.choice(("header", "message"))
            return Case(number, kind, door, byte_level.token(chance, things.user_id, now_ms))


def _message(chance: Random, things: Things, now_ms: int) -> Case:
    (door,) = chance.choices(DOORS, (35, 35, 15, 15))
    if chance.random() < 0.9:
        return _one(chance, door, things, now_ms)
    parts: list[str] = []
    first = made = _one(chance, door, things, now_ms, is_whole=True)
    for _ in range(chance.randrange(1, MESSAGES_MAX)):
        assert isinstance(made.sent, str)
        if sum(map(len, parts)) + len(made.sent) < FRAME_CHARS:
            parts.append(made.sent)
        made = _one(chance, door, things, now_ms, is_whole=True)
    # What is no JSON is refused as a whole.
    refusals = len(parts) if all(map(_is_json, parts)) else 1
    return replace(first, sent=f"[{','.join(parts)}]", refusals=refusals)


def _is_json(text: str) -> bool:
    """Strictly: Python takes NaN and halves of surrogate pairs as well."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return False
    return "\\ud" not in text


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _one(chance: Random, door: str, things: Things, now_ms: int, *, is_whole: bool = False) -> Case:
    (sort,) = chance.choices(("broken", "barred", "mangled"), (50, 15, 0 if is_whole else 35))
    if sort == "mangled":
        return _mangled(chance, door, _type_for(chance, door, _is_harmless))
    if sort == "barred" and door != "stranger":
        # A bet of somebody else's is one case in 2,000 otherwise: too few for a short run.
        is_bet = door == "player" and chance.random() < 0.2
        shape = SHAPES["bet.place"] if is_bet else _type_for(chance, door, is_barred)
        message = live(shape, things, now_ms, chance)
        return _as_case(door, shape, _barred(chance, message, door, things), 1)
    shape = chance.choice(list(SHAPES.values()))
    message = live(shape, things, now_ms, chance)
    path, value = chance.choice(list(breaks(shape, message)))
    if value is MISSING and path[0] not in message:  # only of fields that are there
        path = ("type",)
    return _as_case(door, shape, broken(message, path, value), 1)


def _as_case(door: str, shape: Shape, message: Any, refusals: int) -> Case:
    return Case(0, "message", door, json.dumps(message, ensure_ascii=True), refusals, shape.type)


def _type_for(chance: Random, door: str, fits: Callable[[str, str], bool]) -> Shape:
    return SHAPES[chance.choice([type_ for type_ in SHAPES if fits(type_, door)])]


def is_barred(type_: str, door: str) -> bool:
    """Whether that door is surely refused it, be it ever so sound."""
    if door == "operator":
        return type_ in ("bet.place", "balance.get", "resume", "auth")
    if type_ == "check.begin":  # moves nothing, so auditors may
        return door == "player"
    return type_ not in READS or type_ == "auth"


def _barred(chance: Random, message: dict[str, Any], door: str, things: Things) -> dict[str, Any]:
    """Refused at that door: operators say whose bet it is, players speak of nothing but their own."""
    if door == "operator":
        message.pop("user_id", None)
    elif message["type"] == "bet.place" and chance.random() < 0.5:
        message["bet_id"] = things.bet_id
    elif message["type"] == "wallet.transfer":
        for leg in message["legs"]:  # else it is one's own wallet that gives, which may be
            leg["amount"] = -leg["amount"]
    elif message["type"] in PLAYERS_OWN:
        message["user_id"] = things.other_id
    return message


def _is_harmless(type_: str, door: str) -> bool:
    if door == "operator":
        return SHAPES[type_].can_be_doomed
    return door != "player" or type_ not in PLAYERS_OWN - {"bet.place"}


def _mangled(chance: Random, door: str, shape: Shape) -> Case:
    message = doomed(shape, chance)
    text = json.dumps(message, ensure_ascii=chance.random() < 0.5)
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        match chance.randrange(8):
            case 0:  # a key twice: which of the two counts must not matter
                again, odd = chance.choice(list(message)), chance.choice((None, 0, "x", [], 2**64))
                text = text.replace("{", f'{{"{again}": {json.dumps(odd)}, ', 1)
            case 1:
                depth = chance.choice((1, 2, 50, 2_000, 50_000))
                text = "[" * depth + text + "]" * (depth if chance.random() < 0.8 else 1)
            case 2:
                text = text[: chance.randrange(len(text) + 1)]
            case 3:
                text = '{"x":' * chance.choice((1, 500, 20_000)) + text
            case 4:
                around = (text * 2, f" \t\r\n{text}\n", f"{text}\x00", f"\ufeff{text}", f"({text})")
                text = chance.choice(around)
            case _:
                at = chance.randrange(len(text) + 1)
                text = text[:at] + chance.choice(SPLICED) + text[at + chance.randrange(3) :]
    text = text[:FRAME_CHARS].encode("utf-8", "replace").decode()
    return Case(0, "message", door, text, type=shape.type)
