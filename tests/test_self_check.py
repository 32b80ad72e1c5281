"""The daily look at the books: when it is begun, and that it ends with the server."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.process import PATIENT, Server
from tests.books_open import BOB, place, play, seed
from ws.beside.checks import Check
from ws.beside.self_check import BY, look_daily


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = seed(tmp_path / "books.db", 1000, 500)
    play(path, [place(1, 200), place(2, 100, BOB)])
    return path


def test_it_is_begun_again_and_again(books: Path) -> None:
    async def twice() -> None:
        verify = Check("verify", books)
        tasks = [asyncio.create_task(verify.run()), asyncio.create_task(look_daily(verify, 1e-9))]
        for _ in range(2):
            verify.newest = None
            while verify.newest is None:
                await asyncio.sleep(0.01)
            assert (verify.shown().by, verify.newest.found) == (BY, 0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(asyncio.wait_for(twice(), 90))
    assert multiprocessing.active_children() == []


def test_a_check_ends_with_its_task(books: Path) -> None:
    async def cancelled() -> None:
        verify = Check("verify", books)
        tasks = [asyncio.create_task(verify.run()), asyncio.create_task(look_daily(verify, 1e-9))]
        while not multiprocessing.active_children():
            await asyncio.sleep(0)
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)  # it would never end by itself
        for task in tasks:
            task.cancel()
        done, _ = await asyncio.wait(tasks)
        assert all(task.cancelled() for task in done)

    asyncio.run(asyncio.wait_for(cancelled(), 20))
    assert multiprocessing.active_children() == []


def test_none_is_made_where_none_is_wanted(books: Path) -> None:
    verify = Check("verify", books)
    asyncio.run(look_daily(verify, 0))
    assert verify.state() == "never"


def test_a_server_checks_its_books_beside_the_bets(tmp_path: Path) -> None:
    db = seed(tmp_path / "books.db", 1000, 500)
    with Server(db, settings=PATIENT | {"self_check_s": "1"}) as server:
        deadline = time.monotonic() + 60  # it has only the time that nobody else wants
        while (told := shown(server))["status"] == "never":
            assert time.monotonic() < deadline, told
            time.sleep(0.1)
        assert (told["status"], told["findings"]) == ("ok", 0)
        assert server.stop() == 0
        assert server.log is not None
        assert "nothing is wrong" in server.log.read_text()


def shown(server: Server) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.http}/health/ready") as answer:
        told: dict[str, Any] = json.load(answer)["self_check"]
    return told
