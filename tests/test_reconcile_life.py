"""reconcile of what became of bets and holds: books that were only played with are clean, each forgery of
life_forgeries.py is named, and it works beside a server that settles.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine import audit, lives
from engine import reconcile as module
from engine.checks import check_block
from engine.commands import Command, PlaceHold, ReleaseHold, RollBackBet, UnsettleBet
from engine.files import open_read_only
from engine.leg_checks import Staked, are_own_legs, bet_legs
from engine.outcomes import Accepted, BetTold, Outcome
from engine.reconcile import reconcile
from engine.records import Entry, Transaction
from engine.store import Store
from tests.books_open import ALICE, BOB, CASH, HOUSE, NOW_US, asked, bet_id, look, place, play, seed
from tests.forgeries import forge, in_order, reseal
from tests.life_forgeries import BATCHES, EXPIRY, FEES, HISTORY, ROWS, keyed, won


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of command, in seven blocks; and a late bet that was buried before."""
    path = seed(tmp_path_factory.mktemp("played") / "books.db", 1000, 500)
    outcomes = play(path, *BATCHES, [place(9)]) + play(path, [EXPIRY], now_us=NOW_US + 20)
    assert [len(batch) for batch in outcomes if all(map(is_accepted, batch))] == [6, 6, 6, 5, 7, 1]
    return path


@pytest.fixture
def books(played: Path, tmp_path: Path) -> Path:
    shutil.copy(f"{played}.signing-key", tmp_path / "books.db.signing-key")
    return Path(shutil.copy(played, tmp_path / "books.db"))


def is_accepted(outcome: Outcome) -> bool:
    return isinstance(outcome, Accepted)


def test_books_with_every_kind_of_command_are_clean(books: Path) -> None:
    report = reconcile(books)

    assert report.findings == []
    assert (report.users, report.entries) == (9, 44)
    kinds = {kind for (kind,) in look(books, "SELECT DISTINCT kind FROM transactions")}
    assert len(kinds) == 16, "every kind but those of payouts, limits, wallets and bonuses"
    assert look(books, f"SELECT owed, held FROM users WHERE id IN ({ALICE}, {BOB})") == [(20, 0), (0, 5)]


@pytest.mark.parametrize("name", ROWS)
def test_an_edited_row_is_found_and_named_exactly(books: Path, name: str) -> None:
    sql, findings = ROWS[name]

    forge(books, sql)

    assert in_order(reconcile(books).findings) == in_order(findings)


@pytest.mark.parametrize("name", HISTORY)
def test_history_that_is_sealed_again_must_still_make_sense(books: Path, name: str) -> None:
    statements, findings = HISTORY[name]

    forge(books, *statements)
    reseal(books, *range(1, 8))

    assert in_order(reconcile(books).findings) == in_order(findings)


RECEIVABLE_BOOK = 6
BOOKS = {
    ("house", "EUR"): HOUSE,
    ("cash", "EUR"): CASH,
    ("fees", "EUR"): FEES,
    ("receivable", "EUR"): RECEIVABLE_BOOK,
}
WHOSE = [(ALICE, -9), (HOUSE, 9)]


@pytest.mark.parametrize(
    ("kind", "ref_type", "ref_id", "postings", "right"),
    [
        ("BET", "BET", "the key", WHOSE, True),
        ("BET", "BET", "1", WHOSE, False),
        ("BET", "WIN", "the key", WHOSE, False),
        ("BET", "BET", "the key", [(ALICE, -9), (FEES, 9)], False),
        ("BET", "BET", "the key", [(ALICE, -9), (HOUSE, 8), (FEES, 1)], False),
        ("BET", "BET", "the key", [(ALICE, 9), (HOUSE, -9)], False),
        ("BET", "BET", "the key", [(HOUSE, -9), (HOUSE, 9)], False),
        ("BET", "BET", "the key", [], False),
        ("DEPOSIT", "DEPOSIT", "1", [(ALICE, 9), (CASH, -9)], True),
        ("DEPOSIT", "DEPOSIT", "1", [(ALICE, -9), (CASH, 9)], False),
        ("DEPOSIT", "DEPOSIT", "1", [(ALICE, 9), (HOUSE, -9)], False),
        ("DEPOSIT", "DEPOSIT", "1", [(FEES, 9), (CASH, -9)], False),
        ("DEPOSIT", "DEPOSIT", "2", [(ALICE, 9), (CASH, -9)], False),
        ("WITHDRAWAL", "WITHDRAWAL", "1", [(ALICE, -9), (CASH, 9)], True),
        ("WITHDRAWAL", "WITHDRAWAL", "1", [(ALICE, 9), (CASH, -9)], False),
        ("TRANSFER", "TAX", "1", [(ALICE, -9), (FEES, 9)], True),
        ("TRANSFER", "RECEIVABLE", "1", [(ALICE, -9), (FEES, 9)], False),
        ("TRANSFER", "TRANSFER", "2", [(ALICE, -9), (FEES, 9)], False),
        ("TRANSFER", "TRANSFER", "1", [], False),
        ("STATUS", "TRANSFER", "1", [], True),
        ("HOLD", "CAPTURE", "1", WHOSE, False),
        ("TOMBSTONE", "ROLLBACK", "1", WHOSE, False),
    ],
)
def test_legs(kind: str, ref_type: str, ref_id: str, postings: list[tuple[int, int]], right: bool) -> None:
    transaction = Transaction(1, kind, "s", "the key", bytes(32), "{}", 1)
    entries = [Entry(0, user, "EUR", amount, 0, ref_type, ref_id, 1, 1, 0) for user, amount in postings]

    assert are_own_legs(transaction, entries, BOOKS) is right


