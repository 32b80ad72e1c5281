"""A batch as rows: write what it changed. Plain `sqlite3`; called by the store only.

The statements are the whole of the writer's SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from engine import audit_log
from engine.blocks import Block
from engine.bulk import in_bulk
from engine.records import Account
from engine.subjects import Archive, Bonus, FreeBet, Hold, LiveBet, Payout, Suspended
from engine.view import Changes, View

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
_MOVE = """
    UPDATE users
    SET balance = balance + column1, version = version + 1, last_entry_id = column2,
        refused_minute = column3, refused_count = column4
    FROM ({rows})
    WHERE id = column5 AND version = column6 AND balance + column1 - held - floor >= 0
"""
# Apart from the one before: its columns have triggers, which bets need not fire.
_CHANGE_ACCOUNTS = """
    UPDATE users
    SET balance = balance + column1, version = version + 1, last_entry_id = column2,
        refused_minute = column3, refused_count = column4,
        held = column7, owed = column8, status = column9, limited = column10, floor = column11
    FROM ({rows})
    WHERE id = column5 AND version = column6 AND balance + column1 - column7 - column11 >= 0
"""
_ADD_ITEM = "INSERT INTO payout_items (payout_id, number, user_id, amount) {rows}"
_ADD_PARTICIPANT = "INSERT INTO participants (id) {rows}"
# Each kind as it begins, in an order in which each finds what it refers to (see `as_made` of the kind).
_ADD: dict[type, str] = {
    Account: "INSERT INTO users (id, kind, currency, participant_id) "
    "SELECT column1, column2, column3, nullif(column4, 0) FROM ({rows})",
    Bonus: """
        INSERT INTO bonuses (user_id, wallet_id, spend, expires_at, state, last_transaction_id)
        {rows}
    """,
    FreeBet: "INSERT INTO free_bets (id, user_id, currency, amount, expires_at) {rows}",
    Hold: """
        INSERT INTO holds (id, user_id, currency, purpose, amount, expires_at, remaining)
        SELECT *, column5 FROM ({rows})
    """,
    Payout: "INSERT INTO payouts (id, caller, currency) {rows}",
    Archive: """
        INSERT INTO archives
            (id, block_id, upto_transaction_id, upto_entry_id, moved_transaction_id, moved_entry_id)
        SELECT *, 0, (SELECT coalesce(max(upto_entry_id), 0) FROM archives) FROM ({rows})
    """,
}
_ADD_SUSPENDED = "INSERT INTO suspended_items (payout_id, number, reason) {rows}"
# Guarded by the version of their player, who is changed with them.
_PUT_LIMITS = """
    INSERT INTO limits (user_id, kind, period, amount, pending, pending_from, window, used, last_bet)
    SELECT * FROM ({rows}) WHERE true
    ON CONFLICT (user_id, kind, period) DO UPDATE
    SET amount = excluded.amount, pending = excluded.pending, pending_from = excluded.pending_from,
        window = excluded.window, used = excluded.used, last_bet = excluded.last_bet
"""
# Likewise guarded: by the newest transaction that the row was read with (see `as_changed` of the kind).
_CHANGE: dict[type, str] = {
    LiveBet: """
        UPDATE bets
        SET state = column1, payout = column2, settled = column3, cashed_stake = column4,
            last_transaction_id = column5
        FROM ({rows})
        WHERE transaction_id = column6 AND last_transaction_id = column7
    """,
    Hold: """
        UPDATE holds SET state = column1, remaining = column2, last_transaction_id = column3
        FROM ({rows})
        WHERE id = column4 AND last_transaction_id = column5
    """,
    Bonus: """
        UPDATE bonuses
        SET spend = column1, expires_at = column2, state = column3, last_transaction_id = column4
        FROM ({rows})
        WHERE user_id = column5 AND last_transaction_id = column6
    """,
    FreeBet: """
        UPDATE free_bets SET state = column1, last_transaction_id = column2
        FROM ({rows})
        WHERE id = column3 AND last_transaction_id = column4
    """,
    Payout: """
        UPDATE payouts
        SET state = column1, items = column2, total = column3, done = column4, suspended = column5,
            last_transaction_id = column6
        FROM ({rows})
        WHERE id = column7 AND last_transaction_id = column8
    """,
    Archive: """
        UPDATE archives
        SET state = column1, openings = column2, carried = column3, last_transaction_id = column4
        FROM ({rows})
        WHERE id = column5 AND last_transaction_id = column6
    """,
    Suspended: """
        UPDATE suspended_items SET state = column1, last_transaction_id = column2
        FROM ({rows})
        WHERE payout_id = column3 AND number = column4 AND last_transaction_id = column5
    """,
}
_SEAL = """
    INSERT INTO blocks
        (id, format, first_transaction_id, last_transaction_id, first_entry_id, last_entry_id, at, prev_hash,
         history, root, key_id, hash, peak, signature)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def write(
    connection: sqlite3.Connection,
    view: View,
    changes: Changes,
    block: Block | None,
    at_halfway: Callable[[], object],
) -> bool:
    """Write what the view has changed, inside the transaction that the caller has begun.

    Returns False, with the transaction half-written, if a guard found a row that is no longer as it was read:
    the caller rolls back. `block` is None when only refusals and deeds are written. `at_halfway` is called
    when somewhat more than half of the work is done, COMMIT included.
    """
    if block is not None:
        connection.execute(_OPEN_BATCH, (block.id, block.first_transaction_id, block.first_entry_id))
        in_bulk(connection, _ADD_TRANSACTION, view.new_transactions)
        in_bulk(connection, _ADD_ENTRY, view.new_entries)
    at_halfway()
    in_bulk(connection, _ADD_BET, view.new_bets)
    made = view.made
    in_bulk(connection, _ADD_PARTICIPANT, [(id_,) for id_, *_, whose in made[Account] if id_ == whose])
    for kind, add in _ADD.items():
        if rows := made.get(kind):
            in_bulk(connection, add, rows)
    in_bulk(connection, _ADD_REFUSAL, view.new_refusals)  # also of a wallet that this batch opens
    in_bulk(connection, _ADD_ITEM, view.new_items)
    in_bulk(connection, _ADD_SUSPENDED, made[Suspended])
    in_bulk(connection, _PUT_LIMITS, changes.limits)
    if in_bulk(connection, _MOVE, changes.moved) != len(changes.moved):
        return False
    if in_bulk(connection, _CHANGE_ACCOUNTS, changes.accounts) != len(changes.accounts):
        return False
    for kind, change in _CHANGE.items():
        changed = changes.rows.get(kind)
        if changed and in_bulk(connection, change, changed) != len(changed):
            return False
    if view.new_deeds:
        audit_log.write(connection, view.new_deeds)
    if block is not None:
        connection.execute(_SEAL, block)
    return True
