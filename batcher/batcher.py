"""The door of the batcher: from a command to its outcome.

    submit ──▶ pipeline: queue, prepare, commit ──▶ told
        │         └─ shed ─┐
        └──────────────────┴▶ turned away: look the key up, answer replay or objection ──▶ told

Turned away are bets while the breaker is open, bets and then other commands while there is too much to do
(docs/adr/0016), and everything once no money is taken any more.

A caller that has vanished is simply not told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import NamedTuple

from batcher.alarms import CircuitNews
from batcher.breaker import Admission, Breaker, State, Status
from batcher.clock import Clock, monotonic_us, wall_us
from batcher.expiry import AT_ONCE, Expiry
from batcher.jobs import Answered, Asker, Job, Posted, Waiting
from batcher.nonces import NonceGuard
from batcher.paying import Paying
from batcher.pipeline import Pipeline
from batcher.policy import BatchLimits
from batcher.tally import Tally
from batcher.turned_away import TurnedAway
from batcher.undecided import Undecided
from engine.actors import Actor
from engine.commands import Command, PlaceBet
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import Store

log = logging.getLogger("solidgreen.batcher")

WATCH_S = 0.1
"""How often the breaker is told of a commit that hangs and of a queue that ages."""

_ROOM = {State.CLOSED: AT_ONCE, State.HALF_OPEN: 1, State.OPEN: 0}

_PROBE = Admission.PROBE  # reading a member of an Enum costs as much as the rest of an admission

UNTIL_RESTART = "the storage failed: no money is taken until a restart"


class Circuit(NamedTuple):
    """What a client may know of the circuit breaker."""

    state: State
    reason: str | None
    """Why bets are held back; None while CLOSED."""
    remaining_us: int | None
    """Unbroken health still missing before it closes; None where only a restart helps."""
    retry_after_us: int | None
    """When a bet that would be refused now should come back; 0 while CLOSED, None as above."""


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
        newest_us: int = 0,
        chance: Callable[[], float] = random.random,
        traced: Callable[[Answered], None] | None = None,
    ) -> None:
        """Clocks in microseconds. `newest_us`: the time of the newest block, 0 if nobody has looked.
        `chance`: from 0 to below 1, spreads those who are told to come back. `traced` hears of each batch
        when it has been told.
        """
        self.books_clock = Clock(wall_clock, clock, newest_us)
        """The time of the books."""
        self.limits = limits or BatchLimits()
        self.tally = Tally()
        """What was answered since the start."""
        self._chance = chance
        self._store = store
        self._breaker = breaker or Breaker()
        self._posted = posted
        self._clock = clock
        self._undecided = Undecided()
        self._turned_away = TurnedAway(store, self._undecided, now=self.books_clock.now, tell=self._tell)
        self._pipeline = Pipeline(
            store,
            guard,
            self._breaker,
            self.limits,
            self._undecided,
            clock=clock,
            now=self.books_clock.now,
            tell=self._tell,
            turn_away=self._turned_away.add,
            tally=self.tally,
            traced=traced,
        )
        self._news = CircuitNews()
        self._expiry = Expiry(store, self.submit, self.books_clock.now, self.room_for_background)
        self._paying = Paying(store, self.ask, clock, self.room_for_background)
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._unanswered = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks. Call once, inside the running event loop."""
        loops = {
            "gather": self._pipeline.gather,
            "write": self._pipeline.write,
            "look up": self._turned_away.run,
            "watch": self._watch,
            "expire": self._expiry.run,
            "pay": self._paying.run,
        }
        for name, loop in loops.items():
            task = asyncio.create_task(loop(), name=f"batcher {name}")
            task.add_done_callback(self._task_ended)
            self._tasks.append(task)

    def submit(
        self,
        command: Command,
        asker: Asker,
        request_id: str,
        objection: Code | None = None,
        actor: Actor | None = None,
    ) -> None:
        """Take a command in; `asker` hears its outcome exactly once, in a later turn of the event loop.

        `objection` is what the door holds against it (a rate limit): then it is only looked up, not executed.
        `actor`: who asks for it on behalf of the house.
        """
        now_us = self._clock()
        is_bet = isinstance(command, PlaceBet)
        job = Job(
            command,
            None,
            actor,
            asker=asker,
            request_id=request_id,
            arrived_us=now_us,
            is_bet=is_bet,
        )
        if not self._unanswered:
            self._idle.clear()
        self._unanswered += 1
        objection = objection or self._why_not(job, now_us)
        if objection is None and not self._pipeline.offer(job):
            objection = Code.OVERLOADED
        if objection is not None:
            self._turned_away.add([job], objection)
            return
        self._undecided.enter(command)

    async def ask(self, command: Command, actor: Actor | None = None) -> Outcome:
        """Take in a command of the server's own, or of `actor`'s, and wait for its outcome."""
        waiting = Waiting()
        self.submit(command, waiting, "", actor=actor)
        return await waiting.outcome

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

    def oldest_wait_us(self) -> int:
        """How long the oldest of them has waited; 0 if none waits."""
        return self._pipeline.oldest_age_us(self._clock())

    def circuit(self) -> Circuit:
        """Whether bets are taken, as clients may see it."""
        now_us = self._clock()
        if self._pipeline.failure is not None:
            return Circuit(State.OPEN, UNTIL_RESTART, None, None)
        status = self._breaker.status(now_us)
        reason = None if status.reason is None else status.reason.value
        return Circuit(status.state, reason, status.remaining_us, self._breaker.retry_after_us(now_us))

    def room_for_background(self) -> int:
        """How many commands of the server's own are welcome now: none while the circuit
        is open, no money is taken or a stop has begun; one while it is half open, and tried with little."""
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
        self._turned_away.stop()
        self.abandon()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- the door

    def _why_not(self, job: Job, now_us: int) -> Code | None:
        if self._stopping:
            return Code.OVERLOADED
        if self._pipeline.failure is not None:
            return Code.CIRCUIT_OPEN
        if not job.is_bet:
            return None  # what is owed stays owed, and to try it is how a ledger that is well shows
        admission = self._breaker.admit(now_us)
        if not admission:
            return Code.CIRCUIT_OPEN
        job.is_probe = admission is _PROBE
        return None

    def _retry_after_us(self, code: Code) -> int | None:
        """When whoever hears `code` should come back; None: nobody knows. Spread over as long again, or all
        that are refused together would come back together.
        """
        if code is Code.CIRCUIT_OPEN and self._pipeline.failure is None:  # else only a restart helps
            least_us = self._breaker.retry_after_us(self._clock())
        elif code is Code.OVERLOADED and not self._stopping:
            least_us = self.limits.interval_us
        else:
            return None
        return least_us + int(least_us * self._chance()) or None

    def _with_a_time_to_return(self, refused: Rejected) -> Rejected:
        retry_after_us = self._retry_after_us(refused.code)
        return refused if retry_after_us is None else Rejected(refused.code, retry_after_us=retry_after_us)

    def _tell(self, job: Job, outcome: Outcome) -> None:
        self.tally.told(job, outcome)
        if job.is_probe:
            job.is_probe = False
            self._breaker.probe_done()
        if isinstance(outcome, Rejected):
            outcome = self._with_a_time_to_return(outcome)
        try:
            job.asker.answer(job.request_id, job.command, outcome)
        except Exception:  # one broken listener must not cost the others their answer
            log.exception("an asker failed to take its answer")
        if isinstance(outcome, Accepted) and _is_to_be_posted(outcome):
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
            due_us = self._clock() + round(WATCH_S * 1e6)
            await asyncio.sleep(WATCH_S)
            self.tally.lateness.add(max(self._clock() - due_us, 0))
            self._pipeline.watch(self._clock())
            self.books_clock.now()  # a jump is seen while nobody bets as well
            self._news.look(self.breaker_status(), self._clock())


def _is_to_be_posted(accepted: Accepted) -> bool:
    """Whether others are to hear of it: something has moved, or has become of a payout."""
    return bool(accepted.entries) or (accepted.payout is not None and not accepted.replayed)
