"""A bet's way through the ledger: the transactions that it went through, with their entries and blocks. Plain
`sqlite3`, read only.

The row of a bet names the newest transaction that changed it, and the answer of that the one before
(docs/adr/0009); entries are found within the range of their block: it takes a millisecond to go through
20,000. What was archived is read with the rest (`Store.read_past`): tables are views then, so each look-up is
by the key of one table.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final, NamedTuple

import msgspec

from engine.archives import across, demand, unread_upto
from engine.commands import BET_SCOPE
from engine.errors import HistoryBroken
from engine.looks import snapshot
from engine.outcomes import Answer
from engine.queries import bet, is_archived
from engine.snapshots import BetState

STEPS_MAX: Final = 1_000
"""Transactions that are told of one bet, the newest ones: only cash-outs of its parts can be so many."""

_PLACED = "SELECT id FROM transactions WHERE scope = ? AND key = ?"
_NEWEST = "SELECT last_transaction_id FROM bets WHERE transaction_id = ?"
_TRANSACTION = "SELECT kind, answer, block_id FROM transactions WHERE id = ?"
_BLOCK = "SELECT at, hash, first_entry_id, last_entry_id FROM blocks WHERE id = ?"
_ENTRIES = """
    SELECT id, user_id, amount, balance_after FROM transaction_ledger
    WHERE id BETWEEN ? AND ? AND transaction_id = ? ORDER BY id
"""

_AS_ANSWER = msgspec.json.Decoder(Answer)


class Posting(NamedTuple):
    """An entry of a step. Amounts in minor units."""

    seq: int
    user_id: int
    amount_minor: int
    balance_minor: int


class Step(NamedTuple):
    """A transaction that a bet went through; `hash`: of the block that seals it."""

    transaction_id: int
    kind: str
    at_us: int
    block_id: int
    hash: bytes
    entries: list[Posting]


class BetTrail(NamedTuple):
    """A bet, and its steps in their order: none where it was refused."""

    bet: BetState
    steps: list[Step]


def bet_trail(connection: sqlite3.Connection, bet_id: str) -> BetTrail | None:
    """The way of a bet; None if nobody knows it. Raises `HistoryBroken` where a step is missing, and
    `ArchiveMissing` where it cannot be told."""
    found = across(connection, partial(_of_one_moment, connection, bet_id))
    if found is None and is_archived(connection, bet_id):
        demand(connection)
    return found


def _of_one_moment(connection: sqlite3.Connection, bet_id: str) -> BetTrail | None:
    with snapshot(connection):  # a bet that is confirmed has not been won
        return _trail(connection, bet_id)


def _trail(connection: sqlite3.Connection, bet_id: str) -> BetTrail | None:
    state = bet(connection, bet_id)
    if state is None:
        return None
    placed = connection.execute(_PLACED, (BET_SCOPE, bet_id)).fetchone()
    if placed is None:
        return BetTrail(state, [])
    newest = connection.execute(_NEWEST, placed).fetchone()
    ids: list[int] = []
    next_ = 0 if newest is None else int(newest[0])
    while next_ and len(ids) < STEPS_MAX - 1:
        ids.append(next_)
        next_ = _before(connection, next_)
    unread = unread_upto(connection)
    return BetTrail(state, [_step(connection, id_, unread) for id_ in (placed[0], *reversed(ids))])


def _before(connection: sqlite3.Connection, transaction_id: int) -> int:
    """The transaction that changed the bet before this one; 0 if none did but the placing."""
    _, answer, _ = _row(connection, transaction_id)
    told = _AS_ANSWER.decode(answer).bet
    return 0 if told is None or not told.before < transaction_id else told.before


def _step(connection: sqlite3.Connection, transaction_id: int, unread: int) -> Step:
    kind, _, block_id = _row(connection, transaction_id)
    at_us, hash_, first, last = connection.execute(_BLOCK, (block_id,)).fetchone()
    if first <= min(last, unread):
        demand(connection, entry_id=first)
    posted = connection.execute(_ENTRIES, (first, last, transaction_id)).fetchall()
    return Step(transaction_id, kind, at_us, block_id, hash_, [Posting(*row) for row in posted])


def _row(connection: sqlite3.Connection, transaction_id: int) -> tuple[str, str, int]:
    row: tuple[str, str, int] | None = connection.execute(_TRANSACTION, (transaction_id,)).fetchone()
    if row is None:
        raise HistoryBroken(f"transaction {transaction_id} is missing")
    return row
