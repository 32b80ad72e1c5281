"""The file itself: made whole or not at all, refused in words, locked for one process, its owner's alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import files
from engine.errors import FileUnusable
from engine.files import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    Schema,
    WriterLock,
    check_is_ours,
    create_if_missing,
    forget_what_was_written_back,
    make_secret,
    schema_in,
)
from engine.reconcile import reconcile
from engine.store import Store
from tests.books_open import ALICE, NOW_US, asked, balances, look, place, play, seed, with_store
from tests.command import harm

ROOT = Path(__file__).resolve().parent.parent
HOLD = """
import pathlib, sys
from engine.files import WriterLock
lock = WriterLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
input()
"""


def why_refused(path: Path, *, writing: bool = True) -> str:
    """The one line that says why the file cannot be used; opening a store says the same and takes no lock."""
    beside = path.with_name(f"{path.name}.lock")
    beside.unlink(missing_ok=True)
    with pytest.raises(FileUnusable) as refused:
        check_is_ours(path, writing=writing)
    if writing:
        with pytest.raises(FileUnusable) as again:
            asyncio.run(Store.open(path))
        assert str(again.value) == str(refused.value)
        assert not beside.exists()
    message = str(refused.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return seed(tmp_path / "books.db", 100)


def test_a_missing_file_is_not_made_by_opening_it(tmp_path: Path) -> None:
    assert "no such file; make one with: solidgreen seed" in why_refused(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writing", [True, False])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an SQLite database"),
        (b"SQLite format 4\x00" + bytes(4096), "is not an SQLite database"),
        (b"hello, I am a picture of a cat" * 100, "is not an SQLite database"),
        (b"SQLite format 3\x00", "cannot be read as a database"),
        (b"SQLite format 3\x00" + b"\x5a" * 8192, "cannot be read as a database"),
    ],
    ids=["empty", "almost", "garbage", "cut short", "garbage behind the magic"],
)
def test_what_is_not_a_database_is_refused(tmp_path: Path, content: bytes, words: str, writing: bool) -> None:
    path = tmp_path / "garbage.db"
    path.write_bytes(content)

    assert words in why_refused(path, writing=writing)
    assert path.read_bytes() == content


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is not a file" in why_refused(tmp_path)


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    look(path, "CREATE TABLE users (id INTEGER, balance INTEGER)")

    assert "not one of Solid Green's" in why_refused(path)
    assert look(path, "SELECT name FROM sqlite_schema") == [("users",)]


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
def test_a_file_of_another_version_is_refused(books: Path, version: int) -> None:
    look(books, f"PRAGMA user_version = {version}")

    expected = f"has schema version {version}, and this program knows up to version {SCHEMA_VERSION}"
    assert expected in why_refused(books)


def test_a_read_only_file_can_be_read_and_not_served(books: Path) -> None:
    books.chmod(0o400)

    with pytest.raises(FileUnusable, match="is read-only"):
        check_is_ours(books, writing=True)
    check_is_ours(books, writing=False)
    assert reconcile(books).ok


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DROP TRIGGER ledger_is_never_updated", "trigger ledger_is_never_updated is missing"),
        ("DROP INDEX one_book_of_a_kind", "index one_book_of_a_kind is missing"),
        ("CREATE TABLE notes (id INTEGER)", "table notes is foreign"),
        ("ALTER TABLE users ADD COLUMN notes TEXT", "table users differs"),
        ("CREATE TRIGGER t AFTER INSERT ON bets BEGIN SELECT 1; END", "trigger t is foreign"),
    ],
)
@pytest.mark.parametrize("writing", [True, False])
def test_an_altered_schema_is_refused_by_name(books: Path, sql: str, words: str, writing: bool) -> None:
    look(books, sql)

    assert words in why_refused(books, writing=writing)


def test_a_database_torn_in_the_middle_is_refused(books: Path) -> None:
    size = books.stat().st_size
    with books.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))

    assert "cannot be read as a database: database disk image is malformed" in why_refused(books)


@contextlib.contextmanager
def another_process_serving(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the writer's lock of `path` until it is told to end, or killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_file_served_by_another_process_is_refused_until_that_one_is_killed(books: Path) -> None:
    with another_process_serving(books) as other:
        with pytest.raises(FileUnusable, match="is being served by another process; stop that one first"):
            asyncio.run(Store.open(books))
        check_is_ours(books, writing=False)
        assert reconcile(books).ok, "reading is for everybody"

        other.send_signal(signal.SIGKILL)
        other.wait()
        play(books, [place(1)])
    assert balances(books)[ALICE] == 70


def test_one_process_cannot_open_a_file_twice_either(books: Path) -> None:
    lock = WriterLock(books)
    with pytest.raises(FileUnusable, match="served by another process"):
        WriterLock(books)
    lock.release()
    WriterLock(books).release()


def test_a_store_that_could_not_be_opened_lets_go_of_the_lock(books: Path) -> None:
    class Sick(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(FileUnusable, match="cannot be opened for writing: disk I/O error"):
        asyncio.run(Store.open(books, connection_factory=Sick))

    play(books, [place(1)])


def test_a_connection_that_could_not_be_made_lets_go_of_the_lock(books: Path) -> None:
    class Unmade(sqlite3.Connection):
        def __init__(self, *arguments: object, **named: object) -> None:
            raise sqlite3.OperationalError("unable to open database file")

    async def run() -> None:
        before = set(threading.enumerate())
        try:
            with pytest.raises(FileUnusable, match="cannot be opened for writing: unable to open"):
                await Store.open(books, connection_factory=Unmade)
        finally:
            # aiosqlite's thread says goodbye to this loop, so the loop must outlive it.
            left = set(threading.enumerate()) - before
            await asyncio.to_thread(lambda: [thread.join(10) for thread in left])

    asyncio.run(run())
    play(books, [place(1)])


def test_every_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    before = os.umask(0)
    try:
        seed(path, 100)

        async def modes() -> dict[str, int]:
            store = await Store.open(path)
            try:
                await store.refresh_books()
                return {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
            finally:
                await store.close()

        found = asyncio.run(modes())
    finally:
        os.umask(before)
    assert found == dict.fromkeys(
        ["books.db", "books.db-wal", "books.db-shm", "books.db.lock", "books.db.signing-key"], 0o600
    )


def test_a_new_file_says_what_it_is_and_how_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    create_if_missing(path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["new.db"]
    pragmas = {
        "application_id": APPLICATION_ID,
        "user_version": SCHEMA_VERSION,
        "journal_mode": "wal",
        "auto_vacuum": 2,
    }
    assert {name: look(path, f"PRAGMA {name}")[0][0] for name in pragmas} == pragmas
    assert APPLICATION_ID.to_bytes(4, "big") == b"SGLD"
    assert look(path, "SELECT count(*) FROM users") == [(0,)]


def test_after_a_stop_there_is_one_file_to_copy(books: Path) -> None:
    names = sorted(each.name for each in books.parent.iterdir())
    assert names == ["books.db", "books.db.lock", "books.db.signing-key"]


def test_a_file_that_exists_is_left_alone(books: Path) -> None:
    before = books.read_bytes()

    create_if_missing(books)

    assert books.read_bytes() == before


def test_two_that_make_the_file_at_once_get_one_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one links its file between our look and our link: ours gives way."""
    path = tmp_path / "books.db"
    link = os.link

    def beaten(draft: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        seed(target, 100)
        link(draft, target)

    monkeypatch.setattr(os, "link", beaten)
    create_if_missing(path)

    assert balances(path)[ALICE] == 100
    assert not [each for each in tmp_path.iterdir() if ".new-" in each.name]


def test_a_look_is_of_one_moment(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the version before an upgrade and the rules behind it would be books that somebody has altered."""

    def upgraded_meanwhile(connection: sqlite3.Connection) -> Schema:
        harm(books, "CREATE TABLE later (a)", f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        return schema_in(connection)

    monkeypatch.setattr(files, "schema_in", upgraded_meanwhile)
    check_is_ours(books, writing=False)
    monkeypatch.undo()
    with pytest.raises(FileUnusable, match=f"has schema version {SCHEMA_VERSION + 1}"):
        check_is_ours(books, writing=False)


def test_a_full_disk_is_called_by_its_name(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says "disk I/O error" where its index finds no room: who reads that looks for a broken one."""

    def refuse(path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(files, "open_read_only", refuse)
    usage = shutil.disk_usage(books)
    for free, told in {32_767: "disk I/O error; its disk is full", 32_768: "disk I/O error"}.items():
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: usage._replace(free=free))
        with pytest.raises(FileUnusable) as refused:
            check_is_ours(books, writing=True)
        assert str(refused.value) == f"{books}: cannot be read as a database: {told}"


def test_what_a_killed_one_of_the_same_number_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    """In a container every start has the same process number, and two containers have it at once."""
    for name in ("books.db", "secret"):
        (tmp_path / f"{name}.new-{os.getpid()}").write_bytes(b"half")
    create_if_missing(tmp_path / "books.db")
    make_secret(tmp_path / "secret", b"content")
    check_is_ours(tmp_path / "books.db", writing=True)
    assert (tmp_path / "secret").read_bytes() == b"content"


@pytest.mark.parametrize(
    "sql", ["CREATE TABLE users (", "CREATE TABLE a (b); INSERT INTO nowhere VALUES (1)"]
)
def test_a_file_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.setattr(files, "schema_sql", lambda: sql)

    with pytest.raises(FileUnusable, match="cannot be created"):
        create_if_missing(tmp_path / "half.db")

    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_it_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create_if_missing(tmp_path / "half.db")

    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="cannot be created: No such file or directory"):
        create_if_missing(tmp_path / "nowhere" / "books.db")


@pytest.mark.parametrize(
    "name",
    [
        "with space.db",
        "100%.db",
        "%2e%2e.db",
        "what?mode=memory",
        "a#b.db",
        "größe-猫.db",
        "file:x.db",
        "quote'\".db",
        "no-suffix",
        "-dash.db",
        ":memory:.db",
    ],
)
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = seed(tmp_path / name, 100)

    play(path, [place(1)])

    assert balances(path)[ALICE] == 70
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [name, f"{name}.lock", f"{name}.signing-key"]
    )


