"""An upgrade on a disk that gets full half-way: the file is of the one version or the other, and once there
is room again the next run finishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.full_upgrade import WATCHED
from tests.faults.nth import build

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.long
def test_a_disk_that_gets_full_half_way_leaves_the_file_of_one_version_or_the_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.full_upgrade", str(tmp_path), "60"]
    environment = {**os.environ, "LD_PRELOAD": str(build(tmp_path))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [(each["case"], each["findings"]) for each in shown if each["findings"]] == []
    refused = [each for each in shown if each["status"] == 2]
    assert {each["case"].split()[0] for each in refused} == {*WATCHED}
    assert {each["said"].count("\n") for each in refused} == {1}
    assert sum("database or disk is full" in each["said"] for each in refused) >= 2
    # The last writes move the log into the database: it is upgraded by then, and the next start does that.
    assert any(each["status"] == 0 and each["hits"] for each in shown)
