"""The open-loop driver keeps to its schedule; its latency hides no stall, be it the server's or its own."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from bench import checks, driver, open_loop
from bench.open_loop import Schedule, Sender, poisson_schedule
from tests.fake_wallet import Answer, compact, confirm, confirmed, driven, rejected, tokens

MS_US = 1_000


def figures_against(answer: Answer, per_s: float = 500, seconds: float = 0.5, **more: Any) -> dict[str, Any]:
    """An open loop over four connections against a wallet whose every bet goes to `answer`."""

    async def load(url: str) -> dict[str, Any]:
        return await open_loop.drive(open_loop.Job(url, per_s, 0.0, seconds, tokens(4), **more))

    return driven(answer, load)


def test_a_schedule_is_fixed_by_its_seed_and_has_the_clumps_of_independent_players() -> None:
    schedule = poisson_schedule(10_000, 2.0, 100, seed=1)
    assert schedule == poisson_schedule(10_000, 2.0, 100, seed=1)
    assert schedule != poisson_schedule(10_000, 2.0, 100, seed=2)
    assert len(schedule.due_ns) == len(schedule.connection) == pytest.approx(20_000, rel=0.03)
    assert list(schedule.due_ns) == sorted(schedule.due_ns)
    assert schedule.due_ns[0] >= 0
    assert schedule.due_ns[-1] < 2_000_000_000
    assert set(schedule.connection) == set(range(100))
    gaps_ns = [after - before for before, after in pairwise(schedule.due_ns)]
    # Of exponential gaps, 1 - 1/e are shorter than the mean; of even ones, all or none.
    assert sum(gap < 100_000 for gap in gaps_ns) / len(gaps_ns) == pytest.approx(0.632, abs=0.02)


def stalling(stall_s: float) -> Answer:
    """A wallet that answers at once, but for one stall a little after its first bet."""
    stalls_from: list[float] = []

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        now = time.perf_counter()
        if not stalls_from:
            stalls_from.append(now + 0.1)
        if stalls_from[0] <= now < stalls_from[0] + stall_s:
            await asyncio.sleep(stalls_from[0] + stall_s - now)
        await confirm(asked, socket)

    return answer


def test_a_stall_that_a_closed_loop_hides_shows_in_an_open_loop() -> None:
    async def closed(url: str) -> dict[str, Any]:
        return await driver.drive(driver.Job(url, 1, 1, 0.0, 1.0, tokens(1)))

    hidden = driven(stalling(0.3), closed)["latency_us"]
    assert hidden["max"] > 290 * MS_US  # it was there …
    assert hidden["p99"] < 200 * MS_US  # … and hit one bet, as no other was sent meanwhile

    figures = figures_against(stalling(0.3), seconds=1.0)
    assert checks.driver_faults(figures) == []
    shown = figures["latency_us"]
    # 30 % of the bets were due while nothing was answered; evenly, so that one in ten waited 200 ms or more.
    assert shown["p99"] > 230 * MS_US
    assert shown["p90"] > 130 * MS_US
    assert shown["p50"] < 150 * MS_US
    assert figures["lateness_us"]["p99"] < 200 * MS_US  # the driver was not to blame


def test_a_driver_that_stalls_shows_in_the_latency_and_is_named() -> None:
    stalled = False

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        nonlocal stalled
        if not stalled:
            stalled = True
            time.sleep(0.2)  # stops the driver, which runs on the same event loop
        await confirm(asked, socket)

    figures = figures_against(answer)
    assert figures["lateness_us"]["max"] > 150 * MS_US
    # Two bets in five were due meanwhile and left late: that is part of what they waited.
    assert figures["latency_us"]["p90"] >= figures["lateness_us"]["p90"] > 100 * MS_US
    (doubt,) = [each for each in checks.doubts({"open_loop": figures}) if "late" in each]
    assert doubt.startswith("1 % of the bets of open_loop left ")


def test_it_never_waits_for_an_answer() -> None:
    heard = 0

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        nonlocal heard
        heard += len(asked)

    figures = figures_against(answer, drain_s=0.1)
    assert heard == figures["sent_in_all"] == len(poisson_schedule(500, 0.5, 4, open_loop.SEED).due_ns)
    assert figures["unanswered"] == figures["in_flight_at_end"] == heard
    assert figures["sent_per_s"] == pytest.approx(heard / 0.5, rel=0.4)
    assert figures["per_s"] == 0
    assert not figures["kept_up"]


def test_what_is_held_back_was_not_sent() -> None:
    """Nothing is answered: of each connection two bets leave, and the rest of some 250 never does."""
    heard = 0

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        nonlocal heard
        heard += len(asked)

    figures = figures_against(answer, drain_s=0.1, in_flight_max=2)
    due = len(poisson_schedule(500, 0.5, 4, open_loop.SEED).due_ns)
    assert heard == figures["sent_in_all"] == figures["unanswered"] == 4 * 2
    assert figures["held_back_in_all"] == due - heard
    assert figures["sent_per_s"] < figures["offered_per_s"] / 10
    assert not figures["kept_up"]


def test_a_rate_that_is_confirmed_was_kept_up_with() -> None:
    figures = figures_against(confirm)
    assert figures["kept_up"]
    assert figures["answered_in_all"] == figures["sent_in_all"]
    assert figures["unanswered"] == 0
    assert figures["in_flight_at_end"] < 10


def test_a_backlog_that_grows_is_not_kept_up_with_even_if_all_is_confirmed_later() -> None:
    held: list[tuple[str, ServerConnection]] = []

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        if not held:
            asyncio.get_running_loop().call_later(1.0, lambda: tasks.append(asyncio.create_task(release())))
        for bet in asked:
            if len(held) % 10 == 9:
                held.append((bet["id"], socket))
            else:
                held.append(("", socket))
                await socket.send(compact(confirmed(bet["id"])), text=True)

    async def release() -> None:
        for tag, socket in held:
            if tag:
                await socket.send(compact(confirmed(tag)), text=True)

    tasks: list[asyncio.Task[None]] = []
    figures = figures_against(answer)
    assert figures["unanswered"] == 0
    assert figures["in_flight_at_end"] == pytest.approx(figures["sent_in_all"] / 10, abs=10)
    assert not figures["kept_up"]


def test_a_refusal_is_counted_and_means_that_it_did_not_keep_up() -> None:
    refused: list[str] = []

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        if refused:
            await confirm(asked, socket)
        else:
            refused.append(asked[0]["id"])
            await socket.send(compact(rejected(refused[0], "OVERLOADED")), text=True)
            if asked[1:]:
                await confirm(asked[1:], socket)

    figures = figures_against(answer)
    assert figures["refused"] == {"OVERLOADED": 1}
    assert figures["answered_in_all"] == figures["sent_in_all"] - 1
    assert not figures["kept_up"]
    assert checks.driver_faults(figures, may_refuse=True) == []


def test_only_bets_due_after_the_warm_up_are_measured() -> None:
    slow = 20  # bets of the warm-up, each answered late

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        nonlocal slow
        if slow > 0:
            slow -= len(asked)
            await asyncio.sleep(0.25)
        await confirm(asked, socket)

    async def load(url: str) -> dict[str, Any]:
        return await open_loop.drive(open_loop.Job(url, 200, 0.5, 0.3, tokens(100)))

    figures = driven(answer, load)
    assert slow <= 0
    assert figures["latency_us"]["max"] < 250 * MS_US
    assert 0.1 < figures["window_s"] < 0.7  # without the warm-up


class Recorded:
    """A connection that only notes what it was told to send."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []

    def send_due(self, due_ns: Sequence[int]) -> None:
        self.writes.append(list(due_ns))


def test_what_is_due_together_leaves_in_one_write_for_each_connection() -> None:
    async def scene() -> None:
        first, second = Recorded(), Recorded()
        never_ns = 3_600 * 1_000_000_000
        schedule = Schedule(array("q", [0, 0, 0, 0, never_ns]), array("l", [0, 1, 0, 0, 1]))
        sender = Sender(schedule, [first, second])  # type: ignore[list-item]
        sender.wake()
        assert sender.due == 4
        assert first.writes == [[sender.started_ns] * 3]  # the intended times, whatever the clock says
        assert second.writes == [[sender.started_ns]]
        assert len(sender.lateness_ns) == 4
        assert not sender.finished.done()

    asyncio.run(scene())
