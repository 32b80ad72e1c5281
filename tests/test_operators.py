"""What only operators may ask for, without sockets: what decodes and what is refused in which words, which
command it becomes, who may ask, and how its outcome reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from books_open import ALICE, NOW_US, account, place, view_of

from engine import commands
from engine.commands import Keyed, Leg, Result
from engine.decide import decide
from engine.decide.cash import LEGS_MAX
from engine.money import BOOK_FLOOR_MINOR, WIRE_MAX_MINOR
from engine.outcomes import (
    RETRYABLE,
    Accepted,
    ArchiveTold,
    BetTold,
    BonusTold,
    Code,
    FloorTold,
    FreeBetTold,
    HoldTold,
    Rejected,
    Wallet,
    WalletTold,
)
from engine.records import Entry
from ws.allowance import Allowance
from ws.archives import ArchiveGet
from ws.circuit import CircuitGet
from ws.clock import ClockConfirm, ClockGet
from ws.codec import WORDS, Malformed, answer, decode_frame, wallet_entry
from ws.effects import Identity, Submit
from ws.fields import EXPECTED, EXPECTED_OF, Reply, Request
from ws.limits import LimitGet
from ws.messages import AnyRequest, BetPlace, Error, Limits
from ws.operators import Move, TransferLeg
from ws.payouts import PayoutFollow, PayoutGet, PayoutWinner
from ws.protocol import Conversation
from ws.receipts import HeadGet, ReceiptGet
from ws.wallets import WalletList

BET_ID = "0199a5f0-1111-7222-8333-444455556666"
NOW_MS = NOW_US // 1000
RECEIVABLE = 6
OWN = {"key": "k1", "caller": "42"}

LEGS: list[dict[str, Any]] = [
    {"user_id": 7, "amount": -100},
    {"user_id": 8, "amount": 97},
    {"user_id": 3, "amount": 3, "name": "FEE"},
]
ITEMS: list[dict[str, Any]] = [{"user_id": 7, "amount": 100}, {"user_id": 8, "amount": 200}]
SOUND: dict[str, dict[str, Any]] = {
    "bet.settle": {"bet_id": BET_ID, "result": "won", "payout": 500},
    "bet.unsettle": {"bet_id": BET_ID},
    "bet.rollback": {"bet_id": BET_ID, "user_id": 7, "stake": 250, "currency": "EUR"},
    "bet.cashout": {"bet_id": BET_ID, "stake": 100, "payout": 120},
    "wallet.deposit": {"user_id": 7, "amount": 100},
    "wallet.withdraw": {"user_id": 7, "amount": 100, "for_approval": True},
    "wallet.hold": {"user_id": 7, "amount": 100, "expires_at": NOW_MS},
    "wallet.transfer": {"legs": LEGS},
    "wallet.status": {"user_id": 7, "status": "blocked"},
    "hold.capture": {"hold_id": 88, "amount": 40},
    "hold.release": {"hold_id": 88},
    "payout.make": {"currency": "EUR", "items": ITEMS},
    "payout.open": {"currency": "EUR"},
    "payout.add": {"payout_id": 88, "first": 2000, "items": ITEMS},
    "payout.start": {"payout_id": 88, "items": 2, "total": 300},
    "payout.resolve": {"payout_id": 88, "number": 17, "returns": True},
    "limit.set": {"user_id": 7, "kind": "loss", "period": "week", "amount": 5000},
    "limit.exclude": {"user_id": 7, "until": NOW_MS},
    "wallet.open": {"currency": "EUR", "participant_id": 7},
    "bonus.grant": {"user_id": 7, "amount": 100, "spend": "first", "expires_at": NOW_MS},
    "free_bet.grant": {"user_id": 7, "amount": 100, "expires_at": NOW_MS},
    "free_bet.revoke": {"free_bet_id": 88},
    "book.floor": {"user_id": 1, "floor": -5000},
    "archive.begin": {"before": NOW_MS},
}
"""Each message with all its fields, but those that all have: type, id, key."""

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

PAID = (commands.PayoutItem(7, 100), commands.PayoutItem(8, 200))
COMMANDS: dict[str, Keyed] = {
    "bet.settle": commands.SettleBet(BET_ID, Result.WON, 500, **OWN),
    "bet.unsettle": commands.UnsettleBet(BET_ID, **OWN),
    "bet.rollback": commands.RollBackBet(BET_ID, 7, 250, "EUR", **OWN),
    "bet.cashout": commands.CashOutBet(BET_ID, 100, 120, **OWN),
    "wallet.deposit": commands.Deposit(7, 100, **OWN),
    "wallet.withdraw": commands.Withdraw(7, 100, True, **OWN),
    "wallet.hold": commands.PlaceHold(7, 100, NOW_MS * 1000, **OWN),
    "wallet.transfer": commands.Transfer((Leg(7, -100), Leg(8, 97), Leg(3, 3, "FEE")), **OWN),
    "wallet.status": commands.SetStatus(7, "blocked", **OWN),
    "hold.capture": commands.CaptureHold(88, 40, **OWN),
    "hold.release": commands.ReleaseHold(88, **OWN),
    "payout.make": commands.Pay("EUR", PAID, **OWN),
    "payout.open": commands.OpenPayout("EUR", **OWN),
    "payout.add": commands.AddPayoutItems(88, 2000, PAID, **OWN),
    "payout.start": commands.StartPayout(88, 2, 300, **OWN),
    "payout.resolve": commands.ResolveItem(88, 17, True, **OWN),
    "limit.set": commands.SetLimit(7, "loss", "week", 5000, **OWN),
    "limit.exclude": commands.Exclude(7, NOW_US // 1000 * 1000, **OWN),
    "wallet.open": commands.OpenWallet("EUR", 7, **OWN),
    "bonus.grant": commands.GrantBonus(7, 100, commands.Spend.FIRST, NOW_MS * 1000, **OWN),
    "free_bet.grant": commands.GrantFreeBet(7, 100, NOW_MS * 1000, **OWN),
    "free_bet.revoke": commands.RevokeFreeBet(88, **OWN),
    "book.floor": commands.SetFloor(1, -5000, **OWN),
    "archive.begin": commands.OpenArchive(NOW_MS * 1000, **OWN),
}


def message(type_: str, **changes: object) -> dict[str, Any]:
    return {"type": type_, "id": "r1", "key": "k1"} | SOUND[type_] | changes


def one(body: object) -> AnyRequest | Malformed:
    (request,) = decode_frame(json.dumps(body), 1000)
    return request


def command_of(request: AnyRequest, caller: str) -> Keyed:
    """What an operator's conversation makes of it."""
    conversation = Conversation(Limits(), Allowance(0.0))
    conversation.welcome(Identity(int(caller), "operator", 2**40), None, NOW_MS)
    (effect,) = conversation.receive([request], NOW_MS)
    assert isinstance(effect, Submit), effect
    assert isinstance(effect.command, Keyed)
    return effect.command


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


