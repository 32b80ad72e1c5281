"""Attacks on what is archived: more than is carried, carried otherwise than it was, deleted too early."""

from __future__ import annotations

import sqlite3
from typing import cast

from attacks_on_history import EVENTS_GROW, LEDGER_GROWS
from attacks_on_life import FREEZE, NOT_NULL, STAYS
from books import (
    ALICE,
    BOB,
    CASH,
    HASH_4,
    HASH_5,
    HOUSE,
    Attack,
    Row,
    Template,
    Value,
    attacks,
    batch,
    becomes,
    block,
    entry,
    event,
    insert,
    of_bet,
    opening,
)
from books_archive import (
    ARCHIVE,
    BEGUN,
    CARRIED,
    CARRYING,
    EIGHTH,
    FIRST_STEP,
    HASH_6,
    HASH_7,
    HASH_8,
    KEPT,
    KEY_HASH,
    LAST_MOVES,
    LOST,
    MOVING,
    OPENINGS,
    OTHER_HASH,
    STATE,
    UPTO_ENTRY,
    UPTO_TRANSACTION,
    archive,
    archive_becomes,
    of_archive,
    of_carry,
)

GROW = "archives: one after another, as a new transaction of the open batch says"
TERMS = "archives: only what became of it changes"
AS_SAID = "archives: it changes as a new transaction of the open batch says"
MOVE_ON = "archives: what is carried moves on, and never back"
NOT_THE_BALANCE = "archives: what is carried is the balance behind the newest of the entries"
STILL_THERE = "archives: what is moved is still there"
KEPT_ONCE = "carried: that of an archive, once"
KEYS_GROW = "archived_keys: while an archive is being copied"
LEDGER_STAYS = "transaction_ledger is append-only"
ENTRY_STAYS = "transaction_ledger is append-only, but for what is archived"
EVENT_STAYS = "transactions is append-only, but for what is archived"
BET_STAYS = "bets are not deleted: roll them back"
REPLACE, UPDATE_OR_REPLACE = "INSERT OR REPLACE", "UPDATE OR REPLACE"


def begun(answer: str = "", *, kind: str = "ARCHIVE", early: str = "", late: str = "", **row: Value) -> str:
    """The sixth batch, in which an archive is begun, but for these changes."""
    said: Row = {"kind": kind, "scope": f"op:{kind}", **({"answer": answer} if answer else {})}
    return batch(BEGUN, event=said, archive=row, early=early, late=late)


def later(answer: str, *, late: str = "", kind: str = "ARCHIVE", **row: Value) -> str:
    """The eighth batch, in which a second archive is begun: of the sixth block."""
    made = insert("archives", {**archive(42, (6, 40, 47), UPTO_ENTRY), **row})
    said = {"kind": kind, "scope": f"op:{kind}", "answer": answer}
    return batch(EIGHTH, event=said, late=late + made)


SECOND_ONE = of_archive(42, "copying", 6)


def _in_one(*scripts: str) -> str:
    """Several batches in one transaction."""
    return "BEGIN;\n" + "".join(scripts).replace("BEGIN;\n", "").replace("COMMIT;\n", "") + "COMMIT;\n"


