"""Checks of the books beside the bets: one of each at a time, how far it is, what it finds and tells."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from engine.actors import Actor
from engine.outcomes import Code
from engine.reconcile import reconcile
from tests.batches import FULL, IO_ERROR, world
from tests.books_open import ALICE, BOB, place, play, seed
from tests.checking import made
from tests.forgeries import forge
from ws.asking.lookups import look_up
from ws.beside import checks
from ws.beside.apart import apart_telling
from ws.beside.checks import KEPT_MAX, Check, Checks, Verdict
from ws.effects import Identity
from ws.wire.answers import codes_of
from ws.wire.checks import CheckBegin, CheckedHead, CheckName, CheckShown
from ws.wire.messages import Error

NAMES: list[CheckName] = ["verify", "reconcile"]
both = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = seed(tmp_path / "books.db", 1000, 500)
    play(path, [place(1, 200), place(2, 100, BOB)])
    return path


def checked(path: Path, name: CheckName = "verify") -> tuple[Verdict, Check, dict[str, Any]]:
    check = Check(name, path)
    assert check.health() == {"status": "never"}
    assert check.shown("r").state == "never"
    began_ms = time.time_ns() // 1_000_000
    verdict = asyncio.run(made(check))
    told = check.health()
    assert isinstance(at_ms := told.pop("at"), int)
    assert began_ms <= at_ms <= time.time_ns() // 1_000_000
    assert multiprocessing.active_children() == []
    return verdict, check, told


@both
def test_sound_books_are_told_in_a_line(
    books: Path, name: CheckName, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="solidgreen.checks")
    verdict, check, told = checked(books, name)
    assert (verdict.entries, verdict.found, told) == (8, 0, {"status": "ok", "findings": 0})
    ((logger, level, words),) = caplog.record_tuples
    assert (logger, level) == ("solidgreen.checks", logging.INFO)
    assert words.startswith(f"check of the books ({name}): 8 entries in ")
    shown = check.shown("r")
    assert (shown.id, shown.check, shown.state, shown.by, shown.why) == ("r", name, "ok", "a test", None)
    assert (shown.entries, shown.found, shown.findings) == (8, 0, [])
    with sqlite3.connect(books) as connection:
        number, hash_ = connection.execute("SELECT id, hash FROM blocks ORDER BY id DESC LIMIT 1").fetchone()
    connection.close()
    assert shown.head == CheckedHead(number, hash_.hex())


@both
def test_findings_are_told_one_by_one_as_the_command_line_does(
    books: Path, name: CheckName, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(books, f"UPDATE users SET balance = 7 WHERE id = {ALICE}")
    verdict, check, told = checked(books, name)
    assert (verdict.found, told) == (1, {"status": "findings", "findings": 1})
    first, finding = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"check of the books ({name}): 1 findings")
    (shown,) = check.shown().findings
    assert f"user_id {ALICE}, balance 7" in shown
    assert finding == f"check of the books ({name}): {shown}"
    assert {record.levelno for record in caplog.records} == {logging.CRITICAL}
    assert main([name, "--db", str(books)]) == 1
    assert shown in capsys.readouterr().out.splitlines()


def test_of_many_findings_the_first_are_told(books: Path, caplog: pytest.LogCaptureFixture) -> None:
    forge(books, "UPDATE users SET held = held + 1, owed = owed + 1, last_entry_id = last_entry_id + 1")
    verdict, check, _ = checked(books)
    assert verdict.found > KEPT_MAX
    assert len(verdict.findings) == len(check.shown().findings) == KEPT_MAX
    assert check.shown().found == verdict.found
    assert len(caplog.records) == 1 + KEPT_MAX


@both
def test_a_file_that_cannot_be_read_is_no_verdict(
    tmp_path: Path, name: CheckName, caplog: pytest.LogCaptureFixture
) -> None:
    verdict, check, told = checked(tmp_path / "none.db", name)
    assert verdict.why_none is not None
    assert (told["status"], check.shown().state, check.shown().why) == (*["failed"] * 2, verdict.why_none)
    assert told["why"].startswith("the file could not be read: ")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@both
def test_what_a_check_stumbles_over_is_no_verdict_and_the_next_one_is_made(
    books: Path, name: CheckName, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def twice() -> list[str | None]:
        check = Check(name, books)
        with monkeypatch.context() as patched:
            patched.setattr(checks, f"_{name}", stumble)
            first = await made(check)
        return [first.why_none, (await made(check)).why_none]

    assert asyncio.run(twice()) == ["it failed: a bug", None]
    assert "Traceback" in caplog.text


def stumble(tell: object, path: Path) -> None:
    raise LookupError("a bug")


async def under_way() -> int:
    """The process that makes it, once there is one."""
    while not (children := multiprocessing.active_children()):
        await asyncio.sleep(0)
    assert children[0].pid is not None
    return children[0].pid


def test_a_check_that_is_killed_is_no_verdict(books: Path) -> None:
    async def killed() -> Verdict:
        making = asyncio.create_task(made(Check("verify", books)))
        os.kill(await under_way(), signal.SIGKILL)
        return await making

    assert asyncio.run(killed()).why_none == "it ended before its time"


def test_of_each_there_is_one_at_a_time(books: Path) -> None:
    """A second wish is the same check, of whoever was first; the other kind runs beside it."""

    async def twice() -> None:
        both = Checks.of(books)
        tasks = [asyncio.create_task(each.run()) for each in both]
        both.verify.begin("operator 7")
        began = both.verify.shown()
        both.verify.begin("operator 8")
        both.reconcile.begin("operator 8")
        assert (began.state, began.by, began.at) == ("running", "operator 7", None)
        assert both.verify.shown() == began
        assert both.named("reconcile").shown().by == "operator 8"
        while len(multiprocessing.active_children()) < 2:
            await asyncio.sleep(0)
        await asyncio.gather(both.verify.over(), both.reconcile.over())
        assert (both.verify.shown().by, both.verify.shown().state) == ("operator 7", "ok")
        both.verify.begin("operator 9")  # once it is over, there is another
        assert (both.verify.shown().by, both.verify.shown().state) == ("operator 9", "running")
        assert both.verify.shown().entries == 0, "of this one nothing is known yet"
        assert both.verify.health()["status"] == "ok", "and the newest verdict is that of the one before"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(asyncio.wait_for(twice(), 90))
    assert multiprocessing.active_children() == []


def test_between_the_end_of_one_and_the_start_of_the_next_there_is_a_pause(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PAUSE_S", 0.3)
    times: list[float] = []

    async def timed(*given: Any) -> Any:
        times.append(time.monotonic())
        try:
            return await apart_telling(*given)
        finally:
            times.append(time.monotonic())

    monkeypatch.setattr(checks, "apart_telling", timed)

    async def twice() -> None:
        check = Check("reconcile", books)
        before_s = time.monotonic()
        await made(check)
        await made(check)
        began_s, ended_s, again_s, _ = times
        assert began_s - before_s < 0.3, "the first one waits for nothing"
        assert again_s - ended_s > 0.29

    asyncio.run(twice())


def test_who_asks_while_one_is_under_way_or_about_to_be_writes_nothing(tmp_path: Path) -> None:
    """An auditor may ask as often as he likes: the writer, and bets behind it, must not hear of that."""
    auditor, wanted = Identity(9, "auditor", 2**40), CheckBegin("r", "verify")
    actor = Actor(9, "auditor", "192.0.2.1", "ws")

    async def run() -> None:
        async with world(tmp_path) as this:

            async def ask() -> CheckShown:
                (told,) = await look_up(this, wanted, auditor, actor)
                assert isinstance(told, CheckShown)
                return told

            commits = this.store.commits
            this.disk.hold()
            first, second = (asyncio.create_task(ask()) for _ in range(2))
            await this.disk.holds_one()
            assert not this.checks.verify.is_running, "not before it is on disk who wanted it"
            this.disk.release()
            began = await first
            assert (began.state, began.by) == ("running", "auditor 9")
            assert [await second, await ask()] == [began, began]
            assert this.store.commits - commits == 1
            assert this.rows("SELECT action, actor FROM audit_log") == [("check.begin", 9)]

    asyncio.run(run())


@pytest.mark.parametrize(("fault", "code"), [(FULL, "OVERLOADED"), (IO_ERROR, "OUTCOME_UNKNOWN")])
def test_what_cannot_be_written_down_is_not_begun(tmp_path: Path, fault: tuple[int, str], code: str) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.fail(fault)
            actor = Actor(7, "operator", "192.0.2.1", "ws")
            identity = Identity(7, "operator", 2**40)
            (told,) = await look_up(this, CheckBegin("r", "verify"), identity, actor)
            assert isinstance(told, Error)
            assert told.code == code
            assert Code[code] in codes_of(CheckBegin)
            assert not this.checks.verify.is_running

    asyncio.run(run())


@both
def test_how_far_it_is_is_told_and_its_end_last(
    books: Path, name: CheckName, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[CheckShown] = []

    async def followed() -> None:
        await made(Check(name, books, told.append))

    asyncio.run(followed())
    assert [each.state for each in told] == ["running"] * (len(told) - 1) + ["ok"]
    assert len(told) >= 2
    assert all(0 < each.done <= each.total for each in told)
    assert {each.total for each in told} == {told[-1].total}
    assert told[-1].done == told[-1].total, "however quick it was"
    assert isinstance(told[-1].at, int)


def test_not_every_block_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told each half second costs nobody anything, what is told with each block would."""
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    told: list[object] = []
    progress = checks._now_and_then(told.append)
    for number in range(1, 1001):
        now_s = number / 100
        progress(number, 1000)
    assert len(told) == 20 + 1
    assert told[:2] == [(1, 1000), (51, 1000)]
    assert told[-1] == (1000, 1000)


def test_reconcile_says_how_far_it_is(books: Path) -> None:
    heard: list[tuple[int, int]] = []
    report = reconcile(books, lambda done, total: heard.append((done, total)))
    assert report.ok
    assert heard == sorted(heard)
    assert len(heard) == report.head
    assert heard[-1][0] == heard[-1][1]
