"""What is put right, what is refused, and that history stays as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.errors import FileUnusable
from engine.files import check_is_ours
from engine.reconcile import reconcile
from engine.repair import Repair, repair
from engine.store import Store
from tests.books_open import ALICE, BOB, CASH, HOUSE, NOW_US, look, place, play, seed
from tests.command import run, well
from tests.forgeries import forge

HISTORY = ("transactions", "transaction_ledger", "bets", "blocks", "holds")


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = seed(tmp_path / "books.db", 1000, 500)
    play(path, [place(1, 200), place(2, 100, BOB)])
    return path


def history(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: look(path, f"SELECT * FROM {table}") for table in HISTORY}


def test_sound_books_are_left_alone(books: Path) -> None:
    before = books.read_bytes()

    done = repair(books, NOW_US)

    assert (done.report.ok, done.repairs, done.is_refused) == (True, [], False)
    assert books.read_bytes() == before


def test_what_follows_from_the_ledger_is_put_right_and_recorded(books: Path) -> None:
    forge(
        books,
        f"UPDATE users SET balance = 7, last_entry_id = 3, held = 5 WHERE id = {ALICE}",
        f"UPDATE users SET owed = 2 WHERE id = {BOB}",
        f"UPDATE users SET balance = balance + 1 WHERE id = {HOUSE}",
    )
    before, (newest,) = history(books), look(books, "SELECT max(id) FROM blocks")[0]
    versions = dict(look(books, "SELECT id, version FROM users"))
    last_entry_id = max(
        id_ for id_, user in look(books, "SELECT id, user_id FROM transaction_ledger") if user == ALICE
    )

    done = repair(books, NOW_US + 9)

    expected = {
        Repair(ALICE, "balance", 7, 800),
        Repair(ALICE, "last_entry_id", 3, last_entry_id),
        Repair(ALICE, "held", 5, 0),
        Repair(BOB, "owed", 2, 0),
        Repair(HOUSE, "balance", 301, 300),
    }
    assert (done.report.findings, done.is_refused) == ([], False)
    assert {*done.repairs} == expected
    assert reconcile(books).findings == []
    assert history(books) == before
    check_is_ours(books, writing=True)  # no rule is gone
    told = look(books, "SELECT at, block_id, user_id, what, found, became FROM repairs")
    assert {*told} == {(NOW_US + 9, newest, *each) for each in expected}
    now = dict(look(books, "SELECT id, version FROM users"))
    assert {id_ for id_ in now if now[id_] != versions[id_]} == {ALICE, BOB, HOUSE}, "a guard would see it"


def test_a_balance_that_no_check_would_allow_is_put_right_as_well(books: Path) -> None:
    forge(books, f"UPDATE users SET balance = -5 WHERE id = {ALICE}")

    assert repair(books, NOW_US).repairs == [Repair(ALICE, "balance", -5, 800)]
    assert reconcile(books).ok


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE transaction_ledger SET amount = amount + 1 WHERE id = 1",
        "UPDATE transactions SET answer = '{}' WHERE id = 3",
        "DELETE FROM blocks WHERE id = 1",
        "UPDATE bets SET state = 'won'",
    ],
)
def test_nothing_is_repaired_while_history_is_in_doubt(books: Path, harm: str) -> None:
    forge(books, f"UPDATE users SET balance = 7 WHERE id = {ALICE}", harm)
    users = look(books, "SELECT * FROM users")

    done = repair(books, NOW_US)

    assert (done.is_refused, done.repairs) == (True, [])
    assert done.report.findings
    assert look(books, "SELECT * FROM users") == users
    assert look(books, "SELECT * FROM repairs") == []


def test_a_file_that_is_served_is_left_alone(books: Path) -> None:
    async def beside_a_store() -> None:
        store = await Store.open(books)
        try:
            with pytest.raises(FileUnusable, match="is being served"):
                await asyncio.to_thread(repair, books, NOW_US)
        finally:
            await store.close()

    asyncio.run(beside_a_store())
    repair(books, NOW_US)  # and lets go of the lock
    repair(books, NOW_US)


def test_the_command_says_what_it_did(books: Path) -> None:
    assert well("reconcile", "--repair", "--db", books).out.endswith(
        "every balance is the sum of its entries\n"
    )
    forge(books, f"UPDATE users SET balance = 7 WHERE id = {CASH}")
    told = well("reconcile", "--repair", "--db", books).out.splitlines()
    assert told[0] == f"repaired: user_id {CASH}, balance 7, is -1500"
    forge(books, f"UPDATE users SET balance = 7 WHERE id = {ALICE}")
    found = well("reconcile", "--repair", "--json", "--db", books).json
    assert found["repaired"] == [{"user_id": ALICE, "what": "balance", "found": 7, "became": 800}]
    assert (found["ok"], found["refused"], found["findings"]) == (True, False, [])
    forge(books, f"UPDATE users SET balance = 7 WHERE id = {ALICE}", "DELETE FROM blocks WHERE id = 1")
    done = run("reconcile", "--repair", "--db", books)
    assert done.status == 1
    assert done.out.startswith("not repaired: more is wrong than what follows from the ledger\n")
    assert run("reconcile", "--repair", "--json", "--db", books).json["refused"] is True
