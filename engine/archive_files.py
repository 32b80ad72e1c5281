"""What stands in the files of archives that are attached (engine/archives.py), beside what an audit of all of
history finds: each holds what was moved into it, and nothing else. Plain `sqlite3`; reads only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from engine.archive_checks import ArchiveRow, about
from engine.archives import file_of, schema_of
from engine.audit import TRANSACTION_SHAPE, Audit
from engine.blocks import Block
from engine.checks import Finding
from engine.file_checks import complaints_of, is_small
from engine.left_behind import CHUNK, OTHER_OPENINGS, keys_of, know_hashes, state_of
from engine.life_checks import BET_KINDS
from engine.origin import Origin, decode, keys_digest, openings_digest, origin_of, retained_digest
from engine.reader import Reader, Shape
from engine.records import Transaction

OTHER_ENTRIES: Final = "its file does not hold all entries from the archive before it on, and no others"
OTHER_PLACE: Final = "its file says that it follows another archive"
OTHER_RANGE: Final = "its file holds what does not belong there"
OTHER_KEYS: Final = "the keys in its file are not those of its transactions"
OTHER_ORIGIN: Final = "what is carried of it is not what its history comes to"
STILL_THERE: Final = "a row of its file is there once more, or is not the same there"

_BET_KINDS: Final = ", ".join(f"'{kind}'" for kind in sorted(BET_KINDS))
_ENTRIES = "SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0) FROM {schema}.transaction_ledger"
_OUTSIDE = """
    SELECT EXISTS (SELECT 1 FROM {schema}.transactions WHERE id < 1 OR id > ?)
        OR EXISTS (SELECT 1 FROM {schema}.bets WHERE transaction_id < 1 OR transaction_id > ?)
"""
_BEFORE = "SELECT previous_block_id FROM {schema}.archive"
_KEYS = """
    SELECT (SELECT count(*) FROM {schema}.keys) = (SELECT count(*) FROM {schema}.transactions)
       AND NOT EXISTS (
           SELECT 1 FROM {schema}.transactions AS moved
           WHERE NOT EXISTS (SELECT 1 FROM {schema}.keys WHERE hash = hash_of_key(moved.scope, moved.key)))
"""
_CHANGES = f"SELECT count(*) FROM {{schema}}.transactions WHERE kind IN ({_BET_KINDS})"  # noqa: S608  names of our own
_SO_MANY = """
    SELECT max(id) FROM
    (SELECT {key} AS id FROM {table} WHERE {key} > ? AND {key} <= ? ORDER BY {key} LIMIT ?)
"""
_STAY = """
    SELECT id, kind, scope, key, fingerprint, answer, block_id FROM transactions
    WHERE id > ? AND id <= ?{but} ORDER BY id
"""
_BUT = " AND NOT EXISTS (SELECT 1 FROM {schema}.transactions AS moved WHERE moved.id = transactions.id)"
_TWICE = """
    SELECT min(still.{key})
    FROM main.{table} AS still CROSS JOIN {schema}.{table} AS moved ON moved.{key} = still.{key}
    WHERE still.{key} > ? AND still.{key} <= ?
      AND (still.{key} <= ? OR ({still}) IS NOT ({moved}))
