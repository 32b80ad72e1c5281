"""A batch as rows: look up what it touches, write what it changed. Plain `sqlite3`; called by the store only.

The statements are the whole of the writer's SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

import msgspec

from engine.blocks import Block
from engine.bulk import in_bulk
from engine.commands import BET_SCOPE, Touched
from engine.records import GENESIS, Account, Head, Hold, LiveBet, Refusal, Transaction
from engine.view import Changes, View
from engine.warm import Books, Found

_HEAD = """
    SELECT id, hash, at, last_transaction_id, last_entry_id FROM blocks ORDER BY id DESC LIMIT 1
"""
_BOOKS = "SELECT kind, currency, id FROM users WHERE kind <> 'player'"
# One row for all accounts: each row would be a step of its own (see bulk.py).
_ACCOUNTS = """
    SELECT json_group_array(json_array(id, kind, currency, status, balance, held, floor, version,
                                       last_entry_id, refused_minute, refused_count, owed))
    FROM users WHERE id IN (SELECT value FROM json_each(?))
"""
_TRANSACTIONS = """
    SELECT id, kind, scope, key, fingerprint, answer, block_id
    FROM transactions WHERE scope = ? AND key IN (SELECT value FROM json_each(?))
"""
_REFUSALS = """
    SELECT bet_id, user_id, stake, fingerprint, code, balance, held, at
    FROM refusals WHERE bet_id IN (SELECT value FROM json_each(?))
"""

_BETS = """
    SELECT json_group_array(json_array(placed.key, bets.transaction_id, user_id, currency, stake, state,
                                       payout, settled, cashed_stake, last_transaction_id,
                                       coalesce(newest.block_id, 0), coalesce(newest.answer, '')))
    FROM transactions AS placed JOIN bets ON bets.transaction_id = placed.id
    LEFT JOIN transactions AS newest ON newest.id = bets.last_transaction_id
    WHERE placed.scope = ? AND placed.key IN (SELECT value FROM json_each(?))
"""
_HOLDS = """
    SELECT json_group_array(json_array(id, user_id, currency, purpose, amount, expires_at, state, remaining,
                                       last_transaction_id))
    FROM holds WHERE id IN (SELECT value FROM json_each(?))
"""

_OPEN_BATCH = "INSERT INTO open_batch (id, first_transaction_id, first_entry_id) VALUES (?, ?, ?)"
_ADD_TRANSACTION = """
    INSERT INTO transactions (id, kind, scope, key, fingerprint, answer, block_id)
    {rows}
"""
_ADD_ENTRY = """
    INSERT INTO transaction_ledger
        (id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, block_id, prev_id)
    {rows}
"""
_ADD_BET = """
    INSERT INTO bets (transaction_id, user_id, currency, stake, game, round, selection, odds_milli)
    SELECT column1, column2, column3, column4,
           nullif(column5, 0), nullif(column6, 0), nullif(column7, 0), nullif(column8, 0)
    FROM ({rows})
"""
_ADD_REFUSAL = """
    INSERT INTO refusals (bet_id, user_id, stake, fingerprint, code, balance, held, at)
    {rows}
"""
# The guard: the row is as it was read (its version), and the change leaves something available or nothing
# is written. Fewer rows than accounts means that somebody else was faster.
_CHANGE_ACCOUNTS = """
    UPDATE users
    SET balance = balance + column1, version = version + 1, last_entry_id = column2, held = column3,
        owed = column4, status = column5, refused_minute = column6, refused_count = column7
    FROM ({rows})
    WHERE id = column8 AND version = column9 AND balance + column1 - column3 - floor >= 0
"""
_ADD_HOLD = """
    INSERT INTO holds (id, user_id, currency, purpose, amount, expires_at, remaining)
    SELECT *, column5 FROM ({rows})
"""
# Likewise guarded: by the newest transaction that the row was read with.
_CHANGE_BETS = """
    UPDATE bets
    SET state = column1, payout = column2, settled = column3, cashed_stake = column4,
        last_transaction_id = column5
    FROM ({rows})
    WHERE transaction_id = column6 AND last_transaction_id = column7
