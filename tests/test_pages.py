"""Bets and entries page by page out of the chain of a wallet: in order, once each, and no page walks far."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import pages
from engine.pages import BetPage, EntryPage, StakedBet, bets_before, entries_before
from engine.snapshots import PostedEntry
from tests.archived import archived
from tests.books_open import (
    ALICE,
    BOB,
    NOW_US,
    bet_id,
    deposit,
    grant_free_bet,
    look,
    place,
    play,
    seed,
    settle,
)

LATER_US = NOW_US + 1_000_000


def books(tmp_path: Path) -> Path:
    """ALICE has placed the bets 1 to 6 with a deposit after each, BOB bet 7; 2 is won, 3 lost."""
    path = seed(tmp_path / "books.db", 1000, 1000)
    for number in range(1, 7):
        play(path, [place(number, 10 + number, odds_milli=2000), deposit(f"d{number}", 5)])
    play(path, [place(7, 10, BOB), settle("s2", 2, "won", 30), settle("s3", 3, "lost")])
    return path


def page(
    path: Path, before: int | None = None, state: str | None = None, most: int = 100, user_id: int = ALICE
) -> BetPage | None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return bets_before(connection, user_id, before, state, most)


def found(path: Path, state: str | None = None, most: int = 100) -> tuple[list[StakedBet], int]:
    """All bets, page by page; and how many pages that took."""
    bets: list[StakedBet] = []
    before, count = None, 0
    while True:
        each = page(path, before, state, most)
        assert each is not None
        assert len(each.bets) <= most
        bets += each.bets
        count += 1
        if each.next is None:
            return bets, count
        assert before is None or each.next < before
        before = each.next


@pytest.mark.parametrize("walked", [1, 2, 3, 5, 4096])
@pytest.mark.parametrize("most", [1, 2, 3, 6, 100])
def test_every_bet_is_there_once_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, walked: int
) -> None:
    monkeypatch.setattr(pages, "WALKED", walked)
    path = books(tmp_path)
    bets, count = found(path, most=most)
    assert [each.bet_id for each in bets] == [bet_id(number) for number in range(6, 0, -1)]
    assert [each.stake_minor for each in bets] == [16, 15, 14, 13, 12, 11]
    assert [(each.state, each.payout_minor) for each in bets][2:5] == [
        ("confirmed", 0),
        ("lost", 0),
        ("won", 30),
    ]
    assert all(each.odds_milli == 2000 and each.at_us >= NOW_US for each in bets)
    # Fourteen entries: an opening, six of bets, six of deposits, a win.
    assert count <= -(-14 // walked) + -(-6 // most)


@pytest.mark.parametrize("walked", [1, 4, 4096])
def test_of_one_state_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walked: int) -> None:
    monkeypatch.setattr(pages, "WALKED", walked)
    path = books(tmp_path)
    assert [each.bet_id for each in found(path, "won")[0]] == [bet_id(2)]
    assert [each.bet_id for each in found(path, "confirmed", 2)[0]] == [bet_id(n) for n in (6, 5, 4, 1)]
    assert found(path, "void")[0] == []


def test_a_wallet_without_bets_has_one_empty_page(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000, 1000)
    assert page(path) == page(path, user_id=BOB) == BetPage([], None, False)


def test_before_is_an_entry_of_this_wallet_or_nothing(tmp_path: Path) -> None:
    path = books(tmp_path)
    newest = found(path)[0][0].seq
    assert page(path, newest) is not None
    assert page(path, newest, user_id=BOB) is None
    assert page(path, 10**9) is page(path, 0) is page(path, -ALICE) is None


def test_what_was_archived_is_a_gap_and_no_error(tmp_path: Path) -> None:
    path = books(tmp_path)
    play(path, [settle(f"s{n}", n, "lost") for n in (1, 4, 5)], now_us=NOW_US + 10)
    play(path, [place(8, 9), place(9, 9)], now_us=LATER_US)
    cursor = found(path)[0][-1].seq
    archived(path, LATER_US, now_us=LATER_US)
    left = page(path)
    assert left is not None
    assert ([each.bet_id for each in left.bets], left.next, left.gap) == ([bet_id(9), bet_id(8)], None, True)
    assert page(path, cursor) == BetPage([], None, True)
    assert page(path, left.bets[1].seq) == BetPage([], None, True)


def test_what_a_free_bet_has_paid_is_not_the_wallet_s(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000)
    ((granted,),) = play(path, [grant_free_bet("g", 10)])
    play(path, [place(1, 10, free_bet_id=granted.transaction_id)])  # type: ignore[union-attr]
    assert page(path) == BetPage([], None, False)


# -- entries, newest first


def entries(path: Path, before: int = 10**9, most: int = 100, user_id: int = ALICE) -> EntryPage | None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return entries_before(connection, user_id, before, most)


def seqs(path: Path, user_id: int = ALICE) -> list[int]:
    return [
        id_
        for (id_,) in look(
            path, "SELECT id FROM transaction_ledger WHERE user_id = ? AND id > 0 ORDER BY id DESC", user_id
        )
    ]


@pytest.mark.parametrize("most", [1, 2, 13, 14, 15])
def test_every_entry_is_there_once_newest_first(tmp_path: Path, most: int) -> None:
    path = books(tmp_path)
    expected = seqs(path)
    assert len(expected) == 14
    told: list[int] = []
    page_ = entries(path, most=most)
    while True:
        assert page_ is not None
        assert not page_.gap
        assert len(page_.entries) == min(most, 14 - len(told))
        told += [each.id for each in page_.entries]
        assert page_.more == (len(told) < 14)
        if not page_.more:
            break
        page_ = entries(path, told[-1], most)
    assert told == expected
    newest = entries(path, most=1)
    assert newest is not None
    assert newest.entries[0] == PostedEntry(
        *look(
            path,
            """
            SELECT entry.id, prev_id, transaction_id, ref_type, amount, balance_after, ref_id, at
            FROM transaction_ledger AS entry JOIN blocks ON blocks.id = block_id WHERE entry.id = ?
            """,
            expected[0],
        )[0]
    )


def test_entries_before_one_of_somebody_else_s_are_not_told(tmp_path: Path) -> None:
    path = books(tmp_path)
    (bobs, *_) = seqs(path, BOB)
    assert entries(path, seqs(path)[-1]) == EntryPage([], False, False)
    assert bobs < seqs(path)[0], "it is not just above all of hers"
    assert entries(path, bobs) is entries(path, 0) is None
    assert entries(path, seqs(path)[0] + 1) == entries(path)


def test_what_was_archived_is_no_entry_but_a_gap(tmp_path: Path) -> None:
    path = books(tmp_path)
    play(path, [place(8, 9), place(9, 9)], now_us=LATER_US)
    old = seqs(path)[-1]
    archived(path, LATER_US, now_us=LATER_US)
    left = entries(path)
    assert left is not None
    assert ([each.id for each in left.entries], left.more, left.gap) == (seqs(path), False, True)
    assert len(left.entries) == 2
    assert entries(path, old) == EntryPage([], False, True)


def test_a_page_of_entries_costs_what_it_shows(tmp_path: Path) -> None:
    path = books(tmp_path)
    asked: list[str] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(asked.append)
        entries_before(connection, ALICE, 10**9, 3)
        connection.set_trace_callback(None)
        for sql in asked:
            if sql.lstrip().startswith(("SELECT", "WITH")):
                plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
                assert not [step for step in plan if step.startswith("SCAN") and step not in SHORT], plan


SHORT = {"SCAN CONSTANT ROW", "SCAN chain"}
"""Of what is not a table."""