def leaves(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield from leaves(each) if each.__subclasses__() else (each,)


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
    ("type_", "field", "value"),
    [
        (type_, field, value)
        for type_, fields in SOUND.items()
        for field in ("key", *fields)
        for value in BAD_OF.get((type_, field)) or BAD[field]
    ],
)
def test_a_bad_value_is_refused_naming_its_field(type_: str, field: str, value: object) -> None:
    assert refusal_of(message(type_, **{field: value})) == words_of(type_, field)


BAD_IN_LEGS: dict[str, list[Any]] = {
    "user_id": [*NO_INTEGERS, None, 0, -1, WIRE_MAX_MINOR + 1],
    "amount": [*NO_INTEGERS, None, WIRE_MAX_MINOR + 1, -WIRE_MAX_MINOR - 1, 2**63, -(2**63) - 1, 10**30],
    "name": [1, True, None, [], {}, "", "BET", "WIN", "fee", "FEE\x00", "x - at `$.key`", "x - at `$.zzz"],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in BAD_IN_LEGS for value in BAD_IN_LEGS[field]]
)
def test_a_bad_value_in_a_leg_is_refused_naming_the_leg_and_the_field(field: str, value: object) -> None:
    legs = [*LEGS, {"user_id": 9, "amount": 5} | {field: value}]
    words = refusal_of(message("wallet.transfer", legs=legs))
    assert words == f"legs[3].{field}: expected {EXPECTED[f'legs[].{field}']}"


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
@pytest.mark.parametrize(
    ("bad", "where"),
    [
        *(({"user_id": value, "amount": 1}, "[2].user_id") for value in BAD["user_id"]),
        *(({"user_id": 7, "amount": value}, "[2].amount") for value in (*BAD["amount"], None)),
        ({"user_id": 7}, "[2].amount"),
        ({"amount": 7}, "[2].user_id"),
        *((value, "[2]") for value in (1, None, True, "7", [], [7, 100], ITEMS)),
    ],
)
def test_a_bad_item_is_refused_naming_it_and_its_field(type_: str, bad: object, where: str) -> None:
    general = "items" + where.replace("2", "")
    words = refusal_of(message(type_, items=[*ITEMS, bad]))
    assert words == f"items{where}: expected {EXPECTED[general]}"


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
    fields = {name for each in get_args(AnyRequest) for name in each.__struct_fields__}
    in_legs = {f"legs[].{name}" for name in TransferLeg.__struct_fields__}
    in_items = {f"items[].{name}" for name in PayoutWinner.__struct_fields__}
    assert EXPECTED.keys() == fields | in_legs | in_items | {"legs[]", "items[]"}
    known = {each.__struct_config__.tag: each for each in get_args(AnyRequest)}
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


