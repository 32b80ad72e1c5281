"""An upgrade is whole or it has not been: steps that fail or do what none may, books that do not add up, a
full disk, and `kill -9` at every point. The steps here are made up; the real ones: tests/test_old_files.py.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from engine import upgrades
from engine.drafts import UNFINISHED
from engine.errors import FileOutdated, FileServed, FileUnusable
from engine.files import SCHEMA_VERSION, WriterLock, check_is_ours, look_at, schema_sql
from engine.steps import known_steps, statements
from engine.upgrades import Upgraded, upgrade
from engine.writer import prepare_connection
from tests.books_open import ALICE, look, place, play, seed_a_story
from tests.command import harm, overwrite_page_of, run, well
from tests.old_books import LATER, STEPS, know, later_steps

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return seed_a_story(tmp_path / "books.db")


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Be a later program, with these steps more."""

    def become(*scripts: str) -> None:
        folder = later_steps(tmp_path / "steps", *scripts)
        monkeypatch.setenv(LATER, str(folder))
        know(folder, monkeypatch)

    return become


def content(path: Path) -> list[str]:
    """Every row and every rule, and the versions."""
    with closing(sqlite3.connect(path)) as connection:
        return [str(connection.execute("PRAGMA user_version").fetchone()), *connection.iterdump()]


def names(path: Path) -> set[str]:
    """What lies beside the books, but for what their server leaves."""
    left = {"", ".lock", ".signing-key", "-wal", "-shm"}
    return {each.name for each in path.parent.iterdir() if each.name.startswith(path.name)} - {
        f"{path.name}{suffix}" for suffix in left
    }


def why_not(path: Path) -> str:
    """Why it is refused; nothing has changed, and nothing is left beside it."""
    before = content(path)
    with pytest.raises(FileUnusable) as refused:
        upgrade(path, None)
    assert content(path) == before
    assert names(path) == set()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_file_of_the_newest_version_is_left_alone(books: Path) -> None:
    before = books.read_bytes()
    done = well("upgrade", "--db", books)
    assert done.out == f"{books}: has schema version {SCHEMA_VERSION}, the newest\n"
    assert books.read_bytes() == before
    assert names(books) == set()


def test_it_says_what_it_did_and_keeps_the_file_as_it_was(books: Path, later: Callable[..., None]) -> None:
    before = content(books)
    later(*STEPS)
    with pytest.raises(FileOutdated):
        check_is_ours(books, writing=True)
    done = well("upgrade", "--db", books)
    (copy,) = names(books)
    assert copy.startswith("books.db.before-upgrade-20")
    assert (books.parent / copy).stat().st_mode & 0o777 == 0o600
    assert content(books.parent / copy) == before
    as_it_was, *steps, verdict = done.out.splitlines()
    assert as_it_was.endswith(copy)
    assert [line.split(", SHA-256 ")[1] for line in steps] == [
        s.sha256 for s in known_steps()[SCHEMA_VERSION:]
    ]
    assert f"schema version {SCHEMA_VERSION} became {SCHEMA_VERSION + 2}; 9 accounts, 12 entries" in verdict
    check_is_ours(books, writing=True)
    assert look(books, "SELECT user_id, note FROM later_notes") == [(7, "a;b"), (8, "a;b")]
    play(books, [place(99, 10)])
    assert well("verify", "--db", books, "--json").json["findings"] == []
    assert "has schema version" in well("upgrade", "--db", books, "--no-backup").out


