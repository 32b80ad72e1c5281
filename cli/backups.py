"""The commands that copy a whole file: backup and restore."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from cli.audit import count_of
from engine.archives import files_beside
from engine.backup import Copied, Tell, back_up, note_backed_up
from engine.backup import restore as restore_file
from engine.checks import line_of
from ws.settings import secret_file

NICENESS = 10
"""The check is seconds of arithmetic for each million entries, on a machine that may be taking bets."""

NOT_COPIED = ".signing-key"
"""Like the secret of tokens, kept beside the file. A backup is shown to more people than a key is."""


def backup(options: argparse.Namespace) -> int:
    """Copy the file and check the copy; 1 if the check finds something."""
    os.nice(NICENESS)
    began_at_s = time.time()
    copied = back_up(options.db, options.target, teller())
    if copied.report.ok:
        note_backed_up(options.db, began_at_s)
    secrets = [file for file in (secret_file(options.db), _signing_key(options.db)) if file.exists()]
    archives = files_beside(options.db)
    if options.json:
        print(json.dumps(_as_json(copied) | {"not_copied": [str(file) for file in (*secrets, *archives)]}))
    elif copied.report.ok:
        print(f"{copied.path}: {_summary(copied)}")
        for file in secrets:
            print(f"not in it, keep it apart from the backup: {file}")
        for file in archives:
            print(f"not in it, keep it with the backup: {file}")
    else:
        _print_findings(copied)
        print(f"{copied.path}: is no good backup, {count_of(copied.report.findings)}: look at {options.db}")
    return 0 if copied.report.ok else 1


def restore(options: argparse.Namespace) -> int:
    """Copy a backup to where it can be served; 1 if its check finds something, and then nothing is there."""
    copied = restore_file(options.backup, options.db, teller())
    if options.json:
        print(json.dumps(_as_json(copied)))
    elif copied.report.ok:
        print(f"{copied.path}: {_summary(copied)}")
        print("what was confirmed after that block is not in it; a head kept elsewhere shows whether any was")
    else:
        _print_findings(copied)
        print(f"{options.backup}: {count_of(copied.report.findings)}; nothing was restored")
    return 0 if copied.report.ok else 1


def _signing_key(db: Path) -> Path:
    return db.with_name(f"{db.name}{NOT_COPIED}")


def teller() -> Tell:
    """Says on standard error how far it is, if a person may be looking."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def tell(done_bytes: int, total_bytes: int) -> None:
        is_copied = done_bytes >= total_bytes
        print(
            f"\rcopied {done_bytes >> 20} of {total_bytes >> 20} MiB{', checking' if is_copied else ''}",
            end="\n" if is_copied else "",
            file=sys.stderr,
            flush=True,
        )

    return tell


def _summary(copied: Copied) -> str:
    return (
        f"{copied.report.users} accounts, {copied.report.entries} entries, to block {copied.block} "
        f"{copied.block_hash.hex()}; every balance is the sum of its entries"
    )


def _print_findings(copied: Copied) -> None:
    for finding in copied.report.findings:
        print(line_of(finding))


def _as_json(copied: Copied) -> dict[str, object]:
    return {
        "ok": copied.report.ok,
        "file": None if copied.path is None else str(copied.path),
        "bytes": copied.size_bytes,
        "block": copied.block,
        "hash": copied.block_hash.hex(),
        "users": copied.report.users,
        "entries": copied.report.entries,
        "findings": copied.report.findings,
    }
