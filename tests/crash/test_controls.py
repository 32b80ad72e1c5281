"""The kill cycles, checked: a server that breaks its promises is found out, and for what it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.kill_cycles import Trial

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("server", "check"),
    [
        pytest.param("tests.broken.hasty", "lost", id="an acknowledgement before COMMIT"),
        pytest.param("tests.broken.forgetful", "duplicated", id="keys that are not known again"),
    ],
)
def test_a_broken_server_is_found_out(tmp_path: Path, server: str, check: str) -> None:
    shown = Trial(tmp_path, sockets=12, acks=300, seed="a fixed seed", module=server).run(
        cycles=5, until=check
    )
    assert sum(cycle.count(check) for cycle in shown) > 0
