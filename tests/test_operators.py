"""What only operators may ask for, without sockets: what decodes and what is refused in which words, which
command it becomes, and who may ask.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from engine.decide.cash import LEGS_MAX
from engine.money import BOOK_FLOOR_MINOR, WIRE_MAX_MINOR
from engine.outcomes import Code, Rejected
from tests.operator_messages import (
    BET_ID,
    COMMANDS,
    ITEMS,
    LEGS,
    NOW_MS,
    SOUND,
    command_of,
    leaves,
    message,
    one,
)
from ws.codec import Malformed, decode_frame
from ws.effects import Identity, Looked, Submit
from ws.protocol import Conversation
from ws.wire.allowance import Allowance
from ws.wire.fields import EXPECTED, EXPECTED_OF
from ws.wire.messages import AnyRequest, Error, Limits
from ws.wire.operators import Move, TransferLeg
from ws.wire.payouts import PayoutWinner

OPTIONAL = {
    "bet.settle": {"payout"},
    "bet.rollback": {"user_id", "stake", "currency"},
    "wallet.withdraw": {"for_approval"},
    "wallet.hold": {"expires_at"},
    "hold.capture": {"amount"},
    "payout.resolve": {"returns"},
    "limit.set": {"user_id"},
    "limit.exclude": {"user_id"},
    "wallet.open": {"participant_id"},
    "bonus.grant": {"expires_at"},
    "free_bet.grant": {"expires_at"},
}


def words_of(type_: str, field: str) -> str:
    """What is said of a bad value."""
    return f"{field}: expected {EXPECTED_OF.get((type_, field)) or EXPECTED[field]}"


def refusal_of(body: object) -> str:
    """The words in which it is refused; in an array they are the same."""
    refused = one(body)
    assert isinstance(refused, Malformed), refused
    assert decode_frame(json.dumps([body]), 1000) == [refused]
    assert refused.id == "r1"
    return refused.message


# --- decoding --------------------------------------------------------------------------------------------


def test_every_message_of_operators_is_looked_at_here() -> None:
    moves = {each.__struct_config__.tag: each for each in get_args(AnyRequest) if issubclass(each, Move)}
    assert moves.keys() == SOUND.keys() == COMMANDS.keys()
    for type_, each in moves.items():
        assert {*each.__struct_fields__} == {"id", "key", *SOUND[type_]}, type_
    assert {*leaves(Move)} == {*moves.values()}, "a message that no frame can hold"


@pytest.mark.parametrize("type_", SOUND)
def test_a_message_becomes_a_command_with_every_field_in_its_place(type_: str) -> None:
    request = one(message(type_))
    assert isinstance(request, Move)
    assert command_of(request, caller="42") == COMMANDS[type_]


@pytest.mark.parametrize(("type_", "field"), [(type_, name) for type_ in SOUND for name in SOUND[type_]])
def test_a_field_may_be_left_out_where_that_means_something(type_: str, field: str) -> None:
    body = message(type_)
    del body[field]
    if field in OPTIONAL.get(type_, ()):
        request = one(body)
        assert isinstance(request, Move)
        assert not getattr(request, field)
    else:
        assert refusal_of(body) == words_of(type_, field)


@pytest.mark.parametrize("type_", SOUND)
@pytest.mark.parametrize("field", ["id", "key"])
def test_nothing_is_done_without_an_id_and_a_key(type_: str, field: str) -> None:
    body = message(type_)
    del body[field]
    refused = one(body)
    assert isinstance(refused, Malformed)
    assert refused.message == f"{field}: expected {EXPECTED[field]}"


@pytest.mark.parametrize("type_", SOUND)
def test_an_unknown_field_is_refused_by_name(type_: str) -> None:
    assert refusal_of(message(type_, caller="1")) == "caller: unknown field"


NO_INTEGERS = [0.5, 1.0, True, False, "1", "", [], {}, [1], {"amount": 1}]
BAD: dict[str, list[Any]] = {
    "key": [1, True, None, [], {}, "", "x" * 65, "\x00", "a\n", "a\x7f", "\x85", "\u009f"],
    "bet_id": [1, None, [], "", BET_ID.upper(), BET_ID[:-1], BET_ID + "0", BET_ID + "\n", BET_ID[:-1] + "g"],
    "result": [1, True, None, [], {}, "", "WON", "Won", "won ", "cashed_out", "rolled_back", "\x00"],
    "payout": [*NO_INTEGERS, -1, -(2**63), WIRE_MAX_MINOR + 1, 2**63, 2**64, 10**30],
    "stake": [*NO_INTEGERS, 0, -1, WIRE_MAX_MINOR + 1, 2**63, 2**64, 10**30],
    "amount": [*NO_INTEGERS, 0, -1, WIRE_MAX_MINOR + 1, 2**63, 2**64, 10**30],
    "user_id": [*NO_INTEGERS, 0, -1, WIRE_MAX_MINOR + 1, 2**63],
    "hold_id": [*NO_INTEGERS, None, 0, -1, WIRE_MAX_MINOR + 1, 2**63],
    "expires_at": [*NO_INTEGERS, -1, WIRE_MAX_MINOR + 1, 2**63],
    "currency": [1, True, [], "", "eur", "EURO", "EU", "EUR\n", "\x00\x00\x00"],
    "for_approval": [0, 1, None, "true", "", [], {}],
    "status": [1, True, None, [], {}, "", "OPEN", "frozen", "open\n"],
    "payout_id": [*NO_INTEGERS, None, 0, -1, WIRE_MAX_MINOR + 1, 2**63],
    "first": [*NO_INTEGERS, None, -1, WIRE_MAX_MINOR + 1, 2**63],
    "number": [*NO_INTEGERS, None, -1, WIRE_MAX_MINOR + 1, 2**63],
    "total": [*NO_INTEGERS, None, 0, -1, WIRE_MAX_MINOR + 1, 2**63],
    "returns": [0, 1, None, "true", "", [], {}],
    "before": [*NO_INTEGERS, None, -1, WIRE_MAX_MINOR + 1, 2**63],
    "until": [*NO_INTEGERS, None, -1, WIRE_MAX_MINOR + 1, 2**63],
    "kind": [1, True, None, [], {}, "", "STAKE", "exclusion", "session"],
    "period": [1, True, None, [], {}, "", "DAY", "ever", "year"],
    "participant_id": [*NO_INTEGERS, 0, -1, WIRE_MAX_MINOR + 1, 2**63],
    "free_bet_id": [*NO_INTEGERS, None, 0, -1, WIRE_MAX_MINOR + 1, 2**63],
    "spend": [1, True, None, [], {}, "", "FIRST", "both", "first\n", "\x00"],
    "floor": [*NO_INTEGERS, None, 1, BOOK_FLOOR_MINOR - 1, -(2**63), WIRE_MAX_MINOR, -(10**30)],
    "items": [1, True, None, "", {}, ITEMS[0], [], ITEMS * 501],
    "legs": [1, True, None, "", {}, {"user_id": 1}, [], LEGS[:1], LEGS * (LEGS_MAX // 3 + 1)],
}

BAD_OF: dict[tuple[str, str], list[Any]] = {
    ("payout.make", "items"): [*BAD["items"], [*(ITEMS * 50), ITEMS[0]]],
    ("payout.start", "items"): [*NO_INTEGERS, ITEMS, None, 0, -1, WIRE_MAX_MINOR + 1],
    ("limit.set", "amount"): [*NO_INTEGERS, -1, WIRE_MAX_MINOR + 1, 2**63, 10**30],
}
"""Where it depends on the message what is bad."""


@pytest.mark.parametrize(
    ("type_", "field"), [(type_, field) for type_, fields in SOUND.items() for field in ("key", *fields)]
)
def test_a_bad_value_is_refused_naming_its_field(type_: str, field: str) -> None:
    for value in BAD_OF.get((type_, field)) or BAD[field]:
        assert refusal_of(message(type_, **{field: value})) == words_of(type_, field), value


BAD_IN_LEGS: dict[str, list[Any]] = {
    "user_id": [*NO_INTEGERS, None, 0, -1, WIRE_MAX_MINOR + 1],
    "amount": [*NO_INTEGERS, None, WIRE_MAX_MINOR + 1, -WIRE_MAX_MINOR - 1, 2**63, -(2**63) - 1, 10**30],
    "name": [1, True, None, [], {}, "", "BET", "WIN", "fee", "FEE\x00", "x - at `$.key`", "x - at `$.zzz"],
}


@pytest.mark.parametrize("field", BAD_IN_LEGS)
def test_a_bad_value_in_a_leg_is_refused_naming_the_leg_and_the_field(field: str) -> None:
    for value in BAD_IN_LEGS[field]:
        legs = [*LEGS, {"user_id": 9, "amount": 5} | {field: value}]
        words = refusal_of(message("wallet.transfer", legs=legs))
        assert words == f"legs[3].{field}: expected {EXPECTED[f'legs[].{field}']}", value


@pytest.mark.parametrize("leg", [1, None, True, "7", [], [7, 100], LEGS])
def test_a_leg_is_an_object(leg: object) -> None:
    words = refusal_of(message("wallet.transfer", legs=[LEGS[0], leg]))
    assert words == f"legs[1]: expected {EXPECTED['legs[]']}"


@pytest.mark.parametrize("field", ["user_id", "amount"])
def test_a_leg_lacks_nothing(field: str) -> None:
    leg = {name: value for name, value in LEGS[0].items() if name != field}
    words = refusal_of(message("wallet.transfer", legs=[LEGS[1], leg]))
    assert words == f"legs[1].{field}: expected {EXPECTED[f'legs[].{field}']}"


@pytest.mark.parametrize("type_", ["payout.make", "payout.add"])
def test_a_bad_item_is_refused_naming_it_and_its_field(type_: str) -> None:
    for bad, where in (
        *(({"user_id": value, "amount": 1}, "[2].user_id") for value in BAD["user_id"]),
        *(({"user_id": 7, "amount": value}, "[2].amount") for value in (*BAD["amount"], None)),
        ({"user_id": 7}, "[2].amount"),
        ({"amount": 7}, "[2].user_id"),
        *((value, "[2]") for value in (1, None, True, "7", [], [7, 100], ITEMS)),
    ):
        general = "items" + where.replace("2", "")
        words = refusal_of(message(type_, items=[*ITEMS, bad]))
        assert words == f"items{where}: expected {EXPECTED[general]}", bad


def test_an_unknown_field_of_an_item_is_refused_by_name() -> None:
    items = [ITEMS[0], ITEMS[1] | {"currency": "EUR"}]
    assert refusal_of(message("payout.add", items=items)) == "items[1].currency: unknown field"


@pytest.mark.parametrize("name", ["currency", "", "a`b", "x` - at `$.zzz", "x` - at `$.key", "\n", "k" * 99])
def test_an_unknown_field_of_a_leg_is_refused_by_name(name: str) -> None:
    words = refusal_of(message("wallet.transfer", legs=[LEGS[0] | {name: 1}, LEGS[1]]))
    assert words == f"legs[0].{name[:64]}: unknown field"


@pytest.mark.parametrize(
    ("type_", "field", "value"),
    [
        ("bet.settle", "key", "x" * 64),
        ("bet.settle", "key", "ß∂😀 "),
        ("bet.settle", "payout", 0),
        ("bet.settle", "payout", None),
        ("bet.settle", "payout", WIRE_MAX_MINOR),
        ("bet.cashout", "payout", 0),
        ("bet.cashout", "stake", WIRE_MAX_MINOR),
        ("wallet.deposit", "amount", 1),
        ("wallet.deposit", "amount", WIRE_MAX_MINOR),
        ("wallet.deposit", "user_id", WIRE_MAX_MINOR),
        ("wallet.hold", "expires_at", 0),
        ("wallet.hold", "expires_at", WIRE_MAX_MINOR),
        ("payout.make", "items", ITEMS[:1]),
        ("payout.make", "items", ITEMS * 50),
        ("payout.add", "items", ITEMS * 500),
        ("payout.add", "first", 0),
        ("payout.start", "total", WIRE_MAX_MINOR),
        ("payout.resolve", "number", 0),
        ("limit.set", "amount", 0),
        ("limit.set", "amount", None),
        ("limit.set", "amount", WIRE_MAX_MINOR),
        ("limit.exclude", "until", WIRE_MAX_MINOR),
        ("archive.begin", "before", 0),
        ("archive.begin", "before", WIRE_MAX_MINOR),
        ("wallet.open", "participant_id", None),
        ("book.floor", "floor", 0),
        ("book.floor", "floor", BOOK_FLOOR_MINOR),
        ("wallet.open", "participant_id", WIRE_MAX_MINOR),
        ("bonus.grant", "amount", WIRE_MAX_MINOR),
        ("bonus.grant", "spend", "last"),
        ("bonus.grant", "expires_at", None),
        ("bonus.grant", "expires_at", WIRE_MAX_MINOR),
        ("free_bet.grant", "expires_at", 0),
        ("free_bet.grant", "expires_at", WIRE_MAX_MINOR),
        ("free_bet.revoke", "free_bet_id", WIRE_MAX_MINOR),
        ("wallet.transfer", "legs", LEGS[:2]),
        ("wallet.transfer", "legs", LEGS[:2] * (LEGS_MAX // 2)),
        ("wallet.transfer", "legs", [LEGS[0] | {"name": name} for name in ("TRANSFER", "FEE", "TAX")]),
        ("wallet.transfer", "legs", [{"user_id": 1, "amount": n * WIRE_MAX_MINOR} for n in (1, -1)]),
    ],
)
def test_values_at_the_edge_of_the_allowed_pass(type_: str, field: str, value: object) -> None:
    request = one(message(type_, **{field: value}))
    assert isinstance(request, Move)
    # What becomes of it fits the file: 64 bits.
    assert all(-(2**63) <= each < 2**63 for each in integers_of(command_of(request, caller="1")))


def integers_of(command: object) -> Iterator[int]:
    for value in msgspec.structs.astuple(command):  # type: ignore[arg-type]
        if isinstance(value, int):
            yield value
        elif isinstance(value, tuple):
            for leg in value:
                yield from integers_of(leg)


def test_every_field_of_every_request_has_its_words() -> None:
    requests = {*get_args(AnyRequest), *get_args(Looked)}
    fields = {name for each in requests for name in each.__struct_fields__}
    in_legs = {f"legs[].{name}" for name in TransferLeg.__struct_fields__}
    in_items = {f"items[].{name}" for name in PayoutWinner.__struct_fields__}
    assert EXPECTED.keys() == fields | in_legs | in_items | {"legs[]", "items[]"}
    known = {each.__struct_config__.tag: each for each in requests}
    assert all(field in known[type_].__struct_fields__ for type_, field in EXPECTED_OF)


# --- who may ask -----------------------------------------------------------------------------------------


def opened(role: str, limits: Limits | None = None) -> Conversation:
    conversation = Conversation(limits or Limits(), Allowance(0.0))
    conversation.welcome(Identity(42, role, 2**40), None, NOW_MS)
    return conversation


@pytest.mark.parametrize("type_", SOUND)
@pytest.mark.parametrize("role", ["player", "auditor"])
def test_who_is_no_operator_may_not(role: str, type_: str) -> None:
    """Nor cash out his own bet: whoever asks names the price."""
    (told,) = opened(role).receive_text(json.dumps(message(type_)), NOW_MS)
    assert isinstance(told, Error)
    assert (told.id, told.code, told.retryable) == ("r1", "FORBIDDEN", False)


@pytest.mark.parametrize("type_", SOUND)
@pytest.mark.parametrize("role", ["operator", "admin"])
def test_an_operator_may_under_keys_of_his_own(role: str, type_: str) -> None:
    effects = opened(role).receive_text(json.dumps(message(type_)), NOW_MS)
    assert effects == [Submit("r1", COMMANDS[type_], None)]


def test_keys_of_different_operators_and_kinds_never_meet() -> None:
    scopes = set()
    for type_ in SOUND:
        request = one(message(type_))
        assert isinstance(request, Move)
        scopes |= {command_of(request, caller=caller).scope for caller in ("1", "2")}
    assert len(scopes) == 2 * len(SOUND)


def test_beyond_the_limit_in_flight_a_command_is_only_looked_up_and_told_to_come_back() -> None:
    conversation = opened("operator", Limits(in_flight=2))
    moves = [message(type_, id=type_) for type_ in SOUND]
    submits = list(conversation.receive_text(json.dumps(moves), NOW_MS))
    assert [each.request_id for each in submits if isinstance(each, Submit)] == list(SOUND)
    held = [each.objection for each in submits if isinstance(each, Submit)]
    assert held == [None, None] + [Code.RATE_LIMITED] * (len(SOUND) - 2)
    for each in submits:
        assert isinstance(each, Submit)
        told = conversation.answered(each.request_id, each.command, Rejected(Code.RATE_LIMITED))
        assert isinstance(told, Error)
        assert (told.id, told.code, told.retryable) == (each.request_id, "RATE_LIMITED", True)
    # Each answer has made room.
    again = conversation.receive_text(json.dumps(moves[:3]), NOW_MS)
    assert [getattr(each, "objection", None) for each in again] == [None, None, Code.RATE_LIMITED]


def test_bets_and_moves_share_the_limit_in_flight() -> None:
    conversation = opened("operator", Limits(in_flight=1))
    request = {
        "type": "bet.place",
        "id": "b",
        "bet_id": BET_ID,
        "stake": 1,
        "nonce": "12345678",
        "sent_at": 0,
    }
    effects = conversation.receive_text(json.dumps([message("bet.settle"), request | {"user_id": 7}]), NOW_MS)
    assert [each.objection for each in effects if isinstance(each, Submit)] == [None, Code.RATE_LIMITED]
