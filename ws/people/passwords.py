"""Passwords, hashed and verified by argon2id in processes of their own.

One takes 19 MiB and about 20 ms of a processor, so two at most run at a time, when nobody else wants the
processor, and with rests between them while bets are under way (`ws/people/pace.py`): a storm of log-ins
waits for itself. Where others want all processors for long, what has waited for `HURRY_AFTER_S` is given to a
second process as well, which has the lowest share instead of none; the first answer counts (docs/adr/0029).

Processes, because a thread that gives way is worse than none: where the machine is busy it is not run while
it has the interpreter's lock, and the event loop waits for that lock, whatever its own priority.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from argon2 import PasswordHasher, Type

from engine.errors import SolidGreenError
from ws.people.hasher import Hasher
from ws.people.pace import Pace

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
LANES: Final = 1
"""OWASP's Password Storage Cheat Sheet, argon2id: m=19456 (19 MiB), t=2, p=1."""

AT_A_TIME: Final = 2
"""In each of the two processes, on two cores: 38 MiB, and 76 where the second one has to help."""

WAITING_MAX: Final = 200
"""Passwords that wait: two to seven seconds' worth. Whoever comes then is told to come back."""

WITHIN_S: Final = 9.0
"""How long one may wait, where bets leave it no processor. An HTTP connection is given 10 s
(`ws/transport/http_door.py`)."""

HURRY_AFTER_S: Final = 0.5
"""Twenty-five times what one takes by itself: then no processor is idle."""


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
    """What is being checked, and since when."""

    answer: asyncio.Future[Any]
    began_s: float
    hurry: asyncio.TimerHandle


class Passwords:
    """Hashes and verifies passwords. All on one event loop; the processes are started when they are first
    needed, and `close` ends them. `bets`: how many were answered so far, for the pace."""

    def __init__(self, bets: Callable[[], int] = lambda: 0) -> None:
        self._bets = bets
        self._pace = Pace()
        self._parameters = PasswordHasher(PASSES, MEMORY_KIB, LANES, type=Type.ID)
        self._numbers = itertools.count()
        self._queue: deque[_Asked] = deque()
        self._rest: asyncio.TimerHandle | None = None
        self._in_hand: dict[int, _InHand] = {}
        program = tuple(map(str, (MEMORY_KIB, PASSES, LANES, AT_A_TIME)))
        self._patient = Hasher(program, self._told, is_idle=True)
        self._hurried = Hasher(program, self._told, is_idle=False)
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
        """End the processes; what waits for them is not done, also when a rest is over."""
        self._queue.clear()
        for each in self._in_hand.values():
            each.hurry.cancel()
        for hasher in (self._patient, self._hurried):
            hasher.close()

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
        """Hand over what may be by now. A process has few at a time: else, where it does not read, the pipe
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
            hurry = loop.call_later(HURRY_AFTER_S, self._hurry, asked)
            self._in_hand[asked.number] = _InHand(asked.answer, loop.time(), hurry)
            self._hand_over(asked)

    def _rested(self) -> None:
        self._rest = None
        self._go_on()

    def _hand_over(self, asked: _Asked) -> None:
        is_behind = self._patient.outstanding - self._in_hand.keys()  # with what the other has answered
        (self._hurried if is_behind else self._patient).hand_over(asked.number, asked.line)

    def _hurry(self, asked: _Asked) -> None:
        if asked.number not in self._hurried.outstanding:
            self._hurried.hand_over(asked.number, asked.line)

    def _told(self, number: int, answer: str | bool | None) -> None:
        is_with_the_other = any(number in each.outstanding for each in (self._patient, self._hurried))
        if answer is not None or not is_with_the_other:
            self._done(number, answer)

    def _done(self, number: int, answer: str | bool | None) -> None:
        """It has its answer; None: there is none."""
        done = self._in_hand.pop(number, None)
        if done is None:
            return
        done.hurry.cancel()
        now_s = asyncio.get_running_loop().time()
        self._pace.ended(now_s, now_s - done.began_s, len(self._queue), self._bets())
        if not done.answer.done():
            if answer is None:
                done.answer.set_exception(TooManyPasswords("log-ins cannot be checked at the moment"))
            else:
                done.answer.set_result(answer)
        self._go_on()
