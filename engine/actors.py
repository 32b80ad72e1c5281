"""Who asks for a command on behalf of the house, as the audit log names him. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Actor(NamedTuple):
    """An operator, an auditor or an admin who asks for something."""

    id: int
    """The `sub` of his token."""
    role: str
    address: str
    """The network address that he asks from, without a port; empty where there is none."""
    door: str
    """`ws`, `http` or `cli`."""