def test_a_relative_name_is_the_same_file(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(books.parent)

    play(Path("books.db"), [place(1)])

    assert balances(books)[ALICE] == 70


def test_looking_at_a_file_lets_go_of_no_lock_that_its_writer_has(tmp_path: Path) -> None:
    """Else whoever opens and closes it next deletes the write-ahead log that is still written to."""
    path = seed(tmp_path / "books.db", 1000)
    log = path.with_name("books.db-wal")

    async def use(store: Store) -> None:
        check_is_ours(path, writing=True)
        read = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM blocks').fetchall()"
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", read, str(path)], check=True)
        assert log.exists()
        await store.commit(asked(place(1)), NOW_US)
        assert look(path, "SELECT count(*) FROM blocks") == [(2,)]

    with_store(path, use)


def test_the_index_of_the_log_is_only_touched_where_it_is_one(books: Path) -> None:
    """A missing one is not made, and one that is too short to count anything is not lengthened."""
    index = books.with_name(f"{books.name}-shm")
    forget_what_was_written_back(books)
    assert not index.exists()
    index.touch()
    forget_what_was_written_back(books)
    assert index.stat().st_size == 0
    index.write_bytes(b"\x01" * 128)
    forget_what_was_written_back(books)
    assert index.read_bytes() == b"\x01" * 96 + bytes(4) + b"\x01" * 28
    index.unlink()
    index.mkdir()
    with pytest.raises(FileUnusable, match="-shm: cannot be written"):
        forget_what_was_written_back(books)
