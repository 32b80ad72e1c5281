"""Many rows in one statement. Plain `sqlite3`.

CPython's sqlite3 lets go of the interpreter lock at each step of a statement, and must win it back from
an event loop that never idles. `executemany` steps once for each row; a statement with many rows of
VALUES steps once for all of them (docs/adr/0004).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

VARIABLES_MAX: Final = 32_766
"""Values that one statement takes (SQLITE_MAX_VARIABLE_NUMBER, sqlite.org/limits.html)."""


def in_bulk(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run `statement` for all `rows` of one width; returns how many rows it changed.

    `statement` says `{rows}` where a SELECT of the rows goes; its columns are column1, column2 …
    """
    return sum(run.rowcount for run in _runs(connection, statement, rows))


def found_in_bulk(
    connection: sqlite3.Connection, query: str, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """What `query` finds for all `rows` of one width, which it names as in `in_bulk`; in any order."""
    return list(chain.from_iterable(_runs(connection, query, rows)))


def _runs(
    connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]
) -> Iterator[sqlite3.Cursor]:
    start = 0
    while start < len(rows):
        width = len(rows[start])
        run = rows[start : start + (VARIABLES_MAX - 1) // width]
        room = _room(len(run), (VARIABLES_MAX - 1) // width)
        values = list(chain.from_iterable(run))
        values += [0] * ((room - len(run)) * width)
        values.append(len(run))
        yield connection.execute(_expanded(statement, width, room), values)
        start += len(run)


def _room(rows: int, most: int) -> int:
    """Rows that a text has room for: a power of two, or half as much again, so that few texts are prepared
    and few places stay empty."""
    power = 1 << (rows - 1).bit_length()
    return min(power * 3 // 4 if rows <= power * 3 // 4 else power, most)


@cache
def _expanded(statement: str, width: int, room: int) -> str:
    row = f"({', '.join('?' * width)})"
    # LIMIT stops before the empty places are looked at.
    table = f"SELECT * FROM (VALUES {', '.join([row] * room)}) LIMIT ?"  # noqa: S608  question marks only
    return statement.format(rows=table)