# --- replies ---------------------------------------------------------------------------------------------

WALLET = Wallet(918, 99750, 5, 99745)
SHOWN = {"seq": 918, "balance": 99750, "held": 5, "available": 99745}
DONE = {"id": "r1", "transaction_id": 88200, "block": 412, "replayed": False}


def as_json(reply: Reply) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(reply))
    return decoded


@pytest.mark.parametrize(
    ("type_", "reply"),
    [
        ("bet.settle", "bet.settled"),
        ("bet.unsettle", "bet.unsettled"),
        ("bet.rollback", "bet.rolled_back"),
        ("bet.cashout", "bet.cashed_out"),
    ],
)
@pytest.mark.parametrize("wallet", [WALLET, None])
@pytest.mark.parametrize("replayed", [False, True])
def test_what_became_of_a_bet_reads_as_protocol_says(
    type_: str, reply: str, wallet: Wallet | None, replayed: bool
) -> None:
    bet = BetTold(BET_ID, "won", 250, 500, total_minor=600, settled_minor=500, before=88123)
    outcome = Accepted(88200, 412, wallet, replayed, bet=bet)
    told = {"type": reply, "bet_id": BET_ID, "state": "won", "stake": 250, "payout": 500}
    assert as_json(answer("r1", COMMANDS[type_], outcome)) == (
        DONE | told | {"replayed": replayed} | (SHOWN if wallet else {})
    )


@pytest.mark.parametrize(
    "type_", [each for each in SOUND if each.startswith(("wallet.", "hold.")) and each != "wallet.open"]
)
@pytest.mark.parametrize("hold", [HoldTold(88, "open", 60, before=3), HoldTold(88, "captured"), None])
@pytest.mark.parametrize("replayed", [False, True])
def test_what_became_of_a_wallet_shows_it_and_the_hold(
    type_: str, hold: HoldTold | None, replayed: bool
) -> None:
    outcome = Accepted(88200, 412, WALLET, replayed, hold=hold)
    held = {"hold_id": 88, "hold_state": hold.state, "hold_left": hold.left_minor} if hold else {}
    assert as_json(answer("r1", COMMANDS[type_], outcome)) == (
        DONE | SHOWN | held | {"type": "wallet.moved", "replayed": replayed}
    )


