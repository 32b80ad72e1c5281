"""What `verify` finds wrong with an audit log that somebody with all rights has edited."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import audit_log, deed_checks
from engine.actors import NO_NUMBER, Actor
from engine.checks import Finding
from engine.commands import Deposit, OpenArchive, PlaceBet, ReleaseHold
from engine.deeds import ACCEPTED
from engine.files import SCHEMA_VERSION, schema_in
from engine.people import STAFF_ID_BASE
from engine.steps import known_steps, schema_at
from engine.store import Asked, Store
from engine.verify import verify
from tests.books_open import ALICE, BOB, NOW_US, look, seed, with_store
from tests.command import run, well
from tests.forgeries import forge

HOST = Actor(STAFF_ID_BASE + 1, "operator", "192.0.2.1", "ws")
OLD = Actor(42, "operator", "192.0.2.1", "ws")
SHELL = Actor(NO_NUMBER, "shell", "root@host", "cli")


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Deeds of everybody: 1 is refused, 2 no command, 6 an archive; read in slices of two."""
    monkeypatch.setattr(deed_checks, "SLICE", 2)
    path = seed(tmp_path / "books.db", 1000, 500)

    async def use(store: Store) -> None:
        bet = PlaceBet("b", BOB, 5, "nonce-of-b", NOW_US)
        await store.commit([Asked(ReleaseHold(9, key="r", caller=str(HOST.id)), actor=HOST)], NOW_US)
        await store.tidy(lambda c: audit_log.record(c, HOST, "clock.confirm", {}, ACCEPTED, NOW_US))
        batch = [
            Asked(Deposit(ALICE, 5, key="d", caller=str(HOST.id)), actor=HOST),
            Asked(bet, actor=HOST),
            Asked(Deposit(ALICE, 6, key="d", caller=str(OLD.id)), actor=OLD),
            Asked(Deposit(ALICE, 7, key="d", caller="cli")),
        ]
        await store.commit(batch, NOW_US)
        await store.commit([Asked(OpenArchive(NOW_US + 1, key="a", caller="cli"), actor=SHELL)], NOW_US + 2)

    with_store(path, use)
    return path


def found(path: Path) -> list[Finding]:
    return [each for each in verify(path).findings if each["check"] == "deed"]


def test_a_log_that_nobody_edited_holds(books: Path) -> None:
    assert found(books) == []
    assert look(books, "SELECT count(*), max(id) FROM audit_log") == [(6, 6)]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ("DELETE FROM audit_log WHERE id = 1", ["some of them are missing"]),
        ("DELETE FROM audit_log WHERE id = 2", ["some of them are missing"]),
        ("UPDATE audit_log SET id = 9 WHERE id = 2", ["some of them are missing"]),
        (
            "DELETE FROM audit_log WHERE id = 3",
            ["some of them are missing", "no deed says who did it"],
        ),
        (f"UPDATE audit_log SET actor = {OLD.id} WHERE id = 3", ["not its own"]),
        (f"UPDATE audit_log SET actor = {HOST.id} WHERE id = 5", ["not its own"]),
        ("UPDATE audit_log SET actor = 1 WHERE id = 6", ["not its own"]),
        ("UPDATE audit_log SET action = 'wallet.withdraw' WHERE id = 3", ["not its own"]),
        ("UPDATE audit_log SET action = 'bet.place' WHERE id = 3", ["not its own"]),
        ("UPDATE audit_log SET action = 'seed' WHERE id = 3", ["not its own"]),
        ("UPDATE audit_log SET key = 'e' WHERE id = 3", ["not its own"]),
        ("UPDATE audit_log SET key = 'e' WHERE id = 4", ["not its own"]),
        (
            "UPDATE audit_log SET transaction_id = NULL WHERE id = 3",
            ["no deed says who did it"],
        ),
        (
            "UPDATE audit_log SET transaction_id = NULL WHERE id = 6",
            ["no deed says who did it"],
        ),
    ],
)
def test_what_was_edited_is_found(books: Path, edit: str, why: list[str]) -> None:
    forge(books, edit)
    findings = found(books)
    assert len(findings) == len(why)
    assert all(str(each["why"]).endswith(words) for each, words in zip(findings, why, strict=True))


def as_version(path: Path, version: int) -> None:
    """Without what later steps have made: as a program of that version would have left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        later = schema_in(connection).keys() - schema_at(known_steps(), version).keys()
        for table in sorted(name for name in later if name.startswith("table ")):
            connection.execute(f"DROP {table}")  # with its indexes and triggers
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_no_deed_is_asked_for_of_what_was_done_before_the_log_began(tmp_path: Path, version: int) -> None:
    """It began with version 2: a file of that version, or of a later one, has nothing to be excused."""
    path = seed(tmp_path / "books.db", 1000)
    untold = [{"check": "deed", "scope": f"{HOST.id}:deposit", "why": "no deed says who did it"}]

    async def deposit_untold(store: Store) -> None:
        key = f"after {len(look(path, 'SELECT 1 FROM transactions'))}"
        await store.commit([Asked(Deposit(ALICE, 5, key=key, caller=str(HOST.id)))], NOW_US)

    def whose(findings: list[Finding]) -> list[Finding]:
        return [{name: each[name] for name in ("check", "scope", "why")} for each in findings]

    with_store(path, deposit_untold)
    assert whose(found(path)) == untold, "or what follows proves nothing"
    as_version(path, version)
    rehearsed = run("upgrade", "--db", path, "--check", "--json").json
    assert whose(rehearsed["findings"]) == ([] if version == 1 else untold)
    well("upgrade", "--db", path, "--no-backup")
    assert whose(found(path)) == ([] if version == 1 else untold)
    with_store(path, deposit_untold)
    assert whose(found(path)) == (untold if version == 1 else untold * 2), "what comes after it has its deed"


def test_no_other_deed_excuses_what_has_none(books: Path) -> None:
    """An upgrade is made at the command line: whoever else says that he made one has invented it."""
    forge(books, "UPDATE audit_log SET transaction_id = NULL WHERE id = 3")
    assert len(found(books)) == 1
    excuse = """UPDATE audit_log SET subject = '{"logged_after": 1000}' """
    for action, door in (("schema.upgrade", "http"), ("clock.confirm", "cli")):
        forge(books, f"{excuse}, action = '{action}', door = '{door}' WHERE id = 2")
        assert len(found(books)) == 1, (action, door)
