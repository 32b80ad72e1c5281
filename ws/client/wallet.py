"""A client of the wallet: place bets, see them through, follow the balance. For programs that use asyncio.

    async with Wallet("ws://127.0.0.1:8000/ws", token) as wallet:
        answer = await wallet.place(250, game="roulette")

A `Wallet` is one user's connection, over as many sockets as it takes: when one breaks, another is opened, and
what was not answered is sent again with the same `bet_id` and `nonce`, or the same `key`, so that no money
moves twice. All decisions are in `ws/client/state.py`, the sockets in `ws/client/link.py`; docs/clients.md
tells how to use it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
import weakref
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Final, TypeVar

from engine.commands import Result
from ws.client.errors import Gap, NotPlaced, Refused, Unresolved
from ws.client.journal import Journal, KeptBet, MemoryJournal
from ws.client.link import Link, Token
from ws.client.state import Task
from ws.client.view import Funds
from ws.client.wire import encode
from ws.wire.fields import Reply, Request
from ws.wire.messages import (
    Balance,
    BalanceGet,
    BetConfirmed,
    BetGet,
    BetPlace,
    BetRejected,
    BetState,
    WalletEntry,
    Welcome,
)
from ws.wire.operators import (
    BetCashedOut,
    BetCashout,
    BetRollback,
    BetRolledBack,
    BetSettle,
    BetSettled,
    BetUnsettle,
    BetUnsettled,
    WalletDeposit,
    WalletMoved,
    WalletWithdraw,
)

WITHIN_S: Final = 10.0
"""How long an answer is waited for, through however many sockets: the server promises one in 2 s."""
LATE_MAX: Final = 1000
"""Answers, some 300 bytes each, that came too late for a call and are kept for `resolve`."""

FATES: Final = (BetConfirmed, BetRejected, BetState, NotPlaced)
"""The last words on a bet."""

R = TypeVar("R", bound=Reply)


class Wallet:
    """A user's connection to the wallet engine. Use as an async context manager, in one event loop.

    `token`: of a player, whose wallet this then is, or of an operator. `journal`: where bets are kept that
    are not answered yet, so that a crash of this process forgets none; by default its memory. `within_s`: how
    long to wait for an answer, and for the first `welcome`, unless a call says otherwise. `on_push`: hears
    what comes unasked, in order: the `welcome` of each socket, so that what was followed on the one before
    can be followed again, and pushes, a `PayoutProgress` for example.

    Entering raises `NotAuthenticated`, or `GivenUp` where no socket could be opened in time. Every method
    that asks raises `Refused`, `Unresolved` or `GivenUp` (ws/client/errors.py). A call that is cancelled
    leaves nothing behind but a bet that may be placed: its `bet_id` is among `unresolved()`.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        journal: Journal | None = None,
        within_s: float = WITHIN_S,
        on_push: Callable[[Reply], object] = lambda _: None,
    ) -> None:
        self._link = Link(url, token, within_s, self._keep_late, on_push)
        self._state = self._link.state
        self._journal: Journal = MemoryJournal() if journal is None else journal
        self._within_s = within_s
        self._late: dict[str, BetConfirmed | BetRejected | BetState | NotPlaced] = {}
        """Last words on bets that nobody waited for any more, until somebody asks."""
        self._reader: weakref.ref[AsyncGenerator[WalletEntry | Gap, None]] | None = None

    async def __aenter__(self) -> Wallet:
        await self._link.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Whoever still waits hears `Unresolved`."""
        await self._link.close()

    # -- who and how much

    @property
    def user_id(self) -> int:
        """Of the token."""
        return self._welcome.user_id

    @property
    def role(self) -> str:
        """Of the token: `player`, `operator`, `auditor` or `admin`."""
        return self._welcome.role

    @property
    def balance(self) -> Funds:
        """The newest that is known, in minor units. Raises `TypeError` for whoever has no wallet."""
        if self._state.view.funds is None:
            raise TypeError(f"{self.role}s have no wallet")
        return self._state.view.funds

    async def refresh(self, *, within_s: float | None = None) -> Funds:
        """The balance as it stands now, with what is held: a hold is the one thing that is not pushed."""
        await self.ask(BalanceGet(""), Balance, within_s=within_s)
        return self.balance

    # -- bets

    async def place(
        self,
        stake: int,
        *,
        bet_id: str | None = None,
        currency: str | None = None,
        game: str | None = None,
        round: str | None = None,  # noqa: A002  the wire's name
        selection: str | None = None,
        odds_milli: int | None = None,
        free_bet_id: int | None = None,
        user_id: int | None = None,
        within_s: float | None = None,
    ) -> BetConfirmed | BetRejected:
        """Place a bet of `stake` minor units, and see it through.

        A `BetRejected` with `retryable` true is one that the server could not take before the time was over:
        it has moved no money, and a new bet may be made. `bet_id`: a UUID, made here if not given. `user_id`:
        whose wallet, for operators, who must say it.
        """
        bet = BetPlace(
            id="kept",
            bet_id=bet_id or new_bet_id(),
            stake=stake,
            nonce=secrets.token_hex(12),
            sent_at=0,
            currency=currency,
            game=game,
            round=round,
            selection=selection,
            odds_milli=odds_milli,
            user_id=user_id,
            free_bet_id=free_bet_id,
        )
        encode(bet)  # raises here what would else end the connection, of all who use it
        # Of an earlier call, whose bet may have left.
        is_doubtful = bet_id is not None and bet_id in self.unresolved()
        if not is_doubtful:  # else what is kept is what may have left, and only that can be resolved
            await asyncio.to_thread(self._journal.keep, KeptBet(self.user_id, bet))
        task = self._state.start(bet, is_doubtful=is_doubtful)
        result = await self._bet_settled(bet, task, within_s)
        assert isinstance(result, BetConfirmed | BetRejected)
        return result

    def unresolved(self) -> list[str]:
        """The bets of this user whose fate nobody was told: of calls that were cancelled or ended in
        `Unresolved`, of a process that crashed, and of calls that still wait."""
        return [kept.bet.bet_id for kept in self._journal.kept() if kept.user_id == self.user_id]

    async def resolve(
        self, bet_id: str, *, again: bool = False, within_s: float | None = None
    ) -> BetConfirmed | BetRejected | BetState | NotPlaced:
        """Find out what became of a bet that is among `unresolved()`. Raises `KeyError` for any other: also
        where its own call has told it meanwhile.

        Nothing is placed anew, unless `again` says that the bet is still wanted. Without it, a bet that never
        arrived takes 90 s from its last sending to be told (`NotPlaced`), since until then it might, or from
        the first look at one that a process before this has left: give it the time, or come back later. A
        `BetState` tells of a bet that is archived.
        """
        late = self._late.get(bet_id)
        if late is not None:
            self._forget(bet_id)
            return late
        mine = (kept.bet for kept in self._journal.kept() if kept.user_id == self.user_id)
        bet = next((bet for bet in mine if bet.bet_id == bet_id), None)
        if bet is None:
            raise KeyError(f"{bet_id}: not among the unresolved bets")
        task = self._state.start(bet, only_looks=not again, is_doubtful=True)
        return await self._bet_settled(bet, task, within_s)

    async def state(self, bet_id: str, *, within_s: float | None = None) -> BetState | None:
        """How a bet stands now; None: no such bet is known to the server, or it is another's."""
        try:
            return await self.ask(BetGet("", bet_id), BetState, within_s=within_s)
        except Refused as refused:
            if refused.code == "NOT_FOUND":
                return None
            raise

    # -- entries

    def entries(self, from_seq: int | None = None) -> AsyncGenerator[WalletEntry | Gap, None]:
        """The ledger entries of this wallet after `from_seq`, each once, in order, those to come as well.

        Without `from_seq` from where the wallet stood when this client connected first. A `Gap` stands for
        entries that were archived. Ends when the client is closed, raises `GivenUp` when it has given up. One
        reader at a time, until it is left or closed; another raises `RuntimeError`.
        """
        view = self._state.view
        if view.funds is None:
            raise TypeError(f"{self.role}s have no wallet")
        if self._reader is not None and self._reader() is not None:
            raise RuntimeError("the entries of this wallet are read already")
        reader = self._entries(view.first_seq if from_seq is None else from_seq)
        # Whoever leaves an `async for` leaves it to the event loop to end the generator, later.
        self._reader = weakref.ref(reader)
        return reader

    async def _entries(self, from_seq: int) -> AsyncGenerator[WalletEntry | Gap, None]:
        view, mine = self._state.view, self._reader
        view.feed.follow(from_seq)
        try:
            while True:
                while view.feed.waiting:
                    yield view.feed.waiting.popleft()
                if self._link.is_over:
                    break
                self._link.news.clear()
                self._link.stir()
                await self._link.news.wait()
        finally:
            if self._reader is mine:  # else somebody else reads by now
                self._reader = None
                view.feed.unfollow()
        if self._state.fault is not None:
            raise self._link.fault_now()

    # -- anything

    async def ask(self, request: Request, reply: type[R], *, within_s: float | None = None) -> R:
        """Ask anything, and have the answer, which is to be a `reply`. The request's `id` is made here.

        The requests and replies are those of ws/wire/messages.py and the modules beside it. A move is asked
        again with the same `key` until its last word is there. Not for `BetPlace`: see `place`.
        """
        if isinstance(request, BetPlace):
            raise TypeError("a bet has to be kept before it is sent: use place()")
        encode(request)  # as in `place`
        result = await self._settled(self._state.start(request), within_s)
        if not isinstance(result, reply):
            raise TypeError(f"the server answers {type(request).__name__} with {result!r}")
        return result

    async def settle(
        self,
        bet_id: str,
        result: Result,
        payout: int | None = None,
        *,
        key: str,
        within_s: float | None = None,
    ) -> BetSettled:
        """End a bet; for operators. `payout`: gross, in minor units."""
        return await self.ask(BetSettle("", key, bet_id, result, payout), BetSettled, within_s=within_s)

    async def unsettle(self, bet_id: str, *, key: str, within_s: float | None = None) -> BetUnsettled:
        """Take back how a bet was settled; for operators."""
        return await self.ask(BetUnsettle("", key, bet_id), BetUnsettled, within_s=within_s)

    async def roll_back(self, bet_id: str, *, key: str, within_s: float | None = None) -> BetRolledBack:
        """Undo a bet, or see to it that it is never placed; for operators."""
        return await self.ask(BetRollback("", key, bet_id), BetRolledBack, within_s=within_s)

    async def cash_out(
        self, bet_id: str, stake: int, payout: int, *, key: str, within_s: float | None = None
    ) -> BetCashedOut:
        """End the part `stake` of a bet for `payout`; for operators."""
        return await self.ask(BetCashout("", key, bet_id, stake, payout), BetCashedOut, within_s=within_s)

    async def deposit(
        self, user_id: int, amount: int, *, key: str, within_s: float | None = None
    ) -> WalletMoved:
        """Money from outside into a wallet; for operators."""
        return await self.ask(WalletDeposit("", key, user_id, amount), WalletMoved, within_s=within_s)

    async def withdraw(
        self,
        user_id: int,
        amount: int,
        *,
        key: str,
        for_approval: bool = False,
        within_s: float | None = None,
    ) -> WalletMoved:
        """Money out of a wallet, or set aside until it is approved; for operators."""
        request = WalletWithdraw("", key, user_id, amount, for_approval)
        return await self.ask(request, WalletMoved, within_s=within_s)

    # -- waiting

    async def _bet_settled(
        self, bet: BetPlace, task: Task, within_s: float | None
    ) -> BetConfirmed | BetRejected | BetState | NotPlaced:
        try:
            result = await self._settled(task, within_s)
        except BaseException as error:  # cancelled as well: it is not sent any more
            rejected = task.last if isinstance(error, Unresolved) and task.is_rejected else None
            has_not_left = task.sent_at is None or isinstance(error, Refused)
            is_over = rejected is not None or (has_not_left and not task.is_doubtful)
            if is_over and not self._link.waits_for(bet.bet_id):  # nor can another call have it sent
                self._forget(bet.bet_id)
            if isinstance(rejected, BetRejected):
                return rejected
            raise
        self._forget(bet.bet_id)
        assert isinstance(result, FATES), result
        return result

    async def _settled(self, task: Task, within_s: float | None) -> Reply | NotPlaced:
        return await self._link.settled(task, self._within_s if within_s is None else within_s)

    def _keep_late(self, task: Task) -> None:
        """The caller has gone. Until somebody asks the bet stays among `unresolved()`: a process that ends
        before would leave one that nobody has heard of."""
        if task.bet is None or not isinstance(task.result, FATES):
            return
        self._late[task.bet.bet_id] = task.result
        if len(self._late) > LATE_MAX:
            del self._late[next(iter(self._late))]

    def _forget(self, bet_id: str) -> None:
        """Somebody is told what became of it, or nothing can have."""
        self._late.pop(bet_id, None)
        self._journal.forget(bet_id)

    @property
    def _welcome(self) -> Welcome:
        if self._state.welcome is None:
            raise RuntimeError("not connected yet: use `async with`")
        return self._state.welcome


def new_bet_id() -> str:
    """A fresh UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return str(uuid.UUID(int=value))
