"""A valid little file of the books, and the next batch as SQL text, with nothing but the sqlite3 module.

Whoever attacks the schema here has what any SQLite shell has: no room of the project is imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.book_rows import (
    CLEARING,
    KEY_ID,
    PRINT,
    Row,
    becomes,
    bet,
    block,
    clearing,
    entry,
    event,
    hold,
    hold_becomes,
    insert,
    item,
    limit,
    of_bet,
    of_hold,
    of_payout,
    opening,
    payout,
    payout_becomes,
    people,
    suspended,
)

SCHEMA = (Path(__file__).resolve().parent.parent / "schema.sql").read_text(encoding="utf-8")

Template = Mapping[str, tuple[str, Row]]

# What the engine sets, and what a shell gets that asks for nothing.
ENGINE_PRAGMAS = {"foreign_keys": "ON", "recursive_triggers": "ON"}
SQLITE_DEFAULTS = {"foreign_keys": "OFF", "recursive_triggers": "OFF"}

HOUSE, CASH, SUSPENSE, HOUSE_USD, CASH_USD, ALICE, BOB = 1, 2, 5, 7, 8, 9, 10
BONUS_BOOK = 2**51 + HOUSE
FLOOR = -(2**62)
ZERO_HASH, HASH_1, HASH_2, HASH_3, HASH_4, HASH_5 = (bytes([byte]) * 32 for byte in range(6))

# Opening deposits, two bets, and the bet that comes next (the one that most attacks bend).
FIRST: Template = {
    "batch": ("open_batch", opening(1, 1, 1)),
    "event": ("transactions", event(1, 1, "DEPOSIT", "seed:DEPOSIT", "alice")),
    "debit": ("transaction_ledger", entry(1, CASH, -1000, -1000, ("DEPOSIT", "1", 1, 1), 0)),
    "credit": ("transaction_ledger", entry(2, ALICE, 1000, 1000, ("DEPOSIT", "1", 1, 1), 0)),
    "event2": ("transactions", event(2, 1, "DEPOSIT", "seed:DEPOSIT", "bob")),
    "debit2": ("transaction_ledger", entry(3, CASH, -500, -1500, ("DEPOSIT", "2", 2, 1), 1)),
    "credit2": ("transaction_ledger", entry(4, BOB, 500, 500, ("DEPOSIT", "2", 2, 1), 0)),
    "block": ("blocks", block(1, (1, 2), (1, 4), ZERO_HASH, HASH_1)),
}
SECOND: Template = {
    "batch": ("open_batch", opening(2, 3, 5)),
    "event": ("transactions", event(3, 2, "BET", "bet", "bet-3")),
    "debit": ("transaction_ledger", entry(5, ALICE, -200, 800, ("BET", "bet-3", 3, 2), 2)),
    "credit": ("transaction_ledger", entry(6, HOUSE, 200, 200, ("BET", "bet-3", 3, 2), 0)),
    "bet": ("bets", bet(3, ALICE, 200)),
    "event2": ("transactions", event(4, 2, "BET", "bet", "bet-4")),
    "debit2": ("transaction_ledger", entry(7, BOB, -100, 400, ("BET", "bet-4", 4, 2), 4)),
    "credit2": ("transaction_ledger", entry(8, HOUSE, 100, 300, ("BET", "bet-4", 4, 2), 6)),
    "bet2": ("bets", bet(4, BOB, 100)),
    "block": ("blocks", block(2, (3, 4), (5, 8), HASH_1, HASH_2)),
}
NEXT: Template = {
    "batch": ("open_batch", opening(3, 5, 9)),
    "event": ("transactions", event(5, 3, "BET", "bet", "bet-5")),
    "debit": ("transaction_ledger", entry(9, ALICE, -30, 770, ("BET", "bet-5", 5, 3), 5)),
    "credit": ("transaction_ledger", entry(10, HOUSE, 30, 330, ("BET", "bet-5", 5, 3), 8)),
    "bet": ("bets", bet(5, ALICE, 30)),
    "block": ("blocks", block(3, (5, 5), (9, 10), HASH_2, HASH_3)),
}
# Instead of that bet: money that BOB has set aside.
HOLDING: Template = {
    "batch": ("open_batch", opening(3, 5, 9)),
    "event": ("transactions", event(5, 3, "HOLD", "op:HOLD", "a", of_hold(5, "open", left_minor=40))),
    "hold": ("holds", hold(5, BOB, 40)),
    "block": ("blocks", block(3, (5, 5), (9, 8), HASH_2, HASH_3)),
}
# Or one winner who cannot be paid, and a limit of BOB's.
PAYING: Template = {
    "batch": ("open_batch", opening(3, 5, 9)),
    "event": (
        "transactions",
        event(
            5,
            3,
            "PAYOUT",
            "op:PAYOUT",
            "a",
            of_payout(5, "paid", [(0, "ACCOUNT_BLOCKED")], items=1, total_minor=7, done=1, suspended=1),
        ),
    ),
    "event2": ("transactions", event(6, 3, "LIMIT", "op:LIMIT", "b")),
    "debit": ("transaction_ledger", entry(9, HOUSE, -7, 293, ("PAYOUT", "5", 5, 3), 8)),
    "credit": ("transaction_ledger", entry(10, SUSPENSE, 7, 7, ("SUSPENSE", "5:0", 5, 3), 0)),
    "payout": ("payouts", payout(5)),
    "item": ("payout_items", item(5, 0, BOB, 7)),
    "suspended": ("suspended_items", suspended(5, 0)),
    "limit": ("limits", limit(BOB, 500)),
    "block": ("blocks", block(3, (5, 6), (9, 10), HASH_2, HASH_3)),
}
# Or two holds, a part of the first bet cashed out, the second rolled back; a third bet that is cashed out at
# once, and a hold that is captured at once.
LIFE: Template = {
    "batch": ("open_batch", opening(3, 5, 9)),
    "hold": ("transactions", event(5, 3, "HOLD", "op:HOLD", "a", of_hold(5, "open", left_minor=300))),
    "hold2": ("transactions", event(6, 3, "HOLD", "op:HOLD", "b", of_hold(6, "open", left_minor=150))),
    "part": (
        "transactions",
        event(
            7,
            3,
            "CASHOUT",
            "op:CASHOUT",
            "c",
            of_bet("bet-3", "confirmed", total_minor=60, cashed_stake_minor=50),
        ),
    ),
    "back": ("transactions", event(8, 3, "ROLLBACK", "op:ROLLBACK", "d", of_bet("bet-4", "rolled_back"))),
    "event": ("transactions", event(9, 3, "BET", "bet", "bet-9")),
    "whole": (
        "transactions",
        event(
            10,
            3,
            "CASHOUT",
            "op:CASHOUT",
            "e",
            of_bet("bet-9", "cashed_out", total_minor=45, cashed_stake_minor=40),
        ),
    ),
    "hold3": ("transactions", event(11, 3, "HOLD", "op:HOLD", "f", of_hold(11, "open", left_minor=70))),
    "taken": ("transactions", event(12, 3, "CAPTURE", "op:CAPTURE", "g", of_hold(11, "captured"))),
    "part+": ("transaction_ledger", entry(9, ALICE, 60, 860, ("CASHOUT", "bet-3", 7, 3), 5)),
    "part-": ("transaction_ledger", entry(10, HOUSE, -60, 240, ("CASHOUT", "bet-3", 7, 3), 8)),
    "back+": ("transaction_ledger", entry(11, BOB, 100, 500, ("ROLLBACK", "bet-4", 8, 3), 7)),
    "back-": ("transaction_ledger", entry(12, HOUSE, -100, 140, ("ROLLBACK", "bet-4", 8, 3), 10)),
    "bet-": ("transaction_ledger", entry(13, BOB, -40, 460, ("BET", "bet-9", 9, 3), 11)),
    "bet+": ("transaction_ledger", entry(14, HOUSE, 40, 180, ("BET", "bet-9", 9, 3), 12)),
    "whole+": ("transaction_ledger", entry(15, BOB, 45, 505, ("CASHOUT", "bet-9", 10, 3), 13)),
    "whole-": ("transaction_ledger", entry(16, HOUSE, -45, 135, ("CASHOUT", "bet-9", 10, 3), 14)),
    "taken-": ("transaction_ledger", entry(17, ALICE, -70, 790, ("CAPTURE", "11", 12, 3), 9)),
    "taken+": ("transaction_ledger", entry(18, HOUSE, 70, 205, ("CAPTURE", "11", 12, 3), 16)),
    "bet": ("bets", bet(9, BOB, 40)),
    "of_alice": ("holds", hold(5, ALICE, 300)),
    "of_bob": ("holds", {**hold(6, BOB, 150), "purpose": "withdrawal", "expires_at": 0}),
    "of_alice2": ("holds", hold(11, ALICE, 70)),
    "block": ("blocks", block(3, (5, 12), (9, 18), HASH_2, HASH_3)),
}
WHAT_BECAME = (
    becomes(3, payout=60, cashed_stake=50, last_transaction_id=7)
    + becomes(4, state="rolled_back", last_transaction_id=8)
    + becomes(9, state="cashed_out", payout=45, cashed_stake=40, last_transaction_id=10)
    + hold_becomes(11, state="captured", remaining=0, last_transaction_id=12)
    + f"UPDATE users SET held = 300, owed = 20 WHERE id = {ALICE};\n"
    + f"UPDATE users SET held = 150 WHERE id = {BOB};\n"
)
# Behind all that: one payout that collects, one of which the first item is paid, one that is paid but for an
# item in suspense; and a limit of ALICE's.
PAYOUTS: Template = {
    "batch": ("open_batch", opening(4, 13, 19)),
    "open": ("transactions", event(13, 4, "PAYOUT_OPEN", "op:OPEN", "h", of_payout(13, "collecting"))),
    "add": (
        "transactions",
        event(14, 4, "PAYOUT_ITEMS", "op:ADD", "i", of_payout(13, "collecting", items=3, total_minor=60)),
    ),
    "open2": ("transactions", event(15, 4, "PAYOUT_OPEN", "op:OPEN", "j", of_payout(15, "collecting"))),
    "add2": (
        "transactions",
        event(16, 4, "PAYOUT_ITEMS", "op:ADD", "k", of_payout(15, "collecting", items=3, total_minor=30)),
    ),
    "start2": (
        "transactions",
        event(17, 4, "PAYOUT_START", "op:START", "l", of_payout(15, "paying", items=3, total_minor=30)),
    ),
    "chunk2": (
        "transactions",
        event(18, 4, "PAYOUT", "clock:PAY", "m", of_payout(15, "paying", items=3, total_minor=30, done=1)),
    ),
    "pay": (
        "transactions",
        event(
            19,
            4,
            "PAYOUT",
            "op:PAY",
            "n",
            of_payout(19, "paid", [(1, "ACCOUNT_BLOCKED")], items=2, total_minor=12, done=2, suspended=1),
        ),
    ),
    "limiting": ("transactions", event(20, 4, "LIMIT", "op:LIMIT", "o")),
    "start2-": ("transaction_ledger", entry(19, HOUSE, -30, 175, ("PAYOUT", "15", 17, 4), 18)),
    "start2+": ("transaction_ledger", entry(20, CLEARING + 15, 30, 30, ("PAYOUT", "15", 17, 4), 0)),
    "chunk2-": ("transaction_ledger", entry(21, CLEARING + 15, -10, 20, ("PAYOUT", "15", 18, 4), 20)),
    "chunk2+": ("transaction_ledger", entry(22, ALICE, 10, 800, ("PAYOUT", "15", 18, 4), 17)),
    "pay-": ("transaction_ledger", entry(23, HOUSE, -12, 163, ("PAYOUT", "19", 19, 4), 19)),
    "pay+": ("transaction_ledger", entry(24, BOB, 5, 510, ("PAYOUT", "19", 19, 4), 15)),
    "kept+": ("transaction_ledger", entry(25, SUSPENSE, 7, 7, ("SUSPENSE", "19:1", 19, 4), 0)),
    "account": ("users", clearing(15)),
    "payout": ("payouts", payout(13)),
    "payout2": ("payouts", payout(15)),
    "payout3": ("payouts", payout(19)),
    **{
        f"item {each}": ("payout_items", item(*each))
        for each in [
            (13, 0, ALICE, 10),
            (13, 1, BOB, 20),
            (13, 2, ALICE, 30),
            (15, 0, ALICE, 10),
            (15, 1, BOB, 10),
            (15, 2, ALICE, 10),
            (19, 0, BOB, 5),
            (19, 1, ALICE, 7),
        ]
    },
    "suspended": ("suspended_items", suspended(19, 1)),
    "limit": ("limits", limit(ALICE, 500)),
    "block": ("blocks", block(4, (13, 20), (19, 25), HASH_3, HASH_4)),
}
WHERE_PAYOUTS_STAND = (
    payout_becomes(13, items=3, total=60, last_transaction_id=14)
    + payout_becomes(15, state="paying", items=3, total=30, done=1, last_transaction_id=18)
    + payout_becomes(19, state="paid", items=2, total=12, done=2, suspended=1, last_transaction_id=19)
    + f"UPDATE users SET limited = 1 WHERE id = {ALICE};\n"
)
REPAIR: Row = {
    "id": 1, "at": 7, "block_id": 2, "user_id": ALICE, "what": "balance", "found": 5, "became": 6,
}  # fmt: skip
DEED: Row = {
    "id": 1,
    "at": 7,
    "actor": 0,
    "role": "admin",
    "address": "127.0.0.1",
    "door": "ws",
    "action": "clock.confirm",
    "subject": "{}",
    "key": None,
    "outcome": "accepted",
    "transaction_id": None,
}
REFUSAL: Row = {
    "bet_id": "bet-refused",
    "user_id": BOB,
    "stake": 900,
    "fingerprint": PRINT,
    "code": "INSUFFICIENT_FUNDS",
    "balance": 400,
    "held": 0,
    "at": 1,
}
PLAYER: Row = {
    "id": 11,
    "kind": "player",
    "currency": "EUR",
    "status": "open",
    "balance": 0,
    "held": 0,
    "floor": 0,
    "version": 0,
    "last_entry_id": 0,
    "owed": 0,
    "limited": 0,
    "participant_id": ALICE,
    "refused_minute": 0,
    "refused_count": 0,
}

# What the engine does with its guarded UPDATE: the cached balance follows the entries.
BALANCES_FOLLOW = """UPDATE users SET
    balance = (SELECT coalesce(sum(amount), 0) FROM transaction_ledger WHERE user_id = users.id),
    last_entry_id = (SELECT coalesce(max(id), 0) FROM transaction_ledger WHERE user_id = users.id);
