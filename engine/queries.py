"""What can be read beside the writer: wallets, bets, the way an account came about. Plain `sqlite3`, read
only.

Each function takes a connection and leaves no statement open.
"""

from __future__ import annotations

import sqlite3

from engine.archived_keys import hash_of_key
from engine.archives import across, demand
from engine.commands import BET_SCOPE
from engine.limits import told, used
from engine.looks import snapshot
from engine.records import Limit
from engine.snapshots import (
    ArchiveState,
    BetState,
    FreeBetState,
    ItemState,
    LimitState,
    ListedPayout,
    PayoutState,
    PostedEntry,
    WalletOf,
    WalletState,
)


def wallet(connection: sqlite3.Connection, user_id: int) -> WalletState | None:
    """The wallet of a player, or the bonus wallet beside it; None if there is no such wallet."""
    row = connection.execute(
        """
        SELECT id, currency, status, balance, held, balance - held - floor, last_entry_id
        FROM users WHERE id = ? AND (kind = 'player' OR kind = 'player_bonus')
        """,
        (user_id,),
    ).fetchone()
    return None if row is None else WalletState(*row)


def bet(connection: sqlite3.Connection, bet_id: str) -> BetState | None:
    """The state of a bet that was confirmed, refused for good or rolled back before it came; None if this
    file, with the archives that are joined, knows nothing of it.

    Rolled back before it came, it is nobody's (user 0), until it comes and is refused. `seq` is that of the
    entry that staked it.
    """
    row = connection.execute(
        """
        SELECT bets.user_id, bets.state, bets.stake, bets.payout, bets.transaction_id,
               json_extract(transactions.answer, '$.seq'), NULL
        FROM transactions JOIN bets ON bets.transaction_id = transactions.id
        WHERE transactions.scope = :scope AND transactions.key = :bet_id
        UNION ALL
        SELECT user_id, 'rejected', stake, 0, NULL, NULL, code FROM refusals WHERE bet_id = :bet_id
        UNION ALL
        SELECT 0, 'rolled_back', coalesce(json_extract(answer, '$.bet.stake_minor'), 0), 0, NULL, NULL, NULL
        FROM transactions WHERE scope = :scope AND key = :bet_id AND kind = 'TOMBSTONE'
          AND NOT EXISTS (SELECT 1 FROM refusals WHERE bet_id = :bet_id)
        """,
        {"scope": BET_SCOPE, "bet_id": bet_id},
    ).fetchone()
    return None if row is None else BetState(*row)


def is_archived(connection: sqlite3.Connection, bet_id: str) -> bool:
    """Whether a bet of this id is in an archive, or is being moved there."""
    hash_ = hash_of_key(BET_SCOPE, bet_id)
    return connection.execute("SELECT 1 FROM archived_keys WHERE hash = ?", (hash_,)).fetchone() is not None


def archived_bet(connection: sqlite3.Connection, bet_id: str) -> BetState | None:
    """As `bet`, of one that `is_archived`. Raises `ArchiveUnusable`, also where its archive is missing."""
    found = across(connection, lambda: bet(connection, bet_id))
    if found is None:
        demand(connection)
    return found


def expiries_due(connection: sqlite3.Connection, now_us: int, most: int) -> list[tuple[str, int, int]]:
    """Kind (`hold`, `bonus` or `free bet`), id and time of at most `most` open ones whose time has come, by
    the clock or the newest block: block time does not run back. Those that came first.
    """
    # Each is looked up by its own index, and no more of it than is wanted.
    return connection.execute(
        """
        WITH clock (now) AS (
            SELECT max(:now_us, coalesce((SELECT at FROM blocks WHERE id = (SELECT max(id) FROM blocks)), 0))
        )
        SELECT * FROM (SELECT 'hold', id, expires_at FROM holds, clock
                       WHERE state = 'open' AND expires_at > 0 AND expires_at <= now
                       ORDER BY expires_at LIMIT :most)
        UNION ALL
        SELECT * FROM (SELECT 'bonus', user_id, expires_at FROM bonuses, clock
                       WHERE state = 'open' AND expires_at > 0 AND expires_at <= now
                       ORDER BY expires_at LIMIT :most)
        UNION ALL
        SELECT * FROM (SELECT 'free bet', id, expires_at FROM free_bets, clock
                       WHERE state = 'open' AND expires_at > 0 AND expires_at <= now
                       ORDER BY expires_at LIMIT :most)
        ORDER BY 3 LIMIT :most
        """,
        {"now_us": now_us, "most": most},
    ).fetchall()


