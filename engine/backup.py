"""Copies a database, also one that is being served, and calls the copy good only after checking it.

The copy is made page by page with SQLite's backup API, out of one read transaction that is held from the
first page to the last: the API starts anew whenever another process has written between two steps, unless the
source stands still (sqlite.org/c3ref/backup_finish.html), and under load it would never end. The source is
opened read-only, so that neither the copy nor its close can checkpoint it: only the server may (DESIGN,
"Rules of the writer"). What that costs, and why it is not VACUUM INTO, stands in `docs/adr/`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.archive_copy import LEFT_FREE_BYTES
from engine.drafts import Draft, refuse_to_overwrite, sync
from engine.errors import FileOutdated, FileUnusable
from engine.files import (
    Schema,
    WriterLock,
    check_is_ours,
    differences,
    open_read_only,
    schema_in,
    structural_findings,
)
from engine.verify import Asked, Verdict, verify

STEP_BYTES = 1 << 20
"""Copied, then synced: one sync of the whole file at its end would hold up those of the server."""

PACE_BYTES_PER_S = 100_000_000
"""At most, so that the disk has time for the server. Not much less: for as long as the copy takes, the server
cannot empty its write-ahead log, and what it collects there it must write back at once afterwards.
"""

SUSPECT = ".suspect"
"""Ends the name of a copy that was made and whose check found something."""

NOTED = ".backed-up"
"""Ends the name of the empty file whose time says when the newest good backup of a database was begun."""

_HEAD = "SELECT id, hash FROM blocks ORDER BY id DESC LIMIT 1"

Tell = Callable[[int, int], object]
"""Is told how many bytes are copied, and of how many; equal once the check begins."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that was made, and what its check says of it."""

    path: Path | None
    """Where it stands: under its name if `report.ok`; else aside, or nowhere."""
    size_bytes: int
    block: int
    """The newest block in it; 0 for none. Whatever was confirmed later is not in it."""
    block_hash: bytes
    report: Verdict


def back_up(source: Path, target: Path, tell: Tell = lambda done, total: None) -> Copied:
    """Copy the database `source` to `target`, which must not exist, and check the copy.

    Works beside the process that serves `source`, and on a file that nobody serves, also with the write-ahead
    log of a crash. `target` appears only once the copy is checked and synced; one whose check finds something
    is kept as `target` + `SUSPECT`, for it may be the only copy of books that are damaged. Raises
    `FileUnusable`; then nothing has changed.
    """
    check_is_ours(source, writing=False)
    with Draft(target) as draft:
        copied = _copy_and_check(source, draft, tell, left_bytes=LEFT_FREE_BYTES)
        if copied.report.ok:
            draft.publish()
            return copied
        aside = target.with_name(f"{target.name}{SUSPECT}")
        draft.publish_instead(aside)
        return Copied(aside, copied.size_bytes, copied.block, copied.block_hash, copied.report)


