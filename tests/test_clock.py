"""The clocks that are read: what the log says of them, that somebody looks, and who may confirm what."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import msgspec
import pytest

import batcher.expiry
from batcher.clock import Clock
from batcher.steady import ClockStatus
from engine.actors import Actor
from engine.outcomes import Code
from tests.batches import FULL, IO_ERROR, NOW_US, WAIT_S, bet, world
from tests.batches import Clock as ByHand
from ws.asking.lookups import look_up
from ws.effects import Identity, Look
from ws.protocol import Conversation
from ws.wire.allowance import Allowance
from ws.wire.answers import codes_of
from ws.wire.clock import ClockConfirm, ClockGet, ClockShown, clock_shown
from ws.wire.messages import Error, Limits

S = 1_000_000
HOUR_US = 3600 * S
ADMIN = Identity(42, "admin", 2**40)
CONFIRMING = Actor(42, "admin", "192.0.2.1", "ws")
UNSURE = (
    "the wall clock is {:+d} s off the time of the books: bets go on, and nothing expires, no limit becomes "
    "looser until it comes back or an operator confirms it (clock.confirm)"
)
BACK = "the wall clock has come back, and is followed again"


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "solidgreen.clock")


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and words of what the clock has said since this was last asked."""
    records = [record for record in caplog.records if record.name == "solidgreen.clock"]
    caplog.clear()
    return [(record.levelname, record.getMessage()) for record in records]


def test_a_jump_is_said_once_and_that_it_is_over_once(caplog: pytest.LogCaptureFixture) -> None:
    wall, monotonic = ByHand(NOW_US), ByHand(5 * S)
    clock = Clock(wall, monotonic, newest_us=0)
    assert clock.now().unsure_since_us is None
    wall.now_us += HOUR_US
    for _ in range(3):
        wall.now_us += 61 * S  # whatever it does meanwhile
        assert clock.now().at_us == NOW_US
        assert clock.status().since_us == NOW_US
    assert said(caplog) == [("CRITICAL", UNSURE.format(3661))]
    wall.now_us = NOW_US
    for _ in range(3):
        assert clock.status() == ClockStatus(0, None)
    assert said(caplog) == [("INFO", BACK)]
    wall.now_us -= HOUR_US
    assert clock.now().at_us == NOW_US
    assert said(caplog) == [("CRITICAL", UNSURE.format(-3600))]


def test_who_has_confirmed_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    wall, monotonic = ByHand(NOW_US), ByHand(5 * S)
    clock = Clock(wall, monotonic, newest_us=0)
    wall.now_us += HOUR_US
    clock.confirm("operator", 42)
    assert clock.now().at_us == NOW_US + HOUR_US
    assert said(caplog) == [
        ("CRITICAL", UNSURE.format(3600)),
        ("WARNING", "the wall clock, +3600 s off, was confirmed by operator 42, and is followed again"),
    ]
    clock.confirm("operator", 42)
    assert said(caplog) == [], "there was nothing to confirm"


def test_books_that_are_ahead_of_the_wall_clock_are_noticed_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock(ByHand(NOW_US), ByHand(5 * S), newest_us=NOW_US + HOUR_US)
    assert clock.now().at_us == NOW_US + HOUR_US
    assert said(caplog) == [("CRITICAL", UNSURE.format(-3600))]


def test_a_jump_is_seen_while_nobody_bets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 3600.0)  # which looks at the clock as well

    async def run() -> None:
        async with world(tmp_path) as this:
            this.wall.now_us += HOUR_US
            async with asyncio.timeout(WAIT_S):
                while not caplog.records:
                    await asyncio.sleep(0.01)
            assert said(caplog) == [("CRITICAL", UNSURE.format(3600))]

    asyncio.run(run())