_BEGINNINGS = [
    *attacks(
        GROW,
        {
            "an archive without a batch": insert("archives", archive()),
            "an archive in a frozen batch": batch(
                BEGUN, archive=None, late=FREEZE + insert("archives", archive())
            ),
            "an archive by a transaction of another kind": begun(kind="STATUS"),
            "an archive of a transaction to come": begun(of_archive(41, "copying", 5), id=41),
            "an archive of which nothing is said": begun("{}"),
            "an archive of another block than is said": begun(of_archive(ARCHIVE, "copying", 4)),
            "an archive of which another is said": begun(of_archive(39, "copying", 5)),
            "an archive of a block to come": begun(
                of_archive(ARCHIVE, "copying", 6), block_id=6, upto_transaction_id=40, upto_entry_id=47
            ),
            "an archive of less than is said": begun(of_archive(ARCHIVE, "copying", 4), block_id=4),
            "an archive that reaches beyond its block": begun(upto_transaction_id=38),
            "an archive of more entries than its block": begun(upto_entry_id=46),
            "an archive that begins as moving": begun(of_archive(ARCHIVE, "moving", 5), state="moving"),
            "an archive that begins with a digest": begun(openings=OPENINGS),
            "an archive that begins as carried": begun(carried=CARRIED),
            "an archive that begins as changed": begun(last_transaction_id=ARCHIVE),
            "an archive that begins with transactions moved": begun(moved_transaction_id=1),
            "an archive that begins with entries moved": begun(moved_entry_id=UPTO_ENTRY),
            "an archive replaced in its own batch": batch(
                BEGUN, late=insert("archives", {**archive(), "block_id": 5}, REPLACE)
            ),
        },
        blocks=5,
    ),
    *attacks(
        GROW,
        {
            "an archive of a transaction sealed before": batch(
                EIGHTH, late=insert("archives", archive(ARCHIVE, (6, 40, 47), UPTO_ENTRY))
            ),
            "an archive while one is being moved": later(SECOND_ONE),
            "an archive while entries are to be moved": later(
                SECOND_ONE, late=archive_becomes(moved_transaction_id=UPTO_TRANSACTION)
            ),
            "an archive while transactions are to be moved": later(
                SECOND_ONE, late=archive_becomes(moved_entry_id=UPTO_ENTRY)
            ),
            "an archive replaced by the next": later(SECOND_ONE).replace(
                "INSERT INTO archives", REPLACE + " INTO archives"
            ),
            "an archive of a block that is archived": later(
                of_archive(42, "copying", 5),
                late=LAST_MOVES,
                block_id=5,
                upto_transaction_id=UPTO_TRANSACTION,
                upto_entry_id=UPTO_ENTRY,
            ),
            "an archive that begins before the one before ends": later(
                SECOND_ONE, late=LAST_MOVES, moved_entry_id=0
            ),
        },
        blocks=7,
    ),
    Attack(
        "an archive of a transaction of the block before",
        _in_one(
            batch(BEGUN, archive=None, late=LOST),
            batch({**CARRYING, "archive": ("archives", archive())}, event={"kind": "STATUS"}),
        ),
        GROW,
        5,
    ),
    Attack(
        "an archive while one is being copied",
        batch(
            {**CARRYING, "archive": ("archives", archive(41, (6, 40, 47), UPTO_ENTRY))},
            event={"kind": "ARCHIVE", "answer": of_archive(41, "copying", 6)},
        ),
        GROW,
        6,
    ),
    Attack("an archive answered with no JSON", begun("begun"), "malformed JSON", 5, sqlite3.OperationalError),
]


def carries(
    row: Row | None = None, *, answer: str = "", kind: str = "CARRY", kept: str = KEPT, after: str = ""
) -> str:
    """The seventh batch, in which what is left behind is carried, but for these changes."""
    said = {"kind": kind, "scope": f"op:{kind}", "answer": answer or of_carry()}
    late = kept + archive_becomes(**{**MOVING, **(row or {})})
    return batch(CARRYING, event=said, late=late, after=after)


# The ninth batch: the second archive is carried.
_NINTH: Template = {
    "batch": ("open_batch", opening(9, 43, 48)),
    "event": (
        "transactions",
        event(43, 9, "CARRY", "op:CARRY", "b", of_carry(42)),
    ),
    "block": ("blocks", block(9, (43, 43), (48, 47), HASH_8, b"\x09" * 32)),
}

_OTHER_TERMS: list[tuple[str, Value]] = [
    ("id", 39),
    ("rowid", 39),
    ("_rowid_", 39),
    ("oid", 39),
    ("block_id", 6),
    ("upto_transaction_id", 40),
    ("upto_entry_id", 47),
]

