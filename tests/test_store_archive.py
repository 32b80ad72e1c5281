"""Archives on real files: both commands in batches of every shape, keys that live on, work between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from archived import archived, carried, copied, move, newest
from archived import opened as begun
from batches import FULL, IO_ERROR
from books_open import (
    ALICE,
    BOB,
    NOW_US,
    asked,
    bet_id,
    cash_out,
    deposit,
    look,
    place,
    play,
    roll_back,
    seed,
    settle,
    unsettle,
    with_store,
)
from pipelines import Books
from pipelines import opened as opened_store

from engine import prefetch
from engine.archived_keys import hash_of_key
from engine.commands import CarryArchive, Command, OpenArchive, touched_by
from engine.decide import decide
from engine.decide.archive import ARCHIVES_MAX
from engine.errors import BatchRefused, CommitUnknown
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.warm import Warm

S = 1_000_000
LATER_US = NOW_US + 60 * S
SCOPE = "test:archive"


def begin(before_us: int = LATER_US, key: str = "archive") -> OpenArchive:
    return OpenArchive(before_us, key=key, caller="test")


def carry(archive_id: int) -> CarryArchive:
    return CarryArchive(archive_id, bytes(range(32)), bytes(range(32, 64)), key="carry", caller="test")


def why(outcome: Outcome) -> tuple[Code, bool]:
    assert isinstance(outcome, Rejected), outcome
    return outcome.code, outcome.is_archived


CLOSED, KNOWN = (Code.BET_CLOSED, True), (Code.IDEMPOTENCY_CONFLICT, True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Block 2: a bet that is lost, one that is won, one that is open; block 3, a minute later: a deposit."""
    path = seed(tmp_path / "books.db", 100, 1000)
    play(path, [place(1), place(2, 20, BOB), place(3), settle("s1", 1, "lost"), settle("s2", 2, "won", 40)])
    play(path, [deposit("late")], now_us=LATER_US)
    return path


def use(path: Path, scenario: Callable[[Books], Awaitable[None]]) -> None:
    """Use the books with a disk that fails as told."""

    async def run() -> None:
        async with opened_store(path.parent) as books:
            await scenario(books)

    asyncio.run(run())


def ask(path: Path, *commands: Command, now_us: int = LATER_US) -> list[Outcome]:
    (outcomes,) = play(path, commands, now_us=now_us)
    return outcomes


# --- the two commands -------------------------------------------------------------------------------------


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


# --- keys, and bets that are gone -------------------------------------------------------------------------


def test_what_is_archived_is_known_by_its_key_and_its_bets_are_closed(path: Path) -> None:
    assert archived(path, LATER_US, now_us=LATER_US).is_moved
    before = look(path, "SELECT max(id) FROM transactions")

    outcomes = ask(
        path,
        place(1),
        place(2, 999, ALICE),
        deposit(f"opening-{BOB}", 1000, BOB),
        settle("s1", 1, "lost"),
        settle("s1", 3, "lost"),
        settle("new", 1, "lost"),
        unsettle("new", 1),
        cash_out("new", 2, 10, 10),
        roll_back("new", 2),
    )

    assert [why(each) for each in outcomes] == [KNOWN] * 5 + [CLOSED] * 4
    assert look(path, "SELECT max(id) FROM transactions") == before
    assert all(isinstance(each, Accepted) for each in ask(path, settle("new", 3, "lost"), place(4)))


@pytest.mark.parametrize("steps", range(8))
def test_wherever_the_move_stands_a_replay_moves_no_money(path: Path, steps: int) -> None:
    archived(path, LATER_US, steps=steps, rows=2, now_us=LATER_US)
    before = look(path, "SELECT id, balance FROM users")

    for command in (place(1), place(2, 20, BOB), settle("s1", 1, "lost"), deposit(f"opening-{ALICE}")):
        (outcome,) = ask(path, command)
        assert (isinstance(outcome, Accepted) and outcome.replayed) or why(outcome) == KNOWN
    for command in (settle("n", 1, "lost"), unsettle("n", 1), cash_out("n", 1, 1, 1), roll_back("n", 1)):
        assert why(ask(path, command)[0])[0] is Code.BET_CLOSED

    assert look(path, "SELECT id, balance FROM users") == before


@pytest.mark.parametrize("count", [1, 2, 5_000])
def test_keys_are_found_however_many_are_asked_for(path: Path, count: int) -> None:
    begun(path, LATER_US)
    commands: list[Command] = [place(100 + number) for number in range(count)]
    commands += [deposit(f"k{number}", caller=f"caller-{number % 3}") for number in range(count)]
    known = commands[::2]

    def note(connection: sqlite3.Connection) -> None:
        rows = [(hash_of_key(each.scope, each.key),) for each in known]
        connection.executemany("INSERT INTO archived_keys VALUES (?)", rows)

    async def scenario(books: Books) -> None:
        await books.store.tidy(note)
        found = await books.store.read(lambda db: prefetch.look_up(db, touched_by(commands), (), head=False))
        assert found.archived == {(each.scope, each.key) for each in known}
        outcomes = await books.store.answer(
            [each for each in asked(*known[:2]) if setattr(each, "objection", Code.OVERLOADED) is None],
            LATER_US,
        )
        assert {why(each) for each in outcomes} == {KNOWN}

    use(path, scenario)


class Vanishing(sqlite3.Connection):
    """Reads a file out of which a step takes something just before the statement that says `word`."""

    word = ""
    step: Callable[[], object] = staticmethod(lambda: None)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.word and self.word in sql:
            self.word = ""
            self.step()
        return super().execute(sql, *parameters)


