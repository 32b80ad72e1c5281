"""Books with a past and secrets beside them, for the command `archive`; and what holds once it is moved."""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from cli.times import rfc3339
from engine.keys import signing_key
from harness.process import PATIENT, Server
from tests.books_open import ALICE, BOB, NOW_US, deposit, look, place, play, seed, settle
from tests.command import run, well

LATER_US = NOW_US + 60_000_000
BEFORE = rfc3339(LATER_US)
ROUNDS = 40


def make_books(path: Path) -> Path:
    """Bets of a minute ago, settled or not, and of now; its secrets beside it."""
    seed(path, 100_000, 100_000)
    placed = [place(number, 20, (ALICE, BOB)[number % 2]) for number in range(ROUNDS)]
    play(path, placed)
    play(path, [settle(f"s{number}", number, "lost") for number in range(0, ROUNDS, 2)])
    play(path, [settle(f"s{number}", number, "won", 50) for number in range(1, ROUNDS - 1, 2)])
    play(path, [place(1000, 50), deposit("late")], now_us=LATER_US)
    path.with_name(f"{path.name}.jwt-secret").write_text("a-secret-of-this-file-alone-and-of-no-other")
    path.with_name(f"{path.name}.jwt-secret").chmod(0o600)
    signing_key(path)  # as the first start of a server makes it
    return path


def own_copy(made: Path, folder: Path) -> Path:
    """The same books, with what lies beside them."""
    for file in made.parent.glob(f"{made.name}*"):
        if not file.name.endswith(".log"):
            shutil.copy2(file, folder)
    return folder / made.name


def archive(db: Path) -> Path:
    """Move all that is older than a minute."""
    well("archive", "--db", db, "--before", BEFORE)
    return db


@contextlib.contextmanager
def serving(db: Path, **settings: str) -> Iterator[Server]:
    with Server(db, settings=PATIENT | {"jwt_secret": ""} | settings) as server:
        yield server


def secrets(db: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, mode and time of what only the owner may read."""
    files = [db.with_name(f"{db.name}{suffix}") for suffix in (".jwt-secret", ".signing-key")]
    return {
        file.name: (file.read_bytes(), stat.S_IMODE(file.stat().st_mode), file.stat().st_mtime_ns)
        for file in files
    }


def archive_files(db: Path) -> list[str]:
    return sorted(file.name for file in db.parent.iterdir() if ".archive" in file.name)


def expect_moved(db: Path, before: dict[int, int], *, archives: int = 1) -> None:
    """Nothing is under way, everybody has what he had, and all of it is proven, together and alone."""
    assert len(archive_files(db)) == archives
    are_moved = "moved_transaction_id = upto_transaction_id, moved_entry_id = upto_entry_id"
    ends = look(db, f"SELECT state, {are_moved} FROM archives")
    assert ends == [("moving", 1, 1)] * archives
    assert dict(look(db, "SELECT id, balance FROM users WHERE last_entry_id > 0")) == before
    assert well("verify", "--db", db, "--json").json["findings"] == []
    assert well("verify", "--db", db, "--alone", "--json").json["findings"] == []


def refused(db: Path, *arguments: str, **settings: str) -> str:
    """What the one line says, after the name of the command; and nothing has changed."""
    before = look(db, "SELECT (SELECT count(*) FROM transactions), (SELECT max(id) FROM blocks)")
    files = archive_files(db)
    done = run("archive", "--db", db, *arguments, **settings)
    assert (done.status, done.out) == (2, ""), done
    assert done.err.count("\n") == 1, done.err
    assert archive_files(db) == files
    assert look(db, "SELECT (SELECT count(*) FROM transactions), (SELECT max(id) FROM blocks)") == before
    return done.err.removeprefix("solidgreen archive: ").rstrip("\n")