def test_the_copy_can_be_served_again_by_the_program_before(
    books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        know(later_steps(tmp_path / "steps", *STEPS), patch)
        copy = Path(well("upgrade", "--db", books, "--json").json["backup"])
        refused = run("restore", "--db", tmp_path / "new.db", copy)
        assert f"copy it to {tmp_path / 'new.db'}, then: solidgreen upgrade" in refused.err
    well("restore", "--db", tmp_path / "back.db", copy)
    play(tmp_path / "back.db", [place(99, 10)])


def test_what_was_done_is_written_down_with_it_or_nothing_is_done(
    books: Path, later: Callable[..., None]
) -> None:
    later(*STEPS)
    before = content(books)

    def note(connection: sqlite3.Connection, done: Upgraded) -> None:
        words = f"{done.from_version} to {done.to_version}"
        connection.execute("INSERT INTO later_notes (user_id, note) VALUES (7, ?)", (words,))

    def fail(connection: sqlite3.Connection, done: Upgraded) -> None:
        note(connection, done)
        raise OSError("no pen")

    with pytest.raises(OSError, match="no pen"):
        upgrade(books, None, record=fail)
    assert content(books) == before
    assert upgrade(books, None, record=note).ok
    words = f"{SCHEMA_VERSION} to {SCHEMA_VERSION + 2}"
    assert look(books, "SELECT note FROM later_notes ORDER BY id DESC LIMIT 1") == [(words,)]


def test_a_rehearsal_says_what_would_be_and_changes_nothing(books: Path, later: Callable[..., None]) -> None:
    later(*STEPS)
    before = content(books)
    lock = WriterLock(books)  # the server of the version before goes on meanwhile
    try:
        done = well("upgrade", "--db", books, "--check", "--json").json
        assert run("upgrade", "--db", books).status == 2
    finally:
        lock.release()
    assert (done["is_done"], done["to_version"], done["entries"], len(done["steps"])) == (
        False,
        SCHEMA_VERSION + 2,
        12,
        2,
    )
    assert content(books) == before
    assert names(books) == set()


def test_a_rehearsal_finds_what_only_verify_looks_at(books: Path, later: Callable[..., None]) -> None:
    harm(
        books,
        "CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name LIKE 'blocks_are_never_%'",
        "DROP TRIGGER blocks_are_never_updated",
        "UPDATE blocks SET signature = zeroblob(64) WHERE id = 2",
    )
    with closing(sqlite3.connect(books)) as connection:
        for (rule,) in connection.execute(
            "SELECT sql FROM kept WHERE sql LIKE '%UPDATE ON blocks%'"
        ).fetchall():
            connection.execute(rule)
        connection.execute("DROP TABLE kept")
    later(*STEPS)
    done = run("upgrade", "--db", books, "--check", "--json")
    assert done.status == 1
    assert {finding["check"] for finding in done.json["findings"]} == {"signature"}


COMMANDS = (
    *("serve", "seed", "verify", "reconcile", "reconcile --repair", "statement --user 7", "receipt 1"),
    *("head", "public-key", "token --user 7", "backup x.db", "archive --before 2026-01-01T00:00:00Z"),
)


@pytest.mark.parametrize("command", [line.split() for line in COMMANDS], ids=COMMANDS)
def test_every_command_says_how_to_upgrade_in_one_line(
    command: list[str], books: Path, later: Callable[..., None]
) -> None:
    before = content(books)
    later(*STEPS)
    done = run(command[0], "--db", books, *command[1:])
    assert done.status == 2
    told = f"{books}: has schema version {SCHEMA_VERSION}; upgrade it: solidgreen upgrade --db {books}\n"
    assert done.err == f"solidgreen {command[0]}: {told}"
    assert done.out == ""
    assert content(books) == before
    doctor = run("doctor", "--db", books)
    assert (doctor.status, doctor.out.splitlines()[0] + "\n") == (1, f"schema: {told}")


def test_a_served_file_is_refused(books: Path, later: Callable[..., None]) -> None:
    later(*STEPS)
    lock = WriterLock(books)
    try:
        with pytest.raises(FileServed):
            upgrade(books, None)
    finally:
        lock.release()
    upgrade(books, None)


def test_who_comes_when_another_has_just_upgraded_it_does_nothing_more(
    books: Path, later: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No second copy, and no second deed in the audit log."""
    later(*STEPS)
    locked = WriterLock

    def after_another(path: Path) -> WriterLock:
        monkeypatch.setattr(upgrades, "WriterLock", locked)
        well("upgrade", "--db", path, "--no-backup")
        return locked(path)

    monkeypatch.setattr(upgrades, "WriterLock", after_another)
    done = well("upgrade", "--db", books, "--json").json
    assert (done["is_done"], done["steps"], done["backup"]) == (True, [], None)
    assert names(books) == set()
    assert look(books, "SELECT count(*) FROM audit_log WHERE action = 'schema.upgrade'") == [(1,)]


def test_a_later_version_is_refused(books: Path) -> None:
    harm(books, f"PRAGMA user_version = {SCHEMA_VERSION + 7}")
    told = f"has schema version {SCHEMA_VERSION + 7}, and this program knows up to version {SCHEMA_VERSION}"
    assert told in why_not(books)


def test_a_file_whose_rules_are_not_those_of_its_version_is_refused(
    books: Path, later: Callable[..., None]
) -> None:
    later(*STEPS)
    harm(books, "DROP TRIGGER ledger_is_never_updated")
    assert "its schema has been altered: trigger ledger_is_never_updated is missing" in why_not(books)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("CREATE TABLE a (b); INSERT INTO nowhere VALUES (1);", "no such table: nowhere; nothing has"),
        ("CREATE TABLE a (b); COMMIT;", "not authorized; nothing has changed"),
        ("CREATE TABLE a (b); SAVEPOINT s;", "not authorized"),
        ("PRAGMA writable_schema = ON;", "not authorized"),
        ("ATTACH ':memory:' AS other;", "not authorized"),
        ("CREATE TABLE a (b); VACUUM;", "cannot be done"),
        ("CREATE TABLE a (", "incomplete input"),
        ("UPDATE transaction_ledger SET amount = 0;", "append-only"),
    ],
)  # fmt: skip
def test_a_step_that_fails_leaves_the_file_as_it_was(
    script: str, words: str, books: Path, later: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = schema_sql()
    later(STEPS[0], script)
    monkeypatch.setattr(upgrades, "schema_sql", lambda: rules)  # cannot be made with these
    monkeypatch.setattr(upgrades, "schema_at", lambda steps, version: look_at(books, writing=False).schema)
    told = why_not(books)
    assert words in told
    assert f"{SCHEMA_VERSION + 2:04}_later.sql cannot be done" in told


def found(path: Path) -> list[dict[str, object]]:
    """The findings that keep it as it was."""
    before = content(path)
    done = run("upgrade", "--db", path, "--no-backup", "--json")
    assert done.status == 1
    assert (done.json["ok"], done.json["is_done"]) == (False, False)
    assert content(path) == before
    findings: list[dict[str, object]] = done.json["findings"]
    return findings


def test_steps_that_lead_elsewhere_are_found(
    books: Path, later: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    later(*STEPS)
    monkeypatch.setattr(
        upgrades,
        "schema_sql",
        (ROOT / "schema.sql").read_text,
    )
    (finding,) = found(books)
    assert finding["check"] == "schema"
    assert "table later_notes is foreign" in str(finding["why"])


def test_a_step_that_breaks_a_reference_is_found(books: Path, later: Callable[..., None]) -> None:
    later(f"{STEPS[0]} INSERT INTO later_notes (user_id) VALUES (99);")
    assert found(books) == [{"check": "foreign_key", "table": "later_notes", "row": 3, "parent": "users"}]


def test_a_step_that_touches_history_is_found(books: Path, later: Callable[..., None]) -> None:
    rule = look(books, "SELECT sql FROM sqlite_schema WHERE name = 'ledger_is_never_updated'")[0][0]
    later(
        "DROP TRIGGER ledger_is_never_updated;"
        f"UPDATE transaction_ledger SET amount = amount + 1 WHERE id = 5; {rule};"
    )
    assert {"block", "running", "zero_sum"} <= {finding["check"] for finding in found(books)}


def test_a_step_that_cuts_the_chain_is_found(books: Path, later: Callable[..., None]) -> None:
    (rule,) = look(books, "SELECT sql FROM sqlite_schema WHERE name = 'blocks_are_never_deleted'")[0]
    later(f"DROP TRIGGER blocks_are_never_deleted; DELETE FROM blocks WHERE id = 4; {rule};")
    assert {"check": "head", "why": "the newest block is not 4 any more"} in found(books)


def test_a_step_may_build_a_table_anew_that_others_refer_to(books: Path, later: Callable[..., None]) -> None:
    """As SQLite's manual says, where ALTER TABLE is not enough. Enforced references would not let it."""
    later(
        STEPS[0],
        "CREATE TABLE later_owners (id INTEGER PRIMARY KEY) STRICT; INSERT INTO later_owners VALUES (1), (2);"
        "CREATE TABLE later_things (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES later_owners) STRICT;"
        "INSERT INTO later_things VALUES (1, 1), (2, 2);",
        "CREATE TABLE anew (id INTEGER PRIMARY KEY, name TEXT) STRICT;"
        "INSERT INTO anew (id) SELECT id FROM later_owners;"
        "DROP TABLE later_owners; ALTER TABLE anew RENAME TO later_owners;",
    )
    assert upgrade(books, None).ok
    joined = "SELECT count(*) FROM later_things JOIN later_owners ON later_owners.id = owner"
    assert look(books, joined) == [(2,)]


def test_books_that_do_not_add_up_are_not_upgraded(books: Path, later: Callable[..., None]) -> None:
    harm(books, f"UPDATE users SET balance = balance + 1, version = version + 1 WHERE id = {ALICE}")
    later(*STEPS)
    assert [finding["check"] for finding in found(books)] == ["balance"]


def test_a_file_that_cannot_be_copied_is_not_upgraded(books: Path, later: Callable[..., None]) -> None:
    later(*STEPS)
    taken = books.with_name("taken")
    taken.write_text("precious")
    with pytest.raises(FileUnusable, match="exists already"):
        upgrade(books, taken)
    assert taken.read_text() == "precious"
    assert look(books, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_a_damaged_file_is_not_upgraded(books: Path, later: Callable[..., None]) -> None:
    later(*STEPS)
    overwrite_page_of(books, "transaction_ledger")
    done = run("upgrade", "--db", books)
    assert done.status == 1
    assert "integrity" in done.out
    assert f"it stays at schema version {SCHEMA_VERSION}" in done.out
    assert names(books) == set()
    assert run("upgrade", "--db", books, "--no-backup").status == 2
    assert look(books, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_a_full_disk_leaves_the_file_as_it_was(
    books: Path, later: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = prepare_connection
    later(*STEPS)
    (pages,) = look(books, "PRAGMA page_count")[0]
    refused = 0
    for room in count():

        def small(connection: sqlite3.Connection, path: Path, room: int = room) -> None:
            prepare(connection, path)
            connection.execute(f"PRAGMA max_page_count = {pages + room}")

        monkeypatch.setattr(upgrades, "prepare_connection", small)
        before = content(books)
        try:
            done = upgrade(books, None)
        except FileUnusable as error:
            why = str(error)
        else:
            assert done.ok
            break
        assert "database or disk is full" in why
        assert content(books) == before
        refused += 1
    assert refused >= 2, "it was never full"
    assert well("verify", "--db", books, "--json").json["findings"] == []


DIE = """
import os, signal, sys
from pathlib import Path
from engine import upgrades
from tests.old_books import know_as_told
know_as_told()
path, at = Path(sys.argv[1]), sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
taken = upgrades.statements
def until(sql, done=[0]):
    for statement in taken(sql):
        if str(done[0]) == at:
            die()
        done[0] += 1
        yield statement
real = upgrades.sqlite3.connect
class Mortal(upgrades.sqlite3.Connection):
    def execute(self, sql, *values):
        if sql.startswith(at):
            die()
        cursor = super().execute(sql, *values)
        if at == f"after {sql}":
            die()
        return cursor
upgrades.statements = until
upgrades.sqlite3.connect = lambda *a, **o: real(*a, factory=Mortal, **o)
upgrades.upgrade(path, path.with_name("copy"))
"""

MOMENTS = [
    *(str(k) for k in range(sum(1 for script in STEPS for _ in statements(script)))),
    *("BEGIN IMMEDIATE", "PRAGMA user_version =", "COMMIT", "after COMMIT"),
    *("PRAGMA wal_checkpoint(TRUNCATE)", "after PRAGMA wal_checkpoint(TRUNCATE)"),
]


def killed(path: Path, at: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", DIE, str(path), at], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.long
@pytest.mark.parametrize("at", MOMENTS)
def test_killed_at_any_point_it_is_one_version_or_the_other_and_the_next_run_finishes(
    at: str, books: Path, later: Callable[..., None]
) -> None:
    before = content(books)
    later(*STEPS)
    killed(books, at)
    is_done = at == "after COMMIT"
    found = content(books)
    assert (found == before) is not is_done
    copy = books.with_name("copy")
    assert content(copy) == before, "the copy is made before anything is done"
    assert upgrade(books, None).to_version == SCHEMA_VERSION + 2
    assert look(books, "SELECT count(*) FROM later_notes") == [(2,)]
    assert well("verify", "--db", books, "--json").json["findings"] == []


@pytest.mark.long
def test_killed_while_it_copies_it_leaves_nothing_that_looks_like_a_copy(
    books: Path, later: Callable[..., None]
) -> None:
    later(*STEPS)
    program = DIE.replace(
        "upgrades.upgrade(", "from engine import backup; backup.sync = die; upgrades.upgrade("
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(books), "never"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert books.with_name(f"copy{UNFINISHED}").is_dir()
    assert not books.with_name("copy").exists()
    assert upgrade(books, books.with_name("copy")).ok
    assert not books.with_name(f"copy{UNFINISHED}").exists()


@pytest.fixture
def after_a_crash(books: Path) -> Path:
    """What a server that was killed leaves: the newest bets are in the write-ahead log only."""
    with closing(sqlite3.connect(books)) as keeps_it:
        keeps_it.execute("PRAGMA wal_autocheckpoint = 0")
        keeps_it.execute("SELECT * FROM blocks").fetchall()
        play(books, [place(50, 7)])
        crashed = books.parent / "crashed.db"
        for suffix in ("", "-wal", ".signing-key"):
            (books.parent / f"crashed.db{suffix}").write_bytes(
                (books.parent / f"books.db{suffix}").read_bytes()
            )
    return crashed


def test_what_a_crash_left_in_the_log_is_upgraded_with_the_rest(
    after_a_crash: Path, later: Callable[..., None]
) -> None:
    assert after_a_crash.with_name("crashed.db-wal").stat().st_size > 0
    later(*STEPS)
    done = upgrade(after_a_crash, after_a_crash.with_name("copy"))
    assert done.ok
    assert done.block == look(after_a_crash, "SELECT max(id) FROM blocks")[0][0]
    for path in (after_a_crash, after_a_crash.with_name("copy")):
        assert look(
            path, "SELECT stake FROM bets WHERE transaction_id = (SELECT max(id) FROM transactions)"
        ) == [(7,)]
