"""The books with an archive: behind the five blocks of `books_bonus` one begins it, and one carries."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from functools import cache

from tests.book_rows import Row, Value, becomes, block, entry, event, insert, of_bet, opening, update
from tests.books import ALICE, CASH, HASH_2, HASH_3, HASH_5, SCHEMA, Template, batch, connect
from tests.books_bonus import write_history

ARCHIVE, CARRY = 38, 41
"""The transactions that begin it and that carry what is left behind."""

UPTO_BLOCK, UPTO_TRANSACTION, UPTO_ENTRY = 5, 37, 45
HASH_6, HASH_7, HASH_8 = (bytes([byte]) * 32 for byte in (6, 7, 8))
OPENINGS, CARRIED = b"\x0a" * 32, b"\x0b" * 32
KEY_HASH, OTHER_HASH = b"\x0c" * 16, b"\x0d" * 16
FIRST_STEP = 20
"""The entry up to which some are carried already."""


def archive(number: int = ARCHIVE, upto: tuple[int, int, int] = (5, 37, 45), moved: int = 0) -> Row:
    """A row of `archives`, as it begins."""
    return {
        "id": number,
        "block_id": upto[0],
        "upto_transaction_id": upto[1],
        "upto_entry_id": upto[2],
        "state": "copying",
        "openings": bytes(32),
        "carried": bytes(32),
        "last_transaction_id": 0,
        "moved_transaction_id": 0,
        "moved_entry_id": moved,
    }


def of_archive(number: int, state: str, block_id: int, **after: Value) -> str:
    """The answer of a transaction that begins or carries an archive, as far as the schema looks at it."""
    return json.dumps({"archive": {"id": number, "state": state, "block_id": block_id, **after}})


def of_carry(number: int = ARCHIVE, state: str = "moving", **changes: Value) -> str:
    """The answer of a transaction that carries, but for these changes."""
    digests: Row = {"openings": OPENINGS.hex(), "carried": CARRIED.hex(), **changes}
    return of_archive(number, state, UPTO_BLOCK, **digests)


def archive_becomes(number: int = ARCHIVE, verb: str = "UPDATE", /, **row: Value) -> str:
    """What is written of an archive that a transaction or a step has changed."""
    return update("archives", f"id = {number}", row, verb)


MOVING: Row = {
    "state": "moving",
    "openings": OPENINGS,
    "carried": CARRIED,
    "last_transaction_id": CARRY,
}
STATE: Row = {"archive_id": ARCHIVE, "state": b"{}"}

# Instead of the next bet of `books`: an archive of the two blocks is begun, a key noted, a state kept.
ARCHIVING: Template = {
    "batch": ("open_batch", opening(3, 5, 9)),
    "event": ("transactions", event(5, 3, "ARCHIVE", "op:ARCHIVE", "a", of_archive(5, "copying", 2))),
    "archive": ("archives", archive(5, (2, 4, 8))),
    "key": ("archived_keys", {"hash": KEY_HASH}),
    "carried": ("carried", {"archive_id": 5, "state": b"{}"}),
    "block": ("blocks", block(3, (5, 5), (9, 8), HASH_2, HASH_3)),
}

# The sixth batch: an archive of all that, a deposit, and a bet of the second block that is lost after it.
BEGUN: Template = {
    "batch": ("open_batch", opening(6, 38, 46)),
    "event": ("transactions", event(38, 6, "ARCHIVE", "op:ARCHIVE", "a", of_archive(38, "copying", 5))),
    "event2": ("transactions", event(39, 6, "DEPOSIT", "seed:DEPOSIT", "alice again")),
    "event3": (
        "transactions",
        event(40, 6, "LOSS", "op:LOSS", "a", of_bet("bet-3", "lost", total_minor=60, cashed_stake_minor=50)),
    ),
    "debit": ("transaction_ledger", entry(46, CASH, -5, -1505, ("DEPOSIT", "39", 39, 6), 3)),
    "credit": ("transaction_ledger", entry(47, ALICE, 5, 755, ("DEPOSIT", "39", 39, 6), 34)),
    "archive": ("archives", archive()),
    "block": ("blocks", block(6, (38, 40), (46, 47), HASH_5, HASH_6)),
}
LOST = becomes(3, state="lost", last_transaction_id=40)

# The seventh: it is carried.
CARRYING: Template = {
    "batch": ("open_batch", opening(7, 41, 48)),
    "event": ("transactions", event(41, 7, "CARRY", "op:CARRY", "a", of_carry())),
    "block": ("blocks", block(7, (41, 41), (48, 47), HASH_6, HASH_7)),
}
KEPT = insert("archived_keys", {"hash": KEY_HASH}) + insert("carried", STATE)

# The eighth: one transaction that may change something.
EIGHTH: Template = {
    "batch": ("open_batch", opening(8, 42, 48)),
    "event": ("transactions", event(42, 8, "DEPOSIT", "op:DEPOSIT", "z")),
    "block": ("blocks", block(8, (42, 42), (48, 47), HASH_7, HASH_8)),
}

MOVED = [4, 9]
"""The bets that move: rolled back, and cashed out."""

FIRST_MOVES = (
    "DELETE FROM bets WHERE transaction_id = 4;\n"
    "DELETE FROM transactions WHERE id IN (1, 4, 8);\n"
    + archive_becomes(moved_transaction_id=8)
    + archive_becomes(moved_entry_id=FIRST_STEP)
)
LAST_MOVES = (
    "DELETE FROM bets WHERE transaction_id = 9;\n"
    "DELETE FROM transactions WHERE id IN (2, 9, 10);\n"
    + archive_becomes(moved_transaction_id=UPTO_TRANSACTION)
    + archive_becomes(moved_entry_id=UPTO_ENTRY)
)


def open_history(pragmas: Mapping[str, str], *, schema: str = SCHEMA, blocks: int = 2) -> sqlite3.Connection:
    """A new file in memory as `books_bonus.write_history` makes it; or one of six blocks, in which an
    archive is being copied, or of seven, out of which a part of it has been moved."""
    if schema is SCHEMA:  # for the thousands of attacks on it: written once, then copied
        copy = connect(pragmas)
        copy.deserialize(_image(tuple(pragmas.items()), blocks))
        copy.execute("SELECT 1 FROM users").fetchone()  # parses the schema now: some tests count steps
        return copy
    return _write_history(pragmas, schema, blocks)


@cache
def _image(pragmas: tuple[tuple[str, str], ...], blocks: int) -> bytes:
    return _write_history(dict(pragmas), SCHEMA, blocks).serialize()


def _write_history(pragmas: Mapping[str, str], schema: str, blocks: int) -> sqlite3.Connection:
    db = write_history(pragmas, schema, min(blocks, 5))
    if blocks >= 6:
        db.executescript(batch(BEGUN, late=LOST))
        db.executescript(f"UPDATE users SET balance = balance - 5, last_entry_id = 46 WHERE id = {CASH};")
        db.executescript(f"UPDATE users SET balance = balance + 5, last_entry_id = 47 WHERE id = {ALICE};")
    if blocks >= 7:
        db.executescript(KEPT + batch(CARRYING, late=archive_becomes(**MOVING)) + FIRST_MOVES)
    return db
