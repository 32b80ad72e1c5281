"""What stays of the idempotency key of a command whose transaction was archived: a hash, so that it is still
known, and nothing happens twice. Pure.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 16
"""Of 10^9 keys two are alike with a chance of 10^-21: that a new command is taken for an old one."""


def hash_of_key(scope: str, key: str) -> bytes:
    """The first half of the SHA-256 of scope and key in UTF-8, with a zero byte between them, which neither
    has (docs/archive.md)."""
    return sha256(f"{scope}\0{key}".encode()).digest()[:HASH_BYTES]
