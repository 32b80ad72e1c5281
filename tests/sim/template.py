"""The file with which each world begins: books, a few players, money. Made once a process."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from engine.accounts import open_books, open_wallets
from engine.commands import Deposit
from engine.store import Asked, Store
from tests.sim.loop import START_US
from tests.sim.server import KEY

OPERATOR: Final = 1_000_000
"""The number of the game host's token; it has no wallet."""

OPENING_MINOR: Final = 2_000
"""Of each player: enough for some bets, and soon not enough."""


class Template(NamedTuple):
    """A file, as bytes, and who has a wallet in it."""

    image: bytes
    players: tuple[int, ...]


@cache
def template() -> Template:
    """The same in each process: the key is fixed, and so is the time."""
    return asyncio.run(_make())


async def _make() -> Template:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        store = await Store.open(path, create=True, key=KEY)
        await store.set_up(partial(open_books, currency="EUR"))
        players = tuple(await store.set_up(partial(open_wallets, currency="EUR", count=5)))
        await store.refresh_books()
        deposits = [Deposit(id_, OPENING_MINOR, key=f"open:{id_}", caller="cli") for id_ in players]
        await store.commit([Asked(deposit) for deposit in deposits], START_US - 1_000_000)
        await store.close()
        return Template(path.read_bytes(), players)
