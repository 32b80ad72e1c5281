"""The command `upgrade`: brings a file of an earlier version of this program to the schema of this one."""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from pathlib import Path
from typing import Final

from cli.audit import count_of
from cli.backups import teller
from cli.shell import at_the_shell
from engine import audit_log
from engine.checks import line_of
from engine.deeds import ACCEPTED
from engine.upgrades import Upgraded, rehearse
from engine.upgrades import upgrade as upgrade_file

LOGGED_FROM_VERSION: Final = 2
"""The first schema version with an audit log."""


def upgrade(options: argparse.Namespace) -> int:
    """Upgrade the file, or say what that would do; 1 if a check finds something, and then nothing is done."""
    if options.check:
        done = rehearse(options.db, tell=teller(), record=_record)
    else:
        backup = None if options.no_backup else _backup_name(options.db)
        done = upgrade_file(options.db, backup, tell=teller(), record=_record)
    if options.json:
        print(json.dumps(_as_json(done, options)))
    else:
        _print(done, options)
    return 0 if done.ok else 1


def _record(connection: sqlite3.Connection, done: Upgraded) -> None:
    """Have the audit log say who did it. By the wall clock, since nobody serves the file."""
    subject = {"from_version": done.from_version, "to_version": done.to_version}
    if done.from_version < LOGGED_FROM_VERSION:  # what was done before has no deeds (engine/deed_checks.py)
        ((newest,),) = connection.execute("SELECT coalesce(max(id), 0) FROM transactions").fetchall()
        subject["logged_after"] = newest
    audit_log.record(connection, at_the_shell(), "schema.upgrade", subject, ACCEPTED, time.time_ns() // 1000)


def _backup_name(db: Path) -> Path:
    """Beside the file, and of no other run."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return db.with_name(f"{db.name}.before-upgrade-{at}")


def _print(done: Upgraded, options: argparse.Namespace) -> None:
    if done.backup is not None and done.backup.report.ok:
        print(f"{options.db}: as it was, in {done.backup.path}")
    for step in done.steps:
        print(f"{options.db}: {step.name}, SHA-256 {step.sha256}")
    for finding in done.findings:
        print(line_of(finding))
    if not done.ok:
        print(f"{options.db}: {count_of(done.findings)}: it stays at schema version {done.from_version}")
    elif not done.steps:
        print(f"{options.db}: has schema version {done.to_version}, the newest")
    else:
        became = "would become" if options.check else "became"
        print(
            f"{options.db}: schema version {done.from_version} {became} {done.to_version}; "
            f"{done.users} accounts, {done.entries} entries, still to block {done.block} "
            f"{done.block_hash.hex()}; every balance is the sum of its entries"
        )


def _as_json(done: Upgraded, options: argparse.Namespace) -> dict[str, object]:
    return {
        "ok": done.ok,
        "is_done": done.ok and not options.check,
        "from_version": done.from_version,
        "to_version": done.to_version,
        "steps": [{"name": step.name, "sha256": step.sha256} for step in done.steps],
        "block": done.block,
        "hash": done.block_hash.hex(),
        "users": done.users,
        "entries": done.entries,
        "backup": None if done.backup is None else str(done.backup.path),
        "findings": done.findings,
    }
