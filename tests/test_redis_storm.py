"""Redis fails in every way that the table knows, under load; and the storm finds fault where there is one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.redis_faults import FAULTS, redis_behind_a_proxy
from tests.redis_storm import Passage, Storm, vacuous

pytestmark = pytest.mark.long


def storm(folder: Path, faults: list[str], lasts_s: float, **options: str) -> tuple[Storm, list[Passage]]:
    with redis_behind_a_proxy() as redis:
        blown = Storm(folder, redis, seed="a fixed seed", **options)
        return blown, asyncio.run(blown.run([(fault, lasts_s) for fault in faults]))


@pytest.mark.timeout(300)
def test_no_fault_of_redis_moves_money_twice_or_keeps_bets_waiting(tmp_path: Path) -> None:
    blown, shown = storm(tmp_path, list(FAULTS), 0.6)
    assert [finding for passage in shown for finding in passage.findings] == []
    assert blown.findings + vacuous(blown) == []
    assert len(shown) == len(FAULTS)


def test_the_storm_finds_that_bets_wait_where_nothing_limits_it(tmp_path: Path) -> None:
    """The control: a guard without a time limit and without a fallback."""
    _, (passage,) = storm(tmp_path, ["frozen"], 3.0, module="tests.broken.unguarded")
    assert {"waited", "health"} <= {finding.check for finding in passage.findings}
    assert passage.slowest_s > 2.0