@pytest.mark.parametrize("jump_us", [HOUR_US, -HOUR_US])
def test_a_bet_is_sent_by_the_wall_clock_and_sealed_by_the_time_of_the_books(
    tmp_path: Path, jump_us: int
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            for number, now_us in enumerate((NOW_US, NOW_US + jump_us)):
                this.wall.now_us = now_us
                this.clock.now_us += S
                stale = msgspec.structs.replace(bet(2 * number), sent_at_us=now_us - 81 * S)
                fresh = msgspec.structs.replace(bet(2 * number + 1), sent_at_us=now_us)
                assert await this.codes([stale, fresh]) == [Code.STALE_REQUEST, None]
            times = [at for (at,) in this.rows("SELECT at FROM blocks ORDER BY id")]
            assert times == [NOW_US, NOW_US, NOW_US + S], "of the deposits, and of the two bets"

    asyncio.run(run())


# --- over the socket ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "may_look", "may_confirm"),
    [
        ("player", False, False),
        ("auditor", True, False),
        ("operator", True, True),
        ("admin", True, True),
    ],
)
def test_who_may_look_at_the_clock_and_who_may_confirm_it(
    role: str, may_look: bool, may_confirm: bool
) -> None:
    conversation = Conversation(Limits(), Allowance(0.0))
    conversation.welcome(Identity(42, role, 2**40), None, 0)
    for request, may in ((ClockGet("r"), may_look), (ClockConfirm("r"), may_confirm)):
        frame = {"type": request.__struct_config__.tag, "id": "r"}
        (effect,) = conversation.receive_text(json.dumps(frame), 0)
        if may:
            assert effect == Look(request)
        else:
            assert isinstance(effect, Error)
            assert effect.code == "FORBIDDEN"


def test_the_clock_is_asked_for_and_confirmed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:

            async def ask(request: ClockGet | ClockConfirm) -> list[object]:
                return [*await look_up(this, request, ADMIN, CONFIRMING)]

            now_ms = NOW_US // 1000
            assert await ask(ClockGet("r")) == [ClockShown("r", "sure", now_ms, 0, None)]
            assert await ask(ClockConfirm("s")) == [ClockShown("s", "sure", now_ms, 0, None)]
            this.wall.now_us += HOUR_US
            assert await ask(ClockGet("t")) == [ClockShown("t", "unsure", now_ms, 3_600_000, now_ms)]
            assert await ask(ClockConfirm("u")) == [ClockShown("u", "sure", now_ms + 3_600_000, 0, None)]
            assert said(caplog)[-1][1].endswith("was confirmed by admin 42, and is followed again")

    asyncio.run(run())


def test_the_clock_is_shown_in_milliseconds() -> None:
    assert clock_shown("r", 9_999, ClockStatus(0, None)) == ClockShown("r", "sure", 9, 0, None)
    assert clock_shown("r", 9_999, ClockStatus(HOUR_US, 7_999)) == ClockShown("r", "unsure", 9, 3_600_000, 7)


@pytest.mark.parametrize(("fault", "code"), [(FULL, "OVERLOADED"), (IO_ERROR, "OUTCOME_UNKNOWN")])
def test_what_cannot_be_written_down_is_not_confirmed(
    tmp_path: Path, fault: tuple[int, str], code: str
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.wall.now_us += HOUR_US
            this.disk.fail(fault)
            (told,) = await look_up(this, ClockConfirm("r"), ADMIN, CONFIRMING)
            assert isinstance(told, Error)
            assert told.code == code
            assert Code[code] in codes_of(ClockConfirm)
            assert this.batcher.books_clock.status().since_us is not None
            assert this.rows("SELECT count(*) FROM audit_log") == [(0,)]

    asyncio.run(run())


def test_who_confirms_the_clock_is_written_down_with_how_far_it_was_off(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.wall.now_us += HOUR_US
            await look_up(this, ClockConfirm("r"), ADMIN, CONFIRMING)
            (told,) = this.rows("SELECT at, actor, address, action, subject, outcome FROM audit_log")
            assert told == (
                *(NOW_US, 42, "192.0.2.1", "clock.confirm", f'{{"jumped_us":{HOUR_US}}}', "accepted"),
            )

    asyncio.run(run())
