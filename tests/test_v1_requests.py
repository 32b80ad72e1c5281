"""From an HTTP request to a message, without a server: where each field comes from, and which key it has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.asking import BY_NAME, EVERY
from tests.operator_messages import BET_ID, NOW_MS
from ws.codec import read_request
from ws.v1.requests import NO_ID, Parts, Unread, read, shape_of
from ws.v1.routes import Where
from ws.wire.fields import Request
from ws.wire.messages import BetPlace
from ws.wire.operators import BetSettle, WalletDeposit
from ws.wire.reads import EntriesGet

KEY = "0199a5f0-1111-7222-8333-444455557777"


def asked(
    name: str,
    body: object = None,
    *,
    path: dict[str, str] | None = None,
    query: list[tuple[str, str]] | None = None,
    keys: tuple[str, ...] = (),
    content_type: str = "application/json",
) -> Request | Unread:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    parts = Parts(path or {}, query or [], keys, content_type, content, NOW_MS)
    return read(shape_of(BY_NAME[name]), parts)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_request_is_the_message_of_the_socket(name: str) -> None:
    route, fields = BY_NAME[name], EVERY[name]
    at = {field.name: field.where for field in route.fields()}
    given = {
        "path": {each: str(value) for each, value in fields.items() if at[each] is Where.PATH},
        "query": [(each, str(value)) for each, value in fields.items() if at[each] is Where.QUERY],
        "keys": ("k1",) if route.needs_key else (),
    }
    body = {each: value for each, value in fields.items() if at[each] is Where.BODY} or None
    key = {"key": "k1"} if route.needs_key else {}
    on_the_socket = read_request(route.request, {"id": NO_ID} | key | fields)
    assert asked(name, body, **given) == on_the_socket  # type: ignore[arg-type]
    assert isinstance(on_the_socket, route.request)


def deposit(key_in_body: object = None, *keys: str) -> Request | Unread:
    body = {"user_id": 7, "amount": 5} | ({} if key_in_body is None else {"key": key_in_body})
    return asked("wallet.deposit", body, keys=keys)


def test_a_key_is_in_the_header_or_in_the_body_or_in_both_alike() -> None:
    told = WalletDeposit(NO_ID, "k", 7, 5)
    assert deposit(None, "k") == deposit("k") == deposit("k", "k") == told
    assert deposit("ß∂😀") == WalletDeposit(NO_ID, "ß∂😀", 7, 5)


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (deposit(), "Idempotency-Key"),
        (deposit(None, "k", "k"), "Idempotency-Key"),
        (deposit(None, ""), "Idempotency-Key"),
        (deposit(None, "x" * 65), "Idempotency-Key"),
        (deposit(None, "ß"), "Idempotency-Key"),
        (deposit("other", "k"), "Idempotency-Key"),
        (deposit(""), "key"),
        (deposit("x" * 65), "key"),
        (deposit(7), "key"),
    ],
)
def test_a_key_that_is_none_is_refused(refused: Request | Unread, field: str) -> None:
    assert isinstance(refused, Unread)
    assert (refused.message.partition(":")[0], refused.status) == (field, 400)


def bet(*keys: str, **fields: Any) -> BetPlace | Unread:
    request = asked("bet.place", {"stake": 5} | fields, keys=keys)
    assert isinstance(request, BetPlace | Unread)
    return request


def test_what_a_bet_may_leave_out() -> None:
    """PROTOCOL: "`Idempotency-Key` for every POST that moves money", and of a bet: "`bet_id`: … made and kept
    by the client before sending". Nowhere that the two are one: whoever sends each keeps the contract, and
    the `bet_id` is what his bet is known by (docs/adr/0026)."""
    assert bet(KEY) == BetPlace(NO_ID, KEY, 5, KEY, NOW_MS)
    assert bet("round-17", bet_id=BET_ID) == BetPlace(NO_ID, BET_ID, 5, "round-17", NOW_MS)
    assert bet(bet_id=BET_ID) == BetPlace(NO_ID, BET_ID, 5, BET_ID, NOW_MS)
    assert bet(KEY, bet_id=BET_ID) == BetPlace(NO_ID, BET_ID, 5, KEY, NOW_MS)
    # Shorter than a nonce may be: a key is no nonce then.
    assert bet("short", bet_id=BET_ID) == BetPlace(NO_ID, BET_ID, 5, BET_ID, NOW_MS)
    assert bet(KEY, bet_id=BET_ID, nonce="n" * 8, sent_at=1) == BetPlace(NO_ID, BET_ID, 5, "n" * 8, 1)


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (bet(), "bet_id"),
        (bet("round-17"), "bet_id"),
        (bet(KEY.upper()), "bet_id"),
        (bet(bet_id=None), "bet_id"),
        (bet(bet_id=BET_ID, nonce=None), "nonce"),
        (bet(bet_id=BET_ID, key="k"), "key"),
    ],
)
def test_what_a_bet_may_not_leave_out(refused: BetPlace | Unread, field: str) -> None:
    assert isinstance(refused, Unread)
    assert refused.message.startswith(f"{field}: ")


def test_a_field_has_one_place() -> None:
    path = {"bet_id": BET_ID}
    sound = asked("bet.settle", {"result": "lost"}, path=path, keys=("k",))
    assert sound == BetSettle(NO_ID, "k", BET_ID, "lost")  # type: ignore[arg-type]
    twice = asked("bet.settle", {"result": "lost", "bet_id": BET_ID}, path=path, keys=("k",))
    assert twice == Unread("bet_id: it stands in the path")
    assert asked("wallet.entries", query=[("after", "7")]) == EntriesGet(NO_ID, 7)
    assert asked("wallet.entries", query=[("after", "7"), ("after", "8")]) == Unread("after: there twice")
    assert asked("wallet.deposit", {"user_id": 7, "amount": 5}, query=[("key", "k")]) == Unread(
        "key: unknown parameter"
    )


@pytest.mark.parametrize(
    "text", ["", " 7", "7 ", "+7", "07", "7.0", "7e0", "٧", "0x7", "1_0", "-0", "9" * 19]
)
def test_a_parameter_is_a_decimal_integer_and_nothing_like_it(text: str) -> None:
    refused = asked("wallet.entries", query=[("after", text)])
    assert isinstance(refused, Unread)
    assert refused.message.startswith("after: expected an integer")


@pytest.mark.parametrize(
    ("content_type", "is_read"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON ;x=y", True),
        ("application/json-patch+json", False),
        ("text/json", False),
        ("", False),
    ],
)
def test_a_body_is_json_by_its_media_type(content_type: str, is_read: bool) -> None:
    body = {"user_id": 7, "amount": 5}
    told = asked("wallet.deposit", body, keys=("k",), content_type=content_type)
    assert (
        told == WalletDeposit(NO_ID, "k", 7, 5)
        if is_read
        else isinstance(told, Unread) and told.status == 415
    )


@pytest.mark.parametrize(
    ("legs", "name"),
    [
        ('[{"user_id":7,"amount":-5},{"user_id":8,"amount":5}],"legs":[]', "legs"),
        ('[{"user_id":7,"amount":-5},{"user_id":8,"amount":5,"amount":5}]', "amount"),
        ('[{"user_id":7,"amount":-5},{"\\u0075ser_id":8,"amount":5,"user_id":8}]', "user_id"),
    ],
)
def test_what_is_there_twice_is_refused(legs: str, name: str) -> None:
    """Of a sound body: of two values different readers take different ones."""
    sound = b'{"legs":[{"user_id":7,"amount":-5},{"user_id":8,"amount":5}]}'
    assert not isinstance(asked("wallet.transfer", sound, keys=("k",)), Unread)
    refused = asked("wallet.transfer", f'{{"legs":{legs}}}'.encode(), keys=("k",))
    assert isinstance(refused, Unread)
    assert refused.message.startswith(f"{name}: ")
