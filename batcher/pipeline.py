"""From the queue to the file: close a batch, prepare it, have it written, settle it.

    queue ──▶ gather: close, ask the nonce guard, prepare ──▶ the writer's thread ──▶ write: settle, tell

Two batches are under way at most, one being written and one behind it (docs/adr/0006). Both tasks are the
batcher's own, so that no request can cancel a commit. Nobody hears of a batch before its COMMIT has returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import takewhile

import msgspec

from batcher.alarms import FloorAlarm
from batcher.breaker import Breaker
from batcher.copies import accepted, late, overtaken, stays, was_written
from batcher.jobs import Answered, Job
from batcher.nonces import NonceGuard, Verdict
from batcher.policy import BatchLimits, Queue
from batcher.tally import Tally
from batcher.undecided import Name, Undecided, name_of
from engine.commands import PlaceBet
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, StoreFault
from engine.now import Now
from engine.outcomes import Code, Outcome, Rejected
from engine.store import GUARD_ATTEMPTS, Store
from engine.writer import Prepared

log = logging.getLogger("solidgreen.batcher")


class Closed(msgspec.Struct, eq=False):
    """A batch that takes no more commands, on its way to the file."""

    jobs: list[Job]
    closed_us: int
    prepared: Prepared | None = None
    """As it was decided ahead of its turn. None if it was not; then there is no `writing` either."""
    writing: asyncio.Task[bool] | None = None
    began_us: int | None = None
    is_halfway: bool = False


class Pipeline:
    """Commits what is offered to it. Run `gather` and `write` as tasks, inside the event loop."""

    def __init__(
        self,
        store: Store,
        guard: NonceGuard,
        breaker: Breaker,
        limits: BatchLimits,
        undecided: Undecided,
        *,
        clock: Callable[[], int],
        now: Callable[[], Now],
        tell: Callable[[Job, Outcome], None],
        turn_away: Callable[[Iterable[Job], Code], None],
        tally: Tally,
        traced: Callable[[Answered], None] | None = None,
    ) -> None:
        """`tell` gives a job its final outcome; `turn_away` finds out what one may hear that was not
        executed. `clock`: monotonic, in microseconds; `now`: the time at which a batch is decided. `traced`
        hears of each batch that was told.
        """
        self.failure: str | None = None
        """Why no money is taken until a restart; None while all is well."""
        self._store = store
        self._guard = guard
        self._breaker = breaker
        self._limits = limits
        self._undecided = undecided
        self._alarm = FloorAlarm()
        self._clock = clock
        self._now = now
        self._tell = tell
        self._turn_away = turn_away
        self._tally = tally
        self._traced = traced
        self._queue: Queue[Job] = Queue(limits)
        self._under_way: deque[Closed] = deque()
        self._stirred = asyncio.Event()
        self._handed_over: asyncio.Queue[Closed] = asyncio.Queue()

    def __len__(self) -> int:
        """Jobs that wait for a batch."""
        return len(self._queue)

    def offer(self, job: Job) -> bool:
        """Take `job` in, or return False because the queue is full."""
        if not self._queue.offer(job):
            return False
        self._stirred.set()
        return True

    def oldest_age_us(self, now_us: int) -> int:
        """How long the oldest job has waited for a batch; 0 if none waits."""
        return self._queue.oldest_age_us(now_us)

    def watch(self, now_us: int) -> None:
        """Tell the breaker of a queue that ages and a commit that hangs, and who is late behind it that he
        is; hear of a storage that failed."""
        self._breaker.queue_waited(now_us, self._queue.oldest_age_us(now_us))
        if self._under_way and (began_us := self._under_way[0].began_us) is not None:
            self._breaker.commit_running(now_us, now_us - began_us)
        self._leave_out(self._queue.take_late(now_us), Code.TIMED_OUT)
        if not self._under_way:  # else its own COMMIT may be what has failed: the write task tells
            self._heed_the_store()

    def abandon(self) -> None:
        """Stop waiting for what is being written."""
        for closed in self._under_way:
            if closed.writing is not None:
                closed.writing.cancel()

    async def gather(self) -> None:
        """Close batches, have them prepared and queued for the writer; for ever."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._may_close():
                now_us = self._clock()
                batch, shed = self._queue.close_batch(now_us)
                self._leave_out(shed, Code.OVERLOADED)
                await self._hand_over(Closed(batch, now_us))

    def _leave_out(self, jobs: Sequence[Job], why: Code) -> None:
        """These were admitted, and will not be executed."""
        self._undecided.leave(job.command for job in jobs)
        self._turn_away(jobs, why)

    def _may_close(self) -> bool:
        under_way = self._under_way
        if any(map(self._is_to_be_decided, under_way)):
            return False
        is_halfway = bool(under_way) and under_way[0].is_halfway
        return self._limits.may_close(len(self._queue), len(under_way), is_halfway)

    async def _hand_over(self, closed: Closed) -> None:
        self._under_way.append(closed)
        await self._ask_nonces(closed.jobs)
        self._time_out(closed.jobs, self._clock())
        closed.prepared = await self._decided_ahead(closed)
        if closed.prepared is not None:
            loop = asyncio.get_running_loop()
            # A small batch is over before a second one would be worth closing: do not wake the loop up for
            # it.
            is_small = len(closed.jobs) < self._limits.ahead_min
            halfway = partial(loop.call_soon_threadsafe, self._is_halfway, closed)
            writing = self._store.write(
                closed.prepared,
                may_begin=partial(self._begin, closed, closed.jobs),
                at_halfway=_nothing if is_small else halfway,
            )
            closed.writing = loop.create_task(writing, name="batch")
        self._handed_over.put_nowait(closed)

    async def _decided_ahead(self, closed: Closed) -> Prepared | None:
        """`closed`, decided before the batches in front of it are committed; None if it has to be decided in
        its turn."""
        if self._must_wait(closed):
            return None
        with contextlib.suppress(StoreFault):  # the writer task meets the fault again, and bisects
            prepared = await self._store.prepare(closed.jobs, self._now())
            if not self._must_wait(closed):
                return prepared
            self._store.drop(prepared)
        return None

    def _must_wait(self, closed: Closed) -> bool:
        in_front = takewhile(lambda each: each is not closed, self._under_way)
        return any(map(self._is_to_be_decided, in_front))

    def _is_to_be_decided(self, closed: Closed) -> bool:
        """Whether this batch has to be decided in its turn: what is decided meanwhile would overtake it."""
        return closed.prepared is None or self._store.is_void(closed.prepared)

    def _begin(self, closed: Closed, part: Sequence[Job]) -> bool:
        """The writer comes to this part of a batch: is it in time? Called on the writer's thread."""
        closed.began_us = now_us = self._clock()
        return not self._late(part, now_us)

    def _is_halfway(self, closed: Closed) -> None:
        closed.is_halfway = True
        self._stirred.set()

    async def _ask_nonces(self, batch: Sequence[Job]) -> None:
        bets = [job for job in batch if isinstance(job.command, PlaceBet)]
        claims = [job.command for job in batch if isinstance(job.command, PlaceBet)]
        began_us = self._clock()
        try:
            verdicts = await self._guard.claim(claims)
        except Exception:  # a bug in a guard: nobody may wait for ever because of it
            log.exception("a nonce guard broke its contract")
            verdicts = [Verdict.SHED] * len(bets)
        if bets:
            self._tally.claims.add(self._clock() - began_us)
        if verdicts.count(Verdict.FRESH) == len(bets):
            return
        shed = []
        for job, verdict in zip(bets, verdicts, strict=True):
            if verdict is Verdict.REUSED:
                job.objection = Code.NONCE_REUSED
                self._tally.nonces_reused += 1
            elif verdict is Verdict.SHED:
                job.objection = Code.OVERLOADED
                shed.append(job)
        self._tally.nonces_shed += len(shed)
        # A copy under another nonce may move the money in this very commit: then claim nothing.
        for job in overtaken(bets, shed):
            job.objection = Code.OUTCOME_UNKNOWN

    async def write(self) -> None:
        """Settle the batches in their order, and have everybody told; for ever."""
        while True:
            await self._settle(await self._handed_over.get())  # no name: it would keep the batch's sessions
            self._under_way.popleft()
            self._stirred.set()

    def _time_out(self, batch: Sequence[Job], now_us: int) -> None:
        """Object to what has waited past its deadline."""
        for job in self._late(batch, now_us):
            job.objection = Code.TIMED_OUT

    def _late(self, batch: Sequence[Job], now_us: int) -> Sequence[Job]:
        return late(batch, partial(self._limits.expired, now_us=now_us))

    async def _settle(self, closed: Closed) -> None:
        """Have the batch committed; where something in it makes that impossible, its halves, down to the
        culprit. Then tell everybody."""
        self._tally.batches.add(len(closed.jobs))
        parts = [closed.jobs]
        while parts:
            part = parts.pop(0)
            try:
                outcomes = await self._outcomes(closed, part)
            except BatchAborted as fault:
                if len(part) > 1:
                    parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                    continue
                name = name_of(part[0].command)  # and not the command: no message is logged
                log.error("a command fails by itself and was refused: %s", name, exc_info=fault)
                outcomes = [Rejected(Code.INTERNAL)]
            except BatchRefused as fault:
                log.error("a batch of %d was refused by the storage: %s", len(part), fault)
                self._breaker.commit_failed(self._clock())
                self._heed_the_store()
                self._leave_out(part, Code.OVERLOADED if self.failure is None else Code.CIRCUIT_OPEN)
                continue
            except Exception as fault:  # CommitUnknown, or a bug: either way nobody knows what is on disk
                self._fail(part, fault)
                continue
            if outcomes is None:
                self._leave_out(part, Code.CIRCUIT_OPEN)
                continue
            self._undecided.leave(job.command for job in part)
            committed_us = self._clock()
            if any(map(was_written, part, outcomes)):  # else this tells nothing of the disk
                self._breaker.commit_succeeded(committed_us, committed_us - (closed.began_us or committed_us))
            # Only after COMMIT: a client that hears "confirmed" may act on it at once, and a crash before
            # COMMIT would leave it acting on money that never moved.
            done = cache(partial(accepted, part, outcomes))  # made where something was refused only
            for job, outcome in zip(part, outcomes, strict=True):
                if isinstance(outcome, Rejected):
                    self._tell(job, self._by_now(job, outcome, done))
                else:
                    self._tell(job, outcome)
            told_us = self._clock()
            self._tally.waits.add_all([told_us - job.arrived_us for job in part if job.is_bet])
            if log.isEnabledFor(logging.DEBUG):
                _log_each(part, outcomes)
            if self._traced is not None:
                began_us = closed.began_us or closed.closed_us
                self._traced(Answered(part, outcomes, closed.closed_us, began_us, committed_us, told_us))

    def _by_now(self, job: Job, refused: Rejected, done: Callable[[], set[Name]]) -> Rejected:
        """`refused`, unless it denies what a copy behind it has done, or may have done since. `done`: the
        commands of this batch that did what they were asked.
        """
        if refused.code is Code.INSUFFICIENT_FUNDS:
            self._alarm.short_of_funds(job.command, self._clock())
        if stays(job.command, refused.code):
            return refused
        is_overtaken = job.command in self._undecided or name_of(job.command) in done()
        return Rejected(Code.OUTCOME_UNKNOWN) if is_overtaken else refused

    async def _outcomes(self, closed: Closed, part: list[Job]) -> list[Outcome] | None:
        """Of `part`, once they are true; None if no money is taken any more, and `part` was not executed."""
        prepared, writing, closed.writing = closed.prepared, closed.writing, None
        try:
            if prepared is not None and writing is not None and await writing:
                if closed.began_us is not None:
                    self._breaker.queue_waited(closed.began_us, closed.began_us - part[0].arrived_us)
                return prepared.outcomes
            if self.failure is not None:
                return None
            return await self._anew(closed, part)
        except CommitUnknown as fault:
            if fault.has_begun:
                raise
            self._heed_the_store()
            return None

    def _heed_the_store(self) -> None:
        """The storage may have failed without leaving a COMMIT open: no money is taken all the same."""
        if self.failure is None and self._store.failure is not None:
            self._stop(self._store.failure, 0)

    def _stop(self, why: str, in_doubt: int, fault: Exception | None = None) -> None:
        self.failure = why
        log.critical(
            "no money is taken until this server is restarted; %d commands have an unknown outcome: %s",
            in_doubt,
            why,
            exc_info=fault,
        )

    async def _anew(self, closed: Closed, part: list[Job]) -> list[Outcome]:
        """Decide `part` again and have it written, without what is late by the time that the writer comes to
        it. Raises as `Store.write` does.
        """
        attempts = 0
        while attempts < GUARD_ATTEMPTS:
            closed.began_us = now_us = self._clock()
            self._time_out(part, now_us)
            self._breaker.queue_waited(now_us, now_us - part[0].arrived_us)
            prepared = await self._store.prepare(part, self._now())
            if await self._store.write(prepared, may_begin=partial(self._begin, closed, part)):
                return prepared.outcomes
            # What was late when the writer came to it is left out next time; that is nobody's change.
            attempts += not self._late(part, closed.began_us)
        raise BatchRefused("guard", f"accounts changed under the batch {GUARD_ATTEMPTS} times")

    def _fail(self, part: Sequence[Job], fault: Exception) -> None:
        """COMMIT ended unknown: stop taking money until a restart has read the file again."""
        if isinstance(fault, StoreFault):
            self._stop(str(fault), len(part))
        else:
            self._stop(repr(fault), len(part), fault)
        self._undecided.doubt(job.command for job in part)
        self._undecided.leave(job.command for job in part)
        for job in part:
            self._tell(job, Rejected(Code.OUTCOME_UNKNOWN))


def _nothing() -> None:
    """What a small batch does when it is halfway."""


def _log_each(part: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """A line for each bet, for whoever follows one: only at level debug."""
    for job, outcome in zip(part, outcomes, strict=True):
        if isinstance(job.command, PlaceBet):
            ended = outcome.code.name if isinstance(outcome, Rejected) else "confirmed"
            log.debug("a bet was decided: %s", ended, extra={"bet_id": job.command.bet_id})
