"""Looks for players, for the staff. Reads beside the writer."""

from __future__ import annotations

from engine import players
from engine.store import Store
from ws.wire.fields import Reply
from ws.wire.players import FOUND_MAX, PlayerFind, PlayerFound, Players


async def find_players(store: Store, request: PlayerFind) -> Reply:
    """Those that were found; one more is looked for, which tells whether there are others."""
    found = await store.read(lambda connection: players.find_players(connection, request.text, FOUND_MAX + 1))
    return Players(
        request.id,
        [PlayerFound(*each) for each in found[:FOUND_MAX]],
        len(found) > FOUND_MAX,
    )
