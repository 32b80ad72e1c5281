"""Moves what was copied into an archive out of the file, in short steps on the writer's thread. Plain
`sqlite3`; called through `Store.tidy`.

Each step is a transaction of its own that leaves the books true: what it takes away is in the archive, which
is on disk and checked, and the sum of what is left is every holder's balance still. So it can end after any
of them, and the next process goes on. The triggers of schema.sql check each step again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from engine.archive_checks import ArchiveRow
from engine.bulk import found_in_bulk, in_bulk
from engine.errors import ArchiveUnusable

KEYS_AT_ONCE: Final = 2_000
"""In their own order, so that they fill one page of the file after another."""

TRANSACTIONS_AT_ONCE: Final = 100
"""With their bets. Their keys are anywhere in the index over keys: each is a page to be written."""

ENTRIES_AT_ONCE: Final = 500
LEGS_MAX: Final = 1_000
"""More than any one transaction has: a chunk of a payout has some 200."""

PAGES_AT_ONCE: Final = 100

_WHOSE = "SELECT archive_id, block_id, upto_transaction_id, upto_entry_id FROM archive"
_NEXT_KEYS = "SELECT hash FROM keys WHERE hash > ? ORDER BY hash LIMIT ?"
_UNKNOWN_KEYS = """
    SELECT column1 FROM ({rows}) WHERE NOT EXISTS (SELECT 1 FROM archived_keys WHERE hash = column1)
"""
_ADD_KEYS = "INSERT INTO archived_keys (hash) {rows}"
_KEEP_STATE = """
    INSERT INTO carried (archive_id, state)
    SELECT :id, :state WHERE NOT EXISTS (SELECT 1 FROM carried WHERE archive_id = :id)
"""
_NEXT_TRANSACTIONS = "SELECT id FROM transactions WHERE id > ? ORDER BY id LIMIT ?"
_DELETE_BETS = "DELETE FROM bets WHERE transaction_id IN (SELECT value FROM json_each(?))"
_DELETE_TRANSACTIONS = "DELETE FROM transactions WHERE id IN (SELECT value FROM json_each(?))"
_TRANSACTIONS_MOVED = "UPDATE archives SET moved_transaction_id = ? WHERE id = ?"
_NEXT_ENTRIES = """
    SELECT count(*), max(id) FROM (SELECT id FROM transaction_ledger WHERE id > ? ORDER BY id LIMIT ?)
"""
_END_OF_TRANSACTION = """
    SELECT count(*), max(id) FROM transaction_ledger
    WHERE id > :id AND id < :id + :most
      AND transaction_id = (SELECT transaction_id FROM transaction_ledger WHERE id = :id)
"""
# The schema does the rest, in the same statement: archives_carry_what_they_move.
_ENTRIES_MOVED = "UPDATE archives SET moved_entry_id = ? WHERE id = ?"


def is_archive(archive: sqlite3.Connection, row: ArchiveRow) -> bool:
    """Whether this file says that it is the archive which the row speaks of."""
    return archive.execute(_WHOSE).fetchall() == [row[:4]]


def next_keys(archive: sqlite3.Connection, after: bytes) -> list[bytes]:
    """The next hashes of the keys in an archive, in their order; none behind the last."""
    return [hash_ for (hash_,) in archive.execute(_NEXT_KEYS, (after, KEYS_AT_ONCE))]


def unknown_keys(connection: sqlite3.Connection, hashes: Sequence[bytes]) -> list[bytes]:
    """Those of these hashes that are not noted yet. Reads only."""
    return [hash_ for (hash_,) in found_in_bulk(connection, _UNKNOWN_KEYS, [(hash_,) for hash_ in hashes])]


def add_keys(connection: sqlite3.Connection, hashes: Sequence[bytes]) -> None:
    """Note that the commands with these keys, none of which is noted yet, are archived."""
    in_bulk(connection, _ADD_KEYS, [(hash_,) for hash_ in hashes])


def keep_state(connection: sqlite3.Connection, archive_id: int, state: bytes) -> None:
    """Keep what an audit has to know of what is archived, unless it is kept already. Raises `ArchiveUnusable`
    where that is something else.
    """
    connection.execute(_KEEP_STATE, {"id": archive_id, "state": state})
    (kept,) = connection.execute("SELECT state FROM carried WHERE archive_id = ?", (archive_id,)).fetchone()
    if kept != state:
        raise ArchiveUnusable(f"archive {archive_id}: what was carried of it before is something else now")


def next_transactions(archive: sqlite3.Connection, after: int) -> list[int]:
    """The ids of the next transactions in an archive; none behind the last."""
    return [id_ for (id_,) in archive.execute(_NEXT_TRANSACTIONS, (after, TRANSACTIONS_AT_ONCE))]


def delete_transactions(
    connection: sqlite3.Connection, archive_id: int, ids: Sequence[int], upto: int
) -> None:
    """Delete these transactions and the bets that they placed; with them, all up to `upto` are moved."""
    wanted = msgspec.json.encode(ids).decode()
    connection.execute(_DELETE_BETS, (wanted,))
    connection.execute(_DELETE_TRANSACTIONS, (wanted,))
    connection.execute(_TRANSACTIONS_MOVED, (upto, archive_id))


def next_entries(archive: sqlite3.Connection, after: int) -> int:
    """The last of the next entries in an archive, which holds all of them. Raises `ArchiveUnusable` where it
    does not."""
    count, upto = archive.execute(_NEXT_ENTRIES, (after, ENTRIES_AT_ONCE)).fetchone()
    if count:
        # Not in the midst of a transaction: what is left of it sums to zero then.
        more, last = archive.execute(_END_OF_TRANSACTION, {"id": upto, "most": LEGS_MAX}).fetchone()
        count, upto = count + more, last or upto
    if not count or upto - after != count:
        raise ArchiveUnusable(f"the archive does not hold all entries behind {after}")
    return int(upto)


def move_entries(connection: sqlite3.Connection, archive_id: int, upto: int) -> None:
    """Delete the entries up to this one, and carry what they come to."""
    connection.execute(_ENTRIES_MOVED, (upto, archive_id))


def has_room_to_give_back(connection: sqlite3.Connection) -> bool:
    """Whether there are pages that nothing is in."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return bool(free)


def give_back(connection: sqlite3.Connection) -> None:
    """Give some of the pages that nothing is in back to the file system, at its next checkpoint."""
    for _ in range(PAGES_AT_ONCE):  # Python's sqlite3 ends a statement that has no columns at its first step
        connection.execute("PRAGMA incremental_vacuum(1)")
