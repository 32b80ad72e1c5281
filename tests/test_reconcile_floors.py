"""reconcile of floors: books whose floors were set are clean, and each forgery is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.checks import Finding
from engine.commands import CLEARING_ID_BASE, fingerprint
from engine.floor_checks import NO_BOOK, NO_FLOOR, OTHER_TERMS, FloorAudit
from engine.life_checks import NOT_SAID
from engine.money import BOOK_FLOOR_MINOR
from engine.outcomes import Accepted
from engine.reconcile import reconcile
from engine.records import Transaction
from tests.books_open import ALICE, BONUS_BOOK, CASH, HOUSE, NOBODY, look, place, play, seed, set_floor
from tests.forgeries import block, forge, in_order, legs, reseal


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Block 1 pays ALICE 1000 (transaction 1); in block 2 the floor of the cash book goes to -5000 (2) and to
    -2000 (3), and that of the house to -9 (4); in block 3 she bets 200 (5)."""
    path = seed(tmp_path / "books.db", 1000)
    floors = [set_floor("a", -5000, CASH), set_floor("b", -2000, CASH), set_floor("c", -9)]
    told = play(path, floors, [place(1, 200)])
    assert all(isinstance(outcome, Accepted) for batch in told for outcome in batch)
    return path


def test_books_whose_floors_were_set_are_clean(books: Path) -> None:
    floors = dict(look(books, "SELECT id, floor FROM users"))

    assert reconcile(books).findings == []
    assert (floors[HOUSE], floors[CASH], floors[BONUS_BOOK], floors[ALICE]) == (
        -9,
        -2000,
        BOOK_FLOOR_MINOR,
        0,
    )


def differs(user_id: int, floor: int, told: int) -> Finding:
    return {"check": "floor", "user_id": user_id, "floor": floor, "told": told}


def wrong(transaction_id: int, why: str) -> Finding:
    return {"check": "floor", "transaction_id": transaction_id, "why": why}


def held(user_id: int, balance: int, floor: int) -> Finding:
    return {"check": "held", "user_id": user_id, "balance": balance, "held": 0, "floor": floor, "holds": 0}


@pytest.mark.parametrize(
    ("user_id", "floor", "findings"),
    [
        (CASH, -5000, [differs(CASH, -5000, -2000)]),
        (CASH, 0, [differs(CASH, 0, -2000), held(CASH, -1000, 0)]),
        (HOUSE, BOOK_FLOOR_MINOR, [differs(HOUSE, BOOK_FLOOR_MINOR, -9)]),
        (BONUS_BOOK, 0, [differs(BONUS_BOOK, 0, BOOK_FLOOR_MINOR)]),
        (ALICE, -1, [differs(ALICE, -1, 0)]),
    ],
)
def test_a_floor_that_nobody_set_is_found(
    books: Path, user_id: int, floor: int, findings: list[Finding]
) -> None:
    forge(books, f"UPDATE users SET floor = {floor} WHERE id = {user_id}")

    assert in_order(reconcile(books).findings) == in_order(findings)


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        ("answer = '{}'", [wrong(4, NOT_SAID), differs(HOUSE, -9, BOOK_FLOOR_MINOR)]),
        (
            "answer = json_set(answer, '$.floor.floor_minor', -8)",
            [wrong(4, OTHER_TERMS), differs(HOUSE, -9, -8)],
        ),
        (
            f"answer = json_set(answer, '$.floor.user_id', {ALICE})",
            [
                *(wrong(4, why) for why in (NO_BOOK, OTHER_TERMS)),
                *(differs(HOUSE, -9, BOOK_FLOOR_MINOR), differs(ALICE, 0, -9)),
            ],
        ),
        ("kind = 'STATUS'", [differs(HOUSE, -9, BOOK_FLOOR_MINOR)]),
    ],
)
def test_a_transaction_that_says_something_else_is_found(
    books: Path, change: str, findings: list[Finding]
) -> None:
    forge(books, f"UPDATE transactions SET {change} WHERE id = 4")
    reseal(books, 2, 3)

    assert in_order(reconcile(books).findings) == in_order(findings)


def test_a_floor_set_by_a_transaction_with_money_is_found(books: Path) -> None:
    forge(
        books,
        "UPDATE transactions SET kind = 'FLOOR', answer = (SELECT answer FROM transactions "
        "WHERE id = 4), fingerprint = (SELECT fingerprint FROM transactions WHERE id = 4) WHERE id = 1",
    )
    reseal(books, 1)

    found = reconcile(books).findings

    assert legs(1, "FLOOR") in found
    assert block(2, "it does not follow the block before it") in found


@pytest.mark.parametrize(
    ("user_id", "floor", "whys"),
    [
        (HOUSE, BOOK_FLOOR_MINOR, []),
        (HOUSE, 0, []),
        (HOUSE, 1, [NO_FLOOR]),
        (HOUSE, BOOK_FLOOR_MINOR - 1, [NO_FLOOR]),
        (ALICE, -1, [NO_BOOK]),
        (CLEARING_ID_BASE + 1, -1, [NO_BOOK]),
        (NOBODY, -1, [NO_BOOK]),
    ],
)
def test_only_a_book_has_a_floor_and_not_any(user_id: int, floor: int, whys: list[str]) -> None:
    answer = f'{{"floor":{{"user_id":{user_id},"floor_minor":{floor}}}}}'
    mark = fingerprint(set_floor("k", floor, user_id))

    found = FloorAudit({HOUSE, CASH}).changed(Transaction(7, "FLOOR", "op:floor", "k", mark, answer, 1))

    assert [each["why"] for each in found] == whys