ABOUT_A_BET = ["settle", "unsettle", "cash out", "roll back"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *((name, word) for name in ABOUT_A_BET for word in ("JOIN bets", "FROM archives", "archived_keys")),
        *((name, "FROM archives") for name in ("place", "settle again")),
    ],
)
def test_a_row_that_is_moved_while_it_is_looked_up_was_there_or_is_archived(
    path: Path, name: str, word: str
) -> None:
    """The looks of one batch are several statements, and steps come between them."""
    archived(path, LATER_US, steps=0, now_us=LATER_US)
    command: Command = {
        "settle": settle("n", 1, "lost"),
        "unsettle": unsettle("n", 1),
        "cash out": cash_out("n", 1, 1, 1),
        "roll back": roll_back("n", 1),
        "place": place(1),
        "settle again": settle("s1", 1, "lost"),
    }[name]
    connection = sqlite3.connect(path, isolation_level=None, factory=Vanishing)
    assert isinstance(connection, Vanishing)
    books = prefetch.read_books(connection)
    connection.word, connection.step = word, lambda: move(path, rows=50)
    touched = touched_by([command])

    found = prefetch.look_up(connection, touched, touched.user_ids.union(books.values()), head=True)
    outcome = decide(Warm().view(touched, found, (), books, LATER_US), command, LATER_US)

    connection.close()
    assert newest(path).is_moved
    if name in ABOUT_A_BET:
        # Where it was looked at before it went, it is over, and not in an archive yet; so it was told.
        assert why(outcome)[0] is Code.BET_CLOSED
        assert why(outcome)[1] or word != "JOIN bets"
    else:
        assert isinstance(outcome, Accepted)
        assert outcome.replayed


# --- between two batches ----------------------------------------------------------------------------------


def note(connection: sqlite3.Connection) -> int:
    """One key more; how many there are."""
    connection.execute("INSERT INTO archived_keys VALUES (randomblob(16))")
    (count,) = connection.execute("SELECT count(*) FROM archived_keys").fetchone()
    return int(count)


def keys(path: Path) -> int:
    ((count,),) = look(path, "SELECT count(*) FROM archived_keys")
    return int(count)


def test_batches_that_are_decided_ahead_stay_true(path: Path) -> None:
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        first, second = await books.prepare(place(11)), await books.prepare(place(12))
        assert await books.store.tidy(note) == 1
        assert await books.store.write(first)
        third = await books.prepare(place(13))
        assert await books.store.tidy(note) == 2
        assert [await books.store.write(each) for each in (second, third)] == [True, True]
        assert books.decided.numbers == [11, 12, 13]  # none was decided again

    use(path, scenario)
    assert keys(path) == 2


def test_a_batch_stays_true_while_what_it_looked_at_is_moved(path: Path) -> None:
    """It replays what was there when it was looked up."""
    archived(path, LATER_US, steps=0, now_us=LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(1), settle("s1", 1, "lost"), place(14), now_us=LATER_US)
        await books.store.tidy(everything)
        assert await books.store.write(prepared)
        again, settled, new = prepared.outcomes
        assert isinstance(again, Accepted)
        assert isinstance(settled, Accepted)
        assert isinstance(new, Accepted)
        assert (again.replayed, settled.replayed, new.replayed) == (True, True, False)
        (late,) = await books.commit(place(1))
        assert why(late) == KNOWN

    use(path, scenario)


def everything(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM bets WHERE state <> 'confirmed'")
    connection.execute("DELETE FROM transactions WHERE kind = 'DEPOSIT' AND block_id <= 2")
    connection.execute("DELETE FROM transactions WHERE key = ?", (bet_id(1),))
    connection.execute("DELETE FROM transactions WHERE kind = 'LOSS'")


def test_what_fails_between_batches_has_not_happened(path: Path) -> None:
    begun(path, LATER_US)

    def fails(connection: sqlite3.Connection) -> None:
        note(connection)
        raise ZeroDivisionError

    def is_refused(connection: sqlite3.Connection) -> None:
        note(connection)
        connection.execute("DELETE FROM transactions")

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        with pytest.raises(ZeroDivisionError):
            await books.store.tidy(fails)
        with pytest.raises(sqlite3.IntegrityError, match="transactions is append-only"):
            await books.store.tidy(is_refused)
        assert await books.store.write(prepared)
        assert await books.store.tidy(note) == 1

    use(path, scenario)
    assert keys(path) == 1


def test_a_commit_between_batches_that_is_refused_has_failed(path: Path) -> None:
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        books.disk.fail(FULL)
        with pytest.raises(BatchRefused):
            await books.store.tidy(note)
        assert books.store.failure is None
        assert await books.store.write(prepared)
        assert await books.store.tidy(note) == 1

    use(path, scenario)
    assert keys(path) == 1


@pytest.mark.parametrize("after", [False, True], ids=["it was not done", "it was done"])
def test_a_commit_between_batches_of_which_nobody_knows_ends_the_store(path: Path, after: bool) -> None:
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        books.disk.fail(IO_ERROR, after=after)
        with pytest.raises(CommitUnknown):
            await books.store.tidy(note)
        assert books.store.failure is not None
        for again in (books.store.write(prepared), books.store.tidy(note)):
            with pytest.raises(CommitUnknown):
                await again

    use(path, scenario)
    assert keys(path) == after
    assert look(path, "SELECT count(*) FROM bets WHERE stake = 30") == [(2,)]


def test_nothing_is_done_between_batches_behind_a_commit_of_which_nobody_knows(path: Path) -> None:
    """Also what waited for the writer: a later COMMIT may succeed without the pages that were lost."""
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        books.disk.fail(IO_ERROR)
        written, noted = await asyncio.gather(
            books.store.write(prepared), books.store.tidy(note), return_exceptions=True
        )
        assert isinstance(written, CommitUnknown)
        assert isinstance(noted, CommitUnknown)

    use(path, scenario)
    assert keys(path) == 0
