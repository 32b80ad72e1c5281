"""What the rows say now that history must lead to, read in one short snapshot: of a file that may be served
meanwhile, the balances and the newest block of one moment.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from engine.archive_checks import ArchiveRow
from engine.bonus_checks import FreeBetRow
from engine.checks import BonusRow, Finding, HolderRow
from engine.looks import snapshot
from engine.payout_checks import LimitRow
from engine.reader import Reader, Shape

_USERS = (
    "SELECT id, kind, currency, balance, held, floor, last_entry_id, owed, participant_id "
    "FROM users ORDER BY id",
    Shape(
        "id:i kind:t currency:t balance:i held:i floor:i last_entry_id:i owed:i participant_id:i?", "users"
    ),
)
# In two halves: a sum of what somebody wrote there may be beyond 64 bits, which SQLite refuses.
_HELD = (
    "SELECT user_id, sum(remaining >> 32), sum(remaining & 4294967295) "
    "FROM holds WHERE state = 'open' GROUP BY user_id",
    Shape("user_id:i high:i? low:i?"),
)
_WAITING = (
    """
    SELECT currency, sum(amount >> 32), sum(amount & 4294967295)
    FROM suspended_items AS item JOIN payout_items USING (payout_id, number)
    JOIN payouts ON payouts.id = item.payout_id
    WHERE item.state = 'suspended' GROUP BY currency
    """,
    Shape("currency:t high:i? low:i?"),
)
_LIMITS = (
    """
    SELECT user_id, limits.kind, period, amount, pending, pending_from, limited
    FROM limits LEFT JOIN users ON users.id = user_id
    """,
    Shape("user_id:i kind:t period:t amount:i pending:i pending_from:i limited:i?", "limits"),
)
_PARTICIPANTS = ("SELECT id FROM participants", Shape("id:i", "participants"))
_BONUSES = (
    "SELECT user_id, wallet_id, spend, expires_at, state, last_transaction_id FROM bonuses",
    Shape("user_id:i wallet_id:i spend:t expires_at:i state:t last_transaction_id:i", "bonuses"),
)
_FREE_BETS = (
    "SELECT id, user_id, currency, amount, expires_at, state, last_transaction_id FROM free_bets",
    Shape(
        "id:i user_id:i currency:t amount:i expires_at:i state:t last_transaction_id:i",
        "free_bets",
    ),
)
_NEWEST_BLOCK = (
    "SELECT id, last_transaction_id FROM blocks ORDER BY id DESC LIMIT 1",
    Shape("id:i last_transaction_id:i"),
)
_ARCHIVES = (
    """
    SELECT id, block_id, upto_transaction_id, upto_entry_id, state, openings, carried, last_transaction_id,
           moved_transaction_id, moved_entry_id
    FROM archives ORDER BY id
    """,
    Shape(
        "id:i block_id:i upto_transaction_id:i upto_entry_id:i state:t openings:b carried:b "
        "last_transaction_id:i moved_transaction_id:i moved_entry_id:i",
        "archives",
    ),
)
# What is carried has ids below 0, and is held against its archives (engine/archive_checks.py).
_OUTSIDE = """
    SELECT '{what}', {column} FROM {table} WHERE {column} < 1{but}
    UNION ALL SELECT '{what}', {column} FROM {table}
    WHERE {column} > (SELECT coalesce(max({last}), 0) FROM blocks)
"""
_BY_TRANSACTION = (
    ("bet", "bets", "transaction_id"),
    ("hold", "holds", "id"),
    ("payout", "payouts", "id"),
    ("payout", "payout_items", "payout_id"),
    ("payout", "suspended_items", "payout_id"),
)
_UNSEALED = (
    " UNION ALL ".join(
        [
            _OUTSIDE.format(
                what="transaction",
                table="transactions",
                column="id",
                last="last_transaction_id",
                but="",
            ),
            _OUTSIDE.format(
                what="entry",
                table="transaction_ledger",
                column="id",
                last="last_entry_id",
                but=" AND NOT (id < 0 AND ref_type = 'CARRIED' AND EXISTS (SELECT 1 FROM archives))",
            ),
            *(
                _OUTSIDE.format(what=what, table=table, column=column, last="last_transaction_id", but="")
                for what, table, column in _BY_TRANSACTION
            ),
            "SELECT 'block', id FROM open_batch LIMIT 1000",
        ]
    ),
    Shape("what:t id:i"),
)


class Standing(NamedTuple):
    """Rows of one moment. `held`: what is left of the open holds of each wallet; `waiting`: what the items in
    suspense come to, by currency; `archives`: oldest first; `newest`: the id of the newest block, and its
    last transaction.
    """

    users: list[HolderRow]
    held: dict[int, int]
    waiting: dict[str, int]
    limits: list[LimitRow]
    participants: set[int]
    bonuses: list[BonusRow]
    free_bets: list[FreeBetRow]
    archives: list[ArchiveRow]
    newest: int
    last_transaction_id: int
    unsealed: list[Finding]


def standing(connection: sqlite3.Connection, reader: Reader) -> Standing:
    """What stands in the file. What was found unsound stays with `reader`."""
    with snapshot(connection):
        newest, last_transaction_id = reader.row(*_asked(_NEWEST_BLOCK)) or (0, 0)
        return Standing(
            users=[HolderRow(*row) for row in reader.rows(*_asked(_USERS))],
            held={user: _whole(*halves) for user, *halves in reader.rows(*_asked(_HELD))},
            waiting={currency: _whole(*halves) for currency, *halves in reader.rows(*_asked(_WAITING))},
            limits=[LimitRow(*row) for row in reader.rows(*_asked(_LIMITS))],
            participants={id_ for (id_,) in reader.rows(*_asked(_PARTICIPANTS))},
            bonuses=[BonusRow(*row) for row in reader.rows(*_asked(_BONUSES))],
            free_bets=[FreeBetRow(*row) for row in reader.rows(*_asked(_FREE_BETS))],
            archives=[ArchiveRow(*row) for row in reader.rows(*_asked(_ARCHIVES))],
            newest=newest,
            last_transaction_id=last_transaction_id,
            unsealed=[{"check": "unsealed", what: id_} for what, id_ in reader.rows(*_asked(_UNSEALED))],
        )


def _asked(query: tuple[str, Shape]) -> tuple[str, tuple[()], Shape]:
    return query[0], (), query[1]


def _whole(high: int | None, low: int | None) -> int:
    return ((high or 0) << 32) + (low or 0)
