"""Where did my money go? One account's entries with a running balance. Plain `sqlite3`, read only.

Follows the account's chain, so it costs one look-up an entry and needs no index by user.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from engine.snapshots import PostedEntry

_ACCOUNT = "SELECT kind, currency FROM users WHERE id = ?"
_ENTRIES = """
    WITH RECURSIVE chain (id) AS (
        SELECT last_entry_id FROM users WHERE id = :user_id AND last_entry_id > 0
        UNION ALL
        SELECT prev_id FROM chain JOIN transaction_ledger USING (id) WHERE prev_id > 0
    )
    SELECT entry.id, entry.prev_id, entry.transaction_id, entry.ref_type, entry.amount, entry.balance_after,
           entry.ref_id, blocks.at
    FROM chain JOIN transaction_ledger AS entry USING (id) JOIN blocks ON blocks.id = entry.block_id
    WHERE blocks.at < :to_us
    ORDER BY entry.id
"""

FOREVER_US = 2**63 - 1


@dataclass(frozen=True)
class Statement:
    """An account from `opening_minor` over `entries` to `closing_minor`."""

    user_id: int
    kind: str
    currency: str
    opening_minor: int
    closing_minor: int
    entries: list[PostedEntry]


def statement(
    connection: sqlite3.Connection, user_id: int, from_us: int = 0, to_us: int = FOREVER_US
) -> Statement | None:
    """The account's entries with `from_us` <= block time < `to_us`; None if there is no such account."""
    account = connection.execute(_ACCOUNT, (user_id,)).fetchone()
    if account is None:
        return None
    kind, currency = account
    opening_minor = closing_minor = 0
    inside = []
    for row in connection.execute(_ENTRIES, {"user_id": user_id, "to_us": to_us}):
        entry = PostedEntry(*row)
        closing_minor = entry.balance_after_minor
        if entry.at_us < from_us:
            opening_minor = closing_minor
        else:
            inside.append(entry)
    return Statement(user_id, kind, currency, opening_minor, closing_minor, inside)
