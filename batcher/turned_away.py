"""Answers what is not executed: a replay if its key is known, else what is held against it.

"Rejected" must be true, so the key is looked up first: a retry of a bet that was paid is told so, and one
whose copy is under way claims nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from batcher.jobs import Job
from batcher.undecided import Undecided, name_of
from engine.now import Now
from engine.outcomes import Code, Outcome, Rejected
from engine.store import Store

log = logging.getLogger("solidgreen.batcher")

WAITING_MAX: Final = 20_000
"""Commands waiting for the look-up; beyond it they hear OUTCOME_UNKNOWN, which claims nothing about the
bet."""

LOOKED_UP_MAX: Final = 500
"""Commands that are looked up and told in one turn of the event loop, which takes some 5 ms: when a queue
that stands is shed there are thousands, and batches wait for the loop as well."""


class TurnedAway:
    """Those who wait for such an answer. Run `run` as a task, inside the event loop."""

    def __init__(
        self,
        store: Store,
        undecided: Undecided,
        *,
        now: Callable[[], Now],
        tell: Callable[[Job, Outcome], None],
    ) -> None:
        """`now`: the time of the books. `tell` gives a job its final outcome."""
        self._store = store
        self._undecided = undecided
        self._now = now
        self._tell = tell
        self._waiting: list[Job] = []
        self._is_stopped = False
        self._stirred = asyncio.Event()

    def add(self, jobs: Iterable[Job], objection: Code) -> None:
        """Have `jobs` answered without executing them; never before this returns. `objection`: what they hear
        whose keys are unknown, unless something was held against them before.
        """
        for job in jobs:
            if job.command in self._undecided or self._is_stopped or len(self._waiting) >= WAITING_MAX:
                asyncio.get_running_loop().call_soon(self._tell, job, Rejected(Code.OUTCOME_UNKNOWN))
                continue
            job.objection = job.objection or objection
            self._waiting.append(job)
            self._stirred.set()

    def stop(self) -> None:
        """Nothing is looked up any more: claim nothing of what comes from here on."""
        self._is_stopped = True

    async def run(self) -> None:
        """Look up whatever waits, and tell; for ever."""
        while True:
            await self._stirred.wait()
            jobs, self._waiting = self._waiting[:LOOKED_UP_MAX], self._waiting[LOOKED_UP_MAX:]
            if not self._waiting:
                self._stirred.clear()
            self._undecided.watch(job.command for job in jobs)
            try:
                outcomes = await self._store.answer(jobs, self._now())
            except Exception:  # reading failed: nothing is known of these bets, and others must go on
                log.exception("looking up %d commands failed", len(jobs))
                outcomes = [Rejected(Code.INTERNAL)] * len(jobs)
            overtaken = self._undecided.overtaken()
            for job, outcome in zip(jobs, outcomes, strict=True):
                is_overtaken = isinstance(outcome, Rejected) and name_of(job.command) in overtaken
                self._tell(job, Rejected(Code.OUTCOME_UNKNOWN) if is_overtaken else outcome)
