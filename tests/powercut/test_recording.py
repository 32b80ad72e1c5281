"""How a log of calls is read, and how what a kill left open in it is closed by looking at the files."""

from __future__ import annotations

import itertools
import os
import struct
from pathlib import Path

import pytest

from tests.powercut.recording import HEADER, Kind, Op, close_what_a_kill_left_open, read


class Log:
    """A log as recorder.c writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ids = itertools.count(1)
        self._clock = itertools.count(100)

    def begin(self, kind: Kind, path: Path, offset: int = 0, data: bytes = b"", other: str = "") -> int:
        id_ = next(self._ids)
        self._put(id_, kind, str(path), other, offset, data)
        return id_

    def end(self, id_: int, result: int) -> None:
        self._put(id_, Kind.DONE, "", "", result, b"")

    def _put(self, id_: int, kind: Kind, path: str, other: str, offset: int, data: bytes) -> None:
        names = path.encode(), other.encode()
        header = HEADER.pack(
            id_, next(self._clock), offset, len(data), ord(kind), len(names[0]), len(names[1])
        )
        with self.path.open("ab") as log:
            log.write(header + names[0] + names[1] + data)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "calls.log")


def test_a_call_is_read_with_its_times_and_without_what_it_did_not_do(log: Log, tmp_path: Path) -> None:
    db = tmp_path / "db"
    first, failed = log.begin(Kind.WRITE, db, 7, b"abcdef"), log.begin(Kind.TRUNCATE, db, 3)
    log.end(failed, -1)
    log.end(first, 4)  # a short write
    log.end(log.begin(Kind.LINK, db, other=f"{db}.new"), 0)
    log.begin(Kind.SYNC, db)
    assert read(log.path) == [
        Op(Kind.WRITE, str(db), "", 7, b"abcd", 100, 103),
        Op(Kind.LINK, str(db), f"{db}.new", 0, b"", 104, 105),
        Op(Kind.SYNC, str(db), "", 0, b"", 106, None),
    ]


def test_a_log_that_is_cut_short_is_not_read(log: Log, tmp_path: Path) -> None:
    log.begin(Kind.WRITE, tmp_path / "db", 0, b"abc")
    os.truncate(log.path, log.path.stat().st_size - 1)
    with pytest.raises(struct.error):
        read(log.path)


def test_after_a_kill_the_files_tell_what_a_call_has_done(log: Log, tmp_path: Path) -> None:
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.write_bytes(b"0123456789")
    calls = {
        "written": log.begin(Kind.WRITE, there, 2, b"234"),
        "written in part": log.begin(Kind.WRITE, there, 8, b"89+++"),
        "not written": log.begin(Kind.WRITE, there, 0, b"x"),
        "truncated": log.begin(Kind.TRUNCATE, there, 10),
        "not truncated": log.begin(Kind.TRUNCATE, there, 0),
        "removed": log.begin(Kind.UNLINK, gone),
        "not removed": log.begin(Kind.UNLINK, there),
        "made": log.begin(Kind.CREATE, there),
        "not linked": log.begin(Kind.LINK, there, other=str(gone)),
        "synced or not": log.begin(Kind.SYNC, there),
    }
    assert len(read(log.path)) == len(calls)
    log.begin(Kind.WRITE, there, 0, b"its record was cut short: it had not begun")
    os.truncate(log.path, log.path.stat().st_size - 5)

    close_what_a_kill_left_open(log.path)
    left = [(op.kind, op.offset, op.data) for op in read(log.path)]
    assert left == [
        (Kind.WRITE, 2, b"234"),
        (Kind.WRITE, 8, b"89"),
        (Kind.WRITE, 0, b""),
        (Kind.TRUNCATE, 10, b""),
        (Kind.UNLINK, 0, b""),
        (Kind.CREATE, 0, b""),
    ]
    assert all(op.ended_ns is not None for op in read(log.path))
    before = log.path.read_bytes()
    close_what_a_kill_left_open(log.path)
    assert log.path.read_bytes() == before, "there is nothing more to close"
