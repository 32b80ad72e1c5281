"""Forgeries of a file of books, as data: SQL done with all rights, and exactly what `reconcile` says of it,
and how it is done. Those of what became of bets and holds stand in life_forgeries.py.

The file is that of the fixture `books` in test_reconcile.py: block 1 pays ALICE 1000 (transaction 1, entries
1 and 2) and BOB 500 (2; 3 and 4); in block 2 ALICE bets 200 (3; 5 and 6) and BOB 100 (4; 7 and 8); in block 3
ALICE bets 30 (5; 9 and 10). ALICE ends with 770, BOB with 400, the house with 330.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.blocks import Block, hash_of, peaks_after, root_of
from engine.checks import Finding
from engine.files import check_is_ours
from engine.life_checks import NOT_WHERE_TOLD
from engine.merkle import root_of_peaks
from engine.money import BOOK_FLOOR_MINOR
from engine.records import GENESIS, Entry, Transaction
from tests.books_open import ALICE, BOB, CASH, HOUSE, bet_id

EDITED = "its rows do not give its root: they were changed after it was sealed"
NO_FOLLOWER = "it does not follow the block before it"
HEADER = "its header does not give its hash"
TERMS = "its terms do not give its fingerprint: they were changed after it was placed"
NOT_ITS_DEBIT = "its holder, currency or stake is not that of its debit"
FOREIGN = "its format is not one that this program knows"
OTHER_BLOCK = "a row in its range names another block"
OUTSIDE = "an entry in its range belongs to a transaction outside of it"
RANGE = "its range does not follow that of the block before it"


@contextlib.contextmanager
def unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as someone with all rights has it: no trigger, no key, no CHECK; all put back at the end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        connection.execute("BEGIN")
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.execute(sql)
        connection.execute("COMMIT")
    if ".archive-" not in path.name:
        check_is_ours(path, writing=True)  # nothing but the rows tells


def forge(path: Path, *statements: str) -> None:
    """Edit the file with all rights."""
    with unguarded(path) as connection:
        for statement in statements:
            connection.execute(statement)


def reseal(path: Path, *numbers: int) -> None:
    """Compute root, link and hash of these blocks, one after the other, from what their rows say now."""
    with unguarded(path) as connection:
        for number in numbers:
            _reseal(connection, number)


def _reseal(connection: sqlite3.Connection, number: int) -> None:
    def of_block(table: str) -> list[Any]:
        sql = f"SELECT * FROM {table} WHERE block_id = ? ORDER BY id"
        return connection.execute(sql, (number,)).fetchall()

    hashes = connection.execute("SELECT hash FROM blocks WHERE id < ? ORDER BY id", (number,)).fetchall()
    head = GENESIS
    for id_, (hash_,) in enumerate(hashes, 1):
        head = head._replace(block_id=id_, hash=hash_, peaks=peaks_after(head, hash_))
    transactions, entries = of_block("transactions"), of_block("transaction_ledger")
    made = Block(*connection.execute("SELECT * FROM blocks WHERE id = ?", (number,)).fetchone())
    posted = [Entry(*each) for each in entries]
    # Where the rows have no root, none that a forger writes is the right one.
    root = root_of(made.first_entry_id, [Transaction(*each) for each in transactions], posted) or bytes(32)
    made = made._replace(root=root, prev_hash=head.hash, history=root_of_peaks(head.peaks))
    made = made._replace(hash=hash_of(made))
    made = made._replace(peak=peaks_after(head, made.hash)[-1])
    digests = {name: getattr(made, name) for name in ("root", "prev_hash", "history", "hash", "peak")}
    changes = ", ".join(f"{name} = :{name}" for name in digests)
    connection.execute(f"UPDATE blocks SET {changes} WHERE id = :number", digests | {"number": number})


def in_order(findings: Iterable[Finding]) -> list[str]:
    """Findings to compare, in whatever order they were made."""
    return sorted(map(str, findings))


def block(number: int, why: str) -> Finding:
    return {"check": "block", "block": number, "why": why}


def bet(transaction_id: int, why: str) -> Finding:
    return {"check": "bet", "transaction_id": transaction_id, "why": why}


def floor(user_id: int, found: int, told: int) -> Finding:
    return {"check": "floor", "user_id": user_id, "floor": found, "told": told}


def legs(transaction_id: int, kind: str) -> Finding:
    return {"check": "legs", "transaction_id": transaction_id, "kind": kind}


def balance(user_id: int, held: int | None, ledger: int) -> Finding:
    return {"check": "balance", "user_id": user_id, "balance": held, "ledger": ledger}


def running(user: int, entry: int, after: int, ledger: int, prev: int, previous: int) -> Finding:
    return {
        "check": "running",
        "user_id": user,
        "entry": entry,
        "balance_after": after,
        "ledger": ledger,
        "prev_id": prev,
        "previous_entry": previous,
    }


def zero_sum(transaction: int, currency: str, total: int) -> Finding:
    return {"check": "zero_sum", "transaction_id": transaction, "currency": currency, "sum": total}


FORGERIES: dict[str, tuple[str, list[Finding]]] = {
    "a balance": (f"UPDATE users SET balance = 771 WHERE id = {ALICE}", [balance(ALICE, 771, 770)]),
    "a balance of a book": (f"UPDATE users SET balance = 331 WHERE id = {HOUSE}", [balance(HOUSE, 331, 330)]),
    "a balance out of nothing": ("UPDATE users SET balance = 5 WHERE id = 3", [balance(3, 5, 0)]),
    "a holder taken away": (
        f"DELETE FROM users WHERE id = {BOB}",
        [
            balance(BOB, None, 400),
            {"check": "participant", "user_id": BOB, "why": "a participant without a wallet"},
        ],
    ),
    "the newest entry of a holder": (
        f"UPDATE users SET last_entry_id = 1 WHERE id = {ALICE}",
        [{"check": "last_entry", "user_id": ALICE, "last_entry_id": 1, "ledger": 9}],
    ),
    "more held than there is": (
        f"UPDATE users SET held = 401 WHERE id = {BOB}",
        [{"check": "held", "user_id": BOB, "balance": 400, "held": 401, "floor": 0, "holds": 0}],
    ),
    "something held": (
        f"UPDATE users SET held = 1 WHERE id = {BOB}",
        [{"check": "held", "user_id": BOB, "balance": 400, "held": 1, "floor": 0, "holds": 0}],
    ),
    "a bet that is won": (
        "UPDATE bets SET state = 'won' WHERE transaction_id = 3",
        [bet(3, NOT_WHERE_TOLD)],
    ),
    "a bet that pays": (
        "UPDATE bets SET payout = 1 WHERE transaction_id = 3",
        [bet(3, NOT_WHERE_TOLD)],
    ),
    "less than nothing held": (
        f"UPDATE users SET held = -1 WHERE id = {BOB}",
        [{"check": "held", "user_id": BOB, "balance": 400, "held": -1, "floor": 0, "holds": 0}],
    ),
    "a balance below the floor": (
        f"UPDATE users SET floor = -1000 WHERE id = {CASH}",
        [
            {"check": "held", "user_id": CASH, "balance": -1500, "held": 0, "floor": -1000, "holds": 0},
            floor(CASH, -1000, BOOK_FLOOR_MINOR),
        ],
    ),
    "a running balance": (
        "UPDATE transaction_ledger SET balance_after = 801 WHERE id = 5",
        [block(2, EDITED), running(ALICE, 5, 801, 800, 1, 1)],
    ),
    "a link between entries": (
        "UPDATE transaction_ledger SET prev_id = 0 WHERE id = 9",
        [block(3, EDITED), running(ALICE, 9, 770, 770, 0, 5)],
    ),
    "an amount": (
        "UPDATE transaction_ledger SET amount = 1001 WHERE id = 1",
        [
            block(1, EDITED),
            running(ALICE, 1, 1000, 1001, 0, 0),
            legs(1, "DEPOSIT"),
            zero_sum(1, "EUR", 1),
            running(ALICE, 5, 800, 801, 1, 1),
            running(ALICE, 9, 770, 771, 5, 5),
            balance(ALICE, 770, 771),
        ],
    ),
    "a currency": (
        "UPDATE transaction_ledger SET currency = 'USD' WHERE id = 4",
        [block(1, EDITED), zero_sum(2, "EUR", 500), zero_sum(2, "USD", -500), legs(2, "DEPOSIT")],
    ),
    "the holder of an entry": (
        f"UPDATE transaction_ledger SET user_id = {BOB} WHERE id = 9",
        [
            block(3, EDITED),
            running(BOB, 9, 770, 370, 5, 7),
            bet(5, NOT_ITS_DEBIT),
            balance(ALICE, 770, 800),
            {"check": "last_entry", "user_id": ALICE, "last_entry_id": 9, "ledger": 5},
            balance(BOB, 400, 370),
            {"check": "last_entry", "user_id": BOB, "last_entry_id": 7, "ledger": 9},
        ],
    ),
    "a transaction without a block": (
        "INSERT INTO transactions SELECT 6, kind, scope, 'k', fingerprint, answer, 4 FROM transactions "
        "WHERE id = 5",
        [{"check": "unsealed", "transaction": 6}],
    ),
    "an entry without a block": (
        "INSERT INTO transaction_ledger SELECT 11, user_id, currency, amount, balance_after, ref_type, "
        "ref_id, 6, 4, 9 FROM transaction_ledger WHERE id = 9",
        [{"check": "unsealed", "entry": 11}],
    ),
    "a block taken away": (
        "DELETE FROM blocks WHERE id = 2",
        [
            block(2, "it is missing"),
            block(3, NO_FOLLOWER),
            block(3, RANGE),
            running(ALICE, 9, 770, 970, 5, 1),
            running(HOUSE, 10, 330, 30, 8, 0),
            balance(HOUSE, 330, 30),
            balance(ALICE, 770, 970),
            balance(BOB, 400, 500),
            {"check": "last_entry", "user_id": BOB, "last_entry_id": 7, "ledger": 3},
        ],
    ),
    "the newest block taken away": (
        "DELETE FROM blocks WHERE id = 3",
        [
            {"check": "unsealed", "transaction": 5},
            {"check": "unsealed", "entry": 9},
            {"check": "unsealed", "entry": 10},
            {"check": "unsealed", "bet": 5},
            balance(HOUSE, 330, 300),
            {"check": "last_entry", "user_id": HOUSE, "last_entry_id": 10, "ledger": 8},
            balance(ALICE, 770, 800),
            {"check": "last_entry", "user_id": ALICE, "last_entry_id": 9, "ledger": 5},
        ],
    ),
    "a link between blocks": (
        "UPDATE blocks SET prev_hash = zeroblob(32) WHERE id = 3",
        [block(3, NO_FOLLOWER), block(3, HEADER)],
    ),
    "a hash": (
        "UPDATE blocks SET hash = zeroblob(32) WHERE id = 2",
        [block(2, HEADER), block(3, NO_FOLLOWER)],
    ),
    "a root": (
        "UPDATE blocks SET root = zeroblob(32) WHERE id = 2",
        [block(2, EDITED), block(2, HEADER)],
    ),
    "a time": ("UPDATE blocks SET at = at + 1 WHERE id = 3", [block(3, HEADER)]),
    "a time that runs back": (
        "UPDATE blocks SET at = 7 WHERE id = 3",
        [block(3, "its time is before that of the block before it"), block(3, HEADER)],
    ),
    "a format": ("UPDATE blocks SET format = 2 WHERE id = 3", [block(3, FOREIGN), block(3, HEADER)]),
    "an answer": ("UPDATE transactions SET answer = '{}' WHERE id = 1", [block(1, EDITED)]),
    "the block of a transaction": (
        "UPDATE transactions SET block_id = 1 WHERE id = 5",
        [block(3, OTHER_BLOCK), block(3, EDITED)],
    ),
    "the block of an entry": (
        "UPDATE transaction_ledger SET block_id = 1 WHERE id = 10",
        [block(3, OTHER_BLOCK), block(3, EDITED)],
    ),
    "the transaction of an entry": (
        "UPDATE transaction_ledger SET transaction_id = 4 WHERE id = 10",
        [
            block(3, OUTSIDE),
            block(3, EDITED),
            zero_sum(5, "EUR", -30),
            zero_sum(4, "EUR", 30),
            legs(5, "BET"),
        ],
    ),
    "a transaction taken away": (
        "DELETE FROM transactions WHERE id = 5",
        [
            block(3, OUTSIDE),
            block(3, EDITED),
            bet(5, "a bet without its transaction"),
        ],
    ),
    "the stake of a bet": (
        "UPDATE bets SET stake = 300 WHERE transaction_id = 3",
        [bet(3, NOT_ITS_DEBIT), bet(3, TERMS)],
    ),
    "the holder of a bet": (
        f"UPDATE bets SET user_id = {BOB} WHERE transaction_id = 3",
        [bet(3, NOT_ITS_DEBIT), bet(3, TERMS)],
    ),
    "the currency of a bet": (
        "UPDATE bets SET currency = 'USD' WHERE transaction_id = 3",
        [bet(3, NOT_ITS_DEBIT), bet(3, TERMS)],
    ),
    "the game of a bet": ("UPDATE bets SET game = NULL WHERE transaction_id = 3", [bet(3, TERMS)]),
    "the round of a bet": ("UPDATE bets SET round = '' WHERE transaction_id = 3", [bet(3, TERMS)]),
    "the selection of a bet": (
        "UPDATE bets SET selection = 'five' WHERE transaction_id = 5",
        [bet(5, TERMS)],
    ),
    "the odds of a bet": ("UPDATE bets SET odds_milli = 90000 WHERE transaction_id = 5", [bet(5, TERMS)]),
    "a bet taken away": (
        "DELETE FROM bets WHERE transaction_id = 5",
        [bet(5, "a bet without its transaction, or a transaction without its bet")],
    ),
    "a bet on a deposit": (
        f"INSERT INTO bets (transaction_id, user_id, currency, stake) VALUES (1, {ALICE}, 'EUR', 1000)",
        [bet(1, "a bet without its transaction, or a transaction without its bet")],
    ),
    "a bet beyond the newest block": (
        f"INSERT INTO bets (transaction_id, user_id, currency, stake) VALUES (6, {ALICE}, 'EUR', 1000)",
        [{"check": "unsealed", "bet": 6}],
    ),
    "a bet before the first block": (
        f"INSERT INTO bets (transaction_id, user_id, currency, stake) VALUES (0, {ALICE}, 'EUR', 1000)",
        [{"check": "unsealed", "bet": 0}],
    ),
    "the bet that an entry is for": (
        f"UPDATE transaction_ledger SET ref_id = '{bet_id(2)}' WHERE id = 9",
        [block(3, EDITED), bet(5, NOT_ITS_DEBIT), legs(5, "BET")],
    ),
}