"""


def batch(
    template: Template = NEXT,
    *,
    early: str = "",
    late: str = "",
    after: str = "",
    verb: str = "INSERT",
    **changes: Row | None,
) -> str:
    """A batch as one SQL transaction; `changes` bend a row of the template by its name, None leaves it out.

    `early` is SQL behind the opening of the batch, `late` just before the block, `after` just behind it.
    """
    unknown = set(changes) - set(template)
    assert not unknown, f"no such row in the template: {unknown}"
    sql = {}
    for name, (table, row) in template.items():
        change = changes.get(name, {})
        sql[name] = "" if change is None else insert(table, {**row, **change}, verb)
    opened, seal = sql.pop("batch"), sql.pop("block")
    return "BEGIN;\n" + opened + early + "".join(sql.values()) + late + seal + after + "COMMIT;\n"


def users() -> str:
    """The holders: six books in EUR (1 to 6) and BONUS_BOOK, two in USD (7, 8), the players ALICE and BOB
    (9, 10)."""
    books = ["house", "cash", "fees", "clearing", "suspense", "receivable"]
    holders = [(number, kind, "EUR") for number, kind in enumerate(books, start=HOUSE)]
    holders += [(HOUSE_USD, "house", "USD"), (CASH_USD, "cash", "USD"), (BONUS_BOOK, "bonus", "EUR")]
    sql = "".join(
        insert("users", {"id": number, "kind": kind, "currency": currency, "floor": FLOOR})
        for number, kind, currency in holders
    )
    return "BEGIN;\n" + sql + "".join(person(number) for number in (ALICE, BOB)) + "COMMIT;\n"


def person(number: int) -> str:
    """A new participant and his first wallet, in one transaction: each of the two needs the other."""
    return insert("participants", {"id": number}) + wallet(number, number)


def wallet(number: int, participant: int, currency: str = "EUR", kind: str = "player") -> str:
    """A wallet of a participant's."""
    row: Row = {"id": number, "kind": kind, "currency": currency, "participant_id": participant}
    return insert("users", row)


