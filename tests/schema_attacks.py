"""The attacks on schema.sql, as data: each is SQL, and the words that must refuse it.

`test_schema.py` runs them; `test_schema_mutations.py` takes the rules of the schema away one by one and
expects one of them to succeed. An attack belongs to `ATTACKS` when it fails whatever the pragmas are, and to
`STOPPED_BY_FOREIGN_KEYS` when only `foreign_keys=ON` stops it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks_on_archives import ARCHIVES
from tests.attacks_on_batches import BATCHES
from tests.attacks_on_bonus import BONUS
from tests.attacks_on_deeds import DEEDS
from tests.attacks_on_floors import FLOORS
from tests.attacks_on_free_bets import FREE_BETS
from tests.attacks_on_history import EDITS, SEAL
from tests.attacks_on_holders import BETS, HOLDERS, VALUES
from tests.attacks_on_holds import HOLDS
from tests.attacks_on_life import BIRTHS, LIFE
from tests.attacks_on_limits import LIMITS
from tests.attacks_on_moves import MOVES
from tests.attacks_on_participants import PARTICIPANTS, WITHOUT_WALLET
from tests.attacks_on_payouts import PAYOUTS
from tests.attacks_on_people import (
    ANOTHER_KEY,
    ANOTHER_LOGIN,
    ANOTHER_MEMBER,
    ANOTHER_PROGRAM,
    ANOTHER_TOKEN,
    NOBODYS,
    PEOPLE,
)
from tests.attacks_on_repairs import REPAIRS
from tests.attacks_on_signers import ANOTHER, SIGNERS
from tests.book_rows import Row, Value, insert
from tests.books import (
    DEED,
    FIRST,
    HOLDING,
    NEXT,
    PAYING,
    PLAYER,
    REFUSAL,
    REPAIR,
    SCHEMA,
    Attack,
    Books,
    Template,
    batch,
)
from tests.books_archive import ARCHIVING
from tests.books_bonus import GRANTING

# A row of each table that is accepted as it is: alone, or in its place in a batch.
ACCEPTED_ROWS: dict[str, tuple[Template | None, str, Row]] = {
    "users": (None, "", PLAYER),
    "signers": (None, "", ANOTHER),
    "repairs": (None, "", {**REPAIR, "id": 2}),
    "audit_log": (None, "", {**DEED, "id": 2}),
    "refusals": (None, "", {**REFUSAL, "bet_id": "b"}),
    "open_batch": (NEXT, "batch", {**NEXT["batch"][1], "frozen": 0}),
    "transactions": (NEXT, "event", NEXT["event"][1]),
    "transaction_ledger": (NEXT, "credit", NEXT["credit"][1]),
    "bets": (NEXT, "bet", NEXT["bet"][1]),
    "holds": (HOLDING, "hold", HOLDING["hold"][1]),
    "bonuses": (GRANTING, "bonus", GRANTING["bonus"][1]),
    "free_bets": (GRANTING, "free_bet", GRANTING["free_bet"][1]),
    "payouts": (PAYING, "payout", PAYING["payout"][1]),
    "payout_items": (PAYING, "item", PAYING["item"][1]),
    "suspended_items": (PAYING, "suspended", PAYING["suspended"][1]),
    "limits": (PAYING, "limit", PAYING["limit"][1]),
    "archives": (ARCHIVING, "archive", ARCHIVING["archive"][1]),
    "carried": (ARCHIVING, "carried", ARCHIVING["carried"][1]),
    "archived_keys": (ARCHIVING, "key", ARCHIVING["key"][1]),
    "blocks": (NEXT, "block", NEXT["block"][1]),
    "credentials": (None, "", ANOTHER_MEMBER),
    "logins": (None, "", ANOTHER_LOGIN),
    "refresh_tokens": (None, "", ANOTHER_TOKEN),
    "service_accounts": (None, "", ANOTHER_PROGRAM),
    "service_keys": (None, "", ANOTHER_KEY),
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
        blocks=0,
    )
    for column in FIRST["block"][1]
    if column != "id"
]


def _wrong_types() -> Iterator[Attack]:
    """For each column that the schema declares: NULL where it is forbidden, and each wrong storage class."""
    db = Books(":memory:")
    db.executescript(SCHEMA)
    for table, (template, place, row) in ACCEPTED_ROWS.items():
        for _, column, kind, notnull, _, key in db.execute(f"PRAGMA table_info({table})"):
            wrong: dict[str, Value] = dict(WRONG_VALUES[kind])
            if notnull and not key:
                wrong["NULL"] = None
            for name, value in wrong.items():
                bent = {column: value}
                if template is None:
                    sql = insert(table, {**row, **bent})
                else:
                    alone: dict[str, Row | None] = {"bet": None} if template is NEXT else {}
                    sql = batch(template, **alone | {place: bent})
                words = (
                    "cannot store|datatype mismatch"
                    if value is not None
                    else "NOT NULL|follows the newest|an item, once|one of a wallet|blocks: does not|one af"
                )
                yield Attack(f"{table}.{column} is {name}", sql, words)


ATTACKS = [
    *EDITS,
    *SEAL,
    *BATCHES,
    *HOLDERS,
    *BETS,
    *BIRTHS,
    *LIFE,
    *HOLDS,
    *PAYOUTS,
    *LIMITS,
    *PARTICIPANTS,
    *BONUS,
    *FREE_BETS,
    *FLOORS,
    *SIGNERS,
    *REPAIRS,
    *DEEDS,
    *ARCHIVES,
    *MOVES,
    *PEOPLE,
    *VALUES,
    *_wrong_types(),
    *NULLS_OF_THE_FIRST_BLOCK,
]

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
    WITHOUT_WALLET,
    *NOBODYS,
]
