"""A bet's way through the ledger: each transaction in order, with its entries and no others; archived too."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import queries, trails
from engine.errors import ArchiveMissing, HistoryBroken
from engine.snapshots import BetState
from engine.trails import BetTrail, bet_trail
from tests.archived import archived
from tests.books_open import (
    ALICE,
    BOB,
    NOW_US,
    bet_id,
    cash_out,
    deposit,
    look,
    place,
    play,
    roll_back,
    seed,
    settle,
    unsettle,
)
from tests.forgeries import forge

LATER_US = NOW_US + 1_000_000


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Bet 1 is cashed out in part, won, taken back and lost; all others are beside it."""
    path = seed(tmp_path / "books.db", 1000, 1000)
    play(
        path,
        [place(2, 5, BOB), place(1, 100), place(3, 7)],
        [deposit("d", 1), cash_out("c", 1, 40, 30), settle("s2", 2, "won", 9)],
        [settle("w", 1, "won", 90), unsettle("u", 1), settle("l", 1, "lost")],
        [place(4, 10**6), roll_back("r5", 5), roll_back("r3", 3)],
    )
    return path


def trail(path: Path, number: int) -> BetTrail | None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return bet_trail(connection, bet_id(number))


def test_every_transaction_is_told_in_its_order_with_its_entries_and_its_block(books: Path) -> None:
    told = trail(books, 1)
    assert told is not None
    assert (told.bet.user_id, told.bet.state, told.bet.payout_minor) == (ALICE, "lost", 30)
    assert [step.kind for step in told.steps] == ["BET", "CASHOUT", "WIN", "UNSETTLE", "LOSS"]
    assert [step.transaction_id for step in told.steps] == sorted(step.transaction_id for step in told.steps)
    for step in told.steps:
        assert [tuple(each) for each in step.entries] == look(
            books,
            """
            SELECT id, user_id, amount, balance_after FROM transaction_ledger
            WHERE transaction_id = ? ORDER BY id
            """,
            step.transaction_id,
        )
        assert [(step.block_id, step.hash, step.at_us)] == look(
            books,
            """
            SELECT blocks.id, hash, at FROM transactions JOIN blocks ON blocks.id = block_id
            WHERE transactions.id = ?
            """,
            step.transaction_id,
        )
    hers = [sum(each.amount_minor for each in step.entries if each.user_id == ALICE) for step in told.steps]
    assert hers == [-100, 30, 90, -90, 0]


def test_it_is_of_one_moment(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told beside the server: a bet that is confirmed has not been won."""
    play(books, [place(6, 33)])
    before, state_of = trail(books, 6), queries.bet

    def meanwhile(connection: sqlite3.Connection, bet_id: str) -> BetState | None:
        state = state_of(connection, bet_id)
        play(books, [settle("s6", 6, "won", 50)])
        return state

    monkeypatch.setattr(trails, "bet", meanwhile)
    assert trail(books, 6) == before
    monkeypatch.undo()
    now = trail(books, 6)
    assert now is not None
    assert (now.bet.state, [step.kind for step in now.steps]) == ("won", ["BET", "WIN"])


def test_a_step_is_one_statement_over_the_range_of_its_block(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000, 1000)
    play(path, [place(number, 1) for number in range(1, 300)])
    asked: list[str] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(asked.append)
        told = bet_trail(connection, bet_id(150))
        connection.set_trace_callback(None)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {trails._ENTRIES}", (1, 2, 1)).fetchall()
    assert told is not None
    assert len(told.steps[0].entries) == 2
    assert len([sql for sql in asked if "transaction_ledger" in sql]) == 1
    assert [row[3] for row in plan] == [
        "SEARCH transaction_ledger USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    ]


def test_others_have_their_own(books: Path) -> None:
    second, third = trail(books, 2), trail(books, 3)
    assert second is not None
    assert third is not None
    assert [step.kind for step in second.steps] == ["BET", "WIN"]
    assert [step.kind for step in third.steps] == ["BET", "ROLLBACK"]
    assert trail(books, 9) is None


def test_a_bet_that_was_refused_went_nowhere(books: Path) -> None:
    told = trail(books, 4)
    assert told is not None
    assert (told.bet.state, told.bet.user_id, told.steps) == ("rejected", ALICE, [])


def test_a_bet_that_was_rolled_back_before_it_came_is_nobody_s(books: Path) -> None:
    told = trail(books, 5)
    assert told is not None
    assert (told.bet.user_id, told.bet.state) == (0, "rolled_back")
    assert [(step.kind, step.entries) for step in told.steps] == [("TOMBSTONE", [])]


def test_of_very_many_steps_the_newest_are_told(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "STEPS_MAX", 3)
    told = trail(books, 1)
    assert told is not None
    assert [step.kind for step in told.steps] == ["BET", "UNSETTLE", "LOSS"]


def test_what_was_archived_is_told_as_before(books: Path) -> None:
    before = trail(books, 1)
    play(books, [settle("s", 3, "void")], [deposit("later", 1)], now_us=LATER_US)
    archived(books, LATER_US, now_us=LATER_US)
    assert not look(books, "SELECT 1 FROM bets WHERE stake = 100"), "it is not in the file any more"
    assert trail(books, 1) == before
    (file,) = books.parent.glob("*.archive-*")
    file.rename(file.with_name("away"))
    with pytest.raises(ArchiveMissing):
        trail(books, 1)


def test_an_open_bet_whose_entries_are_archived_is_told_with_them(books: Path) -> None:
    play(books, [place(6, 33)])
    before = trail(books, 6)
    play(books, [deposit("later", 1)], now_us=LATER_US)
    archived(books, LATER_US, now_us=LATER_US)
    assert look(books, "SELECT count(*) FROM bets WHERE stake = 33") == [(1,)], "it stays in the file"
    assert trail(books, 6) == before
    (file,) = books.parent.glob("*.archive-*")
    file.rename(file.with_name("away"))
    with pytest.raises(ArchiveMissing):
        trail(books, 6)


def test_a_trail_that_leads_nowhere_is_not_told(books: Path) -> None:
    forge(books, "DELETE FROM transactions WHERE kind = 'CASHOUT'")
    with pytest.raises(HistoryBroken):
        trail(books, 1)


def test_a_trail_that_leads_in_a_circle_ends(books: Path) -> None:
    forge(
        books,
        """
        UPDATE transactions SET answer = json_set(answer, '$.bet.before', id) WHERE kind = 'CASHOUT'
        """,
    )
    told = trail(books, 1)
    assert told is not None
    assert [step.kind for step in told.steps] == ["BET", "CASHOUT", "WIN", "UNSETTLE", "LOSS"]
