"""Backups that are ended half way: nothing has the name of a backup, and what is left is swept up."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.backup import back_up, backed_up_at, restore
from engine.drafts import UNFINISHED, Draft
from engine.errors import FileUnusable
from harness.process import environment, solidgreen
from tests.command import harm, overwrite_page_of, seed

ROOT = Path(__file__).resolve().parent.parent
KILLED_HALF_WAY = """
import os, pathlib, signal, sys
from engine import backup
backup.STEP_BYTES = 8 * 4096
getattr(backup, sys.argv[1])(
    pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]),
    lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done > total // 2 else None,
)
"""


@pytest.fixture
def books(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    path = tmp_path / "live" / "demo.db"
    seed(path, players=2)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where backups go."""
    made = tmp_path / "kept"
    made.mkdir()
    return made


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def kill_half_way(what: str, source: Path, target: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_HALF_WAY, what, source, target], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL


# -- ended half way


def test_a_backup_killed_half_way_leaves_what_says_so_and_the_next_one_removes_it(
    books: Path, folder: Path
) -> None:
    kill_half_way("back_up", books, folder / "monday.db")
    assert names(folder) == [f"monday.db{UNFINISHED}"]

    back_up(books, folder / "tuesday.db")
    assert names(folder) == ["tuesday.db"]

    kill_half_way("back_up", books, folder / "monday.db")
    back_up(books, folder / "monday.db")
    assert names(folder) == ["monday.db", "tuesday.db"]


def test_a_restore_killed_half_way_leaves_nothing_that_could_be_served(books: Path, folder: Path) -> None:
    back_up(books, folder / "kept.db")
    books.unlink()
    kill_half_way("restore", folder / "kept.db", books)
    assert not books.exists()
    assert restore(folder / "kept.db", books).report.ok
    assert not [name for name in names(books.parent) if name.endswith(UNFINISHED)]


def test_an_empty_log_that_a_reader_left_is_in_nobody_s_way(books: Path, folder: Path) -> None:
    back_up(books, folder / "kept.db")  # reads a file in WAL mode, and may not tidy up after itself
    books.unlink()
    assert books.with_name("demo.db-wal").stat().st_size == 0
    restore(folder / "kept.db", books)
    seed(books, players=1)
    assert solidgreen("reconcile", "--db", str(books)).stdout.startswith(f"{books}: 10 accounts, 6 entries:")


def test_a_run_under_way_is_not_swept_up_by_another(books: Path, folder: Path) -> None:
    with Draft(folder / "monday.db") as draft:
        back_up(books, folder / "tuesday.db")
        with pytest.raises(FileUnusable, match="another run is under way"):
            back_up(books, folder / "monday.db")
        assert draft.path.exists()
    assert names(folder) == ["tuesday.db"]


def test_what_this_program_did_not_make_is_not_swept_up(books: Path, folder: Path) -> None:
    strange = folder / f"monday.db{UNFINISHED}"
    strange.mkdir()
    (strange / "diary").write_text("dear diary")

    back_up(books, folder / "tuesday.db")

    assert (strange / "diary").read_text() == "dear diary"
    with pytest.raises(FileUnusable, match="not ours to remove"):
        back_up(books, folder / "monday.db")


def test_an_interrupted_backup_leaves_nothing(books: Path, folder: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(books, folder / "monday.db", interrupt)
    assert names(folder) == []


def test_a_disk_that_fills_half_way_leaves_nothing(books: Path, folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "backup", "--db", books, folder / "monday.db"],
        env=environment(), capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"solidgreen backup: {books}: cannot be copied to {folder / 'monday.db'}: ")
    assert len(done.stderr.splitlines()) == 1
    assert names(folder) == []


# -- the commands


def test_backup_says_what_is_in_it_and_what_is_not(books: Path, folder: Path) -> None:
    keys = [books.with_name(f"demo.db{suffix}") for suffix in (".jwt-secret", ".signing-key")]
    for key in keys:
        key.write_text("secret")
    began_at_s = time.time()
    first = solidgreen("backup", "--db", str(books), str(folder / "a.db"))
    assert began_at_s < (backed_up_at(books) or 0) < (folder / "a.db").stat().st_ctime
    assert first.stderr == "", "not a terminal: no progress"
    told, *rest = first.stdout.splitlines()
    assert told.startswith(f"{folder / 'a.db'}: 9 accounts, 4 entries, to block 2 ")
    assert rest == [f"not in it, keep it apart from the backup: {key}" for key in keys]

    shown = json.loads(solidgreen("backup", "--db", str(books), str(folder / "b.db"), "--json").stdout)
    assert shown.pop("hash") in told
    assert shown == {
        "ok": True,
        "file": str(folder / "b.db"),
        "bytes": (folder / "b.db").stat().st_size,
        "block": 2,
        "users": 9,
        "entries": 4,
        "findings": [],
        "not_copied": [str(key) for key in keys],
    }
    assert names(folder) == ["a.db", "b.db"], "secrets stay where they are"


def test_restore_says_what_came_back_and_what_may_be_missing(books: Path, folder: Path) -> None:
    back_up(books, folder / "kept.db")
    done = solidgreen("restore", str(folder / "kept.db"), "--db", str(folder / "demo.db"))
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{folder / 'demo.db'}: 9 accounts, 4 entries, to block 2 ")
    assert "confirmed after that block is not in it" in second
    assert solidgreen("reconcile", "--db", str(folder / "demo.db")).returncode == 0

    again = solidgreen("restore", str(folder / "kept.db"), "--db", str(folder / "demo.db"), check=False)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == f"solidgreen restore: {folder / 'demo.db'}: exists already; it was left as it is\n"


def test_findings_are_a_status_of_their_own(books: Path, folder: Path) -> None:
    harm(books, "UPDATE users SET balance = 501 WHERE id = 7")
    done = solidgreen("backup", "--db", str(books), str(folder / "a.db"), check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert backed_up_at(books) == 0, "that was no good backup"
    *findings, verdict = done.stdout.splitlines()
    assert findings == solidgreen("reconcile", "--db", str(books), check=False).stdout.splitlines()[:-1]
    assert verdict == f"{folder / 'a.db.suspect'}: is no good backup, 1 finding: look at {books}"

    aside = folder / "a.db.suspect"
    shown = solidgreen("restore", str(aside), "--db", str(folder / "b.db"), "--json", check=False)
    assert shown.returncode == 1
    assert (json.loads(shown.stdout)["ok"], json.loads(shown.stdout)["file"]) == (False, None)
    plain = solidgreen("restore", str(aside), "--db", str(folder / "b.db"), check=False)
    assert (plain.returncode, plain.stdout.splitlines()[-1]) == (
        1,
        f"{aside}: 1 finding; nothing was restored",
    )
    assert not (folder / "b.db").exists()


def test_a_source_that_cannot_be_read_is_no_verdict(books: Path, folder: Path) -> None:
    """Status 1 would say that a copy was made and checked."""
    overwrite_page_of(books, "blocks")
    for source in (books, folder / "nothing.db", ROOT / "README.md"):
        done = solidgreen("backup", "--db", str(source), str(folder / "a.db"), check=False)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert str(source) in done.stderr
    assert names(folder) == []


def test_a_terminal_sees_how_far_it_is(books: Path, folder: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "backup", "--db", books, folder / "a.db"],
            env=environment(), stdout=subprocess.PIPE, stderr=theirs, text=True,
        )  # fmt: skip
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0
    assert "copied 0 of 0 MiB, checking" in shown
