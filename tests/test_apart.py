"""A function in a process of its own: its answer, its error, its end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time

import pytest

from engine.errors import ArchiveMissing, FileUnusable
from ws.beside import apart as module
from ws.beside.apart import NICE, EndedEarly, Tell, apart, apart_telling


def where(given: str) -> tuple[str, int, int, int]:
    return given, os.getpid(), os.nice(0), os.sched_getscheduler(0)


def count(tell: Tell, upto: int) -> str:
    for number in range(upto):
        tell(number)
    return "counted"


def count_and_refuse(tell: Tell) -> None:
    tell("so far")
    raise FileUnusable("books.db: is full")


def refuse() -> None:
    raise FileUnusable("books.db: is full")


def refuse_in_words() -> None:
    raise ArchiveMissing("books.db.archive-7")


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def linger() -> None:
    time.sleep(600)


def test_it_runs_elsewhere_at_the_lowest_priority() -> None:
    given, pid, niceness, policy = asyncio.run(apart("a test", where, "x"))
    assert (given, niceness, policy) == ("x", NICE, os.SCHED_IDLE)
    assert pid != os.getpid()
    assert multiprocessing.active_children() == []


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(FileUnusable, match=r"^books\.db: is full$"):
        asyncio.run(apart("a test", refuse))


def test_an_error_that_makes_its_own_words_arrives_with_them() -> None:
    with pytest.raises(ArchiveMissing) as raised:
        asyncio.run(apart("a test", refuse_in_words))
    assert str(raised.value) == str(ArchiveMissing("books.db.archive-7"))


def test_an_end_before_its_time_is_told() -> None:
    with pytest.raises(EndedEarly):
        asyncio.run(apart("a test", end))


def test_it_ends_with_its_caller() -> None:
    async def give_up() -> None:
        task = asyncio.create_task(apart("a test", linger))
        while not multiprocessing.active_children():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(give_up(), 30))
    assert multiprocessing.active_children() == []


def test_what_it_tells_on_its_way_is_heard_in_order_and_before_its_answer() -> None:
    async def hear() -> tuple[str, list[object]]:
        heard: list[object] = []
        answer = await apart_telling("a test", heard.append, count, 1000)
        heard_by_then = [*heard]
        await asyncio.sleep(0)
        assert heard == heard_by_then, "nothing comes behind the answer"
        return answer, heard_by_then

    assert asyncio.run(hear()) == ("counted", [*range(1000)])


def test_what_it_raises_after_it_has_told_something_is_raised_here() -> None:
    heard: list[object] = []
    with pytest.raises(FileUnusable):
        asyncio.run(apart_telling("a test", heard.append, count_and_refuse))
    assert heard == ["so far"]


def test_where_it_may_not_give_way_more_it_is_only_nice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some containers forbid the call, and other systems than Linux do not have it."""
    nice: list[int] = []

    def forbid(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module.os, "nice", nice.append)
    monkeypatch.setattr(module.os, "sched_setscheduler", forbid)
    module._give_way()
    monkeypatch.delattr(module.os, "SCHED_IDLE")
    monkeypatch.delattr(module.os, "sched_setscheduler")
    module._give_way()
    assert nice == [NICE, NICE]
