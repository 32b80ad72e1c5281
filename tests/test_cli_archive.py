"""The command `archive` on a file that nobody serves: in words and as JSON, killed and called again."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.times import rfc3339
from engine.archives import file_of
from engine.commands import CarryArchive
from engine.errors import BatchRefused
from engine.outcomes import Outcome
from engine.store import Asked, Store
from harness.process import environment
from tests.books_open import NOW_US, balances, look, place, play, seed
from tests.command import run, well
from tests.demo_books import (
    BEFORE,
    LATER_US,
    ROUNDS,
    archive,
    archive_files,
    expect_moved,
    make_books,
    own_copy,
    refused,
    secrets,
)

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_books(tmp_path_factory.mktemp("made") / "demo.db")


@pytest.fixture
def books(made: Path, tmp_path: Path) -> Path:
    """Files of its own."""
    return own_copy(made, tmp_path)


@pytest.fixture(scope="module")
def moved_once(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(own_copy(made, tmp_path_factory.mktemp("moved")))


@pytest.fixture
def moved(moved_once: Path, tmp_path: Path) -> Path:
    """Books that are archived; files of its own."""
    return own_copy(moved_once, tmp_path)


# -- a file that nobody serves


def test_it_moves_the_past_and_says_where_it_is(books: Path) -> None:
    before, kept = balances(books), secrets(books)
    bytes_before = books.stat().st_size
    told = well("archive", "--db", books, "--before", BEFORE).out

    ((block_id, entry_id),) = look(books, "SELECT block_id, upto_entry_id FROM archives")
    file = file_of(books, block_id)
    assert told.splitlines() == [
        f"{file}: {file.stat().st_size >> 10} KiB, up to block {block_id}, entry {entry_id}",
        f"{books}: {bytes_before >> 10} KiB before, {books.stat().st_size >> 10} KiB now",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    # Those of now stay: a bet, a deposit and its other side.
    assert look(file, "SELECT count(*), max(id) FROM transaction_ledger") == [(entry_id, entry_id)]
    assert look(books, "SELECT count(*) FROM transaction_ledger WHERE id > 0") == [(4,)]
    assert look(file, "SELECT count(*) FROM bets") == [(ROUNDS - 1,)]
    expect_moved(books, before)
    assert secrets(books) == kept
    assert stat.S_IMODE(books.stat().st_mode) == 0o600


def test_as_json(books: Path) -> None:
    bytes_before = books.stat().st_size
    told = well("archive", "--db", books, "--before", BEFORE, "--json").json
    columns = "id, block_id, upto_transaction_id, upto_entry_id"
    ((id_, block_id, transaction_id, entry_id),) = look(books, f"SELECT {columns} FROM archives")
    assert told == {
        "archive_id": id_,
        "state": "moved",
        "upto_block": block_id,
        "upto_transaction_id": transaction_id,
        "upto_entry_id": entry_id,
        "moved_transaction_id": transaction_id,
        "moved_entry_id": entry_id,
        "file": str(file_of(books, block_id)),
        "bytes_before": bytes_before,
        "bytes": books.stat().st_size,
    }


def test_the_same_time_again_answers_the_same_also_behind_a_later_one(books: Path) -> None:
    first = well("archive", "--db", books, "--before", BEFORE, "--json").json
    again = well("archive", "--db", books, "--before", BEFORE, "--json").json
    assert again == first | {"bytes_before": first["bytes"], "bytes": again["bytes"]}
    later = well("archive", "--db", books, "--before", rfc3339(LATER_US + 1), "--json").json
    assert later["upto_block"] > first["upto_block"]
    again = well("archive", "--db", books, "--before", BEFORE, "--json").json
    assert (again["archive_id"], again["file"]) == (first["archive_id"], first["file"])
    before = dict(look(books, "SELECT id, balance FROM users WHERE last_entry_id > 0"))
    expect_moved(books, before, archives=2)


def test_an_archive_that_was_put_elsewhere_is_said_to_be_not_there(moved: Path) -> None:
    (name,) = archive_files(moved)
    (moved.parent / name).rename(moved.parent / "elsewhere")
    told = well("archive", "--db", moved, "--before", BEFORE).out
    assert told.startswith(f"{moved.parent / name}: not there now, up to block ")


def test_an_archive_under_way_goes_on_first_also_after_a_kill(books: Path) -> None:
    """Killed in each state of the file, and called again, at last with a time at which there is nothing."""
    before = balances(books)
    command = [sys.executable, "-c", SLOWLY, "archive", "--db", str(books), "--before", BEFORE]
    states = []
    for at in ("copying", "moving", "moving"):
        stood = _stands(books)
        process = subprocess.Popen(command, env=environment(jwt_secret=""), stderr=subprocess.PIPE)
        deadline = time.monotonic() + PATIENCE_S
        while (stands := _stands(books)) == stood or stands[0] != at:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, stands
            time.sleep(0.005)  # the file gives no other sign
        process.kill()
        assert process.wait() == -9
        process.communicate()
        states.append(_stands(books)[0])
        command[-1] = "2020-01-01T00:00:00Z"
    assert states == ["copying", "moving", "moving"]
    ((upto,),) = look(books, "SELECT block_id FROM archives")
    told = well("archive", "--db", books, "--before", "2020-01-01T00:00:00Z", "--json").json
    assert (told["state"], told["upto_block"]) == ("moved", upto)
    expect_moved(books, before)


SLOWLY = """
import asyncio, sys
from engine import archive_move
from engine.store import Store
archive_move.KEYS_AT_ONCE = archive_move.TRANSACTIONS_AT_ONCE = archive_move.ENTRIES_AT_ONCE = 1
tidy = Store.tidy
async def slowly(*arguments):
    await asyncio.sleep(0.01)
    return await tidy(*arguments)
