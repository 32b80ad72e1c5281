"""What a seed lets go wrong, and how often it did."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final


class Crash(BaseException):
    """The process is gone, in the middle of whatever it did. No `except Exception` sees it."""


CHANCES: Final = {
    # of a statement of a batch
    "crash between statements": 0.01,
    "statement refused": 0.02,
    "statement slow": 0.02,
    # of a transaction
    "database busy": 0.1,
    "commit slow": 0.35,
    "commit sluggish": 0.7,
    "commit hangs": 0.15,
    "disk full": 0.35,
    "crash before commit": 0.1,
    "crash after commit": 0.12,
    "unknown commit: lost": 0.12,
    "unknown commit: done": 0.12,
    "unknown commit: late": 0.12,
    "rollback fails": 0.5,
    "no room": 0.3,
    # of a checkpoint
    "checkpoint slow": 0.3,
    "checkpoint refused": 0.3,
    "checkpoint fails": 0.2,
    # of a read
    "read refused": 0.1,
    "look too long": 0.1,
    "read slow": 0.2,
    "look late": 0.4,
    # of a word from a thread to the loop
    "loop busy": 0.15,
    # of a look at the nonce store
    "nonce store away": 0.7,
    "nonce store slow": 0.5,
    "nonce store flushed": 0.3,
    # of a frame on its way
    "connection cut": 0.03,
    "peer vanishes": 0.02,
    "reader stalls": 0.1,
    "frame late": 0.1,
}
"""How likely each fault is while its spell lasts, each time that it could strike."""

AT_MOMENTS: Final = (
    *("crash at any moment", "stop", "stall", "wall clock jump", "outside write"),
    *("burst", "insistence", "rush"),
)
"""Those that strike once, at a moment of the spell."""

FOLLOWS: Final = ("restart", "bets shed")
"""What comes of others."""

ALWAYS: Final = {
    "crash at any moment": 0.35,
    "stop": 0.15,
    "burst": 0.3,
    "insistence": 0.03,
    "rush": 0.2,
    "wall clock jump": 0.2,
}
"""How likely a seed has these, whatever else it brings."""


OFTEN: Final = {
    **{"commit hangs": 0.3, "unknown commit: late": 0.1, "rollback fails": 0.06, "commit slow": 0.15},
    **{"look late": 0.25, "loop busy": 0.15, "reader stalls": 0.15, "checkpoint fails": 0.06},
    **{"nonce store away": 0.1},
}
"""Faults behind which most is to be found: how likely a seed has a spell of each, whatever else it brings."""


BESIDE: Final = {"rollback fails": ("disk full",)}
"""What else has to go wrong for a fault to strike."""


PROVOKED: Final = {"look late": ("insistence", "insistence")}
"""What happens besides in each spell of a fault, since it is then that it matters."""


class Weather:
    """Which faults may strike now."""

    def __init__(self, rng: random.Random, clock: Callable[[], int]) -> None:
        """`clock` in microseconds."""
        self._rng = rng
        self._clock = clock
        self._spells: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        """How often each fault did."""
        self.last_us: dict[str, int] = {}
        """When it did so last."""

    def begin(self, fault: str) -> None:
        """From now on it may strike."""
        self._spells[fault] += 1

    def end(self, fault: str) -> None:
        """It may not, unless another spell of it lasts."""
        if self._spells[fault]:
            self._spells[fault] -= 1

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._spells.clear()

    def strikes(self, fault: str) -> bool:
        """Whether it does, here and now."""
        if not self._spells.get(fault) or self._rng.random() >= CHANCES[fault]:
            return False
        self.strike(fault)
        return True

    def strike(self, fault: str) -> None:
        """It does."""
        self.struck[fault] += 1
        self.last_us[fault] = self._clock()
