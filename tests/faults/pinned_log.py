"""Twenty processes and some sockets that read in a loop, while bets run: how long the write-ahead log gets.

    python -m tests.faults.pinned_log --bets 200000
    python -m tests.faults.pinned_log --bets 200000 --without keeper     it grows for as long as they read

Readers of whose looks one is always open keep SQLite from beginning the log anew, however short each one is.
Exit status: 0 if the log stayed below one and a half times its bound.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from batcher import log_keeper
from batcher.log_keeper import log_bytes
from engine.reconcile import reconcile
from harness.process import seed
from harness.wire import bet, connect
from tests.in_process import run, serving

READERS = 20
BETTING_SOCKETS, BETS_AT_ONCE = 4, 25
ASKING_SOCKETS = 4
UNBOUNDED = 1 << 60

READER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA query_only = ON")
print("reading", flush=True)
while True:
    connection.execute("BEGIN")
    connection.execute("SELECT max(id) FROM transaction_ledger").fetchone()
    time.sleep(float(sys.argv[2]))
    connection.execute("SELECT sum(balance) FROM users").fetchone()
    connection.execute("COMMIT")
"""


@dataclass
class Shown:
    """What the run has shown."""

    bets: int = 0
    looks: int = 0
    """Of sockets: `resume` and receipts."""
    refused: dict[str, int] = field(default_factory=dict)
    log_max_bytes: int = 0
    """The longest that the log was."""
    frames_ms: list[float] = field(default_factory=list)
    """How long each frame of bets took."""
    findings: list[str] = field(default_factory=list)

    def count(self, answer: dict[str, Any]) -> None:
        if "code" in answer:
            self.refused[answer["code"]] = self.refused.get(answer["code"], 0) + 1


@contextlib.asynccontextmanager
async def readers(db: Path, count: int, hold_s: float) -> AsyncIterator[None]:
    """So many processes that read `db` in a loop, each look open for `hold_s`."""
    command = [sys.executable, "-S", "-c", READER, str(db), str(hold_s)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for each in started:
            assert each.stdout is not None
            assert await asyncio.to_thread(each.stdout.readline) == b"reading\n"
        yield
    finally:
        for each in started:
            each.kill()
            each.communicate()


async def measure(
    folder: Path, bets: int, *, bound: int = log_keeper.LOG_MAX_BYTES, hold_s: float = 0.01
) -> Shown:
    """Have so many bets confirmed beside readers, by a server in this process."""
    db, shown = folder / "books.db", Shown()
    players = seed(db, BETTING_SOCKETS + ASKING_SOCKETS, balance=10_000_000)

    async def play(url: str, player: dict[str, Any]) -> None:
        async with connect(url, player["token"]) as wire:
            while shown.bets < bets:
                began_s = time.perf_counter()
                answers = await wire.ask_all(*(bet(1) for _ in range(BETS_AT_ONCE)))
                shown.frames_ms.append((time.perf_counter() - began_s) * 1000)
                for answer in answers:
                    shown.bets += answer["type"] == "bet.confirmed"
                    shown.count(answer)

    async def ask(url: str, player: dict[str, Any]) -> None:
        async with connect(url, player["token"]) as wire:
            placed = await wire.ask(bet(1))
            while shown.bets < bets:
                for request in (
                    {"type": "resume", "from_seq": 0},
                    {"type": "receipt.get", "transaction_id": placed["transaction_id"]},
                ):
                    shown.count(await wire.ask(request))
                    shown.looks += 1

    async def watch() -> None:
        while True:
            shown.log_max_bytes = max(shown.log_max_bytes, log_bytes(db.with_name(f"{db.name}-wal")))
            await asyncio.sleep(0.01)

    async with serving(db, bound, nonces=2 * bets) as url, readers(db, READERS, hold_s):
        watching = asyncio.create_task(watch())
        playing = [play(url, player) for player in players[:BETTING_SOCKETS]]
        await asyncio.gather(*playing, *(ask(url, player) for player in players[BETTING_SOCKETS:]))
        watching.cancel()
    shown.findings = [str(finding) for finding in reconcile(db).findings]
    shown.frames_ms.sort()
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; prints what it has shown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bets", type=int, default=200_000)
    parser.add_argument("--hold-ms", type=float, default=10, help="how long each look is open")
    parser.add_argument("--bound-mib", type=float, default=log_keeper.LOG_MAX_BYTES / 2**20)
    parser.add_argument("--without", choices=["keeper"])
    options = parser.parse_args(arguments)
    bound = UNBOUNDED if options.without else int(options.bound_mib * 2**20)

    shown = Shown()

    async def measured() -> None:
        nonlocal shown
        with tempfile.TemporaryDirectory() as name:
            shown = await measure(Path(name), options.bets, bound=bound, hold_s=options.hold_ms / 1000)

    run(measured())
    frames = shown.frames_ms
    report = asdict(shown) | {
        "frames_ms": {f"p{share}": round(frames[len(frames) * share // 100], 1) for share in (50, 99)}
        | {"max": round(frames[-1], 1)},
        "log_max_mib": round(shown.log_max_bytes / 2**20, 1),
    }
    print(json.dumps(report))
    return 0 if shown.log_max_bytes < 1.5 * options.bound_mib * 2**20 and not shown.findings else 1


if __name__ == "__main__":
    sys.exit(main())
