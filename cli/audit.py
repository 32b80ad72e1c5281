"""The commands that only read: reconcile, statement, doctor. They work beside a running server."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from batcher.nonces import NonceStoreAway
from batcher.redis_nonces import RedisGuard
from engine.errors import FileUnusable
from engine.files import check_is_ours, open_read_only
from engine.money import in_major_units
from engine.reconcile import reconcile as reconcile_file
from engine.statement import FOREVER_US, Statement
from engine.statement import statement as read_statement
from ws.settings import secret_file

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")
"""The form of RFC 3339, section 5.6; without an offset it is refused with words of its own."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DISK_FREE_MIN_BYTES = 1 << 30
"""Below it a day of bets no longer fits."""

CLOCK_AHEAD_MAX_US = 60_000_000
"""A block time further ahead than this means that some clock jumped (DESIGN, Time)."""


def reconcile(options: argparse.Namespace) -> int:
    """Print the verdict; 1 if anything differs."""
    check_is_ours(options.db, writing=False)
    report = reconcile_file(options.db)
    if options.json:
        print(
            json.dumps(
                {
                    "ok": report.ok,
                    "users": report.users,
                    "entries": report.entries,
                    "findings": report.findings,
                }
            )
        )
    else:
        for finding in report.findings:
            print(_line(finding))
        verdict = "every balance is the sum of its entries" if report.ok else _count(report.findings)
        print(f"{options.db}: {report.users} accounts, {report.entries} entries: {verdict}")
    return 0 if report.ok else 1


def statement(options: argparse.Namespace) -> int:
    """Print an account's entries with a running balance, or its balance at one time."""
    check_is_ours(options.db, writing=False)
    if options.at_us is not None and (options.from_us, options.to_us) != (None, None):
        print("solidgreen statement: --at goes without --from and --to", file=sys.stderr)
        return 2
    # A balance "at" a time counts what was posted at that very microsecond.
    to_us = options.at_us + 1 if options.at_us is not None else options.to_us
    with contextlib.closing(open_read_only(options.db)) as connection:
        found = read_statement(
            connection, options.user, options.from_us or 0, FOREVER_US if to_us is None else to_us
        )
    if found is None:
        print(f"solidgreen statement: {options.db}: no account has the id {options.user}", file=sys.stderr)
        return 2
    if options.at_us is not None:
        _print_balance(found, options)
    elif options.json:
        print(json.dumps(_as_json(found)))
    else:
        _print_statement(found)
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Print what is wrong with the file, the disk, the clock or Redis; 1 if anything is."""
    findings = list(_ailments(options))
    if options.json:
        print(json.dumps({"ok": not findings, "findings": findings}))
    else:
        for finding in findings:
            print(_line(finding))
        print(f"{options.db}: {_count(findings) if findings else 'nothing stands in the way'}")
    return 1 if findings else 0


def parse_time_us(text: str) -> int:
    """Microseconds since the Unix epoch of an RFC 3339 time. Raises `ValueError` without an offset, and where
    UTC has no such year.
    """
    if not RFC3339.fullmatch(text):
        raise ValueError("an RFC 3339 time is a date, a time and Z or an offset: 2026-01-31T12:00:00Z")
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        raise ValueError("an RFC 3339 time ends with Z or an offset, such as 2026-01-31T12:00:00Z")
    try:
        since = moment.astimezone(UTC) - EPOCH
    except OverflowError as error:
        raise ValueError("in UTC it is before the year 1 or after 9999") from error
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _ailments(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    try:
        check_is_ours(options.db, writing=True)
    except FileUnusable as error:
        yield {"check": "file", "why": str(error)}
        return
    with contextlib.closing(open_read_only(options.db)) as connection:
        try:
            for (complaint,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
                if complaint != "ok":
                    yield {"check": "integrity", "why": complaint}
            for table, row_id, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
                yield {"check": "foreign_key", "table": table, "row": row_id, "parent": parent}
            (newest_us,) = connection.execute("SELECT coalesce(max(at), 0) FROM blocks").fetchone()
        except sqlite3.Error as error:
            yield {"check": "integrity", "why": str(error)}
            return
    ahead_us = newest_us - time.time_ns() // 1000
    if ahead_us > CLOCK_AHEAD_MAX_US:
        yield {"check": "clock", "why": f"the newest block is {ahead_us // 1_000_000} s ahead of this clock"}
    free_bytes = shutil.disk_usage(options.db.absolute().parent).free
    if free_bytes < DISK_FREE_MIN_BYTES:
        yield {"check": "disk", "why": f"{free_bytes >> 20} MiB free beside the file"}
    for file in (options.db, secret_file(options.db)):
        if file.exists() and file.stat().st_mode & 0o077:
            yield {"check": "mode", "why": f"others may read {file}; chmod 600 it"}
    if options.redis_url:
        why = asyncio.run(_ask_redis(options.redis_url))
        if why:
            yield {"check": "redis", "why": why}


async def _ask_redis(url: str) -> str | None:
    try:
        guard = RedisGuard(url)
    except ValueError as error:
        return str(error)
    try:
        await guard.claim([])
    except NonceStoreAway as away:
        return str(away)
    finally:
        await guard.close()
    return None


def _count(findings: Sequence[object]) -> str:
    return "1 finding" if len(findings) == 1 else f"{len(findings)} findings"


def _line(finding: dict[str, object]) -> str:
    details = ", ".join(f"{name} {value}" for name, value in finding.items() if name != "check")
    return f"{finding['check']}: {details}"


def _rfc3339(at_us: int) -> str:
    moment = EPOCH + timedelta(microseconds=at_us)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _print_balance(found: Statement, options: argparse.Namespace) -> None:
    if options.json:
        at = {"at": _rfc3339(options.at_us)}
        print(
            json.dumps(
                {"user_id": found.user_id, "currency": found.currency, "balance": found.closing_minor} | at
            )
        )
    else:
        print(f"{in_major_units(found.closing_minor, found.currency)} {found.currency}")


def _as_json(found: Statement) -> dict[str, object]:
    return {
        "user_id": found.user_id,
        "kind": found.kind,
        "currency": found.currency,
        "opening": found.opening_minor,
        "closing": found.closing_minor,
        "entries": [
            {
                "seq": entry.id,
                "prev_seq": entry.prev_id,
                "transaction_id": entry.transaction_id,
                "at": _rfc3339(entry.at_us),
                "kind": entry.ref_type,
                "ref_id": entry.ref_id,
                "amount": entry.amount_minor,
                "balance": entry.balance_after_minor,
            }
            for entry in found.entries
        ],
    }


def _print_statement(found: Statement) -> None:
    def money(amount_minor: int) -> str:
        return in_major_units(amount_minor, found.currency)

    print(f"account {found.user_id} ({found.kind}), {found.currency}; opening {money(found.opening_minor)}")
    for entry in found.entries:
        print(
            f"{_rfc3339(entry.at_us)}  {entry.ref_type:<10} {money(entry.amount_minor):>16} "
            f"{money(entry.balance_after_minor):>16}  {entry.ref_id}"
        )
    print(f"closing {money(found.closing_minor)}")
