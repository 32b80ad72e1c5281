"""Passwords, hashed and verified by argon2id in a process of its own.

One takes 19 MiB and about 20 ms of a processor, so two at most run at a time, at the lowest priority there
is: a storm of log-ins waits for itself, and bets do not wait for it (`bench/logins.py`). A process, because a
thread of low priority is worse than none: where the machine is busy it is not run while it has the
interpreter's lock, and the event loop waits for that lock, whatever its own priority.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import secrets
import subprocess
import sys
import threading
from base64 import b64encode
from pathlib import Path
from typing import IO, Any, Final

from argon2 import PasswordHasher, Type

from engine.errors import SolidGreenError

log = logging.getLogger("solidgreen.people")

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
LANES: Final = 1
"""OWASP's Password Storage Cheat Sheet, argon2id: m=19456 (19 MiB), t=2, p=1."""

AT_A_TIME: Final = 2
"""On two cores; 38 MiB."""

HANDED_OVER: Final = 2 * AT_A_TIME
"""How many are in the other process, so that it never waits for the next; the pipe to it has room for
more."""

WAITING_MAX: Final = 200
"""Passwords that wait: two to four seconds' worth. Whoever comes then is told to come back."""

WITHIN_S: Final = 8.0
"""How long one may wait, where bets leave it no processor. An HTTP connection is given 10 s
(`ws/transport/http_door.py`)."""

PROGRAM: Final = Path(__file__).with_name("password_process.py")


class TooManyPasswords(SolidGreenError):
    """More are being checked than can be in a while, or what checks them is gone. Nothing is known of this
    one.
    """


class Passwords:
    """Hashes and verifies passwords. All on one event loop; the process is started when it is first needed,
    and `close` ends it."""

    def __init__(self) -> None:
        self._parameters = PasswordHasher(PASSES, MEMORY_KIB, LANES, type=Type.ID)
        self._handed_over = asyncio.Semaphore(HANDED_OVER)
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting = 0
        # Verified where nobody has the name, so that this takes as long and says as much. No password gives
        # it.
        salt, never = (b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32))
        self._nobody = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${never}"

    async def hash(self, password: str) -> str:
        """The text that is kept of a password. Raises `TooManyPasswords`."""
        kept: str = await self._ask(password, None)
        return kept

    async def verify(self, password: str, kept: str | None) -> bool:
        """Whether it is the password of which `kept` was made; never, where that is None, which takes as
        long. Raises `TooManyPasswords`."""
        matches: bool = await self._ask(password, kept or self._nobody)
        return matches and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made under other parameters than these, and should be made anew."""
        return self._parameters.check_needs_rehash(kept)

    def close(self) -> None:
        """End the process; what waits for it is not done."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()

    async def _ask(self, password: str, kept: str | None) -> Any:
        if self._waiting >= WAITING_MAX:
            raise TooManyPasswords("too many log-ins at a time")
        self._waiting += 1
        number = next(self._numbers)
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._handed_over.acquire()
                # Released by the answer, also where nobody waits for it any more: else a process that does
                # not read would find the pipe full some day, and the event loop would wait for it.
                answer = self._answers[number] = asyncio.get_running_loop().create_future()
                self._hand_over(json.dumps([number, password, kept]).encode() + b"\n")
                return await answer
        except TimeoutError as error:
            raise TooManyPasswords("log-ins take too long at the moment") from error
        finally:
            self._waiting -= 1

    def _hand_over(self, line: bytes) -> None:
        if self._process is None:
            try:
                self._process = self._started()
            except OSError as error:  # no descriptor, or no memory
                self._told(next(reversed(self._answers)), None)
                log.error("the process that checks passwords cannot be started: %s", error)
                return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: whoever reads from it finds that, and says so
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _started(self) -> subprocess.Popen[bytes]:
        # -P: beside the file lie modules with the names of Python's own.
        command = [sys.executable, "-P", str(PROGRAM), *map(str, (MEMORY_KIB, PASSES, LANES, AT_A_TIME))]
        process = subprocess.Popen(  # noqa: S603  # no text of a stranger's is in it
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(process, loop), name="passwords", daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        """On a thread: hand each answer to the loop, until there are no more."""
        assert process.stdout is not None
        assert process.stdin is not None
        pipes: tuple[IO[bytes], IO[bytes]] = process.stdin, process.stdout
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            for line in process.stdout:
                loop.call_soon_threadsafe(self._told, *json.loads(line))
            loop.call_soon_threadsafe(self._ended, process)
        for pipe in pipes:
            with contextlib.suppress(OSError):
                pipe.close()

    def _told(self, number: int, answer: str | bool | None) -> None:
        waiting = self._answers.pop(number, None)
        if waiting is None:
            return
        self._handed_over.release()
        if waiting.done():
            return
        if answer is None:
            waiting.set_exception(TooManyPasswords("log-ins cannot be checked at the moment"))
        else:
            waiting.set_result(answer)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        if self._process is not process:
            return  # by `close`
        log.error("the process that checks passwords has ended; the next log-in starts another")
        self._process = None
        process.wait()
        for number in [*self._answers]:
            waiting = self._answers.pop(number)
            self._handed_over.release()
            if not waiting.done():
                waiting.set_exception(TooManyPasswords("log-ins are interrupted; try again"))
