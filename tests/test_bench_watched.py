"""The bench of operators who watch beside bets: what it makes of its figures, and a short run of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.watched import measure, summary


def test_what_is_kept_is_the_median_of_neighbours() -> None:
    pairs = ((10_000.0, 9_900.0), (20_000.0, 18_000.0), (30_000.0, 29_850.0))
    rounds = [{"alone": {"per_s": alone}, "watched": {"per_s": watched}} for alone, watched in pairs]
    told = summary(rounds, operators=3)
    assert (told["kept"], told["per_s"]) == (0.99, {"alone": 20_000.0, "watched": 18_000.0})


@pytest.mark.long
def test_a_short_run_ends_with_sound_books(tmp_path: Path) -> None:
    pytest.importorskip("picows")
    told = measure(tmp_path, rounds=1, seconds=1.5, operators=2)
    assert told["reconcile"] == "ok"
    assert told["rounds"][0]["watched"]["told"] >= 2
