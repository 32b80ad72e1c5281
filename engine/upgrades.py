"""Brings a file of an earlier schema version to the newest one.

All steps are one transaction, with every check inside it: rules that are word for word those of `schema.sql`,
references, the same newest block as before, and `reconcile`. So whatever happens (a step that fails, books
that do not add up, a full disk, `kill -9`, a power cut) the file is of the old version or of the new one, and
running it again goes on. History cannot have changed: its newest hash is the same, and `reconcile` has
recomputed it from the rows. Archives have a version of their own and are left alone. `docs/adr/0025`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from engine.archive_copy import LEFT_FREE_BYTES
from engine.backup import Copied, Tell, back_up_outdated, copy_outdated
from engine.checks import Finding
from engine.drafts import Draft
from engine.errors import FileUnusable
from engine.files import (
    Looked,
    WriterLock,
    altered,
    differences,
    forget_what_was_written_back,
    look_at,
    of_another_version,
    schema_in,
    schema_of,
    schema_sql,
)
from engine.reconcile import reconcile_within
from engine.steps import Step, known_steps, schema_at, statements
from engine.verify import Asked, verify
from engine.writer import prepare_connection

REHEARSAL: Final = ".upgrade-check"
"""Ends the name of the copy that a rehearsal upgrades; it is never seen but as an unfinished draft."""

_NOT_IN_A_STEP: Final = frozenset(
    {
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_PRAGMA,
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
    }
)
"""A step is part of one transaction on one file, and leaves both as they are."""

_HEAD: Final = "SELECT id, hash FROM blocks ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done, or would be. Nothing was if there are findings, or no steps."""

    from_version: int
    to_version: int
    steps: tuple[Step, ...] = ()
    block: int = 0
    """The newest block, before and after; 0 for none."""
    block_hash: bytes = bytes(32)
    users: int = 0
    entries: int = 0
    findings: list[Finding] = field(default_factory=list)
    backup: Copied | None = None
    """The copy of the file as it was before; None where none was asked for."""

    @property
    def ok(self) -> bool:
        return not self.findings


Record = Callable[[sqlite3.Connection, Upgraded], None]
"""Writes down that it was done, inside the same transaction; whatever it raises, nothing was done."""


def upgrade(
    path: Path,
    backup: Path | None,
    steps: Sequence[Step] = (),
    tell: Tell = lambda done, total: None,
    record: Record = lambda connection, done: None,
) -> Upgraded:
    """Bring `path` to the newest version, after copying it to `backup`, which must not exist, if that is
    given. A file of the newest version is left alone.

    `steps`: those to know instead of the program's own. Raises `FileUnusable`, also if the file is served;
    then nothing has changed, but where the message says that this is not known, and the copy is left.
    """
    steps = steps or known_steps()
    found = _look(path, steps)
    if found.version == len(steps):
        return Upgraded(found.version, found.version)
    lock = WriterLock(path)
    try:
        found = _look(path, steps)  # again: until now somebody else may have upgraded it
        if found.version == len(steps):
            return Upgraded(found.version, found.version)
        forget_what_was_written_back(path)
        copied = None
        if backup is not None:
            copied = back_up_outdated(path, backup, found.schema, tell)
            if not copied.report.ok:
                return Upgraded(found.version, found.version, findings=copied.report.findings, backup=copied)
        try:
            return replace(_apply(path, steps, record), backup=copied)
        except FileUnusable as error:
            if copied is None:
                raise
            # It is as large as the file, and the next run makes another: on a full disk that is the point.
            raise FileUnusable(f"{error}; the copy of it as it was is {copied.path}") from error
    finally:
        lock.release()


def rehearse(
    path: Path,
    steps: Sequence[Step] = (),
    tell: Tell = lambda done, total: None,
    record: Record = lambda connection, done: None,
) -> Upgraded:
    """As `upgrade`, of a copy of `path`; verify all of that, and throw it away. Works beside a server of the
    old version. Raises `FileUnusable`.
    """
    steps = steps or known_steps()
    found = _look(path, steps, writing=False)
    if found.version == len(steps):
        return Upgraded(found.version, found.version)
    with Draft(path.with_name(f"{path.name}{REHEARSAL}")) as draft:
        copied = copy_outdated(path, draft, found.schema, tell, left_bytes=LEFT_FREE_BYTES)
        if not copied.report.ok:
            return Upgraded(found.version, found.version, findings=copied.report.findings)
        done = _apply(draft.path, steps, record)
        if done.ok:
            done.findings.extend(verify(draft.path, Asked(alone=True)).findings)
        return done


def _look(path: Path, steps: Sequence[Step], *, writing: bool = True) -> Looked:
    """What the file is now. Raises `FileUnusable` unless its rules are those of its version."""
    found = look_at(path, writing=writing)
    if not 1 <= found.version <= len(steps):
        raise of_another_version(path, found.version)
    if drift := differences(found.schema, schema_at(steps, found.version)):
        raise altered(path, drift)
    return found


def _apply(path: Path, steps: Sequence[Step], record: Record) -> Upgraded:
    """All steps and all checks, in one transaction."""
    doing = "opened for writing"
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            prepare_connection(connection, path)
            # Where a step builds a table anew, references to it are broken for a while: they are checked
            # before COMMIT instead (sqlite.org/lang_altertable.html, section 7).
            connection.execute("PRAGMA foreign_keys = OFF")
            doing = "upgraded"
            connection.execute("BEGIN IMMEDIATE")
            try:
                done = _upgraded_within(connection, path, steps)
                if done.ok:
                    record(connection, done)
                    doing = "committed; whether it was is not known, so run it again"
                    connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            with contextlib.suppress(sqlite3.Error):  # the log holds it; the next start writes it back
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return done
    except sqlite3.Error as error:
        raise FileUnusable(f"{path}: cannot be {doing}: {error}") from error


def _upgraded_within(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> Upgraded:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    before = connection.execute(_HEAD).fetchone() or (0, bytes(32))
    for step in steps[version:]:
        _take(connection, path, step)
    findings = list(_findings(connection, before))
    report = reconcile_within(connection) if not findings else None
    if report is not None:
        findings += report.findings
    return Upgraded(
        version,
        len(steps),
        tuple(steps[version:]),
        block=before[0],
        block_hash=before[1],
        users=report.users if report else 0,
        entries=report.entries if report else 0,
        findings=findings,
    )


def _take(connection: sqlite3.Connection, path: Path, step: Step) -> None:
    connection.set_authorizer(_authorized)
    try:
        for statement in statements(step.sql):
            connection.execute(statement)
    except sqlite3.Error as error:
        raise FileUnusable(f"{path}: {step.name} cannot be done: {error}; nothing has changed") from error
    finally:
        connection.set_authorizer(None)
    connection.execute(f"PRAGMA user_version = {step.version}")


def _authorized(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if action in _NOT_IN_A_STEP else sqlite3.SQLITE_OK


def _findings(connection: sqlite3.Connection, before: tuple[int, bytes]) -> Iterator[Finding]:
    """What the steps should not have done."""
    if drift := differences(schema_in(connection), schema_of(schema_sql())):
        yield {"check": "schema", "why": f"the steps do not lead to the newest schema: {drift}"}
    for table, row_id, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield {"check": "foreign_key", "table": table, "row": row_id, "parent": parent}
    if (connection.execute(_HEAD).fetchone() or (0, bytes(32))) != before:
        yield {"check": "head", "why": f"the newest block is not {before[0]} any more"}
