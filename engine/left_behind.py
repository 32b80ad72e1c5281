"""What is left in the file of what was archived: what its holders had, the keys, and the transactions that
stay; all of it held against what the CARRY transaction has sealed. Plain `sqlite3`; reads only.

Each query is a short snapshot, and what it finds holds while an archive is being moved out of the file. The
file itself is meant, `main`, whatever views there are over it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from engine.archive_checks import ArchiveRow, about, check_carried
from engine.archived_keys import hash_of_key
from engine.archives import writable
from engine.audit import ENTRY_SHAPE, TRANSACTION_SHAPE, Audit
from engine.blocks import Block
from engine.checks import Finding
from engine.lifecycle import ArchiveState
from engine.looks import snapshot
from engine.origin import Origin, decode, keys_digest, openings_digest, retained_digest
from engine.reader import Reader, Shape
from engine.records import Entry, Transaction
from engine.standing import Standing

CHUNK: Final = 20_000
"""Rows that one query reads: a snapshot of some 20 ms."""

NO_STATE: Final = "what is carried of it is not there, or nothing that this program knows"
OTHER_STATE: Final = "what is carried of it is not what was sealed"
OTHER_OPENINGS: Final = "what its holders had is not what was sealed"
OTHER_KEYS: Final = "the keys of what was archived are not those that were sealed"
OTHER_RETAINED: Final = "the transactions that stay are not those that were sealed"
NOT_DELETED: Final = "an entry is there that was archived and deleted"

_ENTRY = (
    "id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, block_id, prev_id "
    "FROM main.transaction_ledger"
)
_CARRIED = f"SELECT {_ENTRY} WHERE id < 0 ORDER BY id DESC"
_REST = f"SELECT {_ENTRY} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_MOVED = "SELECT coalesce(max(moved_entry_id), 0) FROM main.archives WHERE state = 'moving'"
_COUNT = "SELECT count(*) FROM main.archives WHERE state = 'moving'"
_DELETED = "SELECT id FROM main.transaction_ledger WHERE id > 0 AND id <= ? ORDER BY id LIMIT 1"
_STATE = "SELECT state FROM main.carried WHERE archive_id = ?"
_TRANSACTIONS = """
    SELECT id, kind, scope, key, fingerprint, answer, block_id
    FROM main.transactions WHERE id > ? AND id <= ? AND {stays} ORDER BY id
"""
_SO_MANY = """
    SELECT max(id) FROM (SELECT id FROM main.transactions WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)
"""
_IS_ARCHIVED = """
    EXISTS (SELECT 1 FROM main.archived_keys WHERE hash = hash_of_key({of}.scope, {of}.key))
"""
_STAYS: Final = f"NOT {_IS_ARCHIVED.format(of='transactions')}"

_IS_PLACING_ARCHIVED: Final = f"""
    EXISTS (SELECT 1 FROM main.transactions AS placing
            WHERE placing.id = bets.transaction_id AND {_IS_ARCHIVED.format(of="placing")})
