"""Looking for a player: the messages. Pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ws.wire.fields import Id, Reply, Request, Text

FOUND_MAX: Final = 20
"""Players that one answer shows: who looks for one of more types another letter."""


class PlayerFind(Request, tag="player.find"):
    """`text`: the number of a wallet, or the beginning of a name."""

    id: Id
    text: Annotated[Text, Meta(min_length=1)]


class PlayerFound(msgspec.Struct, gc=False):
    """A wallet. `username`: the name that its player logs in with, null where he has none."""

    user_id: int
    username: str | None
    currency: str
    status: str
    balance: int
    held: int
    available: int


class Players(Reply, tag="players"):
    """Those that were found. `more`: there are others."""

    id: str
    items: list[PlayerFound]
    more: bool
