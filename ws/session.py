"""One live connection: feed the conversation, drain its effects, close. All decisions are in `protocol.py`.

Bets take the fast lane: the socket hands a frame of them to `take`, and what is owed leaves by `deliver`, in
one frame for all that one turn of the event loop has brought. Whatever must wait (look-ups, a token, a peer
that reads slowly) goes through coroutines: `run` takes frames from the queue, `_finish` sends the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from batcher.batcher import Batcher
from engine import queries
from engine.commands import Command
from engine.errors import ArchiveUnusable
from engine.outcomes import Code, Outcome
from engine.store import Store
from ws.auth import TokenRefused, identify
from ws.codec import encode_frame, error
from ws.fields import Reply
from ws.hub import FOLLOWED_MAX, Hub
from ws.lookups import look_up
from ws.messages import BetPlace, Limits, WalletEntry
from ws.payouts import Payout, PayoutFollow, PayoutProgress, is_over
from ws.protocol import Authenticate, Close, CloseCode, Conversation, Effect, Look, State, Submit
from ws.transport import FAST_LANE, WebSocketDoor

log = logging.getLogger("solidgreen.ws")

AUTH_WITHIN_S: Final = 5.0
FRAME_REPLIES_MAX: Final = 500
"""Replies in one frame: some 130 KB, well below the 1 MiB that client libraries take by default."""

OUTBOX_MAX: Final = 2000
"""Replies waiting for a slow reader, at about 130 bytes: PROTOCOL's in-flight limit of answers and as many
pushes again. Beyond it the socket is closed with 4429; the client reconnects and resumes.
"""

LAST_WORDS_S: Final = 1.0
"""How long a session that failed, or a second signal, waits for close frames to leave."""


GONE: Final = (WebSocketDisconnect, WebSocketDisconnected)
"""What Starlette raises when the peer, or our own close, was faster than what was to be sent."""


@dataclass(frozen=True, slots=True)
class Door:
    """What every session needs."""

    store: Store
    batcher: Batcher
    hub: Hub
    jwt_secret: str
    limits: Limits
    missed: set[str] = field(default_factory=set)

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
        self._conversation = Conversation(door.limits)
        self._outbox: list[Reply] = []
        self._is_due = False
        self._is_waiting = False
        self._turn = asyncio.Lock()
        self._sender: asyncio.Task[None] | None = None
        self._closing: Close | None = None
        self._wallet_id: int | None = None
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
        except GONE:
            pass  # the peer has gone while something was being sent; nothing is owed to it
        except Exception:
            self._fail()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finish(), LAST_WORDS_S)
        finally:
            self._door.hub.leave(self, self._wallet_id)
            self._wire.take = None
            if self._timer is not None:
                self._timer.cancel()
            if self._sender is not None:
                self._sender.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._sender

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
            submit = self._door.batcher.submit
            for effect in self._conversation.receive(requests, _now_ms()):
                if isinstance(effect, Submit):
                    submit(effect.command, self, effect.request_id, effect.objection)
                else:
                    assert isinstance(effect, Reply)
                    self._outbox.append(effect)
        except Exception:
            self._fail()
        self._owe()
        return True

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        """A command of this socket has its outcome."""
        self._enqueue(self._conversation.answered(request_id, command, outcome))

    def push(self, message: WalletEntry | PayoutProgress) -> None:
        """Something was posted to this socket's wallet by somebody else, or became of a payout it follows."""
        self._enqueue(message)

    def deliver(self) -> None:
        """Send all that waits: now, if the peer keeps up with reading, else when it has caught up."""
        self._is_due = False
        if self._conversation.state is State.STRANGER or self._turn.locked():
            return  # a push that came before the welcome waits for it; nobody overtakes what is being sent
        outbox = self._outbox
        while outbox and self._wire.write(encode_frame(outbox[:FRAME_REPLIES_MAX])):
            del outbox[:FRAME_REPLIES_MAX]
        if (outbox or self._closing is not None) and self._sender is None:
            self._sender = asyncio.create_task(self._finish(), name="session sender")

    def end_because_stopping(self) -> None:
        """The server stops."""
        self._end(CloseCode.STOPPING, "the server is stopping")

    # -- effects

    async def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Submit():
                    self._door.batcher.submit(effect.command, self, effect.request_id, effect.objection)
                case Look():
                    # Not through the outbox: a long resume waits for its reader, and counts against nobody.
                    await self._send_patiently(await self._look_up(effect))
                case Authenticate():
                    await self._authenticate(effect)
                case Close():
                    self._closing = effect
                case _:
                    self._outbox.append(effect)
        self._owe()

    async def _look_up(self, effect: Look) -> Sequence[Reply]:
        assert self._conversation.identity is not None
        request = effect.request
        # Followed before it is read, as wallets are: a chunk that is paid in between is pushed.
        if isinstance(request, PayoutFollow) and not self._door.hub.follow_payout(request.payout_id, self):
            return [error(request.id, Code.RATE_LIMITED, f"this socket follows {FOLLOWED_MAX} payouts")]
        try:
            replies = await look_up(
                self._door.store, self._door.batcher, request, self._conversation.identity
            )
        except ArchiveUnusable as why:
            self._door.miss(str(why))
            replies = [error(request.id, Code.NOT_FOUND, str(why))]
        except Exception:  # the file could not be read: that must not cost the socket's other answers
            log.exception("a request could not be looked up")
            replies = [error(request.id, Code.INTERNAL)]
        if isinstance(request, PayoutFollow) and not _goes_on(replies[0]):
            self._door.hub.unfollow_payout(request.payout_id, self)
        return replies

    async def _authenticate(self, asked: Authenticate) -> None:
        try:
            identity = identify(self._door.jwt_secret, asked.token)
        except TokenRefused as refused:
            self._enqueue(error(asked.request_id, Code.UNAUTHORIZED, str(refused)))
            self._end(CloseCode.NOT_AUTHENTICATED, str(refused))
            return
        wallet = None
        if identity.role == "player":
            # Followed before it is read: an entry posted in between is pushed, and its seq tells that it is
            # old.
            self._door.hub.follow(identity.user_id, self)
            self._wallet_id = identity.user_id
            wallet = await self._door.store.read(
                lambda connection: queries.wallet(connection, identity.user_id)
            )
            if wallet is None:
                self._enqueue(
                    error(asked.request_id, Code.UNAUTHORIZED, "the token names a wallet that does not exist")
                )
                self._end(CloseCode.NOT_AUTHENTICATED, "no such wallet")
                return
        if self._conversation.state is not State.STRANGER:
            return  # closed while the wallet was read
        self._outbox.insert(0, self._conversation.welcome(identity, wallet, _now_ms()))
        self._end_when_expired()
        self._owe()

    # -- sending and ending

    def _enqueue(self, reply: Reply) -> None:
        if len(self._outbox) >= OUTBOX_MAX:
            self._outbox.clear()
            self._end(CloseCode.TOO_MUCH, "reading too slowly; reconnect and resume")
            return
        if self._closing is None or self._closing.code is not CloseCode.TOO_MUCH:
            self._outbox.append(reply)
            if not self._is_due:
                self._owe()

    def _owe(self) -> None:
        """See to it that what waits is delivered in the next turn of the loop, in one frame."""
        if not self._is_due and (self._outbox or self._closing is not None):
            self._is_due = True
            self._door.hub.due(self)

    async def _finish(self) -> None:
        """Send what the peer was too slow for, and close if that is due."""
        try:
            await self._send_patiently(())
            if self._closing is not None:
                await self._websocket.close(self._closing.code, self._closing.reason)
        except GONE:
            pass  # `run` learns of it by itself
        finally:
            self._sender = None

    async def _send_patiently(self, replies: Sequence[Reply]) -> None:
        """Send what waits, then `replies`, however long the peer takes to read it."""
        async with self._turn:
            # Emptied, not replaced: whoever holds on to the list across an await must not append to a stale
            # one.
            while self._outbox:
                waiting = self._outbox[:FRAME_REPLIES_MAX]
                del self._outbox[:FRAME_REPLIES_MAX]
                await self._send(waiting)
            for start in range(0, len(replies), FRAME_REPLIES_MAX):
                await self._send(replies[start : start + FRAME_REPLIES_MAX])
        self._owe()

    async def _send(self, replies: Sequence[Reply]) -> None:
        await self._websocket.send({"type": "websocket.send", "text": encode_frame(replies).decode()})

    def _end(self, code: CloseCode, reason: str) -> None:
        for effect in self._conversation.close(code, reason):
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

    def _end_when_expired(self) -> None:
        identity = self._conversation.identity
        assert identity is not None
        left_s = identity.expires_at_s - time.time()
        if left_s <= 0:
            self._end(CloseCode.NOT_AUTHENTICATED, "the token has expired")
        else:
            # Looked at again every hour: a token may live longer than a timer can, and the clock may be set.
            self._later(min(left_s, 3600.0), self._end_when_expired)


def _goes_on(reply: Reply) -> bool:
    """Whether it tells of a payout of which there will be more to tell."""
    return isinstance(reply, Payout) and not is_over(reply.state, reply.suspended)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
