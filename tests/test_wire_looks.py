"""What the staff, and players, look up at a real server: players, payouts, a bet's trail, entries, keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engine.keys import as_pem
from harness.wire import connect, new_bet_id
from tests.asking import ask, code_of
from tests.server_fixture import World, mint

NOBODY = 2**50 - 1


@pytest.fixture(scope="module")
def http(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.server.http, trust_env=False) as client:
        yield client


def done(http: httpx.Client, world: World, name: str, **fields: Any) -> dict[str, Any]:
    answer = ask(http, name, fields, token=world.operator)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def seen(http: httpx.Client, name: str, token: str, **fields: Any) -> dict[str, Any]:
    answer = ask(http, name, fields, token=token)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def on_a_socket(world: World, token: str, request: dict[str, Any]) -> dict[str, Any]:
    async def one() -> dict[str, Any]:
        async with connect(world.server.ws, token) as wire:
            reply: dict[str, Any] = await wire.ask(request)
            return {name: value for name, value in reply.items() if name != "id"}

    return asyncio.run(one())


def test_players_are_found_by_number_and_by_name(world: World, http: httpx.Client) -> None:
    registered = http.post("/v1/auth/register", json={"username": "Zoë.Zett", "password": "correct horse 7"})
    assert registered.status_code == 201, registered.text
    number = registered.json()["user_id"]
    item = {"user_id": number, "username": "zoë.zett", "currency": "EUR", "status": "open"}
    funds = {"balance": 0, "held": 0, "available": 0}
    expected = {"type": "players", "items": [item | funds], "more": False}
    for text in ("zoë", "ZOË.", str(number)):
        assert seen(http, "player.find", world.auditor, text=text) == expected
    assert on_a_socket(world, world.operator, {"type": "player.find", "text": "zoë"}) == expected
    done(http, world, "wallet.hold", user_id=(other := world.player()[0]), amount=30)
    (found,) = seen(http, "player.find", world.operator, text=str(other))["items"]
    assert (found["username"], found["balance"], found["held"], found["available"]) == (
        None, 100_000, 30, 99_970,
    )  # fmt: skip
    assert seen(http, "player.find", world.operator, text="nobody")["items"] == []


@pytest.mark.parametrize("text", ["", "x" * 65, "a\u0007"])
def test_what_is_no_beginning_of_a_name_is_refused(world: World, http: httpx.Client, text: str) -> None:
    answer = ask(http, "player.find", {"text": text}, token=world.operator)
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "text: expected a string of 1 to 64 characters, no control characters",
    )


def test_payouts_are_listed_newest_first_page_by_page(world: World, http: httpx.Client) -> None:
    user_id, _ = world.player()
    made = [
        done(http, world, "payout.make", currency="EUR", items=[{"user_id": user_id, "amount": 5}]),
        done(http, world, "payout.open", currency="EUR"),
        done(http, world, "payout.make", currency="EUR", items=[{"user_id": world.blocked_id, "amount": 7}]),
    ]
    shown = seen(http, "payout.list", world.auditor, limit=2)
    assert [each["payout_id"] for each in shown["items"]] == [made[2]["payout_id"], made[1]["payout_id"]]
    assert shown["next"] == str(made[1]["payout_id"])
    rest = seen(http, "payout.list", world.auditor, before=int(shown["next"]))
    assert rest["items"][0]["payout_id"] == made[0]["payout_id"]
    assert rest["next"] is None
    newest, collecting = shown["items"]
    told = seen(http, "payout.get", world.operator, payout_id=made[2]["payout_id"])
    same = ("payout_id", "state", "items", "total", "done", "suspended")
    assert {name: newest[name] for name in same} == {name: told[name] for name in same}
    assert (newest["suspended"], newest["currency"]) == (1, "EUR")
    ((at_us,),) = world.query(
        "SELECT at FROM transactions JOIN blocks ON blocks.id = block_id WHERE transactions.id = ?",
        newest["payout_id"],
    )
    assert newest["opened_at"] == at_us // 1000
    assert (collecting["state"], collecting["items"], collecting["total"]) == ("collecting", 0, 0)
    assert on_a_socket(world, world.operator, {"type": "payout.list", "limit": 2}) == shown
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": -1}):
        assert code_of(ask(http, "payout.list", wrong, token=world.operator)) == "INVALID_REQUEST"


def test_a_player_sees_the_way_of_his_own_bets_and_of_no_other(world: World, http: httpx.Client) -> None:
    (user_id, token), (_, foreign) = world.player(), world.player()
    bet_id = done(http, world, "bet.place", user_id=user_id, bet_id=new_bet_id(), stake=100)["bet_id"]
    done(http, world, "bet.settle", bet_id=bet_id, result="won", payout=250)
    own = seen(http, "bet.trail", token, bet_id=bet_id)
    assert own | {"transactions": []} == {
        "type": "bet.trail", "bet_id": bet_id, "user_id": user_id, "state": "won", "stake": 100,
        "payout": 250, "transactions": [],
    }  # fmt: skip
    placed, won = own["transactions"]
    assert (placed["kind"], won["kind"]) == ("BET", "WIN")
    assert [(each["user_id"], each["amount"], each["balance"]) for each in placed["entries"]] == [
        (user_id, -100, 99_900)
    ]
    assert [(each["user_id"], each["amount"], each["balance"]) for each in won["entries"]] == [
        (user_id, 250, 100_150)
    ]
    ((hash_,),) = world.query("SELECT hash FROM blocks WHERE id = ?", won["block"])
    assert won["hash"] == hash_.hex()
    whole = seen(http, "bet.trail", world.auditor, bet_id=bet_id)
    for step in whole["transactions"]:
        assert sum(entry["amount"] for entry in step["entries"]) == 0
        assert len(step["entries"]) == 2
    assert on_a_socket(world, token, {"type": "bet.trail", "bet_id": bet_id}) == own
    for stranger in (foreign, mint(NOBODY)):
        assert code_of(ask(http, "bet.trail", {"bet_id": bet_id}, token=stranger)) == "NOT_FOUND"
    for role in (token, world.operator):
        assert code_of(ask(http, "bet.trail", {"bet_id": new_bet_id()}, token=role)) == "NOT_FOUND"
        assert code_of(ask(http, "bet.trail", {"bet_id": "x"}, token=role)) == "INVALID_REQUEST"


def test_a_bet_rolled_back_before_it_came_is_told_to_the_staff_alone(
    world: World, http: httpx.Client
) -> None:
    user_id, token = world.player()
    bet_id = new_bet_id()
    done(http, world, "bet.rollback", bet_id=bet_id, user_id=user_id)
    told = seen(http, "bet.trail", world.operator, bet_id=bet_id)
    assert (told["user_id"], told["state"]) == (0, "rolled_back")
    assert [each["kind"] for each in told["transactions"]] == ["TOMBSTONE"]
    assert code_of(ask(http, "bet.trail", {"bet_id": bet_id}, token=token)) == "NOT_FOUND"


def test_entries_are_read_from_either_end(world: World, http: httpx.Client) -> None:
    user_id, token = world.player()
    for amount in (1, 2, 3, 4):
        done(http, world, "wallet.deposit", user_id=user_id, amount=amount)
    oldest_first = seen(http, "wallet.entries", token, after=0)["items"]
    assert seen(http, "wallet.entries", token)["items"] == oldest_first
    newest = seen(http, "wallet.entries", token, before=2**53 - 1, limit=3)
    assert newest["items"] == oldest_first[:-4:-1]
    older = seen(http, "wallet.entries", token, before=int(newest["next"]))
    assert newest["items"] + older["items"] == oldest_first[::-1]
    assert (older["next"], older["gap"]) == (None, False)
    assert seen(http, "wallet.entries", world.auditor, before=2**53 - 1, limit=3, user_id=user_id) == newest
    for wrong, words in (
        ({"before": 9, "after": 0}, "before, after: expected one of them"),
        (
            {"before": oldest_first[0]["seq"] - 1},
            "before: expected what `next` of another page says, or more than the newest seq of this wallet",
        ),
    ):
        answer = ask(http, "wallet.entries", wrong, token=token)
        assert (answer.status_code, answer.json()["detail"]) == (400, words)


def test_everybody_may_have_the_keys(world: World, http: httpx.Client) -> None:
    ((key_id, public_key),) = world.query("SELECT id, public_key FROM signers")
    expected = {"key_id": key_id.hex(), "public_key": as_pem(public_key), "since_block": 1}
    for token in (world.player()[1], world.operator, world.auditor):
        assert seen(http, "keys.get", token)["items"] == [expected]
        assert on_a_socket(world, token, {"type": "keys.get"}) == {"type": "keys", "items": [expected]}
