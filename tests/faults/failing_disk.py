"""A disk that fails on demand under a real server (`disk.c`), and what the books say afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.preload import compiled
from harness.process import solidgreen


class Disk:
    """The state of the disk under the server that is started next."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        library = compiled(Path(__file__).with_name("disk.c"), folder)
        self._state = folder / "disk-state"
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("LD_PRELOAD", str(library))
        # Not named SOLIDGREEN_…: the harness clears those, so that no setting leaks into a server.
        monkeypatch.setenv("TEST_DISK", str(self._state))

    def becomes(self, state: str) -> None:
        self._state.write_text(state)

    def is_replaced(self) -> None:
        """Whatever is started from here on has a sound disk."""
        self._monkeypatch.delenv("LD_PRELOAD")


def books(db: Path) -> dict[str, Any]:
    """What `reconcile` says."""
    report: dict[str, Any] = json.loads(
        solidgreen("reconcile", "--db", str(db), "--json", check=False).stdout
    )
    return report
