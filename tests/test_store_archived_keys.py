"""What is archived is known by its key, wherever the move stands; and its bets are closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import prefetch
from engine.archived_keys import hash_of_key
from engine.commands import Command, touched_by
from engine.decide import decide
from engine.outcomes import Accepted, Code
from engine.store import Asked
from engine.warm import Warm
from tests.archived import archived, move, newest
from tests.archived import opened as begun
from tests.books_open import ALICE, BOB, cash_out, deposit, look, place, roll_back, settle, unsettle
from tests.books_to_archive import CLOSED, KNOWN, LATER_US, ask, new_books, use, why
from tests.pipelines import Books


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_books(tmp_path)


def test_what_is_archived_is_known_by_its_key_and_its_bets_are_closed(path: Path) -> None:
    assert archived(path, LATER_US, now_us=LATER_US).is_moved
    before = look(path, "SELECT max(id) FROM transactions")

    outcomes = ask(
        path,
        place(1),
        place(2, 999, ALICE),
        deposit(f"opening-{BOB}", 1000, BOB),
        settle("s1", 1, "lost"),
        settle("s1", 3, "lost"),
        settle("new", 1, "lost"),
        unsettle("new", 1),
        cash_out("new", 2, 10, 10),
        roll_back("new", 2),
    )

    assert [why(each) for each in outcomes] == [KNOWN] * 5 + [CLOSED] * 4
    assert look(path, "SELECT max(id) FROM transactions") == before
    assert all(isinstance(each, Accepted) for each in ask(path, settle("new", 3, "lost"), place(4)))


STEPS = 9
"""In which all of these books is moved, two rows at a time."""


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_wherever_the_move_stands_a_replay_moves_no_money(path: Path, steps: int) -> None:
    archive = archived(path, LATER_US, steps=steps, rows=2, now_us=LATER_US)
    assert archive.is_moved is (steps == STEPS)
    before = look(path, "SELECT id, balance FROM users")

    for command in (place(1), place(2, 20, BOB), settle("s1", 1, "lost"), deposit(f"opening-{ALICE}")):
        (outcome,) = ask(path, command)
        assert (isinstance(outcome, Accepted) and outcome.replayed) or why(outcome) == KNOWN
    for late in (settle("n", 1, "lost"), unsettle("n", 1), cash_out("n", 1, 1, 1), roll_back("n", 1)):
        assert why(ask(path, late)[0])[0] is Code.BET_CLOSED

    assert look(path, "SELECT id, balance FROM users") == before


@pytest.mark.parametrize("count", [1, 2, 5_000])
def test_keys_are_found_however_many_are_asked_for(path: Path, count: int) -> None:
    begun(path, LATER_US)
    commands: list[Command] = [place(100 + number) for number in range(count)]
    commands += [deposit(f"k{number}", caller=f"caller-{number % 3}") for number in range(count)]
    known = commands[::2]

    def note(connection: sqlite3.Connection) -> None:
        rows = [(hash_of_key(each.scope, each.key),) for each in known]
        connection.executemany("INSERT INTO archived_keys VALUES (?)", rows)

    async def scenario(books: Books) -> None:
        await books.store.tidy(note)
        found = await books.store.read(lambda db: prefetch.look_up(db, touched_by(commands), (), head=False))
        assert found.archived == {(each.scope, each.key) for each in known}
        objected = [Asked(command, Code.OVERLOADED) for command in known[:2]]
        outcomes = await books.store.answer(objected, LATER_US)
        assert {why(each) for each in outcomes} == {KNOWN}

    use(path, scenario)


class Vanishing(sqlite3.Connection):
    """Reads a file out of which a step takes something just before the statement that says `word`."""

    word = ""
    step: Callable[[], object] = staticmethod(lambda: None)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.word and self.word in sql:
            self.word = ""
            self.step()
        return super().execute(sql, *parameters)


ABOUT_A_BET = ["settle", "unsettle", "cash out", "roll back"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *((name, word) for name in ABOUT_A_BET for word in ("JOIN bets", "FROM archives", "archived_keys")),
        *((name, "FROM archives") for name in ("place", "settle again")),
    ],
)
def test_a_row_that_is_moved_while_it_is_looked_up_was_there_or_is_archived(
    path: Path, name: str, word: str
) -> None:
    """The looks of one batch are several statements, and steps come between them."""
    archived(path, LATER_US, steps=0, now_us=LATER_US)
    commands: dict[str, Command] = {
        "settle": settle("n", 1, "lost"),
        "unsettle": unsettle("n", 1),
        "cash out": cash_out("n", 1, 1, 1),
        "roll back": roll_back("n", 1),
        "place": place(1),
        "settle again": settle("s1", 1, "lost"),
    }
    command = commands[name]
    connection = sqlite3.connect(path, isolation_level=None, factory=Vanishing)
    assert isinstance(connection, Vanishing)
    books = prefetch.read_books(connection)
    connection.word, connection.step = word, lambda: move(path, rows=50)
    touched = touched_by([command])

    found = prefetch.look_up(connection, touched, touched.user_ids.union(books.values()), head=True)
    outcome = decide(Warm().view(touched, found, (), books, LATER_US), command, LATER_US)

    connection.close()
    assert newest(path).is_moved
    if name in ABOUT_A_BET:
        # Where it was looked at before it went, it is over, and not in an archive yet; so it was told.
        assert why(outcome)[0] is Code.BET_CLOSED
        assert why(outcome)[1] or word != "JOIN bets"
    else:
        assert isinstance(outcome, Accepted)
        assert outcome.replayed