_CARRIES = [
    *attacks(
        AS_SAID,
        {
            "an archive carried by a word": archive_becomes(**MOVING),
            "an archive carried of which nothing is kept": carries(kept=""),
            "an archive carried by a transaction of another kind": carries(kind="STATUS"),
            "an archive carried of which nothing is said": carries(answer="{}"),
            "an archive carried by the transaction of another": carries(answer=of_carry(39)),
            "an archive carried of which is said that it is copied": carries(
                answer=of_carry(state="copying")
            ),
            "an archive carried with other balances than is said": carries({"openings": CARRIED}),
            "an archive carried with another state than is said": carries({"carried": OPENINGS}),
            "an archive carried by a transaction to come": carries({"last_transaction_id": 42}),
            "an archive carried by no transaction": carries({"last_transaction_id": None}),
            "an archive carried in a frozen batch": carries(kept=KEPT + FREEZE),
            "an archive carried behind the seal": batch(CARRYING, late=KEPT, after=archive_becomes(**MOVING)),
            "an archive carried by a transaction sealed before": _in_one(
                batch(CARRYING, early=KEPT), batch(EIGHTH, late=archive_becomes(**MOVING))
            ),
            "an archive that has digests while it is copied": carries(
                {"state": "copying"}, answer=of_carry(state="copying")
            ),
            "an archive of no state": carries({"state": None}),
            "an archive of an unknown state": carries({"state": "gone"}, answer=of_carry(state="gone")),
        },
        blocks=6,
    ),
    *attacks(
        AS_SAID,
        {
            "an archive that is copied again": archive_becomes(state="copying"),
            "an archive that is copied again, by the default of a NULL": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, state=None
            ),
            "an archive carried of which nothing is kept, but of another": _in_one(
                later(SECOND_ONE, late=LAST_MOVES),
                batch(_NINTH, late=archive_becomes(42, **{**MOVING, "last_transaction_id": 43})),
            ),
            "other balances carried": archive_becomes(openings=CARRIED),
            "another state carried": archive_becomes(carried=OPENINGS),
            "an archive carried twice": batch(
                EIGHTH,
                event={"kind": "CARRY", "answer": of_carry(openings=CARRIED.hex())},
                late=archive_becomes(openings=CARRIED, last_transaction_id=42),
            ),
        },
        blocks=7,
    ),
    Attack(
        "an archive carried with a short digest of balances",
        carries({"openings": b"x"}, answer=of_carry(openings="78")),
        r"length\(openings\) = 32",
        6,
    ),
    Attack(
        "an archive carried with a short digest of the state",
        carries({"carried": b"x"}, answer=of_carry(carried="78")),
        r"length\(carried\) = 32",
        6,
    ),
    *attacks(
        TERMS,
        {
            f"other terms of an archive: {column}": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, **{column: value}
            )
            for column, value in _OTHER_TERMS
        },
        blocks=7,
    ),
    *attacks(
        "archives is append-only",
        {
            "an archive deleted": "DELETE FROM archives WHERE id = 38",
            "all archives deleted": "DELETE FROM archives",
        },
        blocks=7,
    ),
]

_MOVES = [
    *attacks(
        MOVE_ON,
        {
            "entries moved before they are carried": archive_becomes(moved_entry_id=UPTO_ENTRY),
            "transactions moved before they are carried": archive_becomes(
                moved_transaction_id=UPTO_TRANSACTION
            ),
            "entries moved in the statement that carries": carries({"moved_entry_id": UPTO_ENTRY}),
        },
        blocks=6,
    ),
    *attacks(
        MOVE_ON,
        {
            "entries moved back": archive_becomes(moved_entry_id=FIRST_STEP - 1),
            "transactions moved back": archive_becomes(moved_transaction_id=7),
        },
        blocks=7,
    ),
    *attacks(
        "CHECK constraint failed: moved",
        {
            "entries moved beyond the block": archive_becomes(moved_entry_id=UPTO_ENTRY + 1),
            "transactions moved beyond the block": archive_becomes(moved_transaction_id=UPTO_TRANSACTION + 1),
        },
        blocks=7,
    ),
    Attack("half an entry moved", archive_becomes(moved_entry_id=20.5), "cannot store REAL", 7),
    *attacks(
        NOT_NULL,
        {
            "nobody knows how many entries are moved": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, moved_entry_id=None
            ),
            "nobody knows how many transactions are moved": archive_becomes(
                ARCHIVE, UPDATE_OR_REPLACE, moved_transaction_id=None
            ),
        },
        blocks=7,
    ),
]


def _sneak(when: str, do: str = "SELECT RAISE(IGNORE);", condition: str = "") -> str:
    """A trigger of one's own, in a transaction with the last step of entries."""
    trigger = f"CREATE TEMP TRIGGER sneak {when} {condition} BEGIN {do} END;\n"
    return "BEGIN;\n" + trigger + archive_becomes(moved_entry_id=UPTO_ENTRY) + "COMMIT;\n"


def carried_row(user: int, amount: int, last: int, number: Value = 0, **changes: Value) -> Row:
    """A row that carries what a holder has, as a step would make it."""
    row = {**entry(-user, user, amount, amount, ("CARRIED", "38", 41, 5), last), **changes}
    return {**row, "id": number} if number != 0 else row


def _carry(sql: str) -> str:
    return f"UPDATE transaction_ledger SET {sql} WHERE id = {-ALICE};\n"


