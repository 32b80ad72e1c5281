"""The bench of log-ins beside bets: what it makes of its figures, and a short run of it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from bench.logins import measure, summary


def test_what_is_reported_is_the_median_of_neighbours() -> None:
    rounds = [
        {
            "calm": {"p50_ms": 1.0, "p99_ms": calm},
            "storm": {"p50_ms": 2.0, "p99_ms": storm, "logins_per_s": 50, "login_p50_ms": 900},
            "hashes": {"p50_ms": 1.0, "p99_ms": 1.2 * calm},
        }
        for calm, storm in ((10.0, 11.0), (100.0, 110.0), (10.0, 40.0))
    ]
    told = summary(rounds, people=50)
    assert told["p99_ms"] == {
        "calm": 10.0,
        "storm": 40.0,
        "hashes": 12.0,
        "ratio": 1.1,
        "ratio_of_hashes": 1.2,
    }
    assert told["p50_ms"]["ratio"] == 2.0
    assert (told["people"], told["logins_per_s"], told["login_p50_ms"]) == (50, 50, 900)


@pytest.mark.long
def test_a_short_run_ends_with_sound_books(tmp_path: Path) -> None:
    pytest.importorskip("picows")
    people = 3
    told = measure(tmp_path, rounds=1, seconds=0.5, people=people)
    assert told["reconcile"] == "ok"
    with contextlib.closing(sqlite3.connect(tmp_path / "logins.db")) as connection:
        ((begun,),) = connection.execute("SELECT count(*) FROM logins")
    # One for each registration, one for each log-in that was counted.
    assert told["rounds"][0]["storm"]["logins"] == begun - people
