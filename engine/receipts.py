"""Receipts and heads as JSON: what a player can take home, and anyone can check without this program.

The formats stand in docs/evidence.md; `verifier/` checks them. Plain `sqlite3`, read only.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from functools import partial
from typing import Any, Final

import msgspec

from engine import merkle
from engine.archives import across, demand
from engine.blocks import COLUMNS, FORMAT, Block, entry_leaf, leaves_of
from engine.errors import HistoryBroken
from engine.outcomes import Answer
from engine.records import Entry, Transaction

WHOLE_ENTRIES_MAX: Final = 4
"""Entries that a receipt shows unasked; of a transaction with more, those of one account."""

SAFE_INTEGER_MAX: Final = 2**53 - 1
"""What JSON carries exactly everywhere (RFC 8259, section 6); beyond, an integer is written as a text."""

Json = dict[str, Any]

_TRANSACTION = """
    SELECT id, kind, scope, key, fingerprint, answer, block_id FROM transactions
    WHERE id BETWEEN ? AND ? ORDER BY id
"""
_ENTRIES = """
    SELECT id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, block_id, prev_id
    FROM transaction_ledger WHERE id BETWEEN ? AND ? ORDER BY id
"""
_BLOCK = f"SELECT {COLUMNS} FROM blocks WHERE id = ?"  # noqa: S608  names and numbers of our own


def receipt(connection: sqlite3.Connection, transaction_id: int, user_id: int | None = None) -> Json | None:
    """The receipt of a transaction, with the entries of `user_id`; without one with all of them, unless they
    are more than `WHOLE_ENTRIES_MAX`: then with none.

    None if there is no such transaction, or it does not concern `user_id`. Reads the whole block. Raises
    `HistoryBroken` where that is not what was sealed, and `ArchiveMissing` where it cannot be told.
    """
    sql = "SELECT block_id FROM transactions WHERE id = ?"
    found = across(connection, partial(_first, connection, sql, transaction_id))
    block = None if found is None else read_block(connection, found[0])
    if block is None:
        if transaction_id > 0:
            demand(connection, block_id=_block_at(connection, transaction_id))
        return None
    transactions, entries = across(connection, partial(_rows, connection, block))
    leaves = leaves_of(block.first_entry_id, transactions, entries)
    if leaves is None or merkle.root(leaves) != block.root:
        if len(entries) <= block.last_entry_id - block.first_entry_id:
            demand(connection, entry_id=block.last_entry_id)
        demand(connection, block_id=block.id)
        raise HistoryBroken(f"block {block.id}: its rows do not give its root, nothing in it can be proven")
    index = transaction_id - block.first_transaction_id
    transaction = transactions[index]
    own = [entry for entry in entries if entry.transaction_id == transaction_id]
    before = sum(entry.transaction_id < transaction_id for entry in entries)
    shown = [entry for entry in own if entry.user_id == user_id]
    if user_id is None:
        shown = own if len(own) <= WHOLE_ENTRIES_MAX else []
    elif not shown and not _concerns(connection, transaction, user_id):
        return None
    posted = [entry_leaf(entry) for entry in own]
    return {
        "format": FORMAT,
        "transaction": _as_json(transaction._asdict())
        | {
            "first_entry_id": _value(block.first_entry_id + before),
            "entries": len(own),
            "entries_root": merkle.root(posted).hex(),
        },
        "entries": [
            _as_json(_columns(entry)) | {"path": _hex(merkle.path(posted, own.index(entry)))}
            for entry in shown
        ],
        "path": _hex(merkle.path(leaves, index)),
        "block": header(block),
        "signature": block.signature.hex(),
    }


def head(connection: sqlite3.Connection, since: int | None = None) -> Json | None:
    """The newest block's header and signature; with `since`, also the proof that it comes after that block.

    None while there is no block, or if `since` is none. A head follows no block but earlier ones.
    """
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
    block = read_block(connection, newest)
    if block is None or not (since is None or 1 <= since <= newest):
        return None
    told = as_head(block)
    if since is not None and since < newest:

        def look(column: str, number: int) -> bytes:
            (found,) = connection.execute(f"SELECT {column} FROM blocks WHERE id = ?", (number,)).fetchone()  # noqa: S608  names and numbers of our own
            return bytes(found)

        tree = merkle.Grown(lambda n: merkle.leaf(look("hash", n)), lambda n: look("peak", n))
        path = tree.path(since - 1, newest - 1)
        told["follows"] = {"id": since, "hash": look("hash", since).hex(), "path": _hex(path)}
    return told


def read_block(connection: sqlite3.Connection, number: int) -> Block | None:
    """A block as it stands in the file; None if there is none of that number."""
    row = connection.execute(_BLOCK, (number,)).fetchone()
    return None if row is None else Block(*row)


def as_head(block: Block) -> Json:
    """The header of a block and its signature, as they are kept elsewhere."""
    return {"format": block.format, "block": header(block), "signature": block.signature.hex()}


def header(block: Block) -> Json:
    """What is hashed and signed of a block, by the names of its columns."""
    fields = block._asdict()
    hidden = ("hash", "peak", "signature")
    shown = {("at" if name == "at_us" else name): fields[name] for name in fields if name not in hidden}
    return {"format": shown.pop("format")} | _as_json(shown)


def _rows(connection: sqlite3.Connection, block: Block) -> tuple[list[Transaction], list[Entry]]:
    placed = (block.first_transaction_id, block.last_transaction_id)
    posted = (block.first_entry_id, block.last_entry_id)
    return (
        [Transaction(*row) for row in connection.execute(_TRANSACTION, placed)],
        [Entry(*row) for row in connection.execute(_ENTRIES, posted)],
    )


def _block_at(connection: sqlite3.Connection, transaction_id: int) -> int:
    """The block in whose range this transaction is, or would be: a binary search."""

    def last_of(block_id: int) -> int:
        sql = "SELECT last_transaction_id FROM blocks WHERE id = ?"
        row = connection.execute(sql, (block_id,)).fetchone()
        return -1 if row is None else int(row[0])

    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
    return 1 + bisect_left(range(1, newest + 1), transaction_id, key=last_of)


def _concerns(connection: sqlite3.Connection, transaction: Transaction, user_id: int) -> bool:
    """Whether a transaction without an entry of this wallet is about its bet, its hold or its limit."""
    if transaction.kind == "BET":
        return False
    try:
        told = _AS_ANSWER.decode(transaction.answer)
    except msgspec.MsgspecError:
        return False
    if told.bet is not None:
        query = """
            SELECT (SELECT user_id FROM bets WHERE bets.transaction_id = placing.id)
            FROM transactions AS placing WHERE scope = 'bet' AND key = ?
        """
        look = partial(_first, connection, query, told.bet.bet_id)
        return bool(across(connection, look) == (user_id,))
    if told.hold is not None:
        query = "SELECT user_id FROM holds WHERE id = ?"
        return bool(connection.execute(query, (told.hold.id,)).fetchone() == (user_id,))
    return told.limit is not None and told.limit.user_id == user_id


def _first(connection: sqlite3.Connection, sql: str, value: object) -> Any:
    return connection.execute(sql, (value,)).fetchone()


def _columns(entry: Entry) -> Json:
    return {name.removesuffix("_minor"): value for name, value in entry._asdict().items()}


def _as_json(row: Json) -> Json:
    return {name: _value(value) for name, value in row.items()}


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int) and abs(value) > SAFE_INTEGER_MAX:
        return str(value)
    return value


def _hex(path: list[bytes]) -> list[str]:
    return [each.hex() for each in path]


_AS_ANSWER = msgspec.json.Decoder(Answer)
