"""The sizes that `/metrics` and `/health/ready` show: of the file, its log and its disk, and of the ledger.

A disk that hangs must not keep the other figures from being told: the ledger's are the last ones known
where they are not read in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from engine.backup import backed_up_at
from engine.errors import SolidGreenError
from engine.sizes import Sizes, sizes
from engine.store import Store
from engine.writer import ROOM_BYTES

READ_WITHIN_S: Final = 0.25
"""How long a scrape waits for the ledger's sizes, which take 0.1 ms of the reader's thread."""

LOW_SHARE: Final = 0.1
"""Of the disk; with less left it is time to make room. The alert says the same (deploy/prometheus)."""


class Disk(NamedTuple):
    """The room of a file system, in bytes; `free`: for this process, not for root."""

    total: int
    free: int

    @property
    def status(self) -> str:
        """`full`: no batch is begun; `low`: time to make room; else `ok`."""
        if self.free < ROOM_BYTES:
            return "full"
        return "low" if self.free < self.total * LOW_SHARE else "ok"


class Gauge:
    """Reads them; of one file. Make it in the running loop."""

    def __init__(self, store: Store) -> None:
        self.path = store.path
        self.newest: Sizes | None = None
        """Of the ledger, as of the last time that it could be read."""
        self._store = store
        self._reading: asyncio.Task[None] | None = None

    def file_bytes(self) -> int | None:
        """Of the database file; None: it cannot be looked at."""
        return _size(self.path)

    def log_bytes(self) -> int | None:
        """Of the write-ahead log; 0 while there is none, None: it cannot be looked at."""
        return _size(self.path.with_name(f"{self.path.name}-wal"))

    def backed_up_at_s(self) -> float | None:
        """When the newest good backup was begun; 0: never, None: nobody can look."""
        return backed_up_at(self.path)

    def disk(self) -> Disk | None:
        """Where the file is; None: it does not tell."""
        try:
            disk = os.statvfs(self.path)
        except OSError:
            return None
        return Disk(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize) if disk.f_blocks else None

    async def read(self) -> None:
        """Look how long the ledger is, for a moment; whoever comes meanwhile waits for the same look."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="sizes")
        await asyncio.wait([self._reading], timeout=READ_WITHIN_S)

    async def _read(self) -> None:
        with contextlib.suppress(SolidGreenError, sqlite3.Error, ValueError):  # ValueError: it is closed
            self.newest = await self._store.read(sizes)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError:
        return None
