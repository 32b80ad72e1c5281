"""One account's history, oldest first, out of the chain that runs from its newest entry back. Plain
`sqlite3`, read only.

The one place that reads history by account, so that an archive of old entries has one place to be joined to.
Each query is a snapshot of its own of a few milliseconds: entries and blocks never change, so what was read
before the writer went on is as true after it, and no reader pins the WAL. Memory does not grow with the
account: the chain is walked once for its marks, one entry in `CHUNK`, and again from each mark to the next.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from engine.archives import across, demand, unread_upto
from engine.counterparties import Leg, Side, other_side
from engine.errors import HistoryBroken
from engine.snapshots import PostedEntry

CHUNK: Final = 4096
"""Entries that one query walks: some 5 ms, and for the marks of 10^7 entries 20 KB."""

SCAN_ROWS: Final = 4 * CHUNK
"""Rows of the ledger that one query looks through: about as long as a walk of `CHUNK`."""

_REACH = 4
"""How far on either side of an entry the other legs of its transaction are looked for at first: a bet has
two, a win that is shared and kept back five."""

_ENDS = 8
"""Of a longer transaction, how many of its first and of its last legs are looked at. Those of a payout are up
to 201, a transfer's up to 100; the source of a payout is the first."""

_HEAD = """
    SELECT users.id, kind, currency, users.last_entry_id, coalesce(blocks.id, 0)
    FROM users LEFT JOIN blocks ON blocks.id = (SELECT max(id) FROM blocks)
    WHERE users.id = ?
"""
# Where archives are joined, the ledger and the transactions are views: a scalar subquery over one is a
# look-up in each of its parts, and so is one view behind a CROSS JOIN; of more, or of a view joined in a
# recursive term, SQLite would make a table (docs/archive.md). CROSS JOIN and the unary + also keep it from
# plans that scan the whole ledger, or make an index of it, for each chunk (sqlite.org/optoverview.html).
_WALK = """
    WITH RECURSIVE chain (id, steps) AS (
        SELECT :id, 0
        UNION ALL
        SELECT (SELECT prev_id FROM transaction_ledger AS entry WHERE entry.id = chain.id), steps + 1
        FROM chain WHERE id > :until AND steps < :most
    )
    SELECT min(id) FROM chain
"""
_SCAN = """
    SELECT id FROM transaction_ledger
    WHERE id > :above AND id <= :upto AND user_id = :user_id ORDER BY id DESC LIMIT 1
"""
_CHAIN = """
    WITH RECURSIVE chain (id) AS (
        SELECT :newest
        UNION ALL
        SELECT (SELECT prev_id FROM transaction_ledger AS entry WHERE entry.id = chain.id)
        FROM chain WHERE id > :after
    )
    SELECT json_group_array(id) FROM chain WHERE id > :after
"""
_ENTRIES = """
    SELECT entry.id, entry.prev_id, entry.transaction_id, entry.ref_type, entry.amount, entry.balance_after,
           entry.ref_id, blocks.at, entry.user_id, entry.currency, entry.block_id,
           (SELECT kind FROM transactions WHERE transactions.id = entry.transaction_id)
    FROM json_each(?) AS wanted
    CROSS JOIN transaction_ledger AS entry ON entry.id = wanted.value
    CROSS JOIN blocks ON blocks.id = entry.block_id
    ORDER BY entry.id
"""
# Of an object that names the transaction of each entry: a key is a text.
_LEGS_AROUND = """
    SELECT CAST(wanted.key AS INTEGER), leg.id, leg.user_id, holder.kind, leg.amount, leg.currency
    FROM json_each(:transactions) AS wanted
    CROSS JOIN transaction_ledger AS leg
            ON leg.id BETWEEN CAST(wanted.key AS INTEGER) - :reach AND CAST(wanted.key AS INTEGER) + :reach
           AND +leg.transaction_id = wanted.value
    CROSS JOIN users AS holder ON holder.id = leg.user_id
"""
_LEGS = """
    SELECT leg.id, leg.user_id, users.kind, leg.amount
    FROM transaction_ledger AS leg JOIN users ON users.id = leg.user_id
    WHERE leg.id BETWEEN ? AND ? AND leg.currency = (SELECT currency FROM transaction_ledger WHERE id = ?)
"""
_RANGE_OF_BLOCK = """
    SELECT first_entry_id, last_entry_id FROM blocks
    WHERE id = (SELECT block_id FROM transaction_ledger WHERE id = ?)
"""