@pytest.mark.parametrize("wallet", [WALLET, None])
@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize(
    ("type_", "told", "reply"),
    [
        (
            "wallet.open",
            {"opened": WalletTold(9, 7, "USD")},
            {"type": "wallet.opened", "user_id": 9, "participant_id": 7, "currency": "USD"},
        ),
        (
            "bonus.grant",
            {"bonus": BonusTold(9, "open", "last", NOW_US, before=3)},
            {"type": "bonus.granted", "user_id": 9, "spend": "last", "expires_at": NOW_MS},
        ),
        (
            "bonus.grant",
            {"bonus": BonusTold(9, "open", "first")},
            {"type": "bonus.granted", "user_id": 9, "spend": "first", "expires_at": None},
        ),
        (
            "book.floor",
            {"floor": FloorTold(1, -5000)},
            {"type": "book.changed", "user_id": 1, "floor": -5000},
        ),
        (
            "archive.begin",
            {"archive": ArchiveTold(88, "copying", 310, 60, 120, NOW_US)},
            {
                "type": "archive",
                "archive_id": 88,
                "state": "copying",
                "upto_block": 310,
                "upto_transaction_id": 60,
                "upto_entry_id": 120,
            },
        ),
        *(
            (
                f"free_bet.{verb}",
                {"free_bet": FreeBetTold(88, state, 500, before=3)},
                {"type": "free_bet.changed", "free_bet_id": 88, "state": state, "amount": 500},
            )
            for verb, state in (("grant", "open"), ("revoke", "revoked"))
        ),
    ],
)
def test_what_is_opened_and_granted_is_told(
    type_: str, told: dict[str, Any], reply: dict[str, Any], wallet: Wallet | None, replayed: bool
) -> None:
    """Only a bonus shows a wallet: its own."""
    outcome = Accepted(88200, 412, wallet, replayed, **told)
    seen = SHOWN if wallet is not None and type_ == "bonus.grant" else {}
    assert as_json(answer("r1", COMMANDS[type_], outcome)) == DONE | reply | {"replayed": replayed} | seen


def test_a_bet_that_gives_a_free_bet_back_is_told_as_a_bet() -> None:
    bet = BetTold(BET_ID, "void", 250, 250, total_minor=250, settled_minor=250)
    outcome = Accepted(88200, 412, WALLET, bet=bet, free_bet=FreeBetTold(88, "open", 250, before=3))
    assert as_json(answer("r1", COMMANDS["bet.settle"], outcome))["type"] == "bet.settled"


def test_a_transfer_among_books_shows_no_wallet() -> None:
    assert as_json(answer("r1", COMMANDS["wallet.transfer"], Accepted(88200, 412, None))) == (
        DONE | {"type": "wallet.moved"}
    )


@pytest.mark.parametrize("type_", SOUND)
@pytest.mark.parametrize("code", list(Code))
def test_each_code_is_an_error(type_: str, code: Code) -> None:
    """Also those that reject a bet: a `bet.rejected` would say something about the bet."""
    told = as_json(answer("r1", COMMANDS[type_], Rejected(code, WALLET, retry_after_us=1001)))
    words = told.pop("message")
    named = (
        "payout|stake|expires_at|legs|amount|status|first|items|items, total|until|participant_id|currency|"
        "user_id|floor|before"
    )
    assert words == WORDS[code] or re.match(f"({named}): |this free bet ", words)
    assert told == {
        "type": "error", "id": "r1", "code": code.name, "retryable": code in RETRYABLE, "retry_after_ms": 2,
    }  # fmt: skip
    assert "retry_after_ms" not in as_json(answer("r1", COMMANDS[type_], Rejected(code)))


