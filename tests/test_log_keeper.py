"""The keeper of the write-ahead log on real files: it stays short, and faults of checkpoints are heard."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from batcher import log_keeper
from batcher.log_keeper import CHECKPOINT_EVERY_US, SAY_EVERY_US, LogKeeper, log_bytes
from engine.errors import BatchRefused, CommitUnknown
from engine.store import Store
from tests.books_open import BOB, NOW_US, asked, balances, place, seed, with_store

S = 1_000_000
PINNED = r"a reader pins the write-ahead log: \d+ MiB, and it grows"


class Checkpoints(sqlite3.Connection):
    """Notes each checkpoint; the next one fails with `code`, if told."""

    modes: ClassVar[list[str]] = []
    waits_ms: ClassVar[list[int]] = []
    code: ClassVar[int | None] = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if "busy_timeout = " in sql:
            self.waits_ms.append(int(sql.rpartition(" ")[2]))
        if "wal_checkpoint" in sql:
            self.modes.append(sql.partition("(")[2].rstrip(")"))
            if self.code is not None:
                error = sqlite3.OperationalError("made up by a test")
                error.sqlite_errorcode, type(self).code = self.code, None
                raise error
        return super().execute(sql, *parameters)


@pytest.fixture
def disk() -> Iterator[type[Checkpoints]]:
    """The class to open a store with."""
    yield Checkpoints
    Checkpoints.code = None
    Checkpoints.modes.clear()


class Kept:
    """A store with a keeper whose time stands still until a test says so."""

    def __init__(self, store: Store, log_max_bytes: int) -> None:
        self.store, self.now_us, self.number = store, 0, 0
        self.log = store.path.with_name(f"{store.path.name}-wal")
        self.room = 2
        self.keeper = LogKeeper(store, lambda: self.now_us, log_max_bytes, lambda: self.room)
        Checkpoints.modes.clear()

    async def bet(self) -> None:
        self.number += 1
        await self.store.commit(asked(place(self.number, 1, BOB)), NOW_US)

    async def bet_beyond(self, size: int) -> None:
        """Until the log is longer."""
        while log_bytes(self.log) <= size:
            await self.bet()

    async def look(self, after_us: int = S) -> list[str]:
        """The checkpoints of a look at this later time."""
        self.now_us += after_us
        before = len(Checkpoints.modes)
        await self.keeper.look()
        return Checkpoints.modes[before:]


def keeping(path: Path, use: Any, log_max_bytes: int = 1 << 20) -> None:
    async def run(store: Store) -> None:
        await use(Kept(store, log_max_bytes))

    with_store(seed(path / "books.db", 100, 10_000), run, connection_factory=Checkpoints)
    balances(path / "books.db")


@contextlib.contextmanager
def a_reader(path: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchone()
        yield


def test_what_was_committed_is_written_back_now_and_then_and_nothing_twice(
    tmp_path: Path, disk: type[Checkpoints]
) -> None:
    async def use(kept: Kept) -> None:
        assert await kept.look(2 * CHECKPOINT_EVERY_US) == [], "nothing was committed"
        await kept.bet()
        assert await kept.look(0) == ["PASSIVE"]
        await kept.bet()
        assert await kept.look(CHECKPOINT_EVERY_US - 1) == []
        assert await kept.look(1) == ["PASSIVE"]
        assert await kept.look(CHECKPOINT_EVERY_US) == []

    keeping(tmp_path, use)


def test_it_is_not_written_back_so_soon_after_somebody_else_did(
    tmp_path: Path, disk: type[Checkpoints]
) -> None:
    """Each costs two syncs, and bets wait for them."""

    async def use(kept: Kept) -> None:
        await kept.bet()
        assert await kept.look(CHECKPOINT_EVERY_US - S) == []
        await kept.store.checkpoint()
        assert await kept.look() == []
        await kept.bet()
        assert await kept.look(CHECKPOINT_EVERY_US - 1) == []
        assert await kept.look(1) == ["PASSIVE"]

    keeping(tmp_path, use)


def test_a_log_that_is_too_long_is_cut(tmp_path: Path, disk: type[Checkpoints]) -> None:
    async def use(kept: Kept) -> None:
        await kept.bet_beyond(1 << 16)
        assert await kept.look() == ["TRUNCATE"]
        assert log_bytes(kept.log) == 0
        assert await kept.look() == []

    keeping(tmp_path, use, 1 << 16)


def test_a_reader_that_pins_it_is_said_once_a_minute_and_bets_go_on(
    tmp_path: Path, disk: type[Checkpoints], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_keeper, "WAIT_MS", 1)
    monkeypatch.setattr(log_keeper, "WAIT_LONGER_MS", 2)

    async def use(kept: Kept) -> None:
        await kept.bet()
        with a_reader(kept.store.path):
            await kept.bet_beyond(1 << 16)
            for _ in range(60):
                assert await kept.look() == ["TRUNCATE"]
                await kept.bet()
            assert len(caplog.messages) == 1
            await kept.look(SAY_EVERY_US - 60 * S + S)
            assert len(caplog.messages) == 2
            assert all(re.fullmatch(PINNED, each) for each in caplog.messages)
        assert log_bytes(kept.log) > 1 << 16
        await kept.look()
        assert log_bytes(kept.log) == 0
        assert await kept.store.set_up(busy_timeout_ms) == 1000

    keeping(tmp_path, use, 1 << 16)


def test_for_readers_who_stay_bets_wait_a_little_each_second_and_longer_now_and_then(
    tmp_path: Path, disk: type[Checkpoints], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_keeper, "WAIT_MS", 1)
    monkeypatch.setattr(log_keeper, "WAIT_LONGER_MS", 2)

    async def use(kept: Kept) -> None:
        await kept.bet()
        with a_reader(kept.store.path):
            await kept.bet_beyond(2 << 16)
            disk.waits_ms.clear()
            for _ in range(21):
                await kept.look()
        assert [wait for wait in disk.waits_ms if wait != 1000] == [*[2, *[1] * 9] * 2, 2]

    keeping(tmp_path, use, 1 << 16)


@pytest.mark.parametrize("room", [0, 1])
def test_while_the_circuit_is_not_closed_no_bet_waits_for_readers(
    tmp_path: Path, disk: type[Checkpoints], room: int
) -> None:
    """Half a second each ten would void the health that a half-open one has to show for thirty."""

    async def use(kept: Kept) -> None:
        kept.room = room
        await kept.bet()
        with a_reader(kept.store.path):
            await kept.bet_beyond(2 << 16)
            disk.waits_ms.clear()
            for _ in range(21):
                assert await kept.look() == ["TRUNCATE"]
        assert {*disk.waits_ms} == {0, 1000}
        await kept.look()
        assert log_bytes(kept.log) == 0

    keeping(tmp_path, use, 1 << 16)


def busy_timeout_ms(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("PRAGMA busy_timeout").fetchone()
    return int(found)


def test_a_full_disk_is_said_and_passes(
    tmp_path: Path, disk: type[Checkpoints], caplog: pytest.LogCaptureFixture
) -> None:
    async def use(kept: Kept) -> None:
        await kept.bet()
        disk.code = sqlite3.SQLITE_FULL
        assert await kept.look(CHECKPOINT_EVERY_US) == ["PASSIVE"]
        assert caplog.messages == [
            "the write-ahead log cannot be written back, nothing is lost: checkpoint: made up by a test"
        ]
        assert kept.store.failure is None
        await kept.bet()
        assert await kept.look() == ["PASSIVE"], "not only half a minute later"

    keeping(tmp_path, use)


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CORRUPT]
)
def test_a_checkpoint_that_fails_ends_the_taking_of_money(
    tmp_path: Path, disk: type[Checkpoints], caplog: pytest.LogCaptureFixture, code: int
) -> None:
    async def use(kept: Kept) -> None:
        await kept.bet()
        disk.code = code
        assert await kept.look(CHECKPOINT_EVERY_US) == ["PASSIVE"]
        assert kept.store.failure == "checkpoint failed: made up by a test"
        with pytest.raises(CommitUnknown):
            await kept.bet()
        assert await kept.look(CHECKPOINT_EVERY_US) == []
        assert caplog.messages == []  # the batcher says so

    keeping(tmp_path, use)


def test_the_keeper_looks_by_itself(
    tmp_path: Path, disk: type[Checkpoints], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_keeper, "LOOK_EVERY_S", 0.001)

    async def use(kept: Kept) -> None:
        await kept.bet()
        kept.now_us += CHECKPOINT_EVERY_US
        running = asyncio.create_task(kept.keeper.run())
        async with asyncio.timeout(5):
            while not Checkpoints.modes:
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])

    keeping(tmp_path, use)


def test_a_log_that_is_not_there_is_short(tmp_path: Path) -> None:
    assert log_bytes(tmp_path / "nowhere") == 0


def test_a_disk_that_is_nearly_full_refuses_what_would_leave_its_outcome_open(
    tmp_path: Path, disk: type[Checkpoints], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(kept: Kept) -> None:
        await kept.bet()
        with monkeypatch.context() as full:
            full.setattr("engine.writer.ROOM_BYTES", 1 << 62)
            with pytest.raises(BatchRefused, match="the disk is full"):
                await kept.bet()
            with pytest.raises(BatchRefused, match="the disk is full"):
                await kept.store.tidy(lambda connection: connection.execute("CREATE TABLE never (x)").close())
        assert kept.store.failure is None
        await kept.bet()
        await kept.store.tidy(lambda connection: connection.execute("CREATE TABLE never (x)").close())

    keeping(tmp_path, use)
