"""Who asks for something on behalf of the house, as the audit log names him. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

NO_NUMBER: Final = 0
"""Of whoever has a shell, and no number."""

CLI: Final = "cli"
"""The door of whoever has a shell, and the caller that the scopes of his commands begin with."""


class Actor(NamedTuple):
    """An operator, an auditor or an admin who asks for something, or somebody at the command line."""

    id: int
    """The `sub` of his token; `NO_NUMBER` at the command line, whether a server runs beside it or not."""
    role: str
    address: str
    """The network address that he asks from, without a port; empty where there is none. At the command line,
    who he is there: `user@machine`."""
    door: str
    """`ws`, `http` or `cli`."""


def at_a_shell(who: str) -> Actor:
    """Somebody at the command line of this machine. `who`: `user@machine`."""
    return Actor(NO_NUMBER, "shell", who, CLI)
