"""How much there is in the file: for whoever watches. Plain `sqlite3`, read only.

What comes of a look at the ends of an index is told at any time. To count a table is to read it, so that
is done once a day, by the self-check.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from engine.files import open_read_only

_NEWEST = """
    SELECT (SELECT ifnull(max(id), 0) FROM transactions),
           (SELECT ifnull(max(id), 0) FROM transaction_ledger),
           (SELECT ifnull(max(id), 0) FROM blocks)
"""

_ARCHIVES = """
    SELECT sum(state = 'copying'), sum(state = 'moving' AND NOT is_moved), sum(is_moved)
    FROM (SELECT state, state = 'moving' AND moved_transaction_id = upto_transaction_id
                 AND moved_entry_id = upto_entry_id AS is_moved
          FROM archives)
"""

_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


class Sizes(NamedTuple):
    """`transactions`, `entries` and `blocks`: how many have ever been written, also those that are archived:
    they are numbered from 1, without a gap. `archives` by how far they are: there are ten at the most."""

    transactions: int
    entries: int
    blocks: int
    archives: Mapping[str, int]


def sizes(connection: sqlite3.Connection) -> Sizes:
    """Looks at the last row of each, and at the list of archives."""
    transactions, entries, blocks = connection.execute(_NEWEST).fetchone()
    copying, moving, moved = connection.execute(_ARCHIVES).fetchone()
    archives = {"copying": copying or 0, "moving": moving or 0, "moved": moved or 0}
    return Sizes(transactions, entries, blocks, archives)


def rows_of_tables(path: Path) -> dict[str, int]:
    """How many rows each table of the file has, without those in archives. Reads all of them, one after the
    other. Raises `sqlite3.Error`.
    """
    with contextlib.closing(open_read_only(path)) as connection:
        tables = [name for (name,) in connection.execute(_TABLES)]
        # The names are the file's own; each count is a look of its own, so that none pins the log for long.
        return {name: _rows(connection, name) for name in tables}


def _rows(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    (rows,) = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()  # noqa: S608
    return int(rows)
