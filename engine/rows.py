"""A batch as rows: look up what it touches, write what it changed. Plain `sqlite3`; called by the store only.

The statements are the whole of the writer's SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

import msgspec

from engine.blocks import Block
from engine.bulk import in_bulk
from engine.commands import BET_SCOPE, CLEARING_ID_BASE, Touched
from engine.records import (
    GENESIS,
    Account,
    Head,
    Hold,
    Item,
    Limit,
    LiveBet,
    Payout,
    Refusal,
    Suspended,
    Transaction,
)
from engine.view import Changes, View
from engine.warm import Books, Found

_HEAD = """
    SELECT id, hash, at, last_transaction_id, last_entry_id FROM blocks ORDER BY id DESC LIMIT 1
"""
_BOOKS = "SELECT kind, currency, id FROM users WHERE kind <> 'player' AND id < ?"
# One row for all accounts: each row would be a step of its own (see bulk.py).
_ACCOUNTS = """
    SELECT json_group_array(json_array(id, kind, currency, status, balance, held, floor, version,
                                       last_entry_id, refused_minute, refused_count, owed, limited))
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

_PAYOUTS = """
    SELECT id, caller, currency, state, items, total, done, suspended, last_transaction_id
    FROM payouts WHERE id IN (SELECT value FROM json_each(?))
"""
_ITEMS = """
    SELECT json_group_array(json_array(payout_id, number, user_id, amount))
    FROM payout_items WHERE payout_id = ? AND number >= ? AND number < ?
"""
_SUSPENDED = """
    SELECT payout_id, number, reason, state, last_transaction_id
    FROM suspended_items WHERE payout_id = ? AND number >= ? AND number < ?
"""

_LIMITS = """
    SELECT json_group_array(json_array(user_id, kind, period, amount, pending, pending_from, window, used,
                                       last_bet))
    FROM limits WHERE user_id IN (SELECT value FROM json_each(?))
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
        owed = column4, status = column5, limited = column6, refused_minute = column7,
        refused_count = column8
    FROM ({rows})
    WHERE id = column9 AND version = column10 AND balance + column1 - column3 - floor >= 0
"""
_ADD_HOLD = """
    INSERT INTO holds (id, user_id, currency, purpose, amount, expires_at, remaining)
    SELECT *, column5 FROM ({rows})
"""
_ADD_ACCOUNT = "INSERT INTO users (id, kind, currency) {rows}"
_ADD_PAYOUT = "INSERT INTO payouts (id, caller, currency) {rows}"
_ADD_ITEM = "INSERT INTO payout_items (payout_id, number, user_id, amount) {rows}"
_ADD_SUSPENDED = "INSERT INTO suspended_items (payout_id, number, reason) {rows}"
# Guarded by the version of their player, who is changed with them.
_PUT_LIMITS = """
    INSERT INTO limits (user_id, kind, period, amount, pending, pending_from, window, used, last_bet)
    SELECT * FROM ({rows}) WHERE true
    ON CONFLICT (user_id, kind, period) DO UPDATE
    SET amount = excluded.amount, pending = excluded.pending, pending_from = excluded.pending_from,
        window = excluded.window, used = excluded.used, last_bet = excluded.last_bet
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
_CHANGE_PAYOUTS = """
    UPDATE payouts
    SET state = column1, items = column2, total = column3, done = column4, suspended = column5,
        last_transaction_id = column6
    FROM ({rows})
    WHERE id = column7 AND last_transaction_id = column8
"""
_CHANGE_SUSPENDED = """
    UPDATE suspended_items SET state = column1, last_transaction_id = column2
    FROM ({rows})
    WHERE payout_id = column3 AND number = column4 AND last_transaction_id = column5
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
    return {
        (kind, currency): user_id
        for kind, currency, user_id in connection.execute(_BOOKS, (CLEARING_ID_BASE,))
    }


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
    payouts: list[Payout] = []
    items: list[Item] = []
    suspended: list[Suspended] = []
    if touched.payout_ids:
        found = connection.execute(_PAYOUTS, (_json(touched.payout_ids),))
        payouts = [Payout(*row) for row in found]
        for numbers in touched.item_ranges:
            (text,) = connection.execute(_ITEMS, numbers).fetchone()
            items += _AS_ITEMS.decode(text)
            suspended += [Suspended(*row) for row in connection.execute(_SUSPENDED, numbers)]
    wanted_ids = [
        *user_ids,
        *(bet.user_id for bet in bets),
        *(hold.user_id for hold in holds),
        *(item.user_id for item in items),
    ]
    accounts: list[Account] = []
    if wanted_ids:
        (text,) = connection.execute(_ACCOUNTS, (_json(wanted_ids),)).fetchone()
        accounts = _AS_ACCOUNTS.decode(text)
        _add_limits(connection, {account.id: account for account in accounts if account.is_limited})
    newest = read_head(connection) if head else None
    return Found(accounts, known, refused, bets, holds, payouts, items, suspended, newest)


def _add_limits(connection: sqlite3.Connection, limited: dict[int, Account]) -> None:
    if limited:
        (text,) = connection.execute(_LIMITS, (_json(list(limited)),)).fetchone()
        for limit in _AS_LIMITS.decode(text):
            account = limited[limit.user_id]
            account.limits = [*account.limits, limit]


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
    _add_payouts(connection, view)
    in_bulk(connection, _PUT_LIMITS, changes.limits)
    if (
        in_bulk(connection, _CHANGE_ACCOUNTS, changes.accounts) != len(changes.accounts)
        or in_bulk(connection, _CHANGE_BETS, changes.bets) != len(changes.bets)
        or in_bulk(connection, _CHANGE_HOLDS, changes.holds) != len(changes.holds)
        or in_bulk(connection, _CHANGE_PAYOUTS, changes.payouts) != len(changes.payouts)
        or in_bulk(connection, _CHANGE_SUSPENDED, changes.suspended) != len(changes.suspended)
    ):
        return False
    if block is not None:
        connection.execute(_SEAL, block)
    return True


def _add_payouts(connection: sqlite3.Connection, view: View) -> None:
    in_bulk(connection, _ADD_ACCOUNT, [(each.id, each.kind, each.currency) for each in view.new_accounts])
    in_bulk(connection, _ADD_PAYOUT, [(each.id, each.caller, each.currency) for each in view.new_payouts])
    in_bulk(connection, _ADD_ITEM, view.new_items)
    in_bulk(
        connection,
        _ADD_SUSPENDED,
        [(each.payout_id, each.number, each.reason) for each in view.new_suspended],
    )


def _as_made(hold: Hold) -> tuple[int, int, str, str, int, int]:
    return hold.id, hold.user_id, hold.currency, hold.purpose, hold.amount_minor, hold.expires_at_us


_AS_ACCOUNTS = msgspec.json.Decoder(list[Account])
_AS_BETS = msgspec.json.Decoder(list[LiveBet])
_AS_ITEMS = msgspec.json.Decoder(list[Item])
_AS_LIMITS = msgspec.json.Decoder(list[Limit])
_AS_HOLDS = msgspec.json.Decoder(list[Hold])


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
