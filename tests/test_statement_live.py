"""Statements beside a server that takes bets, and of a long account: they add up, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from engine.files import open_read_only
from engine.statement import balance_at, statement
from engine.store import Store
from harness.process import Server
from harness.wire import bet, connect
from tests.books_open import HOUSE, NOW_US, asked, deposit, place, seed, with_store
from tests.command import seed as seed_players
from tests.command import well

BETS = 300


def adds_up(told: dict[str, Any]) -> int:
    """How many entries; each follows from the one before it, from the opening to the closing balance."""
    balance = told["opening"]
    for entry in told["entries"]:
        balance += entry["amount"]
        assert entry["balance"] == balance
    assert balance == told["closing"]
    return len(told["entries"])


def test_a_statement_adds_up_while_bets_arrive(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    ((player),) = seed_players(db, players=1)

    async def play(server: Server) -> list[int]:
        lengths = []
        async with connect(server.ws, player["token"]) as wire:
            for _ in range(3):
                placing = asyncio.gather(*(wire.ask(bet(1)) for _ in range(BETS // 3)))
                for user_id in (7, HOUSE):
                    shown = await asyncio.to_thread(
                        well, "statement", "--db", db, "--user", user_id, "--json"
                    )
                    lengths.append(adds_up(shown.json))
                assert {answer["type"] for answer in await placing} == {"bet.confirmed"}
        return lengths

    with Server(db) as server:
        lengths = asyncio.run(play(server))
        assert lengths[::2] == sorted(lengths[::2])
        assert adds_up(well("statement", "--db", db, "--user", 7, "--json").json) == BETS + 1
        assert adds_up(well("statement", "--db", db, "--user", HOUSE, "--json").json) == BETS


@pytest.mark.long
def test_a_long_account_takes_bounded_memory(tmp_path: Path) -> None:
    """40,000 entries as a list would be some 24 MB."""
    entries, batch = 40_000, 2_000
    path = seed(tmp_path / "books.db", 10 * entries)

    async def fill(store: Store) -> None:
        for first in range(0, entries, batch):
            bets = [place(number, 1) for number in range(first, first + batch)]
            await store.commit(asked(*bets), NOW_US + first)
        await store.commit(asked(deposit("last", 1)), NOW_US + entries)

    with_store(path, fill)
    with contextlib.closing(open_read_only(path)) as connection:
        tracemalloc.start()
        try:
            found = statement(connection, HOUSE)
            assert found is not None
            assert sum(1 for _ in found.entries) == entries
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes < 8 << 20
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        connection.set_progress_handler(count, 1_000)
        for at_us in range(NOW_US, NOW_US + entries, batch):
            balance = balance_at(connection, HOUSE, at_us)
            assert balance is not None
            assert balance.balance_minor == at_us - NOW_US + batch
        # 20 times; the whole chain takes 400,000 steps of SQLite's each time.
        assert steps < 20 * 100
