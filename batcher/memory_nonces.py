"""A nonce guard in this process's memory: bounded, compact, and never forgetful before the time.

Two generations, each `life_s` long. New nonces go into the young one; when its time is over it becomes the
old one, and the old one is dropped whole. A nonce is thus remembered for at least `life_s`, and for at most
twice that.

A generation is one or a few open-addressing tables of 64-bit words (0 is an empty slot), in anonymous memory
that costs nothing until it is touched:

    63                                 20 19                     0
    | high 44 bits of hash(user, nonce) | 20 bits of hash(bet_id) |

The low bits of the key's hash choose the slot, so all 64 bits of it take part. With 4.5 million nonces a new
one is taken for a known one about once in 10^12 claims, and a reused one for a retry once in 10^6 reuses.
Python keys the hash of a string with a secret of the process (unless PYTHONHASHSEED is set), so nobody
outside can aim at either, or crowd one slot.

A generation starts with a table of room for half as many again as the last one held, or more. When a table
is half full, a larger one is put beside it: nothing is moved, so no claim ever waits for a rehash, and a
small server stays small.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from batcher.nonces import LIFE_S, Claim, Verdict

CAPACITY = 4_500_000
"""50,000 bets a second for 90 s (DESIGN)."""

SLOTS_MIN = 1 << 14  # 128 KiB of address space, of which an idle server touches nothing
GROWTH = 8  # the default capacity needs at most four tables, and a look-up tries them all

BET_BITS = 20
BET_MASK = (1 << BET_BITS) - 1
HASH_MASK = (1 << 64) - 1


class Table(NamedTuple):
    """Slots for nonces: a power of two of 64-bit words, and that number less one."""

    words: memoryview
    mask: int


class MemoryGuard:
    """Remembers nonces for `life_s` seconds in bounded memory; when full it sheds, it does not forget.

    `capacity` is what one generation may hold, so that many live nonces always fit. Measured on two shared
    cores with CPython 3.11, new nonces in batches of 1,000, in the third generation at the given rate:

        nonces/s       0     100    5,000   50,000
        us a claim     -     0.8      1.0      1.3
        MB resident  0.0       1       34      134   (144 at most, when the rate has only just been reached)
    """

    def __init__(
        self,
        life_s: float = LIFE_S,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is in monotonic seconds."""
        assert life_s > 0
        assert capacity > 0
        self._life_s = life_s
        self._capacity = capacity
        self._clock = clock
        # The largest table holds the whole capacity at three fifths full or less: 64 MiB for the default.
        self._slots_max = max(SLOTS_MIN, 1 << (capacity * 5 // 3).bit_length())
        self._old: list[Table] = []
        self._young: list[Table] = []  # the last one takes the new nonces
        self._held = 0  # nonces that fit into the tables of the young generation, so far
        self._space = 0  # of these, not yet there
        self._young_since_s = clock()
        self._add_table(SLOTS_MIN)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """One verdict for each claim, in order; an unknown nonce is SHED when there is no room for it."""
        self._turn()
        fresh, reused, shed = Verdict.FRESH, Verdict.REUSED, Verdict.SHED
        tables = [*self._old, *self._young]
        space = self._space
        verdicts = []
        for claim in claims:
            key = hash((claim.user_id, claim.nonce)) & HASH_MASK
            high = key >> BET_BITS
            bet = hash(claim.bet_id) & BET_MASK
            for words, mask in tables:  # the last one takes the nonce if none knows it
                at = key & mask
                while word := words[at]:
                    if word >> BET_BITS == high:
                        break
                    at = at + 1 & mask
                if word:
                    break
            if word:
                verdicts.append(fresh if word & BET_MASK == bet else reused)
            elif not space:
                verdicts.append(shed)
            else:
                words[at] = (high << BET_BITS | bet) or 1
                verdicts.append(fresh)
                self._space = space = space - 1
                if not space and self._held < self._capacity:
                    self._add_table(GROWTH * (mask + 1))
                    tables.append(self._young[-1])
                    space = self._space
        return verdicts

    async def reach(self) -> None:
        """It is always there."""

    def health(self) -> str | None:
        """A sentence while there is no room for another nonce."""
        self._turn()
        if self._space:
            return None
        return f"the nonce table is full: {self._capacity:,} within {self._life_s:g} s; new bets are shed"

    def status(self) -> None:
        """No breaker here."""

    async def close(self) -> None:
        """Give the memory back."""
        self._old.clear()
        self._young.clear()

    def _turn(self) -> None:
        """Let the generations age."""
        elapsed_s = self._clock() - self._young_since_s
        if elapsed_s < self._life_s:
            return
        turns = elapsed_s // self._life_s
        self._young_since_s += turns * self._life_s
        self._old = self._young if turns == 1 else []
        seen = self._held - self._space
        self._young = []
        self._held = self._space = 0
        self._add_table(1 << (3 * seen).bit_length())

    def _add_table(self, slots: int) -> None:
        slots = min(max(slots, SLOTS_MIN), self._slots_max)
        # Private, or Linux would back it by shared memory, which containers count and limit apart.
        pages = mmap.mmap(-1, 8 * slots, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._young.append(Table(memoryview(pages).cast("Q"), slots - 1))
        # Searching slows down beyond half full; the largest table alone may go on to the whole capacity.
        room = self._capacity - self._held
        self._space = room if slots == self._slots_max else min(room, slots // 2)
        self._held += self._space
