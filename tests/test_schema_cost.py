"""What the rules of schema.sql cost, counted in what SQLite does and not in time."""

from __future__ import annotations

import sqlite3

import pytest
from books import (
    ALICE,
    BOB,
    ENGINE_PRAGMAS,
    HASH_3,
    HASH_4,
    HOUSE,
    SCHEMA,
    SUSPENSE,
    Row,
    Template,
    batch,
    becomes,
    block,
    entry,
    event,
    hold,
    hold_becomes,
    insert,
    item,
    item_becomes,
    limit,
    of_bet,
    of_hold,
    of_payout,
    open_books,
    opening,
    payout,
    payout_becomes,
    suspended,
)
from schema_attacks import ACCEPTED_ROWS

LOOK_UPS = {"transaction_ledger": 1, "transactions": 2, "bets": 2, "holds": 2, "payout_items": 3}
"""Tables and indexes that the rules open for one new row: the open batch; for a transaction its key as well,
for a bet or a hold the newest one, for an item of a payout the one before it and the payout."""

CHANGES = {
    "bets": (becomes(3, state="won", last_transaction_id=13), 3),
    "holds": (hold_becomes(5, state="released", last_transaction_id=13), 2),
    "payouts": (payout_becomes(15, done=2, last_transaction_id=21), 3),
}
"""Tables and indexes that the rules open for one change: the open batch and the transaction that made it, for
a bet the transaction that placed it as well, for a payout its items."""


def opcodes(sql: str) -> list[str]:
    """What SQLite does, the triggers included (sqlite.org/opcode.html)."""
    db = open_books(ENGINE_PRAGMAS, blocks=3)
    db.text_factory = bytes  # it tells of blobs as if they were text
    return [row[1].decode() for row in db.execute("EXPLAIN " + sql)]


@pytest.mark.parametrize("table", LOOK_UPS)
def test_a_row_is_checked_with_few_look_ups(table: str) -> None:
    assert opcodes(insert(table, ACCEPTED_ROWS[table][2])).count("OpenRead") == LOOK_UPS[table]


@pytest.mark.parametrize("table", CHANGES)
def test_a_change_is_checked_with_few_look_ups(table: str) -> None:
    sql, look_ups = CHANGES[table]
    assert opcodes(sql).count("OpenRead") == look_ups


@pytest.mark.parametrize("table", sorted(set(ACCEPTED_ROWS) - {"blocks"}))
def test_no_list_is_built_for_a_row(table: str) -> None:
    """As an IN of three or more does in a CHECK, each time that it is looked at."""
    assert "OpenEphemeral" not in opcodes(insert(table, ACCEPTED_ROWS[table][2]))


def test_a_balance_that_changes_looks_nothing_up() -> None:
    """Each batch changes hundreds: the open batch is looked for only where what is held or owed changes."""
    look_up = "NOT EXISTS (SELECT 1 FROM open_batch WHERE frozen = 0)"
    compare = "(NEW.held <> OLD.held OR NEW.owed <> OLD.owed OR NEW.limited <> OLD.limited)"
    rest = f"(NEW.limited < OLD.limited OR {look_up})"
    assert f"{compare}\n AND {rest}" in SCHEMA
    looks_first = SCHEMA.replace(f"{compare}\n AND {rest}", f"{rest} AND {compare}")
    same = "held = held, owed = owed, limited = limited"
    change = f"UPDATE users SET balance = balance + 1, {same} WHERE id = {ALICE}"
    taken = [steps(open_books(ENGINE_PRAGMAS, schema=each), change) for each in (SCHEMA, looks_first)]

    assert taken[0] < taken[1]


