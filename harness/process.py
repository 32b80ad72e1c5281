"""The `solidgreen` command as a process: seed a file, serve it, kill it, ask its verdict.

Only the public command line is used, so that whatever is measured or proved here holds for what a user runs.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JWT_SECRET = "harness-secret-that-is-long-enough-for-hs256"  # signs tokens for servers started here only
READY_WITHIN_S = 30.0
PORTS = range(10_000, 32_768)  # below those of outgoing connections: Linux, net.ipv4.ip_local_port_range
PORTS_APART = 8713  # a prime by which processes less than 50 ids apart begin at least 250 ports apart
PATIENT = {
    **{"breaker_commit_ms": "60000", "breaker_queue_ms": "60000"},
    **{"rate_login": "off", "rate_refresh": "off", "rate_money": "off", "rate_user": "off"},
}
"""For tests of function: a disk that stalls for a second or two opens no circuit, it only takes longer; and a
test asks as often as it has to."""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now, and that this process has not been given before.

    A port is only taken when its server binds it. Until then the kernel must not give it to an outgoing
    connection, so it comes from below the range it takes those from; nor may another process of the same test
    run be told of it, so each walks from a place of its own. Raises `RuntimeError` when none is left.
    """
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port that is set aside for servers of the tests has been given out")


def _own_ports() -> Iterator[int]:
    first = os.getpid() * PORTS_APART % len(PORTS)
    yield from itertools.chain(PORTS[first:], PORTS[:first])


_ports = _own_ports()


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with the harness's secret and `settings` (names without `SOLIDGREEN_`)."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SOLIDGREEN_")}
    named = {f"SOLIDGREEN_{name.upper()}": value for name, value in settings.items()}
    # Text: whoever reads the log of a server here is a person, or a test that looks for words.
    return inherited | {"SOLIDGREEN_JWT_SECRET": JWT_SECRET, "SOLIDGREEN_LOG_FORMAT": "text"} | named


def solidgreen(
    *arguments: str, check: bool = True, module: str = "cli.main", said: str | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run one `solidgreen` command to its end. Raises `RuntimeError` on a status other than 0 if `check`.
    `module`: what is run, as with `Server`. `said`: on its standard input.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, env=environment(**settings), input=said, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def seed(
    db: Path, players: int, balance: int = 100_000, currency: str = "EUR", module: str = "cli.main"
) -> list[dict[str, Any]]:
    """Create `players` wallets of `balance` minor units; each with its access token, valid for a day."""
    done = solidgreen(
        "seed", "--db", str(db), "--players", str(players), "--balance", str(balance),
        "--currency", currency, "--json", "--tokens", module=module,
    )  # fmt: skip
    seeded: list[dict[str, Any]] = json.loads(done.stdout)["players"]
    return seeded


def token(db: Path, user_id: int, role: str = "player", module: str = "cli.main") -> str:
    """An access token from the command line."""
    asked = ("token", "--db", str(db), "--user", str(user_id), "--role", role)
    return solidgreen(*asked, module=module).stdout.strip()


@dataclass
class Server:
    """One `solidgreen serve` process on loopback. Use as a context manager; leaving it stops the process."""

    db: Path
    port: int = field(default_factory=free_port)
    redis_url: str | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: PATIENT)
    """Variables, named without `SOLIDGREEN_`; `{}` for what a user runs."""
    module: str = "cli.main"
    """What is run as `solidgreen`: a test may have a server that is broken on purpose."""
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def start(self) -> Server:
        """Start and wait until `/health/live` answers. Raises `RuntimeError` with the log if it does not."""
        command = [sys.executable, "-m", self.module, "serve", "--db", str(self.db), "--port", str(self.port)]
        if self.redis_url:
            command += ["--redis-url", self.redis_url]
        self.log = self.log or self.db.with_suffix(f".{self.port}.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment(**self.settings), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"{self.http}/health/live", timeout=2).close()
                return self
            time.sleep(0.02)  # the process gives no other sign that its port is open
        self.kill()
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")

    def stop(self) -> int:
        """SIGTERM, then the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """SIGKILL: nothing in the process runs any more."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
