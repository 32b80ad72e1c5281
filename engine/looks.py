"""Looks into the file: of one moment, and ended in time, since a reader that lingers pins the write-ahead
log, which then grows.

SQLite asks every so many steps of its virtual machine whether to go on
(sqlite.org/c3ref/progress_handler.html).
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from engine.errors import LookTooLong, SolidGreenError

Answer = TypeVar("Answer")

STEPS: Final = 10_000
"""Between two glances at the clock: some 0.1 ms of SQLite's work, against 0.2 us for the glance."""


class _Deadline:
    """Asked by SQLite, in the midst of a statement, whether to end it."""

    __slots__ = ("has_passed", "until_s")

    def __init__(self, within_s: float) -> None:
        self.until_s = time.monotonic() + within_s
        self.has_passed = False

    def __call__(self) -> bool:
        self.has_passed = time.monotonic() > self.until_s
        return self.has_passed


def look_within(
    connection: sqlite3.Connection, within_s: float, look: Callable[[sqlite3.Connection], Answer]
) -> Answer:
    """What `look` finds; `LookTooLong` if one of its statements still runs after `within_s` seconds. No
    transaction of it stays open either way. Raises what `look` does.
    """
    deadline = _Deadline(within_s)
    connection.set_progress_handler(deadline, STEPS)
    try:
        return look(connection)
    except (sqlite3.Error, SolidGreenError) as error:
        if deadline.has_passed:
            raise LookTooLong(within_s) from error
        raise
    finally:
        connection.set_progress_handler(None, 0)
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read inside is of one moment, as it is anyway inside a transaction."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
