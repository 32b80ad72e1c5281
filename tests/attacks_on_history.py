"""Attacks on history: rows edited or taken away, batches that do not balance, chains with a gap."""

from __future__ import annotations

from collections.abc import Iterator

from tests.book_rows import Row, entry, event, insert
from tests.books import (
    ALICE,
    FIRST,
    HASH_1,
    HASH_3,
    HOUSE,
    HOUSE_USD,
    NEXT,
    REFUSAL,
    SECOND,
    Attack,
    attacks,
    batch,
)

LEDGER_GROWS = "transaction_ledger: an entry follows the newest block"
EVENTS_GROW = "transactions: a transaction follows the newest block"
NOT_OPEN = "blocks: does not begin with the open batch"
NOT_FIRST = "blocks: the first block follows a hash of zeros"
NOT_NEXT = "blocks: does not follow the block before it"
NOT_NEWEST = "blocks: does not end at the newest"
NOT_ZERO = "blocks: the entries of a transaction do not sum to zero"
ENTRY_ELSEWHERE = "blocks: an entry in its range names another"
NOT_HIS_CURRENCY = "blocks: an entry in its range is in another currency than its holder"
REPLACE = "INSERT OR REPLACE"


def _edits_of_history() -> Iterator[Attack]:
    """Every way of SQL to change or take away a row, on the oldest and the newest row of each table."""
    tables: dict[str, tuple[str, str, list[Row], str]] = {
        "transactions": ("id", "answer = 'paid'", [FIRST["event"][1], SECOND["event2"][1]], EVENTS_GROW),
        "transaction_ledger": ("id", "amount = 7", [FIRST["debit"][1], SECOND["credit2"][1]], LEDGER_GROWS),
        "blocks": ("id", "at = 7", [FIRST["block"][1], SECOND["block"][1]], NOT_OPEN),
        "refusals": ("bet_id", "stake = 7", [REFUSAL], "refusals: this bet was refused before"),
    }
    for table, (key, change, rows, words) in tables.items():
        frozen = f"{table} is append-only"
        yield Attack(f"{table}: update all", f"UPDATE {table} SET {change}", frozen)
        yield Attack(f"{table}: delete all", f"DELETE FROM {table}", frozen)
        for row in rows:
            this = f"{key} = {row[key]!r}"
            other = {**row, **({"at": 7} if "at" in row else {"answer": "x"} if "answer" in row else {})}
            upsert = insert(table, row).rstrip(";\n") + f" ON CONFLICT DO UPDATE SET {change}"
            yield Attack(f"{table}: update {this}", f"UPDATE {table} SET {change} WHERE {this}", frozen)
            yield Attack(f"{table}: delete {this}", f"DELETE FROM {table} WHERE {this}", frozen)
            yield Attack(f"{table}: replace {this}", insert(table, other, REPLACE), words)
            yield Attack(f"{table}: upsert {this}", upsert, words)
            yield Attack(f"{table}: insert {this} again", insert(table, other), words)
        if key == "id":
            move = f"UPDATE OR REPLACE {table} SET rowid = 1 WHERE id = 2"
            yield Attack(f"{table}: a row moved over another", move, frozen)


EDITS = [
    *_edits_of_history(),
    *attacks(
        EVENTS_GROW,
        {
            "transactions: replace a key": insert(
                "transactions", event(5, 2, "BET", "bet", "bet-3"), REPLACE
            ),
            "transactions: replace the newest from an open batch": batch(
                verb=REPLACE,
                event={"id": 4},
                debit=None,
                credit=None,
                bet=None,
                block={"last_entry_id": 8},
                late=insert("transactions", event(5, 3, "BET", "bet", "bet-6")),
            ),
        },
    ),
    Attack(
        "ledger: replace the newest from an open batch",
        batch(verb=REPLACE, debit={"id": 8}, credit=None, block={"last_entry_id": 8}),
        LEDGER_GROWS,
    ),
]


SECOND_PAIR = insert("transaction_ledger", entry(11, ALICE, -5, 765, ("BET", "bet-5", 5, 3), 9)) + insert(
    "transaction_ledger", entry(12, HOUSE, 5, 335, ("BET", "bet-5", 5, 3), 10)
)

