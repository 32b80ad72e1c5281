"""Accounts as rows: make the house's books and players' wallets. They begin empty; money comes by `Deposit`,
and how far a book may go is changed by `SetFloor`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from engine.actors import CLI
from engine.commands import BONUS_BOOK_ID_BASE, CLEARING_ID_BASE, SetFloor
from engine.money import BOOK_FLOOR_MINOR

BOOK_KINDS = ("house", "cash", "fees", "clearing", "suspense", "receivable")
"""The house's own books of each currency, in the order of their ids. There is one more, `bonus`, whose id is
`BONUS_BOOK_ID_BASE` plus the house's."""


def open_books(connection: sqlite3.Connection, currency: str) -> list[int]:
    """Make the books of `currency` unless it has them; returns their ids, in order. New ones may go down
    to `BOOK_FLOOR_MINOR`: see `first_floors`.
    """
    for kind in BOOK_KINDS:
        connection.execute(
            """
            INSERT INTO users (id, kind, currency, floor)
            SELECT :id, :kind, :currency, :floor
            WHERE NOT EXISTS (SELECT 1 FROM users WHERE kind = :kind AND currency = :currency)
            """,
            {
                "id": last_user_id(connection) + 1,
                "kind": kind,
                "currency": currency,
                "floor": BOOK_FLOOR_MINOR,
            },
        )
    connection.execute(
        """
        INSERT INTO users (id, kind, currency, floor)
        SELECT :base + id, 'bonus', currency, :floor
        FROM users WHERE kind = 'house' AND currency = :currency
          AND NOT EXISTS (SELECT 1 FROM users WHERE kind = 'bonus' AND currency = :currency)
        """,
        {"base": BONUS_BOOK_ID_BASE, "currency": currency, "floor": BOOK_FLOOR_MINOR},
    )
    books = connection.execute(
        "SELECT id FROM users WHERE currency = ? AND participant_id IS NULL AND id < ? ORDER BY id",
        (currency, CLEARING_ID_BASE),
    )
    return [id_ for (id_,) in books]


def first_floors(book_ids: Iterable[int], floor_minor: int) -> list[SetFloor]:
    """What sets the floor of new books. The key is that of the book alone: committed again it is a replay, or
    with another floor IDEMPOTENCY_CONFLICT, and the floor stays what it has become.
    """
    return [SetFloor(id_, floor_minor, key=f"first:{id_}", caller=CLI) for id_ in book_ids]


def open_wallets(connection: sqlite3.Connection, currency: str, count: int) -> range:
    """Make `count` empty wallets of `currency`, each of a participant of its own; returns their ids, in a row
    after the newest account.
    """
    newest = last_user_id(connection)
    ids = range(newest + 1, newest + 1 + count)
    connection.executemany("INSERT INTO participants (id) VALUES (?)", [(id_,) for id_ in ids])
    connection.executemany(
        "INSERT INTO users (id, kind, currency, participant_id) VALUES (?, 'player', ?, ?)",
        [(id_, currency, id_) for id_ in ids],
    )
    return ids


def last_user_id(connection: sqlite3.Connection) -> int:
    """The newest of the numbers that books and wallets are given in a row; 0 if there is none."""
    (newest,) = connection.execute(
        "SELECT coalesce(max(id), 0) FROM users WHERE id < ?", (BONUS_BOOK_ID_BASE,)
    ).fetchone()
    return int(newest)
