"""Keeps the write-ahead log bounded, and looks whether it can be written back into the database.

The store checkpoints when it has written `writer.CHECKPOINT_PAGES`, but the log cannot begin anew as long as
any reader is in it (sqlite.org/wal.html, "Avoiding Excessively Large WAL Files"). So once it is too long, the
store is asked for a checkpoint that waits for the readers and cuts it; and for an ordinary one where there
was none for long, so that a fault is heard of also while hardly anything is written. Both are done between
two batches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from batcher.clock import monotonic_us
from batcher.expiry import AT_ONCE
from engine.errors import StoreFault
from engine.store import Store

log = logging.getLogger("solidgreen.log")

LOOK_EVERY_S: Final = 1.0
CHECKPOINT_EVERY_US: Final = 30_000_000
"""How long a fault of checkpoints may stay unheard: only the log's length rests on them. One costs some 10 ms
of the writer's time, on a slow disk two syncs."""

LOG_MAX_BYTES: Final = 64 * 1024 * 1024
"""Four times what it has when nothing is in its way; the next start reads as much before it serves."""

WAIT_MS: Final = 50
"""How long bets wait for the readers in a log that is too long, at most once a second."""

WAIT_LONGER_MS: Final = 500
"""Likewise once it is twice too long: readers that overlap, each for longer than `WAIT_MS`, would hold it
open for ever. A quarter of a bet's deadline."""

WAIT_LONGER_EVERY_US: Final = 10_000_000
"""Where that was in vain as well, somebody copies the file or has forgotten a shell: bets wait as long no
more often than this."""

SAY_EVERY_US: Final = 60_000_000
"""Between two lines in the log."""


class LogKeeper:
    """Sees to the write-ahead log of a store."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int] = monotonic_us,
        log_max_bytes: int = LOG_MAX_BYTES,
        room: Callable[[], int] = lambda: AT_ONCE,
    ) -> None:
        """`clock`: monotonic, in microseconds. `room`: how many commands of the server's own are welcome now;
        with fewer than two nothing waits for readers, since a circuit that is tried counts each wait.
        """
        self._store = store
        self._room = room
        self._path = store.path.with_name(f"{store.path.name}-wal")
        self._clock = clock
        self._log_max_bytes = log_max_bytes
        self._commits = store.commits
        self._checkpoints = store.checkpoints
        self._due_us = clock() + CHECKPOINT_EVERY_US
        self._may_wait_longer_us = 0
        self._quiet_until_us: int | None = None

    async def run(self) -> None:
        """Look after the log; for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Checkpoint if it is time to, or if the log is too long."""
        now_us, commits = self._clock(), self._store.commits
        if self._store.checkpoints != self._checkpoints:
            self._checkpoints, self._due_us = self._store.checkpoints, now_us + CHECKPOINT_EVERY_US
        size = log_bytes(self._path)
        if size <= self._log_max_bytes and (commits == self._commits or now_us < self._due_us):
            return
        wait_ms = None if size <= self._log_max_bytes else self._patience_ms(size, now_us)
        try:
            is_whole = await self._store.checkpoint(wait_ms)
        except StoreFault as fault:
            # Of a storage that has failed the batcher speaks.
            if self._store.failure is None and self._may_say(now_us):
                log.warning("the write-ahead log cannot be written back, nothing is lost: %s", fault)
            return
        self._checkpoints = self._store.checkpoints
        self._commits, self._due_us = commits, now_us + CHECKPOINT_EVERY_US
        if wait_ms is not None and not is_whole and self._may_say(now_us):
            log.warning("a reader pins the write-ahead log: %d MiB, and it grows", size >> 20)

    def _patience_ms(self, size: int, now_us: int) -> int:
        if self._room() < 2:
            return 0
        if size > 2 * self._log_max_bytes and now_us >= self._may_wait_longer_us:
            self._may_wait_longer_us = now_us + WAIT_LONGER_EVERY_US
            return WAIT_LONGER_MS
        return WAIT_MS

    def _may_say(self, now_us: int) -> bool:
        is_quiet = self._quiet_until_us is not None and now_us < self._quiet_until_us
        if not is_quiet:
            self._quiet_until_us = now_us + SAY_EVERY_US
        return not is_quiet


def log_bytes(path: Path) -> int:
    """The length of this write-ahead log. It is not opened: to close it again would drop SQLite's locks
    (sqlite.org/howtocorrupt.html, 2.2)."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