Store.tidy = slowly
from cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""The same program, as if there were a thousand times as much to do: so that it can be met half-way."""


def _stands(db: Path) -> tuple[object, ...]:
    """State, and what is moved."""
    columns = "state, moved_transaction_id, moved_entry_id"
    return (*look(db, f"SELECT {columns} FROM archives"), ("none",))[0]


def test_a_disk_that_takes_no_seal_is_one_line_and_nothing_is_deleted(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, commit = balances(books), Store.commit

    async def fail(store: Store, batch: Sequence[Asked], now_us: int) -> list[Outcome]:
        if any(isinstance(asked.command, CarryArchive) for asked in batch):
            raise BatchRefused("commit", "database or disk is full")
        return await commit(store, batch, now_us)

    entries = look(books, "SELECT count(*) FROM transaction_ledger")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", fail)
        done = run("archive", "--db", books, "--before", BEFORE)
    assert (done.status, done.out) == (2, "")
    assert done.err == "solidgreen archive: commit: database or disk is full\n"
    assert look(books, "SELECT count(*) FROM transaction_ledger") == entries
    well("archive", "--db", books, "--before", BEFORE)
    expect_moved(books, before)


# -- what it refuses


def test_a_time_to_come_is_refused(books: Path) -> None:
    words = "--before: expected a time that is past; and a file has at most ten archives"
    assert refused(books, "--before", "2200-01-01T00:00:00Z") == words


@pytest.mark.parametrize("before", ["2020-01-01T00:00:00Z", rfc3339(NOW_US)])
def test_where_nothing_is_older_nothing_is_archived(books: Path, before: str) -> None:
    assert refused(books, "--before", before) == "--before: no block that is older is left to be archived"


def test_what_an_earlier_archive_has_is_not_archived_again(moved: Path) -> None:
    words = "--before: no block that is older is left to be archived"
    assert refused(moved, "--before", rfc3339(LATER_US - 1)) == words


@pytest.mark.parametrize("before", ["yesterday", "2026-01-31T12:00:00", "2026-01-31", ""])
def test_what_is_no_time_is_refused_with_the_form_of_one(books: Path, before: str) -> None:
    done = run("archive", "--db", books, "--before", before)
    assert (done.status, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith("solidgreen archive: argument --before: ")
    assert "2026-01-31T12:00:00Z" in first
    assert second == "(try: solidgreen archive --help)"
    assert archive_files(books) == []


def test_without_a_time_the_call_is_wrong(books: Path) -> None:
    done = run("archive", "--db", books)
    assert done.status == 2
    first, _ = done.err.splitlines()
    assert first == "solidgreen archive: the following arguments are required: --before"


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = run("archive", "--db", tmp_path / "no.db", "--before", BEFORE)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"solidgreen archive: {tmp_path / 'no.db'}: ")
    assert done.err.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 100, b""])
def test_what_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    db = tmp_path / "a.db"
    db.write_bytes(content)
    done = run("archive", "--db", db, "--before", BEFORE)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"solidgreen archive: {db}: ")
    assert db.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["a.db"]


def test_an_archive_is_not_archived(moved: Path) -> None:
    (name,) = archive_files(moved)
    done = run("archive", "--db", moved.parent / name, "--before", BEFORE)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert archive_files(moved) == [name]


def test_the_eleventh_is_refused(tmp_path: Path) -> None:
    db = seed(tmp_path / "a.db", 1000)
    for number in range(1, 12):
        play(db, [place(number)], now_us=NOW_US + number)
    for number in range(1, 11):
        well("archive", "--db", db, "--before", rfc3339(NOW_US + number))
    assert refused(db, "--before", rfc3339(NOW_US + 11)) == (
        "--before: expected a time that is past; and a file has at most ten archives"
    )
    assert len(archive_files(db)) == 10
    assert well("verify", "--db", db, "--json").json["findings"] == []


def test_help_says_that_an_archive_under_way_goes_on_first() -> None:
    told = " ".join(well("archive", "--help").out.split())
    assert "An archive that is under way goes on first, whatever TIME says." in told
    assert "(default: ws://127.0.0.1:8000/ws)" in told
