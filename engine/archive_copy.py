"""Copies into an archive what is to be moved out of a file, also of one that is being served, and calls it an
archive only after checking it: an audit goes over history up to there, and reads from the copy whatever is to
be deleted from the file.

The file is opened read-only, and each chunk is a short snapshot: nothing that is to be moved can change any
more (`engine.decide.archive`). The copy is built out of sight (`engine.drafts`); what a killed run leaves is
removed by the next one.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Final

from engine.archive_checks import ArchiveRow, about
from engine.archive_files import origin_at, staying
from engine.archives import RULES, TABLES, archives, attach, file_of, schema_of, writable
from engine.audit import Audit
from engine.checks import Finding
from engine.drafts import Draft, sweep, sync
from engine.errors import ArchiveUnusable, FileUnusable
from engine.files import check_is_ours, open_read_only, read_only_uri, structural_findings
from engine.left_behind import CHUNK, OTHER_KEYS, go_behind, keys_of, know_hashes, left_behind
from engine.life_checks import BET_KINDS
from engine.lifecycle import ArchiveState
from engine.origin import Origin, encode, keys_digest, openings_digest
from engine.reader import Reader
from engine.standing import standing

NAMED_MAX: Final = 3
"""Findings that an error names."""

LEFT_FREE_BYTES: Final = 256 << 20
"""What stays free of the disk, which is that of the books: they are written meanwhile. A server takes its
copy up again each minute, and each time bets would be refused."""

NO_BLOCK: Final = "the block up to which it goes is not there"

Tell = Callable[[int, int], object]
"""Hears how many transactions and entries are copied, and of how many; equal once the check begins."""

_CASH: Final = "('DEPOSIT', 'WITHDRAWAL', 'TRANSFER')"
_BET_KINDS: Final = ", ".join(f"'{kind}'" for kind in sorted(BET_KINDS))
# A bet that was over by then, and rests on no free bet.
_GOES: Final = """
    bets.state <> 'confirmed' AND bets.last_transaction_id <= :end AND placing.id <= :end
    AND json_extract(placing.answer, '$.free_bet') IS NULL
"""
_BETS = f"""
    INSERT INTO main.bets
    SELECT bets.* FROM hot.bets JOIN hot.transactions AS placing ON placing.id = bets.transaction_id
    WHERE transaction_id > :after AND transaction_id <= :upto AND {_GOES}
"""  # noqa: S608  names of our own
_TRANSACTIONS = f"""
    INSERT INTO main.transactions
    SELECT * FROM hot.transactions AS moved
    WHERE id > :after AND id <= :upto AND CASE
        WHEN kind IN {_CASH} THEN 1
        WHEN kind = 'BET' THEN EXISTS (SELECT 1 FROM main.bets WHERE transaction_id = moved.id)
        WHEN kind IN ({_BET_KINDS}) THEN EXISTS (
            SELECT 1 FROM hot.transactions AS placing JOIN main.bets ON transaction_id = placing.id
            WHERE placing.scope = 'bet' AND placing.key = json_extract(moved.answer, '$.bet.bet_id'))
        ELSE 0 END
"""  # noqa: S608  names of our own
_ENTRIES = """
    INSERT INTO main.transaction_ledger
    SELECT * FROM hot.transaction_ledger WHERE id > 0 AND id > :after AND id <= :upto
"""
_SO_MANY = """
    SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)
"""
_KEYS = """
    INSERT OR IGNORE INTO main.keys
    SELECT hash_of_key(scope, key) FROM main.transactions WHERE id > :after AND id <= :upto
"""
_ARCHIVE = """
    INSERT INTO main.archive
    SELECT id, block_id, (SELECT hash FROM hot.blocks WHERE id = archives.block_id),
           (SELECT hash FROM hot.blocks WHERE id = 1), upto_transaction_id, upto_entry_id, ?
    FROM hot.archives WHERE id = ?
"""
_COUNTS = """
    SELECT (SELECT count(*) FROM transactions), (SELECT count(*) FROM transaction_ledger),
           (SELECT count(*) FROM bets)
