"""Passwords, hashed and verified by argon2id beside the event loop.

One takes 19 MiB and about 20 ms of a processor, so two at most run at a time, on threads whose priority is
the lowest there is: a storm of log-ins waits for itself, and bets do not wait for it (`bench/logins.py`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from engine.errors import SolidGreenError

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
LANES: Final = 1
"""OWASP's Password Storage Cheat Sheet, argon2id: m=19456 (19 MiB), t=2, p=1."""

AT_A_TIME: Final = 2
"""On two cores; 38 MiB."""

WAITING_MAX: Final = 200
"""Passwords that wait: two to four seconds' worth. Whoever comes then is told to come back."""

WITHIN_S: Final = 8.0
"""How long one may wait, where bets leave it no processor. An HTTP connection is given 10 s
(`ws/http_door.py`)."""

LOWEST_PRIORITY: Final = 19

Answer = TypeVar("Answer")


class TooManyPasswords(SolidGreenError):
    """More are being checked than can be in a while. Nothing is known of this one."""


class Passwords:
    """Hashes and verifies passwords. Made in the event loop; `close` it at the end."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID
        )
        self._threads = ThreadPoolExecutor(AT_A_TIME, "password", initializer=_lower_priority)
        self._waiting = 0
        # Verified where nobody has the name, so that this takes as long and says as much.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """The text that is kept of a password. Raises `TooManyPasswords`."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, kept: str | None) -> bool:
        """Whether it is the password of which `kept` was made; never, where that is None, which takes as
        long. Raises `TooManyPasswords`."""
        matches = await self._run(lambda: self._matches(password, self._nobody if kept is None else kept))
        return matches and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made under other parameters than these, and should be made anew."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Let the threads go; what waits for them is not done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password: str, kept: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (Argon2Error, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        if self._waiting >= WAITING_MAX:
            raise TooManyPasswords("too many log-ins at a time")
        self._waiting += 1
        try:
            async with asyncio.timeout(WITHIN_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise TooManyPasswords("log-ins take too long at the moment") from error
        finally:
            self._waiting -= 1


def _lower_priority() -> None:
    """Of the calling thread. Elsewhere than on Linux, POSIX holds: the priority is that of the process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
