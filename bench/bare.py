"""The ceiling of the engine: its own rows, inserted by plain `executemany` from ready tuples.

Same tables, same indexes, same pragmas, one transaction for each batch; no triggers, no foreign keys, no
decision, no thread. The rows are those that the engine has just written to its file, read back before the
clock starts, so both files hold the same and grow in step.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.files import open_read_only, read_only_uri, schema_sql
from engine.writer import CHECKPOINT_PAGES

Settings = dict[str, int | str]

PRAGMAS = (
    *("page_size", "auto_vacuum"),  # first: both are settled by the first table
    *("journal_mode", "synchronous", "wal_autocheckpoint", "cache_size", "cache_spill", "temp_store"),
    *("mmap_size", "journal_size_limit", "secure_delete", "threads"),
)
"""What bears on the speed of a connection that writes (sqlite.org/pragma.html)."""

ReadyBatch = list[tuple[str, list[tuple[object, ...]]]]
"""The statements of one batch, each with its rows."""

# In the engine's order: what is sealed last. The range of rows is that of one block. The row that opens a
# batch is gone when it is sealed, so the ceiling is spared it.
_TABLES = {
    "transactions": "id BETWEEN :first_transaction_id AND :last_transaction_id",
    "transaction_ledger": "id BETWEEN :first_entry_id AND :last_entry_id",
    "bets": "transaction_id BETWEEN :first_transaction_id AND :last_transaction_id",
    "users": "",
    "blocks": "id = :id",
}
_NET_CHANGES = """
    SELECT sum(amount), max(id), user_id FROM transaction_ledger
    WHERE id BETWEEN :first_entry_id AND :last_entry_id GROUP BY user_id ORDER BY min(id)
"""
_CHANGE_USERS = """
    UPDATE users SET balance = balance + ?, version = version + 1, last_entry_id = ? WHERE id = ?
"""

_FOREIGN_KEY = re.compile(
    r"""
    \s+ REFERENCES \s+ \w+ (\s* \( [^()]* \))?
    (\s+ ON \s+ (DELETE|UPDATE) \s+ (SET \s+ NULL | SET \s+ DEFAULT | CASCADE | RESTRICT | NO \s+ ACTION)
    |\s+ (NOT \s+)? DEFERRABLE (\s+ INITIALLY \s+ (DEFERRED|IMMEDIATE))?)*
    """,
    re.IGNORECASE | re.VERBOSE,
)


def settings_of(connection: sqlite3.Connection) -> Settings:
    """The pragmas of a live connection, by name. Given to `Store.write`, those of the engine's writer."""
    rows = {name: connection.execute(f"PRAGMA {name}").fetchone() for name in PRAGMAS}
    return {name: row[0] for name, row in rows.items() if row is not None}  # no row: this SQLite has no such


def bare_schema() -> list[str]:
    """The statements of `schema.sql` that make tables and indexes, without foreign keys."""
    with contextlib.closing(sqlite3.connect(":memory:")) as real:
        real.executescript(schema_sql())
        # An index without SQL is that of a UNIQUE or PRIMARY KEY, and comes with its table.
        made = real.execute(
            """
            SELECT sql FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL ORDER BY rowid
            """
        ).fetchall()
    return [_FOREIGN_KEY.sub("", sql) for (sql,) in made]


def open_bare(path: Path, settings: Settings, like: Path) -> sqlite3.Connection:
    """Make `path` with the bare schema, the pragmas `settings` and all rows of the engine's file `like`.

    Its COMMITs checkpoint after as many pages as the engine asks for it, or it would be spared the work.
    Raises `ValueError` where the engine leaves that to its own COMMITs.
    """
    if settings["wal_autocheckpoint"] != 0:
        raise ValueError("wal_autocheckpoint is not 0: the ceiling would not checkpoint as the engine")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rwc", uri=True, isolation_level=None)
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    for statement in bare_schema():
        connection.execute(statement)
    connection.execute("ATTACH ? AS engine", (read_only_uri(like),))
    connection.execute("BEGIN")
    for (table,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f"INSERT INTO main.{table} SELECT * FROM engine.{table}")
    connection.execute("COMMIT")
    connection.execute("DETACH engine")
    return connection


def batches_since(bare: sqlite3.Connection, engine: Path) -> list[ReadyBatch]:
    """What the engine has written to its file since `bare` was last brought up to it, batch by batch."""
    (newest,) = bare.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
    with contextlib.closing(open_read_only(engine)) as connection:
        statements = {table: _statements(connection, table) for table in _TABLES}
        ranges = connection.cursor()
        ranges.row_factory = sqlite3.Row
        blocks = ranges.execute("SELECT * FROM blocks WHERE id > ? ORDER BY id", (newest,)).fetchall()
        return [list(_ready(connection, statements, dict(block))) for block in blocks]


def insert(bare: sqlite3.Connection, batches: Iterable[ReadyBatch]) -> None:
    """Write each batch in a transaction of its own."""
    for batch in batches:
        bare.execute("BEGIN IMMEDIATE")
        for statement, rows in batch:
            bare.executemany(statement, rows)
        bare.execute("COMMIT")


def _statements(connection: sqlite3.Connection, table: str) -> tuple[str, str]:
    """How rows of `table` are read from the one file and written to the other.

    A column with a default is left to it: the engine spares itself the binding, so the ceiling may as well.
    """
    if table == "users":
        return _NET_CHANGES, _CHANGE_USERS
    described = connection.execute(f"PRAGMA table_info({table})").fetchall()
    columns = [name for _, name, _, _, default, _ in described if default is None]
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    key = next(name for _, name, _, _, _, in_key in described if in_key)
    read = f"SELECT {names} FROM {table} WHERE {_TABLES[table]} ORDER BY {key}"
    return read, f"INSERT INTO {table} ({names}) VALUES ({places})"


def _ready(
    connection: sqlite3.Connection, statements: dict[str, tuple[str, str]], block: dict[str, int]
) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    for read, write in statements.values():
        yield write, connection.execute(read, block).fetchall()
