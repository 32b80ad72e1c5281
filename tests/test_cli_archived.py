"""What the other commands say of books that have archives: backup, restore, doctor, reconcile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.times import rfc3339
from engine.archives import file_of
from tests.books_open import ALICE, BOB, balances, bet_id, look
from tests.command import run, well
from tests.demo_books import LATER_US, archive, archive_files, expect_moved, make_books, own_copy
from tests.forgeries import forge


@pytest.fixture(scope="module")
def moved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(make_books(tmp_path_factory.mktemp("moved") / "demo.db"))


@pytest.fixture
def moved(moved_once: Path, tmp_path: Path) -> Path:
    """Books that are archived; files of its own."""
    return own_copy(moved_once, tmp_path)


def test_a_backup_names_the_archives_that_are_not_in_it(moved: Path, tmp_path: Path) -> None:
    well("archive", "--db", moved, "--before", rfc3339(LATER_US + 1))
    files = [file_of(moved, block_id) for (block_id,) in look(moved, "SELECT block_id FROM archives")]
    (tmp_path / "demo.db.archive-9.unfinished-x").mkdir()
    hidden = [tmp_path / "demo.db.jwt-secret", tmp_path / "demo.db.signing-key"]
    (tmp_path / "kept").mkdir()
    told = well("backup", "--db", moved, tmp_path / "kept" / "a.backup").out.splitlines()
    assert told[1:] == [
        *(f"not in it, keep it apart from the backup: {file}" for file in hidden),
        *(f"not in it, keep it with the backup: {file}" for file in files),
    ]
    shown = well("backup", "--db", moved, tmp_path / "kept" / "b.backup", "--json").json
    assert shown["not_copied"] == [*map(str, hidden), *map(str, files)]


def test_books_restored_under_another_name_look_for_their_archives_under_that(
    moved: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    backup, restored = tmp_path / "kept" / "a.backup", tmp_path / "kept" / "restored.db"
    well("backup", "--db", moved, backup)
    well("restore", backup, "--db", restored)
    (name,) = archive_files(moved)
    block = name.rpartition("-")[2]
    arguments = ("statement", "--db", restored, "--user", ALICE)
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"solidgreen statement: restored.db.archive-{block}: not there")
    shutil.copy2(moved.parent / name, restored.with_name(f"restored.db.archive-{block}"))
    assert well(*arguments).out == well("statement", "--db", moved, "--user", ALICE).out
    assert bet_id(0) in well(*arguments).out
    expect_moved(restored, balances(moved))


def test_doctor_finds_nothing_in_archived_books(moved: Path) -> None:
    assert well("doctor", "--db", moved, "--json").json["findings"] == []


@pytest.mark.parametrize("is_beside", [True, False])
def test_a_balance_of_archived_books_is_put_right(moved: Path, is_beside: bool) -> None:
    before = balances(moved)
    if not is_beside:
        (moved.parent / archive_files(moved)[0]).rename(moved.parent / "elsewhere")
    forge(moved, f"UPDATE users SET balance = 7 WHERE id = {BOB}")
    assert run("reconcile", "--db", moved).status == 1
    told = well("reconcile", "--repair", "--db", moved).out.splitlines()
    assert told[0] == f"repaired: user_id {BOB}, balance 7, is {before[BOB]}"
    assert balances(moved) == before
    assert well("verify", "--db", moved, "--alone", "--json").json["findings"] == []