def archived(before: Template, *, late: str = "", carried: bool = True, then: str) -> str:
    """One transaction: the batch `before` with `late`, an archive of it all, carried unless it is not to be,
    and `then`."""
    last = before["block"][1]
    at, upto, upto_entry = (cast(int, last[each]) for each in ("id", "last_transaction_id", "last_entry_id"))
    number, first_entry = upto + 1, upto_entry + 1
    begin: Template = {
        "batch": ("open_batch", opening(at + 1, number, first_entry)),
        "event": (
            "transactions",
            event(number, at + 1, "ARCHIVE", "op:ARCHIVE", "x", of_archive(number, "copying", at)),
        ),
        "archive": ("archives", archive(number, (at, upto, upto_entry))),
        "block": ("blocks", block(at + 1, (number,) * 2, (first_entry, upto_entry), HASH_6, HASH_7)),
    }
    carry: Template = {
        "batch": ("open_batch", opening(at + 2, number + 1, first_entry)),
        "event": ("transactions", event(number + 1, at + 2, "CARRY", "op:CARRY", "x", of_carry(number))),
        "block": ("blocks", block(at + 2, (number + 1,) * 2, (first_entry, upto_entry), HASH_7, HASH_8)),
    }
    script = batch(before, late=late) + batch(begin)
    if carried:
        script += insert("carried", {"archive_id": number, "state": b"{}"})
        script += batch(carry, late=archive_becomes(number, **{**MOVING, "last_transaction_id": number + 1}))
    return _in_one(script, then)


# Whose newest entry says that he has more than he has.
LYING: Template = {
    "batch": ("open_batch", opening(5, 21, 26)),
    "event": ("transactions", event(21, 5, "DEPOSIT", "op:DEPOSIT", "p")),
    "debit": ("transaction_ledger", entry(26, CASH, -5, -1505, ("DEPOSIT", "21", 21, 5), 3)),
    "credit": ("transaction_ledger", entry(27, BOB, 5, 9999, ("DEPOSIT", "21", 21, 5), 24)),
    "block": ("blocks", block(5, (21, 21), (26, 27), HASH_4, HASH_6)),
}
# A bet that was rolled back before it came; a win of nothing.
BURIED = of_bet("never", "rolled_back")
BURYING: Template = {
    "batch": ("open_batch", opening(5, 21, 26)),
    "event": ("transactions", event(21, 5, "ROLLBACK", "op:ROLLBACK", "x", BURIED)),
    "event2": ("transactions", event(22, 5, "TOMBSTONE", "bet", "never", BURIED)),
    "event3": ("transactions", event(23, 5, "WIN", "op:WIN", "x")),
    "block": ("blocks", block(5, (21, 23), (26, 25), HASH_4, HASH_6)),
}
# A bet that is lost.
LOSING: Template = {
    "batch": ("open_batch", opening(6, 38, 46)),
    "event": (
        "transactions",
        event(38, 6, "LOSS", "op:LOSS", "a", of_bet("bet-3", "lost", total_minor=60, cashed_stake_minor=50)),
    ),
    "block": ("blocks", block(6, (38, 38), (46, 45), HASH_5, HASH_6)),
}


