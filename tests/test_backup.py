"""A backup is the whole file at one moment, taken without touching it, and appears checked or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import backup as module
from engine import files
from engine.archive_copy import LEFT_FREE_BYTES
from engine.backup import Copied, back_up, backed_up_at, check, note_backed_up, restore
from engine.errors import FileUnusable
from engine.files import WriterLock, check_is_ours, schema_sql
from engine.reconcile import reconcile
from engine.store import Store
from engine.verify import Verdict, verify
from tests.books_open import ALICE, NOW_US, asked, balances, look, place, play, seed, with_store
from tests.command import harm, overwrite_page_of

NOBODY_ID = 65_534


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A file with a bet, in a folder of its own."""
    (tmp_path / "live").mkdir()
    path = seed(tmp_path / "live" / "books.db", 1000)
    play(path, [place(1)])
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The only thing that a backup may leave in its folder."""
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept" / "books.backup"


def content(path: Path) -> str:
    """Schema text and every row."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return "\n".join(connection.iterdump())


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def crashed(path: Path, folder: Path) -> Path:
    """The file as a crash right after a bet would leave it: the bet stands in the write-ahead log only."""
    left = folder / "crashed.db"

    async def use(store: Store) -> None:
        await store.commit(asked(place(2)), NOW_US)
        for suffix in ("", "-wal"):
            shutil.copy2(f"{path}{suffix}", f"{left}{suffix}")

    with_store(path, use)
    return left


# -- what a backup is


def test_a_backup_is_the_same_database_in_one_file(books: Path, target: Path) -> None:
    before = os.umask(0)
    try:
        copied = back_up(books, target)
    finally:
        os.umask(before)

    assert names(target.parent) == [target.name]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert content(target) == content(books)
    for pragma in ("application_id", "user_version", "auto_vacuum", "page_size"):
        assert look(target, f"PRAGMA {pragma}") == look(books, f"PRAGMA {pragma}")
    assert look(target, "PRAGMA journal_mode") == [("delete",)]
    check_is_ours(target, writing=True)
    ((block, block_hash),) = look(books, "SELECT id, hash FROM blocks ORDER BY id DESC LIMIT 1")
    assert (copied.path, copied.block, copied.block_hash) == (target, block, block_hash)
    assert copied.size_bytes == target.stat().st_size
    assert copied.report == verify(books)


def test_a_good_backup_is_noted_beside_the_file_by_its_time(kept: Path, tmp_path: Path) -> None:
    """For `/metrics`, whoever made the note before: his own time alone could he set."""
    db = tmp_path / "noted.db"
    assert backed_up_at(db) == 0
    note_backed_up(db, 1_700_000_000.0)
    noted = db.with_name("noted.db.backed-up")
    before = noted.stat().st_ino, noted.open()
    note_backed_up(db, 1_800_000_000.0)
    assert backed_up_at(db) == 1_800_000_000
    assert (noted.stat().st_mode & 0o777, noted.stat().st_ino == before[0]) == (0o600, False)
    before[1].close()
    note_backed_up(tmp_path / "nowhere" / "a.db", 1.0)
    assert backed_up_at(kept / "a.db") is None


def test_a_backup_holds_what_a_crash_left_in_the_write_ahead_log_and_changes_no_byte(
    books: Path, tmp_path: Path, target: Path
) -> None:
    left = crashed(books, tmp_path)
    before = [Path(f"{left}{suffix}").read_bytes() for suffix in ("", "-wal")]

    back_up(left, target)

    assert [Path(f"{left}{suffix}").read_bytes() for suffix in ("", "-wal")] == before, "it was checkpointed"
    assert balances(target)[ALICE] == 1000 - 2 * 30


