"""A session at a socket that is made up: what it is charged, and what it still says when it ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.actors import Actor
from harness.wire import bet
from tests.batches import world
from tests.made_up_wire import MadeUpWire, entry, made, opened
from ws.effects import CloseCode, Look
from ws.sockets.outbox import LONG_REPLIES_MAX
from ws.transport.websocket_door import BUFFER_BYTES
from ws.wire.allowance import CAPACITY
from ws.wire.checks import CheckBegin
from ws.wire.messages import Pong, Resumed

ENTRIES = 3 * LONG_REPLIES_MAX


@pytest.mark.parametrize(
    ("message", "is_taken", "cost"),
    [(bet(1, id="b", user_id=7), True, 1), ({"type": "ping", "id": "p"}, False, 0)],
    ids=["a bet", "a ping"],
)
def test_what_the_fast_lane_leaves_to_the_queue_is_paid_for_there(
    message: dict[str, Any], is_taken: bool, cost: int
) -> None:
    async def run() -> None:
        wire = MadeUpWire()
        assert opened(wire).take(json.dumps([message] * 100)) is is_taken
        assert CAPACITY - wire.allowance.tokens == 100 * cost

    asyncio.run(run())


@pytest.mark.parametrize("ends", [True, False])
def test_what_is_pushed_during_a_long_answer_comes_behind_it_or_not_at_all(ends: bool) -> None:
    """Whoever hears of entry 601 behind entry 200, and is closed, would resume from 601."""

    async def run() -> None:
        wire = MadeUpWire()
        session = opened(wire)
        told = [entry(seq) for seq in range(1, ENTRIES + 1)]
        telling = asyncio.create_task(session._outbox.tell([*told, Resumed("r", ENTRIES, False, False)]))
        wire.reads.set()
        while not wire.messages:
            await asyncio.sleep(0)
        session.push(entry(ENTRIES + 1))
        session._enqueue(Pong("answer", 0))
        await asyncio.sleep(0)
        assert wire.messages[-1]["seq"] == LONG_REPLIES_MAX
        if ends:
            session.end_because_stopping()
        while not telling.done():
            wire.reads.set()
            await asyncio.sleep(0)
        session.deliver()
        seqs = [message["seq"] for message in wire.messages if message["type"] == "wallet.entry"]
        assert wire.messages[-1] == {"type": "pong", "id": "answer", "server_time": 0}
        assert seqs == [*range(1, LONG_REPLIES_MAX + 1 if ends else ENTRIES + 2)]
        assert wire.code == (1001 if ends else None)

    asyncio.run(run())


def test_pushes_that_are_never_sent_cost_nobody_his_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the simulator: closed with 4401 behind a resume, and eight answers were gone."""
    monkeypatch.setattr("ws.sockets.outbox.BUFFER_BYTES", 2_000)

    async def run() -> None:
        wire = MadeUpWire()
        session = opened(wire)
        telling = asyncio.create_task(session._outbox.tell([Resumed("r", 1, False, False)]))
        await asyncio.sleep(0)
        for seq in range(100):
            session._replies.append(entry(seq))
        session._enqueue(Pong("answer", 0))
        session.end_because_stopping()
        await asyncio.sleep(0)
        assert [message.get("id") for message in wire.messages] == ["answer"]
        assert wire.code == CloseCode.STOPPING
        await telling

    asyncio.run(run())


def test_whoever_was_to_be_closed_and_loses_answers_hears_that_he_reads_too_slowly() -> None:
    """Any other code says that nothing that was answered is missing."""

    async def run() -> None:
        wire = MadeUpWire()
        wire.is_stalled = True
        wire.unsent = lambda: BUFFER_BYTES  # type: ignore[method-assign]
        session = opened(wire)
        session._enqueue(Pong("answer", 0))
        session.end_because_stopping()
        await asyncio.sleep(0)
        assert wire.messages == []
        assert wire.code == CloseCode.TOO_MUCH

    asyncio.run(run())


def test_whoever_begins_a_check_as_another_one_ends_hears_of_his_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            wire = MadeUpWire()
            session = opened(wire)
            session._actor = Actor(1, "operator", "192.0.2.1", "ws")
            parts = {"store": this.store, "batcher": this.batcher, "checks": this.checks}
            session._door = replace(session._door, **parts)  # type: ignore[arg-type]
            hub, verify = session._door.hub, this.checks.verify
            hub.enter(session)
            wire.reads.set()
            this.disk.hold()
            asking = asyncio.create_task(session._carry_out([Look(CheckBegin("r", "verify"))]))
            await this.disk.holds_one()
            hub.check_changed(verify.shown())  # the daily one has ended; it was begun and over meanwhile
            this.disk.release()
            await asking
            hub.check_changed(verify.shown())
            session.deliver()
            told = [(message.get("id"), message["state"]) for message in wire.messages]
            assert told == [("r", "running"), (None, "running")]

    asyncio.run(run())


def test_a_stop_that_waits_no_longer_ends_it_without_a_word() -> None:
    """uvicorn logs a traceback of every task that does not end well."""

    async def run() -> None:
        session = made(MadeUpWire())
        running = asyncio.create_task(session.run(None))
        await asyncio.sleep(0)
        assert len(session._door.hub) == 1
        running.cancel()
        await running
        assert len(session._door.hub) == 0

    asyncio.run(run())
