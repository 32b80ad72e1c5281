"""Archives that are taken to their end in the background: nothing is lost, wherever it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import batcher.archiving
from batcher.archiving import LOOK_EVERY_S, Archiving, CarryRefused
from batcher.expiry import LOOK_SELDOM_S
from engine import archive_move
from engine.archive_copy import Copied, copy
from engine.archives import archives, file_of
from engine.commands import CarryArchive, Command, OpenArchive, OpenWallet, SetLimit
from engine.errors import ArchiveUnusable, FileUnusable
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import Store
from engine.verify import Asked as Verified
from engine.verify import verify
from tests.books_open import (
    ALICE,
    BOB,
    NOW_US,
    asked,
    bet_id,
    deposit,
    grant,
    hold,
    look,
    place,
    play,
    seed,
    set_floor,
    settle,
    unsettle,
)
from tests.made_once import made_once

LATER_US = NOW_US + 60_000_000
ROUNDS = 12


@pytest.fixture(autouse=True)
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many of each."""
    monkeypatch.setattr(archive_move, "KEYS_AT_ONCE", 7)
    monkeypatch.setattr(archive_move, "TRANSACTIONS_AT_ONCE", 5)
    monkeypatch.setattr(archive_move, "ENTRIES_AT_ONCE", 6)
    monkeypatch.setattr(archive_move, "PAGES_AT_ONCE", 1)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Bets of a minute ago, settled or not, and of now."""
    return made_once(tmp_path / "books.db", _played)


def _played(path: Path) -> None:
    seed(path, 100_000, 100_000)
    for number in range(ROUNDS):
        play(
            path,
            [place(3 * number, 30), place(3 * number + 1, 20, BOB), place(3 * number + 2, 10)],
            [settle(f"s{number}", 3 * number, "won", 60), settle(f"l{number}", 3 * number + 1, "lost")],
        )
    play(path, [place(1000, 50), deposit("late")], now_us=LATER_US)


class Direct:
    """The store instead of the batcher; notes what it was asked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.refusal: Code | None = None
        self.asked: list[Command] = []

    async def ask(self, command: Command) -> Outcome:
        self.asked.append(command)
        if self.refusal is not None:
            return Rejected(self.refusal)
        (outcome,) = await self.store.commit(asked(command), LATER_US)
        return outcome


async def copy_here(path: Path, archive_id: int) -> Copied:
    return await asyncio.to_thread(copy, path, archive_id)


def run(path: Path, use: Callable[[Store, Archiving], Any], *, begins: bool = True, **options: Any) -> Any:
    """Begin an archive of all that is not of now, unless told, and do something with it."""

    async def main() -> Any:
        store = await Store.open(path)
        try:
            if begins:
                begin = OpenArchive(LATER_US, key="a", caller="operator")
                (outcome,) = await store.commit(asked(begin), LATER_US)
                assert isinstance(outcome, Accepted)
            ask = options.pop("ask", Direct(store).ask)
            archiving = Archiving(store, ask, options.pop("copy", copy_here), rest=0, **options)
            return await use(store, archiving)
        finally:
            await store.close()

    return asyncio.run(asyncio.wait_for(main(), 120))


async def go_on(store: Store, archiving: Archiving) -> None:
    await archiving.go_on()


def expect_moved(path: Path, balances: dict[int, int]) -> None:
    """All of it is moved, it holds together and alone, and everybody has what he had."""
    (row,) = look(path, "SELECT * FROM archives")
    assert row[4] == "moving"
    assert (row[8], row[9]) == (row[2], row[3])
    assert look(path, "SELECT count(*) FROM transaction_ledger WHERE id BETWEEN 1 AND ?", row[3]) == [(0,)]
    assert look(path, "PRAGMA freelist_count") == [(0,)]
    assert dict(look(path, "SELECT id, balance FROM users")) == balances
    sums = "SELECT user_id, sum(amount) FROM transaction_ledger GROUP BY user_id"
    assert {**dict.fromkeys(balances, 0), **dict(look(path, sums))} == balances
    for asked_for in (Verified(), Verified(alone=True)):
        assert verify(path, asked_for).findings == []


def balances_of(path: Path) -> dict[int, int]:
    return dict(look(path, "SELECT id, balance FROM users"))


