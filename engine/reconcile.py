"""Sums the ledger and compares it with every balance: can these books be trusted? Reads only.

Works beside a running server: the balances and the newest block are taken in one snapshot, then the
history up to that block is read block by block, each a short snapshot of its own. A reader that lingers
would pin the WAL, and history does not change in between. What is checked, by name, stands in
`engine/checks.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.blocks import Block
from engine.checks import (
    Finding,
    HolderRow,
    Running,
    check_bets,
    check_block,
    check_entries,
    check_users,
)
from engine.files import open_read_only
from engine.view import GENESIS, Bet, Entry, Head, Transaction

_USERS = "SELECT id, balance, held, floor, last_entry_id FROM users ORDER BY id"
_BLOCK = """
    SELECT id, format, first_transaction_id, last_transaction_id, first_entry_id, last_entry_id, root,
           prev_hash, hash, at
    FROM blocks WHERE id = ?
"""
_NEWEST_BLOCK = "SELECT coalesce(max(id), 0) FROM blocks"
_TRANSACTIONS = """
    SELECT id, kind, scope, key, fingerprint, answer, block_id
    FROM transactions WHERE id BETWEEN ? AND ? ORDER BY id
"""
_ENTRIES = """
    SELECT id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, block_id, prev_id
    FROM transaction_ledger WHERE id BETWEEN ? AND ? ORDER BY id
"""
_BETS = """
    SELECT transaction_id, user_id, currency, stake, game, round, selection, odds_milli
    FROM bets WHERE transaction_id BETWEEN ? AND ? ORDER BY transaction_id
"""
_ENDED = "SELECT transaction_id FROM bets WHERE state <> 'confirmed' OR payout <> 0 LIMIT 1000"
"""No command of this version ends a bet."""

_UNSEALED = """
    SELECT 'transaction', id FROM transactions
    WHERE id > (SELECT coalesce(max(last_transaction_id), 0) FROM blocks)
    UNION ALL
    SELECT 'entry', id FROM transaction_ledger WHERE id > (SELECT coalesce(max(last_entry_id), 0) FROM blocks)
    UNION ALL
    SELECT 'bet', transaction_id FROM bets
    WHERE transaction_id NOT BETWEEN 1 AND (SELECT coalesce(max(last_transaction_id), 0) FROM blocks)
    LIMIT 1000
"""


@dataclass
class Report:
    """The verdict. `users` and `entries` say how many were looked at."""

    users: int = 0
    entries: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings


def reconcile(path: Path) -> Report:
    """Check the whole file. Raises `sqlite3.Error` where it cannot be read."""
    report = Report()
    holders: dict[int, Running] = defaultdict(Running)
    with contextlib.closing(open_read_only(path)) as connection:
        connection.execute("BEGIN")
        users = [HolderRow(*row) for row in connection.execute(_USERS)]
        (newest,) = connection.execute(_NEWEST_BLOCK).fetchone()
        for what, id_ in connection.execute(_UNSEALED).fetchall():
            report.findings.append({"check": "unsealed", what: id_})
        for (id_,) in connection.execute(_ENDED).fetchall():
            why = "nothing brought its state or payout about"
            report.findings.append({"check": "bet", "transaction_id": id_, "why": why})
        connection.execute("COMMIT")
        for finding in _walk(connection, newest, report, holders):
            report.findings.append(finding)
    report.users = len(users)
    report.findings += check_users(users, holders)
    return report


def _walk(
    connection: sqlite3.Connection, newest: int, report: Report, holders: dict[int, Running]
) -> Iterator[Finding]:
    before = GENESIS
    for number in range(1, newest + 1):
        row = connection.execute(_BLOCK, (number,)).fetchone()
        if row is None:
            yield {"check": "block", "block": number, "why": "it is missing"}
            continue
        block = Block(*row)
        placed = (block.first_transaction_id, block.last_transaction_id)
        transactions = [Transaction(*row) for row in connection.execute(_TRANSACTIONS, placed)]
        posted = (block.first_entry_id, block.last_entry_id)
        entries = [Entry(*row) for row in connection.execute(_ENTRIES, posted)]
        bets = [Bet(*row) for row in connection.execute(_BETS, placed)]
        report.entries += len(entries)
        yield from check_block(before, block, transactions, entries)
        yield from check_entries(entries, holders)
        yield from check_bets(transactions, entries, bets)
        before = Head(block.id, block.hash, block.at_us, block.last_transaction_id, block.last_entry_id)