def newest_block_at(connection: sqlite3.Connection) -> int:
    """The time of the newest block; 0 before the first."""
    found = connection.execute("SELECT at FROM blocks ORDER BY id DESC LIMIT 1").fetchone()
    return 0 if found is None else int(found[0])


def payouts_under_way(connection: sqlite3.Connection, after: int, most: int) -> list[tuple[int, int]]:
    """Id and number of the next item of at most `most` payouts that are being paid: first those with an id
    above `after`, oldest first, then the others.
    """
    later, others = (
        connection.execute(sql, (after, most)).fetchall()
        for sql in (
            "SELECT id, done FROM payouts WHERE state = 'paying' AND id > ? ORDER BY id LIMIT ?",
            "SELECT id, done FROM payouts WHERE state = 'paying' AND id <= ? ORDER BY id LIMIT ?",
        )
    )
    return [*later, *others][:most]


def payout(
    connection: sqlite3.Connection, payout_id: int, suspended_from: int, most: int
) -> PayoutState | None:
    """A payout, with at most `most` of the items that could not be paid, from number `suspended_from` on."""
    row = connection.execute(
        "SELECT id, state, items, total, done, suspended FROM payouts WHERE id = ?", (payout_id,)
    ).fetchone()
    if row is None:
        return None
    found = connection.execute(
        """
        SELECT item.number, item.user_id, item.amount, suspended.reason, suspended.state
        FROM suspended_items AS suspended
        JOIN payout_items AS item ON (item.payout_id, item.number) = (suspended.payout_id, suspended.number)
        WHERE suspended.payout_id = ? AND suspended.number >= ? ORDER BY suspended.number LIMIT ?
        """,
        (payout_id, suspended_from, most),
    )
    id_, state, items, total_minor, done, suspended = row
    in_suspense = [ItemState(*each) for each in found]
    return PayoutState(id_, state, items, total_minor, done, suspended, in_suspense)


def payouts_before(connection: sqlite3.Connection, before: int | None, most: int) -> list[ListedPayout]:
    """At most `most` payouts, newest first: those with a number below `before`, if that is told."""
    found = connection.execute(
        """
        SELECT payouts.id, state, items, total, done, suspended, currency, blocks.at
        FROM payouts
        JOIN transactions ON transactions.id = payouts.id
        JOIN blocks ON blocks.id = transactions.block_id
        WHERE payouts.id < coalesce(?, 9223372036854775807) ORDER BY payouts.id DESC LIMIT ?
        """,
        (before, most),
    )
    return [ListedPayout(*row) for row in found]


def archive(connection: sqlite3.Connection, archive_id: int | None) -> ArchiveState | None:
    """An archive of this file, the newest one if `archive_id` is None; None if there is none."""
    row = connection.execute(
        """
        SELECT id, iif(moved_transaction_id = upto_transaction_id AND moved_entry_id = upto_entry_id
                       AND state = 'moving', 'moved', state),
               block_id, upto_transaction_id, upto_entry_id, moved_transaction_id, moved_entry_id
        FROM archives WHERE id = coalesce(?, (SELECT max(id) FROM archives))
        """,
        (archive_id,),
    ).fetchone()
    return None if row is None else ArchiveState(*row)


