"""A process that hashes, seen from the event loop: lines go in, answers come out.

There are two of them (`ws/people/passwords.py`). Handing a line over never waits: whoever does so keeps what
a process has within what a pipe takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from ws.beside.apart import ENDING_S
from ws.beside.priority import give_way

log = logging.getLogger("solidgreen.people")

PROGRAM: Final = Path(__file__).with_name("password_process.py")


class Hasher:
    """One process, started when it is first needed, and again where it has ended by itself. All of it on one
    event loop."""

    def __init__(
        self, program: tuple[str, ...], told: Callable[[int, Any], object], *, is_idle: bool
    ) -> None:
        """`program`: its arguments. `told`: hears the number of each line and its answer; None where there is
        none, since the process has ended or has no memory. `is_idle`: see `give_way`."""
        self.outstanding: set[int] = set()
        """The numbers of the lines that it has not answered."""
        self._program = program
        self._told = told
        self._is_idle = is_idle
        self._process: subprocess.Popen[bytes] | None = None

    def hand_over(self, number: int, line: bytes) -> None:
        """Have it answer a line; `number` stands in it."""
        self.outstanding.add(number)
        if self._process is None:
            try:
                self._process = self._started()
            except OSError as error:  # no descriptor, or no memory
                log.error("a process that checks passwords cannot be started: %s", error)
                asyncio.get_running_loop().call_soon(self._answered, number, None)
                return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: whoever reads from it finds that, and says so
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def close(self) -> None:
        """End it. Of what it has nobody is told."""
        self.outstanding.clear()
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
                process.wait(ENDING_S)

    def _started(self) -> subprocess.Popen[bytes]:
        # -P: beside the file lie modules with the names of Python's own.
        command = [sys.executable, "-P", str(PROGRAM), *self._program]
        process = subprocess.Popen(  # noqa: S603  # no text of a stranger's is in it
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        give_way(process.pid, is_idle=self._is_idle)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(process, loop), name="passwords", daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        """On a thread: hand each answer to the loop, until there are no more, and wait for its end."""
        assert process.stdout is not None
        assert process.stdin is not None
        pipes: tuple[IO[bytes], IO[bytes]] = process.stdin, process.stdout
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            for line in process.stdout:
                loop.call_soon_threadsafe(self._answered, *json.loads(line))
            loop.call_soon_threadsafe(self._ended, process)
        for pipe in pipes:
            with contextlib.suppress(OSError):
                pipe.close()
        process.wait()

    def _answered(self, number: int, answer: str | bool | None) -> None:
        if number in self.outstanding:
            self.outstanding.discard(number)
            self._told(number, answer)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        if self._process is not process:
            return  # by `close`
        log.error("a process that checks passwords has ended; the next log-in starts another")
        self._process = None
        for number in [*self.outstanding]:
            self._answered(number, None)
