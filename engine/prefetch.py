"""What a batch has to know, read in bulk. Plain `sqlite3`; called by the store only.

Reads only: what is written is in rows.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from engine.accounts import last_user_id
from engine.archived_keys import hash_of_key
from engine.bulk import found_in_bulk
from engine.commands import BET_SCOPE, CLEARING_ID_BASE, Touched
from engine.history import newest_block
from engine.merkle import peak_ends
from engine.records import GENESIS, Account, Head, Item, Limit, Refusal, Transaction
from engine.subjects import Archive, Bonus, FreeBet, Hold, LiveBet, Payout, Suspended
from engine.view import Boundary
from engine.warm import Books, Found

_HEAD = """
    SELECT id, hash, at, last_transaction_id, last_entry_id FROM blocks ORDER BY id DESC LIMIT 1
"""
_PEAKS = "SELECT peak FROM blocks WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
_ENDS = "SELECT last_transaction_id, last_entry_id FROM blocks WHERE id = ?"
_BOOKS = "SELECT kind, currency, id FROM users WHERE participant_id IS NULL AND id < ?"
# One row for all accounts: each row would be a step of its own (see bulk.py).
_ACCOUNTS = """
    SELECT json_group_array(json_array(id, kind, currency, status, balance, held, floor, version,
                                       last_entry_id, refused_minute, refused_count, owed, limited,
                                       coalesce(participant_id, 0)))
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
    SELECT json_group_array(json_array(placed.key, bets.transaction_id, user_id, currency, stake,
                                       coalesce(json_extract(placed.answer, '$.source.user_id'), 0),
                                       coalesce(json_extract(placed.answer, '$.source.amount_minor'), 0),
                                       coalesce(json_extract(placed.answer, '$.free_bet.id'), 0), state,
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
_FREE_BETS = """
    SELECT json_group_array(json_array(id, user_id, currency, amount, expires_at, state, last_transaction_id))
    FROM free_bets WHERE id IN (SELECT value FROM json_each(?))
"""
_BONUSES = """
    SELECT user_id, wallet_id, spend, expires_at, state, last_transaction_id
    FROM json_each(?) AS wanted JOIN bonuses ON user_id = wanted.value OR wallet_id = wanted.value
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

_ARCHIVE = """
    SELECT id, block_id, upto_transaction_id, upto_entry_id, state, last_transaction_id, openings, carried
    FROM archives ORDER BY id DESC LIMIT 1
"""
# CROSS JOIN: one key after another is looked up, in their order; an IN would sort them once more.
_ARCHIVED = "SELECT hash FROM ({rows}) CROSS JOIN archived_keys ON hash = column1"
_MOVED = """
    SELECT count(*), coalesce(max(id) FILTER (WHERE moved_transaction_id = upto_transaction_id
                                                AND moved_entry_id = upto_entry_id), 0)
    FROM archives
"""

_LIMITS = """
    SELECT json_group_array(json_array(user_id, kind, period, amount, pending, pending_from, window, used,
                                       last_bet))
    FROM limits WHERE user_id IN (SELECT value FROM json_each(?))
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
    if row is None:
        return GENESIS
    ends = _json(peak_ends(row[0]))
    peaks = tuple(peak for (peak,) in connection.execute(_PEAKS, (ends,)))
    return Head(*row)._replace(peaks=peaks)


def look_up(
    connection: sqlite3.Connection, touched: Touched, user_ids: Iterable[int], *, head: bool
) -> Found:
    """What the file says of what a batch touches, of these accounts, and where its chain stands if `head`.

    Whose bets, holds and free bets are touched, his account is looked up as well; so are the bonus wallet
    beside each wallet, and the first wallet of its participant.
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
    free_bets: list[FreeBet] = []
    free_bet_ids = [*touched.free_bet_ids, *(bet.free_bet_id for bet in bets if bet.free_bet_id)]
    if free_bet_ids:
        (text,) = connection.execute(_FREE_BETS, (_json(free_bet_ids),)).fetchone()
        free_bets = _AS_FREE_BETS.decode(text)
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
    accounts = _look_up_accounts(
        connection,
        {
            *user_ids,
            *(bet.user_id for bet in bets),
            *(hold.user_id for hold in holds),
            *(free_bet.user_id for free_bet in free_bets),
            *(item.user_id for item in items),
        },
    )
    archived: frozenset[tuple[str, str]] = frozenset()
    newest_archive = connection.execute(_ARCHIVE).fetchone()
    if newest_archive is not None:
        # Behind the look at `transactions`: a key is written here before its transaction goes there.
        unknown = set(touched.keys) - {(each.scope, each.key) for each in known}
        archived = _archived(connection, unknown)
    boundaries = {before_us: _boundary(connection, before_us) for before_us in touched.boundaries}
    newest = read_head(connection) if head else None
    last_id = last_user_id(connection) if head else None
    archive = Archive(*newest_archive) if newest_archive is not None and head else None
    return Found(
        accounts,
        known,
        refused,
        bets,
        holds,
        payouts,
        items,
        suspended,
        free_bets,
        newest,
        last_id,
        archive,
        archived,
        boundaries,
    )


def _look_up_accounts(connection: sqlite3.Connection, wanted: set[int]) -> list[Account]:
    """These accounts, and those that a bet on them may need."""
    found: dict[int, Account] = {}
    while wanted:
        ids = _json(list(wanted))
        (text,) = connection.execute(_ACCOUNTS, (ids,)).fetchone()
        accounts = {account.id: account for account in _AS_ACCOUNTS.decode(text)}
        _add_limits(connection, {id_: account for id_, account in accounts.items() if account.is_limited})
        found |= accounts
        beside = {account.participant_id for account in accounts.values() if account.is_wallet}
        for row in connection.execute(_BONUSES, (ids,)):
            bonus = Bonus(*row)
            for id_ in (bonus.user_id, bonus.wallet_id):
                beside.add(id_)
                if id_ in found:
                    found[id_].bonus = bonus
        wanted = beside - found.keys() - wanted
    return list(found.values())


def _archived(connection: sqlite3.Connection, keys: set[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    by_hash = {hash_of_key(*key): key for key in keys}
    found = found_in_bulk(connection, _ARCHIVED, [(hash_,) for hash_ in sorted(by_hash)])
    return frozenset(by_hash[hash_] for (hash_,) in found)


def _boundary(connection: sqlite3.Connection, before_us: int) -> Boundary:
    archives, moved_id = connection.execute(_MOVED).fetchone()
    block_id = newest_block(connection, before_us - 1)
    transaction_id, entry_id = connection.execute(_ENDS, (block_id,)).fetchone() or (0, 0)
    return Boundary(block_id, transaction_id, entry_id, moved_id, archives)


def _add_limits(connection: sqlite3.Connection, limited: dict[int, Account]) -> None:
    if limited:
        (text,) = connection.execute(_LIMITS, (_json(list(limited)),)).fetchone()
        for limit in _AS_LIMITS.decode(text):
            account = limited[limit.user_id]
            account.limits = (*account.limits, limit)


_AS_ACCOUNTS = msgspec.json.Decoder(list[Account])
_AS_BETS = msgspec.json.Decoder(list[LiveBet])
_AS_ITEMS = msgspec.json.Decoder(list[Item])
_AS_LIMITS = msgspec.json.Decoder(list[Limit])
_AS_FREE_BETS = msgspec.json.Decoder(list[FreeBet])
_AS_HOLDS = msgspec.json.Decoder(list[Hold])


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