def note_backed_up(source: Path, at_s: float) -> None:
    """Leave beside `source` that a good copy of it was begun at `at_s`, in seconds, for whoever is to be told
    that none was for long. It is a help, and where it cannot be written the copy is as good.
    """
    noted = source.with_name(f"{source.name}{NOTED}")
    with contextlib.suppress(OSError):
        # Anew: who made the one before may have been somebody else, and its time his alone to change.
        noted.unlink(missing_ok=True)
        os.close(os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.utime(noted, (at_s, at_s))


def backed_up_at(source: Path) -> float | None:
    """When the newest good copy of `source` was begun, in seconds; 0: never, None: nobody can look."""
    try:
        return source.with_name(f"{source.name}{NOTED}").stat().st_mtime
    except FileNotFoundError:
        return 0.0
    except OSError:
        return None


def back_up_outdated(
    source: Path, target: Path, schema: Schema, tell: Tell = lambda done, total: None
) -> Copied:
    """Copy a database of an earlier version, whose rules are `schema`, to `target`, which must not exist.

    The check of the copy is SQLite's own, and that its rules and its newest block are those of the source:
    what this program knows of books holds for its own version only. Whoever upgrades the source checks that.
    Raises `FileUnusable`; then nothing has changed.
    """
    with Draft(target) as draft:
        copied = copy_outdated(source, draft, schema, tell)
        if copied.report.ok:
            draft.publish()
    return copied


def copy_outdated(source: Path, draft: Draft, schema: Schema, tell: Tell, *, left_bytes: int = 0) -> Copied:
    """The same, into a draft that somebody else publishes or throws away. `left_bytes`: what stays free of
    the disk of `source`, for a server that writes to it meanwhile."""
    check_it = partial(_check_outdated, schema=schema)
    return _copy_and_check(source, draft, tell, check_it, left_bytes=left_bytes)


def restore(backup: Path, target: Path, tell: Tell = lambda done, total: None) -> Copied:
    """Copy `backup` to `target`, which must not exist, to be served from then on.

    Nothing appears there unless the copy passes its check. Raises `FileUnusable`; then nothing has changed.
    """
    refuse_to_overwrite(target)  # first: whoever is told to copy it there must not find an old log beside it
    try:
        check_is_ours(backup, writing=False)
    except FileOutdated as error:
        raise FileUnusable(
            f"{backup}: has schema version {error.version}; copy it to {target}, "
            f"then: solidgreen upgrade --db {target}"
        ) from error
    lock = WriterLock(target)  # somebody may still serve the file that had this name
    try:
        with Draft(target) as draft:
            copied = _copy_and_check(backup, draft, tell)
            if not copied.report.ok:
                return Copied(None, copied.size_bytes, copied.block, copied.block_hash, copied.report)
            draft.publish()
            return copied
    finally:
        lock.release()


def check(path: Path) -> Verdict:
    """Whether a copy that nobody else has opened is good: all that this program can say of a file, without
    the archives that it may have.

    What cannot be read is a finding, like what does not add up.
    """
    report = Verdict()
    try:
        check_is_ours(path, writing=False)
        with contextlib.closing(open_read_only(path)) as connection:
            structural = list(structural_findings(connection))
        report = verify(path, Asked(alone=True))
        report.findings[:0] = structural
    except FileUnusable as error:
        report.findings.append({"check": "file", "why": str(error)})
    except sqlite3.Error as error:
        report.findings.append({"check": "integrity", "why": str(error)})
    return report


def _check_outdated(path: Path, schema: Schema) -> Verdict:
    report = Verdict()
    try:
        with contextlib.closing(open_read_only(path)) as connection:
            report.findings += structural_findings(connection)
            if drift := differences(schema_in(connection), schema):
                report.findings.append({"check": "schema", "why": drift})
    except sqlite3.Error as error:
        report.findings.append({"check": "integrity", "why": str(error)})
    return report


def _copy_and_check(
    source: Path,
    draft: Draft,
    tell: Tell,
    check_it: Callable[[Path], Verdict] | None = None,
    *,
    left_bytes: int = 0,
) -> Copied:
    try:
        with contextlib.closing(open_read_only(source)) as connection:
            connection.execute("BEGIN")
            block, block_hash = connection.execute(_HEAD).fetchone() or (0, bytes(32))
            size_bytes = _size_bytes(connection)
            free_bytes = shutil.disk_usage(draft.path.parent).free
            if draft.path.stat().st_dev != source.stat().st_dev:
                left_bytes = 0
            if free_bytes < size_bytes + left_bytes:
                bets = f" beside the {left_bytes >> 20} that bets need" if left_bytes else ""
                raise FileUnusable(
                    f"{draft.target}: needs {size_bytes >> 20} MiB{bets}, and its disk has "
                    f"{free_bytes >> 20} free"
                )
            _copy(connection, draft.path, size_bytes, tell)
        report = (check_it or check)(draft.path)
    except sqlite3.Error as error:
        raise FileUnusable(f"{source}: cannot be copied to {draft.target}: {error}") from error
    except OSError as error:
        raise FileUnusable(f"{source}: cannot be copied to {draft.target}: {error.strerror}") from error
    if report.ok and _head(draft.path) != (block, block_hash):
        report.findings.append({"check": "head", "why": f"the copy does not end with block {block}"})
    return Copied(draft.target, size_bytes, block, block_hash, report)


def _copy(source: sqlite3.Connection, path: Path, size_bytes: int, tell: Tell) -> None:
    """Copy what the read transaction of `source` sees. Raises `sqlite3.Error` or `OSError`."""
    (page_bytes,) = source.execute("PRAGMA page_size").fetchone()
    began_s = time.monotonic()

    def pause(status: int, remaining: int, total: int) -> None:
        sync(path)
        done_bytes = (total - remaining) * page_bytes
        tell(done_bytes, size_bytes)
        # In the command's own process, never on a loop: the disk is left to the server for as long.
        time.sleep(max(0.0, began_s + done_bytes / PACE_BYTES_PER_S - time.monotonic()))

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
        # A crash leaves nothing of a draft worth rolling back.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=STEP_BYTES // page_bytes, progress=pause)
        # The pages say WAL, and such a file cannot be read in a folder that cannot be written
        # (sqlite.org/wal.html, "Read-Only Databases"). The server turns it on again.
        (mode,) = copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete":
            raise sqlite3.OperationalError(f"the copy stays in journal mode {mode}")


def _size_bytes(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(page_bytes)


def _head(path: Path) -> tuple[int, bytes]:
    with contextlib.closing(open_read_only(path)) as connection:
        number, hash_ = connection.execute(_HEAD).fetchone() or (0, bytes(32))
    return number, hash_