"""
_CHANGE_HOLDS = """
    UPDATE holds SET state = column1, remaining = column2, last_transaction_id = column3
    FROM ({rows})
    WHERE id = column4 AND last_transaction_id = column5
"""
_SEAL = """
    INSERT INTO blocks
        (id, format, first_transaction_id, last_transaction_id, first_entry_id, last_entry_id, root,
        prev_hash,
         hash, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def read_books(connection: sqlite3.Connection) -> Books:
    """The house's own books in this file."""
    return {(kind, currency): user_id for kind, currency, user_id in connection.execute(_BOOKS)}


def read_head(connection: sqlite3.Connection) -> Head:
    """The newest block, or `GENESIS`."""
    row = connection.execute(_HEAD).fetchone()
    return GENESIS if row is None else Head(*row)


def look_up(
    connection: sqlite3.Connection, touched: Touched, user_ids: Iterable[int], *, head: bool
) -> Found:
    """What the file says of what a batch touches, of these accounts, and where its chain stands if `head`.

    Whose bets and holds are touched, his account is looked up as well.
    """
    by_scope: dict[str, list[str]] = {}
    for scope, key in touched.keys:
        by_scope.setdefault(scope, []).append(key)
    known = [
        Transaction(*row)
        for scope, wanted in by_scope.items()
        for row in connection.execute(_TRANSACTIONS, (scope, _json(wanted)))
    ]
    bet_ids = by_scope.get(BET_SCOPE)
    refused = [Refusal(*row) for row in connection.execute(_REFUSALS, (_json(bet_ids),))] if bet_ids else []
    bets: list[LiveBet] = []
    if touched.bet_ids:
        (text,) = connection.execute(_BETS, (BET_SCOPE, _json(touched.bet_ids))).fetchone()
        bets = _AS_BETS.decode(text)
    holds: list[Hold] = []
    if touched.hold_ids:
        (text,) = connection.execute(_HOLDS, (_json(touched.hold_ids),)).fetchone()
        holds = _AS_HOLDS.decode(text)
    wanted_ids = [*user_ids, *(bet.user_id for bet in bets), *(hold.user_id for hold in holds)]
    accounts: list[Account] = []
    if wanted_ids:
        (text,) = connection.execute(_ACCOUNTS, (_json(wanted_ids),)).fetchone()
        accounts = _AS_ACCOUNTS.decode(text)
    return Found(accounts, known, refused, bets, holds, read_head(connection) if head else None)


def write(
    connection: sqlite3.Connection,
    view: View,
    changes: Changes,
    block: Block | None,
    at_halfway: Callable[[], object],
) -> bool:
    """Write what the view has changed, inside the transaction that the caller has begun.

    Returns False, with the transaction half-written, if a guard found a row that is no longer as it was
    read: the caller rolls back. `block` is None when only refusals are written. `at_halfway` is called when
    somewhat more than half of the work is done, COMMIT included.
    """
    if block is not None:
        connection.execute(_OPEN_BATCH, (block.id, block.first_transaction_id, block.first_entry_id))
        in_bulk(connection, _ADD_TRANSACTION, view.new_transactions)
        in_bulk(connection, _ADD_ENTRY, view.new_entries)
    at_halfway()
    in_bulk(connection, _ADD_BET, view.new_bets)
    in_bulk(connection, _ADD_REFUSAL, view.new_refusals)
    in_bulk(connection, _ADD_HOLD, [_as_made(hold) for hold in view.new_holds])
    if (
        in_bulk(connection, _CHANGE_ACCOUNTS, changes.accounts) != len(changes.accounts)
        or in_bulk(connection, _CHANGE_BETS, changes.bets) != len(changes.bets)
        or in_bulk(connection, _CHANGE_HOLDS, changes.holds) != len(changes.holds)
    ):
        return False
    if block is not None:
        connection.execute(_SEAL, block)
    return True


def _as_made(hold: Hold) -> tuple[int, int, str, str, int, int]:
    return hold.id, hold.user_id, hold.currency, hold.purpose, hold.amount_minor, hold.expires_at_us


_AS_ACCOUNTS = msgspec.json.Decoder(list[Account])
_AS_BETS = msgspec.json.Decoder(list[LiveBet])
_AS_HOLDS = msgspec.json.Decoder(list[Hold])


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
