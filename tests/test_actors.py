"""Who asks over the network, as the audit log names him."""

from __future__ import annotations

import pytest

from engine.actors import Actor
from ws.asking.actors import ADDRESS_MAX, actor_of
from ws.effects import ROLES, Identity


@pytest.mark.parametrize("role", sorted(ROLES - {"player"}))
def test_whoever_is_no_player_acts_for_the_house(role: str) -> None:
    actor = actor_of(Identity(42, role, 9), ("192.0.2.1", 50_000), "http")
    assert actor == Actor(42, role, "192.0.2.1", "http")


@pytest.mark.parametrize("door", ["ws", "http"])
def test_whoever_is_at_the_command_line_comes_by_no_other_door(door: str) -> None:
    identity = Identity(1, "admin", 9, shell="root@host")
    assert actor_of(identity, ("127.0.0.1", 50_000), door) == Actor(0, "shell", "root@host", "cli")


def test_a_player_acts_for_himself() -> None:
    assert actor_of(Identity(42, "player", 9), ("192.0.2.1", 50_000), "ws") is None


@pytest.mark.parametrize(("client", "address"), [(None, ""), (("x" * 9_000, 0), "x" * ADDRESS_MAX)])
def test_an_address_that_is_not_known_or_made_up(client: tuple[str, int] | None, address: str) -> None:
    actor = actor_of(Identity(42, "operator", 9), client, "ws")
    assert actor is not None
    assert actor.address == address
