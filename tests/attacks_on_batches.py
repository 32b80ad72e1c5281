"""Attacks on the batch that is being written: opened wrongly, changed, thawed, taken away, slipped past."""

from __future__ import annotations

from tests.attacks_on_history import EVENTS_GROW, LEDGER_GROWS, NOT_OPEN, REPLACE, SECOND_PAIR
from tests.attacks_on_holders import BETS_GROW
from tests.book_rows import Row, bet, event, insert, literal, opening
from tests.books import ALICE, FIRST, NEXT, SECOND, Attack, attacks, batch

ONE_AT_A_TIME = "open_batch: one batch at a time, and it follows the newest block"
AS_OPENED = "open_batch: a batch stays as it was opened"
UNSEALED = "open_batch: a batch ends with its block"

THIS, NEXT_BUT_ONE = NEXT["batch"][1], opening(4, 6, 11)
FREEZE = "UPDATE open_batch SET frozen = 1;\n"
SEAL = insert("blocks", NEXT["block"][1])
OLD_EVENT, OLD_ENTRY = {**SECOND["event"][1], "key": "k"}, {**SECOND["debit"][1], "amount": -1}
SIXTH = insert("transactions", event(6, 3, "BET", "bet", "bet-6"))
MADE_UP = insert("bets", bet(5, ALICE, 9999))
DEPOSIT = {"kind": "DEPOSIT", "scope": "op:DEPOSIT"}
# The newest entry again, of another amount: with recursive_triggers=OFF its own batch would take it.
OTHER_AMOUNT = insert("transaction_ledger", {**NEXT["credit"][1], "amount": 9999}, REPLACE)


def _sneak(when: str, do: str) -> str:
    """A trigger of one's own, which no rule of the file forbids on one's own connection."""
    return f"CREATE TEMP TRIGGER sneak {when} BEGIN {do} END;\n"


def _behind_the_seal(do: str) -> str:
    return _sneak("AFTER INSERT ON main.blocks", do)


def _reaching_back(column: str, table: str, row: Row) -> str:
    """The open batch begins at 1 for as long as it takes to replace a row, then as before."""
    reach, back = (f"UPDATE open_batch SET {column} = {literal(value)};\n" for value in (1, THIS[column]))
    return reach + insert(table, {**row, "block_id": 3}, REPLACE) + back


BATCHES = [
    *attacks(
        ONE_AT_A_TIME,
        {
            "a batch that skips a number": insert("open_batch", NEXT_BUT_ONE),
            "a batch of a number that was used": insert("open_batch", opening(2, 5, 9)),
            "a batch that begins before the newest transaction": insert("open_batch", opening(3, 4, 9)),
            "a batch that leaves a transaction out": insert("open_batch", opening(3, 6, 9)),
            "a batch that begins before the newest entry": insert("open_batch", opening(3, 5, 8)),
            "a batch that leaves an entry out": insert("open_batch", opening(3, 5, 10)),
            "a batch that begins anywhere": insert("open_batch", {**THIS, "first_entry_id": None}),
            "a batch that reopens history": batch(batch=opening(3, 1, 1)),
            "a second batch beside the first": batch(early=insert("open_batch", NEXT_BUT_ONE)),
            "a batch opened twice": batch(early=insert("open_batch", THIS)),
            "a batch replaced": batch(early=insert("open_batch", THIS, REPLACE)),
            "a batch replaced by the one to come": batch(early=insert("open_batch", NEXT_BUT_ONE, REPLACE)),
            "a batch changed by upsert": batch(
                early=insert("open_batch", THIS).rstrip(";\n")
                + " ON CONFLICT DO UPDATE SET first_entry_id = 1;"
            ),
            "the number of a batch given by SQLite": insert(
                "open_batch", {name: value for name, value in THIS.items() if name != "id"}
            ),
        },
    ),
    *attacks(
        ONE_AT_A_TIME,
        {
            "a first batch that is not number 1": batch(FIRST, batch={"id": 2}),
            "a first batch that leaves a transaction out": batch(FIRST, batch={"first_transaction_id": 2}),
            "a first batch that leaves an entry out": batch(FIRST, batch={"first_entry_id": 2}),
        },
        blocks=0,
    ),
    *attacks(
        AS_OPENED,
        {
            "a batch renumbered": batch(early="UPDATE open_batch SET id = 4;"),
            **{
                f"a batch renumbered by {alias}": batch(
                    early=f"UPDATE OR REPLACE open_batch SET {alias} = 4;"
                )
                for alias in ("rowid", "_rowid_", "oid")
            },
            "a transaction replaced by a batch that reaches back for a moment": batch(
                early=_reaching_back("first_transaction_id", "transactions", OLD_EVENT)
            ),
            "an entry replaced by a batch that reaches back for a moment": batch(
                early=_reaching_back("first_entry_id", "transaction_ledger", OLD_ENTRY)
            ),
            "a batch thawed": batch(late=FREEZE + FREEZE.replace("= 1", "= 0")),
        },
    ),
    *attacks(
        UNSEALED,
        {
            "an open batch deleted": batch(early="DELETE FROM open_batch;"),
            "a batch deleted instead of sealed": batch(late="DELETE FROM open_batch;").replace(SEAL, ""),
        },
    ),
    *attacks(
        LEDGER_GROWS,
        {
            "an entry for a frozen batch": batch(late=FREEZE + SECOND_PAIR),
            "an entry behind its seal, by a trigger": batch(early=_behind_the_seal(SECOND_PAIR)),
            "an entry replaced behind its seal, by a trigger": batch(early=_behind_the_seal(OTHER_AMOUNT)),
        },
    ),
    *attacks(
        EVENTS_GROW,
        {
            "a transaction for a frozen batch": batch(late=FREEZE + SIXTH),
            "a transaction behind its seal, by a trigger": batch(early=_behind_the_seal(SIXTH)),
        },
    ),
    *attacks(
        BETS_GROW,
        {
            "a bet for a frozen batch": batch(bet=None, late=FREEZE + MADE_UP),
            "a bet for a deposit behind its seal, by a trigger": batch(
                event=DEPOSIT, bet=None, early=_behind_the_seal(MADE_UP)
            ),
        },
    ),
    *attacks(
        NOT_OPEN,
        {
            "a seal whose freezing a trigger suppresses": batch(
                early=_sneak("BEFORE UPDATE ON main.open_batch", "SELECT RAISE(IGNORE);")
            ),
            "a block sealed twice in a transaction": batch(after=insert("blocks", NEXT["block"][1], REPLACE)),
        },
    ),
    Attack("a batch neither open nor frozen", insert("open_batch", {**THIS, "frozen": 2}), "frozen = 0 OR"),
    Attack("a batch perhaps frozen", insert("open_batch", {**THIS, "frozen": None}), "NOT NULL"),
]
