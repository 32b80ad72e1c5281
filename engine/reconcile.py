"""Sums the ledger and compares it with every balance: can these books be trusted? Reads only.

Works beside a running server: the balances and the newest block are taken in one snapshot, then the history
up to that block is read block by block (`engine.audit`); what was archived stands in them as it is carried
(`engine.left_behind`). What is checked, by name, stands in `engine/checks.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from engine.audit import Audit, Progress
from engine.checks import Enough, Finding, add
from engine.files import open_read_only
from engine.left_behind import go_behind, has_begun_to_move, left_behind
from engine.reader import Reader
from engine.standing import Standing, standing


@dataclass
class Report:
    """The verdict. `users` and `entries` say how many were looked at; `head` and `head_hash` up to which
    block that was, 0 before the first."""

    users: int = 0
    entries: int = 0
    head: int = 0
    head_hash: bytes = b""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings


def reconcile(path: Path, progress: Progress = lambda done, total: None) -> Report:
    """Check the whole file, without its archives. Raises `sqlite3.Error` where it cannot be read."""
    while True:
        with contextlib.closing(open_read_only(path)) as connection:
            reader = Reader(connection)
            rows = standing(connection, reader)
            report = _reconcile(connection, reader, rows, progress)
            if report.ok or not has_begun_to_move(reader, rows):
                return report


def reconcile_within(connection: sqlite3.Connection) -> Report:
    """The same, of what a connection sees inside its own transaction, before anybody else does."""
    reader = Reader(connection)
    return _reconcile(connection, reader, standing(connection, reader))


def _reconcile(
    connection: sqlite3.Connection,
    reader: Reader,
    rows: Standing,
    progress: Progress = lambda done, total: None,
) -> Report:
    report = Report(users=len(rows.users))
    audit = Audit(reader, rows)
    with contextlib.suppress(Enough):
        for findings in _found(connection, reader, rows, audit, progress):
            add(report.findings, findings)
    report.entries = audit.entries
    report.head, report.head_hash = audit.head.block_id, audit.head.hash
    return report


def _found(
    connection: sqlite3.Connection, reader: Reader, rows: Standing, audit: Audit, progress: Progress
) -> Iterator[Iterable[Finding]]:
    yield rows.unsealed
    history = audit.history()
    left = left_behind(connection, reader, rows)
    if left is not None:
        yield left.findings
        if left.origin is None:
            return
        history = chain(go_behind(connection, audit, left), history)
    for _, findings in history:
        yield findings
        progress(audit.head.last_transaction_id, rows.last_transaction_id)
    yield audit.verdict()
