"""A player moves money out of his own wallet, by socket and by HTTP: to other players and to nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from harness.wire import connect
from tests.asking import ask, code_of, new_key
from tests.server_fixture import OPENING, Json, World, mint

Give = Callable[[str, list[Json]], Json]
"""Asks with this token for a transfer of these legs: what it answers, its `code` if it was refused."""


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


@pytest.fixture(params=["ws", "http"])
def give(request: pytest.FixtureRequest, world: World) -> Give:
    def over_http(token: str, legs: list[Json]) -> Json:
        with httpx.Client(base_url=world.server.http, trust_env=False) as http:
            answer = ask(http, "wallet.transfer", {"legs": legs}, token=token)
            return answer.json() | ({} if code_of(answer) == "OK" else {"type": "error"})  # type: ignore[no-any-return]

    async def over_a_socket(token: str, legs: list[Json]) -> Json:
        async with connect(world.server.ws, token) as wire:
            return await wire.ask({"type": "wallet.transfer", "key": new_key(), "legs": legs})

    if request.param == "http":
        return over_http
    return lambda token, legs: asyncio.run(over_a_socket(token, legs))


def leg(user_id: int, amount: int, **more: Any) -> Json:
    return {"user_id": user_id, "amount": amount} | more


def balance(world: World, user_id: int) -> int:
    return int(world.query("SELECT balance FROM users WHERE id = ?", user_id)[0][0])


def test_he_gives_of_his_own_and_nobody_is_shown_it(world: World, give: Give) -> None:
    """The answer is a part of the receipt, which his friend may have as well."""
    (giver, token), (friend, _) = world.player(), world.player()
    told = give(token, [leg(friend, 300), leg(giver, -300)])
    assert told["type"] == "wallet.moved"
    assert "balance" not in told
    kept = world.query("SELECT answer FROM transactions WHERE id = ?", told["transaction_id"])
    assert str(OPENING - 300) not in kept[0][0]
    assert (balance(world, giver), balance(world, friend)) == (OPENING - 300, OPENING + 300)


def test_he_gives_to_several_at_once_but_not_more_than_he_has(world: World, give: Give) -> None:
    (giver, token), (one, _), (two, _) = world.player(), world.player(), world.player()
    told = give(token, [leg(giver, -OPENING - 1), leg(one, OPENING), leg(two, 1)])
    assert told["code"] == "INSUFFICIENT_FUNDS"
    told = give(token, [leg(giver, -OPENING), leg(one, OPENING - 1), leg(two, 1)])
    assert balance(world, giver) == 0
    assert (balance(world, one), balance(world, two)) == (2 * OPENING - 1, OPENING + 1)


def test_he_takes_from_nobody(world: World, give: Give) -> None:
    (thief, token), (victim, _) = world.player(), world.player()
    before = world.entries()
    for legs in (
        [leg(victim, -5), leg(thief, 5)],
        [leg(thief, -1), leg(victim, -5), leg(thief, 6)],
        [leg(1, -5), leg(thief, 5)],
    ):
        assert give(token, legs)["code"] == "FORBIDDEN"
    assert world.entries() == before


def test_he_reaches_no_account_but_players_wallets(world: World, give: Give) -> None:
    giver, token = world.player()
    with httpx.Client(base_url=world.server.http, trust_env=False) as http:
        grant = {"user_id": giver, "amount": 50, "spend": "last"}
        bonus = ask(http, "bonus.grant", grant, token=world.operator).json()["user_id"]
    before = world.entries()
    for book in (*range(1, 7), 2**51 + 1, 2**52 + 1, bonus, 999_999):
        assert give(token, [leg(giver, -5), leg(book, 5)])["code"] == "ACCOUNT_NOT_FOUND", book
    # With a token of the bonus wallet's own number: bonus money would become cash.
    assert give(mint(bonus), [leg(bonus, -50), leg(giver, 50)])["code"] == "ACCOUNT_NOT_FOUND"
    assert world.entries() == before


def test_he_gives_no_other_name_to_it(world: World, give: Give) -> None:
    (giver, token), (friend, _) = world.player(), world.player()
    before = world.entries()
    for name in ("FEE", "TAX"):
        assert give(token, [leg(giver, -5), leg(friend, 5, name=name)])["code"] == "FORBIDDEN"
    assert world.entries() == before


def test_a_blocked_wallet_neither_gives_nor_gets(world: World, give: Give) -> None:
    giver, token = world.player()
    before = world.entries()
    assert give(token, [leg(giver, -5), leg(world.blocked_id, 5)])["code"] == "ACCOUNT_BLOCKED"
    blocked = mint(world.blocked_id)
    assert give(blocked, [leg(world.blocked_id, -5), leg(giver, 5)])["code"] == "ACCOUNT_BLOCKED"
    assert world.entries() == before


def test_his_keys_are_his_own_and_the_first_answer_is_the_answer(world: World) -> None:
    (giver, token), (friend, other) = world.player(), world.player()
    legs = [leg(giver, -7), leg(friend, 7)]
    with httpx.Client(base_url=world.server.http, trust_env=False) as http:
        key = new_key()
        first = ask(http, "wallet.transfer", {"legs": legs}, token=token, key=key)
        again = ask(http, "wallet.transfer", {"legs": legs}, token=token, key=key)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json() | {"replayed": True}
        changed = [leg(giver, -8), leg(friend, 8)]
        assert ask(http, "wallet.transfer", {"legs": changed}, token=token, key=key).status_code == 409
        back = ask(http, "wallet.transfer", {"legs": legs[::-1]}, token=other, key=key)
        assert code_of(back) == "FORBIDDEN"
        returned = [leg(friend, -7), leg(giver, 7)]
        assert ask(http, "wallet.transfer", {"legs": returned}, token=other, key=key).status_code == 201
    with closing(sqlite3.connect(world.server.db)) as connection:
        found = connection.execute("SELECT scope FROM transactions WHERE key = ? ORDER BY id", (key,))
        assert found.fetchall() == [(f"{giver}:transfer",), (f"{friend}:transfer",)]
