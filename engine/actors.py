"""Who asks for something on behalf of the house, as the audit log names him. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

NO_NUMBER: Final = 0
"""Of whoever has a shell, and no token."""


class Actor(NamedTuple):
    """An operator, an auditor or an admin who asks for something, or somebody at the command line."""

    id: int
    """The `sub` of his token; `NO_NUMBER` at the command line."""
    role: str
    address: str
    """The network address that he asks from, without a port; empty where there is none. At the command line,
    who he is there: `user@machine`."""
    door: str
    """`ws`, `http` or `cli`."""
