"""What `/health/ready` says of each thing that the server depends on, in each of its states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette

from batcher.breaker import Reason, State, Status
from batcher.policy import BatchLimits
from batcher.steady import ClockStatus
from engine.writer import ROOM_BYTES
from tests.asgi import request
from tests.test_metrics import made_up
from ws.watching.health import health_routes
from ws.watching.house import House
from ws.watching.sizes import Disk

CLOSED = Status(State.CLOSED, None, 0)
LIMITS = BatchLimits()


def batcher(**changed: Any) -> Any:
    sound: dict[str, Any] = {
        "failure": None,
        "is_stopping": False,
        "limits": LIMITS,
        "books_clock": SimpleNamespace(status=lambda: ClockStatus(0, None)),
    }
    waits_us = changed.pop("waits_us", 0)
    breaker = changed.pop("breaker", CLOSED)
    return SimpleNamespace(
        **sound | changed,
        breaker_status=lambda: breaker,
        queue_length=lambda: 3 if waits_us else 0,
        oldest_wait_us=lambda: waits_us,
    )


ROOMY = Disk(100 * ROOM_BYTES, 50 * ROOM_BYTES)


def asked(disk: Disk | None = ROOMY, **changed: Any) -> tuple[int, Any]:
    """Status and report of a server whose parts are as told."""
    gauge: Any = SimpleNamespace(disk=lambda: disk)
    house: House = replace(made_up(Path("books.db")), batcher=batcher(**changed), gauge=gauge)
    answer = request(Starlette(routes=health_routes(house)), "/health/ready")
    return answer.status_code, answer.json()


def test_all_is_well() -> None:
    status, report = asked()
    assert (status, report["status"], report["why"]) == (200, "ready", [])


@pytest.mark.parametrize(
    ("changed", "part", "why"),
    [
        ({"failure": "COMMIT failed: disk I/O error"}, "storage", "storage: COMMIT failed: disk I/O error"),
        ({"disk": Disk(10**9, ROOM_BYTES - 1)}, "disk", "disk: 16,777,215 of 1,000,000,000 bytes are free"),
        (
            {"breaker": Status(State.OPEN, Reason.COMMIT_SLOW, 5)},
            "breaker",
            "breaker: a commit took too long",
        ),
        ({"is_stopping": True}, "queue", "queue: the server is stopping"),
    ],
    ids=["storage", "disk", "breaker", "stopping"],
)
def test_what_bets_need_and_do_not_have_is_told_first(changed: Any, part: str, why: str) -> None:
    status, report = asked(**changed)
    assert (status, report["status"], report["why"]) == (503, "not ready", [why])
    assert report[part]["why"] == why.partition(": ")[2]


@pytest.mark.parametrize(
    ("changed", "part", "says"),
    [
        ({"disk": Disk(100 * ROOM_BYTES, 9 * ROOM_BYTES)}, "disk", "low"),
        ({"disk": None}, "disk", "unknown"),
        ({"waits_us": LIMITS.target_us + 1}, "queue", "late"),
        ({"breaker": Status(State.HALF_OPEN, Reason.COMMIT_SLOW, 5)}, "breaker", "half_open"),
    ],
    ids=["little room", "a disk that does not tell", "a queue that ages", "half open"],
)
def test_what_only_degrades_it_is_told(changed: Any, part: str, says: str) -> None:
    status, report = asked(**changed)
    assert (status, report["status"], report["why"]) == (200, "ready", [])
    assert report[part]["status"] == says
    assert report[part]["why"]


def test_heads_that_are_not_kept_are_told_and_stop_no_bet() -> None:
    why = "heads are not kept: the answer was 503"
    heads: Any = SimpleNamespace(health=lambda: {"status": "failed", "why": why})
    house = replace(made_up(Path("books.db")), batcher=batcher(), heads=heads)
    answer = request(Starlette(routes=health_routes(house)), "/health/ready")
    assert (answer.status_code, answer.json()["heads"]["why"]) == (200, why)
    assert asked()[1]["heads"] == {"status": "off"}


def test_whoever_waits_as_long_as_he_may_is_not_late() -> None:
    assert asked(waits_us=LIMITS.target_us)[1]["queue"]["status"] == "ok"
    assert asked(waits_us=LIMITS.target_us)[1]["queue"]["oldest_ms"] == LIMITS.target_us // 1000
