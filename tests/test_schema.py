"""The database enforces the rules of the books: each attack on them fails, with nothing but sqlite3."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.attacks_on_archives import SECOND_ONE, later
from tests.attacks_on_holds import given_back
from tests.attacks_on_life import FOURTH, ended
from tests.attacks_on_limits import OWN, by_a_limit, by_nothing
from tests.attacks_on_moves import BURYING, archived
from tests.attacks_on_payouts import (
    ADDED_ROW,
    NEXT_ITEM,
    PAID_OUT,
    STARTED,
    STARTED_ROW,
    account,
    added,
    begun,
    chunk,
    put_aside,
    resolved,
    told,
    turn,
)
from tests.book_rows import (
    CLEARING,
    Row,
    becomes,
    block,
    clearing,
    event,
    insert,
    of_bet,
    of_payout,
    opening,
    payout,
    payout_becomes,
)
from tests.books import (
    ALICE,
    BALANCES_FOLLOW,
    BOB,
    BONUS_BOOK,
    CASH,
    ENGINE_PRAGMAS,
    HASH_2,
    HASH_3,
    HOUSE,
    NEXT,
    SQLITE_DEFAULTS,
    SUSPENSE,
    Attack,
    Template,
    attempt,
    batch,
    content,
)
from tests.books_archive import (
    ARCHIVE,
    CARRY,
    CARRYING,
    HASH_8,
    LAST_MOVES,
    UPTO_BLOCK,
    archive_becomes,
    open_history,
)
from tests.books_bonus import OF_ALICE, OF_ALICE_TOO, OF_BOB, REFUNDED_BET
from tests.schema_attacks import ACCEPTED_ROWS, ATTACKS, STOPPED_BY_FOREIGN_KEYS

PRAGMAS = [pytest.param(ENGINE_PRAGMAS, id="engine"), pytest.param(SQLITE_DEFAULTS, id="defaults")]

BALANCES_EQUAL_LEDGER = """
    SELECT count(*) FROM users WHERE balance IS NOT
        (SELECT coalesce(sum(amount), 0) FROM transaction_ledger WHERE user_id = users.id)
