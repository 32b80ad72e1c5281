"""Where did my money go? One account from an opening over its entries to a closing balance. Plain `sqlite3`,
read only, beside a running server.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine import history
from engine.history import StatedEntry

FOREVER_US: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Statement:
    """An account from `opening_minor` over `entries` to `closing_minor`.

    `entries` can be gone through once, oldest first. It reads as it is asked, `history.CHUNK` at a time, and
    keeps no snapshot in between: a door can ask for some, answer, and ask again. It raises `HistoryBroken`
    before an entry that would not add up, so that opening, amounts and closing always do.
    """

    user_id: int
    kind: str
    currency: str
    opening_minor: int
    closing_minor: int
    entries: Iterator[StatedEntry]


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account had."""

    user_id: int
    currency: str
    balance_minor: int


def statement(
    connection: sqlite3.Connection, user_id: int, from_us: int = 0, to_us: int = FOREVER_US
) -> Statement | None:
    """The account's entries with `from_us` <= block time < `to_us`, as far as there are any now; None if
    there is no such account.

    Costs two look-ups for each of these entries and `history.newest_upto` once, wherever in the account's
    life they lie; a half of it before the first entry is told. Bounded memory. Raises `HistoryBroken`.
    """
    account = history.head(connection, user_id)
    if account is None:
        return None
    newest = history.newest_upto(connection, account, to_us - 1)
    before = history.newest_upto(connection, account, from_us - 1)
    marked = history.marks(connection, newest, before)
    return Statement(
        user_id,
        account.kind,
        account.currency,
        history.balance_after(connection, user_id, marked[-1]),
        history.balance_after(connection, user_id, newest),
        history.entries(connection, user_id, marked),
    )


def balance_at(connection: sqlite3.Connection, user_id: int, at_us: int) -> Balance | None:
    """The account's balance at this time, with what was posted in that very microsecond; of a time to
    come, as it is now. None if there is no such account. Costs what `history.newest_upto` does.
    """
    account = history.head(connection, user_id)
    if account is None:
        return None
    newest = history.newest_upto(connection, account, at_us)
    return Balance(user_id, account.currency, history.balance_after(connection, user_id, newest))
