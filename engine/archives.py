"""The files that old history was moved into, and all of history read as one: the hot file and its archives.

An archive is a file beside the hot one, made once and never changed. `joined` attaches those that are at
hand, read only, and lays a TEMP VIEW over each of `transactions`, `transaction_ledger` and `bets`. SQLite
finds temporary names first (sqlite.org/lang_naming.html), so that a query means all of history without
saying so. What a query over such a view must not do, or it reads all of it, stands in docs/archive.md.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from engine.archive_checks import ArchiveRow as ArchiveRow  # also for who imports it from here
from engine.errors import ArchiveMissing, ArchiveUnusable, HistoryBroken
from engine.files import read_only_uri

Answer = TypeVar("Answer")

APPLICATION_ID: Final = 0x53474152
""""SGAR", in the file's header."""

VERSION: Final = 1

TABLES: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
-- As in schema.sql, whose rules these rows have met.
CREATE TABLE transactions (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    scope       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    answer      TEXT NOT NULL,
    block_id    INTEGER NOT NULL,
    UNIQUE (scope, key)
) STRICT;
CREATE TABLE transaction_ledger (
    id             INTEGER PRIMARY KEY,
    user_id        INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    amount         INTEGER NOT NULL,
    balance_after  INTEGER NOT NULL,
    ref_type       TEXT NOT NULL,
    ref_id         TEXT NOT NULL,
    transaction_id INTEGER NOT NULL,
    block_id       INTEGER NOT NULL,
    prev_id        INTEGER NOT NULL
) STRICT;
CREATE TABLE bets (
    transaction_id INTEGER PRIMARY KEY,
    user_id        INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    stake          INTEGER NOT NULL,
    game           TEXT,
    round          TEXT,
    selection      TEXT,
    odds_milli     INTEGER,
    state          TEXT NOT NULL,
    payout         INTEGER NOT NULL,
    settled        INTEGER NOT NULL,
    cashed_stake   INTEGER NOT NULL,
    last_transaction_id INTEGER NOT NULL
) STRICT;
-- Of each transaction above, what stays in the hot file of its key (engine/archived_keys.py).
CREATE TABLE keys (
    hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
-- One row: where this file belongs. previous_block_id: up to where the archive before it goes, 0 if it is the
-- first; first_hash: of block 1.
CREATE TABLE archive (
    archive_id          INTEGER PRIMARY KEY,
    block_id            INTEGER NOT NULL,
    block_hash          BLOB NOT NULL,
    first_hash          BLOB NOT NULL,
    upto_transaction_id INTEGER NOT NULL,
    upto_entry_id       INTEGER NOT NULL,
    previous_block_id   INTEGER NOT NULL
) STRICT;
"""
"""The tables of an archive."""

RULES: Final = "\n".join(
    f"""
CREATE TRIGGER {table}_is_closed_to_{act.lower()} BEFORE {act} ON {table}
BEGIN SELECT RAISE(ABORT, '{table}: an archive is never changed'); END;"""
    for table in ("transactions", "transaction_ledger", "bets", "keys", "archive")
    for act in ("INSERT", "UPDATE", "DELETE")
)
"""What closes an archive, once it is filled."""

NOT_OURS: Final = "is not the archive that these books were moved into"

_MARK: Final = ".archive-"
_KEYS_OF_VIEWS: Final = {"transactions": "id", "transaction_ledger": "id", "bets": "transaction_id"}
_COLUMNS: Final = """
    id, block_id, upto_transaction_id, upto_entry_id, state, openings, carried, last_transaction_id,
    moved_transaction_id, moved_entry_id
"""
_ARCHIVES: Final = f"SELECT {_COLUMNS} FROM main.archives ORDER BY id"  # noqa: S608  names of our own
_MOVING: Final = f"SELECT {_COLUMNS} FROM main.archives WHERE state = 'moving' ORDER BY id"  # noqa: S608
_BELONGS: Final = """
    SELECT archive_id, block_id, block_hash, first_hash, upto_transaction_id, upto_entry_id
    FROM {schema}.archive
"""
_EXPECTED: Final = """
    SELECT :id, :block_id, (SELECT hash FROM main.blocks WHERE id = :block_id),
           (SELECT hash FROM main.blocks WHERE id = 1), :upto_transaction_id, :upto_entry_id
"""
_HAS_VIEWS: Final = "SELECT 1 FROM sqlite_temp_schema WHERE name = 'bets'"  # the last to be made


def archives(connection: sqlite3.Connection) -> list[ArchiveRow]:
    """The archives of the hot file, oldest first."""
    return [ArchiveRow(*row) for row in connection.execute(_ARCHIVES)]


def file_of(db: Path, block_id: int) -> Path:
    """Where the archive of the books in `db` is, or will be, that goes up to this block."""
    real = db.resolve()  # a symbolic link: SQLite, too, names the file that it leads to
    return real.with_name(f"{real.name}{_MARK}{block_id}")


def files_beside(db: Path) -> list[Path]:
    """The archives that stand beside the books in `db`, whoever they are of, by their blocks."""
    real = db.resolve()
    prefix = f"{real.name}{_MARK}"
    found = [path for path in real.parent.iterdir() if path.name.startswith(prefix)]
    numbered = [path for path in found if path.name.removeprefix(prefix).isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name.removeprefix(prefix)))


def joined(connection: sqlite3.Connection) -> list[Path]:
    """Attach the archives out of which anything may have been deleted here, and make the views; the files
    that are missing.

    Safe to call again: what has appeared or begun since is attached then. The connection must have been
    opened with `uri=True`. Raises `ArchiveUnusable` at a file that is not the archive of these books.
    """
    _join(connection)
    db = _files(connection)["main"]
    return [file_of(db, row.block_id) for row in missing(connection)]


def across(connection: sqlite3.Connection, read: Callable[[], Answer]) -> Answer:
    """What `read` finds in all of history: read again if an archive has begun to move meanwhile, since then
    rows may be gone that it looked for. Raises `ArchiveUnusable`, and what `read` does."""
    while True:
        try:
            found = read()
        except (HistoryBroken, ArchiveMissing):
            if not _join(connection):
                raise
        else:
            if not _join(connection):
                return found


def missing(connection: sqlite3.Connection) -> list[ArchiveRow]:
    """The archives that are not attached, oldest first, of those out of which anything may be deleted."""
    moving = _moving(connection)
    at_hand = _files(connection) if moving else {}
    return [row for row in moving if schema_of(row) not in at_hand]


def demand(connection: sqlite3.Connection, *, entry_id: int | None = None, block_id: int = 1) -> None:
    """Raise `ArchiveMissing` if this entry is in an archive that is missing; without one, if a transaction of
    this block may be. For who has not found what must be there."""
    absent = missing(connection)
    if entry_id is not None:
        holders = [row for row in _moving(connection) if row.upto_entry_id >= entry_id]
        absent = [row for row in absent if row in holders[:1]]
    db = _files(connection)["main"]
    names = [file_of(db, row.block_id).name for row in absent if row.block_id >= block_id]
    if names:
        raise ArchiveMissing(", ".join(names))


def unread_upto(connection: sqlite3.Connection) -> int:
    """The last entry that may be in a file that is missing; 0 if none is. Behind it, all are at hand."""
    return max((row.upto_entry_id for row in missing(connection)), default=0)


def _moving(connection: sqlite3.Connection) -> list[ArchiveRow]:
    return [ArchiveRow(*row) for row in connection.execute(_MOVING).fetchall()]


def _files(connection: sqlite3.Connection) -> dict[str, Path]:
    """The file of each schema."""
    return {name: Path(file) for _, name, file in connection.execute("PRAGMA database_list").fetchall()}


def schema_of(row: ArchiveRow) -> str:
    """The name under which its file is attached."""
    return f"archive_{row.block_id}"


def _join(connection: sqlite3.Connection) -> bool:
    """Whether there is now more to be read than before."""
    moving = _moving(connection)
    if not moving:
        return False
    files = _files(connection)
    db, attached = files["main"], [schema_of(row) for row in moving if schema_of(row) in files]
    has_more = connection.execute(_HAS_VIEWS).fetchone() is None
    if has_more:
        _make_views(connection, attached)
    for row in moving:
        if schema_of(row) not in attached and attach(connection, row, file_of(db, row.block_id)):
            attached.append(schema_of(row))
            _make_views(connection, attached)
            has_more = True
    return has_more


def attach(connection: sqlite3.Connection, row: ArchiveRow, path: Path) -> bool:
    """Whether the file is there; then it is attached, and is the archive that the row speaks of."""
    schema = schema_of(row)
    if not path.exists():
        return False
    try:
        connection.execute(f"ATTACH ? AS {schema}", (read_only_uri(path),))
    except sqlite3.Error as error:
        raise ArchiveUnusable(f"{path.name}: cannot be opened: {error}") from error
    try:
        why = _why_wrong(connection, row, schema)
    except sqlite3.Error as error:
        why = f"cannot be read as an archive: {error}"
    if why:
        connection.execute(f"DETACH {schema}")
        raise ArchiveUnusable(f"{path.name}: {why}")
    return True


def _why_wrong(connection: sqlite3.Connection, row: ArchiveRow, schema: str) -> str | None:
    (application_id,) = connection.execute(f"PRAGMA {schema}.application_id").fetchone()
    (version,) = connection.execute(f"PRAGMA {schema}.user_version").fetchone()
    if application_id != APPLICATION_ID:
        return "is not an archive of Solid Green's"
    if version != VERSION:
        return f"is an archive of version {version}, and this program knows version {VERSION}"
    told = connection.execute(_BELONGS.format(schema=schema)).fetchall()
    (expected,) = connection.execute(_EXPECTED, row._asdict()).fetchall()
    if told != [expected]:
        return NOT_OURS
    return None


def _make_views(connection: sqlite3.Connection, schemas: list[str]) -> None:
    with writable(connection):
        for table, key in _KEYS_OF_VIEWS.items():
            named = connection.execute(f"PRAGMA main.table_info({table})").fetchall()
            columns = ", ".join(column[1] for column in named)
            # While it moves, a row is in both: then it is read here. What is carried has ids below 0; without
            # the unary +, SQLite takes that for a range, and reads the ledger again for each row of a chunk.
            parts = [f"SELECT {columns} FROM main.{table} WHERE +{key} > 0"]  # noqa: S608
            parts += [
                f"SELECT {columns} FROM {schema}.{table} AS moved "  # noqa: S608  names of our own
                f"WHERE NOT EXISTS (SELECT 1 FROM main.{table} AS kept WHERE kept.{key} = moved.{key})"
                for schema in schemas
            ]
            connection.execute(f"DROP VIEW IF EXISTS temp.{table}")
            connection.execute(f"CREATE TEMP VIEW {table} AS {' UNION ALL '.join(parts)}")


@contextlib.contextmanager
def writable(connection: sqlite3.Connection) -> Iterator[None]:
    """A view is written into the schema, though into no file, which query_only forbids as well."""
    (query_only,) = connection.execute("PRAGMA query_only").fetchone()
    connection.execute("PRAGMA query_only = OFF")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA query_only = {query_only}")
