"""The two commands of an archive on real files: in batches of every shape, begun, carried, told again."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from engine.commands import CarryArchive
from engine.decide.archive import ARCHIVES_MAX
from engine.outcomes import Accepted, Code
from tests.archived import archived, carried, copied, move, newest
from tests.archived import opened as begun
from tests.books_open import NOW_US, deposit, look, play, settle, unsettle, with_store
from tests.books_to_archive import CLOSED, LATER_US, S, ask, begin, new_books, use, why
from tests.pipelines import Books


def carry(archive_id: int) -> CarryArchive:
    return CarryArchive(archive_id, bytes(range(32)), bytes(range(32, 64)), key="carry", caller="test")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_books(tmp_path)


def test_an_archive_is_begun_and_carried_and_both_are_told_again(path: Path) -> None:
    (first,) = ask(path, begin())
    assert isinstance(first, Accepted)
    archive = newest(path)
    assert (archive.id, archive.block_id, archive.state) == (first.transaction_id, 2, "copying")
    assert look(path, "SELECT last_transaction_id, last_entry_id FROM blocks WHERE id = 2") == [
        (archive.upto_transaction_id, archive.upto_entry_id)
    ]

    copied(path, archive)
    with_store(path, lambda store: store.tidy(lambda db: keep(db, archive.id)))
    (second,) = ask(path, carry(archive.id))

    assert isinstance(second, Accepted)
    archive = newest(path)
    assert (archive.state, archive.last_transaction_id) == ("moving", second.transaction_id)
    assert (archive.openings, archive.carried) == (bytes(range(32)), bytes(range(32, 64)))
    for command, answer in [(begin(), first), (carry(archive.id), second)]:
        (again,) = ask(path, command)
        assert isinstance(again, Accepted)
        assert (again.replayed, again.archive) == (True, answer.archive)
    assert [kind for (kind,) in look(path, "SELECT kind FROM transactions ORDER BY id DESC LIMIT 2")] == [
        "CARRY",
        "ARCHIVE",
    ]


def keep(connection: sqlite3.Connection, archive_id: int) -> None:
    connection.execute("INSERT INTO carried VALUES (?, x'00')", (archive_id,))


def test_what_is_begun_in_one_batch_is_so_for_the_next_that_is_decided_ahead(path: Path) -> None:
    async def scenario(books: Books) -> None:
        first = await books.prepare(begin(), now_us=LATER_US)
        second = await books.prepare(unsettle("u1", 1), settle("s3", 3, "lost"), now_us=LATER_US)
        third = await books.prepare(begin(key="another"), now_us=LATER_US)
        assert [await books.store.write(each) for each in (first, second, third)] == [True] * 3
        assert isinstance(first.outcomes[0], Accepted)
        assert why(second.outcomes[0]) == CLOSED
        assert isinstance(second.outcomes[1], Accepted)
        assert why(third.outcomes[0]) == (Code.INVALID_REQUEST, False)

    use(path, scenario)
    assert len(look(path, "SELECT id FROM archives")) == 1


def test_what_is_carried_in_one_batch_is_so_for_the_next_that_is_decided_ahead(path: Path) -> None:
    archive = begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        await books.store.tidy(lambda db: keep(db, archive.id))
        first = await books.prepare(carry(archive.id), now_us=LATER_US)
        other = CarryArchive(archive.id, bytes(32), bytes(32), key="other", caller="test")
        second = await books.prepare(other, now_us=LATER_US)
        assert [await books.store.write(each) for each in (first, second)] == [True] * 2
        assert why(second.outcomes[0]) == (Code.NOT_FOUND, False)

    use(path, scenario)


def test_what_happens_to_a_bet_beside_the_beginning_of_an_archive_is_written(path: Path) -> None:
    """Its row is written once, behind that of the archive, and was over before."""
    commands = [unsettle("u1", 1), unsettle("u2", 2), begin(), settle("s4", 1, "won", 60)]

    outcomes = ask(path, *commands)

    assert all(isinstance(each, Accepted) for each in outcomes)
    states = "SELECT state FROM bets ORDER BY transaction_id"
    assert look(path, states) == [("won",), ("confirmed",), ("confirmed",)]
    assert why(ask(path, begin(key="b"))[0]) == (Code.INVALID_REQUEST, False)
    assert isinstance(ask(path, unsettle("u4", 1))[0], Accepted)  # it was settled behind what is archived


def test_a_second_archive_is_refused_until_the_first_is_moved(path: Path) -> None:
    play(path, [deposit("later")], now_us=LATER_US + S)
    later = begin(LATER_US + S, "second")
    archive = begun(path, LATER_US)
    refused = (Code.INVALID_REQUEST, False)
    assert why(ask(path, later, now_us=LATER_US + S)[0]) == refused
    copied(path, archive)
    carried(path, archive, now_us=LATER_US + S)
    assert why(ask(path, later, now_us=LATER_US + S)[0]) == refused
    while not move(path, steps=1).is_moved:
        assert why(ask(path, later, now_us=LATER_US + S)[0]) == refused

    (second,) = ask(path, later, now_us=LATER_US + S)

    assert isinstance(second, Accepted)
    assert second.archive is not None
    assert second.archive.block_id == 3
    moved = look(path, "SELECT moved_transaction_id, moved_entry_id FROM archives WHERE id <> ?", archive.id)
    assert moved == [(0, archive.upto_entry_id)]


BOUNDARIES = [
    (NOW_US, None),
    (NOW_US + 1, 2),
    (LATER_US, 2),
    (LATER_US + 1, 3),
    (LATER_US + S, 3),
    (1, None),
    (0, None),
    (-(2**63), None),
]


@pytest.mark.parametrize(("before_us", "block_id"), BOUNDARIES)
def test_it_goes_up_to_the_newest_block_before_the_time(
    path: Path, before_us: int, block_id: int | None
) -> None:
    (outcome,) = ask(path, begin(before_us), now_us=LATER_US + S)

    if block_id is None:
        assert why(outcome) == (Code.NOT_FOUND, False)
    else:
        assert isinstance(outcome, Accepted)
        assert outcome.archive is not None
        assert outcome.archive.block_id == block_id


def test_nothing_is_archived_of_books_without_a_block(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with_store(path, lambda store: asyncio.sleep(0), create=True)

    assert why(ask(path, begin())[0]) == (Code.NOT_FOUND, False)


def test_no_more_archives_than_can_be_read_together(path: Path) -> None:
    for number in range(ARCHIVES_MAX):
        now_us = LATER_US + (number + 1) * S
        assert archived(path, now_us, rows=50, now_us=now_us).is_moved
        play(path, [deposit(f"d{number}")], now_us=now_us)

    now_us = LATER_US + 99 * S
    assert why(ask(path, begin(now_us, "one too many"), now_us=now_us)[0]) == (Code.INVALID_REQUEST, False)
