"""reconcile of mass payouts and limits: books that were only played with are clean, each forgery of
payout_forgeries.py is named, and it works beside a server that pays.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine import audit, lives
from engine import reconcile as module
from engine.accounts import open_wallets
from engine.checks import check_block
from engine.commands import (
    CHUNK_ITEMS,
    AddPayoutItems,
    Command,
    OpenPayout,
    Pay,
    PayChunk,
    ResolveItem,
    SetLimit,
    StartPayout,
)
from engine.outcomes import Accepted
from engine.reconcile import reconcile
from engine.store import Store
from tests.books_open import BOB, NOBODY, NOW_US, asked, play, seed, with_store
from tests.forgeries import forge, in_order, reseal
from tests.payout_forgeries import BATCHES, BLOCKS, ROWS, items, own
from tests.payout_history import HISTORY


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = seed(tmp_path_factory.mktemp("played") / "books.db", 1000, 500)
    with_store(path, lambda store: store.set_up(lambda connection: open_wallets(connection, "EUR", 1)))
    for outcomes in play(path, *BATCHES):
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    return path


@pytest.fixture
def books(played: Path, tmp_path: Path) -> Path:
    shutil.copy(f"{played}.signing-key", tmp_path / "books.db.signing-key")
    return Path(shutil.copy(played, tmp_path / "books.db"))


@pytest.mark.parametrize("name", ROWS)
def test_an_edited_row_is_found_and_named_exactly(books: Path, name: str) -> None:
    statements, findings = ROWS[name]

    forge(books, *statements)

    assert in_order(reconcile(books).findings) == in_order(findings)


@pytest.mark.parametrize("name", HISTORY)
def test_history_that_is_sealed_again_must_still_make_sense(books: Path, name: str) -> None:
    statements, findings = HISTORY[name]

    forge(books, *statements)
    reseal(books, *range(1, BLOCKS + 1))

    assert in_order(reconcile(books).findings) == in_order(findings)


def test_books_with_payouts_and_limits_are_clean(books: Path) -> None:
    report = reconcile(books)

    assert report.findings == []
    assert report.users == 12, "two of them clearing accounts"


def test_it_works_while_a_payout_is_opened_paid_and_resolved(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were there when it began change before they are read: what is newer is left out."""

    async def run() -> module.Report:
        loop = asyncio.get_running_loop()
        store = await Store.open(books)
        rounds = iter(range(1000))

        def meanwhile(*read: Any, **known: Any) -> Any:
            key = f"round {next(rounds)}"
            first: list[Command] = [
                PayChunk(19, CHUNK_ITEMS, **own("the last chunk")),
                ResolveItem(8, 1, returns=False, **own("the last item")),
                AddPayoutItems(17, 1, items((BOB, 2)), **own("one more")),
                OpenPayout("EUR", **own(key)),
                Pay("EUR", items((BOB, 1), (NOBODY, 1)), **own(key)),
                SetLimit(BOB, "loss", "day", 10_000, **own(key)),
            ]
            outcomes = asyncio.run_coroutine_threadsafe(store.commit(asked(*first), NOW_US), loop).result(10)
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
            opened = outcomes[3]
            assert isinstance(opened, Accepted)
            id_ = opened.transaction_id
            for command in (
                AddPayoutItems(id_, 0, items((BOB, 3), (NOBODY, 4)), **own(key)),
                StartPayout(id_, 2, 7, **own(key)),
                PayChunk(id_, 0, **own(f"{key} chunk")),
                ResolveItem(id_, 1, returns=True, **own(key)),
            ):
                (outcome,) = asyncio.run_coroutine_threadsafe(
                    store.commit(asked(command), NOW_US), loop
                ).result(10)
                assert isinstance(outcome, Accepted), outcome
            return check_block(*read, **known)

        monkeypatch.setattr(audit, "check_block", meanwhile)
        # A second look for strays finds none: it must not even be taken, since it is slow.
        monkeypatch.setattr(lives.Lives, "strays", lambda self: [{"check": "a second look"}])
        try:
            return await asyncio.to_thread(reconcile, books)
        finally:
            monkeypatch.undo()
            await store.close()

    report = asyncio.run(run())

    assert report.findings == []
    assert report.entries == 131, "what was there when it began"
    assert reconcile(books).findings == []
