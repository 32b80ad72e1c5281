"""What runs beside the bets: that its death is told, and stops nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.process import Server, seed
from harness.wire import bet, connect
from ws.beside.tasks import Beside

WITHIN_S = 10.0


async def for_ever() -> None:
    await asyncio.Event().wait()


async def dies() -> None:
    raise ZeroDivisionError("made up by a test")


async def ends() -> None:
    """As a self-check that is switched off."""


def test_who_dies_is_named_in_the_log_and_in_health_and_nobody_else_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        beside = Beside()
        beside.start("sleeper", for_ever())
        beside.start("idler", ends())
        assert beside.health() == {"status": "ok"}
        beside.start("runner", dies())
        beside.start("walker", dies())
        async with asyncio.timeout(WITHIN_S):
            while beside.health()["status"] == "ok":
                await asyncio.sleep(0)
        assert beside.health() == {"status": "failed", "why": "died: runner, walker"}
        assert [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}] == ["sleeper"]
        await beside.stop(WITHIN_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == [
        f"the {name} has died; bets go on without it until a restart" for name in ("runner", "walker")
    ]
    assert {record.levelno for record in caplog.records} == {logging.CRITICAL}
    assert all(record.exc_info is not None for record in caplog.records)


def test_a_stop_is_no_death_and_waits_for_nobody_who_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        is_over = asyncio.Event()

        async def stubborn() -> None:
            while not is_over.is_set():
                try:
                    await is_over.wait()
                except asyncio.CancelledError:
                    continue

        beside = Beside()
        await beside.stop(WITHIN_S)
        beside.start("sleeper", for_ever())
        beside.start("stubborn", stubborn())
        await asyncio.sleep(0)
        await asyncio.wait_for(beside.stop(0.01), WITHIN_S)
        assert [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}] == ["stubborn"]
        assert beside.health() == {"status": "ok"}
        is_over.set()
        await beside.stop(WITHIN_S)

    asyncio.run(run())
    assert caplog.messages == []


def test_bets_go_on_without_a_keeper_of_the_log_and_operators_are_told(tmp_path: Path) -> None:
    db = tmp_path / "books.db"
    (player,) = seed(db, 1)
    with Server(db, module="tests.broken.keeperless") as server:
        told = asyncio.run(told_of_a_death(server, player["token"]))
        assert told["status"] == "ready"
        assert told["beside"] == {"status": "failed", "why": "died: keeper of the write-ahead log"}
        assert server.stop() == 0
        assert server.log is not None
        said = server.log.read_text()
    assert said.count("the keeper of the write-ahead log has died; bets go on without it") == 1
    assert "ZeroDivisionError: made up by a test" in said


async def told_of_a_death(server: Server, token: str) -> dict[str, Any]:
    async with asyncio.timeout(WITHIN_S), connect(server.ws, token) as wire:
        while (told := await asyncio.to_thread(ready, server))["beside"]["status"] == "ok":
            pass  # the question is what takes the time
        assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"
    return told


def ready(server: Server) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.http}/health/ready") as answer:
        told: dict[str, Any] = json.load(answer)
    return told
