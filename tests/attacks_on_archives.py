"""Attacks on the row of an archive: begun or carried otherwise than its transaction says, or moved back."""

from __future__ import annotations

import sqlite3

from tests.attacks_on_life import FREEZE, NOT_NULL
from tests.book_rows import Row, Value, block, event, insert, opening
from tests.books import Attack, Template, attacks, batch
from tests.books_archive import (
    ARCHIVE,
    BEGUN,
    CARRIED,
    CARRYING,
    EIGHTH,
    FIRST_STEP,
    HASH_8,
    KEPT,
    LAST_MOVES,
    LOST,
    MOVING,
    OPENINGS,
    UPTO_ENTRY,
    UPTO_TRANSACTION,
    archive,
    archive_becomes,
    of_archive,
    of_carry,
)

GROW = "archives: one after another, as a new transaction of the open batch says"
TERMS = "archives: only what became of it changes"
AS_SAID = "archives: it changes as a new transaction of the open batch says"
MOVE_ON = "archives: what is carried moves on, and never back"
REPLACE, UPDATE_OR_REPLACE = "INSERT OR REPLACE", "UPDATE OR REPLACE"


def begun(answer: str = "", *, kind: str = "ARCHIVE", early: str = "", late: str = "", **row: Value) -> str:
    """The sixth batch, in which an archive is begun, but for these changes."""
    said: Row = {"kind": kind, "scope": f"op:{kind}", **({"answer": answer} if answer else {})}
    return batch(BEGUN, event=said, archive=row, early=early, late=late)


def later(answer: str, *, late: str = "", kind: str = "ARCHIVE", **row: Value) -> str:
    """The eighth batch, in which a second archive is begun: of the sixth block."""
    made = insert("archives", {**archive(42, (6, 40, 47), UPTO_ENTRY), **row})
    said = {"kind": kind, "scope": f"op:{kind}", "answer": answer}
    return batch(EIGHTH, event=said, late=late + made)


SECOND_ONE = of_archive(42, "copying", 6)


def in_one(*scripts: str) -> str:
    """Several batches in one transaction."""
    return "BEGIN;\n" + "".join(scripts).replace("BEGIN;\n", "").replace("COMMIT;\n", "") + "COMMIT;\n"


_BEGINNINGS = [
    *attacks(
        GROW,
        {
            "an archive without a batch": insert("archives", archive()),
            "an archive in a frozen batch": batch(
                BEGUN, archive=None, late=FREEZE + insert("archives", archive())
            ),
            "an archive by a transaction of another kind": begun(kind="STATUS"),
            "an archive of a transaction to come": begun(of_archive(41, "copying", 5), id=41),
            "an archive of which nothing is said": begun("{}"),
            "an archive of another block than is said": begun(of_archive(ARCHIVE, "copying", 4)),
            "an archive of which another is said": begun(of_archive(39, "copying", 5)),
            "an archive of a block to come": begun(
                of_archive(ARCHIVE, "copying", 6), block_id=6, upto_transaction_id=40, upto_entry_id=47
            ),
            "an archive of less than is said": begun(of_archive(ARCHIVE, "copying", 4), block_id=4),
            "an archive that reaches beyond its block": begun(upto_transaction_id=38),
            "an archive of more entries than its block": begun(upto_entry_id=46),
            "an archive that begins as moving": begun(of_archive(ARCHIVE, "moving", 5), state="moving"),
            "an archive that begins with a digest": begun(openings=OPENINGS),
            "an archive that begins as carried": begun(carried=CARRIED),
            "an archive that begins as changed": begun(last_transaction_id=ARCHIVE),
            "an archive that begins with transactions moved": begun(moved_transaction_id=1),
            "an archive that begins with entries moved": begun(moved_entry_id=UPTO_ENTRY),
            "an archive replaced in its own batch": batch(
                BEGUN, late=insert("archives", {**archive(), "block_id": 5}, REPLACE)
            ),
        },
        blocks=5,
    ),
    *attacks(
        GROW,
        {
            "an archive of a transaction sealed before": batch(
                EIGHTH, late=insert("archives", archive(ARCHIVE, (6, 40, 47), UPTO_ENTRY))
            ),
            "an archive while one is being moved": later(SECOND_ONE),
            "an archive while entries are to be moved": later(
                SECOND_ONE, late=archive_becomes(moved_transaction_id=UPTO_TRANSACTION)
            ),
            "an archive while transactions are to be moved": later(
                SECOND_ONE, late=archive_becomes(moved_entry_id=UPTO_ENTRY)
            ),
            "an archive replaced by the next": later(SECOND_ONE).replace(
                "INSERT INTO archives", REPLACE + " INTO archives"
            ),
            "an archive of a block that is archived": later(
                of_archive(42, "copying", 5),
                late=LAST_MOVES,
                block_id=5,
                upto_transaction_id=UPTO_TRANSACTION,
                upto_entry_id=UPTO_ENTRY,
            ),
            "an archive that begins before the one before ends": later(
                SECOND_ONE, late=LAST_MOVES, moved_entry_id=0
            ),
        },
        blocks=7,
    ),
    Attack(
        "an archive of a transaction of the block before",
        in_one(
            batch(BEGUN, archive=None, late=LOST),
            batch({**CARRYING, "archive": ("archives", archive())}, event={"kind": "STATUS"}),
        ),
        GROW,
        5,
    ),
    Attack(
        "an archive while one is being copied",
        batch(
            {**CARRYING, "archive": ("archives", archive(41, (6, 40, 47), UPTO_ENTRY))},
            event={"kind": "ARCHIVE", "answer": of_archive(41, "copying", 6)},
        ),
        GROW,
        6,
    ),
    Attack("an archive answered with no JSON", begun("begun"), "malformed JSON", 5, sqlite3.OperationalError),
]