@pytest.mark.parametrize("type_", SOUND)
@pytest.mark.parametrize("code", [Code.IDEMPOTENCY_CONFLICT, Code.BET_CLOSED])
def test_what_is_refused_because_of_an_archive_says_so(type_: str, code: Code) -> None:
    told = as_json(answer("r1", COMMANDS[type_], Rejected(code, is_archived=True)))
    assert (told["type"], told["code"], told["retryable"]) == ("error", code.name, False)
    assert "archived" in told["message"]


def test_a_bet_whose_key_is_archived_is_no_rejected_one() -> None:
    """It may have moved money: an `error` says nothing about that, and bet.get does."""
    told = as_json(answer("r1", place(1, 250), Rejected(Code.IDEMPOTENCY_CONFLICT, is_archived=True)))
    assert (told["type"], told["code"]) == ("error", "IDEMPOTENCY_CONFLICT")
    assert "archived" in told["message"]
    assert "bet.get" in told["message"]


def told_by_the_engine(type_: str, **changes: object) -> dict[str, Any]:
    """The answer to a message, of books in which ALICE has 1000, bet 250 of it, and set 100 of it aside."""
    view = view_of(account(ALICE, 1000))
    view.accounts[RECEIVABLE] = account(RECEIVABLE, kind="receivable", floor_minor=BOOK_FLOOR_MINOR)
    view.books["receivable", "EUR"] = RECEIVABLE
    bet = place(1, 250)
    placed = decide(view, bet, NOW_US)
    held = decide(view, commands.PlaceHold(ALICE, 100, key="h", caller="1"), NOW_US)
    assert isinstance(placed, Accepted)
    assert isinstance(held, Accepted)
    assert held.hold is not None
    here = {"bet_id": bet.bet_id, "hold_id": held.hold.id, "user_id": ALICE}
    body = message(type_) | {name: here[name] for name in SOUND[type_] if name in here} | changes
    request = one({name: value for name, value in body.items() if value is not None})
    assert isinstance(request, Move), request
    command = request.to_command(caller="1")
    return as_json(answer("r1", command, decide(view, command, NOW_US)))


@pytest.mark.parametrize(
    ("type_", "changes", "code", "named"),
    [
        ("bet.settle", {"payout": None}, "INVALID_REQUEST", "payout"),
        ("bet.settle", {"result": "void", "payout": 249}, "INVALID_REQUEST", "payout"),
        ("bet.cashout", {"stake": 251}, "INVALID_REQUEST", "stake"),
        ("wallet.hold", {"expires_at": 0}, "INVALID_REQUEST", "expires_at"),
        ("wallet.hold", {"expires_at": NOW_MS}, "INVALID_REQUEST", "expires_at"),
        ("bonus.grant", {"expires_at": 0}, "INVALID_REQUEST", "expires_at"),
        ("bonus.grant", {"expires_at": NOW_MS}, "INVALID_REQUEST", "expires_at"),
        ("free_bet.grant", {"expires_at": NOW_MS}, "INVALID_REQUEST", "expires_at"),
        ("wallet.transfer", {"legs": LEGS[:2]}, "INVALID_REQUEST", "legs"),
        ("wallet.transfer", {"legs": [*LEGS, LEGS[0] | {"amount": 0}]}, "INVALID_REQUEST", "legs"),
        ("hold.capture", {"amount": 101}, "INSUFFICIENT_FUNDS", "amount"),
        ("wallet.status", {"status": "closed"}, "LIMIT_EXCEEDED", "status"),
        ("wallet.open", {"participant_id": RECEIVABLE}, "ACCOUNT_NOT_FOUND", "participant_id"),
        ("wallet.open", {"participant_id": None, "currency": "XAU"}, "CURRENCY_MISMATCH", "currency"),
        ("payout.open", {"currency": "XAU"}, "CURRENCY_MISMATCH", "currency"),
        ("book.floor", {}, "ACCOUNT_NOT_FOUND", "user_id"),
        ("payout.make", {"currency": "XAU"}, "CURRENCY_MISMATCH", "currency"),
    ],
)
def test_what_only_the_books_can_tell_is_told_naming_the_field(
    type_: str, changes: dict[str, object], code: str, named: str
) -> None:
    told = told_by_the_engine(type_, **changes)
    assert (told["type"], told["code"]) == ("error", code)
    assert told["message"].startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("changes", "state", "payout"),
    [
        ({"result": "won", "payout": 0}, "won", 0),
        ({"result": "lost"}, "lost", 500),
        ({"result": "lost", "payout": None}, "lost", 0),
        ({"result": "void", "payout": None}, "void", 250),
        ({"result": "void", "payout": 250}, "void", 250),
    ],
)
def test_a_payout_that_makes_sense_is_paid(changes: dict[str, object], state: str, payout: int) -> None:
    told = told_by_the_engine("bet.settle", **changes)
    assert (told["type"], told["state"], told["payout"]) == ("bet.settled", state, payout)
    assert (told["stake"], told["balance"], told["held"]) == (250, 750 + payout, 100)


