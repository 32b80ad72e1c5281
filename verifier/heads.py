"""Does this head come after a block that somebody kept? Then that block, and all before it, cannot be denied.

A head is the header of a block and its signature, and may follow an earlier block: hashes that lead from that
one up to the root over all blocks before the head, which its header holds.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from verifier.check import BLOCK, Refused, Row, climb, fields, header, parse, signed

HEAD: Final = "format:i block:o signature:64"
FOLLOWS: Final = "id:i hash:32 path:l"


def check_head(text: str, public_key: bytes, kept: str | None = None) -> Row:
    """The block of a head, if it is signed. With `kept`, the text of an earlier receipt or head: only if it
    is proven that the head's block is that one's or comes after it. `public_key`: 32 bytes, Ed25519. Raises
    `Refused`.
    """
    head = parse(text)
    follows = head.pop("follows", None)
    block = signed(fields(head, HEAD), public_key)
    if kept is None:
        return block
    before = fields(parse(kept).get("block"), BLOCK)
    if before == block:
        return block
    digest = sha256(header(before)).digest()
    proof = fields(follows, FOLLOWS)
    if (proof["id"], proof["hash"]) != (before["id"], digest):
        raise Refused("the head follows another block than the one that was kept")
    leaf = sha256(b"\x00" + digest).digest()
    if climb(leaf, before["id"] - 1, block["id"] - 1, proof["path"]) != block["history"]:
        raise Refused("the block that was kept is not in the history of the head")
    return block
