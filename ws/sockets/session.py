"""One live connection: feed the conversation, drain its effects, close. All decisions are in `protocol.py`.

Bets take the fast lane: the socket hands a frame of them to `take`, and what is owed leaves by `deliver`, in
one frame for all that one turn of the event loop has brought. Whatever must wait (look-ups, a token) goes
through the coroutine `run`, which takes frames from the queue.

What is to be told goes into the `Outbox` (`outbox.py`), which waits for nobody. So a session can end at any
moment, whoever reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from starlette.websockets import WebSocket

from batcher.batcher import Batcher
from engine import queries
from engine.actors import Actor
from engine.commands import Command
from engine.outcomes import Code, Outcome
from engine.store import Store
from ws.asking.actors import actor_of
from ws.asking.ended import Ended
from ws.asking.lookups import told
from ws.asking.signers import Signers
from ws.auth import TokenRefused, identify
from ws.beside.checks import Checks
from ws.codec import encode_frame
from ws.effects import (
    ENDED_WORDS,
    EXPIRED_WORDS,
    Authenticate,
    Close,
    CloseCode,
    Effect,
    Identity,
    Look,
    Submit,
)
from ws.protocol import Conversation, State
from ws.sockets.hub import FOLLOWED_MAX, Hub, Pushed
from ws.sockets.outbox import Outbox
from ws.transport.websocket_door import FAST_LANE, SLOW_WORDS, WebSocketDoor
from ws.wire.checks import CheckShown
from ws.wire.fields import Reply
from ws.wire.figures import Figures, FiguresFollow
from ws.wire.messages import BetPlace, Limits, Resume
from ws.wire.outcomes import error
from ws.wire.payouts import Payout, PayoutFollow, is_over

log = logging.getLogger("solidgreen.ws")

AUTH_WITHIN_S: Final = 5.0
IN_FLIGHT_S: Final = 0.6
"""How long a session whose token has expired waits for what is in flight: with the look that finds it expired
(`ws/sockets/hub.py`) it is closed 0.85 s after that at the latest, and 1 s is promised."""


@dataclass(frozen=True, slots=True)
class Door:
    """What every session needs."""

    store: Store
    batcher: Batcher
    hub: Hub
    jwt_secret: str
    limits: Limits
    checks: Checks
    figures: Callable[[str], Figures]
    """The newest ones, as the reply to the request of this `id`."""
    missed: set[str] = field(default_factory=set)
    signers: Signers = field(default_factory=Signers)
    ended: Ended = field(default_factory=Ended)

    def identify(self, token: str) -> Identity:
        """Who the token speaks for, now. Raises `TokenRefused`, also where its log-in has ended."""
        return identify(self.jwt_secret, token, self.ended)

    def miss(self, why: str) -> None:
        """Say that an archive was asked for in vain; of each file and reason once, however often that is."""
        if why not in self.missed:
            self.missed.add(why)
            log.warning("what is archived cannot be told: %s", why)


class Session:
    """One socket, from its acceptance to its end."""

    def __init__(self, websocket: WebSocket, door: Door) -> None:
        self._websocket = websocket
        self._wire: WebSocketDoor = websocket.scope["extensions"][FAST_LANE]
        self._door = door
        self._conversation = Conversation(door.limits, self._wire.allowance)
        self._outbox = Outbox(self._wire)
        self._replies = self._outbox.replies
        self._is_due = False
        self._is_waiting = False
        self._closing: Close | None = None
        self._user_id: int | None = None
        self._actor: Actor | None = None
        self.traceparent: str | None = None
        """Of which trace the handshake said that it is a part (ws/watching/traces.py)."""
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, bearer: str | None) -> None:
        """Serve the accepted socket until a side ends it. `bearer`: the token of the handshake, if any."""
        self._door.hub.enter(self)
        self._wire.take = self.take
        try:
            if bearer is None:
                self._later(AUTH_WITHIN_S, self._end_unauthenticated)
            else:
                await self._authenticate(Authenticate(bearer))
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                self._is_waiting = True
                if text is None:
                    await self._carry_out(self._conversation.receive_bytes())
                else:
                    await self._carry_out(self._conversation.receive_text(text, _now_ms()))
                self._is_waiting = False
        except asyncio.CancelledError:
            return  # by a stop that waits no longer, of which uvicorn would log a traceback
        except Exception:
            self._fail()
            self.deliver()
        finally:
            identity = self._conversation.identity
            if identity is None:
                self._door.hub.leave(self, self._user_id, None)
            else:
                self._door.hub.leave(self, self._user_id, identity.expires_at_s, identity.session)
            self._wire.take = None
            if self._timer is not None:
                self._timer.cancel()

    # -- called by the socket, the batcher and the hub: they must not wait

    def take(self, text: str) -> bool:
        """Carry out a frame of bets at once; False: it must wait its turn in `run`."""
        if self._is_waiting or self._conversation.state is not State.OPEN:
            return False
        try:
            requests = self._conversation.read(text)
            for request in requests:
                if not isinstance(request, BetPlace):
                    return False
            submit, actor = self._door.batcher.submit, self._actor
            for effect in self._conversation.receive(requests, _now_ms()):
                if isinstance(effect, Submit):
                    submit(effect.command, self, effect.request_id, effect.objection, actor)
                else:
                    assert isinstance(effect, Reply)
                    self._replies.append(effect)
        except Exception:
            self._fail()
        self._owe()
        return True

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        """A command of this socket has its outcome."""
        self._replies.append(self._conversation.answered(request_id, command, outcome))
        if self._conversation.is_done:
            self._close(self._conversation.expire())
        if not self._is_due:
            self._owe()

    def push(self, message: Pushed) -> None:
        """Something was posted to this socket's wallet by somebody else, or became of what it follows."""
        self._enqueue(message)

    def deliver(self) -> None:
        """Send what waits, unless a welcome or a long answer comes before it, and close if that is due."""
        self._is_due = False
        was_welcome = self._conversation.identity is not None
        if self._closing is not None:
            self._outbox.keep_last_words(was_welcome=was_welcome)
        elif not was_welcome or self._outbox.is_telling:
            if not self._outbox.hold():
                self._end_slow()
            return
        if not self._outbox.send():
            self._end_slow()
        if self._closing is not None:
            self._wire.end(self._closing.code, self._closing.reason)

    def end_because_stopping(self) -> None:
        """The server stops."""
        self._end(CloseCode.STOPPING, "the server is stopping")

    def end_because_expired(self) -> None:
        """The token has expired: close, at once or when what is in flight is answered."""
        self._end_unless_in_flight(EXPIRED_WORDS)

    def end_because_logged_out(self) -> None:
        """The log-in has ended: likewise."""
        self._end_unless_in_flight(ENDED_WORDS)

    def _end_unless_in_flight(self, why: str) -> None:
        self._close(self._conversation.expire(why))
        if self._conversation.state is State.EXPIRED:
            self._later(IN_FLIGHT_S, partial(self._end_unless_in_flight, why))

    # -- effects

    async def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Submit():
                    self._door.batcher.submit(
                        effect.command, self, effect.request_id, effect.objection, self._actor
                    )
                case Look(request=Resume()):
                    async with self._door.hub.turn_to_resume(self._user_id):
                        if self._wire.is_over or not await self._outbox.tell(await self._look_up(effect)):
                            self._untold()
                            return
                case Look():
                    if not await self._outbox.tell(await self._look_up(effect)):
                        self._untold()
                        return
                case Authenticate():
                    await self._authenticate(effect)
                case Close():
                    self._closing = effect
                case _:
                    self._replies.append(effect)
        self._owe()

    async def _look_up(self, effect: Look) -> Sequence[Reply]:
        request = effect.request
        # Followed before it is read, as wallets are: a chunk that is paid in between is pushed.
        if isinstance(request, PayoutFollow) and not self._door.hub.follow_payout(request.payout_id, self):
            return [error(request.id, Code.RATE_LIMITED, f"this socket follows {FOLLOWED_MAX} payouts")]
        identity, door = self._conversation.identity, self._door
        assert identity is not None
        if isinstance(request, FiguresFollow):
            door.hub.follow_figures(self)
            return [door.figures(request.id)]
        replies = await told(door, request, identity, door.miss, self._actor)
        if isinstance(replies[0], CheckShown) and replies[0].state == "running":
            # Only now: while it was written down who begins it, the one before may have ended, for all that
            # followed that. Nothing was waited for since this one was seen running.
            door.hub.follow_check(replies[0].check, self)
        if isinstance(request, PayoutFollow) and not _goes_on(replies[0]):
            self._door.hub.unfollow_payout(request.payout_id, self)
        return replies

    async def _authenticate(self, asked: Authenticate) -> None:
        try:
            identity = self._door.identify(asked.token)
        except TokenRefused as refused:
            self._refuse(asked, str(refused))
            return
        if not self._door.hub.admit(identity.user_id):
            words = f"this user has {self._door.hub.sockets_per_user} sockets already"
            self._enqueue(error(asked.request_id, Code.RATE_LIMITED, words))
            self._end(CloseCode.TOO_MUCH, words)
            return
        self._user_id = identity.user_id
        self._actor = actor_of(identity, self._websocket.scope.get("client"), "ws")
        wallet = None
        if identity.role == "player":
            # Followed before it is read: an entry posted in between is pushed, and its seq tells that it is
            # old.
            self._door.hub.follow(identity.user_id, self)
            wallet = await self._door.store.read(
                lambda connection: queries.wallet(connection, identity.user_id)
            )
            if wallet is None:
                self._refuse(asked, "the token names a wallet that does not exist")
                return
        if self._conversation.state is not State.STRANGER:
            return  # closed while the wallet was read
        now_ms = _now_ms()
        if now_ms >= identity.expires_at_s * 1000:  # likewise
            self._refuse(asked, EXPIRED_WORDS)
            return
        if identity.session is not None:
            if identity.session in self._door.ended:  # likewise
                self._refuse(asked, ENDED_WORDS)
                return
            self._door.hub.belongs(identity.session, self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wire.write(encode_frame([self._conversation.welcome(identity, wallet, now_ms)]))
        self._door.hub.expiries.enter(self, identity.expires_at_s)
        if not self._outbox.send():  # what was pushed meanwhile
            self._end_slow()

    def _refuse(self, asked: Authenticate, why: str) -> None:
        self._enqueue(error(asked.request_id, Code.UNAUTHORIZED, why))
        self._end(CloseCode.NOT_AUTHENTICATED, why)

    # -- sending and ending

    def _enqueue(self, reply: Reply) -> None:
        self._replies.append(reply)
        if not self._is_due:
            self._owe()

    def _owe(self) -> None:
        """See to it that what waits is delivered in the next turn of the loop, in one frame."""
        if not self._is_due and (self._replies or self._closing is not None):
            self._is_due = True
            self._door.hub.due(self)

    def _untold(self) -> None:
        """What was looked up is not to be told: the socket is over, or its reader too slow."""
        if not self._wire.is_over:
            self._end_slow()

    def _end_slow(self) -> None:
        self._conversation.close(CloseCode.TOO_MUCH, SLOW_WORDS)
        # Also where it was to be closed for another reason: any other code says that nothing is missing.
        self._close([Close(CloseCode.TOO_MUCH, SLOW_WORDS)])

    def _end(self, code: CloseCode, reason: str) -> None:
        self._close(self._conversation.close(code, reason))

    def _close(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            assert isinstance(effect, Close)
            self._closing = effect
        self._owe()

    def _fail(self) -> None:
        log.exception("a session failed")
        self._end(CloseCode.FAULT, "an error in the server")

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, action)

    def _end_unauthenticated(self) -> None:
        self._end(CloseCode.NO_AUTH_IN_TIME, f"no auth within {AUTH_WITHIN_S:.0f} s")


def _goes_on(reply: Reply) -> bool:
    """Whether it tells of a payout of which there will be more to tell."""
    return isinstance(reply, Payout) and not is_over(reply.state, reply.suspended)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