class Head(NamedTuple):
    """An account and where its history ends, both of one moment. `block_id`: the newest block, 0 if none."""

    user_id: int
    kind: str
    currency: str
    last_entry_id: int
    block_id: int


class StatedEntry(NamedTuple):
    """An entry, the kind of its transaction, and who is on the other side of that."""

    posted: PostedEntry
    transaction_kind: str
    other_side: Side


def head(connection: sqlite3.Connection, user_id: int) -> Head | None:
    """The account as it is now; None if there is none with this id."""
    row = connection.execute(_HEAD, (user_id,)).fetchone()
    return None if row is None else Head(*row)


def newest_upto(connection: sqlite3.Connection, account: Head, at_us: int) -> int:
    """The id of the account's newest entry that was posted at or before `at_us`; 0 if there is none.

    A binary search over the blocks, whose times never run back, turns the time into an entry's id. From
    there two searches take turns, and the first to arrive has the answer: along the account's chain from its
    newest entry back, one look-up for each entry after the time, and through the ledger back from that id,
    one row for each entry that others made since. An account with many entries is soon met by the second,
    one with few by the first. With its n entries evenly spread among the ledger's N, the work is about the
    lesser of n and N / n, so some √N at the most: no index by user is wanted (docs/adr/0003). Seen on 2 busy
    cores, N = 2,000,000, n from 100 to 1,000,000, 199 times: 0.1 to 1.6 ms on average.
    """
    upto = _last_entry_by(connection, account, at_us)
    walked, scanned = account.last_entry_id, upto
    while walked > upto:
        above = scanned - SCAN_ROWS
        values = {"above": above, "upto": scanned, "user_id": account.user_id}
        row = across(connection, partial(_first, connection, _SCAN, values))
        if max(above, 0) >= unread_upto(connection):  # else he may have newer ones in a file that is missing
            if row is not None:
                return int(row[0])
            scanned = above
            if scanned <= 0:
                return 0
        walked = _walk(connection, walked, upto)
    return walked


def balance_after(connection: sqlite3.Connection, user_id: int, entry_id: int) -> int:
    """The balance that this entry of the account left, in minor units; 0 for entry 0, before the first."""
    if not entry_id:
        return 0
    # The last that was archived is carried in the hot file: that needs no archive.
    sql = """
        SELECT balance_after FROM transaction_ledger WHERE id = :entry_id
        UNION ALL
        SELECT balance_after FROM main.transaction_ledger WHERE id = -:user_id AND prev_id = :entry_id
    """
    values = {"user_id": user_id, "entry_id": entry_id}
    row = across(connection, partial(_first, connection, sql, values))
    if row is None:
        raise _not_here(connection, entry_id)
    return int(row[0])


def marks(connection: sqlite3.Connection, newest: int, after: int) -> Sequence[int]:
    """The entry `newest`, then every `CHUNK`th before it that comes after the entry `after`; last, the one at
    which it ends: `after`, or the account's newest before that, or 0.
    """
    found = array("q", (newest,))
    while found[-1] > after:
        found.append(_walk(connection, found[-1], after))
    return found


def entries(connection: sqlite3.Connection, user_id: int, marked: Sequence[int]) -> Iterator[StatedEntry]:
    """What lies between the marks, oldest first, `CHUNK` entries read at a time.

    Raises `HistoryBroken` at the first entry that does not continue the one before it: of another account, or
    with another balance than the one before and its amount make.
    """
    before, balance_minor = marked[-1], balance_after(connection, user_id, marked[-1])
    for position in range(len(marked) - 1, 0, -1):
        for owner, stated in _between(connection, marked[position - 1], marked[position]):
            entry = stated.posted
            balance_minor += entry.amount_minor
            if (owner, entry.prev_id, entry.balance_after_minor) != (user_id, before, balance_minor):
                raise HistoryBroken(
                    f"entry {entry.id} does not continue account {user_id} after entry {before}"
                )
            yield stated
            before = entry.id
        if before != marked[position - 1]:
            demand(connection, entry_id=marked[position - 1])
            raise HistoryBroken(
                f"entry {marked[position - 1]} of account {user_id} has no transaction or block"
            )


def newest_block(connection: sqlite3.Connection, at_us: int) -> int:
    """The newest block at or before this time; 0 if there is none. A binary search, since block
    times never run back."""
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
    return _newest_block(connection, newest, at_us)


