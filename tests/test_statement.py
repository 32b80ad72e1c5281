"""Statements on real files: they add up whatever was played, and name who is on the other side."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import history
from engine.commands import (
    CLEARING_ID_BASE,
    AddPayoutItems,
    Leg,
    OpenPayout,
    Pay,
    PayChunk,
    PayoutItem,
    StartPayout,
    Transfer,
)
from engine.errors import HistoryBroken
from engine.files import open_read_only
from engine.history import StatedEntry
from engine.statement import FOREVER_US, Balance, balance_at, statement
from tests.books_open import (
    ALICE,
    BOB,
    CASH,
    HOUSE,
    MINUTE_US,
    NOBODY,
    NOW_US,
    bet_id,
    deposit,
    look,
    place,
    play,
    seed,
    seed_a_story,
    settle,
)
from tests.forgeries import forge

OWN: dict[str, Any] = {"caller": "1"}


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE and BOB have what `seed_a_story` says."""
    return seed_a_story(tmp_path / "books.db")


@pytest.fixture
def reader(books: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(open_read_only(books)) as connection:
        yield connection


def told(path: Path, user_id: int, from_us: int = 0, to_us: int = FOREVER_US) -> list[StatedEntry]:
    """The entries of a statement that adds up."""
    with contextlib.closing(open_read_only(path)) as connection:
        found = statement(connection, user_id, from_us, to_us)
        assert found is not None
        entries = list(found.entries)
    amounts = sum(each.posted.amount_minor for each in entries)
    assert found.opening_minor + amounts == found.closing_minor
    return entries


def others(path: Path, user_id: int) -> list[str]:
    return [str(each.other_side) for each in told(path, user_id)]


@pytest.mark.parametrize(
    ("from_us", "to_us", "opening", "closing", "found"),
    [
        (0, FOREVER_US, 0, 1430, [1, 5, 9, 11]),
        (NOW_US, NOW_US + 2 * MINUTE_US + 1, 0, 1430, [1, 5, 9, 11]),
        (NOW_US + 1, FOREVER_US, 1000, 1430, [5, 9, 11]),
        (NOW_US + 2, FOREVER_US, 970, 1430, [9, 11]),
        (0, NOW_US + MINUTE_US, 0, 970, [1, 5]),
        (0, NOW_US + MINUTE_US + 1, 0, 930, [1, 5, 9]),
        (NOW_US + 1, NOW_US + MINUTE_US + 1, 1000, 930, [5, 9]),
        (NOW_US + 2, NOW_US + MINUTE_US, 970, 970, []),
        (FOREVER_US, FOREVER_US, 1430, 1430, []),
        (0, NOW_US, 0, 0, []),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 4096])
def test_a_statement_runs_from_one_time_up_to_another(
    reader: sqlite3.Connection,
    from_us: int,
    to_us: int,
    opening: int,
    closing: int,
    found: list[int],
    chunk: int,
) -> None:
    with mock.patch.multiple(history, CHUNK=chunk, SCAN_ROWS=chunk):
        stated = statement(reader, ALICE, from_us, to_us)
        assert stated is not None
        assert (stated.kind, stated.opening_minor, stated.closing_minor) == ("player", opening, closing)
        assert [each.posted.id for each in stated.entries] == found


def test_the_balance_at_a_time_counts_what_was_posted_in_that_microsecond(reader: sqlite3.Connection) -> None:
    at = {at_us: balance_at(reader, ALICE, at_us) for at_us in (NOW_US - 1, NOW_US, NOW_US + 1, FOREVER_US)}

    assert [found and found.balance_minor for found in at.values()] == [0, 1000, 970, 1430]
    assert at[NOW_US] == Balance(ALICE, "EUR", 1000)


def test_of_nobody_there_is_no_statement(reader: sqlite3.Connection) -> None:
    assert statement(reader, NOBODY) is None
    assert balance_at(reader, NOBODY, NOW_US) is None


def test_an_account_without_entries_has_an_empty_one(books: Path) -> None:
    (suspense,) = look(books, "SELECT id FROM users WHERE kind = 'suspense'")[0]
    assert told(books, suspense) == []


def test_a_file_without_blocks_has_empty_ones(tmp_path: Path) -> None:
    path = seed(tmp_path / "new.db")
    assert told(path, HOUSE) == []
    with contextlib.closing(open_read_only(path)) as connection:
        assert balance_at(connection, HOUSE, NOW_US) == Balance(HOUSE, "EUR", 0)


# -- the other side


def test_who_is_on_the_other_side_of_a_bet_a_win_and_a_deposit(books: Path) -> None:
    play(books, [settle("won", 1, "won", 75)], now_us=NOW_US + 3 * MINUTE_US)

    assert others(books, ALICE) == ["cash", "house", "house", "cash", "house"]
    assert others(books, HOUSE) == ["wallet 7", "wallet 8", "wallet 7", "wallet 7"]
    assert others(books, CASH) == ["wallet 7", "wallet 8", "wallet 7"]
    win = told(books, ALICE)[-1]
    assert (win.transaction_kind, win.posted.ref_type, win.posted.ref_id) == ("WIN", "WIN", bet_id(1))


def test_of_a_transfer_of_many_legs_each_sees_the_other_sign(books: Path) -> None:
    legs = (Leg(ALICE, -50), Leg(BOB, 43), Leg(3, 5, "FEE"), Leg(HOUSE, 2, "TAX"))
    play(books, [Transfer(legs, key="t", **OWN)], now_us=NOW_US + 2 * MINUTE_US)

    assert others(books, ALICE)[-1] == "wallet 8; fees; house"
    assert others(books, BOB)[-1] == others(books, HOUSE)[-1] == "wallet 7"


@pytest.mark.parametrize("winners", [2, 5, 8, 9, 16, 17, 100])
def test_a_winner_of_a_long_payout_sees_who_pays_and_no_other_winner(tmp_path: Path, winners: int) -> None:
    path = seed(tmp_path / "books.db", *[10] * winners)
    ids = range(ALICE, ALICE + winners)
    play(
        path, [place(1, 5), Pay("EUR", tuple(PayoutItem(id_, 3) for id_ in ids), key="p", **OWN), place(2, 5)]
    )

    assert {others(path, id_)[-1] for id_ in ids if id_ != ALICE} == {"house"}
    assert others(path, ALICE) == ["cash", "house", "house", "house"]
    shown = "; ".join([f"wallet {id_}" for id_ in ids][:4] + (["others"] if winners > 4 else []))
    assert others(path, HOUSE) == ["wallet 7", shown, "wallet 7"]


def test_a_clearing_account_is_told_by_its_payout(books: Path) -> None:
    play(books, [OpenPayout("EUR", key="o", **OWN)], now_us=NOW_US + 2 * MINUTE_US)
    ((payout,),) = look(books, "SELECT id FROM payouts")
    play(
        books,
        [AddPayoutItems(payout, 0, (PayoutItem(ALICE, 4),), key="a", **OWN)],
        now_us=NOW_US + 2 * MINUTE_US,
    )
    play(books, [StartPayout(payout, 1, 4, key="s", **OWN)], now_us=NOW_US + 2 * MINUTE_US)
    play(books, [PayChunk(payout, 0, key="c", caller="clock")], now_us=NOW_US + 2 * MINUTE_US)

    assert others(books, ALICE)[-1] == others(books, HOUSE)[-1] == f"payout {payout}"
    assert others(books, CLEARING_ID_BASE + payout) == ["house", "wallet 7"]
    assert told(books, ALICE)[-1].other_side.accounts[0].payout_id == payout


# -- against a plain sum


MOVES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([ALICE, BOB, 9]), st.integers(1, 40)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=15, deadline=None)
@given(MOVES, st.integers(1, 5), st.integers(1, 5))
def test_every_window_is_what_a_plain_sum_says(
    moves: list[tuple[int, int, int]], chunk: int, scan_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = seed(Path(folder) / "books.db", 20, 1, 30)
        now_us = NOW_US
        for number, (later_us, user_id, amount_minor) in enumerate(moves):
            now_us += later_us
            asked = place(number, amount_minor, user_id, sent_at_us=now_us)
            play(path, [asked if number % 3 else deposit(str(number), amount_minor, user_id)], now_us=now_us)
        joined = "transaction_ledger AS entry JOIN blocks ON blocks.id = block_id"
        rows = look(path, f"SELECT user_id, entry.id, amount, at FROM {joined} ORDER BY entry.id")
        times = sorted({NOW_US - 1, *(row[3] for row in rows), now_us + 1})
        with (
            contextlib.closing(open_read_only(path)) as connection,
            mock.patch.multiple(history, CHUNK=chunk, SCAN_ROWS=scan_rows),
        ):
            for user_id in (HOUSE, CASH, ALICE, BOB, 9):
                own = [row[1:] for row in rows if row[0] == user_id]
                for at_us in times:
                    balance = balance_at(connection, user_id, at_us)
                    assert balance is not None
                    assert balance.balance_minor == sum(amount for _, amount, at in own if at <= at_us)
                    found = statement(connection, user_id, at_us, times[-2])
                    assert found is not None
                    assert found.closing_minor == sum(amount for _, amount, at in own if at < times[-2])
                    inside = [(id_, amount) for id_, amount, at in own if at_us <= at < times[-2]]
                    stated = [(each.posted.id, each.posted.amount_minor) for each in found.entries]
                    assert stated == inside


# -- a history that somebody has touched, and the cost


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("UPDATE transaction_ledger SET balance_after = 971 WHERE id = 5", "entry 5 does not continue"),
        ("UPDATE transaction_ledger SET amount = -31 WHERE id = 5", "entry 5 does not continue"),
        ("UPDATE transaction_ledger SET user_id = 8 WHERE id = 5", "entry 5 does not continue"),
        ("UPDATE transaction_ledger SET prev_id = 3 WHERE id = 9", "does not continue"),
        ("DELETE FROM transaction_ledger WHERE id = 5", "entry 5 is not in this file"),
        ("DELETE FROM transactions WHERE id = 6", "entry 11 of account 7 has no transaction or block"),
    ],
)
def test_what_does_not_add_up_is_not_told(books: Path, harm: str, words: str) -> None:
    forge(books, harm)
    with pytest.raises(HistoryBroken, match=words):
        told(books, ALICE)


