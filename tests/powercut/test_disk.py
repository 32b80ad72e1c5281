"""What may be left after a power cut, rule by rule: what must be there, what may be, and what cannot be."""

from __future__ import annotations

from random import Random

from tests.powercut.disk import SECTOR, Disk
from tests.powercut.recording import Kind, Op

DB, WAL = "/f/db", "/f/db-wal"
CUTS = 300  # enough for each outcome that has a share of a few percent to be seen


class Calls:
    """A recording, made call by call: each takes 2 ns, or is under way for ever."""

    def __init__(self) -> None:
        self.ops: list[Op] = []

    def add(
        self, kind: Kind, path: str, offset: int = 0, data: bytes = b"", other: str = "", ends: bool = True
    ) -> None:
        at = 10 * len(self.ops)
        self.ops.append(Op(kind, path, other, offset, data, at, at + 2 if ends else None))

    def write(self, path: str, offset: int, data: bytes, *, ends: bool = True) -> None:
        self.add(Kind.WRITE, path, offset, data, ends=ends)

    def sync(self, path: str, *, ends: bool = True) -> None:
        self.add(Kind.SYNC, path, ends=ends)

    def disk(self, until: int | None = None) -> Disk:
        """As it is once the first `until` calls have returned."""
        disk = Disk(self.ops, "/f")
        disk.advance(10 * (len(self.ops) if until is None else until))
        return disk

    def cuts(self, path: str = DB) -> set[bytes | None]:
        """Every content that some cut leaves; None: it has no such name."""
        disk = self.disk()
        return {disk.after_a_cut(Random(seed)).get(path) for seed in range(CUTS)}


def named(*paths: str) -> Calls:
    """Files that are empty, and whose names are on disk."""
    calls = Calls()
    for path in paths:
        calls.add(Kind.CREATE, path)
    calls.sync("/f")
    return calls


def test_what_is_synced_is_there_and_what_is_not_may_be() -> None:
    calls = named(DB)
    calls.write(DB, 0, b"old")
    calls.sync(DB)
    assert calls.cuts() == {b"old"}
    calls.write(DB, 0, b"new")
    assert calls.cuts() == {b"old", b"new"}
    calls.sync(DB)
    assert calls.cuts() == {b"new"}


def test_a_later_write_may_be_kept_without_an_earlier_one() -> None:
    calls = named(DB)
    calls.write(DB, 0, bytes(2 * SECTOR))
    calls.sync(DB)
    calls.write(DB, 0, b"1")
    calls.write(DB, SECTOR, b"2")
    assert {(left[0:1], left[SECTOR : SECTOR + 1]) for left in calls.cuts() if left} == {
        (b"\0", b"\0"),
        (b"1", b"\0"),
        (b"\0", b"2"),
        (b"1", b"2"),
    }


def test_a_sync_covers_its_own_file_and_only_what_had_returned() -> None:
    calls = named(DB, WAL)
    calls.write(DB, 0, b"under way", ends=False)
    calls.write(WAL, 0, b"log")
    calls.sync(DB)
    assert calls.cuts(DB) >= {b"", b"under way"}
    assert calls.cuts(WAL) >= {b"", b"log"}


def test_a_sync_counts_once_it_has_returned() -> None:
    calls = named(DB)
    calls.write(DB, 0, b"a")
    calls.sync(DB, ends=False)
    assert b"" in calls.cuts()


def test_a_write_is_torn_between_sectors_and_nowhere_else() -> None:
    calls = named(DB)
    calls.write(DB, 0, b"-" * 3 * SECTOR)
    calls.sync(DB)
    calls.write(DB, 100, b"+" * 2 * SECTOR)  # in three sectors
    parts = [
        (0, 100, "-"),
        (100, SECTOR, "?"),
        (SECTOR, 2 * SECTOR, "?"),
        (2 * SECTOR, 2 * SECTOR + 100, "?"),
    ]
    seen = set()
    for left in calls.cuts():
        assert left is not None
        assert left[2 * SECTOR + 100 :] == b"-" * (SECTOR - 100)
        kept = [set(left[start:end].decode()) for start, end, _ in parts]
        assert all(len(one) == 1 for one in kept)
        assert kept[0] == {"-"}
        seen.add("".join("".join(one) for one in kept[1:]))
    assert seen == {a + b + c for a in "+-" for b in "+-" for c in "+-"}


def test_a_file_may_have_grown_by_what_is_lost() -> None:
    calls = named(DB)
    calls.write(DB, 0, b"a" * SECTOR)
    calls.write(DB, SECTOR, b"b" * SECTOR)
    left = calls.cuts()
    assert {b"", b"a" * SECTOR, bytes(SECTOR) + b"b" * SECTOR} <= left
    assert any(one and one[:SECTOR] not in (b"a" * SECTOR, bytes(SECTOR)) for one in left), "never garbage"


def test_a_truncation_is_lost_or_kept_as_a_write_is() -> None:
    calls = named(WAL)
    calls.write(WAL, 0, b"old log")
    calls.sync(WAL)
    calls.add(Kind.TRUNCATE, WAL, 0)
    calls.write(WAL, 0, b"new")
    assert calls.cuts(WAL) >= {b"old log", b"", b"new", b"new log"}
    calls.sync(WAL)
    assert calls.cuts(WAL) == {b"new"}


def test_a_name_is_kept_by_a_sync_of_the_folder_and_not_of_the_file() -> None:
    calls = Calls()
    calls.add(Kind.CREATE, DB)
    calls.write(DB, 0, b"a")
    calls.sync(DB)
    assert calls.cuts() == {None, b"a"}
    calls.sync("/f")
    assert calls.cuts() == {b"a"}
    calls.add(Kind.UNLINK, DB)
    assert calls.cuts() == {None, b"a"}
    calls.sync("/f")
    assert calls.cuts() == {None}


def test_names_are_kept_in_their_order() -> None:
    calls = named("/f/db.new")
    calls.write("/f/db.new", 0, b"a")
    calls.sync("/f/db.new")
    calls.add(Kind.LINK, "/f/db.new", other=DB)
    calls.add(Kind.UNLINK, "/f/db.new")
    disk = calls.disk()
    names = {frozenset(disk.after_a_cut(Random(seed))) for seed in range(CUTS)}
    assert names == {frozenset({"/f/db.new"}), frozenset({"/f/db.new", DB}), frozenset({DB})}


def test_a_file_that_was_removed_may_come_back_beside_its_successor() -> None:
    calls = named(WAL)
    calls.write(WAL, 0, b"first")
    calls.sync(WAL)
    calls.add(Kind.UNLINK, WAL)
    calls.add(Kind.CREATE, WAL)
    calls.write(WAL, 0, b"second")
    assert calls.cuts(WAL) >= {b"first", None, b"", b"second"}
    assert calls.disk().live() == {WAL: b"second"}


def test_what_processes_see_is_every_call_done() -> None:
    calls = named(DB)
    calls.write(DB, 4, b"abcd")
    calls.sync(DB)
    calls.write(DB, 0, b"1234")
    calls.add(Kind.TRUNCATE, DB, 6)
    calls.add(Kind.RENAME, DB, other="/f/other")
    assert calls.disk().live() == {"/f/other": b"1234ab"}
    assert calls.disk(until=3).live() == {DB: b"\0\0\0\0abcd"}


def test_the_same_seed_leaves_the_same_disk() -> None:
    calls = named(DB)
    for at in range(20):
        calls.write(DB, at * SECTOR, bytes([at]) * SECTOR)
    first, again = (calls.disk().after_a_cut(Random(7)) for _ in range(2))
    assert first == again