"""
_COLUMNS: Final = {
    "transactions": ("id", "kind", "scope", "key", "fingerprint", "answer", "block_id"),
    "bets": (
        *("transaction_id", "user_id", "currency", "stake", "game", "round", "selection", "odds_milli"),
        *("state", "payout", "settled", "cashed_stake", "last_transaction_id"),
    ),
    "transaction_ledger": (
        *("id", "user_id", "currency", "amount", "balance_after", "ref_type", "ref_id"),
        *("transaction_id", "block_id", "prev_id"),
    ),
}
_ONE: Final = Shape("found:i")
_MAYBE: Final = Shape("id:i?")
_ENDS: Final = Shape("count:i first:i last:i")


def check_files(
    connection: sqlite3.Connection, reader: Reader, archives: Sequence[ArchiveRow], db: Path
) -> Iterator[Finding]:
    """All of them; `archives`, oldest first, are those that are attached to the books in `db`."""
    know_hashes(connection)
    before = before_block = 0
    for archive in archives:
        schema = schema_of(archive)
        if is_small(file_of(db, archive.block_id)):
            for complaint in complaints_of(connection, schema):
                yield {"check": "integrity", "archive": archive.id, "why": complaint}
        count = archive.upto_entry_id - before
        expected = (count, before + 1, archive.upto_entry_id) if count else (0, 0, 0)
        if reader.row(_ENTRIES.format(schema=schema), (), _ENDS) != expected:
            yield about(archive.id, OTHER_ENTRIES)
        outside = _OUTSIDE.format(schema=schema)
        if reader.rows(outside, (archive.upto_transaction_id,) * 2, _ONE) != [(0,)]:
            yield about(archive.id, OTHER_RANGE)
        if reader.rows(_KEYS.format(schema=schema), (), _ONE) != [(1,)]:
            yield about(archive.id, OTHER_KEYS)
        for table, columns in _COLUMNS.items():
            yield from _twice(reader, archive, table, columns)
        if reader.rows(_BEFORE.format(schema=schema), (), _ONE) != [(before_block,)]:
            yield about(archive.id, OTHER_PLACE)
        before, before_block = archive.upto_entry_id, archive.block_id


def check_sealed(
    reader: Reader, audit: Audit, block: Block, archives: Sequence[ArchiveRow]
) -> Iterator[Finding]:
    """Whether what the CARRY of an archive that ends with this block has sealed is what history, up to there,
    has led the audit to."""
    for number, archive in enumerate(archives, 1):
        if archive.block_id == block.id:
            carried, upto_here = audit.carried(), archives[:number]
            if openings_digest(carried.holders) != archive.openings:
                yield about(archive.id, OTHER_OPENINGS)
            schemas = [schema_of(each) for each in upto_here]
            keys = keys_digest(keys_of(reader, [f"{schema}.keys" for schema in schemas]))
            stays = staying(reader, archive.upto_transaction_id, schemas)
            if decode(state_of(reader, archive)) != origin_at(reader, audit, keys, stays, schemas):
                yield about(archive.id, OTHER_ORIGIN)


def origin_at(
    reader: Reader,
    audit: Audit,
    keys: tuple[int, bytes],
    stays: bytes,
    schemas: Sequence[str],
    before: int = 0,
) -> Origin:
    """What is carried of what the audit has gone over. `schemas`: where the transactions are that go;
    `before`: how many of those that changed a bet are in archives before these."""
    changes = sum(reader.rows(_CHANGES.format(schema=schema), (), _ONE)[0][0] for schema in schemas)
    beside = {row.user_id: row.wallet_id for row in audit.rows.bonuses}
    return origin_of(audit.carried(), beside, keys, stays, before + changes)


def staying(reader: Reader, upto_transaction_id: int, schemas: Sequence[str]) -> bytes:
    """The digest of the transactions up to this one, of all of history, that are in none of these schemas."""
    sql = _STAY.format(but="".join(_BUT.format(schema=schema) for schema in schemas))
    return retained_digest(
        Transaction(*row)
        for values in _chunks(reader, "transactions", "id", upto_transaction_id)
        for row in reader.rows(sql, values, TRANSACTION_SHAPE)
    )


def _twice(reader: Reader, archive: ArchiveRow, table: str, columns: Sequence[str]) -> Iterator[Finding]:
    """The first row that was deleted from the books, and is there; or that is still there, and is not what is
    in the archive."""
    rows = {name: ", ".join(f"{name}.{column}" for column in columns) for name in ("still", "moved")}
    sql = _TWICE.format(table=table, key=columns[0], schema=schema_of(archive), **rows)
    upto, deleted = archive.upto_transaction_id, archive.moved_transaction_id
    if table == "transaction_ledger":
        upto, deleted = archive.upto_entry_id, archive.moved_entry_id
    for values in _chunks(reader, f"main.{table}", columns[0], upto):
        ((found,),) = reader.rows(sql, (*values, deleted), _MAYBE)
        if found is not None:
            yield about(archive.id, STILL_THERE) | {"table": table, "row": found}
            return


def _chunks(reader: Reader, table: str, key: str, upto: int) -> Iterator[tuple[int, int]]:
    """From behind which id up to which one `CHUNK` rows are, and so on up to `upto`."""
    sql = _SO_MANY.format(table=table, key=key)
    after = 0
    while True:
        ((last,),) = reader.rows(sql, (after, upto, CHUNK), _MAYBE)
        if last is None:
            return
        yield after, last
        after = last
