"""The test stand: what measurements over the wire share, and a wallet on it that is audited afterwards."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.machine import ROOT
from bench.processes import ask, listening, own_redis
from harness.process import Server, free_port, solidgreen

Figures = dict[str, Any]
"""What a program measured, as it printed it."""

GRACE_S = 120.0  # for connecting, and for the last answers
LOG_CHARS = 2_000
KIB = 1_024


@dataclass(frozen=True, slots=True)
class Stand:
    """How long to measure, with whose wallets, and where the wallet keeps its nonces."""

    seeded: Path  # every wallet starts from a copy of this file
    tokens: list[str]  # of all players; one socket is one wallet
    warm_up_s: float
    seconds: float
    nonces: str = "redis"  # or "memory"
    redis_url: str | None = None  # a server that is there already; None: one of our own, fresh for each run

    @property
    def window(self) -> dict[str, float]:
        """The part of a driver's job that is the same for all."""
        return {"warm_up_s": self.warm_up_s, "seconds": self.seconds}

    @property
    def within_s(self) -> float:
        """When a driver has certainly failed."""
        return self.warm_up_s + self.seconds + GRACE_S

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder beside the seeded file, so on the same disk."""
        with tempfile.TemporaryDirectory(dir=self.seeded.parent) as folder:
            yield Path(folder)

    def echo(self, connections: int, in_flight: int) -> Figures:
        """Figures of the bare echo under a closed loop."""
        port = free_port()
        with listening([sys.executable, "-m", "bench.echo", "--port", str(port)], port) as process:
            job = {
                "url": f"ws://127.0.0.1:{port}/ws",
                "connections": connections,
                "in_flight": in_flight,
                "watch": {"server": process.pid},
            }
            return ask("bench.driver", [], self.within_s, json.dumps(self.window | job))

    @contextlib.contextmanager
    def wallet(self) -> Iterator[Wallet]:
        """A wallet that runs until the block ends, and has its `audit` afterwards."""
        with self.folder() as folder:
            db = Path(shutil.copy(self.seeded, folder))
            with contextlib.ExitStack() as running:
                watch: dict[str, int] = {}
                redis_url = None
                if self.nonces == "redis" and (redis_url := self.redis_url) is None:
                    redis_url, watch["redis"] = running.enter_context(own_redis())
                server = running.enter_context(Server(db, redis_url=redis_url, settings={}))
                assert server.process is not None
                watch["server"] = server.process.pid
                wallet = Wallet(self, server.ws, watch)
                try:
                    yield wallet
                except RuntimeError as error:
                    error.add_note(f"the server's last words: {last_words(server)}")
                    raise
            wallet.audit = {
                "verdict": verdict(db),
                "bets_in_ledger": bets_in_ledger(db),
                "log": last_words(server),
            }


@dataclass(slots=True)
class Wallet:
    """A running `solidgreen serve`, and what can be done to it from outside."""

    stand: Stand
    url: str
    watch: dict[str, int]  # name -> process id
    audit: Figures = field(default_factory=dict)

    def players(self, number: int, *, apart_from: Sequence[str] = ()) -> list[str]:
        """Tokens of `number` players, spread over the file, so that those in play are no neighbours there."""
        taken = set(apart_from)
        free = [token for token in self.stand.tokens if token not in taken]
        assert len(free) >= number, f"{number} players asked for, {len(free)} are free"
        return free[:: len(free) // number][:number]

    def closed_loop(self, connections: int, in_flight: int, **more: Any) -> Figures:
        """As much as it can do; `more` of the job as in `bench.driver`."""
        job = {
            "url": self.url,
            "connections": connections,
            "in_flight": in_flight,
            "tokens": self.players(connections),
            "watch": self.watch,
        }
        return ask("bench.driver", [], self.stand.within_s, json.dumps(self.stand.window | job | more))

    def open_loop(self, per_s: float, connections: int, **more: Any) -> Figures:
        """`per_s` bets a second, come what may; `more` of the job as in `bench.open_loop`."""
        job = {
            "url": self.url,
            "per_s": per_s,
            "tokens": self.players(connections),
            "watch": self.watch,
        }
        return ask("bench.open_loop", [], self.stand.within_s, json.dumps(self.stand.window | job | more))

    def memory_kib(self) -> dict[str, float]:
        """What the server's process has for itself (USS), and what of it and of its libraries is resident."""
        of = psutil.Process(self.watch["server"]).memory_full_info()
        return {"uss": of.uss / KIB, "rss": of.rss / KIB}

    @contextlib.contextmanager
    def idle(self, tokens: Sequence[str]) -> Iterator[Figures]:
        """Hold one idle connection for each token. The figures are complete after the block."""
        with subprocess.Popen(
            [sys.executable, "-m", "bench.idle"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps({"url": self.url, "tokens": list(tokens)}) + "\n")
                process.stdin.flush()
                opened = process.stdout.readline()
                if not opened:
                    raise RuntimeError(
                        f"bench.idle: ended with status {process.wait()} (its words are above)"
                    )
                figures: Figures = json.loads(opened)
                yield figures
                process.stdin.close()
                figures |= json.loads(process.stdout.read())
                process.wait(GRACE_S)
            finally:
                process.kill()


def last_words(server: Server) -> str:
    """The end of the server's log, which goes with its folder."""
    assert server.log is not None
    return server.log.read_text(errors="replace")[-LOG_CHARS:]


def verdict(db: Path) -> Figures:
    """What `solidgreen reconcile` says."""
    done = solidgreen("reconcile", "--db", str(db), "--json", check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"reconcile: status {done.returncode}\n{done.stderr}")
    said: Figures = json.loads(done.stdout)
    return said


def bets_in_ledger(db: Path) -> int:
    """How many bets moved money, counted in the file with nothing but SQLite."""
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT COUNT(DISTINCT ref_id) FROM transaction_ledger WHERE ref_type = 'BET'"
        return int(connection.execute(query).fetchone()[0])
