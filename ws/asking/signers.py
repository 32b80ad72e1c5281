"""The keys that have signed blocks, for everybody. Reads beside the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from engine import keys as engine_keys
from engine.errors import LookTooLong
from engine.store import Store
from ws.wire.fields import Reply
from ws.wire.signers import Keys, KeysGet, SignerShown

BLOCKS_AT_ONCE: Final = 50_000
"""That one look goes through, some 20 ms: there is no index of blocks by key, which each commit would pay."""

WITHIN_S: Final = 3.0
"""How long somebody looks, or waits for who does: some 150 looks, between which others have the reader."""


class Signers:
    """What is known of them. History does not change, so each block is looked at once in the life of a
    server, and only until the first of each key is found."""

    def __init__(self) -> None:
        self.first_blocks: dict[bytes, int] = {}
        self.looked_upto = 0
        self.looking = asyncio.Lock()
        """Held by the one who looks: what he finds is there for all."""


async def keys(store: Store, signers: Signers, request: KeysGet) -> Reply:
    """Those that have signed, newest first. Raises `LookTooLong` where history is long and a key rare; who
    asks after that goes on from there."""
    try:
        async with asyncio.timeout(WITHIN_S), signers.looking:
            public_keys = await _find(store, signers)
    except TimeoutError:
        raise LookTooLong(WITHIN_S) from None
    by_age = sorted(signers.first_blocks.items(), key=lambda each: each[1], reverse=True)
    return Keys(
        request.id,
        [
            SignerShown(key_id.hex(), engine_keys.as_pem(public_keys[key_id]), block)
            for key_id, block in by_age
        ],
    )


async def _find(store: Store, signers: Signers) -> Mapping[bytes, bytes]:
    """Look until the first block of each key is known, or all blocks were looked at; the keys."""
    while True:
        known = frozenset(signers.first_blocks)
        look = partial(engine_keys.first_blocks, known=known, since=signers.looked_upto, most=BLOCKS_AT_ONCE)
        public_keys, found, looked_upto, newest = await store.read_long(look)
        signers.first_blocks.update(found)
        if public_keys.keys() <= signers.first_blocks.keys():
            return public_keys
        signers.looked_upto = looked_upto
        if signers.looked_upto >= newest:
            return public_keys
