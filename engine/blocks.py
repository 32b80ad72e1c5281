"""Canonical bytes and the hash chain: how a committed batch is sealed. Format 1, byte by byte in
docs/evidence.md.

The rows are hashed as MessagePack, which every language reads and which `msgspec` writes in C. A later format
may replace `root` by a Merkle root; the number in the block says which one to use.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct as Packed
from typing import NamedTuple

import msgspec

from engine.records import Entry, Head, Transaction

FORMAT = 1

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

    There is at least one transaction; `at_us` is not before the head's. Any hole in the ids, and an entry of
    a transaction outside of the block, is an `AssertionError`.
    """
    assert transactions, "an empty batch has no block"
    assert at_us >= head.at_us, "block time never runs back"
    first_transaction_id = head.last_transaction_id + 1
    first_entry_id = head.last_entry_id + 1
    assert transactions[-1].id - first_transaction_id + 1 == len(transactions)
    last_entry_id = entries[-1].id if entries else head.last_entry_id
    assert last_entry_id - first_entry_id + 1 == len(entries)
    if entries:  # posted in the order of their transactions: the outermost two answer for all
        assert first_transaction_id <= entries[0].transaction_id
        assert entries[-1].transaction_id <= transactions[-1].id
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
    """SHA-256 over the rows of a block, both in order of id: a MessagePack array of two arrays of rows, each
    row an array of its columns.
    """
    return sha256(_encode((transactions, entries))).digest()


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


_encode = msgspec.msgpack.Encoder().encode