_ENTRIES = [
    *attacks(
        NOT_THE_BALANCE,
        {
            "a step that carries nothing new": _sneak("BEFORE INSERT ON main.transaction_ledger"),
            "a step that carries nothing on": _sneak("BEFORE UPDATE ON main.transaction_ledger"),
        },
        blocks=7,
    ),
    Attack(
        "a holder with other entries than his balance says",
        archived(LYING, then=archive_becomes(22, moved_entry_id=27)),
        NOT_THE_BALANCE,
        4,
    ),
    Attack("a step that deletes nothing", _sneak("BEFORE DELETE ON main.transaction_ledger"), STILL_THERE, 7),
    *attacks(
        ENTRY_STAYS,
        {
            "an entry deleted above the watermark": "DELETE FROM transaction_ledger WHERE id = 47",
            "an entry deleted before its step": "DELETE FROM transaction_ledger WHERE id = 21",
            "what is carried is deleted": f"DELETE FROM transaction_ledger WHERE id = {-ALICE}",
            "all that is carried is deleted": "DELETE FROM transaction_ledger WHERE id < 0",
            "the rest of the ledger deleted": "DELETE FROM transaction_ledger WHERE id > 0",
        },
        blocks=7,
    ),
    Attack("an entry deleted before CARRY", "DELETE FROM transaction_ledger WHERE id = 1", ENTRY_STAYS, 6),
    *attacks(
        LEDGER_STAYS,
        {
            "another balance carried": _carry("amount = 9999, balance_after = 9999"),
            "a carried row for another holder": _carry(f"user_id = {BOB}"),
            "a carried row renumbered": _carry("id = -99").replace("UPDATE", UPDATE_OR_REPLACE),
            "a carried row renumbered by rowid": _carry("rowid = -99"),
            "a carried row made an entry": _carry("id = 48, ref_type = 'DEPOSIT', amount = 5"),
            "a carried row of an entry to come": _carry("prev_id = 34, amount = 750, balance_after = 750"),
            "a carried row of an entry above the watermark": _carry("prev_id = 47, amount = 755"),
            "a carried row moved back": _carry("prev_id = 2, amount = 1000, balance_after = 1000"),
            "a carried row behind another": _carry(f"prev_id = {-BOB}, amount = 505"),
            "an entry that becomes a carried row": (
                f"UPDATE transaction_ledger SET id = {-HOUSE} WHERE id = 46"
            ),
            "an entry above the watermark edited": "UPDATE transaction_ledger SET amount = 6 WHERE id = 47",
        },
        blocks=7,
    ),
    *attacks(
        LEDGER_GROWS,
        {
            "a carried row for a holder to come": insert("transaction_ledger", carried_row(13, 100, 27)),
            "a carried row from nowhere": insert("transaction_ledger", carried_row(13, 100, 0)),
            "a carried row of an entry that is gone": insert("transaction_ledger", carried_row(13, 790, 17)),
            "a carried row behind another carried row": insert(
                "transaction_ledger", carried_row(13, 505, -BOB)
            ),
            "a carried row replaced": insert("transaction_ledger", carried_row(ALICE, 9999, 34), REPLACE),
            "a carried row by an upsert": insert("transaction_ledger", carried_row(ALICE, 750, 34)).rstrip(
                ";\n"
            )
            + " ON CONFLICT DO UPDATE SET amount = excluded.amount",
            "a carried row that SQLite numbers": insert(
                "transaction_ledger", carried_row(HOUSE, 263, 45, None)
            ),
            "a carried row in an open batch": batch(
                EIGHTH, late=insert("transaction_ledger", carried_row(13, 100, 27, block_id=8))
            ),
            "an entry with the id of one that is gone": insert(
                "transaction_ledger", entry(1, CASH, -1000, -1000, ("DEPOSIT", "1", 1, 1), 0)
            ),
            "an entry below zero": batch(
                EIGHTH,
                late=insert("transaction_ledger", entry(-99, ALICE, 5, 760, ("DEPOSIT", "42", 42, 8), 47)),
            ),
        },
        blocks=7,
    ),
    Attack(
        "a carried row before CARRY",
        insert("transaction_ledger", carried_row(ALICE, 750, 34)),
        LEDGER_GROWS,
        6,
    ),
]

_EVENTS = [
    *attacks(
        EVENT_STAYS,
        {
            "a transaction deleted above the watermark": "DELETE FROM transactions WHERE id = 39",
            "a bet's transaction deleted whose bet stays": "DELETE FROM transactions WHERE id = 9",
            "an open bet's transaction deleted": "DELETE FROM transactions WHERE id = 30",
            "a transaction deleted of a bet that stays": "DELETE FROM transactions WHERE id = 7",
            "a refund deleted of a free bet": "DELETE FROM transactions WHERE id = 35",
            **{
                f"a transaction deleted on which rows rest: {kind}": (
                    f"DELETE FROM transactions WHERE id <= {UPTO_TRANSACTION} AND kind = '{kind}'"
                )
                for kind in (
                    *("HOLD", "CAPTURE", "PAYOUT", "PAYOUT_OPEN", "PAYOUT_ITEMS", "PAYOUT_START", "LIMIT"),
                    *("BONUS", "EXPIRY", "FREE_BET", "REVOKE"),
                )
            },
            "the transaction deleted that began the archive": "DELETE FROM transactions WHERE id = 38",
            "all transactions deleted": "DELETE FROM transactions",
        },
        blocks=7,
    ),
    Attack("a transaction deleted before CARRY", "DELETE FROM transactions WHERE id = 1", EVENT_STAYS, 6),
    *attacks(
        EVENT_STAYS,
        {
            f"a transaction deleted: {name}": archived(
                BURYING, then=f"DELETE FROM transactions WHERE id = {number};\n"
            )
            for name, number in [
                ("the rollback of a bet that never came", 21),
                ("the tombstone of a bet", 22),
                ("a win of no bet", 23),
            ]
        },
        blocks=4,
    ),
    Attack(
        "a transaction with the key of one that stays",
        batch(EIGHTH, event={"scope": "bet", "kind": "BET", "key": "bet-3"}),
        EVENTS_GROW,
        7,
    ),
]


