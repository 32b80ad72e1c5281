"""Twenty readers in a loop: the write-ahead log stays short beside them, and does not without its keeper.

A look ends in some 10 ms, but one is always open. Twenty processes on a machine of two cores take their time,
so it runs with `make test-all`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher import log_keeper
from tests.faults.pinned_log import READERS, UNBOUNDED, Shown, measure
from tests.in_process import run

pytestmark = pytest.mark.long

MIB = 2**20
BETS = 8_000


def measured(folder: Path, bound: int, monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setattr(log_keeper, "LOOK_EVERY_S", 0.1)
    found: list[Shown] = []

    async def measuring() -> None:
        found.append(await measure(folder, BETS, bound=bound))

    run(measuring())
    (shown,) = found
    assert shown.findings == []
    assert shown.bets >= BETS
    assert shown.looks > READERS
    return shown


def test_the_log_stays_short_beside_twenty_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(tmp_path, MIB, monkeypatch).log_max_bytes < 4 * MIB


def test_without_its_keeper_it_grows_with_every_bet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(tmp_path, UNBOUNDED, monkeypatch).log_max_bytes > 5 * MIB
