"""Virtual time: what the scheduler and its event loop promise."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.sim.loop import Abort, Loop, Scheduler, Stuck


def test_time_jumps_to_the_next_timer_and_keeps_the_order_of_one_moment() -> None:
    scheduler, seen = Scheduler(), []
    for name, at_us in (("late", 5_000_000), ("first", 1_000_000), ("second", 1_000_000)):
        scheduler.at(at_us, seen.append, name)
    scheduler.run_until(6_000_000)
    assert seen == ["first", "second", "late"]
    with pytest.raises(Stuck):
        scheduler.turn()


def test_asyncio_waits_in_virtual_time_and_has_no_threads() -> None:
    scheduler = Scheduler()
    loop = Loop(scheduler, lambda context: None)

    async def work() -> str:
        await asyncio.wait_for(asyncio.sleep(100), 3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        with pytest.raises(NotImplementedError):
            await asyncio.to_thread(print)
        return "done"

    task = loop.create_task(work())
    scheduler.run_until(4_000_000_000)
    assert task.result() == "done"


def test_what_is_killed_runs_no_more_and_is_not_missed() -> None:
    scheduler, seen = Scheduler(), []
    loop = Loop(scheduler, lambda context: seen.append("complaint"))

    async def work() -> None:
        while True:
            await asyncio.sleep(1)
            seen.append("work")

    loop.create_task(work())
    scheduler.run_until(2_500_000)
    loop.kill()
    scheduler.run_until(9_000_000)
    assert seen == ["work", "work"]


def test_a_finding_ends_the_world_through_whatever_runs() -> None:
    scheduler = Scheduler()

    def nested() -> None:
        with contextlib.suppress(Exception):
            scheduler.soon(scheduler.abort, "why")
            scheduler.run_until(1_000)

    scheduler.soon(nested)
    with pytest.raises(Abort, match="why"):
        scheduler.turn()


def test_while_a_loop_is_occupied_the_rest_of_the_world_goes_on_and_what_comes_keeps_its_order() -> None:
    scheduler, seen = Scheduler(), []
    loop = Loop(scheduler, lambda context: None)
    loop.occupy(1_000)
    loop.call_soon(seen.append, "first")
    loop.call_later(0.0005, seen.append, "second")
    scheduler.at(700, seen.append, "a thread")
    scheduler.run_until(999)
    assert seen == ["a thread"]
    loop.call_soon(seen.append, "third")
    scheduler.run_until(2_000)
    assert seen == ["a thread", "first", "second", "third"]