"""


@cache
def of_history(blocks: int) -> list[str]:
    """What is in such a file before it is attacked."""
    return content(open_history(ENGINE_PRAGMAS, blocks=blocks))


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_aborts_and_changes_nothing(attack: Attack) -> None:
    """As the engine opens a file, and as any shell does."""
    for pragmas in (ENGINE_PRAGMAS, SQLITE_DEFAULTS):
        db = open_history(pragmas, blocks=attack.blocks)

        error = attempt(db, attack.sql)

        assert isinstance(error, attack.raises), (error or "the attack succeeded", pragmas)
        assert re.search(attack.words, str(error)), (error, pragmas)
        assert content(db) == of_history(attack.blocks), pragmas


@pytest.mark.parametrize("attack", STOPPED_BY_FOREIGN_KEYS, ids=str)
def test_with_foreign_keys_on_this_aborts_and_changes_nothing(attack: Attack) -> None:
    db = open_history(ENGINE_PRAGMAS)
    before = content(db)

    error = attempt(db, attack.sql)

    assert isinstance(error, attack.raises), error or "the attack succeeded"
    assert re.search(attack.words, str(error)), error
    assert content(db) == before


@pytest.mark.parametrize("attack", STOPPED_BY_FOREIGN_KEYS, ids=str)
def test_with_foreign_keys_off_this_goes_through_and_a_check_finds_it(attack: Attack) -> None:
    """A limit of the schema, pinned so that docs/schema.md stays true: `foreign_key_check` still sees it."""
    db = open_history(SQLITE_DEFAULTS)
    before = content(db)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []

    assert attempt(db, attack.sql) is None

    assert content(db) != before
    assert db.execute("PRAGMA foreign_key_check").fetchall() != []


def test_what_a_shell_left_unsealed_is_sealed_by_the_next_block_or_never() -> None:
    """With foreign_keys=OFF money can lie unsealed in the file; no later block can step over it."""
    db = open_history(SQLITE_DEFAULTS)
    unsealed = batch().replace(insert("blocks", NEXT["block"][1]), "")
    assert attempt(db, unsealed) is None
    assert "open_batch: one batch at a time" in str(attempt(db, insert("open_batch", opening(3, 5, 9))))
    assert "open_batch: one batch at a time" in str(attempt(db, insert("open_batch", opening(4, 6, 11))))

    skipped = insert("blocks", block(3, (6, 6), (11, 10), HASH_2, HASH_3))
    error = attempt(
        db, "BEGIN;" + insert("transactions", event(6, 3, "BET", "bet", "b")) + skipped + "COMMIT"
    )

    assert "blocks: does not begin with the open batch" in str(error)
    assert attempt(db, insert("blocks", NEXT["block"][1])) is None


@pytest.mark.parametrize("attack", [each for each in ATTACKS if "BEGIN" not in each.sql], ids=str)
def test_an_attack_changes_nothing_where_no_journal_can_undo_it(attack: Attack) -> None:
    """With journal_mode=OFF an abort leaves what was done before it, so each rule must come first."""
    db = open_history(SQLITE_DEFAULTS, blocks=attack.blocks)
    assert db.execute("PRAGMA journal_mode = OFF").fetchone() == ("off",)

    assert isinstance(attempt(db, attack.sql), attack.raises)

    assert content(db) == of_history(attack.blocks)


REWRITTEN = [
    ("transactions", {**NEXT["event"][1], "key": "bet-draft"}, NEXT["event"][1]),
    ("transaction_ledger", {**NEXT["debit"][1], "amount": -1}, NEXT["debit"][1]),
]


@pytest.mark.parametrize(("table", "first", "second"), REWRITTEN, ids=[table for table, _, _ in REWRITTEN])
def test_a_row_of_the_open_batch_can_be_replaced_until_it_is_frozen(
    table: str, first: Row, second: Row
) -> None:
    """A limit of the schema: only recursive_triggers=ON forbids it. What is sealed is what one could have
    written at once."""
    early = insert(table, first) + insert(table, second, "INSERT OR REPLACE")
    rewritten = batch(early=early, event=None) if table == "transactions" else batch(late=early, debit=None)
    db, plain = open_history(SQLITE_DEFAULTS), open_history(SQLITE_DEFAULTS)

    assert attempt(db, rewritten) is None
    assert attempt(plain, batch()) is None
    assert content(db) == content(plain)

    assert f"{table} is append-only" in str(attempt(open_history(ENGINE_PRAGMAS), rewritten))


def test_ignored_checks_let_an_overdraft_through_and_integrity_check_finds_it() -> None:
    """A limit of the schema: that PRAGMA switches the CHECKs off, but not the triggers."""
    db = open_history(ENGINE_PRAGMAS)

    db.execute("PRAGMA ignore_check_constraints = ON")
    assert attempt(db, f"UPDATE users SET balance = -1 WHERE id = {ALICE}") is None
    assert attempt(db, "DELETE FROM transaction_ledger") is not None
    db.execute("PRAGMA ignore_check_constraints = OFF")

    assert db.execute("PRAGMA integrity_check").fetchall() == [("CHECK constraint failed in users",)]


def test_a_cached_balance_can_be_overwritten_and_the_ledger_tells() -> None:
    """A limit of the schema: `reconcile` finds it, with the one statement that any shell can run."""
    db = open_history(ENGINE_PRAGMAS)
    assert db.execute(BALANCES_EQUAL_LEDGER).fetchone() == (0,)

    assert attempt(db, f"UPDATE users SET balance = balance + 1 WHERE id = {ALICE}") is None

    assert db.execute(BALANCES_EQUAL_LEDGER).fetchone() == (1,)


@pytest.mark.parametrize("pragmas", PRAGMAS)
def test_a_valid_batch_passes(pragmas: dict[str, str]) -> None:
    db = open_history(pragmas)

    assert attempt(db, batch(late=BALANCES_FOLLOW)) is None

    assert db.execute("SELECT max(id), count(*) FROM blocks").fetchone() == (3, 3)
    assert db.execute("SELECT balance, last_entry_id FROM users WHERE id = ?", (ALICE,)).fetchone() == (
        770,
        9,
    )
    assert db.execute(BALANCES_EQUAL_LEDGER).fetchone() == (0,)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("pragmas", PRAGMAS)
@pytest.mark.parametrize("table", ACCEPTED_ROWS)
def test_the_rows_that_the_attacks_bend_are_accepted_unbent(table: str, pragmas: dict[str, str]) -> None:
    """Otherwise a wrong value would be refused for a reason that has nothing to do with it."""
    template, _, row = ACCEPTED_ROWS[table]
    db = open_history(pragmas)
    before = content(db)

    assert attempt(db, insert(table, row) if template is None else batch(template)) is None

    assert content(db) != before


@pytest.mark.parametrize("pragmas", PRAGMAS)
def test_a_transaction_without_entries_passes(pragmas: dict[str, str]) -> None:
    """A rollback of a bet never seen is recorded, and moves no money."""
    db = open_history(pragmas)
    unseen = {"kind": "TOMBSTONE", "key": "never-seen"}

    sql = batch(event=unseen, debit=None, credit=None, bet=None, block={"last_entry_id": 8})
    assert attempt(db, sql) is None

    assert db.execute("SELECT first_entry_id, last_entry_id FROM blocks WHERE id = 3").fetchone() == (9, 8)
    following = batch(
        batch=opening(4, 6, 9),
        event={"id": 6, "block_id": 4},
        debit={"block_id": 4, "transaction_id": 6},
        credit={"block_id": 4, "transaction_id": 6},
        bet={"transaction_id": 6},
        block=block(4, (6, 6), (9, 10), HASH_3, b"\x04" * 32),
    )
    assert attempt(db, following) is None


@pytest.mark.parametrize("pragmas", PRAGMAS)
def test_two_blocks_at_the_same_time_pass(pragmas: dict[str, str]) -> None:
    db = open_history(pragmas)
    (newest,) = db.execute("SELECT at FROM blocks WHERE id = 2").fetchone()

    assert attempt(db, batch(block={"at": newest})) is None


# What commands make of a bet: (kind, state, payout, settled, cashed stake); of a hold: (kind, state, left).
BETS_END = [
    ("WIN", "won", 560, 500, 50),
    ("LOSS", "lost", 60, 0, 50),
    ("LOSS", "lost", 70, 10, 50),
    ("REFUND", "void", 210, 150, 50),
    ("UNSETTLE", "confirmed", 60, 0, 50),  # of a settlement in the same batch, which writes how it ended
    ("CASHOUT", "confirmed", 99, 0, 60),
    ("CASHOUT", "cashed_out", 99, 0, 200),
]
HOLDS_END = [
    ("CAPTURE", "open", 100),
    ("CAPTURE", "captured", 0),
    ("RELEASE", "released", 0),
    ("EXPIRY", "expired", 0),
]


@pytest.mark.parametrize("pragmas", PRAGMAS)
@pytest.mark.parametrize("end", BETS_END, ids=lambda end: f"{end[0]} {end[1]} {end[2]}")
def test_what_becomes_of_a_bet_passes(end: tuple[str, str, int, int, int], pragmas: dict[str, str]) -> None:
    db = open_history(pragmas, blocks=3)

    assert attempt(db, ended(*end)) is None

    row = db.execute("SELECT state, payout, settled, cashed_stake, last_transaction_id FROM bets LIMIT 1")
    assert row.fetchone() == (*end[1:], 13)


@pytest.mark.parametrize("pragmas", PRAGMAS)
@pytest.mark.parametrize("end", HOLDS_END, ids=lambda end: f"{end[0]} {end[1]}")
def test_what_becomes_of_a_hold_passes(end: tuple[str, str, int], pragmas: dict[str, str]) -> None:
    db = open_history(pragmas, blocks=3)
    set_free = f"UPDATE users SET held = {end[2]}, owed = owed + 1 WHERE id = {ALICE};"

    assert attempt(db, given_back(*end, early=set_free)) is None

    row = db.execute("SELECT state, remaining, last_transaction_id FROM holds WHERE id = 5").fetchone()
    assert row == (*end[1:], 13)
    assert db.execute("SELECT held, owed FROM users WHERE id = ?", (ALICE,)).fetchone() == (end[2], 21)


# What passes on the file with payouts, and what it leaves behind.
PAYOUTS_GO_ON = [
    ("begun", begun(), "SELECT state FROM payouts WHERE id = 21", "collecting"),
    (
        "added to",
        added(NEXT_ITEM, payout_becomes(13, **ADDED_ROW)),
        "SELECT total FROM payouts WHERE id = 13",
        65,
    ),
    (
        "started",
        account(kind="PAYOUT_START", answer=STARTED, early=payout_becomes(13, **STARTED_ROW)),
        "SELECT state FROM payouts WHERE id = 13",
        "paying",
    ),
    ("paid on", chunk(), "SELECT done FROM payouts WHERE id = 15", 2),
    (
        "paid to its end",
        told("PAYOUT", 15, "paid", 3, 30, 3),
        "SELECT state FROM payouts WHERE id = 15",
        "paid",
    ),
    (
        "less in suspense",
        told("PAYOUT_ITEM", 19, "paid", 2, 12, 2),
        "SELECT suspended FROM payouts WHERE id = 19",
        0,
    ),
    (
        "less in suspense while it pays",
        told("PAYOUT_ITEM", 15, "paying", 3, 30, 1),
        "SELECT last_transaction_id FROM payouts WHERE id = 15",
        21,
    ),
    ("an item in suspense", put_aside(), "SELECT state FROM suspended_items WHERE number = 1", "suspended"),
    ("an item given back", resolved(), "SELECT state FROM suspended_items WHERE payout_id = 19", "returned"),
    (
        "an item paid after all",
        resolved({"state": "paid"}, money=PAID_OUT),
        "SELECT state FROM suspended_items WHERE payout_id = 19",
        "paid",
    ),
    (
        "an account before its payout in one batch",
        turn(
            "PAYOUT_OPEN",
            of_payout(21, "collecting"),
            insert("users", clearing(21)),
            insert("payouts", payout(21)),
        ),
        "SELECT max(id) FROM users",
        CLEARING + 21,
    ),
    (
        "a limit set",
        by_a_limit(
            insert("limits", {**OWN, "amount": 400}).rstrip(";\n")
            + " ON CONFLICT DO UPDATE SET amount = excluded.amount;\n"
        ),
        "SELECT amount FROM limits",
        400,
    ),
    (
        "a limit counted on",
        by_nothing(
            insert("limits", {**OWN, "used": 30}).rstrip(";\n")
            + " ON CONFLICT DO UPDATE SET used = excluded.used;\n"
        ),
        "SELECT used FROM limits",
        30,
    ),
]


@pytest.mark.parametrize("pragmas", PRAGMAS)
@pytest.mark.parametrize(
    ("sql", "look", "found"), [each[1:] for each in PAYOUTS_GO_ON], ids=[each[0] for each in PAYOUTS_GO_ON]
)
def test_what_becomes_of_payouts_and_limits_passes(
    sql: str, look: str, found: int | str, pragmas: dict[str, str]
) -> None:
    db = open_history(pragmas, blocks=4)

    assert attempt(db, sql) is None

    assert db.execute(look).fetchall()[-1] == (found,)


def test_a_transaction_that_changed_a_bet_can_be_replaced_until_its_batch_is_frozen() -> None:
    """A limit of the schema: only recursive_triggers=ON forbids it. `reconcile` finds the bet, whose newest
    transaction says nothing of it."""
    other = {**FOURTH["event"][1], "kind": "STATUS", "scope": "op:STATUS"}
    replaced = ended("WIN", "won", late=insert("transactions", other, "INSERT OR REPLACE"))
    db = open_history(SQLITE_DEFAULTS, blocks=3)

    assert attempt(db, replaced) is None
    assert "transactions is append-only" in str(attempt(open_history(ENGINE_PRAGMAS, blocks=3), replaced))


WHAT_IT_LEAVES = [
    (CASH, -1500, 3),
    (HOUSE, 263, 45),
    (SUSPENSE, 7, 25),
    (ALICE, 750, 34),
    (BOB, 510, 24),
    (OF_ALICE, 100, 27),
    (OF_BOB, 40, 29),
    (OF_ALICE_TOO, 0, 32),
    (BONUS_BOOK, -190, 44),
    (CLEARING + 15, 20, 21),
]
"""Of each holder: his balance behind the fifth block, and his newest entry up to it."""


@pytest.mark.parametrize("pragmas", PRAGMAS)
def test_an_archive_is_carried_and_moved_to_its_end_and_the_next_one_begins(pragmas: dict[str, str]) -> None:
    db = open_history(pragmas, blocks=7)

    assert attempt(db, LAST_MOVES) is None

    assert db.execute(BALANCES_EQUAL_LEDGER).fetchone() == (0,)
    carried = db.execute("SELECT user_id, amount, prev_id FROM transaction_ledger WHERE id < 0").fetchall()
    assert sorted(carried) == sorted(WHAT_IT_LEAVES)
    same = "SELECT DISTINCT amount = balance_after, id = -user_id, ref_type, ref_id, transaction_id, block_id"
    assert db.execute(f"{same} FROM transaction_ledger WHERE id < 0").fetchall() == [
        (1, 1, "CARRIED", str(ARCHIVE), CARRY, UPTO_BLOCK)
    ]
    assert db.execute("SELECT id FROM transaction_ledger WHERE id > 0").fetchall() == [(46,), (47,)]
    moved = "SELECT count(*) FROM transactions WHERE id IN (1, 2, 4, 8, 9, 10)"
    assert db.execute(moved).fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM transactions").fetchone() == (CARRY - 6,)
    assert db.execute("SELECT transaction_id FROM bets").fetchall() == [(3,), (30,), (31,), (34,)]

    # The next batch has no entry, and the ledger may end behind it; then another archive is begun.
    assert attempt(db, later(SECOND_ONE)) is None
    assert db.execute("SELECT id, state FROM archives").fetchall() == [(ARCHIVE, "moving"), (42, "copying")]
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("pragmas", PRAGMAS)
def test_a_batch_without_entries_is_sealed_where_all_entries_are_carried(pragmas: dict[str, str]) -> None:
    """It ends where it begins, and not at the newest row of the ledger, which has a number below zero."""
    db = open_history(pragmas, blocks=4)
    following: Template = {
        "batch": ("open_batch", opening(8, 26, 26)),
        "event": ("transactions", event(26, 8, "STATUS", "op:STATUS", "x")),
        "block": ("blocks", block(8, (26, 26), (26, 25), HASH_8, bytes([9]) * 32)),
    }

    assert attempt(db, archived(BURYING, then=archive_becomes(24, moved_entry_id=25))) is None
    assert db.execute("SELECT max(id) < 0 FROM transaction_ledger").fetchone() == (1,)
    assert attempt(db, batch(following)) is None


@pytest.mark.parametrize("pragmas", PRAGMAS)
def test_a_bet_that_used_a_free_bet_may_be_unsettled_whatever_is_archived(pragmas: dict[str, str]) -> None:
    """It stays in the file, with what rests on it."""
    db = open_history(pragmas, blocks=6)
    said = {"kind": "UNSETTLE", "scope": "op:UNSETTLE", "answer": of_bet(REFUNDED_BET, "confirmed")}

    assert (
        attempt(db, batch(CARRYING, event=said, late=becomes(34, state="confirmed", last_transaction_id=41)))
        is None
    )


def test_strict_takes_whole_numbers_in_other_clothes() -> None:
    """A limit of STRICT: `1.0` and `'7'` are stored as integers, so types are checked before SQL."""
    db = open_history(ENGINE_PRAGMAS)

    assert attempt(db, f"UPDATE users SET version = 1.0, refused_count = '7' WHERE id = {ALICE}") is None

    row = db.execute(
        "SELECT typeof(version), typeof(refused_count), refused_count FROM users WHERE id = ?", (ALICE,)
    ).fetchone()
    assert row == ("integer", "integer", 7)
