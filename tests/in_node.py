"""Runs a script in Node, 18 or later, with a WebSocket: Node's own from 22 on, or behind its flag from 20.10;
on older ones that of the package `ws`, which `tests/websocket.mjs` finds beside the client."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
WITHIN_S = 100


@functools.cache
def command() -> tuple[str, ...]:
    """How to call Node here."""
    program = shutil.which("node")
    assert program, "the client in JavaScript needs Node 18 or later: there is no `node` on the PATH"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(version.lstrip("v").partition(".")[0])
    flags = ("--experimental-websocket", "--no-warnings") if major in (20, 21) else ("--no-warnings",)
    return (program, *flags)


def node(script: str, *arguments: str) -> str:
    """What a script of this folder prints. Fails the test on any status but 0."""
    done = subprocess.run(
        [*command(), FOLDER / script, *arguments], capture_output=True, text=True, timeout=WITHIN_S
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-5000:]}"
    return done.stdout
