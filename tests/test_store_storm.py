"""Batches prepared, written, cancelled and failed at the same time and in any order, on real files."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.commands import Command
from engine.errors import BatchRefused, CommitUnknown, StoreFault
from engine.outcomes import Accepted
from engine.store import _AHEAD
from engine.writer import Prepared
from tests.batches import CONSTRAINT, FULL, IO_ERROR
from tests.books_open import BOB, NOW_US, look, place
from tests.pipelines import Books, new_books, run, stalled


def test_two_that_are_prepared_at_once_know_of_each_other(tmp_path: Path) -> None:
    async def use(books: Books) -> None:
        both = await asyncio.gather(*(books.prepare(place(1)) for _ in range(2)))
        assert [each.outcomes[0].replayed for each in both] == [False, True]
        assert [await books.store.write(each) for each in both] == [True, True]

    new_books(tmp_path)
    run(tmp_path, use)


def test_what_follows_a_caller_that_vanished_is_decided_behind_his_batch(tmp_path: Path) -> None:
    """Which is being committed, and nobody waits for it."""

    async def use(books: Books) -> None:
        books.disk.hold()
        vanishing = books.writing(await books.prepare(place(1)))
        await books.disk.holds_one()
        vanishing.cancel()
        await asyncio.wait([vanishing])
        following = asyncio.create_task(books.commit(place(1), place(2)))
        for _ in range(20):
            await books.store.read(lambda connection: None)
        books.disk.release()
        assert [outcome.replayed for outcome in await following] == [True, False]

    new_books(tmp_path)
    run(tmp_path, use)


def test_what_was_looked_up_while_the_batch_before_it_failed_is_looked_up_again(tmp_path: Path) -> None:
    async def use(books: Books) -> None:
        first = await books.prepare(place(1))
        books.disk.fail(FULL)
        async with stalled(books.store._readers[_AHEAD]):
            preparing = asyncio.create_task(books.prepare(place(1), place(2)))
            with pytest.raises(BatchRefused):
                await books.store.write(first)
        anew = await preparing
        assert [outcome.replayed for outcome in anew.outcomes] == [False, False]
        assert await books.store.write(anew)

    new_books(tmp_path)
    run(tmp_path, use)


def test_a_batch_that_failed_is_not_written_though_it_is_handed_in_again(tmp_path: Path) -> None:
    async def use(books: Books) -> None:
        first = await books.prepare(place(1))
        books.disk.fail(FULL)
        both = await asyncio.gather(*map(books.writing, (first, first)), return_exceptions=True)
        assert isinstance(both[0], BatchRefused)
        assert both[1] is False
        assert books.ledger() == []

    new_books(tmp_path)
    run(tmp_path, use)


def test_a_batch_of_replays_costs_the_next_one_no_second_decision(tmp_path: Path) -> None:
    async def use(books: Books) -> None:
        for batch in ([place(1)], [place(1)], [place(2)]):
            await books.commit(*batch)
        assert books.decided.numbers == [1, 1, 2]

    new_books(tmp_path)
    run(tmp_path, use)


class Storm:
    """Batches prepared, written, cancelled and failed in any order, each at a time of its own."""

    def __init__(self, books: Books, random: Random) -> None:
        self.books, self.random = books, random
        self.prepared: list[Prepared] = []
        self.writing: list[tuple[Prepared, asyncio.Task[bool]]] = []
        self.others: list[asyncio.Task[Any]] = []
        self.faults = 0

    async def prepare(self, now_us: int) -> None:
        numbers = [self.random.randrange(16) for _ in range(self.random.randrange(1, 4))]
        batch = [place(n, 5000 if n % 5 == 2 else 20, BOB - n % 2, sent_at_us=now_us) for n in numbers]
        self.prepared.append(await self.books.prepare(*batch, now_us=now_us))

    def fail(self, fault: tuple[int, str] | None, *, after: bool = False) -> None:
        self.faults += 1
        self.books.disk.fail(fault, after=after)

    async def commit(self, command: Command) -> None:
        with contextlib.suppress(StoreFault):
            await self.books.commit(command)

    def be_somebody_else(self) -> None:
        stranger = sqlite3.connect(self.books.store.path, timeout=0)
        with contextlib.closing(stranger), contextlib.suppress(sqlite3.OperationalError):  # a batch is faster
            stranger.execute("UPDATE users SET version = version + 1 WHERE kind = 'player'")
            stranger.commit()

    def step(self, number: int) -> None:
        random, disk = self.random, self.books.disk
        match random.randrange(12):
            case 0:
                disk.hold(random.choice(["before", "after"]))
            case 1 | 2:
                disk.release()
            case 3:
                self.fail(random.choice([None, FULL, CONSTRAINT]))
            case 4 if number > 45:
                self.fail(IO_ERROR, after=random.random() < 0.5)
            case 5:
                self.be_somebody_else()
            case 6 if self.writing:
                random.choice(self.writing)[1].cancel()
            case 7:
                self.others.append(asyncio.create_task(self.commit(place(number % 16, 1))))
            case 8 | 9 if self.prepared:  # seldom out of order
                prepared = self.prepared.pop(0 if random.random() < 0.9 else -1)
                self.writing.append((prepared, self.books.writing(prepared)))
            case _:
                self.others.append(asyncio.create_task(self.prepare(NOW_US + number)))

    async def run(self) -> None:
        for number in range(60):
            self.step(number)
            for _ in range(self.random.choice([0, 0, 1, 5])):
                await asyncio.sleep(0)
            if self.random.random() < 0.5:
                await self.books.store.read(lambda connection: None)
        self.books.disk.release()
        await asyncio.gather(*(task for _, task in self.writing), return_exceptions=True)
        await asyncio.gather(*self.others)
        for number in range(self.faults):  # those that nobody has met
            await self.commit(place(500 + number, 1))


@pytest.mark.parametrize("seed", range(40))
def test_in_any_order_what_is_told_is_true_and_each_bet_moves_money_once(tmp_path: Path, seed: int) -> None:
    async def use(books: Books) -> None:
        storm = Storm(books, Random(seed))
        await storm.run()
        hashes = dict(look(books.store.path, "SELECT id, hash FROM blocks"))
        refused = {key for (key,) in look(books.store.path, "SELECT bet_id FROM refusals")}
        paid = dict(look(books.store.path, "SELECT id, key FROM transactions"))
        for prepared, task in storm.writing:
            fault = None if task.cancelled() else task.exception()
            is_open = task.cancelled() or (isinstance(fault, CommitUnknown) and fault.has_begun)
            if prepared.block is not None and not is_open:
                is_on_disk = hashes.get(prepared.block.id) == prepared.block.hash
                assert is_on_disk is (fault is None and task.result()), f"{seed=}"
            if not is_open and fault is None and task.result():
                assert {o.transaction_id for o in prepared.outcomes if isinstance(o, Accepted)} <= paid.keys()
                assert {each.bet_id for each in prepared.view.new_refusals} <= refused, f"{seed=}"
        assert len(set(paid.values())) == len(paid), f"{seed=}"

    new_books(tmp_path)
    run(tmp_path, use)
