"""What is expected of a store that has met a fault: it goes on, or it takes no more money."""

from __future__ import annotations

import sqlite3
from functools import partial

import pytest

from engine.errors import CommitUnknown, StoreFault
from engine.outcomes import Code
from engine.store import Asked, Store
from tests.books_open import ALICE, BOB, CASH, NOW_US, asked, place

UNTOUCHED = {ALICE: 100, BOB: 1000, CASH: -1100}


async def fails_then_works(store: Store, fault: type[StoreFault], *batch: Asked) -> StoreFault:
    """The batch meets the fault and leaves no trace; the same connection takes the next batch."""
    with pytest.raises(fault) as raised:
        await store.commit(batch, NOW_US)
    assert raised.type is fault
    assert store.failure is None
    for each in batch:
        assert await store.read(partial(_known, key=each.command.key)) == 0
    return raised.value


def _known(connection: sqlite3.Connection, key: str) -> int:
    keys = "SELECT key FROM transactions UNION ALL SELECT bet_id FROM refusals"
    (count,) = connection.execute(f"SELECT count(*) FROM ({keys}) WHERE key = ?", (key,)).fetchone()
    return int(count)


async def ends_the_taking_of_money(store: Store, told: Code | None = Code.CIRCUIT_OPEN) -> None:
    """`told`: what the bet hears that met the fault; None if it was confirmed."""
    assert store.failure is not None
    assert "made up by a test" in store.failure
    with pytest.raises(CommitUnknown) as refused:
        await store.commit(asked(place(2)), NOW_US)
    assert not refused.value.has_begun
    with pytest.raises(CommitUnknown) as refused:
        await store.tidy(lambda connection: None)
    assert not refused.value.has_begun
    (answer,) = await store.answer([Asked(place(1), Code.CIRCUIT_OPEN)], NOW_US)
    assert getattr(answer, "code", None) is told
