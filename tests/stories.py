"""Stories about bonus money and free bets, told on a real file: commands, and what the last of them moved.

ALICE has 100 and BOB has 50 before each. The first wallet that a story opens, such as a bonus wallet, is
number `NEXT_WALLET`; its first transaction is number `FIRST`. A story may have two parts, the second
`LATER_US`: then either part is one batch, or each command is one, and both ways everything must be the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.commands import Command
from engine.outcomes import Accepted, Outcome
from engine.store import Store
from tests.books_open import ALICE, BOB, BONUS_BOOK, CASH, HOUSE, NOW_US, asked, look, seed

FIRST: Final = 3
NEXT_WALLET: Final = 9
DUE_US: Final = NOW_US + 10_000_000
"""When that which expires in a story expires."""
LATER_US: Final = NOW_US + 20_000_000
RECEIVABLE: Final = 6

NAMES: Final = {
    HOUSE: "house",
    CASH: "cash",
    RECEIVABLE: "receivable",
    ALICE: "alice",
    BOB: "bob",
    NEXT_WALLET: "bonus",
    BONUS_BOOK: "book",
}


class Story(NamedTuple):
    """`moved`: what the last command moved, or its code. `then`: balances, of names in `NAMES`; a name with
    `owes` after it is what that wallet owes. What is not named has not changed, or is a book."""

    words: str
    commands: Sequence[Command]
    moved: str
    then: Mapping[str, int]
    later: Sequence[Command] = ()


def tell(path: Path, story: Story, *, apart: bool = False) -> list[Outcome]:
    """Play a story on a new file at `path`; the outcomes. `apart`: each command in a batch of its own."""
    seed(path, 100, 50)
    return go_on(path, story.commands, NOW_US, apart=apart) + go_on(path, story.later, LATER_US, apart=apart)


def go_on(path: Path, commands: Sequence[Command], now_us: int, *, apart: bool = False) -> list[Outcome]:
    """Play more; the outcomes."""

    async def run() -> list[Outcome]:
        store = await Store.open(path)
        try:
            batches = [[command] for command in commands] if apart else [commands]
            done = [await store.commit(asked(*batch), now_us) for batch in batches if batch]
            return [outcome for batch in done for outcome in batch]
        finally:
            await store.close()

    return asyncio.run(run())


def moved(outcome: Outcome) -> str:
    """What was posted, in its order, or the code of a refusal."""
    if not isinstance(outcome, Accepted):
        return outcome.code.name
    return ", ".join(f"{NAMES[e.user_id]} {e.amount_minor:+} {e.ref_type}" for e in outcome.entries)


def wallets(path: Path) -> dict[str, int]:
    """What is in each wallet, and what it owes if it does; asserts that the money adds up."""
    rows = look(path, "SELECT id, kind, balance, owed FROM users")
    assert_sound(path, rows)
    ours = [row for row in rows if row[1] in ("player", "player_bonus")]
    owing = {f"{NAMES[id_]} owes": owed for id_, _, _, owed in ours if owed}
    return {NAMES[id_]: balance for id_, _, balance, _ in ours} | owing


def assert_sound(path: Path, rows: Sequence[tuple[Any, ...]]) -> None:
    """Balances are the sums of their entries and sum to zero; `receivable` has lent each wallet what it owes;
    each entry says what its holder has after it."""
    sums = dict(look(path, "SELECT user_id, SUM(amount) FROM transaction_ledger GROUP BY user_id"))
    assert {id_: balance for id_, _, balance, _ in rows if balance} == {
        id_: minor for id_, minor in sums.items() if minor
    }
    assert sum(balance for _, _, balance, _ in rows) == 0
    lent = look(
        path, "SELECT ref_id, -SUM(amount) FROM transaction_ledger WHERE user_id = ? GROUP BY 1", RECEIVABLE
    )
    assert {int(whose): minor for whose, minor in lent if minor} == {
        id_: owed for id_, _, _, owed in rows if owed
    }
    for id_ in sums:
        entries = look(
            path, "SELECT amount, balance_after FROM transaction_ledger WHERE user_id = ? ORDER BY id", id_
        )
        assert all(after + amount == then for (_, after), (amount, then) in pairwise([(0, 0), *entries]))


def everything(path: Path) -> dict[str, list[Any]]:
    """All that a refusal must leave as it is."""
    kept = {
        table: look(path, f"SELECT * FROM {table}")
        for table in ("participants", "transactions", "transaction_ledger", "blocks", "bets", "bonuses",
                      "free_bets", "limits", "holds")
    }  # fmt: skip
    return kept | {"users": look(path, "SELECT id, status, balance, held, owed, last_entry_id FROM users")}
