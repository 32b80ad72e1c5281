"""What the rules of schema.sql cost, counted in what SQLite does and not in time."""

from __future__ import annotations

import pytest
from books import ENGINE_PRAGMAS, HASH_2, batch, block, insert, open_books, opening
from schema_attacks import ACCEPTED_ROWS

LOOK_UPS = {"transaction_ledger": 1, "transactions": 2, "bets": 2}
"""Tables and indexes that the rules open for one new row: the open batch; for a transaction its key as well,
for a bet the newest one."""


def opcodes(table: str) -> list[str]:
    """What SQLite does to insert a row, its triggers included (sqlite.org/opcode.html)."""
    db = open_books(ENGINE_PRAGMAS)
    db.text_factory = bytes  # it tells of blobs as if they were text
    return [row[1].decode() for row in db.execute("EXPLAIN " + insert(table, ACCEPTED_ROWS[table][1]))]


@pytest.mark.parametrize("table", LOOK_UPS)
def test_a_row_is_checked_with_few_look_ups(table: str) -> None:
    assert opcodes(table).count("OpenRead") == LOOK_UPS[table]


@pytest.mark.parametrize("table", sorted(set(ACCEPTED_ROWS) - {"blocks"}))
def test_no_list_is_built_for_a_row(table: str) -> None:
    """As an IN of three or more does in a CHECK, each time that it is looked at."""
    assert "OpenEphemeral" not in opcodes(table)


def one_more(number: int) -> str:
    """The next batch as often as wanted: `number` 0 follows the history of `open_books`."""
    number_of_block, transaction, first = 3 + number, 5 + number, 9 + 2 * number
    own = {"transaction_id": transaction, "block_id": number_of_block}
    hashes = [HASH_2, *((later + 1).to_bytes(32, "big") for later in range(number + 1))]
    return batch(
        batch=opening(number_of_block, transaction, first),
        event={"id": transaction, "block_id": number_of_block, "key": f"bet-{transaction}"},
        debit={"id": first, **own},
        credit={"id": first + 1, **own},
        bet={"transaction_id": transaction},
        block=block(number_of_block, (transaction, transaction), (first, first + 1), *hashes[-2:]),
    )


def test_a_batch_costs_the_same_behind_a_long_history() -> None:
    """A rule that scans a table that grows would not: each row that it looks at is a step."""
    db = open_books(ENGINE_PRAGMAS)
    steps: list[int] = []
    for number in range(40):
        taken = 0

        def count() -> None:
            nonlocal taken
            taken += 1

        db.set_progress_handler(count, 1)
        db.executescript(one_more(number))
        steps.append(taken)

    assert steps[0] > 100  # else nothing was counted
    assert set(steps) == {steps[0]}