def test_an_archive_is_taken_to_its_end(books: Path) -> None:
    before = balances_of(books)
    bets = look(books, "SELECT count(*) FROM bets")[0][0]
    run(books, go_on)
    expect_moved(books, before)
    assert look(books, "SELECT count(*) FROM bets")[0][0] == bets - 2 * ROUNDS
    file = file_of(books, look(books, "SELECT block_id FROM archives")[0][0])
    assert look(file, "SELECT count(*) FROM bets") == [(2 * ROUNDS,)]


def test_without_an_archive_there_is_nothing_to_do(books: Path) -> None:
    run(books, go_on, begins=False)
    assert look(books, "SELECT count(*) FROM archives") == [(0,)]


class Interrupted(Exception):
    """As if the process had ended there."""


def steps_of(path: Path, upto: int) -> int:
    """Take an archive on for so many steps of the writer, and stop there; how many there were."""
    done = 0

    async def use(store: Store, archiving: Archiving) -> None:
        tidy = store.tidy

        async def count(change: Callable[[sqlite3.Connection], Any]) -> Any:
            nonlocal done
            if done == upto:
                raise Interrupted
            done += 1
            return await tidy(change)

        store.tidy = count  # type: ignore[method-assign,assignment]
        with contextlib.suppress(Interrupted):
            await archiving.go_on()

    run(path, use, begins=not look(path, "SELECT count(*) FROM archives")[0][0])
    return done


def test_it_goes_on_after_an_interruption_at_any_step(books: Path) -> None:
    """In one run that is interrupted behind each of its steps, so that every state is one that it begins
    with."""
    before = balances_of(books)
    interruptions = 0
    while steps_of(books, 1):
        interruptions += 1
        assert verify(books, Verified()).findings == []
        assert verify(books, Verified(alone=True)).findings == []
        sums = "SELECT user_id, sum(amount) FROM transaction_ledger GROUP BY user_id HAVING sum(amount) <> 0"
        assert dict(look(books, sums)) == {id_: minor for id_, minor in before.items() if minor}
        assert interruptions < 200
    assert interruptions > 30
    expect_moved(books, before)


def test_bets_in_between_are_decided_ahead_as_if_nothing_was(books: Path) -> None:
    async def use(store: Store, archiving: Archiving) -> list[bool]:
        moving = asyncio.create_task(archiving.go_on())
        written = []
        number = 2000
        while not moving.done():
            first = await store.prepare(asked(place(number)), LATER_US)
            second = await store.prepare(asked(place(number + 1, 20, BOB)), LATER_US)
            written += [await store.write(first), await store.write(second)]
            number += 2
        await moving
        return written

    written = run(books, use)
    assert len(written) > 20
    assert all(written)
    expect_moved(books, balances_of(books))


def test_what_was_archived_is_known_and_stays_as_it_is(books: Path) -> None:
    run(books, go_on)
    outcomes = play(
        books,
        [
            place(0, 30),
            settle("s0", 0, "won", 60),
            settle("new", 0, "lost"),
            unsettle("u", 0),
            settle("open", 2, "won", 20),
        ],
        now_us=LATER_US,
    )[0]
    codes = [outcome.code if isinstance(outcome, Rejected) else None for outcome in outcomes]
    conflict, closed = Code.IDEMPOTENCY_CONFLICT, Code.BET_CLOSED
    assert codes == [conflict, conflict, closed, closed, None]
    assert [outcome.is_archived for outcome in outcomes if isinstance(outcome, Rejected)] == [True] * 4
    assert look(
        books, "SELECT state FROM bets JOIN transactions ON id = transaction_id WHERE key = ?", bet_id(2)
    ) == [("won",)]


def test_a_second_archive_follows_the_first(books: Path) -> None:
    run(books, go_on)
    much_later_us = LATER_US + 60_000_000
    play(books, [settle("s-open", 2, "lost"), place(1001)], now_us=LATER_US + 1)
    play(books, [place(1002)], now_us=much_later_us)

    async def again(store: Store, archiving: Archiving) -> None:
        begin = OpenArchive(much_later_us, key="b", caller="operator")
        (outcome,) = await store.commit(asked(begin), much_later_us)
        assert isinstance(outcome, Accepted)
        await archiving.go_on()

    before = balances_of(books)
    run(books, again, begins=False)
    first, second = look(books, "SELECT block_id, upto_entry_id = moved_entry_id FROM archives ORDER BY id")
    assert (first[1], second[1]) == (1, 1)
    # A bet of the first time, settled in the second.
    moved = "SELECT count(*) FROM bets JOIN transactions ON id = transaction_id WHERE key = ?"
    assert look(file_of(books, second[0]), moved, bet_id(2)) == [(1,)]
    assert balances_of(books) == before
    for asked_for in (Verified(), Verified(alone=True)):
        assert verify(books, asked_for).findings == []


