"""The audit log of a real server, asked over real sockets by two operators, an auditor and a player."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from harness.process import Server, seed, solidgreen
from harness.wire import Wire, bet, connect
from tests.operating import new_key, refused
from tests.server_fixture import World, mint

HOST, CASHIER = 2**50 + 1, 2**50 + 2


def deeds(db: Path, actor_id: int) -> list[dict[str, Any]]:
    """As the command line tells them beside the server, oldest first."""
    told = solidgreen("audit-log", "--db", str(db), "--actor", str(actor_id), "--json").stdout
    return [json.loads(line) for line in told.splitlines()][::-1]


async def ask(wire: Wire, type_: str, /, **fields: object) -> dict[str, Any]:
    return await wire.ask({"type": type_, "key": new_key()} | fields)


def test_what_two_operators_did_is_told_of_each(world: World) -> None:
    user_id, token = world.player()
    won, lost = bet(100), bet(50)

    async def scenario() -> list[dict[str, Any]]:
        async with (
            connect(world.server.ws, token) as player,
            connect(world.server.ws, mint(HOST, "operator")) as host,
            connect(world.server.ws, mint(CASHIER, "admin")) as cashier,
        ):
            for placed in (won, lost):
                assert (await player.ask(placed))["type"] == "bet.confirmed"
            settle = {"key": "s1", "bet_id": won["bet_id"], "result": "won", "payout": 250}
            answers = [
                await ask(host, "bet.settle", **settle),
                await ask(cashier, "wallet.deposit", key="d1", user_id=user_id, amount=500),
                await ask(host, "bet.settle", **settle),
                await ask(host, "bet.settle", **settle | {"payout": 251}),
                await ask(host, "bet.rollback", key="r1", bet_id=lost["bet_id"]),
                await ask(cashier, "wallet.withdraw", key="w1", user_id=user_id, amount=10**12),
                await ask(cashier, "wallet.withdraw", key="w1", user_id=user_id, amount=10**12),
            ]
            for_player = await ask(player, "bet.settle", bet_id=won["bet_id"], result="lost")
            assert refused(for_player, "FORBIDDEN")
            return answers

    settled, deposited, again, conflict, rolled_back, *short = asyncio.run(scenario())
    assert again == settled | {"id": again["id"], "replayed": True}
    assert refused(conflict, "IDEMPOTENCY_CONFLICT")
    assert all(refused(each, "INSUFFICIENT_FUNDS") for each in short)

    told = deeds(world.server.db, HOST)
    assert [(each["action"], each["key"], each["outcome"]) for each in told] == [
        ("bet.settle", "s1", "accepted"),
        ("bet.settle", "s1", "IDEMPOTENCY_CONFLICT"),
        ("bet.rollback", "r1", "accepted"),
    ]
    assert [each["transaction_id"] for each in told] == [
        settled["transaction_id"],
        None,
        rolled_back["transaction_id"],
    ]
    who = {(each["actor"], each["role"], each["address"], each["door"]) for each in told}
    assert who == {(HOST, "operator", "127.0.0.1", "ws")}
    assert told[0]["subject"] == {"bet_id": won["bet_id"], "result": "won", "payout_minor": 250}

    told = deeds(world.server.db, CASHIER)
    assert [(each["action"], each["key"], each["outcome"]) for each in told] == [
        ("wallet.deposit", "d1", "accepted"),
        ("wallet.withdraw", "w1", "INSUFFICIENT_FUNDS"),
        ("wallet.withdraw", "w1", "INSUFFICIENT_FUNDS"),
    ]
    assert {each["role"] for each in told} == {"admin"}
    assert told[0]["transaction_id"] == deposited["transaction_id"]
    assert deeds(world.server.db, user_id) == []
    world.assert_sound()


def test_who_may_only_read_leaves_no_deed(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, mint(HOST + 7, "auditor")) as auditor:
            assert refused(await ask(auditor, "wallet.deposit", user_id=7, amount=1), "FORBIDDEN")
            assert refused(await auditor.ask({"type": "clock.confirm"}), "FORBIDDEN")

    asyncio.run(scenario())
    assert deeds(world.server.db, HOST + 7) == []


def test_a_bet_that_an_operator_places_is_his_deed(world: World) -> None:
    user_id, _ = world.player()
    placed, dear = bet(100, user_id=user_id), bet(10**9, user_id=user_id)

    async def scenario() -> None:
        async with connect(world.server.ws, mint(HOST + 3, "operator")) as host:
            assert (await host.ask(placed))["type"] == "bet.confirmed"
            assert (await host.ask(dear))["code"] == "INSUFFICIENT_FUNDS"

    asyncio.run(scenario())
    told = deeds(world.server.db, HOST + 3)
    assert [(each["action"], each["key"], each["outcome"]) for each in told] == [
        ("bet.place", placed["bet_id"], "accepted"),
        ("bet.place", dear["bet_id"], "INSUFFICIENT_FUNDS"),
    ]
    assert told[0]["subject"] == {"bet_id": placed["bet_id"], "user_id": user_id, "stake_minor": 100}


def test_the_clock_is_confirmed_by_somebody(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, mint(HOST + 2, "operator")) as host:
            assert (await host.ask({"type": "clock.confirm"}))["state"] == "sure"

    asyncio.run(scenario())
    (told,) = deeds(world.server.db, HOST + 2)
    assert (told["action"], told["outcome"], told["key"]) == ("clock.confirm", "accepted", None)
    assert told["subject"] == {"jumped_us": 0}


@pytest.mark.parametrize("sent", ["one at a time", "at once"])
def test_whatever_was_answered_before_a_kill_is_in_the_log(tmp_path: Path, sent: str) -> None:
    db = tmp_path / "wallet.db"
    (player,) = seed(db, 1)
    requests = [
        {"type": "wallet.deposit", "key": f"d{number}", "user_id": player["id"], "amount": 1}
        if number % 3
        else {"type": "hold.release", "key": f"r{number}", "hold_id": 10**6 + number}
        for number in range(60)
    ]

    async def scenario(server: Server) -> list[dict[str, Any]]:
        async with connect(server.ws, mint(HOST, "operator")) as host:
            if sent == "at once":
                answers = list(await host.ask_all(*requests))
            else:
                answers = [await host.ask(request) for request in requests]
            server.kill()
            return answers

    with Server(db) as server:
        answers = asyncio.run(scenario(server))
    expected = [
        (request["key"], answer.get("transaction_id"), answer.get("code", "accepted"))
        for request, answer in zip(requests, answers, strict=True)
    ]
    assert {each[2] for each in expected} == {"accepted", "NOT_FOUND"}
    told = deeds(db, HOST)
    assert [(each["key"], each["transaction_id"], each["outcome"]) for each in told] == expected


def test_the_address_is_that_of_the_peer_whatever_it_says_of_a_proxy(world: World) -> None:
    async def scenario() -> None:
        for headers in ({}, {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "x" * 500}):
            async with connect(world.server.ws, mint(HOST + 4, "operator"), headers=headers) as host:
                await ask(host, "hold.release", hold_id=10**9)

    asyncio.run(scenario())
    told = deeds(world.server.db, HOST + 4)
    assert [each["address"] for each in told] == ["127.0.0.1"] * 3, "none is trusted unless told so"