def _newest_block(connection: sqlite3.Connection, newest: int, at_us: int) -> int:
    def at(block_id: int) -> int:
        row = connection.execute("SELECT at FROM blocks WHERE id = ?", (block_id,)).fetchone()
        if row is None:
            raise HistoryBroken(f"block {block_id} is not in this file")
        return int(row[0])

    return bisect_right(range(1, newest + 1), at_us, key=at)


def _last_entry_by(connection: sqlite3.Connection, account: Head, at_us: int) -> int:
    """The newest entry of the last block at or before this time, of any account; 0 if there is none."""
    block_id = _newest_block(connection, account.block_id, at_us)
    row = connection.execute("SELECT last_entry_id FROM blocks WHERE id = ?", (block_id,)).fetchone()
    return 0 if row is None else int(row[0])


def _walk(connection: sqlite3.Connection, entry_id: int, until: int) -> int:
    """`CHUNK` entries back along the chain, or to the first that is not after the entry `until`."""
    values = {"id": entry_id, "until": until, "most": CHUNK}
    (reached,) = across(connection, partial(_first, connection, _WALK, values))
    if reached == entry_id:
        raise _not_here(connection, entry_id)
    return int(reached)


def _first(connection: sqlite3.Connection, sql: str, values: Mapping[str, int]) -> Any:
    return connection.execute(sql, values).fetchone()


def _not_here(connection: sqlite3.Connection, entry_id: int) -> HistoryBroken:
    """Raises `ArchiveMissing` if that is why."""
    demand(connection, entry_id=entry_id)
    return HistoryBroken(f"entry {entry_id} is not in this file")


def _between(connection: sqlite3.Connection, newest: int, after: int) -> Iterator[tuple[int, StatedEntry]]:
    """Owner and entry, from the first after the entry `after` to `newest`."""
    rows, legs_around = across(connection, partial(_rows, connection, newest, after))
    at = 0
    for row in rows:
        begin = at
        while at < len(legs_around) and legs_around[at][0] == row[0]:
            at += 1
        posted = PostedEntry(*row[:8])
        owner, currency, block_id, kind = row[8:]
        if kind is None:  # archived, maybe later than the entry: when its bet was over
            demand(connection, block_id=block_id)
            continue
        legs = [Leg(*leg[1:5]) for leg in legs_around[begin:at] if leg[5] == currency]
        is_whole = not any(abs(leg.entry_id - posted.id) == _REACH for leg in legs)
        if not is_whole:
            ends, is_whole = across(connection, partial(_ends, connection, posted))
            legs = sorted({*legs, *ends})
        yield owner, StatedEntry(posted, kind, other_side(legs, posted, owner, is_whole=is_whole))


def _rows(
    connection: sqlite3.Connection, newest: int, after: int
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Those entries, oldest first; and the legs around each, in the same order."""
    (ids,) = connection.execute(_CHAIN, {"newest": newest, "after": after}).fetchone()
    rows = connection.execute(_ENTRIES, (ids,)).fetchall()
    transactions = msgspec.json.encode({row[0]: row[2] for row in rows}).decode()
    values = {"transactions": transactions, "reach": _REACH}
    legs = connection.execute(_LEGS_AROUND, values).fetchall()
    legs.sort()  # as they are, unless they come from several files
    return rows, legs


def _ends(connection: sqlite3.Connection, posted: PostedEntry) -> tuple[list[Leg], bool]:
    """The first and last legs of a long transaction, and whether these are all.

    Its entries follow each other, and transactions do so in the order of their ids: both ends are found by a
    binary search in the block, however many legs there are.
    """

    def look_up(sql: str, entry_id: int) -> tuple[int, ...]:
        row: tuple[int, ...] | None = connection.execute(sql, (entry_id,)).fetchone()
        if row is None:
            raise _not_here(connection, entry_id)
        return row

    def transaction_of(entry_id: int) -> int:
        return look_up("SELECT transaction_id FROM transaction_ledger WHERE id = ?", entry_id)[0]

    first, last = look_up(_RANGE_OF_BLOCK, posted.id)

    begin = first + bisect_left(range(first, posted.id), posted.transaction_id, key=transaction_of)
    end = posted.id + bisect_right(range(posted.id, last + 1), posted.transaction_id, key=transaction_of) - 1
    is_whole = end - begin < 2 * _ENDS
    ranges = [(begin, end)] if is_whole else [(begin, begin + _ENDS - 1), (end - _ENDS + 1, end)]
    found = [Leg(*row) for low, high in ranges for row in connection.execute(_LEGS, (low, high, posted.id))]
    return found, is_whole
