"""Books that have a minute between two of their blocks: what came before it can be archived."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from engine.commands import Command, OpenArchive
from engine.outcomes import Code, Outcome, Rejected
from tests.books_open import BOB, NOW_US, deposit, place, play, seed, settle
from tests.pipelines import Books
from tests.pipelines import opened as opened_store

S = 1_000_000
LATER_US = NOW_US + 60 * S


def begin(before_us: int = LATER_US, key: str = "archive") -> OpenArchive:
    return OpenArchive(before_us, key=key, caller="test")


def why(outcome: Outcome) -> tuple[Code, bool]:
    assert isinstance(outcome, Rejected), outcome
    return outcome.code, outcome.is_archived


CLOSED, KNOWN = (Code.BET_CLOSED, True), (Code.IDEMPOTENCY_CONFLICT, True)


def new_books(folder: Path) -> Path:
    """Block 2: a bet that is lost, one that is won, one that is open; block 3, a minute later: a deposit."""
    path = seed(folder / "books.db", 100, 1000)
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
