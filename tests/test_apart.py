"""A function in a process of its own: its answer, its error, its end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from multiprocessing.context import SpawnContext, SpawnProcess

import pytest

from engine.errors import ArchiveMissing, FileUnusable
from ws.beside.apart import EndedEarly, Tell, apart, apart_telling
from ws.beside.priority import NICE

AT_IMPORT = os.nice(0)


def where(given: str) -> tuple[str, int, set[int]]:
    return given, os.getpid(), {AT_IMPORT, os.nice(0)}


def interrupt(given: str) -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return given


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


def test_it_runs_elsewhere_at_the_lowest_priority_also_while_it_imports() -> None:
    given, pid, niceness = asyncio.run(apart("a test", where, "x"))
    assert (given, niceness) == ("x", {NICE})
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


def test_ctrl_c_is_for_the_server() -> None:
    assert asyncio.run(apart("a test", interrupt, "x")) == "x"


class Slow(SpawnProcess):
    """Takes its time to end, as one of the lowest priority does where others want all cores."""

    ends_after_s = 0.8

    def join(self, timeout: float | None = None) -> None:
        wait_s = self.ends_after_s if timeout is None else min(timeout, self.ends_after_s)
        time.sleep(wait_s)
        if wait_s == self.ends_after_s:
            super().join(timeout)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_the_loop_does_not_wait_until_it_has_ended(
    monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    monkeypatch.setattr(SpawnContext, "Process", Slow)

    async def longest_pause_s() -> float:
        task = asyncio.create_task(apart("a test", where, "x"))
        await asyncio.sleep(0)
        assert multiprocessing.active_children()
        if is_cancelled:
            task.cancel()
        longest_s = 0.0
        while not task.done():
            before_s = time.monotonic()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.monotonic() - before_s)
        assert task.cancelled() is is_cancelled
        return longest_s

    assert asyncio.run(longest_pause_s()) < Slow.ends_after_s
    assert multiprocessing.active_children() == []


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