"""


@dataclass(slots=True)
class Copied:
    """An archive that was made and checked, and what CARRY is to seal: `openings` and `carried`, which is the
    SHA-256 of `state`, which belongs into the table `carried`.
    """

    path: Path
    transactions: int
    entries: int
    bets: int
    size_bytes: int
    openings: bytes
    state: bytes
    carried: bytes


def copy(db: Path, archive_id: int, tell: Tell = lambda done, total: None) -> Copied:
    """Make the file of an archive that was begun, beside the books in `db`; one that is there already is
    checked again. It appears once it is checked and synced, and is never changed again.

    Raises `ArchiveUnusable` where something is wrong with the books, or with the file that is there, and
    `FileUnusable` where nothing can be read or written; then nothing has changed.
    """
    check_is_ours(db, writing=False)
    try:
        with contextlib.closing(open_read_only(db)) as connection:
            rows = archives(connection)
        archive = next((row for row in rows if row.id == archive_id), None)
        if archive is None or archive.state != ArchiveState.COPYING:
            raise ArchiveUnusable(f"{db.name}: no archive {archive_id} is to be copied")
        before = rows[-2] if len(rows) > 1 else None
        target = file_of(db, archive.block_id)
        if target.exists():
            sweep(target.parent)
            return _checked(db, target, target, archive)
        with Draft(target) as draft:
            _build(db, draft.path, archive, before, tell)
            sync(draft.path)
            copied = _checked(db, target, draft.path, archive)
            draft.path.chmod(0o400)
            draft.publish()
            return copied
    except sqlite3.IntegrityError as error:  # two rows under one key, or of another type: past SQLite
        raise ArchiveUnusable(f"{db.name}: cannot be archived: {error}; see solidgreen verify") from error
    except sqlite3.Error as error:
        raise FileUnusable(f"{db}: cannot be archived: {error}") from error
    except OSError as error:
        raise FileUnusable(f"{db}: cannot be archived: {error.strerror}") from error


def _build(db: Path, draft: Path, archive: ArchiveRow, before: ArchiveRow | None, tell: Tell) -> None:
    """Fill the draft, and close it."""
    uri = f"{draft.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        # A crash leaves nothing of a draft worth rolling back.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -65536")
        know_hashes(connection)
        connection.executescript(TABLES)
        connection.execute("ATTACH ? AS hot", (read_only_uri(db),))
        end, end_entry = archive.upto_transaction_id, archive.upto_entry_id
        first_entry = 0 if before is None else before.upto_entry_id
        # Bets first: with them it is said which transactions go.
        steps = (
            (_BETS, "hot.transactions", 0, end),
            (_TRANSACTIONS, "hot.transactions", 0, end),
            (_ENTRIES, "hot.transaction_ledger", first_entry, end_entry),
            (_KEYS, "main.transactions", 0, end),
        )
        total = sum(upto - after for _, _, after, upto in steps)
        done = 0
        for sql, table, first, upto in steps:
            for after, last in _chunks(connection, table, first, upto):
                if shutil.disk_usage(draft.parent).free < LEFT_FREE_BYTES:
                    left = f"less than {LEFT_FREE_BYTES >> 20} MiB of its disk are free, and bets need them"
                    raise FileUnusable(f"{file_of(db, archive.block_id).name}: cannot be made: {left}")
                connection.execute(sql, {"after": after, "upto": last, "end": end})
                sync(draft)  # one sync of all of it at its end would hold up those of the server
                tell(done + last - first, total)
            done += upto - first
        connection.execute(_ARCHIVE, (0 if before is None else before.block_id, archive.id))
        connection.execute("DETACH hot")
        connection.executescript(RULES)
        tell(total, total)


def _chunks(connection: sqlite3.Connection, table: str, after: int, upto: int) -> Iterator[tuple[int, int]]:
    sql = _SO_MANY.format(table=table)
    while True:
        (last,) = connection.execute(sql, (after, upto, CHUNK)).fetchone()
        if last is None:
            return
        yield after, last
        after = last


def _checked(db: Path, target: Path, file: Path, archive: ArchiveRow) -> Copied:
    """Check what stands in `file`, which is `target` or is to be."""
    with contextlib.closing(open_read_only(db)) as connection:
        attach(connection, archive, file)
        reader = Reader(connection)
        with contextlib.closing(open_read_only(file)) as alone:
            _refuse(target, islice(structural_findings(alone), NAMED_MAX))
            transactions, entries, bets = alone.execute(_COUNTS).fetchone()
        schema = schema_of(archive)
        rows = standing(connection, reader)
        _refuse(target, rows.unsealed)
        left = left_behind(connection, reader, rows)
        audit = Audit(
            reader, rows._replace(newest=archive.block_id, last_transaction_id=archive.upto_transaction_id)
        )
        history, origin = audit.history(), None
        if left is not None:
            _refuse(target, left.findings)
            history, origin = chain(go_behind(connection, audit, left), history), left.origin
        _show(connection, archive, schema)
        for _, findings in history:
            _refuse(target, findings)
        _refuse(target, audit.lives.strays())
        if audit.head.block_id != archive.block_id:
            _refuse(target, [about(archive.id, NO_BLOCK)])
        _refuse(target, _other_keys(reader, archive, origin))
        keys = keys_digest(keys_of(reader, [f"{schema}.keys", "main.archived_keys"]))
        stays = staying(reader, archive.upto_transaction_id, [schema])
        before = 0 if origin is None else origin.carried.archived
        state = encode(origin_at(reader, audit, keys, stays, [schema], before))
        openings = openings_digest(audit.carried().holders)
        _refuse(target, reader.findings)
    size_bytes = file.stat().st_size
    return Copied(target, transactions, entries, bets, size_bytes, openings, state, sha256(state).digest())


def _other_keys(reader: Reader, archive: ArchiveRow, origin: Origin | None) -> Iterator[Finding]:
    """The keys that are archived are those of earlier archives, and some of this one at the most."""
    own = f"{schema_of(archive)}.keys"
    table = f"""
        (SELECT hash FROM main.archived_keys
         WHERE NOT EXISTS (SELECT 1 FROM {own} AS own WHERE own.hash = archived_keys.hash))
    """  # noqa: S608  names of our own
    expected = keys_digest(()) if origin is None else (origin.archived_keys, origin.keys)
    if keys_digest(keys_of(reader, [table])) != expected:
        yield about(archive.id, OTHER_KEYS)


def _show(connection: sqlite3.Connection, archive: ArchiveRow, schema: str) -> None:
    """Make views of the file in which all that is to be deleted comes from the copy."""
    with writable(connection):
        for table, rest in _REST.items():
            upto = archive.upto_entry_id
            query = f"""
                SELECT * FROM {schema}.{table}
                UNION ALL SELECT * FROM main.{table} AS stays WHERE {rest.format(schema=schema, upto=upto)}
            """  # noqa: S608  names and numbers of our own
            connection.execute(f"CREATE TEMP VIEW {table} AS {query}")


def _refuse(target: Path, findings: Iterable[Finding]) -> None:
    if found := list(islice(findings, NAMED_MAX)):
        first = "; ".join(map(_in_words, found))
        raise ArchiveUnusable(f"{target.name}: not made, something is wrong: {first}; see solidgreen verify")


def _in_words(finding: Finding) -> str:
    rest = ", ".join(f"{name} {value}" for name, value in finding.items() if name != "check")
    return f"{finding['check']}: {rest}"


_REST: Final = {
    "transactions": "NOT EXISTS (SELECT 1 FROM {schema}.transactions AS moved WHERE moved.id = stays.id)",
    "bets": "NOT EXISTS (SELECT 1 FROM {schema}.bets AS moved "
    "WHERE moved.transaction_id = stays.transaction_id)",
    "transaction_ledger": "stays.id > {upto}",
}
