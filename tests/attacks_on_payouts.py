"""Attacks on mass payouts: made up, paid by a word, counted wrongly, or paid twice out of suspense."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tests.attacks_on_life import FREEZE, NOT_NULL
from tests.book_rows import (
    CLEARING,
    Row,
    Value,
    block,
    clearing,
    entry,
    event,
    insert,
    item,
    item_becomes,
    of_payout,
    opening,
    payout,
    payout_becomes,
    suspended,
)
from tests.books import (
    ALICE,
    BOB,
    HASH_4,
    HASH_5,
    HOUSE,
    PAYING,
    SUSPENSE,
    Attack,
    Template,
    attacks,
    batch,
    wallet,
)

PAYOUTS_GROW = "payouts: a payout follows the newest one, in the open batch, and begins empty"
PAYOUT_AS_SAID = "payouts: it changes as a new transaction of the open batch says"
PAYOUT_TERMS = "payouts: only what became of it changes"
ITEMS_GROW = "payout_items: an item follows the one before it, while its payout collects"
SUSPENDED_GROW = "suspended_items: an item, once, as the transaction says that did it"
ITEM_AS_SAID = "suspended_items: it changes as a new transaction of the open batch says"
CLEARS = "users: a clearing account is that of a payout, in its currency"
REPLACE = "INSERT OR REPLACE"
BLOCKED = "ACCOUNT_BLOCKED"
HASH_6 = b"\x06" * 32

# Behind the history of four blocks: one transaction that may change something.
FIFTH: Template = {
    "batch": ("open_batch", opening(5, 21, 26)),
    "event": ("transactions", event(21, 5, "PAYOUT", "op:PAYOUT", "p")),
    "block": ("blocks", block(5, (21, 21), (26, 25), HASH_4, HASH_5)),
}


def turn(kind: str, answer: str, *sql: str, after: str = "", early: str = "", last_entry: int = 25) -> str:
    """The fifth batch: one transaction of this kind that was answered so, then `sql`."""
    said = {"kind": kind, "scope": f"op:{kind}", "answer": answer}
    ends = {"last_entry_id": last_entry}
    return batch(FIFTH, event=said, late="".join(sql), after=after, early=early, block=ends)


def two(first: tuple[str, str], second: tuple[str, str], *sql: str, last_entry: int = 25) -> str:
    """The same with two transactions, as (kind, answer) each."""
    other = insert("transactions", event(22, 5, second[0], f"op:{second[0]}", "q", second[1]))
    return batch(
        FIFTH,
        event={"kind": first[0], "scope": f"op:{first[0]}", "answer": first[1]},
        late=other + "".join(sql),
        block={"last_transaction_id": 22, "last_entry_id": last_entry},
    )


def in_a_later_batch(kind: str, answer: str, sql: str) -> str:
    """A transaction is sealed, and changes something only in the batch after its own."""
    later: Template = {
        "batch": ("open_batch", opening(6, 22, 26)),
        "event": ("transactions", event(22, 6, "DEPOSIT", "op:DEPOSIT", "q")),
        "block": ("blocks", block(6, (22, 22), (26, 25), HASH_5, HASH_6)),
    }
    return (turn(kind, answer) + batch(later, late=sql)).replace("COMMIT;\nBEGIN;\n", "")


def begun(answer: str = "", kind: str = "PAYOUT_OPEN", **row: Value) -> str:
    """A batch in which a payout is opened, but for these changes."""
    return turn(kind, answer or of_payout(21, "collecting"), insert("payouts", {**payout(21), **row}))


OPENED = of_payout(21, "collecting")
NEW = insert("payouts", payout(21))

_BIRTHS = [
    *attacks(
        PAYOUTS_GROW,
        {
            "a payout without a batch": NEW,
            "a payout for a frozen batch": turn("PAYOUT_OPEN", OPENED, FREEZE, NEW),
            "a payout behind its seal": turn("PAYOUT_OPEN", OPENED, after=NEW),
            "a payout of a transaction sealed before": in_a_later_batch("PAYOUT_OPEN", OPENED, NEW),
            "a payout of a transaction to come": begun(of_payout(22, "collecting"), id=22),
            "a payout of a transaction of another kind": begun(kind="DEPOSIT"),
            "a payout of which nothing is said": begun("{}"),
            "a payout of which another is said": begun(of_payout(13, "collecting")),
            "a payout that begins as paying": begun(state="paying"),
            "a payout that begins with items": begun(items=1, total=1),
            "a payout that begins with a sum": begun(total=1),
            "a payout that begins as changed": begun(last_transaction_id=21),
            "a payout replaced in its own batch": turn(
                "PAYOUT_OPEN", OPENED, NEW, insert("payouts", {**payout(21), "caller": "thief"}, REPLACE)
            ),
            "an older payout replaced": insert("payouts", {**payout(13), "caller": "thief"}, REPLACE),
            "a payout whose clearing account is in another currency": turn(
                "PAYOUT_OPEN", OPENED, insert("users", {**clearing(21), "currency": "USD"}), NEW
            ),
        },
    ),
    Attack("a payout of nobody", begun(caller=None), NOT_NULL),
    Attack("a payout in no currency", begun(currency=None), NOT_NULL),
    Attack("a payout in a currency of four letters", begun(currency="EURO"), "length\\(currency\\) = 3"),
    Attack(
        "a payout answered with no JSON", begun("opened"), "malformed JSON", raises=sqlite3.OperationalError
    ),
]

# What commands make of the payouts that are there: (kind, answer, payout, its row).
CHUNK = of_payout(15, "paying", items=3, total_minor=30, done=2)
CHUNK_ROW: Row = {"done": 2, "last_transaction_id": 21}
STARTED = of_payout(13, "paying", items=3, total_minor=60)
STARTED_ROW: Row = {"state": "paying", "last_transaction_id": 21}
SAME = of_payout(13, "collecting", items=3, total_minor=60)
NEXT_ITEM = insert("payout_items", item(13, 3, BOB, 5))
ADDED = of_payout(13, "collecting", items=4, total_minor=65)
ADDED_ROW: Row = {"items": 4, "total": 65, "last_transaction_id": 21}


def chunk(row: Row | None = None, *, kind: str = "PAYOUT", said: str = CHUNK) -> str:
    """A batch in which the second item of a payout is paid, but for these changes."""
    return turn(kind, said, payout_becomes(15, **{**CHUNK_ROW, **(row or {})}))


def told(
    kind: str, number: int, state: str, items: Value, total: Value, done: Value = 0, gone: Value = 0
) -> str:
    """A batch in which a transaction says what becomes of a payout, and the row says the same."""
    after = {"items": items, "total_minor": total, "done": done, "suspended": gone}
    said = of_payout(number, state, **{name: value for name, value in after.items() if value})
    row = {"state": state, "items": items, "total": total, "done": done, "suspended": gone}
    return turn(kind, said, payout_becomes(number, **row, last_transaction_id=21))


_OTHER_TERMS: list[tuple[str, Value]] = [
    ("id", 21),
    ("rowid", 21),
    ("_rowid_", 21),
    ("oid", 21),
    ("caller", "thief"),
    ("currency", "USD"),
]

_CHANGES = [
    *attacks(
        PAYOUT_AS_SAID,
        {
            "a payout paid by a word": payout_becomes(15, state="paid", done=3),
            "a payout moved on by a transaction to come": payout_becomes(15, **CHUNK_ROW),
            "a payout moved on by the transaction that did it before": chunk({"last_transaction_id": 18}),
            "a payout moved on by a transaction sealed before": in_a_later_batch(
                "PAYOUT", CHUNK, payout_becomes(15, **CHUNK_ROW)
            ),
            "a payout moved on by a transaction that is not there": chunk({"last_transaction_id": 22}),
            "a payout moved on by no transaction": chunk({"last_transaction_id": None}),
            "a payout moved on in a frozen batch": turn(
                "PAYOUT", CHUNK, FREEZE, payout_becomes(15, **CHUNK_ROW)
            ),
            "a payout moved on behind the seal": turn("PAYOUT", CHUNK, after=payout_becomes(15, **CHUNK_ROW)),
            "a payout changed by the earlier of two transactions": two(
                ("PAYOUT_ITEMS", SAME),
                ("PAYOUT_ITEMS", SAME),
                payout_becomes(13, last_transaction_id=22),
                payout_becomes(13, last_transaction_id=21),
            ),
            "a payout of which nothing is said": chunk(said="{}"),
            "a payout moved on by the transaction of another": chunk(
                said=of_payout(13, "paying", items=3, total_minor=30, done=2)
            ),
            "a payout that has done more than is said": chunk({"done": 3, "state": "paid"}),
            "a payout with more in suspense than is said": chunk({"suspended": 1}),
            "a payout that takes back what it paid": told("PAYOUT", 15, "paying", 3, 30, 0),
            "a payout with an item that is not there": told("PAYOUT_ITEMS", 13, "collecting", 4, 60),
            "a payout of more than its items": told("PAYOUT_ITEMS", 13, "collecting", 3, 61),
            "a payout of less than its items": told("PAYOUT_START", 13, "paying", 3, 59),
            "a payout without one of its items": told("PAYOUT_START", 13, "paying", 2, 30),
            "a payout that does not count a new item": turn(
                "PAYOUT_ITEMS", SAME, NEXT_ITEM, payout_becomes(13, last_transaction_id=21)
            ),
            "a payout with a new item and another sum": turn(
                "PAYOUT_ITEMS", ADDED, NEXT_ITEM, payout_becomes(13, **{**ADDED_ROW, "total": 66})
            ),
            "a payout that collects again": two(
                ("PAYOUT_START", STARTED),
                ("PAYOUT_ITEMS", SAME),
                payout_becomes(13, **STARTED_ROW),
                payout_becomes(13, state="collecting", last_transaction_id=22),
            ),
            "a payout of no state": chunk({"state": None}),
            "an unknown state of a payout": told("PAYOUT", 15, "lost", 3, 30, 2),
            "a payout started by adding to it": told("PAYOUT_ITEMS", 13, "paying", 3, 60),
            **{
                f"a payout that still collects, by {kind}": told(kind, 13, "collecting", 3, 60)
                for kind in ("PAYOUT_START", "PAYOUT", "PAYOUT_ITEM", "PAYOUT_OPEN", "DEPOSIT")
            },
            "a payout moved on by a transaction of another kind": chunk(kind="DEPOSIT"),
        },
    ),
    Attack(
        "a payout moved on, answered with no JSON",
        chunk(said="paid"),
        "malformed JSON",
        raises=sqlite3.OperationalError,
    ),
    *attacks(
        "CHECK constraint failed",
        {
            "a payout that has done more than there is": told("PAYOUT", 15, "paying", 3, 30, 4),
            "more in suspense than was done": told("PAYOUT", 15, "paying", 3, 30, 2, 3),
            "less than nothing in suspense": told("PAYOUT", 15, "paying", 3, 30, 2, -1),
            "a payout that has paid while it collects": told("PAYOUT_ITEMS", 13, "collecting", 3, 60, 1),
            "a payout that is paying and has paid all": told("PAYOUT_START", 13, "paying", 3, 60, 3),
            "a payout of nothing paid": two(
                ("PAYOUT", of_payout(21, "paid")),
                ("DEPOSIT", "{}"),
                NEW,
                payout_becomes(21, state="paid", last_transaction_id=21),
            ),
        },
    ),
    Attack("nobody knows what is in suspense", told("PAYOUT", 15, "paying", 3, 30, 2, None), NOT_NULL),
    Attack("nobody knows what was paid", told("PAYOUT_START", 13, "paying", 3, 60, None), NOT_NULL),
    *attacks(
        PAYOUT_TERMS,
        {
            f"other terms of a payout: {column} = {value!r}": chunk({column: value})
            for column, value in _OTHER_TERMS
        },
    ),
    *attacks(
        "payouts are not deleted",
        {
            "a payout deleted": "DELETE FROM payouts WHERE id = 13",
            "all payouts deleted": "DELETE FROM payouts",
        },
    ),
]


def added(*sql: str) -> str:
    """A batch in which something is added to the payout that collects."""
    return turn("PAYOUT_ITEMS", ADDED, *sql)


_ITEMS = [
    *attacks(
        ITEMS_GROW,
        {
            "an item without a batch": NEXT_ITEM,
            "an item in a frozen batch": added(FREEZE, NEXT_ITEM),
            "an item behind the seal": turn("PAYOUT_ITEMS", ADDED, after=NEXT_ITEM),
            "an item that leaves a number out": added(insert("payout_items", item(13, 4, BOB, 5))),
            "an item before the first": added(insert("payout_items", item(13, -1, BOB, 5))),
            "an item replaced": added(insert("payout_items", item(13, 2, BOB, 30), REPLACE)),
            "an item of another amount by upsert": added(
                insert("payout_items", item(13, 2, BOB, 30)).rstrip(";\n")
                + " ON CONFLICT DO UPDATE SET amount = 99;\n"
            ),
            "an item of a payout that is being paid": added(insert("payout_items", item(15, 3, BOB, 5))),
            "an item of a payout that is paid": added(insert("payout_items", item(19, 2, BOB, 5))),
            "an item of no payout": added(insert("payout_items", item(99, 0, BOB, 5))),
        },
    ),
    *attacks(
        "CHECK constraint failed: amount > 0",
        {
            "an item of nothing": added(insert("payout_items", item(13, 3, BOB, 0))),
            "an item of less than nothing": added(insert("payout_items", item(13, 3, BOB, -5))),
        },
    ),
    *attacks(
        "payout_items is append-only",
        {
            "an item of another amount": "UPDATE payout_items SET amount = 11 WHERE payout_id = 13",
            "an item of another winner": f"UPDATE payout_items SET user_id = {BOB} WHERE payout_id = 15",
            "an item deleted": "DELETE FROM payout_items WHERE payout_id = 13 AND number = 2",
            "all items deleted": "DELETE FROM payout_items",
        },
    ),
]

SECOND_OF_15 = insert("suspended_items", suspended(15, 1))


def put_aside(
    sql: str = SECOND_OF_15, *, number: int = 15, named: int = 1, done: int = 2, kind: str = "PAYOUT"
) -> str:
    """A batch in which a chunk puts one of its items into suspense, but for these changes."""
    said = of_payout(number, "paying", [(named, BLOCKED)], items=3, total_minor=30, done=done, suspended=1)
    return turn(kind, said, sql)


_SUSPENDS = of_payout(15, "paying", [(1, BLOCKED)], items=3, total_minor=30, done=2, suspended=1)
_PAID_ONE = of_payout(21, "paid", [(0, BLOCKED)], items=1, total_minor=7, done=1, suspended=1)

_SUSPENDED = [
    *attacks(
        SUSPENDED_GROW,
        {
            "an item in suspense without a batch": SECOND_OF_15,
            "an item in suspense in a frozen batch": put_aside(FREEZE + SECOND_OF_15),
            "an item in suspense behind the seal": turn("PAYOUT", _SUSPENDS, after=SECOND_OF_15),
            "an item in suspense by a transaction sealed before": in_a_later_batch(
                "PAYOUT", _SUSPENDS, SECOND_OF_15
            ),
            "an item in suspense by a transaction of another kind": put_aside(kind="PAYOUT_ITEMS"),
            "an item in suspense of which nothing is said": turn("PAYOUT", CHUNK, SECOND_OF_15),
            "an item in suspense of which another is said": put_aside(named=0),
            "an item in suspense of which another payout says so": put_aside(number=13),
            "an item in suspense for another reason than is said": put_aside(
                insert("suspended_items", {**suspended(15, 1), "reason": "ACCOUNT_NOT_FOUND"})
            ),
            "an item in suspense for no reason": put_aside(
                insert("suspended_items", {**suspended(15, 1), "reason": None})
            ),
            "an item in suspense that was not done": put_aside(done=1),
            "an item in suspense that was paid before": put_aside(
                insert("suspended_items", suspended(15, 0)), named=0
            ),
            "an item in suspense that its payout does not have": put_aside(
                insert("suspended_items", suspended(15, 3)), named=3, done=4
            ),
            "an item in suspense of a payout of nothing": turn(
                "PAYOUT", _PAID_ONE, NEW, insert("suspended_items", suspended(21, 0))
            ),
            "an item that begins as paid": put_aside(
                insert("suspended_items", {**suspended(15, 1), "state": "paid"})
            ),
            "an item in suspense that begins as changed": put_aside(
                insert("suspended_items", {**suspended(15, 1), "last_transaction_id": 21})
            ),
            "an item in suspense replaced": turn(
                "PAYOUT",
                of_payout(15, "paying", [(1, BLOCKED), (1, "LIMIT_EXCEEDED")], items=3, done=2),
                SECOND_OF_15,
                insert("suspended_items", {**suspended(15, 1), "reason": "LIMIT_EXCEEDED"}, REPLACE),
            ),
        },
    ),
    *attacks(
        "suspended_items are not deleted",
        {
            "an item in suspense deleted": "DELETE FROM suspended_items WHERE payout_id = 19",
            "all items in suspense deleted": "DELETE FROM suspended_items",
        },
    ),
]

RESOLVED = of_payout(19, "paid", items=2, total_minor=12, done=2)
RETURNED: Row = {"state": "returned", "last_transaction_id": 21}


def _moved(to: int, ref_type: str, *, by: int = 21, name: str = "19:1", first: int = 26) -> str:
    """The money of an item out of suspense, in two entries of transaction `by`."""
    out = entry(first, SUSPENSE, -7, 0, ("SUSPENSE", name, by, 5), 25)
    into = entry(first + 1, to, 7, 170, (ref_type, name, by, 5), 25)
    return insert("transaction_ledger", out) + insert("transaction_ledger", into)


GIVEN_BACK = _moved(HOUSE, "SUSPENSE")
PAID_OUT = _moved(ALICE, "PAYOUT")


def resolved(
    row: Row | None = None,
    *,
    kind: str = "PAYOUT_ITEM",
    said: str = RESOLVED,
    money: str = GIVEN_BACK,
    last_entry: int = 27,
) -> str:
    """A batch in which an item in suspense is given back to the house, but for these changes."""
    return turn(kind, said, money, item_becomes(19, 1, **{**RETURNED, **(row or {})}), last_entry=last_entry)


_RESOLVED = [
    *attacks(
        ITEM_AS_SAID,
        {
            "an item resolved by a word": item_becomes(19, 1, **RETURNED),
            "an item resolved by a transaction sealed before": resolved({"last_transaction_id": 20}),
            "an item resolved in a later batch": in_a_later_batch(
                "PAYOUT_ITEM", RESOLVED, item_becomes(19, 1, **RETURNED)
            ),
            "an item resolved by a transaction that is not there": resolved({"last_transaction_id": 22}),
            "an item resolved by no transaction": resolved({"last_transaction_id": None}),
            "an item resolved in a frozen batch": turn(
                "PAYOUT_ITEM",
                RESOLVED,
                GIVEN_BACK,
                FREEZE,
                item_becomes(19, 1, **RETURNED),
                last_entry=27,
            ),
            "an item resolved by a transaction of another kind": resolved(kind="PAYOUT"),
            "an item resolved of which nothing is said": resolved(said="{}"),
            "an item resolved of which another payout is said": resolved(said=CHUNK),
            "an item resolved by another transaction than moved its money": two(
                ("DEPOSIT", "{}"),
                ("PAYOUT_ITEM", RESOLVED),
                GIVEN_BACK,
                item_becomes(19, 1, **RETURNED),
                last_entry=27,
            ),
            "an item given back that moved no money": resolved(money="", last_entry=25),
            "an item given back whose money was paid": resolved(money=PAID_OUT),
            "an item paid whose money was given back": resolved({"state": "paid"}),
            "an item paid with the money of another": resolved(
                {"state": "paid"}, money=_moved(ALICE, "PAYOUT", name="19:0")
            ),
            "an item that stays in suspense": resolved({"state": "suspended"}),
            "an item of an unknown end": resolved({"state": "lost"}),
            "an item of no end": resolved({"state": None}),
            "an item resolved for another reason": resolved({"reason": "LIMIT_EXCEEDED"}),
            "an item resolved as another": resolved({"number": 0}),
            "an item resolved as that of another payout": resolved({"payout_id": 15}),
            "an item resolved twice": two(
                ("PAYOUT_ITEM", RESOLVED),
                ("PAYOUT_ITEM", RESOLVED),
                PAID_OUT,
                _moved(HOUSE, "SUSPENSE", by=22, first=28),
                item_becomes(19, 1, state="paid", last_transaction_id=21),
                item_becomes(19, 1, state="returned", last_transaction_id=22),
                last_entry=29,
            ),
        },
    ),
]


def account(*, early: str = "", kind: str = "STATUS", answer: str = "{}", **row: Value) -> str:
    """A batch in which the account is made that the collecting payout is to be paid out of, but for these."""
    return turn(kind, answer, early, insert("users", {**clearing(13), **row}))


_ACCOUNTS = [
    *attacks(
        CLEARS,
        {
            "a clearing account without a batch": insert("users", clearing(13)),
            "a clearing account in a frozen batch": account(early=FREEZE),
            "a clearing account of no payout": account(id=CLEARING + 99),
            "a clearing account of a limit": account(id=CLEARING + 20),
            "a clearing account of a payout that was paid at once": account(id=CLEARING + 19),
            "a clearing account in another currency than its payout": account(currency="USD"),
        },
    ),
    Attack(
        "a player in the place of a clearing account",
        turn("STATUS", "{}", wallet(CLEARING + 13, ALICE)),
        "payout_accounts_clear",
    ),
]

ALONE = [
    *attacks(
        PAYOUTS_GROW,
        {
            "a payout that begins with something done": batch(PAYING, payout={"done": 1}),
            "a payout that begins with something in suspense": batch(PAYING, payout={"suspended": 1}),
        },
    ),
]

PAYOUTS = [
    *ALONE,
    *(
        replace(each, blocks=4)
        for each in (*_BIRTHS, *_CHANGES, *_ITEMS, *_SUSPENDED, *_RESOLVED, *_ACCOUNTS)
    ),
]
