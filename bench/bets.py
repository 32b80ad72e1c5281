"""Bets as many players make them, and a file of the engine to place them in.

Shared by the cases that measure the engine in process; together with them the only part of `bench` that
imports a room, and only `engine`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from random import Random

from bench.slices import Party, Slice, Watch
from bench.wire import STAKE_MINOR
from engine.commands import PlaceBet
from engine.files import open_read_only
from engine.store import Asked, Store
from harness.process import solidgreen

Batch = list[Asked]

BALANCE_MINOR = 10_000_000_000
"""What each player begins with: at 250 a bet, 40 million bets. No run places as many, were they all his."""

BETS_PER_MS = 50
"""How densely version 7 ids lie: as many begin with the same millisecond as in a load of 50,000 bets/s."""

NONCE_CHARS = 16

_RANDOM_BYTES = 16  # for each bet: an id of version 4 takes 122 bits of them, one of version 7 takes 74
_RANDOM_DIGITS = 2 * _RANDOM_BYTES
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class DoesNotCount(Exception):
    """The figures of this run mean nothing; the sentence says why."""


class Traffic:
    """Fresh bets of players picked at random, each under an id that its player made.

    `version` 7: a millisecond and 74 random bits, so ids of one millisecond come out of order; 4: all random
    (RFC 9562, sections 5.7 and 5.4).
    The milliseconds pass with the bets made, not with the clock: the ids lie as in a load of 50,000 bets/s
    however fast they are made.
    """

    def __init__(self, user_ids: Sequence[int], version: int, random: Random) -> None:
        if version not in (4, 7):
            raise ValueError(f"bet ids of version {version}: expected 4 or 7")
        self._user_ids = user_ids
        self.version = version
        self._random = random
        self._began_ms = time.time_ns() // 1_000_000
        self.made = 0
        """How many bets so far."""

    def batch(self, size: int) -> Batch:
        """`size` bets, all sent now."""
        sent_at_us = time.time_ns() // 1_000
        players = self._random.choices(self._user_ids, k=size)
        chance = self._random.randbytes(_RANDOM_BYTES * size).hex()
        batch = []
        for number, player in enumerate(players):
            own = chance[_RANDOM_DIGITS * number : _RANDOM_DIGITS * (number + 1)]
            nonce = own[-NONCE_CHARS:]
            batch.append(Asked(PlaceBet(self._bet_id(own), player, STAKE_MINOR, nonce, sent_at_us)))
            self.made += 1
        return batch

    def _bet_id(self, own: str) -> str:
        first = own[:12]
        if self.version == 7:
            first = f"{self._began_ms + self.made // BETS_PER_MS:012x}"
        rest = f"{self.version}{own[12:15]}-{_VARIANT[own[15]]}{own[16:19]}-{own[19:31]}"
        return f"{first[:8]}-{first[8:]}-{rest}"


def placing(store: Store, traffic: Traffic, size: int) -> Party:
    """A party that places batches of `size` bets, made before its clock starts."""

    async def party(count: int) -> Slice:
        batches = [traffic.batch(size) for _ in range(count)]
        watch = Watch()
        await place(store, batches)
        return watch.stop(size * count)

    return party


async def place(store: Store, batches: Iterable[Batch]) -> None:
    """Commit `batches` as the server does: the next one is prepared while one is being written.

    Nobody looks at the outcomes: what was accepted stands in the file afterwards, and is counted there.
    """
    before: tuple[Batch, asyncio.Task[bool]] | None = None
    for batch in batches:
        prepared = await store.prepare(batch, time.time_ns() // 1_000)
        writing = asyncio.create_task(store.write(prepared))  # queued behind the one that is being written
        await _settled(store, before)
        before = batch, writing
    await _settled(store, before)


async def _settled(store: Store, under_way: tuple[Batch, asyncio.Task[bool]] | None) -> None:
    if under_way is not None:
        batch, writing = under_way
        if not await writing:  # void: the file was set up in between
            await store.commit(batch, time.time_ns() // 1_000)


def seed(path: Path, players: int) -> list[int]:
    """Make `path` with the house's books and as many funded players; their ids."""
    solidgreen("seed", "--db", str(path), "--players", str(players), "--balance", str(BALANCE_MINOR))
    return player_ids(path)


def player_ids(path: Path) -> list[int]:
    """The ids of all players, in order."""
    with contextlib.closing(open_read_only(path)) as connection:
        query = "SELECT id FROM users WHERE kind = 'player' ORDER BY id"
        return [id_ for (id_,) in connection.execute(query)]


def entries_in(path: Path) -> int:
    """How many entries the ledger has: the newest id, since the seal of each block leaves no gap."""
    with contextlib.closing(open_read_only(path)) as connection:
        (entries,) = connection.execute("SELECT coalesce(max(id), 0) FROM transaction_ledger").fetchone()
    return int(entries)


def copy(source: Path, target: Path) -> None:
    """Copy a file that nobody has open, and wait until the disk has it: else it would be written behind the
    back of what is measured next.
    """
    shutil.copy(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    """The store of an existing file, closed again in the end, which leaves no WAL."""
    store = await Store.open(path)
    try:
        yield store
    finally:
        await store.close()


def tune_like_the_server() -> None:
    """As `ws.app` does when it starts, for the whole process: two threads share one interpreter, and full
    collections would find nothing.
    """
    sys.setswitchinterval(0.00005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
