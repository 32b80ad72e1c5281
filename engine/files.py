"""The database file itself: make it, check that it is ours, lock it for the one process that writes.

Every refusal is a `FileUnusable` of one line that says what to do.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from engine.drafts import sync
from engine.errors import FileOutdated, FileServed, FileUnusable

SCHEMA_VERSION = 3
APPLICATION_ID = 0x53474C44
""""SGLD", in the file's header: tells our file from any other SQLite file (sqlite.org/fileformat2.html)."""

_MAGIC = b"SQLite format 3\x00"

_WRITTEN_BACK_AT = 96
"""Where the index of the log counts the frames that are in the database (sqlite.org/walformat.html, 2.1)."""

_INDEX_BYTES = 32_768
"""The least that the index of a log takes (sqlite.org/walformat.html, 2.2)."""


Schema = Mapping[str, str]
"""By type and name, such as `table users`: the text that made it, as `sqlite_schema` has it."""


class Looked(NamedTuple):
    """A database of this engine, of whatever version."""

    version: int
    schema: Schema


def schema_sql() -> str:
    """The text of `schema.sql`: packed beside this module in a wheel, at the top of the checkout
    otherwise.
    """
    packed = resources.files("engine") / "schema.sql"
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    return (Path(__file__).resolve().parent.parent / "schema.sql").read_text(encoding="utf-8")