class Books(sqlite3.Connection):
    """Closes itself when a test lets go of it; Python 3.13 warns of one that does not."""

    def __del__(self) -> None:
        self.close()


def connect(pragmas: Mapping[str, str]) -> sqlite3.Connection:
    """An empty file in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=Books)
    for name, value in pragmas.items():
        db.execute(f"PRAGMA {name} = {value}")
    return db


def open_books(pragmas: Mapping[str, str], *, schema: str = SCHEMA, blocks: int = 2) -> sqlite3.Connection:
    """A new file in memory, with its holders and a history of no block, of two, of three (with `LIFE`) or of
    four (with `PAYOUTS`)."""
    db = connect(pragmas)
    signer = insert("signers", {"id": KEY_ID, "public_key": PRINT})
    db.executescript(schema + users() + signer + people())
    if blocks >= 2:
        db.executescript(
            batch(FIRST)
            + batch(SECOND)
            + insert("refusals", REFUSAL)
            + insert("repairs", REPAIR)
            + insert("audit_log", DEED)
            + BALANCES_FOLLOW
        )
    if blocks >= 3:
        db.executescript(batch(LIFE, late=WHAT_BECAME) + BALANCES_FOLLOW)
    if blocks == 4:
        db.executescript(batch(PAYOUTS, late=WHERE_PAYOUTS_STAND) + BALANCES_FOLLOW)
    return db


def content(db: sqlite3.Connection) -> list[str]:
    """Everything in the file, the schema too, as the SQL text that would make it again."""
    return list(db.iterdump())


@dataclass(frozen=True)
class Attack:
    """Something that must fail, whatever the pragmas are: SQL that is one statement or one transaction."""

    name: str
    sql: str
    words: str  # what the error says, as a regular expression
    blocks: int = 2  # in the file that is attacked: see `open_books`
    raises: type[sqlite3.Error] = sqlite3.IntegrityError

    def __str__(self) -> str:
        return self.name


def attempt(db: sqlite3.Connection, sql: str) -> sqlite3.Error | None:
    """Run the script; on an error roll back what is open and return the error."""
    try:
        db.executescript(sql)
    except sqlite3.Error as error:
        if db.in_transaction:
            db.rollback()
        return error
    return None


def attacks(words: str, scripts: Mapping[str, str], *, blocks: int = 2) -> list[Attack]:
    """Attacks by name that are refused with the same words."""
    return [Attack(name, sql, words, blocks) for name, sql in scripts.items()]