def test_while_bets_are_turned_away_it_waits(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher.archiving, "LOOK_EVERY_S", 0.001)
    rooms = iter([0, 1, 1, 0])

    async def use(store: Store, archiving: Archiving) -> None:
        await archiving.go_on()

    run(books, use, room=lambda: next(rooms, 2))
    assert next(rooms, None) is None
    expect_moved(books, balances_of(books))


def test_what_fails_is_said_once_and_tried_again_ever_more_seldom(
    books: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="solidgreen.archiving")
    tries = 0

    async def full(path: Path, archive_id: int) -> Copied:
        nonlocal tries
        tries += 1
        if tries <= 8:
            why = "No space left on device" if tries < 6 else "Input/output error"
            raise FileUnusable(f"books.db.archive-7: cannot be written: {why}")
        return await copy_here(path, archive_id)

    async def use(store: Store, archiving: Archiving) -> list[float]:
        pauses = []
        for _ in range(9):
            await archiving.look()
            pauses.append(archiving.pause_s)
        return pauses

    pauses = run(books, use, copy=full)
    assert pauses == [*(min(LOOK_EVERY_S * 2**n, LOOK_SELDOM_S) for n in range(1, 9)), LOOK_EVERY_S]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    waits = "the archive waits, nothing is lost: books.db.archive-7: cannot be written: "
    assert warnings == [f"{waits}No space left on device", f"{waits}Input/output error"]
    assert not any(record.exc_info for record in caplog.records)
    expect_moved(books, balances_of(books))


def test_a_seal_that_is_refused_deletes_nothing(books: Path) -> None:
    async def use(store: Store, archiving: Archiving) -> None:
        with pytest.raises(CarryRefused, match="OVERLOADED"):
            await archiving.go_on()
        (row,) = await store.read(archives)
        assert (row.state, row.moved_transaction_id, row.moved_entry_id) == ("copying", 0, 0)
        direct.refusal = None
        await archiving.go_on()

    direct: Direct

    async def main() -> None:
        nonlocal direct
        store = await Store.open(books)
        try:
            await store.commit(asked(OpenArchive(LATER_US, key="a", caller="operator")), LATER_US)
            direct = Direct(store)
            direct.refusal = Code.OVERLOADED
            await use(store, Archiving(store, direct.ask, copy_here, rest=0))
        finally:
            await store.close()

    asyncio.run(main())
    expect_moved(books, balances_of(books))


@pytest.mark.parametrize("table", ["transactions", "transaction_ledger"])
def test_an_archive_that_is_moved_away_meanwhile_stops_it_until_it_is_back(books: Path, table: str) -> None:
    """What is left to be deleted may be all that there is of it."""
    moving_of(books, table)
    file = the_file(books)
    away = file.rename(file.with_name("elsewhere"))
    expect_stopped(books, "not there")
    away.rename(file)
    run(books, go_on, begins=False)
    expect_moved(books, balances_of(books))


@pytest.mark.parametrize("table", ["transactions", "transaction_ledger"])
def test_only_the_archive_that_was_made_says_what_goes(books: Path, table: str) -> None:
    moving_of(books, table)
    file = the_file(books)
    away = file.rename(file.with_name("elsewhere"))
    change(away, file, "DROP TRIGGER archive_is_closed_to_update", "UPDATE archive SET archive_id = 1")
    expect_stopped(books, "is not the archive that these books were moved into")
    file.write_bytes(b"something else")
    expect_stopped(books, "cannot be read as an archive")
    away.replace(file)
    run(books, go_on, begins=False)
    expect_moved(books, balances_of(books))


@pytest.mark.parametrize("entries", ["> 0", "= 20", "> 20"])
def test_an_entry_that_the_archive_does_not_hold_stays(books: Path, entries: str) -> None:
    moving_of(books, "transactions")
    file = the_file(books)
    rules = "DROP TRIGGER transaction_ledger_is_closed_to_delete"
    change(file, file, rules, f"DELETE FROM transaction_ledger WHERE id {entries}")
    run_look(books)
    ids = "SELECT id FROM transaction_ledger WHERE id > 0 ORDER BY id LIMIT 1"
    assert look(books, ids)[0][0] <= 21
    expect_stopped(books, "does not hold all entries")