ENTRIES_OF_5 = NEXT["debit"][1], NEXT["credit"][1]

BARE_PAIR = "BEGIN;\n" + "".join(insert("transaction_ledger", row) for row in ENTRIES_OF_5) + "COMMIT;\n"

NO_BLOCK = insert("transaction_ledger", {**ENTRIES_OF_5[0], "block_id": None})
NO_AMOUNT: Row = {**ENTRIES_OF_5[1], "id": 11, "amount": None}
LONE_EVENT = insert("transactions", NEXT["event"][1])

SEAL = [
    Attack(
        "an entry of no amount, which no sum sees",
        batch(late=insert("transaction_ledger", NO_AMOUNT), block={"last_entry_id": 11}),
        "NOT NULL constraint failed: transaction_ledger.amount",
    ),
    *attacks(
        LEDGER_GROWS,
        {
            "an entry added to the newest sealed block": batch(debit={"block_id": 2}, credit={"block_id": 2}),
            "an entry added to an older sealed block": batch(debit={"block_id": 1}, credit={"block_id": 1}),
            "entries slipped into the newest sealed block, no batch opened": BARE_PAIR.replace(
                "bet-5', 5, 3", "bet-4', 4, 2"
            ),
            "entries of a block to come": batch(debit={"block_id": 4}, credit={"block_id": 4}),
            "entries without a batch": BARE_PAIR,
            "an entry without a batch, and of no block": NO_BLOCK,
            "an entry written behind its block": batch(after=SECOND_PAIR),
        },
    ),
    *attacks(
        EVENTS_GROW,
        {
            "a transaction added to the newest sealed block": LONE_EVENT.replace("'{}', 3", "'{}', 2"),
            "a transaction added to an older sealed block": batch(
                event={"block_id": 1}, debit=None, credit=None, bet=None, block={"last_entry_id": 8}
            ),
            "a transaction of a block to come": batch(event={"block_id": 4}),
            "a transaction without a batch": LONE_EVENT,
            "a transaction without a batch, and of no block": LONE_EVENT.replace("'{}', 3", "'{}', NULL"),
            "a transaction written behind its block": batch(
                after=insert("transactions", event(6, 3, "BET", "bet", "bet-6"))
            ),
            "a bet paid twice": batch(event={"key": "bet-3"}),
            "a bet paid twice, by REPLACE": batch(verb=REPLACE, event={"key": "bet-3"}),
            "a bet paid twice, by IGNORE": batch(verb="INSERT OR IGNORE", event={"key": "bet-3"}),
            "a bet paid twice in one batch": batch(
                late=insert("transactions", event(6, 3, "BET", "bet", "bet-5")),
                block={"last_transaction_id": 6},
            ),
            "a deposit made twice": batch(event={"kind": "DEPOSIT", "scope": "seed:DEPOSIT", "key": "bob"}),
        },
    ),
    *attacks(
        ENTRY_ELSEWHERE,
        {
            "an entry of a transaction of an older block": batch(
                debit={"transaction_id": 4}, credit={"transaction_id": 4}
            ),
            "an entry of a transaction that does not exist": batch(
                debit={"transaction_id": 6}, credit={"transaction_id": 6}
            ),
            "an entry number skipped inside the block": batch(credit={"id": 11}, block={"last_entry_id": 11}),
        },
    ),
    *attacks(
        NOT_HIS_CURRENCY,
        {
            "a wrong currency for both holders": batch(debit={"currency": "USD"}, credit={"currency": "USD"}),
            "a wrong currency for the first of two": batch(
                debit={"currency": "USD"}, credit={"user_id": HOUSE_USD, "currency": "USD"}
            ),
            "a holder who does not exist": batch(debit={"user_id": 99}),
        },
    ),
    Attack(
        "an entry of no currency for nobody",
        batch(debit={"user_id": 99, "currency": None}, credit={"user_id": 99, "currency": None}),
        "NOT NULL constraint failed: transaction_ledger.currency",
    ),
    *attacks(
        NOT_ZERO,
        {
            "money from nowhere": batch(credit={"amount": 31}),
            "money gone nowhere": batch(credit=None, block={"last_entry_id": 9}),
            "zero only across two currencies": batch(credit={"user_id": HOUSE_USD, "currency": "USD"}),
            "zero only across two transactions": batch(
                late=insert("transactions", event(6, 3, "WIN", "op:WIN", "k")),
                credit={"transaction_id": 6},
                block={"last_transaction_id": 6},
            ),
        },
    ),
    Attack(
        "a bet paid twice, in a scope of its own",
        batch(event={"scope": "bet2", "key": "bet-3"}),
        "a_bet_is_known_by_its_bet_id",
    ),
    *attacks(
        NOT_OPEN,
        {
            "a block without a batch": insert("blocks", NEXT["block"][1]),
            "a block that skips a number": batch(block={"id": 4}),
            "a block with the number zero": batch(block={"id": 0}),
            "a block sealed a second time, by REPLACE": insert(
                "blocks", {**SECOND["block"][1], "hash": HASH_3}, REPLACE
            ),
        },
    ),
    *attacks(
        NOT_NEXT,
        {
            "a wrong previous hash": batch(block={"prev_hash": HASH_1}),
            "time runs back": batch(block={"at": 1_760_000_000_000_001}),
        },
    ),
    *attacks(
        NOT_OPEN,
        {
            "a gap in the transactions": batch(
                event={"id": 6},
                debit={"transaction_id": 6},
                credit={"transaction_id": 6},
                bet=None,
                block={"first_transaction_id": 6, "last_transaction_id": 6},
            ),
            "a gap in the entries": batch(
                debit={"id": 10}, credit={"id": 11}, block={"first_entry_id": 10, "last_entry_id": 11}
            ),
            "transactions that overlap": batch(block={"first_transaction_id": 4}),
            "entries that overlap": batch(block={"first_entry_id": 8}),
        },
    ),
    *attacks(
        NOT_NEWEST,
        {
            "a transaction left out at the end": batch(
                late=insert("transactions", event(6, 3, "BET", "bet", "bet-6"))
            ),
            "entries left out at the end": batch(late=SECOND_PAIR),
            "entries left out at the end by a trigger of one's own": batch(
                early="CREATE TEMP TRIGGER sneak BEFORE INSERT ON main.blocks BEGIN " + SECOND_PAIR + "END;"
            ),
            "a block that ends beyond the newest entry": batch(block={"last_entry_id": 11}),
            "a block whose entries end before they begin": batch(
                debit=None, credit=None, block={"last_entry_id": 7}
            ),
        },
    ),
    Attack(
        "a transaction number skipped inside the block",
        batch(
            late=insert("transactions", event(7, 3, "BET", "bet", "bet-7")), block={"last_transaction_id": 7}
        ),
        "blocks: a transaction in its range",
    ),
    Attack(
        "a block of nothing",
        batch(
            event=None,
            debit=None,
            credit=None,
            bet=None,
            block={"last_transaction_id": 4, "last_entry_id": 8},
        ),
        "last_transaction_id >= first_transaction_id",
    ),
    *attacks(
        NOT_FIRST,
        {
            "a first block after another chain": batch(FIRST, block={"prev_hash": HASH_3}),
        },
        blocks=0,
    ),
    *attacks(
        NOT_OPEN,
        {
            "a first block that begins at entry 2": batch(
                FIRST,
                debit={"id": 2},
                credit={"id": 3},
                debit2={"id": 4},
                credit2={"id": 5},
                block={"first_entry_id": 2, "last_entry_id": 5},
            ),
            "a first block that begins at transaction 2": batch(
                FIRST,
                event=None,
                debit=None,
                credit=None,
                debit2={"id": 1, "prev_id": 0},
                credit2={"id": 2},
                block={"first_transaction_id": 2, "last_entry_id": 2},
            ),
        },
        blocks=0,
    ),
    Attack(
        "a transaction 0 beside the first block",
        batch(FIRST, early=insert("transactions", event(0, 1, "BET", "bet", "hidden"))),
        EVENTS_GROW,
        blocks=0,
    ),
]
