"""How many file descriptors the process may use, and which of them are not for clients.

A new descriptor is always the lowest that is free (POSIX, `open`), so its number alone tells how many are
left: nothing has to be counted.
"""

from __future__ import annotations

import resource
from typing import Final

FOR_FILES: Final = 32
"""The last ones: SQLite's files, archives, and the pipes of a process beside (self-check, archive) need
some 20."""

FOR_HEALTH: Final = 16
"""Those before them take short HTTP requests only, so that the server can say how it is."""

UNBOUNDED: Final = 2**20
"""As if there were so many where the system sets no limit: Linux has no more for a process (`fs.nr_open`)."""


def raise_limit() -> int:
    """Let the process use as many as the system allows it at all; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS: "unlimited" is more than its kernel takes
            return soft
    return hard


def left(descriptor: int) -> int:
    """How many are left at the least beyond one that was just opened."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - descriptor - 1 if soft != resource.RLIM_INFINITY else FOR_FILES + FOR_HEALTH


def for_clients() -> int:
    """Descriptors that are not in reserve, whoever has them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (soft if soft != resource.RLIM_INFINITY else UNBOUNDED) - FOR_FILES - FOR_HEALTH
