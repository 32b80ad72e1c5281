"""Is this receipt true? Needs the receipt and a public key; no database, no other module of the project.

A receipt shows a transaction and some of its entries, and proves them: hashes up to the root of a block, the
block's header, the signature over it. Its format stands in docs/evidence.md, test vectors in vectors.json.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from struct import pack
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# Fields and what they hold: i an integer, t a text, l a list, o an object, or so many bytes in hexadecimal.
RECEIPT: Final = "format:i transaction:o entries:l path:l block:o signature:64"
BLOCK: Final = """format:i id:i first_transaction_id:i last_transaction_id:i first_entry_id:i last_entry_id:i
    at:i prev_hash:32 history:32 root:32 key_id:16"""
TRANSACTION: Final = """id:i kind:t scope:t key:t fingerprint:32 answer:t block_id:i
    first_entry_id:i entries:i entries_root:32"""
ENTRY: Final = """id:i user_id:i currency:t amount:i balance_after:i ref_type:t ref_id:t
    transaction_id:i block_id:i prev_id:i"""
SAFE: Final = 2**53 - 1  # beyond, integers are texts in JSON: many programs read its numbers as doubles
Row = dict[str, Any]


class Refused(Exception):
    """It proves nothing. The message says why."""


def check_receipt(text: str, public_key: bytes) -> Row:
    """What a receipt shows, if all of it is proven. `public_key`: 32 bytes, Ed25519. Raises `Refused`."""
    receipt = fields(parse(text), RECEIPT)
    block = signed(receipt, public_key)
    first, last = block["first_transaction_id"], block["last_transaction_id"]
    transaction = fields(receipt["transaction"], TRANSACTION)
    root = climb(_leaf(transaction), transaction["id"] - first, last - first + 1, receipt["path"])
    if transaction["block_id"] != block["id"] or root != block["root"]:
        raise Refused("the transaction is not in the block")
    start, count = transaction["first_entry_id"], transaction["entries"]
    if not block["first_entry_id"] <= start <= start + count <= block["last_entry_id"] + 1:
        raise Refused("the entries of the transaction are not in the block")
    entries = [fields(entry, f"{ENTRY} path:l") for entry in receipt["entries"]]
    for entry, path in [(entry, entry.pop("path")) for entry in entries]:
        if (entry["transaction_id"], entry["block_id"]) != (transaction["id"], block["id"]):
            raise Refused("an entry is one of another transaction")
        if climb(_leaf(entry), entry["id"] - start, count, path) != transaction["entries_root"]:
            raise Refused("an entry is not in the transaction")
    if [entry["id"] for entry in entries] != sorted({entry["id"] for entry in entries}):
        raise Refused("an entry is there twice, or before an earlier one")
    return {"block": block, "transaction": transaction, "entries": entries}


def signed(whole: Row, public_key: bytes) -> Row:
    """The block of a receipt or head, if its signature is good. Raises `Refused`."""
    block = fields(whole["block"], BLOCK)
    if (whole["format"], block["format"]) != (1, 1):
        raise Refused("the format is not 1")
    if block["key_id"] != sha256(public_key).digest()[:16]:
        raise Refused("the block is signed with another key")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(whole["signature"], header(block))
    except InvalidSignature:
        raise Refused("the signature is not that of the block") from None
    return block


def header(block: Row) -> bytes:
    """The bytes that are hashed and signed: the integers in 8 bytes each, then the hashes."""
    return pack(">8s7q32s32s32s16s", b"SGBLOCK\0", *block.values())


def _leaf(row: Row) -> bytes:
    return sha256(bytes([0, 0x90 + len(row)]) + b"".join(map(_packed, row.values()))).digest()


def climb(found: bytes, index: int, count: int, path: list[Any]) -> bytes | None:
    """The root of a tree of `count` leaves with `found` at `index`, or None (RFC 9162, 2.1.3.2)."""
    last = count - 1
    for beside in (_value("path", each, "32") for each in path):
        if not 0 <= index <= last or last == 0:
            return None
        is_right = index % 2 == 1 or index == last
        found = sha256(b"\x01" + (beside + found if is_right else found + beside)).digest()
        while is_right and index and index % 2 == 0:
            index, last = index // 2, last // 2
        index, last = index // 2, last // 2
    return found if index == last == 0 else None


def _packed(value: int | str | bytes) -> bytes:
    """MessagePack, in its shortest form, of what rows hold."""
    if isinstance(value, int):
        if -32 <= value < 128:
            return value.to_bytes(1, "big", signed=value < 0)
        power = next(n for n in range(4) if -(256**2**n) // 2 <= value < 256**2**n)
        first = (0xD0 if value < 0 else 0xCC) + power
        return bytes([first]) + value.to_bytes(2**power, "big", signed=value < 0)
    data = value.encode() if isinstance(value, str) else value
    if isinstance(value, str) and len(data) < 32:
        return bytes([0xA0 + len(data)]) + data
    power = next(n for n in range(3) if len(data) < 256**2**n)
    first = (0xD9 if isinstance(value, str) else 0xC4) + power
    return bytes([first]) + len(data).to_bytes(2**power, "big") + data


def parse(text: str) -> Row:
    """A JSON object that every program reads alike. Raises `Refused`."""

    def once(pairs: list[tuple[str, Any]]) -> Row:
        if len(dict(pairs)) < len(pairs):  # some programs take the first of two values, some the last
            raise ValueError("a name is there twice")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=once, parse_float=int, parse_constant=int)  # 1.0, NaN: no
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("it is not a JSON object with integers and each name once")
    return found


def fields(found: Any, names: str) -> Row:
    """Exactly the fields that are named, in that order: what is not proven is not let in."""
    kinds = dict(each.split(":") for each in names.split())
    if not isinstance(found, dict) or found.keys() != kinds.keys():
        raise Refused(f"expected an object with the fields {', '.join(kinds)}")
    return {name: _value(name, found[name], kind) for name, kind in kinds.items()}


def _value(name: str, value: Any, kind: str) -> Any:
    match kind, value:
        case "i", int() if type(value) is int and abs(value) <= SAFE:
            return value
        case "i", str() if re.fullmatch("-?[1-9][0-9]{15,18}", value) and SAFE < abs(int(value)) < 2**63:
            return int(value)
        case "t", str() if not re.search("[\ud800-\udfff]", value):
            return value
        case ("l", list()) | ("o", dict()):
            return value
        case "16" | "32" | "64", str() if re.fullmatch(f"[0-9a-f]{{{2 * int(kind)}}}", value):
            return bytes.fromhex(value)
    raise Refused(f"{name} is not what stands in its place")
