"""The client in JavaScript, in Node against a real server: the main scenes of the client in Python."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.in_node import FOLDER, command, node
from tests.server_fixture import OPENING, World, mint, running
from tests.tcp_proxy import TcpProxy
from tests.test_client import UNSEEN, play
from tests.test_client_faults import stakes_paid

pytestmark = pytest.mark.long

KILLS = 4
BETS, CUTS = 1000, 20


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[World]:
    """A server of this test's own, to be killed and started again on its port."""
    with running(tmp_path, players=2) as world:
        yield world


class Scene:
    """A scene that plays in Node, and says lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self) -> dict[str, Any]:
        """The next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "it has ended"
        told: dict[str, Any] = json.loads(line)
        return told

    def go_on(self) -> None:
        """It waits for that."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")


@asynccontextmanager
async def playing(scene: str, *arguments: str) -> AsyncIterator[Scene]:
    """Run a scene beside the test; it ends well."""
    process = await asyncio.create_subprocess_exec(
        *command(), FOLDER / "client_in_node.mjs", scene, *arguments,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Scene(process)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def told_by(scene: str, world: World, *arguments: str) -> dict[str, Any]:
    """What a scene says that needs nobody."""
    told: dict[str, Any] = json.loads(node("client_in_node.mjs", scene, world.server.ws, *arguments))
    return told


def test_the_answers_are_those_of_the_server(world: World) -> None:
    _, token = world.player()

    told = told_by("answers", world, token, world.operator, UNSEEN)

    assert (told["first"]["type"], told["first"]["replayed"]) == ("bet.confirmed", False)
    assert told["balance"] == {
        "currency": "EUR", "balance": OPENING - 250, "held": 0, "available": OPENING - 250,
        "seq": told["first"]["seq"],
    }  # fmt: skip
    assert (told["rejected"]["type"], told["rejected"]["code"]) == ("bet.rejected", "INSUFFICIENT_FUNDS")
    assert (told["invalid"]["raised"], told["invalid"]["code"]) == ("Refused", "INVALID_REQUEST")
    assert (told["state"], told["unseen"], told["settled"]["state"]) == ("confirmed", None, "lost")
    assert told["forbidden"]["code"] == "FORBIDDEN"
    assert (told["is_bet"]["raised"], told["resolved"]["raised"]) == ("TypeError", "RangeError")
    assert (told["unresolved"], told["house"], told["role"]) == ([], None, "operator")


def test_what_comes_unasked_is_handed_on_over_two_sockets(world: World) -> None:
    _, token = world.player()

    async def scene() -> None:
        proxy = TcpProxy(world.server.port)
        async with proxy.serving(), playing("pushes", proxy.ws, token) as pushes:
            assert await pushes.says() == ["welcome"]
            proxy.reset()
            assert await pushes.says() == ["welcome", "welcome"]
            assert await pushes.says() == ["welcome", "welcome", "wallet.entry"]

    play(scene)


def test_what_the_page_about_clients_shows_works(world: World, tmp_path: Path) -> None:
    _, token = world.player()
    page = (FOLDER.parent / "docs/clients.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```javascript\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    client = (FOLDER.parent / "clients/javascript/solidgreen.js").as_uri()
    block = block.replace("./clients/javascript/solidgreen.js", client).replace(
        "127.0.0.1:8000", f"127.0.0.1:{world.server.port}"
    )
    script = tmp_path / "page.mjs"
    socket = (FOLDER / "websocket.mjs").as_uri()
    script.write_text(
        f'import {{WebSocket as Given}} from "{socket}";\nglobalThis.WebSocket ??= Given;\n{block}'
    )
    done = subprocess.run(
        [*command(), script], env=os.environ | {"TOKEN": token}, capture_output=True, text=True, timeout=60
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"bet.confirmed {OPENING - 250}", f"DEPOSIT {OPENING} {OPENING}", f"BET -250 {OPENING - 250}"
    ]  # fmt: skip


def test_what_callers_do_and_what_comes_too_late_or_never() -> None:
    told = json.loads(node("client_in_node.mjs", "made_up", "ws://made.up/ws"))

    assert told == {
        "late": ["Unresolved", True, 1, "bet.confirmed", 0],
        "never_arrived": ["not_placed", True],
        "unwritable": ["TypeError", "pong"],
        "sent_again": [-1, -1],
        "for_ever": "bet.confirmed",
        "aborted": ["RangeError", True, 1, 7],
        "twice": [False, True, "bet.confirmed", False],
        "stubborn": "bet.confirmed",
    }


def test_a_token_that_is_refused_is_the_end_unless_there_is_another(world: World) -> None:
    user_id, token = world.player()

    told = told_by("refused", world, mint(user_id, life_s=-10), token)

    assert told["expired"]["raised"] == told["always"]["raised"] == "NotAuthenticated"
    assert "3 tokens in a row" in told["always"]["message"]
    assert told["gone"]["raised"] == "GivenUp"
    assert told["ended"]["raised"] == told["too_late"]["raised"] == "NotAuthenticated"
    assert told["unresolved"] == [], "a bet that never left is no riddle"
    assert (told["welcome"], told["left"], told["is_error"]) == (user_id, 0, True)


def test_a_thousand_bets_through_twenty_cuts(world: World) -> None:
    user_id, token = world.player()

    async def scene() -> None:
        proxy = TcpProxy(world.server.port)
        async with proxy.serving(), playing("many", proxy.ws, token, str(BETS), str(BETS // CUTS)) as many:
            for _ in range(CUTS):
                assert "answered" in await many.says()
                proxy.reset()
            told = await many.says()
        assert told["types"] == ["bet.confirmed"]
        assert (told["bets"], told["entries"], told["in_order"]) == (BETS, BETS, True)
        assert told["balance"] == told["refreshed"]
        assert told["balance"]["balance"] == OPENING - sum(1 + number % 7 for number in range(BETS))
        assert told["unresolved"] == []
        assert proxy.connections > CUTS / 2

    play(scene)
    assert sorted(stakes_paid(world, user_id)) == sorted(1 + number % 7 for number in range(BETS))
    world.assert_sound()


def test_a_server_killed_between_pending_and_confirmed_debits_once(mortal: World) -> None:
    user_id, token = mortal.player()
    killed = asyncio.Event()

    def kill(said: bytes) -> None:
        if b'"bet.pending"' in said and not killed.is_set():
            mortal.server.kill()
            killed.set()

    async def scene() -> None:
        proxy = TcpProxy(mortal.server.port, on_reply=kill)
        async with proxy.serving(), playing("one_at_a_time", proxy.ws, token, str(KILLS)) as bettor:
            for number in range(KILLS):
                assert await bettor.says() == {"placed": number}
                await killed.wait()
                await asyncio.to_thread(mortal.server.start)
                assert (await bettor.says())["type"] == "bet.confirmed"
                killed.clear()
                bettor.go_on()
            told = await bettor.says()
        assert told["balance"] == told["refreshed"]
        assert told["balance"]["balance"] == OPENING - sum(100 + number for number in range(KILLS))
        assert told["unresolved"] == []

    play(scene)
    assert stakes_paid(mortal, user_id) == [100 + number for number in range(KILLS)]


def test_a_page_that_is_loaded_again_finds_its_bets(world: World, tmp_path: Path) -> None:
    user_id, token = world.player()
    _, other = world.player()
    storage = str(tmp_path / "storage")
    script = [*command(), FOLDER / "client_in_node.mjs", "leave", world.server.ws, token, storage]
    assert subprocess.run(script, timeout=60).returncode == -9

    told = told_by("come_back", world, token, storage, other)

    assert told["left"] > 0, "it was killed with bets in flight"
    assert told["found"] == ["bet.confirmed"]
    assert (told["unresolved"], told["stranger"], told["stored"]) == ([], [], 0)
    assert len(stakes_paid(world, user_id)) == 900


def test_a_page_that_was_closed_between_keeping_a_bet_and_sending_it(world: World, tmp_path: Path) -> None:
    user_id, token = world.player()
    _, other = world.player()
    storage = str(tmp_path / "storage")
    script = [
        *command(),
        FOLDER / "client_in_node.mjs",
        "leave_before_sending",
        world.server.ws,
        token,
        storage,
    ]
    assert subprocess.run(script, timeout=60).returncode == -9
    assert stakes_paid(world, user_id) == []

    told = told_by("come_back", world, token, storage, other)

    assert (told["left"], told["found"], told["unresolved"]) == (1, ["bet.confirmed"], [])
    assert stakes_paid(world, user_id) == [9]


def test_what_others_write_into_the_storage_is_left_alone(world: World, tmp_path: Path) -> None:
    _, token = world.player()

    told = told_by("strange_storage", world, token, str(tmp_path / "storage"))

    assert told == {"unresolved": ["mine"], "type": "bet.confirmed", "is_forgotten": True}


def test_what_may_have_left_before_is_kept_where_asking_again_is_refused(
    world: World, tmp_path: Path
) -> None:
    _, token = world.player()

    told = told_by("place_again", world, token, str(tmp_path / "storage"))

    assert told == {
        "refused": ["IDEMPOTENCY_CONFLICT", "INVALID_REQUEST"],
        "is_kept": True, "type": "bet.confirmed", "replayed": True, "unresolved": [],
    }  # fmt: skip


def test_a_client_that_is_closed_tells_whoever_waits_and_leaves_nothing_behind(
    world: World, tmp_path: Path
) -> None:
    user_id, token = world.player()

    first, second = map(json.loads, node(
        "client_in_node.mjs", "closing", world.server.ws, token, str(tmp_path / "storage")
    ).splitlines())  # fmt: skip

    assert [(first[call]["raised"], first[call]["was_sent"]) for call in ("sent", "unsent", "late")] == [
        ("Unresolved", True), ("Unresolved", False), ("Unresolved", False)
    ]  # fmt: skip
    assert (first["left"], first["timers"]) == (1, 0)
    assert {first["ready"]["raised"], first["waits"]["raised"]} == {"GivenUp"}
    assert (second["fate"]["type"], second["unresolved"]) == ("bet.confirmed", [])
    assert stakes_paid(world, user_id) == [10]


def test_tokens_that_expire_cost_no_bet(world: World) -> None:
    user_id, _ = world.player()
    tokens = [mint(user_id, life_s=life_s) for life_s in (3, 5, 7, 600)]

    told = told_by("tokens", world, *tokens)

    assert told["asked"] == 2 * len(tokens), "each was to be had at the second try"
    assert told["types"] == ["bet.confirmed"]
    assert told["balance"]["balance"] == OPENING - told["bets"]
    assert told["unresolved"] == []
