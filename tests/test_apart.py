"""A function in a process of its own: its answer, its error, its end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time

import pytest

from engine.errors import ArchiveMissing, FileUnusable
from ws.beside.apart import NICE, EndedEarly, apart


def where(given: str) -> tuple[str, int, int]:
    return given, os.getpid(), os.nice(0)


def refuse() -> None:
    raise FileUnusable("books.db: is full")


def refuse_in_words() -> None:
    raise ArchiveMissing("books.db.archive-7")


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def linger() -> None:
    time.sleep(600)


def test_it_runs_elsewhere_at_the_lowest_priority() -> None:
    given, pid, niceness = asyncio.run(apart("a test", where, "x"))
    assert (given, niceness) == ("x", NICE)
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
