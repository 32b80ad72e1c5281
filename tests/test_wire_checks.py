"""Checks of the books at a real server: by both doors, with how far it is, written down, one at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from harness.wire import Wire, connect
from tests.asking import ask
from tests.server_fixture import World, mint


async def ended(wire: Wire, name: str) -> list[dict[str, Any]]:
    """What is pushed of a check until its end."""
    heard = []
    async with asyncio.timeout(90):  # it has only the time that nobody else wants
        while not heard or heard[-1]["state"] == "running":
            heard.append(await wire.push("check"))
            assert heard[-1]["check"] == name
    return heard


@pytest.mark.parametrize("name", ["reconcile", "verify"])
def test_whoever_begins_one_hears_of_it_until_its_end(world: World, name: str) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, mint(7, "operator")) as wire:
            begun = await wire.ask({"type": "check.begin", "check": name})
            assert (begun["state"], begun["by"], begun["at"]) == ("running", "operator 7", None)
            *_, last = heard = await ended(wire, name)
            assert all("id" not in each for each in heard)
            assert (last["state"], last["found"], last["findings"]) == ("ok", 0, [])
            assert last["began_at"] == begun["began_at"] <= last["at"]
            ((block, hash_),) = world.query("SELECT id, hash FROM blocks ORDER BY id DESC LIMIT 1")
            assert last["head"] == {"block": block, "hash": hash_.hex()}
            assert last["entries"] == world.entries()
            told = await wire.ask({"type": "check.get", "check": name})
            assert told == last | {"id": told["id"]}
            assert wire.pushes == [], "there is nothing to follow any more"
        with httpx.Client(base_url=world.server.http, trust_env=False) as http:
            found = ask(http, "check.get", {"check": name}, token=world.auditor)
            assert found.json() == last

    before = world.query("SELECT coalesce(max(id), 0) FROM audit_log")[0][0]
    asyncio.run(scenario())
    assert world.query(
        "SELECT actor, role, door, action, subject, outcome FROM audit_log WHERE id > ?", before
    ) == [
        (7, "operator", "ws", "check.begin", json.dumps({"check": name}, separators=(",", ":")), "accepted")
    ]


def test_a_second_wish_is_the_same_check_and_both_hear_its_end(world: World) -> None:
    async def scenario() -> None:
        async with (
            connect(world.server.ws, mint(7, "operator")) as first,
            connect(world.server.ws, mint(8, "auditor")) as second,
            connect(world.server.ws, mint(9, "operator")) as idle,
            httpx.AsyncClient(base_url=world.server.http, trust_env=False) as http,
        ):
            assert (await idle.ask({"type": "check.get", "check": "verify"}))["state"] != "running"
            wanted = {"type": "check.begin", "check": "verify"}
            begun, joined = await asyncio.gather(first.ask(wanted), second.ask(wanted))
            by.append(begun["by"])
            assert (joined["by"], joined["began_at"]) == (begun["by"], begun["began_at"])
            headers = {"Authorization": f"Bearer {mint(9, 'admin')}"}
            third = await http.post("/v1/checks/verify", headers=headers)
            assert (third.status_code, third.json()["began_at"]) == (200, begun["began_at"])
            assert (await ended(first, "verify"))[-1] == (await ended(second, "verify"))[-1]
            await idle.ask({"type": "ping"})
            assert idle.pushes == [], "it has asked when there was nothing to follow"

    by: list[str] = []
    before = world.query("SELECT coalesce(max(id), 0) FROM audit_log")[0][0]
    asyncio.run(scenario())
    ((actor, role, door),) = world.query("SELECT actor, role, door FROM audit_log WHERE id > ?", before)
    assert ([f"{role} {actor}"], door) == (by, "ws"), "who joins it does nothing"


def test_the_self_check_shows_the_same_verdict(world: World) -> None:
    with httpx.Client(base_url=world.server.http, trust_env=False) as http:
        ready = http.get("/health/ready").json()["self_check"]
        told = ask(http, "check.get", {"check": "verify"}, token=world.operator).json()
        assert (ready["status"], ready.get("at")) == (told["state"], told["at"])


def test_there_are_two_and_no_others(world: World) -> None:
    words = "check: expected reconcile or verify"

    async def scenario() -> None:
        async with connect(world.server.ws, world.operator) as wire:
            for wrong in ({"check": "all"}, {"check": 1}, {}):
                refused = await wire.ask({"type": "check.begin"} | wrong)
                assert (refused["code"], refused["message"]) == ("INVALID_REQUEST", words)

    asyncio.run(scenario())
    with httpx.Client(base_url=world.server.http, trust_env=False) as http:
        for name in ("check.begin", "check.get"):
            refused = ask(http, name, {"check": "all"}, token=world.operator)
            assert (refused.status_code, refused.json()["detail"]) == (400, words)
