from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        stage = Stage(tmp_path / "a.db", stack)
        yield stage
        stage.server.kill()
        stage.disk.power_off()
    assert stage.failures == []
