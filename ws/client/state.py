"""A client of `wallet.v1` as a state machine: what comes in, what is to be sent, when to connect. Pure.

    phase     what comes               what follows                                          next
    --------  -----------------------  ----------------------------------------------------  -------
    OFFLINE   connected()              wait 10 s for `welcome`                               WAITING
    WAITING   welcome                  send what waits, `resume` if somebody reads entries   OPEN
    WAITING   nothing in time          is_dead()                                             WAITING
    OPEN      a task                   send it, at most `in_flight` at a time                OPEN
    OPEN      the last word on a task  finished                                              OPEN
    OPEN      a retryable answer       the same again, later                                 OPEN
    OPEN      OUTCOME_UNKNOWN          a bet: `bet.get`, later; a move: the same again       OPEN
    OPEN      UNAUTHORIZED             keep it for the next socket                           OPEN
    OPEN      silence for 15 s         ping; is_dead() 10 s later                            OPEN
    any       disconnected(code)       connect_ms, needs_token; what was sent waits again    OFFLINE
    any       …for the third time      fault: no token is taken                              ENDED
    any       …with a code of ours     fault: this client does not speak the protocol        ENDED

A bet is sent again with the same `bet_id` and `nonce`, and the time of *this* sending by the server's clock,
which `welcome` and `pong` tell: a wrong clock here costs no bet. All times (`…_ms`) are of one clock that
never goes back, in milliseconds; `chance` gives numbers from 0 to below 1. The same machine in JavaScript is
`clients/javascript/state.js` with its modules, and `clients/scenarios.json` keeps the two together.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from ws.client.errors import GivenUp, NotAuthenticated, NotPlaced
from ws.client.view import WalletView
from ws.client.wire import decode_frame, encode, in_frames
from ws.wire.fields import Reply, Request
from ws.wire.messages import (
    BalanceGet,
    BetConfirmed,
    BetGet,
    BetPlace,
    BetRejected,
    BetState,
    Error,
    Limits,
    Ping,
    Pong,
    Resume,
    Resumed,
    Welcome,
)

WELCOME_WITHIN_MS: Final = 10_000
QUIET_MS: Final = 15_000
"""Silence after which a client asks whether the server is there: below the 30 s after which proxies and the
server itself give up connections."""
PONG_WITHIN_MS: Final = 10_000
ANSWER_WITHIN_MS: Final = 10_000
"""The server promises an answer in 2 s (`deadline_ms`); a loaded one gets five times that."""
EXPIRED_WITHIN_MS: Final = 5000
"""A server that takes this token no more closes the socket within a second."""
RETRY_FIRST_MS: Final = 200
RETRY_MAX_MS: Final = 10_000
AFTER_STOP_MS: Final = 500
"""Nobody starts faster than this."""
AFTER_TOO_MUCH_MS: Final = 1000
TOKENS_REFUSED_MAX: Final = 3
STALE_MAX: Final = 5

BET_ANSWERS: Final = (BetConfirmed, BetRejected, BetState, Error)
"""`bet.pending` is not the last word, nor is what may come to be said beside it."""
FAULTS: Final = {1007: "no UTF-8", 1009: "a frame is too big", 4400: "not this protocol"}
NOT_AUTHENTICATED: Final = 4401


class Phase(Enum):
    """Where the connection stands."""

    OFFLINE = "offline"
    WAITING = "waiting"
    OPEN = "open"
    ENDED = "ended"


@dataclass(eq=False, slots=True)
class Task:
    """One request, until its last word is there. `number`: its place in the order of asking."""

    number: int
    request: Request
    only_looks: bool = False
    """Of a bet: find out what became of it, and place it only where it is known to be decided."""
    is_doubtful: bool = False
    """Whether an earlier sending may still take place, though nobody waits for its answer."""
    looks: bool = False
    """What is sent next, or waits for its answer, is `bet.get`."""
    id: str | None = None
    """Of the message that waits for its answer on this socket."""
    asked_ms: int = 0
    sent_at: int | None = None
    """Server time of the newest sending; None: it never left."""
    tries: int = 0
    stale: int = 0
    decided: BetState | None = None
    last: Reply | None = None
    result: Reply | NotPlaced | None = None
    is_abandoned: bool = False

    @property
    def bet(self) -> BetPlace | None:
        """The bet that this is about, if it is about one."""
        return self.request if isinstance(self.request, BetPlace) else None

    @property
    def is_rejected(self) -> bool:
        """Whether a bet is surely not placed now, though it could be tried again."""
        return isinstance(self.last, BetRejected) and not self.is_doubtful and self.id is None


@dataclass(slots=True)
class _Queue:
    """Tasks that are to be sent, at once or later."""

    ready: deque[Task] = field(default_factory=deque)
    later: list[tuple[int, int, Task]] = field(default_factory=list)

    def look(self, now_ms: int) -> None:
        """What is due is ready from now on."""
        while self.later and self.later[0][0] <= now_ms:
            self.ready.append(heapq.heappop(self.later)[2])

    def take(self) -> Task | None:
        """The first that is ready and still wanted; None: there is none."""
        while self.ready:
            task = self.ready.popleft()
            if not task.is_abandoned:
                return task
        return None


class ClientState:
    """One client of one wallet, over any number of sockets."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self.phase = Phase.OFFLINE
        self.view = WalletView()
        self.welcome: Welcome | None = None
        self.limits = Limits()
        self.finished: list[Task] = []
        """Those that have their last word; the shell takes them out."""
        self.unasked: list[Reply] = []
        """What came unasked: each `welcome`, and pushes; the shell takes them out."""
        self.connect_ms = 0
        """While offline: when to connect."""
        self.needs_token = False
        """Whether the token that was shown is refused, and another has to be fetched before connecting."""
        self.fault: GivenUp | None = None
        self._chance = chance
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)
        self._queue = _Queue()
        self._waiting: dict[str, Task] = {}
        self._unsent_since: dict[str, int] = {}
        """Server time since which no bet of this `bet_id` has left here, of those that are not answered: its
        newest sending or, where an earlier process sent it, the first look."""
        self._resume_id: str | None = None
        self._ping_id: str | None = None
        self._look_id: str | None = None
        self._may_look_ms = 0
        self._own_refused = 0
        """Times in a row that what this asks by itself was refused."""
        self._wants_time = False
        self._is_expired = False
        self._dead_ms: int | None = None
        self._heard_ms = 0
        self._server_ahead_ms = 0
        self._attempts = 0
        self._refusals = 0

    # -- what the caller wants

    def start(self, request: Request, *, only_looks: bool = False, is_doubtful: bool = False) -> Task:
        """Ask this until its last word is there. Its `id` is made here, and so is a bet's `sent_at`.

        `is_doubtful`: it may have been sent before. `only_looks`: then do not place it anew."""
        task = Task(next(self._numbers), request, only_looks, is_doubtful, looks=only_looks)
        self._queue.ready.append(task)
        return task

    def abandon(self, task: Task) -> None:
        """Nobody waits for it: it is not sent again. Its answer may still come, and is among `finished`."""
        task.is_abandoned = True
        if task.bet is not None and task.is_rejected:
            self._unsent_since.pop(task.bet.bet_id, None)

    def server_ms(self, now_ms: int) -> int:
        """The server's time, as well as it is known: too early by what a message takes."""
        return now_ms + self._server_ahead_ms

    # -- what the socket brings

    def connected(self, now_ms: int) -> None:
        """A socket is open, and the token was shown or is the first message."""
        self.phase = Phase.WAITING
        self._heard_ms = now_ms
        self._dead_ms = now_ms + WELCOME_WITHIN_MS

    def receive(self, text: str, now_ms: int) -> None:
        """A frame came. Raises `ValueError` where it is no JSON."""
        self._heard_ms = now_ms
        if self.phase is Phase.OPEN and not self._is_expired:
            self._dead_ms = None if self._ping_id is None else now_ms + PONG_WITHIN_MS
        for message in decode_frame(text):
            self._take(message, now_ms)

    def disconnected(self, code: int | None, now_ms: int, retry_after_ms: int | None = None) -> None:
        """The socket has gone, or could not be opened. `code`: how it was closed, None if it was not."""
        self.phase = Phase.OFFLINE
        self._is_expired, self._wants_time, self._dead_ms = False, False, None
        self._resume_id = self._ping_id = self._look_id = None
        self.view.feed.dropped(now_ms)
        self._all_wait_again()
        at_least_ms = retry_after_ms
        if code in FAULTS:
            self.end(GivenUp(f"the server does not take what this client sends: {FAULTS[code]} ({code})"))
            return
        if code == NOT_AUTHENTICATED:
            self.needs_token = True
            self._refusals += 1
            if self._refusals >= TOKENS_REFUSED_MAX:
                self.end(NotAuthenticated(f"the server has refused {self._refusals} tokens in a row"))
                return
            if self._refusals == 1:
                self.connect_ms = now_ms
                return
        elif code == 1001:
            at_least_ms = max(at_least_ms or 0, AFTER_STOP_MS)
        elif code == 4429:
            at_least_ms = max(at_least_ms or 0, AFTER_TOO_MUCH_MS)
        self.connect_ms = now_ms + self._pause_ms(self._attempts, at_least_ms)
        self._attempts += 1

    def end(self, fault: GivenUp) -> None:
        """Connect no more."""
        self.phase = Phase.ENDED
        self.fault = fault

    # -- what is to be done

    def to_send(self, now_ms: int) -> list[str]:
        """The frames that are due."""
        if self.phase is not Phase.OPEN or self._is_expired:
            return []
        self._look_for_overdue(now_ms)
        sent = [encode(request) for request in self._own_requests(now_ms)]
        self._queue.look(now_ms)
        while len(self._waiting) < self.limits.in_flight and (task := self._queue.take()) is not None:
            message = self._message(task, now_ms)
            if len(message) > self.limits.frame_bytes:
                words = f"longer than the {self.limits.frame_bytes} bytes that the server takes"
                self._finish(task, Error(None, "INVALID_REQUEST", words, retryable=False))
                continue
            # Last in the order of asking: the first one is overdue before all others.
            self._waiting[task.id or ""] = task
            sent.append(message)
        return [*in_frames(sent, self.limits.frame_bytes, self.limits.frame_messages)]

    def wake_ms(self) -> int | None:
        """When to look again though nothing happens; None: need not be."""
        if self.phase is not Phase.OPEN or self._is_expired:  # nothing is sent
            return self._dead_ms
        times = [self._heard_ms + QUIET_MS if self._ping_id is None else None, self._dead_ms]
        times.append(self.view.feed.wants_ms() if self._resume_id is None else None)
        times.append(self._may_look_ms if self.view.is_unsure and self._look_id is None else None)
        if self._queue.later and len(self._waiting) < self.limits.in_flight:
            times.append(self._queue.later[0][0])
        if self._waiting:
            times.append(next(iter(self._waiting.values())).asked_ms + ANSWER_WITHIN_MS)
        return min(each for each in times if each is not None)

    def is_dead(self, now_ms: int) -> bool:
        """Whether the socket is to be dropped: nobody is at its other end."""
        return self._dead_ms is not None and now_ms >= self._dead_ms

    def _own_requests(self, now_ms: int) -> Iterator[Request]:
        from_seq = self.view.feed.wants_from(now_ms)
        if from_seq is not None and self._resume_id is None:
            self.view.feed.asked()
            self._resume_id = self._next_id()
            yield Resume(self._resume_id, from_seq)
        if self.view.is_unsure and self._look_id is None and now_ms >= self._may_look_ms:
            self.view.is_unsure = False
            self._look_id = self._next_id()
            yield BalanceGet(self._look_id)
        if self._ping_id is None and (self._wants_time or now_ms >= self._heard_ms + QUIET_MS):
            self._wants_time = False
            self._ping_id = self._next_id()
            self._dead_ms = now_ms + PONG_WITHIN_MS
            yield Ping(self._ping_id)

    def _message(self, task: Task, now_ms: int) -> bytes:
        task.id, task.asked_ms = self._next_id(), now_ms
        bet = task.bet
        if bet is None:
            task.sent_at = self.server_ms(now_ms)
            return encode(msgspec.structs.replace(task.request, id=task.id))
        if task.looks:
            self._unsent_since.setdefault(bet.bet_id, self.server_ms(now_ms))
            return encode(BetGet(task.id, bet.bet_id))
        task.sent_at = self._unsent_since[bet.bet_id] = self.server_ms(now_ms)
        return encode(msgspec.structs.replace(bet, id=task.id, sent_at=task.sent_at))

    # -- messages

    def _take(self, message: Reply, now_ms: int) -> None:
        if isinstance(message, Welcome) and not self._welcomed(message, now_ms):
            return
        self.view.take(message)
        if getattr(message, "id", msgspec.UNSET) is msgspec.UNSET:
            self.unasked.append(message)
        match message:
            case Resumed(id=self._resume_id):
                self._resume_id, self._own_refused = None, 0
                self.view.feed.resumed(message, now_ms)
            case Error(id=str(refused_id)) if refused_id in (self._resume_id, self._look_id):
                self._ask_later(message, now_ms)
            case Pong(id=self._ping_id):
                self._ping_id = None
                self._dead_ms = self._dead_ms if self._is_expired else None
                self._server_ahead_ms = message.server_time - now_ms
            case _:
                id_ = getattr(message, "id", None)
                if id_ is not None and id_ == self._look_id:
                    self._look_id, self._own_refused = None, 0
                task = self._waiting.get(id_) if isinstance(id_, str) else None
                if task is not None and (task.bet is None or isinstance(message, BET_ANSWERS)):
                    self._answered(task, message, now_ms)

    def _ask_later(self, refused: Error, now_ms: int) -> None:
        """What this asks by itself is asked again, more and more slowly: the server may have much to do."""
        later_ms = now_ms + self._pause_ms(self._own_refused, _or_none(refused.retry_after_ms))
        self._own_refused += 1
        if refused.id == self._resume_id:
            self._resume_id = None
            self.view.feed.dropped(now_ms)
            self.view.feed.may_resume_ms = later_ms
        else:
            self._look_id, self.view.is_unsure, self._may_look_ms = None, True, later_ms

    def _welcomed(self, welcome: Welcome, now_ms: int) -> bool:
        was = self.welcome
        if was is not None and (was.user_id, was.role) != (welcome.user_id, welcome.role):
            self.end(NotAuthenticated(f"the new token is of another user: {welcome.user_id}"))
            return False
        self.phase, self.welcome, self.limits = Phase.OPEN, welcome, welcome.limits
        self._server_ahead_ms = welcome.server_time - now_ms
        self._dead_ms = None
        self._attempts = self._refusals = 0
        return True

    def _answered(self, task: Task, reply: Reply, now_ms: int) -> None:
        assert task.id is not None
        del self._waiting[task.id]
        task.id, task.last = None, reply
        match reply:
            case Error(code="UNAUTHORIZED"):
                self._is_expired = True
                self._dead_ms = self._dead_ms or now_ms + EXPIRED_WITHIN_MS
                self._queue.ready.append(task)
            case BetState(state="pending") if task.looks:
                self._again(task, now_ms)
            case BetState() if task.looks:
                # Its replay tells all that the first answer did.
                task.decided, task.looks, task.tries = reply, False, 0
                self._queue.ready.append(task)
            case Error(code="NOT_FOUND") if task.looks:
                self._not_found(task, now_ms)
            case Error(code="IDEMPOTENCY_CONFLICT") if task.decided is not None and task.only_looks:
                self._finish(task, task.decided)  # archived, so that there is no replay
            case Error(code="OUTCOME_UNKNOWN") if task.bet is not None:
                self._lost(task)
                task.looks = True
                self._again(task, now_ms, _or_none(reply.retry_after_ms))
            case Error(code="STALE_REQUEST") if task.bet is not None and task.stale < STALE_MAX:
                task.stale += 1
                self._wants_time = True
                self._again(task, now_ms)
            case BetRejected(retryable=True):
                self._again(task, now_ms, _or_none(reply.retry_after_ms))
            case Error(retryable=True):
                self._lost(task)
                self._again(task, now_ms, _or_none(reply.retry_after_ms))
            case _:
                self._finish(task, reply)

    def _not_found(self, task: Task, now_ms: int) -> None:
        bet = task.bet
        assert bet is not None
        if not task.only_looks:
            task.looks = False
            self._again(task, now_ms)
            return
        server_ms = self.server_ms(now_ms)
        # `sent_at` is accepted for less than that, so what has not arrived by then never will.
        if server_ms > self._unsent_since.setdefault(bet.bet_id, server_ms) + self.limits.nonce_window_ms:
            self._finish(task, NotPlaced(bet.bet_id))
        else:
            self._again(task, now_ms)

    def _finish(self, task: Task, result: Reply | NotPlaced) -> None:
        if task.bet is not None:
            self._unsent_since.pop(task.bet.bet_id, None)
        task.result = result
        self.finished.append(task)

    def _again(self, task: Task, now_ms: int, at_least_ms: int | None = None) -> None:
        due_ms = now_ms + self._pause_ms(task.tries, at_least_ms)
        task.tries += 1
        heapq.heappush(self._queue.later, (due_ms, task.number, task))

    def _lost(self, task: Task) -> None:
        """No answer will come for what was sent last; it may take place all the same."""
        task.id = None
        task.is_doubtful = task.is_doubtful or not task.looks

    def _all_wait_again(self) -> None:
        """What was sent goes back to its place in the order of asking."""
        for task in self._waiting.values():
            self._lost(task)
        tasks = sorted([*self._waiting.values(), *self._queue.ready], key=lambda task: task.number)
        self._waiting.clear()
        self._queue.ready = deque(task for task in tasks if not task.is_abandoned)

    def _look_for_overdue(self, now_ms: int) -> None:
        while self._waiting:
            task = next(iter(self._waiting.values()))
            if now_ms < task.asked_ms + ANSWER_WITHIN_MS:
                return
            assert task.id is not None
            del self._waiting[task.id]
            self._lost(task)
            task.looks = task.bet is not None
            self._again(task, now_ms)

    def _pause_ms(self, tries: int, at_least_ms: int | None = None) -> int:
        """By chance, so that not all come back at once; who is told when never comes earlier. "At once" is
        not believed."""
        if at_least_ms:
            return int(at_least_ms * (1 + self._chance() / 2))
        longest_ms = min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** min(tries, 10))
        return int(longest_ms * (1 + self._chance()) / 2)

    def _next_id(self) -> str:
        return f"c{next(self._ids)}"


def _or_none(wait_ms: int | msgspec.UnsetType) -> int | None:
    return None if isinstance(wait_ms, msgspec.UnsetType) else wait_ms
