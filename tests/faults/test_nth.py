"""A fault at some of the writes and syncs of the database's files (all of them: `make faults`), and that the
audit finds what goes wrong where a guard is missing.

Needs a C compiler for the failing disk (`nth.c`), so it runs with `make test-all`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.nth import build

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments: str) -> tuple[int, dict[str, Any], list[str]]:
    command = [sys.executable, "-m", "tests.faults.nth", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return done.returncode, report["summary"], report["findings"]


def test_whatever_fails_what_was_told_is_true_and_nothing_is_lost() -> None:
    status, summary, findings = run("--every", "31")
    assert findings == []
    assert status == 0
    # It has tested something: faults were met in each file, and there were all kinds of answers.
    assert min(summary["in the database, the log, the index"]) > 0
    assert summary["met their fault"] > summary["cases"] * 0.9
    assert min(summary[what] for what in ("stopped taking money", "went on", "did not start")) > 0
    assert min(summary[what] for what in ("confirmed", "unknown until the restart", "refused at last")) > 0


CHECKPOINTS = """
import ctypes, errno, json, sqlite3, sys
from tests.faults.nth import disk
shim, path, partly = disk(), sys.argv[1], sys.argv[2] == "partly"
writer, reader = (sqlite3.connect(path, isolation_level=None) for _ in range(2))
for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
    writer.execute(f"PRAGMA {pragma}")
writer.execute("CREATE TABLE rows (x)")

def fill(first):  # the same pages are not written twice
    for n in range(first, first + 20):
        writer.execute("INSERT INTO rows VALUES (?)", (f"{n} " * 2000,))

def checkpoint(failing_sync):
    shim.nth_arm(b"books.db", 2, failing_sync, errno.EIO, 0)
    try:
        answer = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.OperationalError as error:
        answer = error.sqlite_errorname
    return answer, shim.nth_count(0), shim.nth_count(2)

fill(0)
shown = []
if partly:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM rows").fetchone()
    fill(20)
    shown.append(checkpoint(0))
    reader.execute("COMMIT")
shown += [checkpoint(2), checkpoint(0)]
print(json.dumps(shown))
"""


def checkpoints(folder: Path, how: str) -> list[Any]:
    library = build(folder)
    command = [sys.executable, "-c", CHECKPOINTS, str(folder / "books.db"), how]
    environment = os.environ | {"LD_PRELOAD": str(library)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    shown: list[Any] = json.loads(done.stdout)
    return shown


def test_a_checkpoint_whose_sync_failed_once_writes_every_page_again(tmp_path: Path) -> None:
    """What docs/adr/0018 takes SQLite's word for."""
    failed, again = checkpoints(tmp_path, "wholly")
    assert failed[0] == "SQLITE_IOERR_FSYNC"
    (busy, frames, moved), writes, syncs = again
    assert (busy, moved, writes, syncs) == (0, frames, failed[1], 2)


def test_but_not_those_that_a_checkpoint_before_it_wrote_without_a_sync(tmp_path: Path) -> None:
    """So a sync that has failed must not be tried again: the next one would succeed without these pages."""
    partly, failed, again = checkpoints(tmp_path, "partly")
    (_, frames, moved), writes, syncs = partly
    assert moved < frames
    assert writes > 0
    assert syncs == 1, "of the log; the database was not synced"
    assert failed[0] == "SQLITE_IOERR_FSYNC"
    assert again[0][1] == again[0][2] == frames, "all of it counts as written back"
    assert again[1] <= failed[1] < failed[1] + writes, "and the first pages were not written again"


@pytest.mark.parametrize(
    ("guard", "lie", "which"),
    [
        # Only a sync shows it, and which of them a COMMIT waits for differs from run to run.
        ("doubt", "at last, and is in the books as", ("--every", "3", "--op", "sync")),
        ("patience", "the books have None", ("--every", "61")),
        ("heed", "of the database has failed, and money is taken", ("--every", "61")),
    ],
)
def test_the_audit_finds_what_a_missing_guard_lets_through(
    guard: str, lie: str, which: tuple[str, ...]
) -> None:
    status, _, findings = run(*which, "--only", "EIO", "--without", guard)
    assert status == 1
    assert any(lie in finding for finding in findings), findings
