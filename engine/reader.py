"""Reads rows of a file that anybody may have edited: what comes out has the types that the checks expect.

STRICT tables hold what they should, as long as nobody writes past SQLite. A value of another type, a NULL or
a text that is not UTF-8 is a finding, and stands as 0, an empty text or no bytes in the row that is handed
on: so the checks behind need not ask each value what it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from engine.checks import Finding

ROWS_MAX: Final = 1_000_000
"""More rows than any one block has in books that were only played with, for the LIMIT of a query: a range
that was forged must not fill the memory."""

_TYPES: Final[dict[str, tuple[type, object, str]]] = {
    "i": (int, 0, "an integer"),
    "t": (str, "", "a text"),
    "b": (bytes, b"", "bytes"),
}


class Shape:
    """The columns that a query gives, such as `id:i kind:t game:t? hash:b`: integers, texts and bytes, NULL
    only where there is a question mark. `table` names them in findings; without one there are none, since
    another query looks at the same rows.
    """

    def __init__(self, columns: str, table: str = "") -> None:
        self.table = table
        self.names = [column.split(":")[0] for column in columns.split()]
        self._kinds = [column.split(":")[1] for column in columns.split()]
        self.seen: set[tuple[type, ...]] = set()
        """The types of rows that were found sound before."""

    def sound(self, row: Sequence[Any], findings: list[Finding]) -> tuple[Any, ...]:
        """The row with something else for what is not of its type."""
        values = list(row)
        for at, kind in enumerate(self._kinds):
            wanted, instead, words = _TYPES[kind[0]]
            value = values[at]
            if type(value) is wanted or (value is None and kind.endswith("?")):
                continue
            values[at] = None if kind.endswith("?") else instead
            if self.table:
                name = self.names[at]
                where = {"table": self.table, "row": _shown(row[0]), "column": name}
                findings.append({"check": "type", **where, "why": f"it is not {words}"})
        if values == list(row):
            self.seen.add(tuple(map(type, row)))
        return tuple(values)


class Reader:
    """A connection for reading, and what it found unsound so far (`findings`; whoever reports them takes them
    away).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.findings: list[Finding] = []
        self._connection = connection

    def rows(self, sql: str, values: Sequence[object], shape: Shape) -> list[tuple[Any, ...]]:
        """The answer, whole before this returns: nothing lingers."""
        try:
            found = self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            found = self._with_broken_texts(sql, values)
        seen = shape.seen
        if seen.issuperset([tuple(map(type, row)) for row in found]):
            return found
        return [row if tuple(map(type, row)) in seen else shape.sound(row, self.findings) for row in found]

    def row(self, sql: str, values: Sequence[object], shape: Shape) -> tuple[Any, ...] | None:
        """The first row of the answer."""
        found = self.rows(sql, values, shape)
        return found[0] if found else None

    def _with_broken_texts(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        self._connection.text_factory = _text
        try:
            return self._connection.execute(sql, values).fetchall()
        finally:
            self._connection.text_factory = str


class _NoText(bytes):
    """A text that is not UTF-8."""


def _text(data: bytes) -> str | _NoText:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _NoText(data)


def _shown(value: object) -> object:
    return value if value is None or isinstance(value, int | str) else repr(value)
