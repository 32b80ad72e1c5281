"""The room on the disk that is asked for before a batch begins covers what a full batch writes, so that the
log's index never finds the disk full behind it (docs/adr/0018, 5)."""

from __future__ import annotations

import random
from pathlib import Path

from batcher.policy import BatchLimits
from engine import writer
from engine.commands import PlaceBet
from engine.outcomes import Accepted
from engine.store import Store
from tests.books_open import ALICE, NOW_US, asked, deposit, seed, with_store

INDEX_BYTES = 32 * 1024
"""By which SQLite lengthens `-shm` (sqlite.org/walformat.html)."""

SIZE = BatchLimits().batch_max
PLAYERS = 5 * SIZE


def test_the_room_that_is_asked_for_covers_a_full_batch_and_the_index(tmp_path: Path) -> None:
    chance = random.Random(7)
    books = seed(tmp_path / "books.db", *[1_000] * PLAYERS)
    log = books.with_name(f"{books.name}-wal")
    grown: list[int] = []

    def bet() -> PlaceBet:
        made = f"{chance.getrandbits(128):032x}"
        bet_id = "-".join((made[:8], made[8:12], made[12:16], made[16:20], made[20:]))
        text = "x" * 64  # as long as the wire lets it be
        return PlaceBet(bet_id, ALICE + chance.randrange(PLAYERS), 1, made, NOW_US, None, text, text, text)

    async def use(store: Store) -> None:
        await store.commit(asked(deposit("a")), NOW_US)
        for _ in range(5):  # the keys are spread over ever more pages
            await store.checkpoint(0)
            assert log.stat().st_size == 0
            for outcome in await store.commit(asked(*(bet() for _ in range(SIZE))), NOW_US):
                assert isinstance(outcome, Accepted)
            grown.append(log.stat().st_size)

    with_store(books, use)
    assert max(grown) + INDEX_BYTES <= writer.ROOM_BYTES, grown
