"""The queue and the writer task: from a command to its outcome.

    submit ──▶ queue ──▶ gather: close a batch, ask the nonce guard, decide ──▶ write: settle it, then answer
        │                (while the batch before it is being written)
        └────▶ turned away (breaker, overload, stopping): look the key up, answer replay or objection

Both tasks are the batcher's own, so that no request can cancel a commit; a caller that has vanished is
simply not told. Nobody hears of a batch before its COMMIT has returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from batcher.breaker import Admission, Breaker, Status
from batcher.nonces import NonceGuard, Verdict
from batcher.policy import BatchLimits, Queue
from batcher.undecided import Undecided
from engine.commands import Command, PlaceBet
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, StoreFault
from engine.outcomes import RECORDED, Accepted, Code, Outcome, Rejected
from engine.store import Asked, Prepared, Store

log = logging.getLogger("solidgreen.batcher")

WATCH_S = 0.1
"""How often the breaker is told of a commit that hangs and of a queue that ages."""

TURNED_AWAY_MAX = 20_000
"""Commands waiting for the look-up that tells a replay from a refusal; beyond it they hear OUTCOME_UNKNOWN,
which claims nothing about the bet."""


_PROBE = Admission.PROBE  # reading a member of an Enum costs as much as the rest of an admission


class Asker(Protocol):
    """Whoever wants the outcome of a command. Called on the event loop; must neither block nor raise."""

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        """`outcome` is final: what it says moved is on disk."""
        ...


Posted = Callable[[Accepted, Asker], None]
"""Told of each newly accepted command after its asker: the entries are for the other sockets of their
wallets.
"""


class Job(Asked, kw_only=True):
    """One command on its way."""

    asker: Asker
    request_id: str
    arrived_us: int
    is_probe: bool = False


class Closed(msgspec.Struct, eq=False):
    """A batch that takes no more commands, on its way to the file."""

    jobs: list[Job]
    prepared: Prepared | None = None
    """None if something in it could not be decided."""
    writing: asyncio.Task[bool] | None = None
    """None if there is nothing to write."""
    began_us: int | None = None
    is_halfway: bool = False


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
        self._guard = guard
        self._breaker = breaker or Breaker()
        self._posted = posted
        self._clock = clock
        self._wall_clock = wall_clock
        self._queue: Queue[Job] = Queue(self.limits)
        self._undecided = Undecided()
        self._turned_away: list[Job] = []
        self._under_way: deque[Closed] = deque()
        self._failure: str | None = None
        self._stopping = False
        self._stopped = False
        self._stirred = asyncio.Event()
        self._handed_over: asyncio.Queue[Closed] = asyncio.Queue()
        self._look_up_due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._unanswered = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks. Call once, inside the running event loop."""
        for loop in (self._gather, self._write, self._look_up, self._watch):
            task = asyncio.create_task(loop(), name=f"batcher {loop.__name__.strip('_')}")
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
        if objection is None and not self._queue.offer(job):
            objection = Code.OVERLOADED
        if objection is not None:
            self._turn_away([job], objection)
            return
        self._undecided.enter(command)
        self._stirred.set()

    def pending(self, bet_id: str) -> PlaceBet | None:
        """The bet of this id if a command under it is on its way, whoever sent it; an earlier copy may be
        decided.
        """
        return self._undecided.under_way(bet_id)

    def doubtful(self, bet_id: str) -> int | None:
        """Whose bet this is, if its COMMIT ended unknown: only a restart can tell what became of it."""
        return self._undecided.doubtful(bet_id)

    @property
    def failure(self) -> str | None:
        """Why no money is taken until a restart; None while all is well."""
        return self._failure

    @property
    def is_stopping(self) -> bool:
        """Whether `drain` has begun."""
        return self._stopping

    def breaker_status(self) -> Status:
        """State of the circuit breaker, now."""
        return self._breaker.status(self._clock())

    def queue_length(self) -> int:
        """Commands that wait for a batch."""
        return len(self._queue)

    def abandon(self) -> None:
        """Stop the tasks wherever they are: for a stop that can wait no longer."""
        for task in [*self._tasks, *(closed.writing for closed in self._under_way if closed.writing)]:
            task.cancel()

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
        if self._failure is not None:
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
                asyncio.get_running_loop().call_soon(self._resolve, job, Rejected(Code.OUTCOME_UNKNOWN))
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
                if isinstance(outcome, Rejected) and job.command.key in overtaken:
                    self._resolve(job, Rejected(Code.OUTCOME_UNKNOWN))
                elif isinstance(outcome, Rejected) and outcome.code is Code.CIRCUIT_OPEN:
                    self._resolve(job, Rejected(Code.CIRCUIT_OPEN, retry_after_us=retry_after_us))
                else:
                    self._resolve(job, outcome)

    # -- the pipeline

    async def _gather(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._may_close():
                await self._hand_over(Closed(self._queue.close_batch()))

    def _may_close(self) -> bool:
        under_way = self._under_way
        is_halfway = bool(under_way) and under_way[0].is_halfway
        return self.limits.may_close(len(self._queue), len(under_way), is_halfway)

    async def _hand_over(self, closed: Closed) -> None:
        self._under_way.append(closed)
        await self._ask_nonces(closed.jobs)
        self._time_out(closed.jobs, self._clock())
        with contextlib.suppress(StoreFault):  # the writer task meets the fault again, and bisects
            closed.prepared = await self._store.prepare(closed.jobs, self._wall_clock())
        if closed.prepared is not None and closed.prepared.changes:
            loop = asyncio.get_running_loop()
            writing = self._store.write(
                closed.prepared,
                may_begin=partial(self._begin, closed),
                at_halfway=partial(loop.call_soon_threadsafe, self._is_halfway, closed),
            )
            closed.writing = loop.create_task(writing, name="batch")
        self._handed_over.put_nowait(closed)

    def _begin(self, closed: Closed) -> bool:
        """The writer comes to this batch: is it in time? Called on the writer's thread."""
        now_us = self._clock()
        closed.began_us = now_us
        return not self.limits.expired(closed.jobs[0].arrived_us, now_us)

    def _is_halfway(self, closed: Closed) -> None:
        closed.is_halfway = True
        self._stirred.set()

    async def _ask_nonces(self, batch: Sequence[Job]) -> None:
        bets = [job for job in batch if isinstance(job.command, PlaceBet)]
        claims = [job.command for job in batch if isinstance(job.command, PlaceBet)]
        try:
            verdicts = await self._guard.claim(claims)
        except Exception:  # a bug in a guard: nobody may wait for ever because of it
            log.exception("a nonce guard broke its contract")
            verdicts = [Verdict.SHED] * len(bets)
        shed = []
        for job, verdict in zip(bets, verdicts, strict=True):
            if verdict is Verdict.REUSED:
                job.objection = Code.NONCE_REUSED
            elif verdict is Verdict.SHED:
                job.objection = Code.OVERLOADED
                shed.append(job)
        if shed:
            # A copy under another nonce may move the money in this very commit: then claim nothing.
            going = {job.command.key for job in bets if job.objection is None}
            for job in shed:
                if job.command.key in going:
                    job.objection = Code.OUTCOME_UNKNOWN

    async def _write(self) -> None:
        while True:
            closed = await self._handed_over.get()
            await self._settle(closed)
            self._under_way.popleft()
            self._stirred.set()

    def _time_out(self, batch: Sequence[Job], now_us: int) -> None:
        """Object to what has waited past its deadline."""
        if not self.limits.expired(batch[0].arrived_us, now_us):
            return  # the oldest is in time, so all are
        late = [job for job in batch if job.objection is None and self.limits.expired(job.arrived_us, now_us)]
        if late:
            # A retry that came in time moves the money in this very commit, so nobody may say it was not.
            in_time = {
                job.command.key
                for job in batch
                if job.objection is None and not self.limits.expired(job.arrived_us, now_us)
            }
            for job in late:
                if job.command.key not in in_time:
                    job.objection = Code.TIMED_OUT

    async def _settle(self, closed: Closed) -> None:
        """Have the batch committed; where something in it makes that impossible, its halves, down to the
        culprit. Then tell everybody."""
        parts = [closed.jobs]
        while parts:
            part = parts.pop(0)
            try:
                outcomes = await self._outcomes(closed, part)
            except BatchAborted as fault:
                if len(part) > 1:
                    parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                    continue
                log.error("a command fails by itself and was refused: %s", part[0].command, exc_info=fault)
                outcomes = [Rejected(Code.INTERNAL)]
            except BatchRefused as fault:
                log.error("a batch of %d was refused by the storage: %s", len(part), fault)
                self._breaker.commit_failed(self._clock())
                self._undecided.leave(job.command for job in part)
                self._turn_away(part, Code.OVERLOADED)
                continue
            except Exception as fault:  # CommitUnknown, or a bug: either way nobody knows what is on disk
                self._fail(part, fault)
                continue
            self._undecided.leave(job.command for job in part)
            if outcomes is None:
                self._turn_away(part, Code.CIRCUIT_OPEN)
                continue
            if any(map(_was_written, outcomes)):  # else nothing was written, which tells nothing of the disk
                now_us = self._clock()
                self._breaker.commit_succeeded(now_us, now_us - (closed.began_us or now_us))
            # Only after COMMIT: a client that hears "confirmed" may act on it at once, and a crash before
            # COMMIT would leave it acting on money that never moved.
            for job, outcome in zip(part, outcomes, strict=True):
                self._resolve(job, outcome)

    async def _outcomes(self, closed: Closed, part: list[Job]) -> list[Outcome] | None:
        """Of `part`, once they are true; None if no money is taken any more, and `part` was not executed."""
        prepared, writing = closed.prepared, closed.writing
        closed.prepared = closed.writing = None
        try:
            if prepared is not None and await (writing or self._store.write(prepared)):
                if closed.began_us is not None:
                    self._breaker.queue_waited(closed.began_us, closed.began_us - part[0].arrived_us)
                return prepared.outcomes
            if self._failure is not None:
                return None
            closed.began_us = self._clock()
            self._time_out(part, closed.began_us)
            self._breaker.queue_waited(closed.began_us, closed.began_us - part[0].arrived_us)
            return await self._store.commit(part, self._wall_clock())
        except CommitUnknown as fault:
            if fault.has_begun:
                raise
            return None

    def _fail(self, part: Sequence[Job], fault: Exception) -> None:
        """COMMIT ended unknown: stop taking money until a restart has read the file again."""
        self._failure = str(fault) if isinstance(fault, StoreFault) else repr(fault)
        log.critical(
            "no money is taken until this server is restarted; %d commands have an unknown outcome: %s",
            len(part),
            self._failure,
            exc_info=None if isinstance(fault, StoreFault) else fault,
        )
        self._undecided.doubt(job.command for job in part)
        self._undecided.leave(job.command for job in part)
        for job in part:
            self._resolve(job, Rejected(Code.OUTCOME_UNKNOWN))

    def _resolve(self, job: Job, outcome: Outcome) -> None:
        if job.is_probe:
            job.is_probe = False
            self._breaker.probe_done()
        try:
            job.asker.answer(job.request_id, job.command, outcome)
        except Exception:  # one broken listener must not cost the others their answer
            log.exception("an asker failed to take its answer")
        if isinstance(outcome, Accepted) and outcome.entries:
            try:
                self._posted(outcome, job.asker)
            except Exception:  # nor may whoever listens to the entries
                log.exception("entries could not be posted")
        self._unanswered -= 1
        if not self._unanswered:
            self._idle.set()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A task that ends by itself is a bug. Commands would wait for ever, so say so and take no more."""
        if not task.cancelled():
            self._failure = f"the {task.get_name()} task has died"
            log.critical("%s; restart this server", self._failure, exc_info=task.exception())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            now_us = self._clock()
            self._breaker.queue_waited(now_us, self._queue.oldest_age_us(now_us))
            if self._under_way and (began_us := self._under_way[0].began_us) is not None:
                self._breaker.commit_running(now_us, now_us - began_us)


def _was_written(outcome: Outcome) -> bool:
    """Whether this outcome has just been written."""
    if isinstance(outcome, Accepted):
        return not outcome.replayed
    return outcome.code in RECORDED and not outcome.replayed