def unsettled(**row: Value) -> str:
    """Behind `LOSING`, of which an archive is begun: a batch in which that bet is unsettled."""
    template: Template = {
        "batch": ("open_batch", opening(8, 40, 46)),
        "event": (
            "transactions",
            event(
                *(40, 8, "UNSETTLE", "op:UNSETTLE", "a"),
                of_bet("bet-3", "confirmed", total_minor=60, cashed_stake_minor=50),
            ),
        ),
        "block": ("blocks", block(8, (40, 40), (46, 45), HASH_7, HASH_8)),
    }
    return batch(template, late=becomes(3, state="confirmed", last_transaction_id=40, **row))


_BETS = [
    *attacks(
        BET_STAYS,
        {
            "a bet deleted that is open": "DELETE FROM bets WHERE transaction_id = 30",
            "a bet deleted that changed behind the watermark": "DELETE FROM bets WHERE transaction_id = 3",
            "a bet deleted that used a free bet": "DELETE FROM bets WHERE transaction_id = 34",
            "all bets deleted": "DELETE FROM bets",
        },
        blocks=7,
    ),
    Attack(
        "a bet unsettled that is to be archived",
        archived(
            LOSING, late=becomes(3, state="lost", last_transaction_id=38), carried=False, then=unsettled()
        ),
        STAYS,
        5,
    ),
    Attack("a bet deleted before CARRY", "DELETE FROM bets WHERE transaction_id = 9", BET_STAYS, 6),
]

_KEPT = [
    *attacks(
        KEYS_GROW,
        {
            "a key noted after CARRY": insert("archived_keys", {"hash": OTHER_HASH}),
            "a key replaced": insert("archived_keys", {"hash": KEY_HASH}, REPLACE),
        },
        blocks=7,
    ),
    Attack(
        "a key noted twice",
        f"BEGIN;{insert('archived_keys', {'hash': KEY_HASH}) * 2}COMMIT;",
        "UNIQUE constraint failed",
        6,
    ),
    Attack("a key in words", insert("archived_keys", {"hash": "x" * 16}), "cannot store TEXT", 6),
    Attack(
        "a state kept of an archive to come", insert("carried", {**STATE, "archive_id": 42}), KEPT_ONCE, 6
    ),
    Attack("a key where nothing is archived", insert("archived_keys", {"hash": KEY_HASH}), KEYS_GROW, 5),
    Attack("a short key", insert("archived_keys", {"hash": b"x"}), r"length\(hash\) = 16", 6),
    *attacks(
        "archived_keys is append-only",
        {
            "a key forgotten": "DELETE FROM archived_keys",
            "a key exchanged": "UPDATE OR REPLACE archived_keys SET hash = zeroblob(16)",
        },
        blocks=7,
    ),
    *attacks(
        KEPT_ONCE,
        {
            "another state kept after CARRY": insert("carried", STATE, REPLACE),
            "a state kept of no archive": insert("carried", {**STATE, "archive_id": 42}),
        },
        blocks=7,
    ),
    Attack(
        "a state kept twice",
        "BEGIN;"
        + insert("carried", STATE)
        + insert("carried", {**STATE, "state": b"[]"}, REPLACE)
        + "COMMIT;",
        KEPT_ONCE,
        6,
    ),
    Attack("no state kept", insert("carried", {**STATE, "state": None}), NOT_NULL, 6),
    *attacks(
        "carried is append-only",
        {
            "a state that is kept edited": "UPDATE carried SET state = x'00'",
            "a state that is kept renumbered": "UPDATE OR REPLACE carried SET rowid = 99",
            "a state that is kept forgotten": "DELETE FROM carried",
        },
        blocks=7,
    ),
]

ARCHIVES = [*_BEGINNINGS, *_CARRIES, *_MOVES, *_ENTRIES, *_EVENTS, *_BETS, *_KEPT]
