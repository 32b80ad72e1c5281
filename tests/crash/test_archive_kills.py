"""An archive that is killed at ten points of its way loses nothing, and hardly holds up bets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench import archive
from tests.crash.archive_kills import POINTS, Sample, trial

ENTRIES = 18_000  # with fewer, all keys are noted in one step; `make archive` does more
LEDGER = 6_000
FEW = Sample(bets=20, receipts=2, statements=2)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_an_archive_killed_at_ten_points_loses_nothing(tmp_path: Path) -> None:
    shown = asyncio.run(trial(tmp_path, ENTRIES, FEW))
    assert shown.findings == []
    assert [kill.point for kill in shown.kills] == [*POINTS]
    assert len(POINTS) == 10
    assert shown.confirmed > 0
    assert shown.sampled == FEW.bets


@pytest.mark.long
@pytest.mark.timeout(400)
def test_half_of_a_ledger_is_archived_beside_bets(tmp_path: Path) -> None:
    shown = archive.measure(tmp_path, LEDGER, seconds=1)
    assert 0 < shown["upto_entry_id"] < LEDGER + 2 * archive.PLAYERS
    assert shown["bets_during"]
    assert {*shown["states"]} <= {"copying", "moving"}
    assert shown["archive_bytes"] > 0
    assert shown["verify"].endswith("everything holds")
    assert shown["verify_alone"].endswith("without its archives): everything holds")