def test_a_backup_is_of_one_moment_however_much_is_committed_meanwhile(
    books: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's backup starts anew when another process has written, and under load would never end."""
    monkeypatch.setattr(module, "STEP_BYTES", 8 * 4096)
    pages = look(books, "PRAGMA page_count")[0][0]
    at_the_start = look(books, "SELECT count(*) FROM bets")
    steps: list[int] = []

    async def use(store: Store) -> None:
        loop = asyncio.get_running_loop()

        def tell(done_bytes: int, total_bytes: int) -> None:
            steps.append(done_bytes)
            commit = store.commit(asked(place(100 + len(steps), 1)), NOW_US)
            asyncio.run_coroutine_threadsafe(commit, loop).result(10)

        await asyncio.to_thread(back_up, books, target, tell)

    with_store(books, use)
    assert steps == sorted(set(steps)), "it started anew"
    assert len(steps) == -(-pages // 8) > 3
    assert look(target, "SELECT count(*) FROM bets") == at_the_start
    assert look(books, "SELECT count(*) FROM bets") != at_the_start


def test_a_copy_of_another_moment_than_was_said_is_no_backup(
    books: Path, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy2(books, tmp_path / "older.db")
    play(books, [place(2)])
    monkeypatch.setattr(
        module, "_copy", lambda source, path, *_: path.write_bytes((tmp_path / "older.db").read_bytes())
    )

    assert [finding["check"] for finding in back_up(books, target).report.findings] == ["head"]
    assert not target.exists()


def test_it_is_on_disk_before_it_has_its_name_and_the_name_before_it_is_done(
    books: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def linked(source: Path, name: Path) -> None:
        done.append("link")
        link(source, name)

    def checked(path: Path) -> Verdict:
        done.append("check")
        return check(path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(module, "check", checked)
    back_up(books, target)

    assert done[-4:] == ["check", "sync copy.db", "link", f"sync {target.parent.name}"]


def test_a_name_that_may_not_be_on_disk_is_taken_back(
    books: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def sick(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sick)
    with pytest.raises(FileUnusable, match="cannot be written: Input/output error"):
        back_up(books, target)
    assert names(target.parent) == []


def test_it_is_copied_at_a_bounded_pace(books: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(module, "STEP_BYTES", 8 * 4096)
    monkeypatch.setattr(module, "PACE_BYTES_PER_S", 1)
    monkeypatch.setattr(time, "sleep", rests.append)

    back_up(books, target)

    assert len(rests) > 3
    assert rests[0] == pytest.approx(8 * 4096, rel=0.01), "bytes, at a byte a second"


# -- where it cannot be


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("books.backup", "exists already"),
        ("books.backup-wal", "books.backup-wal: is left of another file"),
        ("books.backup-journal", "books.backup-journal: is left of another file"),
    ],
)
@pytest.mark.parametrize("make", [back_up, restore], ids=["back_up", "restore"])
def test_what_is_there_is_left_alone(
    books: Path, target: Path, there: str, words: str, make: Callable[[Path, Path], Copied]
) -> None:
    beside = target.with_name(there)
    beside.write_bytes(b"precious")

    with pytest.raises(FileUnusable, match=words):
        make(books, target)

    assert names(target.parent) == [there]
    assert beside.read_bytes() == b"precious"


def test_a_link_that_leads_nowhere_is_left_alone(books: Path, target: Path) -> None:
    target.symlink_to("nowhere")
    with pytest.raises(FileUnusable, match="exists already"):
        back_up(books, target)
    assert names(target.parent) == [target.name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/books.backup", "missing: no such folder"),
        ("x" * 250, "File name too long"),
        ("books.db-wal", "a part of another file"),
    ],
)
def test_a_place_that_cannot_be_is_refused_in_words(books: Path, target: Path, name: str, words: str) -> None:
    with pytest.raises(FileUnusable, match=words):
        back_up(books, target.parent / name)
    assert names(target.parent) == []


def test_a_name_that_is_taken_meanwhile_is_left_to_whoever_took_it(books: Path, target: Path) -> None:
    with pytest.raises(FileUnusable, match="exists already"):
        back_up(books, target, lambda done, total: target.write_bytes(b"mine"))

    assert target.read_bytes() == b"mine"
    assert names(target.parent) == [target.name]


@pytest.mark.parametrize("taken", [False, True])
def test_a_file_system_without_hard_links_will_do(
    books: Path, target: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    if taken:
        with pytest.raises(FileUnusable, match="exists already"):
            back_up(books, target, lambda done, total: target.write_bytes(b"mine"))
        assert target.read_bytes() == b"mine"
    else:
        back_up(books, target)
        assert content(target) == content(books)
    assert names(target.parent) == [target.name]


def test_a_disk_without_room_is_refused_before_anything_is_copied(
    books: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(books)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4096))
    with pytest.raises(FileUnusable, match="its disk has 0 free"):
        back_up(books, target, lambda done, total: pytest.fail("copied"))
    assert names(target.parent) == []


def test_a_copy_leaves_bets_the_room_that_they_need(
    books: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the disk of the books: whoever serves them refuses bets where it is full."""
    usage = shutil.disk_usage(books)
    enough = books.stat().st_size + LEFT_FREE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=enough - 1))
    with pytest.raises(FileUnusable, match="beside the 256 that bets need, and its disk has 256 free"):
        back_up(books, target, lambda done, total: pytest.fail("copied"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=enough))
    assert back_up(books, target).report.ok
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=books.stat().st_size))
    assert restore(target, target.with_name("restored.db")).report.ok, "nobody serves it yet"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second disk here")
def test_a_copy_to_another_disk_may_fill_it(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if Path(elsewhere).stat().st_dev == books.stat().st_dev:
            pytest.skip("one disk for both")
        usage = shutil.disk_usage(elsewhere)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=books.stat().st_size))
        assert back_up(books, Path(elsewhere) / "books.backup").report.ok


# -- what is wrong with the books


def test_the_copy_of_books_that_do_not_add_up_is_kept_aside(books: Path, target: Path) -> None:
    harm(books, f"UPDATE users SET balance = 501 WHERE id = {ALICE}")
    aside = target.with_name("books.backup.suspect")

    for _ in range(2):  # the second one takes the place of the first
        copied = back_up(books, target)
        assert copied.path == aside
        assert copied.report.findings == verify(books).findings != []
        assert names(target.parent) == [aside.name]
    assert content(aside) == content(books)


@pytest.mark.parametrize("table", ["transaction_ledger", "bets"])
def test_a_damaged_page_is_a_finding(books: Path, target: Path, table: str) -> None:
    overwrite_page_of(books, table)
    copied = back_up(books, target)
    assert copied.report.findings[0]["check"] == "integrity"
    assert names(target.parent) == ["books.backup.suspect"]


def test_an_index_that_misses_a_row_is_a_finding(books: Path, target: Path) -> None:
    """No sum shows it, only SQLite's own check."""
    (index,), *_ = look(
        books, "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'transactions'"
    )
    empty_index(books, index)
    assert reconcile(books).ok
    assert [finding["check"] for finding in back_up(books, target).report.findings][:1] == ["integrity"]


def empty_index(path: Path, index: str) -> None:
    """Empty the index's root page: a leaf without cells (sqlite.org/fileformat2.html, section 1.6)."""
    ((page_bytes,),) = look(path, "PRAGMA page_size")
    ((root,),) = look(path, "SELECT rootpage FROM sqlite_schema WHERE name = ?", index)
    with path.open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(bytes([10, 0, 0, 0, 0]) + page_bytes.to_bytes(2, "big") + bytes(page_bytes - 7))


def test_what_is_not_ours_is_not_copied(tmp_path: Path, target: Path) -> None:
    look(tmp_path / "other.db", "CREATE TABLE users (id)")
    with pytest.raises(FileUnusable, match="not one of Solid Green's"):
        back_up(tmp_path / "other.db", target)
    assert names(target.parent) == []


# -- restore


@pytest.fixture
def kept(books: Path, target: Path) -> Path:
    """A good backup, by now older than the books."""
    back_up(books, target)
    play(books, [place(2)])
    return target


def test_a_restored_file_is_served_and_knows_what_was_backed_up(kept: Path, tmp_path: Path) -> None:
    restored = tmp_path / "restored.db"
    assert restore(kept, restored).path == restored

    assert content(restored) == content(kept)
    assert stat.S_IMODE(restored.stat().st_mode) == 0o600
    play(restored, [place(1), place(3)])
    assert balances(restored)[ALICE] == 1000 - 30 - 30, "bet 1 of the backup, and 3; 2 came later"
    assert look(restored, "PRAGMA journal_mode") == [("wal",)]
    assert reconcile(restored).ok


def test_nothing_is_restored_under_a_server(kept: Path, tmp_path: Path) -> None:
    """Its file was moved away, and it still writes to that."""
    lock = WriterLock(tmp_path / "restored.db")
    with pytest.raises(FileUnusable, match="is being served by another process"):
        restore(kept, tmp_path / "restored.db")
    lock.release()
    assert not (tmp_path / "restored.db").exists()
    restore(kept, tmp_path / "restored.db")


def test_an_old_backup_is_not_copied_by_hand_to_where_a_log_was_left(kept: Path, tmp_path: Path) -> None:
    """Whoever is told to copy it there would have SQLite replay that log into it."""
    harm(kept, "PRAGMA user_version = 1")
    target = tmp_path / "restored.db"
    left = target.with_name("restored.db-wal")
    left.write_bytes(b"of another file")
    with pytest.raises(FileUnusable, match=r"restored\.db-wal: is left of another file; move it away"):
        restore(kept, target)
    left.unlink()
    with pytest.raises(FileUnusable, match=f"copy it to {target}, then: solidgreen upgrade"):
        restore(kept, target)


def test_a_backup_cut_short_is_refused(kept: Path, tmp_path: Path) -> None:
    with kept.open("r+b") as file:
        file.truncate(kept.stat().st_size - 4096)
    with pytest.raises(FileUnusable, match="malformed"):
        restore(kept, tmp_path / "restored.db")
    assert "restored.db" not in names(tmp_path)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_backup_that_does_not_add_up_is_not_restored(kept: Path, tmp_path: Path, damaged: bool) -> None:
    if damaged:
        overwrite_page_of(kept, "bets")
    else:
        harm(kept, f"UPDATE users SET balance = 501 WHERE id = {ALICE}")
    copied = restore(kept, tmp_path / "restored.db")
    assert (copied.path, copied.report.ok) == (None, False)
    assert [name for name in names(tmp_path) if "restored" in name] == ["restored.db.lock"]


# -- read-only places


@contextlib.contextmanager
def read_only_folder(*files: Path) -> Iterator[Path]:
    """A folder like a read-only medium that everybody may look at, with a copy of `files`."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders may not be entered by others
    try:
        for file in files:
            shutil.copy2(file, folder)
            (folder / file.name).chmod(0o444)
        folder.chmod(0o555)
        yield folder
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write anywhere: as somebody else, if we are root."""
    if os.geteuid() != 0:
        yield
        return
    schema = schema_sql()  # the checkout may be for root's eyes only
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "schema_sql", lambda: schema)
        os.seteuid(NOBODY_ID)
        try:
            yield
        finally:
            os.seteuid(0)


def test_a_backup_can_be_read_on_a_read_only_medium_and_restored_from_there(
    kept: Path, tmp_path: Path
) -> None:
    with read_only_folder(kept) as folder:
        medium = folder / kept.name
        with without_privileges():
            check_is_ours(medium, writing=False)
            assert reconcile(medium).ok
        restore(medium, tmp_path / "restored.db")
        assert names(folder) == [kept.name]
    assert stat.S_IMODE((tmp_path / "restored.db").stat().st_mode) == 0o600


def test_a_backup_into_a_read_only_folder_is_refused(kept: Path) -> None:
    with read_only_folder(kept) as folder, without_privileges():
        with pytest.raises(FileUnusable, match="cannot be made: Permission denied"):
            back_up(folder / kept.name, folder / "again.backup")
        assert names(folder) == [kept.name]
