"""The attacks on schema.sql, as data: each is SQL, and the words that must refuse it.

`test_schema.py` runs them; `test_schema_mutations.py` takes the rules of the schema away one by one and
expects one of them to succeed. An attack belongs to `ATTACKS` when it fails whatever the pragmas are, and to
`STOPPED_BY_FOREIGN_KEYS` when only `foreign_keys=ON` stops it.
"""

from __future__ import annotations

from collections.abc import Iterator

from attacks_on_batches import BATCHES
from attacks_on_history import EDITS, SEAL
from attacks_on_holders import BETS, HOLDERS, VALUES
from books import FIRST, NEXT, PLAYER, REFUSAL, SCHEMA, Attack, Books, Row, Value, batch, insert

# A row of each table that is accepted as it is: alone, or in its place in the next batch.
ACCEPTED_ROWS: dict[str, tuple[str | None, Row]] = {
    "users": (None, PLAYER),
    "refusals": (None, {**REFUSAL, "bet_id": "b"}),
    "open_batch": ("batch", {**NEXT["batch"][1], "frozen": 0}),
    "transactions": ("event", NEXT["event"][1]),
    "transaction_ledger": ("credit", NEXT["credit"][1]),
    "bets": ("bet", NEXT["bet"][1]),
    "blocks": ("block", NEXT["block"][1]),
}

WRONG_VALUES: dict[str, dict[str, Value]] = {
    "INTEGER": {"a float": 1.5, "text": "ten", "a blob": b"\x01"},
    "TEXT": {"a blob": b"\x01" * 3},
    "BLOB": {"text": "x" * 32, "a number": 10**31},
}


# The seal compares with what came before, and counts; before a first block of no entries there is nothing.
NULLS_OF_THE_FIRST_BLOCK = [
    Attack(
        f"blocks.{column} is NULL in the first block",
        batch(
            FIRST,
            debit=None,
            credit=None,
            debit2=None,
            credit2=None,
            block={"last_entry_id": 0, column: None},
        ),
        "NOT NULL|blocks: does not",
        on_new_file=True,
    )
    for column in FIRST["block"][1]
    if column != "id"
]


def _wrong_types() -> Iterator[Attack]:
    """For each column that the schema declares: NULL where it is forbidden, and each wrong storage class."""
    db = Books(":memory:")
    db.executescript(SCHEMA)
    for table, (place, row) in ACCEPTED_ROWS.items():
        for _, column, kind, notnull, _, key in db.execute(f"PRAGMA table_info({table})"):
            wrong: dict[str, Value] = dict(WRONG_VALUES[kind])
            if notnull and not key:
                wrong["NULL"] = None
            for name, value in wrong.items():
                bent = {column: value}
                sql = batch(**{"bet": None, place: bent}) if place else insert(table, {**row, **bent})
                words = (
                    "cannot store|datatype mismatch"
                    if value is not None
                    else "NOT NULL|follows the newest|blocks: does not"
                )
                yield Attack(f"{table}.{column} is {name}", sql, words)


ATTACKS = [*EDITS, *SEAL, *BATCHES, *HOLDERS, *BETS, *VALUES, *_wrong_types(), *NULLS_OF_THE_FIRST_BLOCK]

# A foreign key, deferred or not, is checked only with foreign_keys=ON, which SQLite leaves OFF unless asked.
UNSEALED = batch().replace(insert("blocks", NEXT["block"][1]), "")

STOPPED_BY_FOREIGN_KEYS = [
    Attack("a batch opened and never sealed", insert("open_batch", NEXT["batch"][1]), "FOREIGN KEY"),
    Attack("entries committed without a block", UNSEALED, "FOREIGN KEY"),
    Attack(
        "a refusal of a user who does not exist",
        insert("refusals", {**REFUSAL, "bet_id": "b", "user_id": 99}),
        "FOREIGN KEY",
    ),
]
