"""The bets and the entries of a wallet, newest first and page by page, out of the chain of its entries. Plain
`sqlite3`, read only.

There is no index of bets by wallet, which would scatter every batch (docs/adr/0003): a page walks the chain,
`WALKED` entries of it and no more, however many of them staked a bet.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from engine.looks import snapshot
from engine.queries import newest_archived
from engine.snapshots import PostedEntry

WALKED: Final = 4096
"""Entries that one page walks: some 10 ms."""

_NEWEST = "SELECT last_entry_id FROM users WHERE id = :user_id"
_BEFORE = "SELECT prev_id FROM main.transaction_ledger WHERE id = :before AND user_id = :user_id"


class StakedBet(NamedTuple):
    """A bet, and the entry of the wallet that staked it. Amounts in minor units."""

    bet_id: str
    state: str
    stake_minor: int
    payout_minor: int
    transaction_id: int
    seq: int
    at_us: int
    game: str | None
    round: str | None
    selection: str | None
    odds_milli: int | None


class BetPage(NamedTuple):
    """Some bets, newest first. `next`: the entry before which the next page begins, None at the end;
    `gap`: older ones were archived."""

    bets: list[StakedBet]
    next: int | None
    gap: bool


def bets_before(
    connection: sqlite3.Connection, user_id: int, before: int | None, state: str | None, most: int
) -> BetPage | None:
    """At most `most` bets that this wallet paid for, or a part of it, in `state` if that is told, from the
    newest or from its entry `before` backwards. None if `before` is no entry of this wallet.

    What a bonus or a free bet has paid all of is not among them: this wallet has no entry of it.
    """
    with snapshot(connection):  # entries are archived meanwhile
        return _bets_before(connection, user_id, before, state, most)


def _bets_before(
    connection: sqlite3.Connection, user_id: int, before: int | None, state: str | None, most: int
) -> BetPage | None:
    archived_upto = newest_archived(connection, user_id)
    row = connection.execute(
        _NEWEST if before is None else _BEFORE, {"user_id": user_id, "before": before}
    ).fetchone()
    if row is None:
        # A page may have ended at an entry that was archived since.
        return BetPage([], None, True) if before is not None and 0 < before <= archived_upto else None
    found = connection.execute(
        """
        WITH RECURSIVE chain (id, steps) AS (
            SELECT :newest, 1 WHERE :newest > :archived_upto
            UNION ALL
            SELECT prev_id, steps + 1 FROM chain JOIN main.transaction_ledger USING (id)
            WHERE prev_id > :archived_upto AND steps < :walked
        )
        SELECT entry.ref_id, bets.state, bets.stake, bets.payout, bets.transaction_id, entry.id, blocks.at,
               bets.game, bets.round, bets.selection, bets.odds_milli, entry.prev_id,
               steps = :walked
        FROM chain
        CROSS JOIN main.transaction_ledger AS entry ON entry.id = chain.id
        CROSS JOIN blocks ON blocks.id = entry.block_id
        LEFT JOIN bets ON bets.transaction_id = entry.transaction_id AND entry.ref_type = 'BET'
                      AND (:state IS NULL OR bets.state = :state)
        WHERE bets.transaction_id IS NOT NULL OR steps = :walked
        LIMIT :most
        """,
        {
            "newest": row[0],
            "archived_upto": archived_upto,
            "walked": WALKED,
            "state": state,
            "most": most,
        },
    ).fetchall()
    bets = [StakedBet(*each[:11]) for each in found if each[4] is not None]
    # Cut short by the page's size, or by the walk's: either way the last row is where it ended.
    is_cut = len(found) == most or (bool(found) and found[-1][12])
    goes_on = is_cut and found[-1][11] > archived_upto
    return BetPage(bets, int(found[-1][5]) if goes_on else None, archived_upto > 0)


class EntryPage(NamedTuple):
    """Some entries, newest first. `more`: there are older ones in this file; `gap`: others were archived."""

    entries: list[PostedEntry]
    more: bool
    gap: bool


def entries_before(connection: sqlite3.Connection, user_id: int, before: int, most: int) -> EntryPage | None:
    """At most `most` entries of this wallet: those before its entry `before`, or the newest where `before` is
    above all of them. None if `before` is neither. It costs one look-up for each."""
    with snapshot(connection):  # likewise
        return _entries_before(connection, user_id, before, most)


def _entries_before(connection: sqlite3.Connection, user_id: int, before: int, most: int) -> EntryPage | None:
    archived_upto = newest_archived(connection, user_id)
    names = {"user_id": user_id, "before": before}
    row = connection.execute(f"{_NEWEST} AND last_entry_id < :before", names).fetchone()
    row = row or connection.execute(_BEFORE, names).fetchone()
    if row is None:
        return EntryPage([], False, True) if 0 < before <= archived_upto else None
    found = connection.execute(
        """
        WITH RECURSIVE chain (id, steps) AS (
            SELECT :newest, 1 WHERE :newest > :archived_upto
            UNION ALL
            SELECT prev_id, steps + 1 FROM chain JOIN main.transaction_ledger USING (id)
            WHERE prev_id > :archived_upto AND steps <= :most
        )
        SELECT entry.id, entry.prev_id, entry.transaction_id, entry.ref_type, entry.amount,
               entry.balance_after, entry.ref_id, blocks.at
        FROM chain
        CROSS JOIN main.transaction_ledger AS entry ON entry.id = chain.id
        CROSS JOIN blocks ON blocks.id = entry.block_id
        ORDER BY entry.id DESC
        """,
        {"newest": row[0], "archived_upto": archived_upto, "most": most},
    ).fetchall()
    entries = [PostedEntry(*each) for each in found[:most]]
    return EntryPage(entries, len(found) > most, archived_upto > 0)
