"""A task of the batcher that ends by itself: a bug, after which nobody may be left waiting for an answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batcher.alarms import CircuitNews
from batcher.batcher import UNTIL_RESTART
from engine.outcomes import Code, Rejected
from tests.batches import WAIT_S, bet, world


def test_when_one_of_its_tasks_has_died_it_says_so_and_takes_no_more_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def look(news: CircuitNews, status: object) -> None:
        raise LookupError("a bug")

    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.submit(bet(1)).code() is None
            (watch,) = (task for task in asyncio.all_tasks() if task.get_name() == "batcher watch")
            monkeypatch.setattr(CircuitNews, "look", look)
            await asyncio.wait([watch], timeout=WAIT_S)
            assert watch.done()
            assert await this.submit(bet(2)) == Rejected(Code.CIRCUIT_OPEN)
            assert this.batcher.failure == "the batcher watch task has died"
            assert this.batcher.circuit().reason == UNTIL_RESTART
            assert (await this.submit(bet(1))).replayed, "what was paid is told as that"  # type: ignore[union-attr]

    asyncio.run(run())
    (record,) = (each for each in caplog.records if "has died; restart this server" in each.getMessage())
    assert record.exc_info is not None