def limits(connection: sqlite3.Connection, user_id: int, at_us: int, matured_us: int) -> list[LimitState]:
    """The limits of a wallet as they are at this time (see `engine/limits.py`), also those that were taken
    away; and whether its player has excluded himself, which is written at his first wallet."""
    found = connection.execute(
        """
        SELECT user_id, kind, period, amount, pending, pending_from, window, used, last_bet
        FROM limits
        WHERE user_id = :user_id
           OR (kind = 'exclusion' AND user_id = (SELECT participant_id FROM users WHERE id = :user_id))
        ORDER BY kind, period
        """,
        {"user_id": user_id},
    )
    return [
        LimitState(told(limit, matured_us), used(limit, at_us)) for limit in (Limit(*row) for row in found)
    ]


def wallets(connection: sqlite3.Connection, user_id: int) -> list[WalletOf]:
    """All wallets of the person whose wallet `user_id` is, by id; none if it is nobody's."""
    # The first one has his number; only the others are in the index `further_wallets`.
    found = connection.execute(
        """
        SELECT id, participant_id, kind, currency, status, balance, held, balance - held - floor,
               last_entry_id, wallet_id, spend, bonuses.expires_at, bonuses.state
        FROM users LEFT JOIN bonuses ON bonuses.user_id = users.id
        WHERE users.id IN (
            SELECT participant_id FROM users WHERE id = :user_id
            UNION
            SELECT id FROM users
            WHERE participant_id = (SELECT participant_id FROM users WHERE id = :user_id)
              AND participant_id <> id)
        ORDER BY id
        """,
        {"user_id": user_id},
    )
    return [WalletOf(*row) for row in found]


def free_bets(connection: sqlite3.Connection, user_id: int, most: int) -> list[FreeBetState]:
    """At most `most` of the free bets that this wallet may place, those first that expire first."""
    found = connection.execute(
        """
        SELECT id, amount, expires_at FROM free_bets
        WHERE user_id = ? AND state = 'open' ORDER BY expires_at = 0, expires_at, id LIMIT ?
        """,
        (user_id, most),
    )
    return [FreeBetState(*row) for row in found]


def entries_after(
    connection: sqlite3.Connection, user_id: int, from_seq: int, most: int
) -> tuple[list[PostedEntry], bool, bool]:
    """The holder's entries in the hot file with an id above `from_seq`, oldest first, at most `most`; whether
    there are more; and whether there are others between, which were archived.

    Follows the account's chain back from its newest entry, so it costs one look-up for each later entry.
    """
    with snapshot(connection):  # entries are archived meanwhile
        return _entries_after(connection, user_id, from_seq, most)


def _entries_after(
    connection: sqlite3.Connection, user_id: int, from_seq: int, most: int
) -> tuple[list[PostedEntry], bool, bool]:
    archived_upto = newest_archived(connection, user_id)
    (ids,) = connection.execute(
        """
        WITH RECURSIVE chain (id) AS (
            SELECT last_entry_id FROM users WHERE id = :user_id AND last_entry_id > :after
            UNION ALL
            SELECT prev_id FROM chain JOIN main.transaction_ledger USING (id) WHERE prev_id > :after
        )
        SELECT json_group_array(id) FROM (SELECT id FROM chain ORDER BY id LIMIT :most)
        """,
        {"user_id": user_id, "after": max(from_seq, archived_upto), "most": most + 1},
    ).fetchone()
    found = connection.execute(
        """
        SELECT entry.id, entry.prev_id, entry.transaction_id, entry.ref_type, entry.amount,
        entry.balance_after,
               entry.ref_id, blocks.at
        FROM json_each(?) AS wanted
        JOIN main.transaction_ledger AS entry ON entry.id = wanted.value
        JOIN blocks ON blocks.id = entry.block_id
        ORDER BY entry.id
        """,
        (ids,),
    ).fetchall()
    return [PostedEntry(*row) for row in found[:most]], len(found) > most, archived_upto > from_seq


def newest_archived(connection: sqlite3.Connection, user_id: int) -> int:
    """The newest entry of this account that was archived; 0 if none was."""
    carried = connection.execute(
        "SELECT prev_id FROM main.transaction_ledger WHERE id = ?", (-user_id,)
    ).fetchone()
    return 0 if carried is None else int(carried[0])
