"""How a committed batch is sealed: canonical bytes, a Merkle root, a chain of hashes, a signature. Format 1,
byte by byte in docs/evidence.md. Pure.

Rows are hashed as MessagePack, which every language reads and which `msgspec` writes in C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from struct import Struct as Packed
from typing import Final, NamedTuple

import msgspec

from engine import merkle
from engine.records import Entry, Head, Transaction

FORMAT: Final = 1

KEY_ID_BYTES: Final = 16

_HEADER = Packed(">8sqqqqqqq32s32s32s16s")
_MAGIC: Final = b"SGBLOCK\x00"


class Block(NamedTuple):
    """The seal of one batch, in the column order of `blocks`."""

    id: int
    format: int
    first_transaction_id: int
    last_transaction_id: int
    first_entry_id: int
    last_entry_id: int
    at_us: int
    prev_hash: bytes
    history: bytes
    """The root of the tree over all blocks before this one."""
    root: bytes
    """The root of the tree over its transactions, each with its entries."""
    key_id: bytes
    """Whose signature it bears."""
    hash: bytes
    peak: bytes
    """The last peak of the tree over all blocks up to this one (`merkle.grown`). It follows from the hashes,
    and is kept so that nobody has to go through all of them."""
    signature: bytes


COLUMNS: Final = (
    "id, format, first_transaction_id, last_transaction_id, first_entry_id, last_entry_id, at, prev_hash, "
    "history, root, key_id, hash, peak, signature"
)
"""The columns of `blocks`, for whoever makes a `Block` of a row."""


class Signer(NamedTuple):
    """Who signs blocks. Ed25519 is deterministic (RFC 8032): the same header gives the same signature."""

    key_id: bytes
    sign: Callable[[bytes], bytes]


def seal(
    head: Head,
    at_us: int,
    transactions: Sequence[Transaction],
    entries: Sequence[Entry],
    signer: Signer,
) -> Block:
    """The block that follows `head` and seals `transactions` with their `entries`, both in order of id.

    There is at least one transaction; `at_us` is not before the head's. Any hole in the ids, and an entry
    that is not among those of its transaction, is an `AssertionError`.
    """
    assert transactions, "an empty batch has no block"
    assert at_us >= head.at_us, "block time never runs back"
    first_transaction_id = head.last_transaction_id + 1
    first_entry_id = head.last_entry_id + 1
    assert transactions[-1].id - first_transaction_id + 1 == len(transactions)
    last_entry_id = entries[-1].id if entries else head.last_entry_id
    assert last_entry_id - first_entry_id + 1 == len(entries)
    root = root_of(first_entry_id, transactions, entries)
    assert root is not None, "an entry is not among those of its transaction"
    unsigned = Block(
        head.block_id + 1,
        FORMAT,
        first_transaction_id,
        transactions[-1].id,
        first_entry_id,
        last_entry_id,
        at_us,
        head.hash,
        merkle.root_of_peaks(head.peaks),
        root,
        signer.key_id,
        b"",
        b"",
        b"",
    )
    header = header_of(unsigned)
    hash_ = sha256(header).digest()
    peak = peaks_after(head, hash_)[-1]
    return unsigned._replace(hash=hash_, peak=peak, signature=signer.sign(header))


def root_of(
    first_entry_id: int, transactions: Sequence[Transaction], entries: Sequence[Entry]
) -> bytes | None:
    """The Merkle root over transactions, each with its entries, both in order of id.

    None where there is none: an entry is not among those of its transaction, or a text is not Unicode.
    """
    leaves = leaves_of(first_entry_id, transactions, entries)
    return None if leaves is None else merkle.root(leaves)


def leaves_of(
    first_entry_id: int, transactions: Sequence[Transaction], entries: Sequence[Entry]
) -> list[bytes] | None:
    """The leaf of each transaction, as `root_of` needs them; None where that gives None."""
    try:
        posted = [sha256(b"\x00" + _encode(entry)).digest() for entry in entries]
        # Of which transaction each is; None spares the loop a look at where the list ends.
        owners: list[int | None] = [entry[7] for entry in entries]
        owners.append(None)
        leaves = []
        start = 0
        for transaction in transactions:
            id_, end = transaction[0], start
            while owners[end] == id_:
                end += 1
            # Written out for a bet, which has two entries and is what most transactions are.
            if end - start == 2:
                root = sha256(b"\x01" + posted[start] + posted[start + 1]).digest()
            else:
                root = merkle.root(posted[start:end])
            row = (*transaction, first_entry_id + start, end - start, root)
            leaves.append(sha256(b"\x00" + _encode(row)).digest())
            start = end
    except UnicodeEncodeError:
        return None
    return leaves if start == len(entries) else None


def entry_leaf(entry: Entry) -> bytes:
    """The leaf of an entry in the tree of its transaction."""
    return merkle.leaf(_encode(entry))


def header_of(block: Block) -> bytes:
    """The bytes that are hashed, and signed: all of a block but what follows from them."""
    return _HEADER.pack(
        _MAGIC,
        block.format,
        block.id,
        block.first_transaction_id,
        block.last_transaction_id,
        block.first_entry_id,
        block.last_entry_id,
        block.at_us,
        block.prev_hash,
        block.history,
        block.root,
        block.key_id,
    )


def hash_of(block: Block) -> bytes:
    """SHA-256 over the block's header, which holds its root and what ties it to the blocks before it."""
    return sha256(header_of(block)).digest()


def head_after(head: Head, block: Block) -> Head:
    """Where the chain stands once `block` follows `head`."""
    return Head(*ends_of(block), peaks_after(head, block.hash))


def ends_of(block: Block) -> tuple[int, bytes, int, int, int]:
    """Of the head after `block`, what it takes no other block to know."""
    return block.id, block.hash, block.at_us, block.last_transaction_id, block.last_entry_id


def peaks_after(head: Head, hash_: bytes) -> tuple[bytes, ...]:
    """The peaks of the tree over all blocks, once the block of that hash follows `head`."""
    return merkle.grown(head.peaks, head.block_id, merkle.leaf(hash_))


def key_id_of(public_key: bytes) -> bytes:
    """What names a public key (Ed25519, 32 bytes): the first half of its SHA-256."""
    return sha256(public_key).digest()[:KEY_ID_BYTES]


_encode = msgspec.msgpack.Encoder().encode
