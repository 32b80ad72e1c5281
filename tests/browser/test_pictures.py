"""`make screenshots` still finds its way through both pages, and takes every picture that is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(300)
def test_every_picture_is_taken(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.pictures", "--into", str(tmp_path), "--minutes", "0"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    taken = {path.name for path in tmp_path.glob("*.png")}
    shown = {path.name for path in (ROOT / "docs/pages").glob("*.png")}
    assert taken == shown
