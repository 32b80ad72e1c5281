"""What is measured beside something else that the server does: bets in an open loop, and an operator's
socket."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

from bench.machine import ROOT
from harness.process import Server
from harness.wire import SUBPROTOCOL

PER_S: Final = 2_000
"""Bets offered."""


@dataclass(slots=True)
class Operator:
    """An operator's socket."""

    socket: ClientConnection
    asked: int = 0

    def ask(self, **message: Any) -> dict[str, Any]:
        """Send a request and return its reply. Raises `RuntimeError` if that is an error."""
        self.asked += 1
        id_ = f"r{self.asked}"
        self.socket.send(json.dumps(message | {"id": id_}))
        while True:
            for reply in _each(json.loads(self.socket.recv(timeout=30))):
                if reply.get("id") == id_ and reply["type"] != "bet.pending":
                    if reply["type"] == "error":
                        raise RuntimeError(f"{message['type']}: {reply['code']}: {reply['message']}")
                    return reply


@contextlib.contextmanager
def operator(server: Server, secret: str) -> Iterator[Operator]:
    """An operator's socket, welcomed."""
    headers = {"Authorization": f"Bearer {secret}"}
    with connect(
        server.ws, subprotocols=[SUBPROTOCOL], additional_headers=headers, proxy=None, max_size=None
    ) as socket:
        socket.recv(timeout=10)
        yield Operator(socket)


@contextlib.contextmanager
def betting(server: Server, tokens: list[str], seconds: float) -> Iterator[dict[str, Any]]:
    """Bets in an open loop while the caller does something else; once that is left, and they are over, the
    dictionary holds their latencies in milliseconds."""
    assert server.process is not None
    job = {
        "url": server.ws, "per_s": PER_S, "warm_up_s": 1.0, "seconds": seconds, "tokens": tokens,
        "watch": {"server": server.process.pid},
    }  # fmt: skip
    told: dict[str, Any] = {}
    driver = subprocess.Popen(
        [sys.executable, "-m", "bench.open_loop"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert driver.stdin is not None
        driver.stdin.write(json.dumps(job).encode())
        driver.stdin.close()
        yield told
        assert driver.stdout is not None
        told.update(_latencies(json.loads(driver.stdout.read())))
        driver.wait()
    finally:
        driver.kill()
        driver.wait()
        if driver.stdout is not None:
            driver.stdout.close()


def bets(server: Server, tokens: list[str], seconds: float) -> dict[str, Any]:
    """Bets in an open loop: latencies in milliseconds."""
    with betting(server, tokens, seconds) as told:
        pass
    return told


def look(db: Path, sql: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Rows as any shell would read them, beside a running server or after its death."""
    with contextlib.closing(sqlite3.connect(db, timeout=5.0)) as connection:
        return connection.execute(sql, values).fetchall()


def _latencies(told: dict[str, Any]) -> dict[str, Any]:
    if told["refused"] or told["unanswered"]:
        raise RuntimeError(f"bets were refused or not answered: {told['refused']}, {told['unanswered']}")
    quantiles = {name: round(us / 1_000, 2) for name, us in told["latency_us"].items()}
    return {"per_s": told["per_s"], **{f"{name}_ms": ms for name, ms in quantiles.items()}}


def _each(frame: Any) -> list[dict[str, Any]]:
    return frame if isinstance(frame, list) else [frame]
