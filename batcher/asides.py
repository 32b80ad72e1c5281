"""Writes that are not money: many small changes, few commits.

A log-in, a refreshed token: each is a row or two, and each must be on disk before anybody hears of it. They
are grouped as bets are, by what arrives while the commit before is running, and run between two batches, so
that a thousand of them at once are ten commits and not a thousand.

Bets wait for each of these commits as for one of their own, and ten a second are felt (docs/adr/0029). So
while bets are under way there is a rest after each, unless several changes wait already, or one that is not
to wait: what takes somebody's rights away.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from engine.errors import BatchRefused
from engine.store import Store
from engine.writer import ERRORS, fault_of

Answer = TypeVar("Answer")
Change = Callable[[sqlite3.Connection], Answer]

GROUP_MAX: Final = 128
"""Changes in one transaction: each takes some 50 us, and bets wait behind all of it."""

REST_S: Final = 0.3
"""From one commit to the next while bets are under way: a log-in is not felt to take longer."""

ENOUGH: Final = 8
"""Changes for which it is worth to commit before that: a storm of refreshed tokens is not to take long."""

WAITING_MAX: Final = 5_000
"""Changes that may wait, about a second's worth. Whoever comes then is told to come back."""


class _Waiting(NamedTuple):
    """A change, and who waits for its answer."""

    change: Change[Any]
    answer: asyncio.Future[Any]


class _Failed(NamedTuple):
    """What a change raised, which was undone. A value, because the others of its group go on."""

    error: Exception


class Asides:
    """Has changes committed in groups. All on the event loop. `bets`: how many were answered so far."""

    def __init__(self, store: Store, bets: Callable[[], int] = lambda: 0) -> None:
        self._store = store
        self._bets = bets
        self._bets_by_then = 0  # at the end of the last commit
        self._rested_at_s = float("-inf")
        self._is_due = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None

    async def change(self, change: Change[Answer], *, is_urgent: bool = False) -> Answer:
        """Run `change` on the writer's thread, together with others; its answer, once that is on disk.
        `is_urgent`: bets are to wait for it rather than it for them.

        Raises what `change` does (then nothing of it has happened, and the others' goes on), `BatchRefused`
        (nothing has happened: the disk is full, or too many wait) or `CommitUnknown`. Cancelling the caller
        does not stop the commit.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise BatchRefused("wait", f"{WAITING_MAX} changes wait already")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(change, answer))
        if is_urgent or len(self._waiting) >= ENOUGH:
            self._is_due.set()
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all(), name="changes beside the money")
        return await answer

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                await self._rest()
                group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
                if not self._waiting:
                    self._is_due.clear()
                await self._commit(group)
                self._bets_by_then = self._bets()
                self._rested_at_s = asyncio.get_running_loop().time() + REST_S
        finally:
            self._committing = None

    async def _rest(self) -> None:
        """While bets are under way, wait until it is time again, or something is due before that."""
        if self._bets() == self._bets_by_then:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._rested_at_s):
                await self._is_due.wait()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            answers = await self._store.tidy(partial(_one_after_the_other, [each.change for each in group]))
        except Exception as error:
            fault = fault_of("change", error) if isinstance(error, ERRORS) else error
            answers = [_Failed(fault)] * len(group)
        for each, answer in zip(group, answers, strict=True):
            if each.answer.done():  # whoever waited has gone
                continue
            if isinstance(answer, _Failed):
                each.answer.set_exception(answer.error)
            else:
                each.answer.set_result(answer)


def _one_after_the_other(changes: Sequence[Change[Any]], connection: sqlite3.Connection) -> list[Any]:
    """Their answers. Raises what speaks of the storage: then none of them has happened."""
    answers: list[Any] = []
    for change in changes:
        connection.execute("SAVEPOINT change")
        try:
            answers.append(change(connection))
        except Exception as error:
            if isinstance(error, ERRORS) and isinstance(fault_of("change", error), BatchRefused):
                raise
            connection.execute("ROLLBACK TO change")
            answers.append(_Failed(error))
        connection.execute("RELEASE change")
    return answers
