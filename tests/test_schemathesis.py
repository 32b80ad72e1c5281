"""Schemathesis finds nothing between `/openapi.json` and the live server, and leaves nothing in the books
that nobody was told of. The long form, also as those who see more than they may do: `make schemathesis`."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.reconcile import reconcile
from harness.process import Server
from tests.schemathesis_run import OF_THE_SERVER, ROLES, run, served

SHORT_CASES = 8
CASES = int(os.environ.get("CASES", SHORT_CASES))
IS_SHORT = CASES <= SHORT_CASES
OF_THE_SHORT_FORM = ("operator", "player")
MOVES_NOTHING = "auditor"
OF_REGISTRATION = "register:wallet"

pytestmark = [pytest.mark.long, pytest.mark.timeout(300 if IS_SHORT else 3600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("schemathesis")) as one:
        yield one


@pytest.mark.parametrize("role", OF_THE_SHORT_FORM if IS_SHORT else ROLES)
def test_the_server_does_what_the_contract_says(role: str, server: Server, tmp_path: Path) -> None:
    before = newest(server.db)
    found = run(server, role, CASES, tmp_path)
    print(found)
    assert found.failures == []
    assert found.tested == found.operations >= 57
    assert found.cases > 1000
    assert found.statuses[400] > 100, "nothing bad was sent"
    assert not [status for status in found.statuses if status >= 500]
    made = since(server.db, before)
    opened = [each for each in made if each.scope == OF_REGISTRATION]
    assert len(opened) == found.registered
    untold = [each for each in made if each.id not in found.told and not is_expected(each)]
    assert untold == []
    if role == MOVES_NOTHING:
        assert made == opened
    else:
        assert found.statuses[201] > 0, "nothing sound was sent"


def test_the_books_balance_after_all_of_it(server: Server) -> None:
    assert reconcile(server.db).findings == []
    assert server.log is not None
    assert "Traceback" not in server.log.read_text(encoding="utf-8", errors="replace")


def newest(db: Path) -> int:
    return int(rows(db, "SELECT coalesce(max(id), 0) FROM transactions", ())[0][0])


class Made(NamedTuple):
    """A transaction that was made meanwhile."""

    id: int
    kind: str
    scope: str
    key: str


def is_expected(made: Made) -> bool:
    """Whether nobody is told of it: it is of the server's own, is a registration, or is the mark that a
    rollback leaves of a bet that was never seen."""
    return made.kind == "TOMBSTONE" or made.scope.startswith(OF_THE_SERVER) or made.scope == OF_REGISTRATION


def since(db: Path, before: int) -> list[Made]:
    made = rows(db, "SELECT id, kind, scope, key FROM transactions WHERE id > ? ORDER BY id", (before,))
    return [Made(*each) for each in made]


def rows(db: Path, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()
