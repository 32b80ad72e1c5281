"""The command `doctor` looks for what keeps a file or a machine from serving."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from batcher.nonces import NonceStoreAway
from batcher.redis_nonces import RedisGuard
from cli.audit import count_of
from engine.checks import line_of
from engine.errors import FileOutdated, FileUnusable
from engine.files import check_is_ours, open_read_only, structural_findings
from engine.keys import KeyUnusable, key_file, signing_key
from ws.settings import SettingInvalid, jwt_secret, mistyped, secret_file, variable
from ws.tls import RENEW_DAYS, context_of, days_until, ends_at, pair_of

DISK_FREE_MIN_BYTES = 1 << 30
"""Below it a day of bets no longer fits."""

CLOCK_AHEAD_MAX_US = 60_000_000
"""A block time further ahead than this means that some clock jumped (DESIGN, Time)."""


def doctor(options: argparse.Namespace) -> int:
    """Print what is wrong with the file, the disk, the clock or Redis; 1 if anything is."""
    findings = list(_ailments(options))
    if options.json:
        print(json.dumps({"ok": not findings, "findings": findings}))
    else:
        for finding in findings:
            print(line_of(finding))
        print(f"{options.db}: {count_of(findings) if findings else 'nothing stands in the way'}")
    return 1 if findings else 0


def _ailments(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    try:
        check_is_ours(options.db, writing=True)
    except FileOutdated as error:
        yield {"check": "schema", "why": str(error)}
        return
    except FileUnusable as error:
        yield {"check": "file", "why": str(error)}
        return
    with contextlib.closing(open_read_only(options.db)) as connection:
        try:
            yield from structural_findings(connection)
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
    yield from _ailments_of_secrets(options.db)
    for each in mistyped():
        yield {"check": "setting", "why": each}
    yield from _ailments_of_tls(options)
    if options.redis_url:
        why = asyncio.run(_ask_redis(options.redis_url))
        if why:
            yield {"check": "redis", "why": why}


def _ailments_of_secrets(db: Path) -> Iterator[dict[str, object]]:
    """What is missing of them, a start makes; what is there it must be able to use."""
    given_secret, given_key = variable("jwt_secret"), variable("signing_key")
    key = Path(given_key) if given_key else key_file(db)
    try:
        if given_secret or secret_file(db).exists():
            jwt_secret(db, create=False, given=given_secret)
    except SettingInvalid as error:
        yield {"check": "secret", "why": str(error)}
    try:
        if given_key or key.exists():
            signing_key(db, key)
    except KeyUnusable as error:
        yield {"check": "signing_key", "why": str(error)}
    for file in (db, secret_file(db), key):
        if file.exists() and file.stat().st_mode & 0o077:
            yield {"check": "mode", "why": f"others may read {file}; chmod 600 it"}


def _ailments_of_tls(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    try:
        pair = pair_of(options.tls_certificate, options.tls_key)
        if pair is None:
            return
        context_of(pair)
        days = days_until(ends_at(pair.certificate))
    except SettingInvalid as error:
        yield {"check": "tls", "why": str(error)}
        return
    if days < RENEW_DAYS:
        yield {"check": "tls", "why": f"{pair.certificate} is good for {days} days only"}
    if pair.key.stat().st_mode & 0o077:
        yield {"check": "mode", "why": f"others may read {pair.key}; chmod 600 it"}


async def _ask_redis(url: str) -> str | None:
    try:
        guard = RedisGuard(url)
    except ValueError as error:
        return str(error)
    try:
        await guard.reach()
    except NonceStoreAway as away:
        return str(away)
    finally:
        await guard.close()
    return None
