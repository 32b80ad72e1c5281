"""More bets than the wallet can take, on a disk whose syncs are slow: the short form of `make overload`.

Needs a C compiler for the disk and the load drivers of `bench`, so it runs with `make test-all`. The bounds
leave room for a machine that others use a little; the figures themselves are the long form's. Beside other
tests the peak would be too low, and three times that no overload.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import overload
from bench.disks import slow_disk
from bench.stand import Figures, Stand
from harness.process import seed

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(300)]


Stands = Callable[[float, float], Stand]


@pytest.fixture
def stand_of(tmp_path: Path) -> Stands:
    """A stand where so many seconds are measured, and so many before them are not."""
    db = tmp_path / "seeded.db"
    tokens = [each["token"] for each in seed(db, 2 * overload.CONNECTIONS, overload.BALANCE_MINOR)]
    return lambda warm_up_s, seconds: Stand(db, tokens, warm_up_s, seconds, nonces="memory")


def measured(part: str, stand: Stand, folder: Path) -> Figures:
    do, sync_us = overload.parts(turns=1)[part]
    with slow_disk(folder, sync_us):
        figures = do(stand)
    assert figures["faults"] == []
    return figures


def test_at_three_times_what_it_can_the_wallet_does_what_it_can(
    stand_of: Stands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overload, "RAMP", (0.9,))
    monkeypatch.setattr(overload, "FACTORS", (3,))
    # Two seconds, a deadline, until the queue stands.
    at = measured("overload-slow", stand_of(2.0, 3.0), tmp_path)["at"]["3"]
    # Bounded by count alone, nearly all would wait for their deadline, and the circuit would open.
    assert at["goodput"] > 0.5, at
    assert at["admitted_p99_ms"] < 1.5 * overload.DEADLINE_US / 1000, at
    (run,) = at["runs"]
    assert "CIRCUIT_OPEN" not in run["refused_in_all"], at
    assert run["refused_in_all"]["OVERLOADED"] > 0


TRIES = 3
"""A stall of the machine in one of two windows of four seconds is no starvation, which is there each time."""


def test_one_who_floods_does_not_starve_the_polite(stand_of: Stands, tmp_path: Path) -> None:
    waited = []
    for number in range(TRIES):
        folder = tmp_path / str(number)
        folder.mkdir()
        figures = measured("fairness-slow", stand_of(3.0, 4.0), folder)
        assert figures["polite_refused"] == {}
        assert figures["flood_confirmed"] > 0
        assert figures["flood_refused"]["RATE_LIMITED"] > 0
        before, during = figures["polite_before_ms"], figures["polite_during_ms"]
        waited.append((before, during))
        # In four seconds there are few batches: p99 was 1.2 and 1.4 s. A checkpoint in this window and not in
        # that one would make such a difference; that it was one has not been shown.
        p99_max = 3 * before["p99"] + 2 * overload.SLOW_SYNC_US / 1000
        if during["p50"] < 3 * before["p50"] and during["p99"] < p99_max:
            return
    pytest.fail(f"the polite waited, before and during, each time: {waited}")


def test_an_open_circuit_refuses_at_once(stand_of: Stands, tmp_path: Path) -> None:
    figures = measured("open", stand_of(1.0, 3.0), tmp_path)
    assert figures["refused_in_all"]["CIRCUIT_OPEN"] > 3_000
    # Behind a commit it would be 550 ms.
    assert figures["refused_us"]["p50"] < 100_000
