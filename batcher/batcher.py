"""The door of the batcher: from a command to its outcome.

    submit ──▶ pipeline: queue, prepare, commit ──▶ told
        └────▶ turned away (breaker, overload, stopping): look the key up, answer replay or objection ──▶ told

A caller that has vanished is simply not told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from batcher.alarms import CircuitNews
from batcher.breaker import Admission, Breaker, State, Status
from batcher.expiry import AT_ONCE, Expiry
from batcher.jobs import Asker, Job, Posted
from batcher.nonces import NonceGuard
from batcher.paying import Paying
from batcher.pipeline import Pipeline
from batcher.policy import BatchLimits
from batcher.undecided import Undecided, name_of
from engine.commands import Command, PlaceBet
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import Store

log = logging.getLogger("solidgreen.batcher")

WATCH_S = 0.1
"""How often the breaker is told of a commit that hangs and of a queue that ages."""

TURNED_AWAY_MAX = 20_000
"""Commands waiting for the look-up that tells a replay from a refusal; beyond it they hear OUTCOME_UNKNOWN,
which claims nothing about the bet."""

_ROOM = {State.CLOSED: AT_ONCE, State.HALF_OPEN: 1, State.OPEN: 0}

_PROBE = Admission.PROBE  # reading a member of an Enum costs as much as the rest of an admission


def monotonic_us() -> int:
    """The monotonic clock: deadlines, ages, durations."""
    return time.monotonic_ns() // 1000


def wall_us() -> int:
    """The wall clock: `sent_at` windows and block times."""
    return time.time_ns() // 1000


class Batcher:
    """Groups commands into batches and has them committed. `start` it inside the event loop, `drain` it at
    the end.
    """

    def __init__(
        self,
        store: Store,
        guard: NonceGuard,
        *,
        breaker: Breaker | None = None,
        limits: BatchLimits | None = None,
        posted: Posted = lambda accepted, asker: None,
        clock: Callable[[], int] = monotonic_us,
        wall_clock: Callable[[], int] = wall_us,
    ) -> None:
        self.limits = limits or BatchLimits()
        self._store = store
        self._breaker = breaker or Breaker()
        self._posted = posted
        self._clock = clock
        self._wall_clock = wall_clock
        self._undecided = Undecided()
        self._pipeline = Pipeline(
            store,
            guard,
            self._breaker,
            self.limits,
            self._undecided,
            clock=clock,
            wall_clock=wall_clock,
            tell=self._tell,
            turn_away=self._turn_away,
        )
        self._news = CircuitNews()
        self._expiry = Expiry(store, self.submit, wall_clock, self.room_for_background)
        self._paying = Paying(store, self.submit, clock, self.room_for_background)
        self._turned_away: list[Job] = []
        self._stopping = False
        self._stopped = False
        self._look_up_due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._unanswered = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks. Call once, inside the running event loop."""
        loops = {
            "gather": self._pipeline.gather,
            "write": self._pipeline.write,
            "look up": self._look_up,
            "watch": self._watch,
            "expire": self._expiry.run,
            "pay": self._paying.run,
        }
        for name, loop in loops.items():
            task = asyncio.create_task(loop(), name=f"batcher {name}")
            task.add_done_callback(self._task_ended)
            self._tasks.append(task)

    def submit(self, command: Command, asker: Asker, request_id: str, objection: Code | None = None) -> None:
        """Take a command in; `asker` hears its outcome exactly once, in a later turn of the event loop.

        `objection` is what the door holds against it (a rate limit): then it is only looked up, not executed.
        """
        now_us = self._clock()
        job = Job(command, asker=asker, request_id=request_id, arrived_us=now_us)
        if not self._unanswered:
            self._idle.clear()
        self._unanswered += 1
        objection = objection or self._why_not(job, now_us)
        if objection is None and not self._pipeline.offer(job):
            objection = Code.OVERLOADED
        if objection is not None:
            self._turn_away([job], objection)
            return
        self._undecided.enter(command)

    def pending(self, bet_id: str) -> PlaceBet | None:
        """The bet of this id if a command under it is on its way, whoever sent it; an earlier copy may be
        decided.
        """
        return self._undecided.under_way(bet_id)

    def doubtful(self, bet_id: str) -> int | None:
        """Whose bet this is (0: nobody said), if a COMMIT that had to do with it ended unknown: only a
        restart can tell what became of it.
        """
        return self._undecided.doubtful(bet_id)

    @property
    def failure(self) -> str | None:
        """Why no money is taken until a restart; None while all is well."""
        return self._pipeline.failure

    @property
    def is_stopping(self) -> bool:
        """Whether `drain` has begun."""
        return self._stopping

    def breaker_status(self) -> Status:
        """State of the circuit breaker, now."""
        return self._breaker.status(self._clock())

    def queue_length(self) -> int:
        """Commands that wait for a batch."""
        return len(self._pipeline)

    def room_for_background(self) -> int:
        """How many commands of the server's own are welcome now: none while they would only be turned away;
        one as a probe, or bets would find no slot."""
        if self._stopping or self._pipeline.failure is not None:
            return 0
        return _ROOM[self.breaker_status().state]

    def abandon(self) -> None:
        """Stop the tasks wherever they are: for a stop that can wait no longer."""
        for task in self._tasks:
            task.cancel()
        self._pipeline.abandon()

    async def drain(self) -> None:
        """Refuse new commands, finish those under way, then stop the tasks."""
        self._stopping = True
        while self._unanswered:  # again: a command may come in before this task wakes up
            await self._idle.wait()
        self._stopped = True
        self.abandon()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- the door

    def _why_not(self, job: Job, now_us: int) -> Code | None:
        if self._stopping:
            return Code.OVERLOADED
        if self._pipeline.failure is not None:
            return Code.CIRCUIT_OPEN
        admission = self._breaker.admit(now_us)
        if not admission:
            return Code.CIRCUIT_OPEN
        job.is_probe = admission is _PROBE
        return None

    def _turn_away(self, jobs: Iterable[Job], objection: Code) -> None:
        """Have `jobs` answered without executing them. "Rejected" must be true, so the key is looked up
        first: a retry of a bet that was paid is told so, and one whose first copy is under way claims
        nothing."""
        for job in jobs:
            if job.command in self._undecided or self._stopped or len(self._turned_away) >= TURNED_AWAY_MAX:
                asyncio.get_running_loop().call_soon(self._tell, job, Rejected(Code.OUTCOME_UNKNOWN))
                continue
            job.objection = job.objection or objection
            self._turned_away.append(job)
            self._look_up_due.set()

    async def _look_up(self) -> None:
        while True:
            await self._look_up_due.wait()
            self._look_up_due.clear()
            jobs, self._turned_away = self._turned_away, []
            self._undecided.watch(job.command for job in jobs)
            try:
                outcomes = await self._store.answer(jobs, self._wall_clock())
            except Exception:  # reading failed: nothing is known of these bets, and others must go on
                log.exception("looking up %d commands failed", len(jobs))
                outcomes = [Rejected(Code.INTERNAL)] * len(jobs)
            retry_after_us = self._breaker.retry_after_us(self._clock()) or None
            overtaken = self._undecided.overtaken()
            for job, outcome in zip(jobs, outcomes, strict=True):
                if isinstance(outcome, Rejected) and name_of(job.command) in overtaken:
                    self._tell(job, Rejected(Code.OUTCOME_UNKNOWN))
                elif isinstance(outcome, Rejected) and outcome.code is Code.CIRCUIT_OPEN:
                    self._tell(job, Rejected(Code.CIRCUIT_OPEN, retry_after_us=retry_after_us))
                else:
                    self._tell(job, outcome)

    def _tell(self, job: Job, outcome: Outcome) -> None:
        if job.is_probe:
            job.is_probe = False
            self._breaker.probe_done()
        try:
            job.asker.answer(job.request_id, job.command, outcome)
        except Exception:  # one broken listener must not cost the others their answer
            log.exception("an asker failed to take its answer")
        if isinstance(outcome, Accepted) and (
            outcome.entries or (outcome.payout is not None and not outcome.replayed)
        ):
            try:
                self._posted(outcome, job.asker)
            except Exception:  # nor may whoever listens to what was posted
                log.exception("entries could not be posted")
        self._unanswered -= 1
        if not self._unanswered:
            self._idle.set()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A task that ends by itself is a bug. Commands would wait for ever, so say so and take no more."""
        if not task.cancelled():
            self._pipeline.failure = f"the {task.get_name()} task has died"
            log.critical("%s; restart this server", self._pipeline.failure, exc_info=task.exception())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            self._pipeline.watch(self._clock())
            self._news.look(self.breaker_status())
