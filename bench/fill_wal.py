"""A process to be killed with a full WAL, as a server under load may be: `python -m bench.fill_wal --db F`.

Commits bets until the WAL holds as many pages as the engine lets it collect before it checkpoints, none of
them copied into the database yet, prints how many entries the ledger has by then, and waits for its end. That
is the most that the next start must recover.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

from bench import machine
from bench.bets import DoesNotCount, Traffic, entries_in, opened, place, player_ids
from engine.files import open_read_only
from engine.writer import CHECKPOINT_PAGES

FRAME_HEADER_BYTES = 24
"""Of each page in the WAL (sqlite.org/fileformat2.html, section 4.1)."""

BATCH = 20
"""Small: each commit writes the pages that it shares with the last one again, which fills a WAL soonest."""


def full_wal_bytes(connection: sqlite3.Connection) -> int:
    """How large the WAL grows before the engine's writer, whose connection this is, checkpoints."""
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return CHECKPOINT_PAGES * (int(page_bytes) + FRAME_HEADER_BYTES)


async def fill(path: Path, version: int) -> None:
    """Place bets under ids of `version` until the WAL is full, say so, and stay until killed."""
    wal = path.with_name(f"{path.name}-wal")
    traffic = Traffic(player_ids(path), version, Random())
    async with opened(path) as store:
        full = await store.set_up(full_wal_bytes)
        with contextlib.closing(open_read_only(path)) as pin:
            # A snapshot of before the first of these commits: no checkpoint may pass it.
            pin.execute("BEGIN")
            pin.execute("SELECT count(*) FROM blocks").fetchone()
            while not wal.exists() or wal.stat().st_size < full:
                await place(store, [traffic.batch(BATCH)])
            print(entries_in(path), flush=True)
            sys.stdin.read()


def killed_with_full_wal(path: Path, version: int) -> int:
    """Leave `path` as kill -9 leaves it; how many entries had been committed. Raises `DoesNotCount`."""
    command = [sys.executable, "-m", "bench.fill_wal", "--db", str(path), "--version", str(version)]
    with subprocess.Popen(
        command, cwd=machine.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    if not said.strip().isdecimal():
        raise DoesNotCount(f"the process that fills the WAL of {path.name} ended before it was full (above)")
    return int(said)


def main() -> None:
    """Fill and wait."""
    parser = argparse.ArgumentParser(prog="python -m bench.fill_wal", description=__doc__.splitlines()[0])
    parser.add_argument("--db", type=Path, required=True, help="a seeded file that nobody serves")
    parser.add_argument("--version", type=int, choices=(4, 7), default=7, help="of the bet ids (default 7)")
    chosen = parser.parse_args()
    asyncio.run(fill(chosen.db, chosen.version))


if __name__ == "__main__":
    main()