def carries(
    row: Row | None = None, *, answer: str = "", kind: str = "CARRY", kept: str = KEPT, after: str = ""
) -> str:
    """The seventh batch, in which what is left behind is carried, but for these changes."""
    said = {"kind": kind, "scope": f"op:{kind}", "answer": answer or of_carry()}
    late = kept + archive_becomes(**{**MOVING, **(row or {})})
    return batch(CARRYING, event=said, late=late, after=after)


# The ninth batch: the second archive is carried.
_NINTH: Template = {
    "batch": ("open_batch", opening(9, 43, 48)),
    "event": (
        "transactions",
        event(43, 9, "CARRY", "op:CARRY", "b", of_carry(42)),
    ),
    "block": ("blocks", block(9, (43, 43), (48, 47), HASH_8, b"\x09" * 32)),
}

_OTHER_TERMS: list[tuple[str, Value]] = [
    ("id", 39),
    ("rowid", 39),
    ("_rowid_", 39),
    ("oid", 39),
    ("block_id", 6),
    ("upto_transaction_id", 40),
    ("upto_entry_id", 47),
]

_CARRIES = [
    *attacks(
        AS_SAID,
        {
            "an archive carried by a word": archive_becomes(**MOVING),
            "an archive carried of which nothing is kept": carries(kept=""),
            "an archive carried by a transaction of another kind": carries(kind="STATUS"),
            "an archive carried of which nothing is said": carries(answer="{}"),
            "an archive carried by the transaction of another": carries(answer=of_carry(39)),
            "an archive carried of which is said that it is copied": carries(
                answer=of_carry(state="copying")
            ),
            "an archive carried with other balances than is said": carries({"openings": CARRIED}),
            "an archive carried with another state than is said": carries({"carried": OPENINGS}),
            "an archive carried by a transaction to come": carries({"last_transaction_id": 42}),
            "an archive carried by no transaction": carries({"last_transaction_id": None}),
            "an archive carried in a frozen batch": carries(kept=KEPT + FREEZE),
            "an archive carried behind the seal": batch(CARRYING, late=KEPT, after=archive_becomes(**MOVING)),
            "an archive carried by a transaction sealed before": in_one(
                batch(CARRYING, early=KEPT), batch(EIGHTH, late=archive_becomes(**MOVING))
            ),
            "an archive that has digests while it is copied": carries(
                {"state": "copying"}, answer=of_carry(state="copying")
            ),
            "an archive of no state": carries({"state": None}),
            "an archive of an unknown state": carries({"state": "gone"}, answer=of_carry(state="gone")),
        },
        blocks=6,
    ),
    *attacks(
        AS_SAID,
        {
            "an archive that is copied again": archive_becomes(state="copying"),
            "an archive that is copied again, by the default of a NULL": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, state=None
            ),
            "an archive carried of which nothing is kept, but of another": in_one(
                later(SECOND_ONE, late=LAST_MOVES),
                batch(_NINTH, late=archive_becomes(42, **{**MOVING, "last_transaction_id": 43})),
            ),
            "other balances carried": archive_becomes(openings=CARRIED),
            "another state carried": archive_becomes(carried=OPENINGS),
            "an archive carried twice": batch(
                EIGHTH,
                event={"kind": "CARRY", "answer": of_carry(openings=CARRIED.hex())},
                late=archive_becomes(openings=CARRIED, last_transaction_id=42),
            ),
        },
        blocks=7,
    ),
    Attack(
        "an archive carried with a short digest of balances",
        carries({"openings": b"x"}, answer=of_carry(openings="78")),
        r"length\(openings\) = 32",
        6,
    ),
    Attack(
        "an archive carried with a short digest of the state",
        carries({"carried": b"x"}, answer=of_carry(carried="78")),
        r"length\(carried\) = 32",
        6,
    ),
    *attacks(
        TERMS,
        {
            f"other terms of an archive: {column}": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, **{column: value}
            )
            for column, value in _OTHER_TERMS
        },
        blocks=7,
    ),
    *attacks(
        "archives is append-only",
        {
            "an archive deleted": "DELETE FROM archives WHERE id = 38",
            "all archives deleted": "DELETE FROM archives",
        },
        blocks=7,
    ),
]

_MOVES = [
    *attacks(
        MOVE_ON,
        {
            "entries moved before they are carried": archive_becomes(moved_entry_id=UPTO_ENTRY),
            "transactions moved before they are carried": archive_becomes(
                moved_transaction_id=UPTO_TRANSACTION
            ),
            "entries moved in the statement that carries": carries({"moved_entry_id": UPTO_ENTRY}),
        },
        blocks=6,
    ),
    *attacks(
        MOVE_ON,
        {
            "entries moved back": archive_becomes(moved_entry_id=FIRST_STEP - 1),
            "transactions moved back": archive_becomes(moved_transaction_id=7),
        },
        blocks=7,
    ),
    *attacks(
        "CHECK constraint failed: moved",
        {
            "entries moved beyond the block": archive_becomes(moved_entry_id=UPTO_ENTRY + 1),
            "transactions moved beyond the block": archive_becomes(moved_transaction_id=UPTO_TRANSACTION + 1),
        },
        blocks=7,
    ),
    Attack("half an entry moved", archive_becomes(moved_entry_id=20.5), "cannot store REAL", 7),
    *attacks(
        NOT_NULL,
        {
            "nobody knows how many entries are moved": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, moved_entry_id=None
            ),
            "nobody knows how many transactions are moved": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, moved_transaction_id=None
            ),
        },
        blocks=7,
    ),
]

ARCHIVES = [*_BEGINNINGS, *_CARRIES, *_MOVES]
