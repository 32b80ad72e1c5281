"""Schemathesis finds nothing between `/openapi.json` and the live server, and leaves nothing in the books
that nobody was told of. The long form: `make schemathesis`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from schemathesis_run import OF_THE_SERVER, ROLES, Found, run, served

from engine.reconcile import reconcile
from harness.process import Server

pytestmark = pytest.mark.long

CASES = 8
MOVES_NOTHING = "auditor"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("schemathesis")) as one:
        yield one


@pytest.mark.timeout(300)  # 25 s where nothing else runs
@pytest.mark.parametrize("role", ROLES)
def test_the_server_does_what_the_contract_says(role: str, server: Server, tmp_path: Path) -> None:
    before = newest(server.db)
    found = run(server, role, CASES, tmp_path)
    print(found)
    assert found.failures == []
    assert found.tested == found.operations >= 57
    assert found.cases > 1000
    assert found.statuses[400] > 100, "nothing bad was sent"
    assert not [status for status in found.statuses if status >= 500]
    assert untold(server.db, before, found) == []
    if role == MOVES_NOTHING:
        assert newest(server.db) == before
        assert found.statuses[201] == 0
    else:
        assert found.statuses[201] > 0, "nothing sound was sent"


def test_the_books_balance_after_all_of_it(server: Server) -> None:
    assert reconcile(server.db).findings == []
    assert server.log is not None
    assert "Traceback" not in server.log.read_text(encoding="utf-8", errors="replace")


def newest(db: Path) -> int:
    return int(rows(db, "SELECT coalesce(max(id), 0) FROM transactions", ())[0][0])


def untold(db: Path, since: int, found: Found) -> list[tuple[object, ...]]:
    """Transactions that no answer has told of, but those of the server's own, and the mark that a rollback
    leaves of a bet that was never seen."""
    made = rows(db, "SELECT id, kind, scope, key FROM transactions WHERE id > ?", (since,))
    return [
        each
        for each in made
        if each[0] not in found.told and each[1] != "TOMBSTONE" and not str(each[2]).startswith(OF_THE_SERVER)
    ]


def rows(db: Path, sql: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()