@pytest.mark.parametrize(
    ("ref_type", "has_bet"),
    [
        *((kind, True) for kind in ("BET", "WIN", "REFUND", "ROLLBACK", "UNSETTLE", "CASHOUT")),
        *((kind, False) for kind in ("BONUS", "EXPIRY")),
        *(
            (kind, False)
            for kind in ("DEPOSIT", "WITHDRAWAL", "TRANSFER", "FEE", "TAX", "CAPTURE", "RECEIVABLE")
        ),
    ],
)
def test_a_push_names_the_bet_where_there_is_one(ref_type: str, has_bet: bool) -> None:
    entry = Entry(918, 7, "EUR", 500, 1000, ref_type, BET_ID, 88200, 412, 917)
    told = as_json(wallet_entry(entry, NOW_US))
    assert told["kind"] == ref_type
    assert told.get("bet_id") == (BET_ID if has_bet else None)


# --- the page --------------------------------------------------------------------------------------------

PAGE = Path(__file__).resolve().parent.parent / "docs/wire.md"


def documented() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests and the replies of the page's two blocks."""
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    requests, replies = ([json.loads(line) for line in block.splitlines()] for block in blocks)
    return requests, replies


def test_the_page_shows_every_message_as_it_decodes() -> None:
    requests, _ = documented()
    others: dict[str, type[Request]] = {
        "payout.get": PayoutGet, "payout.follow": PayoutFollow, "limit.get": LimitGet,
        "wallet.list": WalletList, "bet.place": BetPlace, "receipt.get": ReceiptGet, "head.get": HeadGet,
        "archive.get": ArchiveGet, "clock.get": ClockGet, "clock.confirm": ClockConfirm,
        "circuit.get": CircuitGet,
    }  # fmt: skip
    assert {request["type"] for request in requests} == SOUND.keys() | others.keys()
    wrong = [each for each in requests if not isinstance(one(each), others.get(each["type"], Move))]
    assert wrong == []


def test_the_page_shows_every_reply_as_it_is_encoded() -> None:
    _, replies = documented()
    kinds = {each.__struct_config__.tag: each for each in all_replies(Reply)}
    assert {reply["type"] for reply in replies} == {
        "bet.settled", "bet.unsettled", "bet.rolled_back", "bet.cashed_out", "wallet.moved", "error",
        "wallet.entry", "payout", "payout.progress", "limit.changed", "limits", "wallet.opened", "wallets",
        "bonus.granted", "free_bet.changed", "bet.confirmed", "book.changed", "receipt", "head", "archive",
        "clock",
        "circuit",
    }  # fmt: skip
    for reply in replies:
        names = [field for field in reply if field != "type"]
        known = kinds[reply["type"]].__struct_fields__
        assert names == [name for name in known if name in names], reply


def test_the_page_names_every_field_of_every_message() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    for type_, fields in SOUND.items():
        assert {*re.findall(r"`(\w+)`", rows[type_])} >= fields.keys(), type_


def all_replies(kind: type[Reply]) -> Iterator[type[Reply]]:
    for each in kind.__subclasses__():
        yield each
        yield from all_replies(each)
