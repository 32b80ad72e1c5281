"""A server killed with SIGKILL while bets are in flight keeps every promise that it made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.kill_cycles import Trial, vacuous


@pytest.mark.long
def test_what_was_acknowledged_before_a_kill_is_in_the_books_once(tmp_path: Path) -> None:
    shown = Trial(tmp_path, sockets=24, acks=1000, seed="a fixed seed").run(cycles=3)
    assert [finding for cycle in shown for finding in cycle.findings] == []
    assert vacuous(shown) == []
    assert len(shown) == 3
    assert all(cycle.acknowledged >= 1000 for cycle in shown)
    assert all(cycle.unknown == cycle.found + cycle.retried > 0 for cycle in shown)
