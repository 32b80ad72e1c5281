"""Puts right what `users` says of an account, where it is not what the ledger says: balance, newest entry,
what is held, what is owed. All of these follow from history, which is never touched.

Works on a file that nobody serves. What was changed is kept in `repairs`, for ever.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from engine.checks import Finding
from engine.files import WriterLock, check_is_ours
from engine.verify import Verdict, verify

_DERIVED: Final = {
    "balance": ("balance", "balance", "ledger"),
    "last_entry": ("last_entry_id", "last_entry_id", "ledger"),
    "held": ("held", "held", "holds"),
    "owed": ("owed", "owed", "ledger"),
}
"""By the name of a check: the column of `users`, and where a finding has what it holds and what it should."""

_FOLLOWS: Final = frozenset({"clearing", "suspense"})
"""Checks of an account's balance against something else than its entries: wrong as long as the balance is."""


_IN_A_BATCH: Final = "users_set_aside_and_owe_in_a_batch"


class Repair(NamedTuple):
    """One number of an account that was put right."""

    user_id: int
    what: str
    found: int
    became: int


@dataclass
class Repaired:
    """What was done, and the verdict afterwards. Nothing was done if the history itself is in doubt."""

    report: Verdict
    repairs: list[Repair] = field(default_factory=list)
    is_refused: bool = False


def repair(path: Path, now_us: int) -> Repaired:
    """Rebuild what `users` says from the ledger, in one transaction, unless something else is wrong as well.

    `now_us`: wall clock, for the record. Raises `FileUnusable` if the file is served, and `sqlite3.Error`
    where it cannot be read or written.
    """
    check_is_ours(path, writing=True)
    lock = WriterLock(path)
    try:
        report = verify(path)
        repairs = [each for finding in report.findings for each in _repair_of(finding)]
        if _others(report.findings, {each.user_id for each in repairs}):
            return Repaired(report, is_refused=True)
        if not repairs:
            return Repaired(report)
        try:
            _apply(path, repairs, now_us)
        except sqlite3.IntegrityError:  # somebody would have less than nothing: that is for people
            return Repaired(report, is_refused=True)
        return Repaired(verify(path), repairs)
    finally:
        lock.release()


def _repair_of(finding: Finding) -> Iterable[Repair]:
    column, found, became = _DERIVED.get(finding["check"], ("", "", ""))
    if column and finding[found] is not None and finding[found] != finding[became]:
        yield Repair(finding["user_id"], column, finding[found], finding[became])


def _others(findings: Sequence[Finding], user_ids: set[int]) -> list[Finding]:
    """What remains wrong, as far as it can be known before."""
    return [
        finding
        for finding in findings
        if not [*_repair_of(finding)]
        and not (finding["check"] == "held" and finding["user_id"] in user_ids)
        and not (finding["check"] in _FOLLOWS and finding.get("user_id") in user_ids)
    ]


def _apply(path: Path, repairs: Sequence[Repair], now_us: int) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("foreign_keys = ON", "recursive_triggers = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Held and owed change in a batch only: a rule that is lifted for this transaction.
            query = "SELECT sql FROM sqlite_schema WHERE name = ?"
            (rule,) = connection.execute(query, (_IN_A_BATCH,)).fetchone()
            connection.execute(f"DROP TRIGGER {_IN_A_BATCH}")
            by_user: dict[int, dict[str, int]] = {}
            for each in repairs:
                by_user.setdefault(each.user_id, {})[each.what] = each.became
            for user_id, columns in by_user.items():
                changes = ", ".join(f"{name} = :{name}" for name in columns)  # names of our own, above
                connection.execute(
                    f"UPDATE users SET {changes}, version = version + 1 WHERE id = :id",  # noqa: S608  names and numbers of our own
                    columns | {"id": user_id},
                )
            connection.executemany(
                """
                INSERT INTO repairs (id, at, block_id, user_id, what, found, became)
                SELECT (SELECT coalesce(max(id), 0) + 1 FROM repairs), ?, coalesce(max(id), 0), ?, ?, ?, ?
                FROM blocks
                """,
                [(now_us, *each) for each in repairs],
            )
            connection.execute(rule)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
