"""Disks that are slower, or steadier, than the machine's own, for servers that are measured on them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest import mock

from harness.preload import compiled

MEMORY: Final = Path("/dev/shm")
"""Linux' disk in memory. With syncs that take a while of their own it is as slow as a disk, and always the
same: what another machine's disk does by itself, from hour to hour, is left out."""

SOURCE: Final = Path(__file__).with_name("slow_sync.c")


@contextlib.contextmanager
def slow_disk(folder: Path, sync_us: int) -> Iterator[None]:
    """Servers that are started meanwhile have a disk whose syncs take `sync_us` longer; 0: as it is. The
    library that does it is compiled into `folder`. Raises `RuntimeError` without a compiler."""
    if not sync_us:
        yield
        return
    library = compiled(SOURCE, folder)
    with mock.patch.dict(os.environ, {"LD_PRELOAD": str(library), "BENCH_SYNC_US": str(sync_us)}):
        yield
