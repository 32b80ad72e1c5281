"""Two batches under way: on a store by the test's own hand, or in a batcher held where a test wants it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiosqlite

from engine.commands import Command
from engine.decide import decide
from engine.outcomes import Accepted, Code, Outcome
from engine.store import Store, _on_thread
from engine.view import View
from engine.writer import Prepared
from tests.batches import WAIT_S, Disk, World, bet, world
from tests.batches import bet_id as batcher_bet_id
from tests.books_open import BOB, NOW_US, SIGNING_KEY, asked, balances, look, place, seed


class Books:
    """An open store over a file in which ALICE has 100 and BOB 1000, its disk, and what it has decided."""

    def __init__(self, store: Store, disk: Disk, decided: Decided) -> None:
        self.store, self.disk, self.decided = store, disk, decided

    async def prepare(self, *commands: Command, now_us: int = NOW_US) -> Prepared:
        return await self.store.prepare(asked(*commands), now_us)

    async def prepare_two(self) -> tuple[Prepared, Prepared]:
        """One bet of ALICE's each, of 30."""
        return await self.prepare(place(1)), await self.prepare(place(2))

    def writing(self, prepared: Prepared) -> asyncio.Task[bool]:
        return asyncio.create_task(self.store.write(prepared))

    async def commit(self, *commands: Command) -> list[Outcome]:
        return await self.store.commit(asked(*commands), NOW_US)

    def ledger(self) -> list[str]:
        """The bets that have moved money, in order."""
        rows = look(self.store.path, "SELECT key FROM transactions WHERE kind = 'BET' ORDER BY id")
        return [key for (key,) in rows]


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Books]:
    disk, decided = Disk(), Decided()
    factory = disk.connection()
    # One key for all: files that are compared hold the same signatures.
    store = await Store.open(folder / "books.db", key=SIGNING_KEY, decide=decided, connection_factory=factory)
    try:
        yield Books(store, disk, decided)
    finally:
        disk.release()
        await store.close()


def run(folder: Path, use: Callable[[Books], Awaitable[None]]) -> None:
    """Use the books; whatever has been done to them, the next bet works and all is right in the end."""

    async def scenario() -> None:
        async with opened(folder) as books:
            await use(books)
            if books.store.failure is None:
                (answer,) = await books.commit(place(999, 1, BOB))
                assert isinstance(answer, Accepted)
                assert not answer.replayed

    asyncio.run(scenario())
    balances(folder / "books.db")  # asserts that they reconcile


def new_books(folder: Path) -> Path:
    """The file that `run` opens, new in `folder`."""
    return seed(folder / "books.db", 100, 1000)


class Decided:
    """`decide`, and the numbers of the bets that it has decided, in order."""

    def __init__(self, *culprits: int) -> None:
        self.numbers: list[int] = []
        self._culprits = culprits

    def __call__(self, view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        number = int(command.key[-12:]) if command.scope == "bet" else 0
        self.numbers.append(number)
        if number in self._culprits:
            raise ZeroDivisionError(number)
        return decide(view, command, now_us, objection)

    async def comes_to(self, number: int, times: int = 1) -> None:
        """Return when this bet was decided so often, and what follows in that turn of the loop is done."""
        async with asyncio.timeout(WAIT_S):
            while self.numbers.count(number) < times:
                await asyncio.sleep(0)
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def two_under_way(
    folder: Path,
    decided: Decided | None = None,
    *,
    first: tuple[int, ...] = (1,),
    second: tuple[int, ...] = (2,),
) -> AsyncIterator[World]:
    """The first batch stands at COMMIT, the second one is decided and waits for the writer."""
    decided = decided or Decided()
    async with world(folder, decide=decided) as this:
        this.disk.hold()
        this.submit_all(map(bet, first))
        await this.disk.holds_one()
        this.submit_all(map(bet, second))
        await decided.comes_to(second[0])
        yield this


async def codes(this: World) -> list[Code | None]:
    """What each has been told, in the order of asking."""
    return [await answer.code() for answer in this.answers]


def ids(*numbers: int) -> list[str]:
    """The `bet_id`s of `batches.bet`."""
    return [batcher_bet_id(number) for number in numbers]


@contextlib.asynccontextmanager
async def stalled(connection: aiosqlite.Connection) -> AsyncIterator[threading.Event]:
    """This connection's thread is busy, until the event is set or the block ends: what is handed to it has
    not begun, let alone come halfway."""
    gate = threading.Event()
    stalling = asyncio.create_task(_on_thread(connection, lambda connection: gate.wait(WAIT_S)))
    await asyncio.sleep(0)
    try:
        yield gate
    finally:
        gate.set()
        assert await stalling
