"""A batch as rows: look up what it touches, write what it changed. Plain `sqlite3`; called by the store only.

The statements are the whole of the writer's SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from engine.blocks import Block
from engine.bulk import in_bulk
from engine.commands import BET_SCOPE
from engine.view import GENESIS, Account, Change, Head, Refusal, Transaction, View
from engine.warm import Books, Found

_HEAD = """
    SELECT id, hash, at, last_transaction_id, last_entry_id FROM blocks ORDER BY id DESC LIMIT 1
"""
_BOOKS = "SELECT kind, currency, id FROM users WHERE kind <> 'player'"
# One row for all accounts: each row would be a step of its own (see bulk.py).
_ACCOUNTS = """
    SELECT json_group_array(json_array(id, kind, currency, status, balance, held, floor, version,
                                       last_entry_id, refused_minute, refused_count, balance))
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
    SET balance = balance + column1, version = version + 1, last_entry_id = column2, refused_minute = column3,
        refused_count = column4
    FROM ({rows})
    WHERE id = column5 AND version = column6 AND balance + column1 - held - floor >= 0
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
    connection: sqlite3.Connection, keys: Sequence[tuple[str, str]], user_ids: Sequence[int], *, head: bool
) -> Found:
    """What the file says of these (scope, key) and accounts, and where its chain stands if `head`."""
    by_scope: dict[str, list[str]] = {}
    for scope, key in keys:
        by_scope.setdefault(scope, []).append(key)
    known = [
        Transaction(*row)
        for scope, wanted in by_scope.items()
        for row in connection.execute(_TRANSACTIONS, (scope, _json(wanted)))
    ]
    bet_ids = by_scope.get(BET_SCOPE)
    refused = [Refusal(*row) for row in connection.execute(_REFUSALS, (_json(bet_ids),))] if bet_ids else []
    accounts: list[Account] = []
    if user_ids:
        (text,) = connection.execute(_ACCOUNTS, (_json(user_ids),)).fetchone()
        accounts = _AS_ACCOUNTS.decode(text)
    return Found(accounts, known, refused, read_head(connection) if head else None)


def write(
    connection: sqlite3.Connection,
    view: View,
    changes: Sequence[Change],
    block: Block | None,
    at_halfway: Callable[[], object],
) -> bool:
    """Write what the view has changed, inside the transaction that the caller has begun.

    Returns False, with the transaction half-written, if the guard found an account that is no longer as
    it was read: the caller rolls back. `block` is None when only refusals are written. `at_halfway` is called
    when somewhat more than half of the work is done, COMMIT included.
    """
    if block is not None:
        connection.execute(_OPEN_BATCH, (block.id, block.first_transaction_id, block.first_entry_id))
        in_bulk(connection, _ADD_TRANSACTION, view.new_transactions)
        in_bulk(connection, _ADD_ENTRY, view.new_entries)
    at_halfway()
    in_bulk(connection, _ADD_BET, view.new_bets)
    in_bulk(connection, _ADD_REFUSAL, view.new_refusals)
    if in_bulk(connection, _CHANGE_ACCOUNTS, changes) != len(changes):
        return False
    if block is not None:
        connection.execute(_SEAL, block)
    return True


_AS_ACCOUNTS = msgspec.json.Decoder(list[Account])


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
