"""Looking for players: by number, by the beginning of a name in any form; others cost nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import players
from engine.logins import add_player, add_staff
from engine.people import normal_username
from engine.players import find_players
from tests.books_open import ALICE, BOB, seed

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"
CAROL, DAVE, ERIN, FRANK, GRACE = range(9, 14)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = seed(tmp_path_factory.mktemp("players") / "books.db", 1000, 500, 5, 5, 5, 5, 5)
    with closing(sqlite3.connect(path)) as connection, connection:
        names = {ALICE: "Anna", BOB: "ann", CAROL: "an%na", DAVE: "Straße", ERIN: "8ball"}
        names |= {FRANK: "1st", GRACE: "1up"}
        for user_id, name in names.items():
            normal = normal_username(name)
            assert normal is not None
            add_player(connection, user_id, normal, HASH, 1)
        for name in ("anno", "amy"):
            add_staff(connection, name, "operator", HASH, 1)
    return path


def found(path: Path, text: str, most: int = 20) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [each.user_id for each in find_players(connection, text, most)]


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("an", [CAROL, BOB, ALICE]),
        ("ann", [BOB, ALICE]),
        ("ANN", [BOB, ALICE]),
        ("\uff21nna", [ALICE]),  # in full width
        ("strass", [DAVE]),
        ("straß", [DAVE]),
        ("an%", [CAROL]),
        ("an_", []),
        ("%", []),
        ("anno", []),  # of the staff
        ("annax", []),
        ("nna", []),
        (str(ALICE), [ALICE]),
        (str(BOB), [BOB, ERIN]),  # a number, and a name that begins with it
        ("08", [BOB]),
        ("1", [FRANK, GRACE]),  # the number itself is that of a book of the house's
        (str(2**63), []),
        ("9" * 64, []),
        ("²", []),
        ("x' OR 1 --", []),
    ],
)
def test_a_player_is_found_by_number_and_by_the_beginning_of_his_name(
    books: Path, text: str, who: list[int]
) -> None:
    assert found(books, text) == who


def test_no_more_are_told_than_wanted(books: Path) -> None:
    assert found(books, "an", 2) == [CAROL, BOB]
    assert found(books, "a", 1) == [CAROL], "of the staff none counts"
    assert found(books, "8", 1) == [BOB]
    assert found(books, "1", 2) == [FRANK, GRACE], "what is no player takes no place"


def test_what_is_told_is_what_the_wallet_holds(books: Path) -> None:
    with closing(sqlite3.connect(books)) as connection:
        (alice,) = find_players(connection, str(ALICE), 20)
        assert alice == (ALICE, "anna", "EUR", "open", 1000, 0, 1000)


def test_who_never_registered_has_no_name(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 7)
    with closing(sqlite3.connect(path)) as connection:
        (alice,) = find_players(connection, str(ALICE), 20)
        assert alice.username is None


def test_neither_table_is_read_through(books: Path) -> None:
    with closing(sqlite3.connect(books)) as connection:
        names = {"first": "a", "behind": "b", "staff": 1, "most": 1}
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {players._NAMED}", names).fetchall()
        assert "USING INDEX" in plan[3], plan
        assert "username>? AND username<?" in plan[3]
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {players._WALLETS}", ("[]",))]
        assert [step for step in plan if step.startswith("SCAN")] == [plan[0]]
        assert plan[0].startswith("SCAN wanted")