def steps(db: sqlite3.Connection, sql: str) -> int:
    """How many steps SQLite takes for the script: each row that a rule looks at is one, or more."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    db.set_progress_handler(count, 1)
    db.executescript(sql)
    db.set_progress_handler(None, 0)
    return taken


def one_more(number: int) -> str:
    """The next batch as often as wanted: `number` 0 follows the history of `open_books` that has `LIFE`.

    A bet is placed and won, money is set aside and released.
    """
    at, first, entry = 4 + number, 13 + 4 * number, 19 + 2 * number
    own: Row = {"transaction_id": first, "block_id": at, "ref_id": f"bet-{first}"}
    hashes = [HASH_3, *((later + 1).to_bytes(32, "big") for later in range(number + 1))]
    said = [
        ("WIN", of_bet(f"bet-{first}", "won")),
        ("HOLD", of_hold(first + 2, "open", left_minor=10)),
        ("RELEASE", of_hold(first + 2, "released")),
    ]
    late = "".join(
        insert("transactions", event(id_, at, kind, f"op:{kind}", str(id_), answer))
        for id_, (kind, answer) in enumerate(said, first + 1)
    )
    late += insert("holds", hold(first + 2, ALICE, 10))
    late += becomes(first, state="won", last_transaction_id=first + 1)
    late += hold_becomes(first + 2, state="released", remaining=0, last_transaction_id=first + 3)
    return batch(
        batch=opening(at, first, entry),
        event={"id": first, "block_id": at, "key": f"bet-{first}"},
        debit={"id": entry, **own},
        credit={"id": entry + 1, **own},
        bet={"transaction_id": first},
        late=late,
        block=block(at, (first, first + 3), (entry, entry + 1), *hashes[-2:]),
    )


def test_a_batch_costs_the_same_behind_a_long_history() -> None:
    """A rule that scans a table that grows would not."""
    db = open_books(ENGINE_PRAGMAS, blocks=3)
    taken = [steps(db, one_more(number)) for number in range(40)]

    assert taken[0] > 400  # else nothing was counted
    assert set(taken) == {taken[0]}


def one_more_payout(number: int) -> str:
    """The next batch as often as wanted: `number` 0 follows the history of `open_books` that has `PAYOUTS`.

    A payout of one winner goes into suspense, and is given back; a limit is set.
    """
    at, first, entry_ = 5 + number, 21 + 3 * number, 26 + 4 * number
    hashes = [HASH_4, *((later + 1).to_bytes(32, "big") for later in range(number + 1))]
    whole: Row = {"items": 1, "total_minor": 7, "done": 1}
    paid = of_payout(first, "paid", [(0, "ACCOUNT_BLOCKED")], **whole, suspended=1)
    moves = [
        (HOUSE, -7, "PAYOUT", first),
        (SUSPENSE, 7, "SUSPENSE", first),
        (SUSPENSE, -7, "SUSPENSE", first + 1),
        (HOUSE, 7, "SUSPENSE", first + 1),
    ]
    late = insert(
        "transactions", event(first + 1, at, "PAYOUT_ITEM", "op", str(at), of_payout(first, "paid", **whole))
    )
    late += insert("transactions", event(first + 2, at, "LIMIT", "op:LIMIT", str(at)))
    late += "".join(
        insert("transaction_ledger", entry(id_, who, amount, 0, (why, f"{first}:0", by, at), 0))
        for id_, (who, amount, why, by) in enumerate(moves, entry_)
    )
    late += insert("payouts", payout(first)) + insert("payout_items", item(first, 0, BOB, 7))
    late += insert("suspended_items", suspended(first, 0))
    late += insert("limits", limit(ALICE, 501 + number)).rstrip(";\n")
    late += " ON CONFLICT DO UPDATE SET amount = excluded.amount;\n"
    late += payout_becomes(first, state="paid", items=1, total=7, done=1, last_transaction_id=first + 1)
    late += item_becomes(first, 0, state="returned", last_transaction_id=first + 1)
    template: Template = {
        "batch": ("open_batch", opening(at, first, entry_)),
        "event": ("transactions", event(first, at, "PAYOUT", "op:PAYOUT", str(at), paid)),
        "block": ("blocks", block(at, (first, first + 2), (entry_, entry_ + 3), *hashes[-2:])),
    }
    return batch(template, late=late)


def test_a_payout_costs_the_same_behind_a_long_history() -> None:
    """Its batch is searched for what says so, and never the file: SQLite would, if the first number of the
    batch came out of a join."""
    db = open_books(ENGINE_PRAGMAS, blocks=4)
    taken = [steps(db, one_more_payout(number)) for number in range(40)]

    assert taken[0] > 400  # else nothing was counted
    assert set(taken) == {taken[0]}
