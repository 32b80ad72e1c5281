"""Sums the ledger and compares it with every balance: can these books be trusted? Reads only.

Works beside a running server: the balances and the newest block are taken in one snapshot, then the history
up to that block is read block by block (`engine.audit`). What is checked, by name, stands in
`engine/checks.py`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from engine.audit import Audit
from engine.checks import Finding
from engine.files import open_read_only
from engine.reader import Reader
from engine.standing import standing


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
    with contextlib.closing(open_read_only(path)) as connection:
        reader = Reader(connection)
        rows = standing(connection, reader)
        report = Report(users=len(rows.users), findings=rows.unsealed)
        audit = Audit(reader, rows)
        for _, findings in audit.history():
            report.findings += findings
        report.findings += audit.verdict()
        report.entries = audit.entries
    return report