def create_if_missing(path: Path) -> None:
    """Make an empty database of this schema, readable by its owner only. A file that exists is left alone.

    It is built under another name and linked into place, so that a crash leaves either nothing or a whole
    file.
    """
    if _exists(path):
        return
    draft = _draft_of(path)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            # auto_vacuum can only be chosen before the first table
            # (sqlite.org/pragma.html#pragma_auto_vacuum).
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(
                f"BEGIN; {schema_sql()}; PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT; PRAGMA journal_mode = WAL;"
            )
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        raise FileUnusable(f"{path}: cannot be created: {error.strerror}") from error
    except sqlite3.Error as error:
        raise FileUnusable(f"{path}: cannot be created: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def check_is_ours(path: Path, *, writing: bool) -> None:
    """Raise `FileUnusable` unless `path` is a database of this engine and version, and writable if
    `writing`; `FileOutdated` if it is of an earlier version.
    """
    found = look_at(path, writing=writing)
    if 1 <= found.version < SCHEMA_VERSION:
        raise FileOutdated(
            f"{path}: has schema version {found.version}; upgrade it: solidgreen upgrade --db {path}",
            found.version,
        )
    if found.version != SCHEMA_VERSION:
        raise of_another_version(path, found.version)
    if drift := differences(found.schema, schema_of(schema_sql())):
        raise altered(path, drift)


def look_at(path: Path, *, writing: bool) -> Looked:
    """Version and schema. Raises `FileUnusable` unless `path` is a database of this engine, of whatever
    version, and writable if `writing`.
    """
    if not _exists(path):
        raise FileUnusable(f"{path}: no such file; make one with: solidgreen seed --db {path} --players 100")
    if not path.is_file():
        raise FileUnusable(f"{path}: is not a file")
    # Root may write anywhere, but a file that its owner marked read-only was marked for a reason.
    if writing and not (path.stat().st_mode & stat.S_IWUSR and os.access(path, os.W_OK)):
        raise FileUnusable(f"{path}: is read-only; the server must be able to write to it")
    if writing and not os.access(path.parent, os.W_OK):
        raise FileUnusable(f"{path.parent}: is read-only; the server keeps its write-ahead log there")
    if not os.access(path, os.R_OK):
        raise FileUnusable(f"{path}: cannot be read: {os.strerror(errno.EACCES)}")
    if not path.stat().st_size:
        raise FileUnusable(f"{path}: is not an SQLite database")
    try:
        with contextlib.closing(open_read_only(path)) as connection:
            connection.execute("BEGIN")  # of one moment: an upgrade may be committed between the two
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            schema = schema_in(connection)
    except sqlite3.Error as error:
        # Only now: who closes a file lets go of all locks that SQLite has on it in this process. Another one
        # then takes itself for the last to close it, and deletes the write-ahead log that is written to here
        # (sqlite.org/howtocorrupt.html, section 2.2).
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB and _magic_of(path) != _MAGIC:
            raise FileUnusable(f"{path}: is not an SQLite database") from error
        full = "; its disk is full" if _is_full(path.parent) else ""
        raise FileUnusable(f"{path}: cannot be read as a database: {error}{full}") from error
    if application_id != APPLICATION_ID:
        raise FileUnusable(f"{path}: is an SQLite database, but not one of Solid Green's")
    return Looked(version, schema)


def of_another_version(path: Path, version: int) -> FileUnusable:
    """Why a file that is not of an earlier version cannot be used either."""
    return FileUnusable(
        f"{path}: has schema version {version}, and this program knows up to version {SCHEMA_VERSION}"
    )


def altered(path: Path, drift: str) -> FileUnusable:
    """Why a file cannot be used whose rules are not those of its version."""
    return FileUnusable(f"{path}: its schema has been altered: {drift}")


def _draft_of(path: Path) -> Path:
    # Not by the process's number: in containers it is the same each time, so that what a killed one left, or
    # another one is just making, would be in the way.
    return path.with_name(f"{path.name}.new-{token_hex(4)}")


def _is_full(folder: Path) -> bool:
    """Whether there is no room for the index of a log, without which nobody reads: "disk I/O error" is all
    that SQLite says of that."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < _INDEX_BYTES
    return False


def _magic_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_MAGIC))


def _exists(path: Path) -> bool:
    # Not Path.exists: it raises for a name that is too long or a folder that may not be searched.
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FileUnusable(f"{path}: cannot be opened: {error.strerror}") from error
    return True


def read_only_uri(path: Path) -> str:
    """The name under which SQLite opens `path` without the right to write or checkpoint."""
    return f"{path.absolute().as_uri()}?mode=ro"


def forget_what_was_written_back(path: Path) -> None:
    """Have the next checkpoint write all of the log into the database, also where another process has kept
    the log's index alive since the last one that served the file.

    The index counts what a checkpoint wrote that readers held up, and which no sync has followed: where that
    one died of a sync that failed, the kernel may have dropped those pages. To count less is always safe,
    and what SQLite does itself where nobody has the file open. To be called by who holds `WriterLock`, while
    nobody in this process has the file open: to close the index lets go of SQLite's locks on it
    (sqlite.org/howtocorrupt.html, section 2.2). Raises `FileUnusable`.
    """
    try:
        with path.with_name(f"{path.name}-shm").open("r+b", buffering=0) as index:
            if os.fstat(index.fileno()).st_size > _WRITTEN_BACK_AT:
                os.pwrite(index.fileno(), bytes(4), _WRITTEN_BACK_AT)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileUnusable(f"{path}-shm: cannot be written: {error.strerror}") from error


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that can neither write nor checkpoint, for audits beside a running server."""
    connection = sqlite3.connect(read_only_uri(path), uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def structural_findings(connection: sqlite3.Connection) -> Iterator[dict[str, object]]:
    """What SQLite itself finds wrong with the file: pages, indexes, references. Reads all of it.

    Raises `sqlite3.Error` where it cannot even look.
    """
    for (complaint,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
        if complaint != "ok":
            yield {"check": "integrity", "why": complaint}
    for table, row_id, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
        yield {"check": "foreign_key", "table": table, "row": row_id, "parent": parent}


def make_secret(path: Path, content: bytes) -> None:
    """Make a file for its owner only (mode 0600), unless it is there; it and its name are on disk when this
    returns. Raises `OSError`."""
    # Written under another name and linked into place: two processes that start together agree on one secret.
    draft = _draft_of(path)
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()
    sync(path.parent)


def served_at(path: Path) -> str | None:
    """Where the process that has the file answers, as it noted in its lock; None: it did not say."""
    try:
        return path.with_name(f"{path.name}.lock").read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None


class WriterLock:
    """The lock beside the file that makes its holder the only process that writes.

    SQLite before 3.51.3 can corrupt a WAL when two connections checkpoint at once, so this is about safety.
    Raises `FileUnusable` at once if another process holds it. The kernel drops it when the process dies.
    """

    def __init__(self, path: Path) -> None:
        beside = path.with_name(f"{path.name}.lock")
        try:
            self._descriptor = os.open(beside, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileUnusable(f"{beside}: cannot be created: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise FileServed(f"{path}: is being served by another process; stop that one first") from error
        self.note("")

    def note(self, text: str) -> None:
        """Keep this line in the lock's file while the lock is held, for whoever finds it held. It is a help,
        so a full disk is no reason to fail."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Let another process write. May be called once."""
        os.close(self._descriptor)


def schema_in(connection: sqlite3.Connection) -> Schema:
    """The rules of an open database. A dropped trigger leaves every row as it was: only these tell."""
    listing = """
        SELECT type || ' ' || name, sql FROM sqlite_schema
        WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
    """
    return dict(connection.execute(listing).fetchall())


@cache  # a script makes the same rules each time, and this one takes 10 ms of every opening of a file
def schema_of(sql: str) -> Schema:
    """The rules that a script makes."""
    with contextlib.closing(sqlite3.connect(":memory:")) as reference:
        reference.executescript(sql)
        return schema_in(reference)


def differences(found: Schema, expected: Schema) -> str:
    """What differs, in words; empty if nothing does."""
    missing = [f"{name} is missing" for name in expected.keys() - found.keys()]
    foreign = [f"{name} is foreign" for name in found.keys() - expected.keys()]
    changed = [f"{name} differs" for name in expected.keys() & found.keys() if expected[name] != found[name]]
    return ", ".join(sorted(missing + foreign + changed))
