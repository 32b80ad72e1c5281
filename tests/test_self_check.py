"""The daily look at the books: what it says, and that it ends with the server."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from books_open import ALICE, BOB, place, play, seed
from forgeries import forge

from harness.process import PATIENT, Server
from ws.beside.self_check import LOGGED_MAX, SelfCheck, Verdict


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = seed(tmp_path / "books.db", 1000, 500)
    play(path, [place(1, 200), place(2, 100, BOB)])
    return path


def checked(path: Path) -> tuple[Verdict, dict[str, Any]]:
    check = SelfCheck(path, 0)
    assert check.health() == {"status": "never"}
    began_ms = time.time_ns() // 1_000_000
    verdict = asyncio.run(check.check())
    told = check.health()
    assert isinstance(at_ms := told.pop("at"), int)
    assert began_ms <= at_ms <= time.time_ns() // 1_000_000
    assert multiprocessing.active_children() == []
    return verdict, told


def test_sound_books_are_told_in_a_line(books: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="solidgreen.self_check")
    verdict, told = checked(books)
    assert (verdict.entries, verdict.found, told) == (8, 0, {"status": "ok", "findings": 0})
    ((name, level, words),) = caplog.record_tuples
    assert (name, level) == ("solidgreen.self_check", logging.INFO)
    assert words.startswith("self-check: 8 entries in ")


def test_findings_are_told_one_by_one(books: Path, caplog: pytest.LogCaptureFixture) -> None:
    forge(books, f"UPDATE users SET balance = 7 WHERE id = {ALICE}")
    verdict, told = checked(books)
    assert (verdict.found, told) == (1, {"status": "findings", "findings": 1})
    first, finding = (record.getMessage() for record in caplog.records)
    assert first.startswith("self-check: 1 findings")
    assert f"'user_id': {ALICE}, 'balance': 7" in finding
    assert {record.levelno for record in caplog.records} == {logging.CRITICAL}


def test_of_many_findings_the_first_are_told(books: Path, caplog: pytest.LogCaptureFixture) -> None:
    forge(books, "UPDATE users SET held = held + 1, owed = owed + 1, last_entry_id = last_entry_id + 1")
    verdict, _ = checked(books)
    assert verdict.found > LOGGED_MAX
    assert len(verdict.findings) == LOGGED_MAX
    assert len(caplog.records) == 1 + LOGGED_MAX


def test_a_file_that_cannot_be_read_is_no_verdict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    verdict, told = checked(tmp_path / "none.db")
    assert verdict.why_none is not None
    assert told["status"] == "failed"
    assert told["why"].startswith("the file could not be read: ")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def the_child() -> int:
    (child,) = multiprocessing.active_children()
    assert child.pid is not None
    return child.pid


def test_a_check_that_is_killed_is_no_verdict(books: Path) -> None:
    async def killed() -> Verdict:
        checking = asyncio.create_task(SelfCheck(books, 0).check())
        while not multiprocessing.active_children():
            await asyncio.sleep(0)
        os.kill(the_child(), signal.SIGKILL)
        return await checking

    assert asyncio.run(killed()).why_none == "it ended before its time"


def test_a_check_ends_with_its_task(books: Path) -> None:
    async def cancelled() -> None:
        checking = asyncio.create_task(SelfCheck(books, 1e-9).run())
        while not multiprocessing.active_children():
            await asyncio.sleep(0)
        os.kill(the_child(), signal.SIGSTOP)  # it would never end by itself
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking

    asyncio.run(asyncio.wait_for(cancelled(), 20))
    assert multiprocessing.active_children() == []


def test_none_is_made_where_none_is_wanted(books: Path) -> None:
    asyncio.run(SelfCheck(books, 0).run())


def test_a_server_checks_its_books_beside_the_bets(tmp_path: Path) -> None:
    db = seed(tmp_path / "books.db", 1000, 500)
    with Server(db, settings=PATIENT | {"self_check_s": "1"}) as server:
        deadline = time.monotonic() + 20
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