@pytest.mark.parametrize(
    ("kind", "payout_minor", "posted_minor", "owed_minor", "player", "receivable", "house"),
    [
        ("WIN", 100, 0, 0, 100, 0, -100),
        ("WIN", 100, 0, 30, 70, 30, -100),  # kept back, whatever was posted
        ("WIN", 100, 50, 30, 70, 30, -100),
        ("CASHOUT", 100, 0, 200, 0, 100, -100),
        ("LOSS", 0, 0, 30, 0, 0, 0),
        ("REFUND", 100, 30, 30, 100, 0, -100),
        ("ROLLBACK", 0, 30, 30, 250, 0, -250),
        ("UNSETTLE", 100, -30, 0, -70, -30, 100),  # as it was posted
        ("UNSETTLE", 100, -130, 0, 0, -100, 100),  # but no more than it took
        ("UNSETTLE", 100, 30, 0, -100, 0, 100),
    ],
)
def test_legs_of_what_became_of_a_bet(
    kind: str,
    payout_minor: int,
    posted_minor: int,
    owed_minor: int,
    player: int,
    receivable: int,
    house: int,
) -> None:
    said = BetTold(bet_id(1), "", payout_minor=payout_minor)
    posted = [Entry(0, RECEIVABLE_BOOK, "EUR", posted_minor, 0, "RECEIVABLE", f"{BOB}", 1, 1, 0)]

    staked = Staked(BOB, "EUR", 250)
    refunds = kind in ("REFUND", "ROLLBACK")

    legs = bet_legs(kind, said, staked, posted, BOOKS, {f"{BOB}": owed_minor}, refunds=refunds)

    name = {"LOSS": "WIN"}.get(kind, kind)
    expected = [
        (BOB, "EUR", player, name, bet_id(1)),
        (RECEIVABLE_BOOK, "EUR", receivable, "RECEIVABLE", f"{BOB}"),
        (HOUSE, "EUR", house, name, bet_id(1)),
    ]
    assert legs == [leg for leg in expected if leg[2]]


def test_it_works_while_bets_are_settled_and_holds_released(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were there when it began change before they are read: what is newer is left out."""

    async def run() -> module.Report:
        loop = asyncio.get_running_loop()
        store = await Store.open(books)
        numbers = iter(range(100, 200))

        def meanwhile(*read: Any, **known: Any) -> Any:
            number = next(numbers)
            batch: list[Command] = [
                won(6, 5, f"{number}"),
                UnsettleBet(bet_id(6), **keyed(f"{number}")),
                UnsettleBet(bet_id(1), **keyed(f"{number} again")),
                won(1, number, f"{number} again"),
                ReleaseHold(26, **keyed(f"{number}")),
                PlaceHold(BOB, 7, **keyed(f"{number}")),
                place(number, 1, BOB),
                RollBackBet(bet_id(number), **keyed(f"{number}")),
                RollBackBet(bet_id(1000 + number), **keyed(f"{number} late")),
            ]
            outcomes = asyncio.run_coroutine_threadsafe(store.commit(asked(*batch), NOW_US + 20), loop)
            assert sum(map(is_accepted, outcomes.result(10))) >= 8, "all but the second release"
            return check_block(*read, **known)

        monkeypatch.setattr(audit, "check_block", meanwhile)
        # A second look for strays finds none: it must not even be taken, since it is slow.
        monkeypatch.setattr(lives.Lives, "strays", lambda self: [{"check": "a second look"}])
        try:
            return await asyncio.to_thread(reconcile, books)
        finally:
            monkeypatch.undo()
            await store.close()

    report = asyncio.run(run())

    assert report.findings == []
    assert report.entries == 44, "what was there when it began"
    assert reconcile(books).findings == []


@pytest.mark.parametrize("name", [name for name in vars(lives) if re.fullmatch("_[A-Z_]+", name)])
def test_every_look_up_goes_by_key(books: Path, name: str) -> None:
    """A look-up is made for each transaction: one that reads a whole table would take for ever."""
    sql = getattr(lives, name)
    if not isinstance(sql, str) or not sql.lstrip().startswith("SELECT"):
        return
    connection = open_read_only(books)
    try:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")).fetchall()
    finally:
        connection.close()

    assert plan
    steps = ("SEARCH", "CORRELATED SCALAR SUBQUERY", "SCALAR SUBQUERY")
    assert not [step for *_, step in plan if not step.startswith(steps)]
