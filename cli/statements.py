"""`solidgreen statement`: an account's entries, or its balance at one time, as text, CSV or JSON.

Each is written as it is read, so a statement of any length takes the same memory.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from cli.times import rfc3339
from engine.archives import joined
from engine.counterparties import Counterparty
from engine.files import check_is_ours, open_read_only
from engine.history import StatedEntry
from engine.money import in_major_units
from engine.snapshots import KINDS_OF_BETS
from engine.statement import FOREVER_US, Balance, Statement, balance_at
from engine.statement import statement as read_statement

COLUMNS: Final = (
    *("row", "user_id", "currency", "at", "seq", "prev_seq", "transaction_id", "transaction_kind", "kind"),
    *("amount_minor", "amount", "balance_minor", "balance", "bet_id", "ref_id", "counterparties"),
)
"""The header of a statement as CSV; later columns are added at the end. `row`: opening, entry or closing."""

BALANCE_COLUMNS: Final = ("user_id", "currency", "at", "balance_minor", "balance")
"""The header of a balance as CSV."""

FORMULA_BEGINS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula, which may run programs or send the sheet elsewhere."""


def statement(options: argparse.Namespace) -> int:
    """Print an account's entries with a running balance, or its balance at one time."""
    check_is_ours(options.db, writing=False)
    why = _why_wrong(options)
    if why:
        print(f"solidgreen statement: {why}", file=sys.stderr)
        return 2
    with contextlib.closing(open_read_only(options.db)) as connection:
        joined(connection)
        if options.at_us is not None:
            balance = balance_at(connection, options.user, options.at_us)
            if balance is not None:
                _BALANCES[options.format](balance, options.at_us)
                return 0
        else:
            to_us = FOREVER_US if options.to_us is None else options.to_us
            found = read_statement(connection, options.user, options.from_us or 0, to_us)
            if found is not None:
                _STATEMENTS[options.format](found, options)
                return 0
    print(f"solidgreen statement: {options.db}: no account has the id {options.user}", file=sys.stderr)
    return 2


def _why_wrong(options: argparse.Namespace) -> str | None:
    if options.at_us is not None and (options.from_us, options.to_us) != (None, None):
        return "--at goes without --from and --to"
    if None not in (options.from_us, options.to_us) and options.from_us > options.to_us:
        return "--from is after --to"
    return None


# -- text


def _balance_as_text(balance: Balance, at_us: int) -> None:
    print(f"{in_major_units(balance.balance_minor, balance.currency)} {balance.currency}")


def _as_text(found: Statement, options: argparse.Namespace) -> None:
    money = partial(in_major_units, currency=found.currency)
    opening = money(found.opening_minor)
    print(f"account {found.user_id} ({found.kind}), {found.currency}; opening {opening}")
    for posted, transaction_kind, other_side in found.entries:
        # Such as what is kept back of a win: RECEIVABLE, of a WIN.
        of = "" if transaction_kind == posted.ref_type else f" ({transaction_kind})"
        print(
            f"{rfc3339(posted.at_us)}  {posted.ref_type:<10} {money(posted.amount_minor):>16} "
            f"{money(posted.balance_after_minor):>16}  {other_side!s:<16}  {posted.ref_id}{of}"
        )
    print(f"closing {money(found.closing_minor)}")


# -- CSV (RFC 4180)


def _balance_as_csv(balance: Balance, at_us: int) -> None:
    major = in_major_units(balance.balance_minor, balance.currency)
    lines = csv.writer(sys.stdout)
    lines.writerow(BALANCE_COLUMNS)
    lines.writerow((balance.user_id, balance.currency, rfc3339(at_us), balance.balance_minor, major))


def _as_csv(found: Statement, options: argparse.Namespace) -> None:
    money = partial(in_major_units, currency=found.currency)
    account = found.user_id, found.currency
    lines = csv.writer(sys.stdout)

    def bound(row: str, at_us: int | None, minor: int) -> None:
        at = "" if at_us is None else rfc3339(at_us)
        lines.writerow((row, *account, at, *[""] * 7, minor, money(minor), *[""] * 3))

    lines.writerow(COLUMNS)
    bound("opening", options.from_us, found.opening_minor)
    for posted, transaction_kind, other_side in found.entries:
        bet_id = posted.ref_id if posted.ref_type in KINDS_OF_BETS else ""
        lines.writerow(
            (
                *("entry", *account, rfc3339(posted.at_us), posted.id, posted.prev_id),
                *(posted.transaction_id, transaction_kind, posted.ref_type),
                *(posted.amount_minor, money(posted.amount_minor)),
                *(posted.balance_after_minor, money(posted.balance_after_minor)),
                *(_cell(bet_id), _cell(posted.ref_id), str(other_side)),
            )
        )
    bound("closing", options.to_us, found.closing_minor)


def _cell(text: str) -> str:
    """Text that came from outside, such that no spreadsheet calculates it. A bet_id, a UUID, stays as it is,
    and so does all that the doors let in today; a file may say anything.
    """
    return f"'{text}" if text.startswith(FORMULA_BEGINS) else text


# -- JSON


def _balance_as_json(balance: Balance, at_us: int) -> None:
    shown = {"user_id": balance.user_id, "currency": balance.currency, "balance": balance.balance_minor}
    print(json.dumps(shown | {"at": rfc3339(at_us)}))


def _as_json(found: Statement, options: argparse.Namespace) -> None:
    """One object, an entry a line."""
    account = {
        "user_id": found.user_id,
        "kind": found.kind,
        "currency": found.currency,
        "opening": found.opening_minor,
        "closing": found.closing_minor,
    }
    print(json.dumps(account)[:-1], end=', "entries": [')
    between = "\n"
    for stated in found.entries:
        print(between, json.dumps(_entry(stated)), sep="", end="")
        between = ",\n"
    print("]}")


def _entry(stated: StatedEntry) -> dict[str, object]:
    """As `wallet.entry` shows it, with its neighbours."""
    posted = stated.posted
    shown: dict[str, object] = {
        "seq": posted.id,
        "prev_seq": posted.prev_id,
        "transaction_id": posted.transaction_id,
        "transaction_kind": stated.transaction_kind,
        "at": rfc3339(posted.at_us),
        "kind": posted.ref_type,
        "ref_id": posted.ref_id,
        "amount": posted.amount_minor,
        "balance": posted.balance_after_minor,
        "counterparties": [_counterparty(each) for each in stated.other_side.accounts],
        "more_counterparties": stated.other_side.has_more,
    }
    if posted.ref_type in KINDS_OF_BETS:
        shown["bet_id"] = posted.ref_id
    return shown


def _counterparty(other: Counterparty) -> dict[str, object]:
    shown: dict[str, object] = {"user_id": other.user_id, "kind": other.kind}
    if other.payout_id is not None:
        shown["payout_id"] = other.payout_id
    return shown


_STATEMENTS: Final[Mapping[str, Callable[[Statement, argparse.Namespace], None]]] = {
    "text": _as_text,
    "csv": _as_csv,
    "json": _as_json,
}
_BALANCES: Final[Mapping[str, Callable[[Balance, int], None]]] = {
    "text": _balance_as_text,
    "csv": _balance_as_csv,
    "json": _balance_as_json,
}