def test_nothing_is_found_by_a_look_at_a_whole_table(reader: sqlite3.Connection) -> None:
    """Nor by an index that SQLite makes for one query: it reads the whole ledger for it."""
    asked: list[str] = []
    reader.set_trace_callback(asked.append)
    found = statement(reader, HOUSE, NOW_US + 1, NOW_US + MINUTE_US + 1)
    assert found is not None
    assert len(list(found.entries)) == 3
    balance_at(reader, ALICE, NOW_US + 2)
    reader.set_trace_callback(None)
    plans = [row[3] for sql in asked for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}")]

    tables = ("transaction_ledger", "entry", "leg", "blocks", "transactions", "users", "holder")
    assert len([plan for plan in plans if plan.startswith("SEARCH")]) >= 8
    assert [plan for plan in plans if "AUTOMATIC" in plan] == []
    assert [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in tables] == []


def test_no_snapshot_is_kept_between_two_chunks(books: Path) -> None:
    """Half of a statement told, the writer can still empty its log; and what it adds is no part of it."""
    with contextlib.closing(open_read_only(books)) as connection, mock.patch.object(history, "CHUNK", 2):
        found = statement(connection, ALICE)
        assert found is not None
        assert next(found.entries).posted.id == 1
        assert not connection.in_transaction
        play(books, [place(9, 1)], now_us=NOW_US + 3 * MINUTE_US)
        assert look(books, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0
        assert [each.posted.id for each in found.entries] == [5, 9, 11]
