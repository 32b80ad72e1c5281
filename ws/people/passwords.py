"""Passwords, hashed and verified by argon2id in a process of its own.

One takes 19 MiB and about 20 ms of a processor, so two at most run at a time, at the lowest priority there
is, and with rests between them while bets are under way (`ws/people/pace.py`): a storm of log-ins waits for
itself. A process, because a thread of low priority is worse than none: where the machine is busy it is not
run while it has the interpreter's lock, and the event loop waits for that lock, whatever its own priority.
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
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from argon2 import PasswordHasher, Type

from engine.errors import SolidGreenError
from ws.people.pace import Pace

log = logging.getLogger("solidgreen.people")

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
LANES: Final = 1
"""OWASP's Password Storage Cheat Sheet, argon2id: m=19456 (19 MiB), t=2, p=1."""

AT_A_TIME: Final = 2
"""On two cores; 38 MiB."""

WAITING_MAX: Final = 200
"""Passwords that wait: two to five seconds' worth. Whoever comes then is told to come back."""

WITHIN_S: Final = 8.0
"""How long one may wait, where bets leave it no processor. An HTTP connection is given 10 s
(`ws/transport/http_door.py`)."""

PROGRAM: Final = Path(__file__).with_name("password_process.py")


class TooManyPasswords(SolidGreenError):
    """More are being checked than can be in a while, or what checks them is gone. Nothing is known of this
    one.
    """


class _Asked(NamedTuple):
    """What is to be done, as the process reads it, and who waits for the answer."""

    number: int
    line: bytes
    answer: asyncio.Future[Any]


class _InHand(NamedTuple):
    """What the process has, and since when."""

    answer: asyncio.Future[Any]
    began_s: float


class Passwords:
    """Hashes and verifies passwords. All on one event loop; the process is started when it is first needed,
    and `close` ends it. `bets`: how many were answered so far, for the pace."""

    def __init__(self, bets: Callable[[], int] = lambda: 0) -> None:
        self._bets = bets
        self._pace = Pace()
        self._parameters = PasswordHasher(PASSES, MEMORY_KIB, LANES, type=Type.ID)
        self._numbers = itertools.count()
        self._queue: deque[_Asked] = deque()
        self._rest: asyncio.TimerHandle | None = None
        self._in_hand: dict[int, _InHand] = {}
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
        """End the process; what waits for it is not done, also when a rest is over."""
        self._queue.clear()
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()

    async def _ask(self, password: str, kept: str | None) -> Any:
        if self._waiting >= WAITING_MAX:
            raise TooManyPasswords("too many log-ins at a time")
        self._waiting += 1
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._queue.append(_Asked(number, json.dumps([number, password, kept]).encode() + b"\n", answer))
        self._go_on()
        try:
            async with asyncio.timeout(WITHIN_S):
                return await answer
        except TimeoutError as error:
            raise TooManyPasswords("log-ins take too long at the moment") from error
        finally:
            self._waiting -= 1

    def _go_on(self) -> None:
        """Hand over what may be by now. The process has few at a time: else, where it does not read, the pipe
        to it would be full some day, and the event loop would wait for it."""
        loop = asyncio.get_running_loop()
        while self._queue:
            if self._queue[0].answer.done():  # whoever waited has gone
                self._queue.popleft()
                continue
            wait_s = self._pace.wait_s(loop.time(), self._bets())
            if wait_s is None:
                return
            if wait_s > 0:
                self._rest = self._rest or loop.call_later(wait_s, self._rested)
                return
            asked = self._queue.popleft()
            self._pace.began(self._bets())
            self._in_hand[asked.number] = _InHand(asked.answer, loop.time())
            self._hand_over(asked)

    def _rested(self) -> None:
        self._rest = None
        self._go_on()

    def _hand_over(self, asked: _Asked) -> None:
        if self._process is None:
            try:
                self._process = self._started()
            except OSError as error:  # no descriptor, or no memory
                log.error("the process that checks passwords cannot be started: %s", error)
                asyncio.get_running_loop().call_soon(self._told, asked.number, None)
                return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: whoever reads from it finds that, and says so
            self._process.stdin.write(asked.line)
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
        self._done(number, answer, "log-ins cannot be checked at the moment")

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        if self._process is not process:
            return  # by `close`
        log.error("the process that checks passwords has ended; the next log-in starts another")
        self._process = None
        process.wait()
        for number in [*self._in_hand]:
            self._done(number, None, "log-ins are interrupted; try again")

    def _done(self, number: int, answer: str | bool | None, otherwise: str) -> None:
        """It has its answer; None: there is none, and `otherwise` is said."""
        done = self._in_hand.pop(number, None)
        if done is None:
            return
        now_s = asyncio.get_running_loop().time()
        self._pace.ended(now_s, now_s - done.began_s, len(self._queue), self._bets())
        if not done.answer.done():
            if answer is None:
                done.answer.set_exception(TooManyPasswords(otherwise))
            else:
                done.answer.set_result(answer)
        self._go_on()
