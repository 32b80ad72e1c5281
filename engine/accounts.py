"""Accounts as rows: make the house's books and players' wallets. They begin empty; money comes by
`Deposit`.
"""

from __future__ import annotations

import sqlite3

from engine.commands import CLEARING_ID_BASE
from engine.money import BOOK_FLOOR_MINOR

BOOK_KINDS = ("house", "cash", "fees", "clearing", "suspense", "receivable")
"""The house's own books of each currency, in the order of their ids."""


def open_books(connection: sqlite3.Connection, currency: str, floor_minor: int = BOOK_FLOOR_MINOR) -> None:
    """Make the books of `currency` unless it has them. `floor_minor` (0 or below): how far each may go."""
    for kind in BOOK_KINDS:
        connection.execute(
            """
            INSERT INTO users (id, kind, currency, floor)
            SELECT (SELECT coalesce(max(id), 0) + 1 FROM users WHERE id < :base), :kind, :currency, :floor
            WHERE NOT EXISTS (SELECT 1 FROM users WHERE kind = :kind AND currency = :currency)
            """,
            {"kind": kind, "currency": currency, "floor": floor_minor, "base": CLEARING_ID_BASE},
        )


def open_wallets(connection: sqlite3.Connection, currency: str, count: int) -> range:
    """Make `count` empty wallets of `currency`; returns their ids, in a row after the newest account."""
    (newest,) = connection.execute(
        "SELECT coalesce(max(id), 0) FROM users WHERE id < ?", (CLEARING_ID_BASE,)
    ).fetchone()
    ids = range(newest + 1, newest + 1 + count)
    connection.executemany(
        "INSERT INTO users (id, kind, currency) VALUES (?, 'player', ?)", [(id_, currency) for id_ in ids]
    )
    return ids
