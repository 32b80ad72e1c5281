"""The commands around evidence: receipts, heads, how to check them without a database, the public key."""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine import receipts
from engine.archives import joined
from engine.errors import SolidGreenError
from engine.files import check_is_ours, open_read_only
from engine.keys import as_pem, public_key_file, public_keys
from engine.money import CURRENCY_DECIMALS, in_major_units
from verifier.check import Refused, check_receipt
from verifier.heads import check_head

FILE_BYTES_MAX = 1 << 20
"""No receipt is as large; what is larger is not read."""


class Unreadable(SolidGreenError):
    """A receipt or a head cannot be read from its file. The message names it."""


@contextlib.contextmanager
def _reading(db: Path) -> Iterator[sqlite3.Connection]:
    check_is_ours(db, writing=False)
    with contextlib.closing(open_read_only(db)) as connection:
        yield connection


def receipt(options: argparse.Namespace) -> int:
    """Print the receipt of a transaction."""
    with _reading(options.db) as connection:
        joined(connection)
        found = receipts.receipt(connection, options.transaction, options.user)
    if found is None:
        whose = "" if options.user is None else f" that concerns {options.user}"
        return _complain(options, f"{options.db}: no transaction has the id {options.transaction}{whose}")
    print(json.dumps(found))
    return 0


def head(options: argparse.Namespace) -> int:
    """Print the newest block's head."""
    with _reading(options.db) as connection:
        found = receipts.head(connection, options.since)
    if found is None:
        what = "there is no block" if options.since is None else f"there is no block {options.since}"
        return _complain(options, f"{options.db}: {what}")
    print(json.dumps(found))
    return 0


def public_key(options: argparse.Namespace) -> int:
    """Print the keys that have signed, for who is to check receipts."""
    with _reading(options.db) as connection:
        known = public_keys(connection)
    for key in known.values():
        print(as_pem(key), end="")
    return 0 if known else _complain(options, f"{options.db}: no block has been signed yet")


def check_a_receipt(options: argparse.Namespace) -> int:
    """Say what a receipt proves; 1 if nothing."""
    try:
        shown = check_receipt(_text(options.receipt), public_key_file(options.public_key))
    except Refused as why:
        return _refused(options, options.receipt, why)
    transaction, block = shown["transaction"], shown["block"]
    if options.json:
        print(json.dumps({"ok": True, "transaction_id": transaction["id"], "block": block["id"]}))
        return 0
    print(
        f"{options.receipt}: true. Transaction {transaction['id']} ({transaction['kind']}, key "
        f"{transaction['key']}) is in block {block['id']} of {_utc(block['at'])}."
    )
    for entry in shown["entries"]:
        amount, after = (_money(entry[name], entry["currency"]) for name in ("amount", "balance_after"))
        print(f"account {entry['user_id']}: {amount}, balance {after}")
    return 0


def check_a_head(options: argparse.Namespace) -> int:
    """Say whether a head is signed, and comes after what was kept; 1 if not."""
    kept = None if options.kept is None else _text(options.kept)
    try:
        block = check_head(_text(options.head), public_key_file(options.public_key), kept)
    except Refused as why:
        return _refused(options, options.head, why)
    if options.json:
        print(json.dumps({"ok": True, "block": block["id"], "at": block["at"]}))
        return 0
    after = "" if options.kept is None else f", and {options.kept} is a part of its history"
    print(f"{options.head}: true. It is block {block['id']} of {_utc(block['at'])}{after}.")
    return 0


def _refused(options: argparse.Namespace, file: Path, why: Refused) -> int:
    if options.json:
        print(json.dumps({"ok": False, "why": str(why)}))
    else:
        print(f"{file}: not true: {why}")
    return 1


def _text(path: Path) -> str:
    """What is in a file. Raises `Unreadable`."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise Unreadable(f"{path}: is larger than any receipt or head")
    return data.decode("utf-8", errors="replace")


def _complain(options: argparse.Namespace, words: str) -> int:
    print(f"solidgreen {options.command}: {words}", file=sys.stderr)
    return 2


def _money(amount_minor: int, currency: str) -> str:
    if currency not in CURRENCY_DECIMALS:  # signed all the same, by a later version
        return f"{amount_minor} minor units of {currency}"
    return f"{in_major_units(amount_minor, currency)} {currency}"


def _utc(at_us: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    except OverflowError:
        return f"{at_us} us after 1970"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
