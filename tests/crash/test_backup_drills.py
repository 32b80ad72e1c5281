"""Backups of a server under load hold every bet up to one block, and none after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash.backup_drills import Drill, drills, vacuous

DRILLS = 2  # `make drills` does ten


@pytest.mark.long
@pytest.mark.timeout(300)
def test_backups_under_load_are_each_of_one_moment(tmp_path: Path) -> None:
    shown = asyncio.run(drills(tmp_path, DRILLS))
    assert [finding for drill in shown for finding in drill.findings] == []
    assert vacuous(shown) == []
    assert len(shown) == DRILLS
    assert all(drill.found >= drill.before >= 500 for drill in shown)


def test_drills_without_load_are_told_apart() -> None:
    idle = Drill(1, block=7, before=500, found=500)
    assert len(vacuous([idle])) == 1
    assert len(vacuous([idle, Drill(2, block=9, during=80, found=80)])) == 1
    assert vacuous([Drill(1, block=7, before=500, during=80, found=560, after_it=20)]) == []
