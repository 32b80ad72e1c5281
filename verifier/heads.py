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
    follows = fields(head.pop("follows"), FOLLOWS) if "follows" in head else None
    block = signed(fields(head, HEAD), public_key)
    if follows is not None:
        leaf = sha256(b"\x00" + follows["hash"]).digest()
        if climb(leaf, follows["id"] - 1, block["id"] - 1, follows["path"]) != block["history"]:
            raise Refused("the block that it says it follows is not in its history")
    if kept is None:
        return block
    before = fields(parse(kept).get("block"), BLOCK)
    told = None if follows is None else (follows["id"], follows["hash"])
    if before != block and told != (before["id"], sha256(header(before)).digest()):
        raise Refused("it does not follow the block that was kept")
    return block
