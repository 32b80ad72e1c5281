"""Looks that take too long: ended in time, told as that, and nothing of them left open."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from engine import looks, queries, store
from engine.errors import ArchiveUnusable, LookTooLong
from engine.looks import look_within
from engine.outcomes import Code
from engine.store import Asked, Store
from harness.process import seed as seed_players
from harness.wire import bet, connect
from tests.books_open import ALICE, NOW_US, asked, place, seed, with_store
from tests.in_process import run, serving

NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers{})"
ENDLESS = f"{NUMBERS.format('')} SELECT max(n) FROM numbers"
SHORT = f"{NUMBERS.format(' WHERE n < 500')} SELECT max(n) FROM numbers"


def endless(connection: sqlite3.Connection) -> None:
    connection.execute(ENDLESS).fetchone()


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(seed(tmp_path / "books.db", 100), isolation_level=None)


def test_a_look_that_does_not_end_is_ended_in_time(connection: sqlite3.Connection) -> None:
    began_s = time.monotonic()
    with pytest.raises(LookTooLong, match=r"within 0\.05 s"):
        look_within(connection, 0.05, endless)
    assert 0.05 <= time.monotonic() - began_s < 1
    # The connection is as good as before, without a deadline of the one before it.
    assert look_within(connection, 1, lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    connection.close()


def test_it_ends_in_the_midst_of_many_short_statements_too(connection: sqlite3.Connection) -> None:
    def chatty(connection: sqlite3.Connection) -> None:
        while True:
            connection.execute(SHORT).fetchone()

    with pytest.raises(LookTooLong):
        look_within(connection, 0.05, chatty)
    connection.close()


def test_nothing_stays_open_of_it(connection: sqlite3.Connection) -> None:
    def careless(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        endless(connection)

    with pytest.raises(LookTooLong):
        look_within(connection, 0.01, careless)
    assert not connection.in_transaction
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "something pins the log"
    connection.close()


def test_it_is_told_as_that_also_where_the_look_gave_the_error_another_name(
    connection: sqlite3.Connection,
) -> None:
    def renaming(connection: sqlite3.Connection) -> None:
        try:
            endless(connection)
        except sqlite3.Error as error:
            raise ArchiveUnusable("cannot be read") from error

    with pytest.raises(LookTooLong):
        look_within(connection, 0.01, renaming)
    connection.close()


def test_what_else_goes_wrong_stays_what_it_is(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        look_within(connection, 1, lambda c: c.execute("SELECT 1 FROM nowhere"))
    connection.close()


def test_a_client_hears_that_it_took_too_long_and_may_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "STEPS", 1)
    (player,) = seed_players(tmp_path / "books.db", 1)

    async def play() -> None:
        async with serving(tmp_path / "books.db") as url, connect(url, player["token"]) as wire:
            assert (await wire.ask({"type": "resume", "from_seq": 0}))["type"] == "resumed"
            with monkeypatch.context() as hurried:
                hurried.setattr(store, "READ_LONG_WITHIN_S", 0)
                refused = await wire.ask({"type": "resume", "from_seq": 0})
            assert (refused["type"], refused["code"], refused["retryable"]) == ("error", "TIMED_OUT", True)
            assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"
            assert (await wire.ask({"type": "resume", "from_seq": 0}))["type"] == "resumed"

    run(play())


def test_every_look_of_a_store_has_a_deadline_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "READ_WITHIN_S", 0.05)
    monkeypatch.setattr(store, "READ_LONG_WITHIN_S", 0.05)

    async def use(opened: Store) -> None:
        looks = [opened.read(endless), opened.read_long(endless), opened.read_past(endless)]
        ended = await asyncio.gather(*looks, return_exceptions=True)
        assert [type(each) for each in ended] == [LookTooLong] * 3
        await opened.commit(asked(place(1)), NOW_US)
        for read in (opened.read, opened.read_long, opened.read_past):
            wallet = await read(lambda connection: queries.wallet(connection, ALICE))
            assert wallet is not None
            assert wallet.balance_minor == 70
        assert await opened.checkpoint(50), "nobody is in the log any more"
        (told,) = await opened.answer([Asked(place(2), Code.OVERLOADED)], NOW_US)
        assert told.code is Code.OVERLOADED  # type: ignore[union-attr]

    with_store(seed(tmp_path / "books.db", 100), use)
