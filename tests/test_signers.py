"""The keys that have signed blocks: since which block, whatever the order, and each block looked at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine import keys as engine_keys
from engine.errors import LookTooLong
from engine.keys import SigningKey
from engine.store import Store
from tests.books_open import NOW_US, asked, deposit, seed
from ws.asking import signers as module
from ws.asking.signers import Signers, keys
from ws.wire.signers import Keys, KeysGet

FIRST, SECOND, THIRD, NEVER = (
    SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number in range(4)
)


async def signed(path: Path, key: SigningKey, blocks: int) -> None:
    store = await Store.open(path, key=key)
    for _ in range(blocks):
        number = await store.read(lambda c: c.execute("SELECT max(id) FROM blocks").fetchone()[0])
        await store.commit(asked(deposit(f"d{number}", 1)), NOW_US)
    await store.close()


async def told(store: Store, known: Signers) -> list[tuple[str, int]]:
    reply = await keys(store, known, KeysGet("r"))
    assert isinstance(reply, Keys)
    by_id = {key.signer.key_id.hex(): engine_keys.as_pem(key.public_key) for key in (FIRST, SECOND, THIRD)}
    assert all(by_id.get(each.key_id, each.public_key) == each.public_key for each in reply.items)
    return [(each.key_id, each.since_block) for each in reply.items]


@pytest.mark.parametrize("at_once", [1, 2, 3, 50_000])
def test_each_is_told_since_its_first_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "BLOCKS_AT_ONCE", at_once)
    path = seed(tmp_path / "books.db", 1000)

    async def scenario() -> None:
        own = engine_keys.signing_key(path)
        store = await Store.open(path, key=own)
        before = await store.read(lambda c: c.execute("SELECT max(id) FROM blocks").fetchone()[0])
        await store.close()
        for key, blocks in ((FIRST, 3), (SECOND, 2), (FIRST, 2), (THIRD, 1), (SECOND, 1), (NEVER, 0)):
            await signed(path, key, blocks)
        expected = [
            (THIRD.signer.key_id.hex(), before + 8),
            (SECOND.signer.key_id.hex(), before + 4),
            (FIRST.signer.key_id.hex(), before + 1),
            (own.signer.key_id.hex(), 1),
        ]
        known = Signers()
        store = await Store.open(path, key=NEVER)
        assert await told(store, known) == expected, "and not the one that has signed nothing"
        assert known.looked_upto == before + 9
        assert await told(store, known) == expected
        await store.commit(asked(deposit("now", 1)), NOW_US)
        never = (NEVER.signer.key_id.hex(), before + 10)
        assert await told(store, known) == [never, *expected]
        await store.close()

    asyncio.run(scenario())


def test_all_who_ask_at_once_look_once_and_none_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that has signed nothing is looked for in all of history, which may be long."""
    monkeypatch.setattr(module, "BLOCKS_AT_ONCE", 1)
    path = seed(tmp_path / "books.db", 1000)

    async def scenario() -> None:
        await signed(path, FIRST, 5)
        store = await Store.open(path, key=NEVER)
        known, read_long, looks, may_go_on = Signers(), store.read_long, 0, asyncio.Event()

        async def counted(look: Any) -> Any:
            nonlocal looks
            looks += 1
            if looks > 3:
                await may_go_on.wait()
            return await read_long(look)

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(told(store, known) for _ in range(4)), return_exceptions=True)

        monkeypatch.setattr(store, "read_long", counted)
        monkeypatch.setattr(module, "WITHIN_S", 0.2)
        try:
            async with asyncio.timeout(20):
                assert [type(each) for each in await all_at_once()] == [LookTooLong] * 4
                assert known.looked_upto == 3, "which is kept"
                may_go_on.set()
                looks = 0
                monkeypatch.setattr(module, "WITHIN_S", 20.0)
                first, *others = await all_at_once()
                assert others == [first] * 3
                assert known.looked_upto == 6
                assert looks == 3 + 3, "the blocks that are left; and for the others that there are no more"
        finally:
            await store.close()

    asyncio.run(scenario())


def test_a_block_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCKS_AT_ONCE", 2)
    path = seed(tmp_path / "books.db", 1000)
    looked: list[int] = []
    first_blocks = engine_keys.first_blocks

    def counted(*given: object, since: int, **more: object) -> object:
        looked.append(since)
        return first_blocks(*given, since=since, **more)  # type: ignore[misc]

    monkeypatch.setattr(engine_keys, "first_blocks", counted)

    async def scenario() -> None:
        await signed(path, FIRST, 4)
        store = await Store.open(path, key=NEVER)
        known = Signers()
        for _ in range(3):
            await told(store, known)
        await store.close()

    asyncio.run(scenario())
    assert looked == [0, 2, 4, 5, 5], "of five blocks two at a time; then there is nothing to look at"
