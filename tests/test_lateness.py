"""What an event loop does for others is counted, and what it waits for is not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import pytest
import uvloop

from batcher.lateness import Lateness

LOOPS = pytest.mark.parametrize("run_in_a_loop", [asyncio.run, uvloop.run])


async def reply_after(seconds: float, *, stalls_s: float = 0.0) -> None:
    """A reply that comes while the loop stands still, for `stalls_s` of the test's doing."""
    loop = asyncio.get_running_loop()
    reply = loop.create_future()
    if stalls_s:
        loop.call_soon(time.sleep, stalls_s)
    loop.call_later(seconds, reply.set_result, None)
    await reply


@LOOPS
def test_a_loop_that_stands_still_is_late_and_one_that_waits_is_not(
    run_in_a_loop: Callable[..., None],
) -> None:
    async def run() -> None:
        with Lateness() as busy:
            await reply_after(0.01, stalls_s=0.15)
        with Lateness() as idle:
            await reply_after(0.15)
        assert busy.late_s > 0.1
        assert idle.late_s < busy.late_s / 2, "but for what the machine itself was late"

    run_in_a_loop(run())


@LOOPS
def test_a_limit_is_put_off_by_what_the_loop_is_late_and_by_no_more(
    run_in_a_loop: Callable[..., None],
) -> None:
    async def run() -> None:
        async with asyncio.timeout(0.1) as limit:
            with Lateness(limit):
                await reply_after(0.02, stalls_s=0.25)
        started = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1) as limit:
                with Lateness(limit) as loop:
                    await reply_after(30)
        assert limit.expired()
        assert time.monotonic() - started < 0.2 + loop.late_s

    run_in_a_loop(run())


def test_without_it_the_limit_would_have_struck() -> None:
    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reply_after(0.02, stalls_s=0.25)

    uvloop.run(run())
