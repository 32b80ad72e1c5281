"""Blocks sealed from whatever rows a test likes, and receipts of them: nothing here looks at the rules."""

from __future__ import annotations

import json
import sqlite3
from struct import pack
from typing import Any, Final, NamedTuple

import msgspec

from engine import merkle
from engine.blocks import Block, head_after, seal
from engine.receipts import head, receipt
from engine.records import GENESIS, Entry, Head, Transaction
from tests.books import Books
from tests.books_open import ALICE, HOUSE, NOW_US, SIGNER, bet_id

Json = dict[str, Any]

# As schema.sql has them, without a rule: some of these rows could never be written there.
TABLES: Final = {
    "transactions": "id, kind, scope, key, fingerprint, answer, block_id",
    "transaction_ledger": "id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, "
    "block_id, prev_id",
    "blocks": "id, format, first_transaction_id, last_transaction_id, first_entry_id, last_entry_id, at, "
    "prev_hash, history, root, key_id, hash, peak, signature",
    "archives": "id, block_id, upto_transaction_id, upto_entry_id, state, openings, carried, "
    "last_transaction_id, moved_transaction_id, moved_entry_id",
}


class Draft(NamedTuple):
    """A transaction to be sealed: how it differs from a bet, and each of its entries from a usual one."""

    entries: tuple[Json, ...] = ()
    terms: Json = {}  # noqa: RUF012


def entry(amount_minor: int, balance_minor: int, user_id: int = ALICE, **other: Any) -> Json:
    return {"user_id": user_id, "amount_minor": amount_minor, "balance_after_minor": balance_minor, **other}


def bet(number: int = 1) -> Draft:
    """30 from the player, 30 to the house."""
    own: Json = {"ref_id": bet_id(number), "prev_id": 2 * number - 1}
    legs = (entry(-30, 1000 - 30 * number, **own), entry(30, 30 * number, HOUSE, **own))
    return Draft(legs, {"key": bet_id(number)})


class Sealed:
    """A chain of blocks in a file that nobody guards."""

    def __init__(self, after: Head = GENESIS) -> None:
        self.connection = sqlite3.connect(":memory:", check_same_thread=False, factory=Books)
        for table, columns in TABLES.items():
            self.connection.execute(f"CREATE TABLE {table} ({columns.replace('id,', 'id PRIMARY KEY,', 1)})")
        self.head = after

    def add(self, *drafts: Draft, at_us: int = NOW_US) -> Block:
        """Seal one more block."""
        transactions, entries = [], []
        entry_id = self.head.last_entry_id
        for number, draft in enumerate(drafts, self.head.last_transaction_id + 1):
            terms: Json = {"kind": "BET", "scope": "bet", "key": bet_id(number), "answer": '{"code":"OK"}'}
            terms |= {"fingerprint": bytes(range(32)), "block_id": self.head.block_id + 1}
            transactions.append(Transaction(number, **terms | draft.terms))
            for own in draft.entries:
                entry_id += 1
                columns: Json = {
                    "user_id": ALICE,
                    "currency": "EUR",
                    "ref_type": "BET",
                    "ref_id": bet_id(number),
                }
                columns |= {"transaction_id": number, "block_id": self.head.block_id + 1, "prev_id": 0}
                entries.append(Entry(entry_id, **columns | own))
        block = seal(self.head, at_us, transactions, entries, SIGNER)
        self.head = head_after(self.head, block)
        for table, rows in (
            ("transactions", transactions),
            ("transaction_ledger", entries),
            ("blocks", [block]),
        ):
            marks = ", ".join("?" * len(TABLES[table].split(",")))
            self.connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        return block

    def receipt(self, transaction_id: int, user_id: int | None = None) -> Json:
        found = receipt(self.connection, transaction_id, user_id)
        assert found is not None
        return found

    def head_json(self, since: int | None = None) -> Json:
        found = head(self.connection, since)
        assert found is not None
        return found


def text_of(whole: Json) -> str:
    """As small as it gets, and no sign escaped."""
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def leaf_of(row: Json) -> bytes:
    """The leaf of what a receipt shows of a transaction or an entry, whatever it holds."""
    values = [
        bytes.fromhex(value) if name in ("fingerprint", "entries_root") else _number(value)
        for name, value in row.items()
        if name != "path"
    ]
    return merkle.leaf(msgspec.msgpack.encode(values))


def resigned(whole: Json) -> Json:
    """With a good signature over the block as it stands there, be it true or not."""
    values = [_number(value) for value in whole["block"].values()]
    header = pack(">8s7q32s32s32s16s", b"SGBLOCK", *values[:7], *map(bytes.fromhex, values[7:]))
    return whole | {"signature": SIGNER.sign(header).hex()}


def resealed(whole: Json, *others: bytes) -> Json:
    """A receipt that proves what stands in it: its entries are all that the transaction has, and the leaves
    `others` stand behind it in its block.
    """
    entries = [leaf_of(each) for each in whole["entries"]]
    shown = [
        each | {"path": [beside.hex() for beside in merkle.path(entries, number)]}
        for number, each in enumerate(whole["entries"])
    ]
    transaction = whole["transaction"] | {"entries_root": merkle.root(entries).hex()}
    leaves = [leaf_of(transaction), *others]
    path = [beside.hex() for beside in merkle.path(leaves, 0)]
    block = whole["block"] | {"root": merkle.root(leaves).hex()}
    return resigned(whole | {"transaction": transaction, "entries": shown, "path": path, "block": block})


def _number(value: Any) -> Any:
    """An integer that stands there as a text; only where no text of such a form is meant."""
    is_number = isinstance(value, str) and value.lstrip("-").isdecimal() and 16 <= len(value) <= 20
    return int(value) if is_number else value