"""  # noqa: S608  names of our own

_ONE_ID: Final = Shape("id:i")
_MAYBE_ID: Final = Shape("id:i?")
_ONE_STATE: Final = Shape("state:b", "carried")
_ONE_HASH: Final = Shape("hash:b", "archived_keys")


class LeftBehind(NamedTuple):
    """What is left of the newest archive out of which rows are deleted. `openings`: what each holder had, and
    his newest entry; `origin`: None where nothing can be begun with it."""

    archive: ArchiveRow
    openings: dict[int, tuple[int, int]]
    origin: Origin | None
    findings: list[Finding]


def left_behind(connection: sqlite3.Connection, reader: Reader, rows: Standing) -> LeftBehind | None:
    """What is left, and what is wrong with it; None where nothing was archived. `rows`: what stands there."""
    moving = [row for row in rows.archives if row.state == ArchiveState.MOVING]
    if not moving:
        return None
    archive = moving[-1]
    findings: list[Finding] = []
    openings = _openings(connection, reader, rows, archive, findings)
    if openings_digest(openings) != archive.openings:
        findings.append(about(archive.id, OTHER_OPENINGS))
    state = state_of(reader, archive)
    if sha256(state).digest() != archive.carried:
        findings.append(about(archive.id, OTHER_STATE))
    origin = decode(state)
    if origin is None or origin.carried.block_id != archive.block_id:
        findings.append(about(archive.id, NO_STATE))
        return LeftBehind(archive, openings, None, findings)
    count, digest = keys_digest(keys_of(reader))
    # While the next is being copied, its keys are added.
    is_growing = rows.archives[-1].state == ArchiveState.COPYING and count > origin.archived_keys
    if not is_growing and (count, digest) != (origin.archived_keys, origin.keys):
        findings.append(about(archive.id, OTHER_KEYS))
    if retained_digest(retained(connection, reader, archive)) != origin.retained:
        findings.append(about(archive.id, OTHER_RETAINED))
    return LeftBehind(archive, openings, origin, findings)


def state_of(reader: Reader, archive: ArchiveRow) -> bytes:
    """What is kept in `carried` of this archive; nothing if there is no such row."""
    row = reader.row(_STATE, (archive.id,), _ONE_STATE)
    return b"" if row is None else row[0]


def keys_of(reader: Reader, tables: Sequence[str] = ("main.archived_keys",)) -> Iterator[bytes]:
    """The hashes of keys in all of these tables, each once and in their order."""
    one = "SELECT hash FROM {table} AS hashes WHERE hash > ?"
    sql = " UNION ".join(one.format(table=table) for table in tables) + " ORDER BY hash LIMIT ?"
    after = b""
    while found := reader.rows(sql, (*[after] * len(tables), CHUNK), _ONE_HASH):
        yield from (hash_ for (hash_,) in found)
        if found[-1][0] <= after:  # it is no hash at all
            return
        after = found[-1][0]


def retained(connection: sqlite3.Connection, reader: Reader, archive: ArchiveRow) -> Iterator[Transaction]:
    """The transactions up to the end of an archive that stay in the file, by id: all, once the others are
    deleted."""
    know_hashes(connection)
    is_moved = archive.moved_transaction_id >= archive.upto_transaction_id
    sql = _TRANSACTIONS.format(stays="true" if is_moved else _STAYS)
    after = 0
    while True:
        ((upto,),) = reader.rows(_SO_MANY, (after, archive.upto_transaction_id, CHUNK), _MAYBE_ID)
        if upto is None:
            return
        yield from map(_TRANSACTION, reader.rows(sql, (after, upto), TRANSACTION_SHAPE))
        after = upto


def has_begun_to_move(reader: Reader, rows: Standing) -> bool:
    """Whether rows of one more archive may have been deleted since `rows` were read. Then whoever has read
    history meanwhile may have missed some of it, and must begin again."""
    moving = sum(row.state == ArchiveState.MOVING for row in rows.archives)
    return bool(reader.rows(_COUNT, (), _ONE_ID)[0][0] != moving)


def go_behind(
    connection: sqlite3.Connection, audit: Audit, left: LeftBehind
) -> Iterator[tuple[Block | None, list[Finding]]]:
    """As `Audit.behind`, of the file alone, whatever views there are over it."""
    assert left.origin is not None
    hide_what_moves(connection, left.archive)
    audit.origin = left.origin
    return audit.behind(left.openings)


def hide_what_moves(connection: sqlite3.Connection, archive: ArchiveRow) -> None:
    """Show the file alone, and while an archive is moved out of it, without the rows that are still to be
    deleted, whose keys are archived: as it will be then."""
    know_hashes(connection)
    with writable(connection):
        for table, still in _STILL_THERE.items():
            connection.execute(f"DROP VIEW IF EXISTS temp.{table}")
            upto = archive.upto_entry_id if table == "transaction_ledger" else archive.upto_transaction_id
            if not archive.is_moved:
                query = f"SELECT * FROM main.{table} WHERE {still} {upto}"  # noqa: S608  names and numbers of our own
                connection.execute(f"CREATE TEMP VIEW {table} AS {query}")


def _openings(
    connection: sqlite3.Connection,
    reader: Reader,
    rows: Standing,
    archive: ArchiveRow,
    findings: list[Finding],
) -> dict[int, tuple[int, int]]:
    """What is carried of each holder, and the entries up to the archive's end that are still here."""
    currencies = {row.id: row.currency for row in rows.users}
    openings: dict[int, tuple[int, int]] = {}
    upto = -1
    wrong: list[Finding] = []
    while True:
        with snapshot(connection):
            moved = reader.rows(_MOVED, (), _ONE_ID)[0][0]
            if moved > upto:  # at first, and where a step has deleted entries that were not read yet
                carried = [Entry(*row) for row in reader.rows(_CARRIED, (), ENTRY_SHAPE)]
                progress = [
                    row._replace(moved_entry_id=min(moved, row.upto_entry_id)) for row in rows.archives
                ]
                wrong = list(check_carried(carried, progress, currencies))
                openings = {row.user_id: (row.amount_minor, row.prev_id) for row in carried}
                upto = moved
                if reader.row(_DELETED, (moved,), _ONE_ID) is not None:
                    wrong.append(about(archive.id, NOT_DELETED))
            found = reader.rows(_REST, (upto, archive.upto_entry_id, CHUNK), ENTRY_SHAPE)
        if not found:
            findings += wrong
            return openings
        for row in found:
            entry = Entry(*row)
            before_minor, before = openings.get(entry.user_id, (0, 0))
            openings[entry.user_id] = (before_minor + entry.amount_minor, entry.id)
            if (entry.prev_id, entry.balance_after_minor) != (before, before_minor + entry.amount_minor):
                why = "it does not follow what is carried of its holder"
                wrong.append({"check": "archive", "entry": entry.id, "user_id": entry.user_id, "why": why})
        upto = found[-1][0]


def know_hashes(connection: sqlite3.Connection) -> None:
    """Let queries ask for `hash_of_key`."""

    def hash_of(scope: object, key: object) -> bytes:
        # Somebody may have written past SQLite what is no text.
        return hash_of_key(scope, key) if isinstance(scope, str) and isinstance(key, str) else b""

    connection.create_function("hash_of_key", 2, hash_of, deterministic=True)


_TRANSACTION = Transaction._make
_STILL_THERE: Final = {
    "transactions": f"{_STAYS} OR id >",
    "bets": f"NOT {_IS_PLACING_ARCHIVED} OR transaction_id >",
    "transaction_ledger": "id >",
}
