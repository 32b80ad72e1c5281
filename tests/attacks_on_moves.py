"""Attacks on what is moved into an archive: deleted too early, carried otherwise, forgotten, put back."""

from __future__ import annotations

from typing import cast

from tests.attacks_on_archives import REPLACE, UPDATE_OR_REPLACE, in_one
from tests.attacks_on_history import EVENTS_GROW, LEDGER_GROWS
from tests.attacks_on_life import NOT_NULL, STAYS
from tests.book_rows import Row, Value, becomes, block, entry, event, insert, of_bet, opening
from tests.books import ALICE, BOB, CASH, HASH_4, HASH_5, HOUSE, Attack, Template, attacks, batch
from tests.books_archive import (
    EIGHTH,
    HASH_6,
    HASH_7,
    HASH_8,
    KEY_HASH,
    MOVING,
    OTHER_HASH,
    STATE,
    UPTO_ENTRY,
    UPTO_TRANSACTION,
    archive,
    archive_becomes,
    of_archive,
    of_carry,
)

NOT_THE_BALANCE = "archives: what is carried is the balance behind the newest of the entries"
STILL_THERE = "archives: what is moved is still there"
KEPT_ONCE = "carried: that of an archive, once"
KEYS_GROW = "archived_keys: while an archive is being copied"
LEDGER_STAYS = "transaction_ledger is append-only"
ENTRY_STAYS = "transaction_ledger is append-only, but for what is archived"
EVENT_STAYS = "transactions is append-only, but for what is archived"
BET_STAYS = "bets are not deleted: roll them back"


def _sneak(when: str) -> str:
    """A trigger of one's own that skips something, in a transaction with the last step of entries."""
    trigger = f"CREATE TEMP TRIGGER sneak {when} BEGIN SELECT RAISE(IGNORE); END;\n"
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
    return in_one(script, then)


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

MOVES = [*_ENTRIES, *_EVENTS, *_BETS, *_KEPT]
