"""Canonical bytes and the hash chain: how a committed batch is sealed. Format 1, byte by byte in
docs/evidence.md.

Big-endian, signed 8-byte numbers first, then the 4-byte lengths of the texts, then the texts. Format 2 will
replace `root` by a Merkle root; the number in the block says which one to use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from struct import Struct as Packed
from typing import NamedTuple

from engine.view import Entry, Head, Transaction

FORMAT = 1

_TRANSACTION = Packed(">qqIIIIII")
_ENTRY = Packed(">qqqqqIII")
_HEADER = Packed(">8sqqqqqqq32s32s")
_MAGIC = b"SGBLOCK\x00"


class Block(NamedTuple):
    """The seal of one batch, in the column order of `blocks`."""

    id: int
    format: int
    first_transaction_id: int
    last_transaction_id: int
    first_entry_id: int
    last_entry_id: int
    root: bytes
    prev_hash: bytes
    hash: bytes
    at_us: int


def seal(head: Head, at_us: int, transactions: Sequence[Transaction], entries: Sequence[Entry]) -> Block:
    """The block that follows `head` and seals `transactions` with their `entries`, both in order of id.

    There is at least one transaction; `at_us` is not before the head's. Any hole in the ids is an
    `AssertionError`.
    """
    assert transactions, "an empty batch has no block"
    assert at_us >= head.at_us, "block time never runs back"
    first_transaction_id = head.last_transaction_id + 1
    first_entry_id = head.last_entry_id + 1
    assert transactions[-1].id - first_transaction_id + 1 == len(transactions)
    last_entry_id = entries[-1].id if entries else head.last_entry_id
    assert last_entry_id - first_entry_id + 1 == len(entries)
    unhashed = Block(
        head.block_id + 1,
        FORMAT,
        first_transaction_id,
        transactions[-1].id,
        first_entry_id,
        last_entry_id,
        root_of(transactions, entries),
        head.hash,
        b"",
        at_us,
    )
    return unhashed._replace(hash=hash_of(unhashed))


def root_of(transactions: Sequence[Transaction], entries: Sequence[Entry]) -> bytes:
    """SHA-256 over the canonical bytes of each transaction followed by those of its entries, in order of
    id.
    """
    by_transaction = groupby(entries, key=attrgetter("transaction_id"))
    return sha256(b"".join(_bodies(transactions, by_transaction))).digest()


def _bodies(
    transactions: Sequence[Transaction], by_transaction: Iterator[tuple[int, Iterator[Entry]]]
) -> Iterator[bytes]:
    transaction_id, group = next(by_transaction, (None, iter(())))
    for transaction in transactions:
        own: list[Entry] = []
        if transaction_id == transaction.id:
            own = list(group)
            transaction_id, group = next(by_transaction, (None, iter(())))
        yield transaction_bytes(transaction, len(own))
        yield from map(entry_bytes, own)
    assert transaction_id is None, "an entry of a transaction that is not in the block"


def transaction_bytes(transaction: Transaction, entry_count: int) -> bytes:
    """Canonical bytes of a transaction: the numbers, then the texts whose lengths stand among the numbers."""
    kind, scope = transaction.kind.encode(), transaction.scope.encode()
    key, answer = transaction.key.encode(), transaction.answer.encode()
    numbers = _TRANSACTION.pack(
        transaction.id,
        transaction.block_id,
        entry_count,
        len(kind),
        len(scope),
        len(key),
        len(transaction.fingerprint),
        len(answer),
    )
    return b"".join((numbers, kind, scope, key, transaction.fingerprint, answer))


def entry_bytes(entry: Entry) -> bytes:
    """Canonical bytes of an entry. Its transaction and block are told by its place."""
    currency, ref_type, ref_id = entry.currency.encode(), entry.ref_type.encode(), entry.ref_id.encode()
    numbers = _ENTRY.pack(
        entry.id,
        entry.user_id,
        entry.amount_minor,
        entry.balance_after_minor,
        entry.prev_id,
        len(currency),
        len(ref_type),
        len(ref_id),
    )
    return b"".join((numbers, currency, ref_type, ref_id))


def hash_of(block: Block) -> bytes:
    """SHA-256 over the block's header, which holds its root and the hash of the block before it."""
    header = _HEADER.pack(
        _MAGIC,
        block.format,
        block.id,
        block.first_transaction_id,
        block.last_transaction_id,
        block.first_entry_id,
        block.last_entry_id,
        block.at_us,
        block.prev_hash,
        block.root,
    )
    return sha256(header).digest()
