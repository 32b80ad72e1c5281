"""Checkpoints of the log: how often, beside readers, behind a fault; and the log that a start finds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine import writer
from engine.outcomes import Accepted
from engine.store import Store
from tests.batches import sqlite_error
from tests.books_open import ALICE, BOB, NOW_US, asked, balances, place, seed, with_store
from tests.store_faults import ends_the_taking_of_money


class Checkpointing(sqlite3.Connection):
    """Notes what each checkpoint of it found; fails those that are told to."""

    found: ClassVar[list[tuple[int, int, int]]] = []
    code: ClassVar[int | None] = None
    gate: ClassVar[threading.Event] = threading.Event()

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if "wal_checkpoint(PASSIVE)" not in sql:
            return super().execute(sql, *parameters)
        assert self.gate.wait(10), "a checkpoint was never let through"
        if self.code is not None:
            error, type(self).code = sqlite_error(self.code, "made up by a test"), None
            raise error
        row = super().execute(sql, *parameters).fetchone()
        self.found.append(row)
        return super().execute("SELECT ?, ?, ?", row)


@pytest.fixture
def checkpointing() -> Iterator[type[Checkpointing]]:
    """The class to open a store with."""
    Checkpointing.gate.set()
    yield Checkpointing
    Checkpointing.gate.set()
    Checkpointing.code = None
    Checkpointing.found.clear()


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100, BOB has 1000."""
    return seed(tmp_path / "books.db", 100, 1000)


@pytest.mark.parametrize("is_pinned", [False, True])
@pytest.mark.parametrize("bets_at_once", [1, 40])
def test_the_writer_checkpoints_after_so_many_pages_whatever_a_batch_writes(
    tmp_path: Path,
    checkpointing: type[Checkpointing],
    monkeypatch: pytest.MonkeyPatch,
    bets_at_once: int,
    is_pinned: bool,
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 200)
    books = seed(tmp_path / "rich.db", 100, 1_000_000)

    async def use(store: Store) -> None:
        with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as reader:
            if is_pinned:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM users").fetchone()
            for first in range(0, 100 * bets_at_once, bets_at_once):
                bets = (place(first + n, 1, BOB) for n in range(bets_at_once))
                await store.commit(asked(*bets), NOW_US)

    checkpointing.found.clear()
    with_store(books, use, connection_factory=checkpointing)
    frames = [frames for _, frames, _ in checkpointing.found]
    assert len(frames) >= 4
    between = [b - a for a, b in itertools.pairwise(frames)] if is_pinned else frames
    assert all(100 < pages < 400 for pages in between[2:]), between


def test_readers_that_are_in_the_log_whenever_all_of_it_is_written_back_cost_no_checkpoints(
    tmp_path: Path, checkpointing: type[Checkpointing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not begun anew then, and what it had before is not written again."""
    books = seed(tmp_path / "rich.db", 100, 1_000_000)
    numbers = itertools.count()

    async def bet(store: Store) -> None:
        await store.commit(asked(place(next(numbers), 1, BOB)), NOW_US)

    async def use(store: Store) -> None:
        for _ in range(20):
            for _ in range(10):
                await bet(store)
            with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM users").fetchone()
                await store.checkpoint()
                await bet(store)
        assert all(moved == frames for _, frames, moved in checkpointing.found)
        monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 200)
        while len(checkpointing.found) < 21:
            await bet(store)

    checkpointing.found.clear()
    with_store(books, use, connection_factory=checkpointing)
    frames = [frames for _, frames, _ in checkpointing.found]
    assert frames == sorted(frames), "it was begun anew"
    assert 100 < frames[20] - frames[19] < 400, frames


async def until_written_back(store: Store) -> None:
    """Return when the checkpoint that is due is done. Its task goes to the writer in its first turn."""
    await asyncio.sleep(0)
    await store.set_up(lambda connection: None)


def test_what_is_committed_is_told_before_the_log_is_written_back(
    books: Path, checkpointing: type[Checkpointing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk that takes as long as two commits."""
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)

    async def use(store: Store) -> None:
        checkpointing.gate.clear()
        async with asyncio.timeout(10):
            (answer,) = await store.commit(asked(place(1)), NOW_US)
        assert isinstance(answer, Accepted)
        behind = asyncio.create_task(store.commit(asked(place(2, 1, BOB)), NOW_US))
        await asyncio.sleep(0)
        assert checkpointing.found == []
        checkpointing.gate.set()
        await behind
        assert len(checkpointing.found) == 1

    checkpointing.found.clear()
    with_store(books, use, connection_factory=checkpointing)
    assert len(checkpointing.found) == 2, "and what is written back is waited for before it is closed"


def test_a_checkpoint_behind_a_commit_that_fails_ends_the_taking_of_money_and_not_the_commit(
    books: Path, checkpointing: type[Checkpointing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)

    async def use(store: Store) -> None:
        checkpointing.code = sqlite3.SQLITE_FULL
        await store.commit(asked(place(3)), NOW_US)
        await until_written_back(store)
        assert checkpointing.code is None
        assert store.failure is None, "the database cannot grow for now"
        checkpointing.code = sqlite3.SQLITE_IOERR_FSYNC
        (answer,) = await store.commit(asked(place(1)), NOW_US)
        await until_written_back(store)
        assert isinstance(answer, Accepted)
        await ends_the_taking_of_money(store, told=None)

    with_store(books, use, connection_factory=checkpointing)
    assert balances(books)[ALICE] == 40


def test_a_start_beside_a_reader_that_pins_the_log_writes_all_of_it_again(books: Path) -> None:
    """It cannot be moved into the database yet, and a sync alone could be of pages that the kernel lost."""
    log = books.with_name(f"{books.name}-wal")
    with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as stranger:

        async def use(store: Store) -> None:
            await store.commit(asked(place(1)), NOW_US)
            stranger.execute("BEGIN")
            stranger.execute("SELECT count(*) FROM users").fetchone()
            await store.commit(asked(place(2)), NOW_US)

        async def look(store: Store) -> None:
            assert store.failure is None

        with_store(books, use)
        left = log.read_bytes()
        os.utime(log, ns=(0, 0))
        with_store(books, look)
        assert log.stat().st_mtime_ns > 0
        assert log.read_bytes() == left
    assert balances(books)[ALICE] == 40
