"""One session as a state machine: a frame in, effects out. No sockets, no clock, no waiting: pure.

    state        what comes              effects                                       next state
    -----------  ----------------------  --------------------------------------------  ----------
    STRANGER     auth, alone in a frame  Authenticate                                  STRANGER
    STRANGER     no request              error INVALID_REQUEST, Close 4401             CLOSED
    STRANGER     anything else           error UNAUTHORIZED, Close 4401                CLOSED
    STRANGER     welcome()               welcome                                       OPEN
    OPEN         bet.place               bet.pending, Submit                           OPEN
    OPEN         bet.place, too many     Submit with an objection                      OPEN
    OPEN         a Move (operators.py)   Submit                                        OPEN
    OPEN         a Move, too many        Submit with an objection                      OPEN
    OPEN         a look (effects.py)     Look                                          OPEN
    OPEN         ping                    pong                                          OPEN
    OPEN         not for him (roles.py)  error FORBIDDEN                               OPEN
    OPEN         no request              error INVALID_REQUEST                         OPEN
    OPEN         expire(), none in flight  Close 4401                                  CLOSED
    OPEN         expire(), some in flight  nothing                                     EXPIRED
    EXPIRED      anything                error UNAUTHORIZED                            EXPIRED
    EXPIRED      the last outcome, or a  Close 4401                                    CLOSED
                 second expire()
    any          a binary frame          Close 4400                                    CLOSED
    CLOSED       anything                nothing                                       CLOSED

The shell (`session.py`) sends what is to be sent, hands on commands, and reports outcomes with `answered`.
What is received is paid for out of the socket's `Allowance`; the shell closes a socket that has spent it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from engine.commands import Command
from engine.outcomes import Code, Outcome
from engine.snapshots import WalletState
from ws.asking.intents import Refused, authorised, staked_from, stakes_own
from ws.codec import Malformed, decode_frame, to_command
from ws.effects import (
    EXPIRED_WORDS,
    Authenticate,
    Close,
    CloseCode,
    Effect,
    Identity,
    Look,
    Looked,
    Submit,
)
from ws.wire.allowance import CHARS_A_TOKEN, REFUSED_COST, Allowance
from ws.wire.fields import Reply
from ws.wire.messages import (
    AnyRequest,
    Auth,
    BetPending,
    BetPlace,
    Error,
    Limits,
    Ping,
    Pong,
    Welcome,
)
from ws.wire.operators import Move
from ws.wire.outcomes import answer, error


class State(Enum):
    """Where a session stands."""

    STRANGER = "stranger"
    OPEN = "open"
    EXPIRED = "expired"
    CLOSED = "closed"


class Conversation:
    """The server's side of one socket."""

    def __init__(self, limits: Limits, allowance: Allowance) -> None:
        self.state = State.STRANGER
        self.identity: Identity | None = None
        self._limits = limits
        self._allowance = allowance
        self._in_flight = 0
        self._stakes_own = False
        self._why_over = EXPIRED_WORDS

    def welcome(self, identity: Identity, wallet: WalletState | None, now_ms: int) -> Welcome:
        """The token was good. `wallet` is None for whoever is not a player."""
        assert self.state is State.STRANGER
        self.state = State.OPEN
        self.identity = identity
        self._stakes_own = stakes_own(identity)
        if wallet is None:
            return Welcome(identity.user_id, identity.role, now_ms, self._limits)
        return Welcome(
            identity.user_id,
            identity.role,
            now_ms,
            self._limits,
            wallet.currency,
            wallet.balance_minor,
            wallet.held_minor,
            wallet.available_minor,
            wallet.seq,
        )

    def close(self, code: CloseCode, reason: str) -> list[Effect]:
        """End the session, once."""
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        return [Close(code, reason)]

    def expire(self, why: str = EXPIRED_WORDS) -> list[Effect]:
        """The token has expired, or its log-in has ended: nothing more is taken in, and the session ends once
        what is in flight is answered, or when this is called again; with the `why` of the first time."""
        if self.state is State.OPEN:
            self._why_over = why
            if self._in_flight:
                self.state = State.EXPIRED
                return []
        return self.close(CloseCode.NOT_AUTHENTICATED, self._why_over)

    def receive_bytes(self) -> list[Effect]:
        """A binary frame came: whoever sends it does not speak this protocol."""
        return self.close(CloseCode.NOT_THIS_PROTOCOL, "frames of this protocol are text")

    def receive_text(self, text: str, now_ms: int) -> list[Effect]:
        """A text frame came. `now_ms`: wall clock, for `pong`. Nothing that a frame holds raises."""
        requests = self.read(text)
        if len(requests) == 1 and isinstance(requests[0], Malformed):
            self._allowance.tokens -= len(text) // CHARS_A_TOKEN
        return self.receive(requests, now_ms)

    def read(self, text: str) -> Sequence[AnyRequest | Malformed]:
        """The requests of a text frame, for `receive`. Whoever only looks at them pays nothing."""
        return decode_frame(text, self._limits.frame_messages)

    def receive(self, requests: Sequence[AnyRequest | Malformed], now_ms: int) -> list[Effect]:
        """The requests of one frame came, at least one."""
        self._allowance.tokens -= len(requests)
        effects: list[Effect] = []
        if self.state is State.OPEN:
            for request in requests:
                if isinstance(request, BetPlace):
                    self._place(request, effects)
                else:
                    effects.append(self._effect_of(request, now_ms))
        elif self.state is State.STRANGER:
            effects = self._from_stranger(requests[0] if len(requests) == 1 else None)
        elif self.state is State.EXPIRED:
            effects = [self._refuse(request.id, Code.UNAUTHORIZED, self._why_over) for request in requests]
        return effects

    def answered(self, request_id: str, command: Command, outcome: Outcome) -> Reply:
        """A submitted command has its outcome. With that the last thing an expired session waited for may be
        there: see `is_done`."""
        self._in_flight -= 1
        return answer(request_id, command, outcome)

    @property
    def is_done(self) -> bool:
        """Whether the token has expired and nothing is in flight: `expire` will close."""
        return self.state is State.EXPIRED and not self._in_flight

    def _from_stranger(self, request: AnyRequest | Malformed | None) -> list[Effect]:
        if isinstance(request, Auth):
            return [Authenticate(request.token, request.id)]
        if isinstance(request, Malformed):
            told = error(request.id, Code.INVALID_REQUEST, request.message)
        else:
            told = error(None if request is None else request.id, Code.UNAUTHORIZED)
        why = "the first message must be auth, in a frame of its own"
        return [told, *self.close(CloseCode.NOT_AUTHENTICATED, why)]

    def _effect_of(
        self,
        request: Auth | Ping | Move | Looked | Malformed,
        now_ms: int,
    ) -> Effect:
        match request:
            case Malformed():
                return self._refuse(request.id, Code.INVALID_REQUEST, request.message)
            case Ping():
                return Pong(request.id, now_ms)
            case Auth():
                words = "this socket is authenticated already"
                return self._refuse(request.id, Code.INVALID_REQUEST, words)
        assert self.identity is not None
        intent = authorised(self.identity, request)
        if isinstance(intent, Refused):
            return self._refuse(request.id, *intent)
        if isinstance(intent, Look):
            return intent
        return Submit(request.id, intent, self._one_more())

    def _place(self, request: BetPlace, effects: list[Effect]) -> None:
        assert self.identity is not None
        user_id = self.identity.user_id
        if not self._stakes_own or request.user_id is not None:
            whose = staked_from(self.identity, request)
            if isinstance(whose, Refused):
                effects.append(self._refuse(request.id, *whose))
                return
            user_id = whose
        command = to_command(request, user_id)
        objection = self._one_more()
        if objection is None:
            effects.append(BetPending(request.id, request.bet_id))
        effects.append(Submit(request.id, command, objection))

    def _one_more(self) -> Code | None:
        """Count a command in; what is held against it."""
        self._in_flight += 1
        if self._in_flight <= self._limits.in_flight:
            return None
        self._allowance.tokens -= REFUSED_COST - 1
        return Code.RATE_LIMITED

    def _refuse(self, request_id: str | None, code: Code, message: str) -> Error:
        self._allowance.tokens -= REFUSED_COST - 1
        return error(request_id, code, message)
