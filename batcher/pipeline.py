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

import msgspec

from batcher.alarms import FloorAlarm
from batcher.breaker import Breaker
from batcher.jobs import Job
from batcher.nonces import NonceGuard, Verdict
from batcher.policy import BatchLimits, Queue
from batcher.undecided import Name, Undecided, name_of
from engine.commands import Command, PlaceBet
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, StoreFault
from engine.outcomes import RECORDED, Accepted, Code, Outcome, Rejected
from engine.store import Prepared, Store

log = logging.getLogger("solidgreen.batcher")


class Closed(msgspec.Struct, eq=False):
    """A batch that takes no more commands, on its way to the file."""

    jobs: list[Job]
    prepared: Prepared | None = None
    """None if something in it could not be decided; then there is no `writing` either."""
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
        wall_clock: Callable[[], int],
        tell: Callable[[Job, Outcome], None],
        turn_away: Callable[[Iterable[Job], Code], None],
    ) -> None:
        """`tell` gives a job its final outcome; `turn_away` finds out what one may hear that was not
        executed. Clocks in microseconds.
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
        self._wall_clock = wall_clock
        self._tell = tell
        self._turn_away = turn_away
        self._queue: Queue[Job] = Queue(limits)
        self._under_way: deque[Closed] = deque()
        self._is_deciding_anew = False  # a batch whose first attempt failed: nobody may overtake it
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

    def watch(self, now_us: int) -> None:
        """Tell the breaker of a queue that ages, and of a commit that hangs."""
        self._breaker.queue_waited(now_us, self._queue.oldest_age_us(now_us))
        if self._under_way and (began_us := self._under_way[0].began_us) is not None:
            self._breaker.commit_running(now_us, now_us - began_us)

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
                await self._hand_over(Closed(self._queue.close_batch()))

    def _may_close(self) -> bool:
        if self._is_deciding_anew:
            return False
        under_way = self._under_way
        is_halfway = bool(under_way) and under_way[0].is_halfway
        return self._limits.may_close(len(self._queue), len(under_way), is_halfway)

    async def _hand_over(self, closed: Closed) -> None:
        self._under_way.append(closed)
        await self._ask_nonces(closed.jobs)
        self._time_out(closed.jobs, self._clock())
        with contextlib.suppress(StoreFault):  # the writer task meets the fault again, and bisects
            closed.prepared = await self._store.prepare(closed.jobs, self._wall_clock())
        if self._is_deciding_anew:
            closed.prepared = None
        if closed.prepared is not None:
            loop = asyncio.get_running_loop()
            # A small batch is over before a second one would be worth closing: do not wake the loop up for
            # it.
            is_small = len(closed.jobs) < self._limits.ahead_min
            halfway = partial(loop.call_soon_threadsafe, self._is_halfway, closed)
            writing = self._store.write(
                closed.prepared,
                may_begin=partial(self._begin, closed),
                at_halfway=_nothing if is_small else halfway,
            )
            closed.writing = loop.create_task(writing, name="batch")
        self._handed_over.put_nowait(closed)

    def _begin(self, closed: Closed) -> bool:
        """The writer comes to this batch: is it in time? Called on the writer's thread."""
        now_us = closed.began_us = self._clock()
        oldest = next((job for job in closed.jobs if job.objection is None), None)
        return oldest is None or not self._limits.expired(oldest.arrived_us, now_us)

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
        if verdicts.count(Verdict.FRESH) == len(bets):
            return
        shed = []
        for job, verdict in zip(bets, verdicts, strict=True):
            if verdict is Verdict.REUSED:
                job.objection = Code.NONCE_REUSED
            elif verdict is Verdict.SHED:
                job.objection = Code.OVERLOADED
                shed.append(job)
        if shed:
            # A copy under another nonce may move the money in this very commit: then claim nothing.
            going = {name_of(job.command) for job in bets if job.objection is None}
            for job in shed:
                if name_of(job.command) in going:
                    job.objection = Code.OUTCOME_UNKNOWN

    async def write(self) -> None:
        """Settle the batches in their order, and have everybody told; for ever."""
        while True:
            await self._settle(await self._handed_over.get())  # no name: it would keep the batch's sessions
            self._is_deciding_anew = False
            self._under_way.popleft()
            self._stirred.set()

    def _time_out(self, batch: Sequence[Job], now_us: int) -> None:
        """Object to what has waited past its deadline."""
        if not self._limits.expired(batch[0].arrived_us, now_us):
            return  # the oldest is in time, so all are
        late = [
            job for job in batch if job.objection is None and self._limits.expired(job.arrived_us, now_us)
        ]
        if late:
            # A retry that came in time moves the money in this very commit, so nobody may say it was not.
            in_time = {
                name_of(job.command)
                for job in batch
                if job.objection is None and not self._limits.expired(job.arrived_us, now_us)
            }
            for job in late:
                if name_of(job.command) not in in_time:
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
            if any(map(_was_written, part, outcomes)):  # else this tells nothing of the disk
                now_us = self._clock()
                self._breaker.commit_succeeded(now_us, now_us - (closed.began_us or now_us))
            # Only after COMMIT: a client that hears "confirmed" may act on it at once, and a crash before
            # COMMIT would leave it acting on money that never moved.
            accepted = cache(partial(_accepted, part, outcomes))  # made where something was refused only
            for job, outcome in zip(part, outcomes, strict=True):
                if isinstance(outcome, Rejected):
                    self._tell(job, self._by_now(job, outcome, accepted))
                else:
                    self._tell(job, outcome)

    def _by_now(self, job: Job, refused: Rejected, accepted: Callable[[], set[Name]]) -> Rejected:
        """`refused`, unless it denies what a copy behind it has done, or may have done since. `accepted`: the
        commands of this batch that did what they were asked.
        """
        if refused.code is Code.INSUFFICIENT_FUNDS:
            self._alarm.short_of_funds(job.command, self._clock())
        if _stays(job.command, refused.code):
            return refused
        is_overtaken = job.command in self._undecided or name_of(job.command) in accepted()
        return Rejected(Code.OUTCOME_UNKNOWN) if is_overtaken else refused

    async def _outcomes(self, closed: Closed, part: list[Job]) -> list[Outcome] | None:
        """Of `part`, once they are true; None if no money is taken any more, and `part` was not executed."""
        prepared, writing = closed.prepared, closed.writing
        closed.prepared = closed.writing = None
        try:
            if prepared is not None and writing is not None and await writing:
                if closed.began_us is not None:
                    self._breaker.queue_waited(closed.began_us, closed.began_us - part[0].arrived_us)
                return prepared.outcomes
            if self.failure is not None:
                return None
            self._is_deciding_anew = True
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
        self.failure = str(fault) if isinstance(fault, StoreFault) else repr(fault)
        log.critical(
            "no money is taken until this server is restarted; %d commands have an unknown outcome: %s",
            len(part),
            self.failure,
            exc_info=None if isinstance(fault, StoreFault) else fault,
        )
        self._undecided.doubt(job.command for job in part)
        self._undecided.leave(job.command for job in part)
        for job in part:
            self._tell(job, Rejected(Code.OUTCOME_UNKNOWN))


def _nothing() -> None:
    """What a small batch does when it is halfway."""


_CLAIM_NOTHING = frozenset(
    {
        Code.IDEMPOTENCY_CONFLICT,
        Code.STALE_REQUEST,
        Code.NONCE_REUSED,
        Code.OUTCOME_UNKNOWN,
        Code.INTERNAL,
    }
)


def _stays(command: Command, code: Code) -> bool:
    """Whether this refusal is true whatever the copies of `command` do: it claims nothing, or was written
    down, so that they are refused as well.
    """
    return code in _CLAIM_NOTHING or (isinstance(command, PlaceBet) and code in RECORDED)


def _accepted(part: Iterable[Job], outcomes: Iterable[Outcome]) -> set[Name]:
    return {
        name_of(job.command)
        for job, outcome in zip(part, outcomes, strict=True)
        if isinstance(outcome, Accepted)
    }


def _was_written(job: Job, outcome: Outcome) -> bool:
    """Whether this outcome has just been written. Of refusals, only those of bets are."""
    if isinstance(outcome, Accepted):
        return not outcome.replayed
    return isinstance(job.command, PlaceBet) and outcome.code in RECORDED and not outcome.replayed
