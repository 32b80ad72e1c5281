"""Who asks over the network, as the audit log names him. Pure."""

from __future__ import annotations

from typing import Final

from engine.actors import Actor, at_a_shell
from ws.effects import Identity

ADDRESS_MAX: Final = 64
"""Characters of an address that are kept: one of IPv6 has at most 45, with the name of a zone some more. A
proxy hands on what it was told."""


def actor_of(identity: Identity, client: tuple[str, int] | None, door: str) -> Actor | None:
    """Who this is; None for a player, who acts on nobody's behalf. `client`: the peer's address as ASGI's
    scope has it, None if it is not known. `door`: `ws` or `http`; who is at the command line comes by that,
    through whichever door it has the server do what only the server may."""
    if identity.role == "player":
        return None
    if identity.shell is not None:
        return at_a_shell(identity.shell)
    address = "" if client is None else client[0][:ADDRESS_MAX]
    return Actor(identity.user_id, identity.role, address, door)
