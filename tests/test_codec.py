"""The codec alone: what a frame may hold, what is refused and in which words, and how outcomes read."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import pytest

from engine.commands import PlaceBet
from engine.outcomes import RETRYABLE, Accepted, Code, Rejected, Source, Wallet
from engine.records import Entry
from ws.codec import Malformed, decode_frame, encode_frame, to_command
from ws.wire.messages import TYPES, AnyRequest, BetPlace, Ping, Pong, Resume
from ws.wire.outcomes import AS_BET_REJECTED, NO_FREE_BET, WORDS, bet_answer, error, wallet_entry

BET_ID = "0199a5f0-1111-7222-8333-444455556666"
BET = {
    "type": "bet.place",
    "id": "r1",
    "bet_id": BET_ID,
    "stake": 250,
    "nonce": "12345678",
    "sent_at": 1_760_000_000_000,
}


def one(frame: str) -> AnyRequest | Malformed:
    (request,) = decode_frame(frame, 1000)
    return request


def placed(**fields: object) -> AnyRequest | Malformed:
    return one(json.dumps(BET | fields))


def test_a_bet_becomes_a_command_with_every_field_in_its_place() -> None:
    request = placed(
        currency="EUR",
        game="g",
        round="r",
        selection="s",
        odds_milli=1500,
        user_id=9,
        free_bet_id=88,
        sent_at=1_234,
    )
    assert isinstance(request, BetPlace)
    command = to_command(request, 7)
    assert (command.bet_id, command.user_id, command.stake_minor, command.nonce) == (
        BET_ID,
        7,
        250,
        "12345678",
    )
    assert (command.sent_at_us, command.currency, command.game, command.round) == (1_234_000, "EUR", "g", "r")
    assert (command.selection, command.odds_milli, command.free_bet_id) == ("s", 1500, 88)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x" * 64),
        ("id", "ß∂😀 "),
        ("nonce", "n" * 64),
        ("stake", 1),
        ("stake", 2**53 - 1),
        ("sent_at", 0),
        ("odds_milli", 1000),
        ("game", ""),
        ("game", "x" * 64),
        ("user_id", 2**53 - 1),
        ("free_bet_id", 2**53 - 1),
        ("free_bet_id", None),
        ("currency", None),
    ],
)
def test_values_at_the_edge_of_the_allowed_pass(field: str, value: object) -> None:
    assert isinstance(placed(**{field: value}), BetPlace)


INTEGERS = [
    0.5,
    1.0,
    1e3,
    math.nan,
    math.inf,
    -math.inf,
    True,
    False,
    "1",
    "",
    None,
    [],
    {},
    -1,
    2**53,
    2**63,
]
TEXTS: list[Any] = [
    1,
    True,
    None,
    [],
    {},
    "\x00",
    "a\x00bcdefgh",
    "a\nbcdefgh",
    "abcdefgh\n",
    "\x7fabcdefgh",
    "\x85abcdefg",
]
BAD: dict[str, list[Any]] = {
    "id": [*TEXTS, "", "x" * 65],
    "nonce": [*TEXTS, "1234567", "x" * 65],
    "bet_id": [
        *TEXTS,
        "",
        BET_ID.upper(),
        BET_ID.replace("-", ""),
        "{" + BET_ID + "}",
        f"urn:uuid:{BET_ID}",
        BET_ID + "\n",
        BET_ID + "0",
        BET_ID[:-1],
        BET_ID[:-1] + "g",
        BET_ID.replace("1", "１"),
    ],
    "stake": [*INTEGERS, 0],
    "sent_at": INTEGERS,
    "odds_milli": [*(value for value in INTEGERS if value is not None), 999],
    "user_id": [*(value for value in INTEGERS if value is not None), 0],
    "free_bet_id": [*(value for value in INTEGERS if value is not None), 0],
    "currency": ["eur", "EU", "EURO", "", "EUR\n", "ÄÖÜ", 978, ["EUR"]],
    **{name: [*(t for t in TEXTS if t is not None), "x" * 65] for name in ("game", "round", "selection")},
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in BAD for value in BAD[field]])
def test_a_bad_value_is_refused_naming_its_field(field: str, value: object) -> None:
    refused = placed(**{field: value})
    assert isinstance(refused, Malformed)
    if value not in (math.inf, -math.inf) and value == value:  # JSON has no such numbers: no field to name
        assert refused.message.startswith(f"{field}: expected ")
        assert refused.id == (None if field == "id" else "r1")


@pytest.mark.parametrize(
    "literal", ["1.0", "1e3", "1E0", "-0", "1e400", "9" * 400, "0250", "+1", "0x1", "1_000"]
)
def test_a_number_is_an_integer_in_plain_digits(literal: str) -> None:
    frame = json.dumps(BET).replace('"stake": 250', f'"stake": {literal}')
    assert literal in frame
    assert isinstance(one(frame), Malformed)


@pytest.mark.parametrize("field", [name for name in BET if name != "type"])
def test_a_missing_field_is_named(field: str) -> None:
    refused = one(json.dumps({name: value for name, value in BET.items() if name != field}))
    assert isinstance(refused, Malformed)
    assert refused.message.startswith(f"{field}: expected ")


@pytest.mark.parametrize(
    "name",
    [
        "stakes",
        "Stake",
        "",
        "ß",
        "`",
        "a`b",
        "x - at `$.zzz`",
        "x` - at `$.zzz",
        "x - at `$",
        "\n",
        '"',
        "k" * 999,
    ],
)
def test_an_unknown_field_is_refused_and_named_briefly(name: str) -> None:
    refused = placed(**{name: 1})
    assert isinstance(refused, Malformed)
    assert refused == ("r1", f"{name[:64]}: unknown field")


@pytest.mark.parametrize(
    "type_",
    [
        "",
        "bet",
        "BET.PLACE",
        "bet.settled",
        "welcome",
        "x - at `$.zzz`",
        "Object contains unknown field `",
        5,
        None,
        [],
    ],
)
def test_an_unknown_type_is_refused_whatever_it_says(type_: object) -> None:
    refused = one(json.dumps({"type": type_, "id": "r1"}))
    assert isinstance(refused, Malformed)
    assert refused.id == "r1"
    assert refused.message == f"type: expected one of {', '.join(TYPES)}"


@pytest.mark.parametrize(
    "frame",
    [
        "", " ", "x", "{", "}", "[", "]", "nul", "{]", '{"type":"ping","id":"r"', '{"type":"ping","id":"r"}}',
        "[" * 100_000, '{"a":' * 100_000, '{"type":' + "[" * 100_000, '{"type":"ping","id":"\\ud800"}',
        '{"type":"ping","id":"\\udc00\\ud800"}', '{"\\ud800":1}', '{"type":"ping","id":"\x01"}', "\ufeff{}",
        '{"type":"ping","id":NaN}', "{'type':'ping'}", "// ping",
    ],
    ids=lambda frame: repr(frame[:24]),
)  # fmt: skip
def test_what_is_no_json_is_refused_without_an_id(frame: str) -> None:
    refused = one(frame)
    assert isinstance(refused, Malformed)
    assert refused.id is None
    assert re.search("not JSON|too deeply", refused.message)


@pytest.mark.parametrize(
    "frame", ["null", "true", "7", "1e400", '"ping"', "{}", "[[]]", "[null]", '{"id":"r1"}']
)
def test_json_that_is_no_request_is_refused(frame: str) -> None:
    assert isinstance(one(frame), Malformed)


def test_duplicate_keys_never_make_two_requests_of_one() -> None:
    request = one('{"type":"ping","id":"a","id":"b"}')
    assert request == Ping("b")
    assert isinstance(one('{"type":"ping","type":"resume","id":"a"}'), Malformed | Resume)


def test_a_bad_element_does_not_void_its_neighbours() -> None:
    first, second, third = decode_frame(
        '[{"type":"ping","id":"a"},{"type":"ping","id":7},{"type":"ping","id":"c"}]', 9
    )
    assert (first, third) == (Ping("a"), Ping("c"))
    assert isinstance(second, Malformed)


@pytest.mark.parametrize("element", ['{"type":"ping","id":"a"}', "1"], ids=["sound", "unsound"])
def test_an_array_holds_so_many_messages_and_no_more(element: str) -> None:
    assert len(decode_frame(f"[{','.join([element] * 1000)}]", 1000)) == 1000
    (refused,) = decode_frame(f"[{','.join([element] * 1001)}]", 1000)
    assert refused == (None, "the frame has 1001 messages; at most 1000 are allowed")


def test_an_empty_array_is_refused() -> None:
    assert decode_frame(" [ ] ", 1000) == [Malformed(None, "the frame is an empty array")]


def test_one_reply_is_an_object_and_several_are_an_array() -> None:
    assert json.loads(encode_frame([Pong("a", 1)])) == {"type": "pong", "id": "a", "server_time": 1}
    assert [pong["id"] for pong in json.loads(encode_frame([Pong("a", 1), Pong("b", 1)]))] == ["a", "b"]


def as_json(reply: msgspec.Struct) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(msgspec.json.encode(reply))
    return decoded


def command_of_a_bet(**fields: object) -> PlaceBet:
    request = placed(**fields)
    assert isinstance(request, BetPlace)
    return to_command(request, 7)


def test_an_accepted_bet_reads_as_protocol_says() -> None:
    answer = bet_answer("r1", command_of_a_bet(), Accepted(88123, 412, Wallet(918, 99750, 5, 99745)))
    assert as_json(answer) == {
        "type": "bet.confirmed", "id": "r1", "bet_id": BET_ID, "stake": 250, "transaction_id": 88123,
        "block": 412, "seq": 918, "balance": 99750, "held": 5, "available": 99745, "replayed": False,
    }  # fmt: skip


@pytest.mark.parametrize("replayed", [False, True])
def test_a_bet_that_others_paid_for_too_tells_how_much_of_it(replayed: bool) -> None:
    own = Accepted(88123, 412, Wallet(918, 99750, 5, 99745), replayed)
    shared = msgspec.structs.replace(own, source=Source(9, 100))
    answers = [as_json(bet_answer("r1", command_of_a_bet(), each)) for each in (own, shared)]
    assert answers[1] == answers[0] | {"bonus": 100}
    assert "bonus" not in answers[0]


@pytest.mark.parametrize("code", list(Code))
def test_each_code_has_its_type_its_words_and_whether_to_retry(code: Code) -> None:
    answer = as_json(bet_answer("r1", command_of_a_bet(), Rejected(code)))
    expected = {"id": "r1", "code": code.name, "message": WORDS[code], "retryable": code in RETRYABLE}
    if code in AS_BET_REJECTED:
        assert answer == expected | {"type": "bet.rejected", "bet_id": BET_ID, "replayed": False}
    else:
        assert answer == expected | {"type": "error"}


@pytest.mark.parametrize("code", [code for code in Code if code in AS_BET_REJECTED])
def test_a_bet_that_no_free_bet_pays_is_told_so(code: Code) -> None:
    answer = as_json(bet_answer("r1", command_of_a_bet(free_bet_id=88), Rejected(code)))
    expected = NO_FREE_BET if code is Code.INSUFFICIENT_FUNDS else WORDS[code]
    assert (answer["code"], answer["message"]) == (code.name, expected)


def test_a_rejection_shows_the_wallet_and_rounds_the_wait_up() -> None:
    outcome = Rejected(Code.RATE_LIMITED, Wallet(0, 100, 1, 99), replayed=True, retry_after_us=1001)
    answer = as_json(bet_answer("r1", command_of_a_bet(), outcome))
    assert (answer["balance"], answer["held"], answer["available"]) == (100, 1, 99)
    assert (answer["replayed"], answer["retry_after_ms"]) == (True, 2)


def test_an_error_without_an_id_says_null() -> None:
    answer = as_json(error(None, Code.INVALID_REQUEST, "x: unknown field"))
    assert answer == {
        "type": "error", "id": None, "code": "INVALID_REQUEST", "message": "x: unknown field",
        "retryable": False,
    }  # fmt: skip


@pytest.mark.parametrize(("ref_type", "has_bet"), [("BET", True), ("DEPOSIT", False)])
def test_a_push_carries_no_id_and_a_bet_id_only_for_bets(ref_type: str, has_bet: bool) -> None:
    entry = Entry(918, 7, "EUR", -250, 99750, ref_type, BET_ID, 88123, 412, 917)
    expected = {
        "type": "wallet.entry", "seq": 918, "prev_seq": 917, "transaction_id": 88123, "kind": ref_type,
        "amount": -250, "balance": 99750, "at": 1_760_000_000_000,
    }  # fmt: skip
    assert as_json(wallet_entry(entry, 1_760_000_000_000_999)) == expected | (
        {"bet_id": BET_ID} if has_bet else {}
    )