def moving_of(path: Path, table: str) -> None:
    """Take an archive on until some of that is deleted, and not all of it."""
    count = f"SELECT count(*) FROM {table} WHERE id > 0"
    before = look(path, count)
    steps_of(path, 1)
    before = max(before, look(path, count))
    while look(path, count) >= before:
        steps_of(path, 1)


def the_file(path: Path) -> Path:
    return file_of(path, look(path, "SELECT block_id FROM archives")[0][0])


def change(file: Path, target: Path, *statements: str) -> None:
    """A file like this one, as somebody has changed it."""
    content = file.read_bytes()
    target.unlink(missing_ok=True)
    target.write_bytes(content)
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def run_look(path: Path) -> float:
    async def use(store: Store, archiving: Archiving) -> float:
        await archiving.look()
        return archiving.pause_s

    pause_s: float = run(path, use, begins=False)
    return pause_s


def expect_stopped(path: Path, why: str) -> None:
    """It says why, and deletes nothing."""
    rows = [look(path, f"SELECT * FROM {table}") for table in ("transactions", "transaction_ledger", "bets")]

    async def use(store: Store, archiving: Archiving) -> None:
        with pytest.raises(ArchiveUnusable, match=why):
            await archiving.go_on()

    run(path, use, begins=False)
    assert run_look(path) == 2 * LOOK_EVERY_S
    assert rows == [
        look(path, f"SELECT * FROM {table}") for table in ("transactions", "transaction_ledger", "bets")
    ]


def expect_kept(path: Path) -> None:
    """Take an archive on until all is kept that is to be sealed."""

    async def ask(command: Command) -> Outcome:
        raise Interrupted

    async def use(store: Store, archiving: Archiving) -> None:
        with pytest.raises(Interrupted):
            await archiving.go_on()

    run(path, use, ask=ask)
    assert look(path, "SELECT count(*), archives.state FROM carried, archives") == [(1, "copying")]


def test_what_was_carried_before_is_not_carried_otherwise(books: Path) -> None:
    expect_kept(books)

    async def other(path: Path, archive_id: int) -> Copied:
        copied = await copy_here(path, archive_id)
        copied.state += b" "
        return copied

    async def use(store: Store, archiving: Archiving) -> None:
        with pytest.raises(ArchiveUnusable, match="is something else now"):
            await archiving.go_on()

    run(books, use, begins=False, copy=other)
    assert look(books, "SELECT state FROM archives") == [("copying",)]


def test_what_is_copied_again_much_later_is_the_same(books: Path) -> None:
    """Whatever was done since: else it could never be sealed."""
    expect_kept(books)
    later_us = LATER_US + 86_400_000_000
    batches = [
        [settle("s-open", 2, "lost"), OpenWallet("EUR", ALICE, key="w", caller="test")],
        [grant("g", 50, expires_at_us=2 * later_us), hold("h", 10, BOB), set_floor("f", -(10**9))],
        [SetLimit(ALICE, "stake", "day", 500, key="l", caller="test"), deposit("later")],
    ]
    for number, batch in enumerate(batches):
        outcomes = play(books, batch, now_us=later_us + number)[0]
        assert [each for each in outcomes if not isinstance(each, Accepted)] == []
    run(books, go_on, begins=False)
    expect_moved(books, balances_of(books))


def test_the_command_that_seals_is_the_clocks(books: Path) -> None:
    direct: Direct

    async def main() -> None:
        nonlocal direct
        store = await Store.open(books)
        try:
            await store.commit(asked(OpenArchive(LATER_US, key="a", caller="operator")), LATER_US)
            direct = Direct(store)
            await Archiving(store, direct.ask, copy_here, rest=0).go_on()
        finally:
            await store.close()

    asyncio.run(main())
    (command,) = direct.asked
    assert isinstance(command, CarryArchive)
    assert (command.caller, command.scope) == ("clock", "clock:archive-carry")
    (told,) = look(books, "SELECT openings, carried FROM archives")
    assert told == (command.openings, command.carried)
    assert ALICE in balances_of(books)
