"""What `recorder.c` wrote down: changes and syncs of a server's files, in the order of their beginnings.

`recorded` makes the processes started within it leave such a log, `read` reads it.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from harness.preload import compiled

SOURCE = Path(__file__).with_name("recorder.c")
HEADER = struct.Struct("=QQqQIHH")
"""`struct record` of recorder.c: id, time, offset, bytes of data, op, bytes of the two paths."""
SYNC_US = 20_000
"""How much longer a sync takes: as on a disk that turns. So a kill usually falls into a sync, and what
the next server finds is not on disk yet."""


class Kind(StrEnum):
    """What a record says."""

    CREATE = "c"
    WRITE = "w"
    TRUNCATE = "t"
    SYNC = "s"
    UNLINK = "u"
    LINK = "l"
    RENAME = "r"
    DONE = "."
    """A call has returned."""


@dataclass(frozen=True, slots=True)
class Op:
    """One call that succeeded, or was under way when its process was killed."""

    kind: Kind
    path: str
    other: str
    """The new name, of a link or a renaming."""
    offset: int
    """Where it writes; the size to which it truncates."""
    data: bytes
    begun_ns: int
    ended_ns: int | None
    """CLOCK_MONOTONIC; None: its process was killed first."""


def build(folder: Path) -> Path:
    """Compile the recorder into `folder`. Needs a C compiler."""
    return compiled(SOURCE, folder)


@contextlib.contextmanager
def recorded(library: Path, log: Path, db: Path) -> Iterator[None]:
    """Processes started within record into `log` what they do to `db` and to what stands beside it under a
    name that begins with its own."""
    log.touch()
    # Not named SOLIDGREEN_…: the harness clears those, so that no setting leaks into a server.
    ours = {
        "LD_PRELOAD": str(library),
        "RECORD_TO": str(log),
        "RECORD_FILES": str(db.resolve()),
        "RECORD_SYNC_US": str(SYNC_US),
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def read(log: Path) -> list[Op]:
    """All calls but those that failed. Raises `struct.error` if the log ends in the middle of a record."""
    calls: dict[int, Op] = {}
    for id_, op in _records(log.read_bytes()):
        if op.kind != Kind.DONE:
            calls[id_] = op
        elif op.offset < 0:
            del calls[id_]
        else:
            begun = calls[id_]
            done = begun.data[: op.offset] if begun.kind == Kind.WRITE else begun.data
            calls[id_] = replace(begun, ended_ns=op.begun_ns, data=done)
    return list(calls.values())


def close_what_a_kill_left_open(log: Path) -> None:
    """Note of each call that a killed process did not come back from what it did: the files tell. Of a sync
    nobody can tell: it counts as not done. To be called before another process opens the files.

    A record that the kill has cut short is removed: its call had not begun.
    """
    whole, calls = 0, {}
    content = log.read_bytes()
    with contextlib.suppress(struct.error):
        for id_, op in _records(content):
            whole += HEADER.size + len(op.path.encode()) + len(op.other.encode()) + len(op.data)
            if op.kind == Kind.DONE:
                del calls[id_]
            else:
                calls[id_] = op
    os.truncate(log, whole)
    with log.open("ab") as more:
        for id_, op in calls.items():
            more.write(HEADER.pack(id_, time.monotonic_ns(), _what_it_did(op), 0, ord(Kind.DONE), 0, 0))


def _records(content: bytes) -> Iterator[tuple[int, Op]]:
    """Each record with its id; of one that says that a call is done, `offset` is what the call returned."""
    place = 0
    while place < len(content):
        id_, at_ns, offset, size, kind, *lengths = HEADER.unpack_from(content, place)
        place += HEADER.size
        path, other, data = struct.unpack_from(f"{lengths[0]}s{lengths[1]}s{size}s", content, place)
        place += sum(lengths) + size
        yield id_, Op(Kind(chr(kind)), path.decode(), other.decode(), offset, data, at_ns, None)


def _what_it_did(op: Op) -> int:
    """How many bytes were written; of other calls 0 if they happened, else -1."""
    path = Path(op.path)
    if op.kind == Kind.WRITE:  # page by page: the kernel ends a killed process between two of them
        with path.open("rb") as file:
            file.seek(op.offset)
            found = file.read(len(op.data))
        differing = (at for at, pair in enumerate(zip(found, op.data, strict=False)) if pair[0] != pair[1])
        return next(differing, len(found))
    happened = {
        Kind.CREATE: path.exists(),
        Kind.TRUNCATE: path.exists() and path.stat().st_size == op.offset,
        Kind.UNLINK: not path.exists(),
        Kind.LINK: bool(op.other) and Path(op.other).exists(),
        Kind.RENAME: bool(op.other) and Path(op.other).exists(),
        Kind.SYNC: False,
    }
    return 0 if happened[op.kind] else -1
