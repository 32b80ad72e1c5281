"""What the rules of schema.sql cost, counted in what SQLite does and not in time."""

from __future__ import annotations

import sqlite3

import pytest

from tests.book_rows import (
    Row,
    becomes,
    bet,
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
    opening,
    payout,
    payout_becomes,
    suspended,
)
from tests.books import (
    ALICE,
    BOB,
    ENGINE_PRAGMAS,
    HASH_3,
    HASH_4,
    HASH_5,
    HOUSE,
    SCHEMA,
    SUSPENSE,
    Template,
    batch,
    open_books,
    wallet,
)
from tests.books_archive import HASH_7, open_history
from tests.books_bonus import (
    AMOUNT,
    OF_ALICE,
    UNUSED,
    bonus_becomes,
    free_bet,
    free_bet_becomes,
    of_bonus,
    of_free_bet,
)
from tests.schema_attacks import ACCEPTED_ROWS

LOOK_UPS = {
    "transaction_ledger": 3,
    "transactions": 2,
    "bets": 2,
    "holds": 2,
    "bonuses": 6,
    "free_bets": 4,
    "payout_items": 3,
}
"""Tables and indexes that the rules open for one new row: the open batch; for an entry outside of one, which
only a step of an archive adds, the archives and what that moves; for a transaction its key as well, for a
bet or a hold the newest one, for a bonus and a free bet the wallets and the grant too, for an item of a
payout the one before it and the payout."""

CHANGES = {
    "bets": (becomes(3, state="won", last_transaction_id=13), 6),
    "holds": (hold_becomes(5, state="released", last_transaction_id=13), 2),
    "bonuses": (bonus_becomes(OF_ALICE, state="expired", last_transaction_id=13), 2),
    "free_bets": (free_bet_becomes(UNUSED, state="used", last_transaction_id=13), 9),
    "payouts": (payout_becomes(15, done=2, last_transaction_id=21), 3),
}
"""Tables and indexes that the rules open for one change: the open batch and the transaction that made it, for
a bet the transaction that placed it as well, and for one that was over the archives, the batch and that
again; for a payout its items, for a free bet its bet, the transaction that placed it, and the one before."""

OF_A_BET = {
    **{table: insert(table, ACCEPTED_ROWS[table][2]) for table in ("open_batch", "blocks")},
    **{
        table: insert(table, ACCEPTED_ROWS[table][2])
        for table in ("transactions", "transaction_ledger", "bets")
    },
    "users": (
        "UPDATE users SET balance = balance - 1, version = version + 1, last_entry_id = 9, held = held, "
        "owed = owed, status = status, limited = limited, refused_minute = 0, refused_count = 0 "
        f"WHERE id = {ALICE}"
    ),
}
"""What is written when a bet is placed."""


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


@pytest.mark.parametrize("table", OF_A_BET)
def test_a_bet_opens_no_table_of_persons_bonuses_free_bets_or_deeds(table: str) -> None:
    db = open_books(ENGINE_PRAGMAS)
    theirs = "tbl_name IN ('participants', 'bonuses', 'free_bets', 'audit_log') OR name = 'further_wallets'"
    pages = {
        page
        for (page,) in db.execute(f"SELECT rootpage FROM sqlite_schema WHERE rootpage > 0 AND ({theirs})")
    }
    assert len(pages) == 11  # else one was renamed
    db.text_factory = bytes
    steps = db.execute("EXPLAIN " + OF_A_BET[table]).fetchall()

    assert not [step for step in steps if step[1] in (b"OpenRead", b"OpenWrite") and step[3] in pages]


@pytest.mark.parametrize("table", sorted(set(ACCEPTED_ROWS) - {"blocks"}))
def test_no_list_is_built_for_a_row(table: str) -> None:
    """As an IN of three or more does in a CHECK, each time that it is looked at."""
    assert "OpenEphemeral" not in opcodes(insert(table, ACCEPTED_ROWS[table][2]))


def won_at_once(at: int, first: int, entry_: int, prev: bytes) -> str:
    """The next batch of a file that ends there: a bet is placed and won."""
    own: Row = {"transaction_id": first, "block_id": at}
    late = insert("transactions", event(first + 1, at, "WIN", "op:WIN", "x", of_bet("bet-x", "won")))
    late += becomes(first, state="won", last_transaction_id=first + 1)
    return batch(
        batch=opening(at, first, entry_),
        event={"id": first, "block_id": at, "key": "bet-x"},
        debit={"id": entry_, **own},
        credit={"id": entry_ + 1, **own},
        bet={"transaction_id": first},
        late=late,
        block=block(at, (first, first + 1), (entry_, entry_ + 1), prev, bytes([at + 1]) * 32),
    )


def test_a_bet_costs_the_same_where_something_is_archived() -> None:
    """Only an entry outside of a batch looks at the archives, and a change of a bet that was over."""
    before = steps(open_history(ENGINE_PRAGMAS, blocks=5), won_at_once(6, 38, 46, HASH_5))
    behind = steps(open_history(ENGINE_PRAGMAS, blocks=7), won_at_once(8, 42, 48, HASH_7))

    assert before > 400  # else nothing was counted
    assert behind == before


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


def test_a_deed_costs_the_same_in_a_long_log() -> None:
    """Its number and its transaction are looked up, and none of the deeds before it."""
    db = open_history(ENGINE_PRAGMAS)
    taken = [
        steps(db, insert("audit_log", {**ACCEPTED_ROWS["audit_log"][2], "id": id_})) for id_ in range(2, 42)
    ]

    assert taken[0] > 20  # else nothing was counted
    assert set(taken) == {taken[0]}


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


def one_more_bonus(number: int) -> str:
    """The next batch as often as wanted: `number` 0 follows the history of five blocks.

    A bonus is granted again; a free bet is given, used, given back and revoked.
    """
    at, first = 6 + number, 38 + 5 * number
    hashes = [HASH_5, *((later + 1).to_bytes(32, "big") for later in range(5, number + 6))]
    said = [
        ("FREE_BET", of_free_bet(first, "open")),
        ("BET", of_free_bet(first, "used")),
        ("ROLLBACK", of_free_bet(first, "open", first + 1, f"bet-{first + 1}")),
        ("REVOKE", of_free_bet(first, "revoked", first + 2)),
        ("BONUS", of_bonus(OF_ALICE)),
    ]
    late = "".join(
        insert("transactions", event(id_, at, kind, "bet" if kind == "BET" else "op", f"bet-{id_}", answer))
        for id_, (kind, answer) in enumerate(said, first)
    )
    late += insert("bets", bet(first + 1, ALICE, AMOUNT)) + insert("free_bets", free_bet(first, ALICE))
    late += free_bet_becomes(first, state="open", last_transaction_id=first + 2)
    late += free_bet_becomes(first, state="revoked", last_transaction_id=first + 3)
    late += bonus_becomes(OF_ALICE, last_transaction_id=first + 4)
    late += wallet(100 + number, ALICE)
    template: Template = {
        "batch": ("open_batch", opening(at, first, 46)),
        "block": ("blocks", block(at, (first, first + 4), (46, 45), *hashes[-2:])),
    }
    return batch(template, late=late)


def test_bonuses_and_free_bets_cost_the_same_behind_a_long_history() -> None:
    db = open_history(ENGINE_PRAGMAS, blocks=5)
    taken = [steps(db, one_more_bonus(number)) for number in range(40)]

    assert taken[0] > 400  # else nothing was counted
    assert set(taken) == {taken[0]}
