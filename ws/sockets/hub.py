"""Which sockets belong to which wallet, so that each hears of the entries that it did not ask for itself; and
which of them follow a payout, a check of the books, or the figures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final, Protocol
from weakref import WeakValueDictionary

from batcher.jobs import Asker
from engine.outcomes import Accepted, PayoutTold
from ws.settings import SOCKETS_PER_USER
from ws.sockets.expiries import Expiries
from ws.wire.checks import CheckShown
from ws.wire.figures import Figures
from ws.wire.messages import WalletEntry
from ws.wire.outcomes import wallet_entry
from ws.wire.payouts import PayoutProgress, is_over, progress

log = logging.getLogger("solidgreen.ws")

FOLLOWED_MAX: Final = 100
"""Payouts that one socket follows at a time. One that is paid, with nothing in suspense, counts no more."""


RESUMES_PER_USER: Final = 2
"""Answers to `resume` that are told to sockets of one user at a time, each up to 1.8 MB until its reader has
it. Others wait for their turn: a person rarely comes back with three devices in one moment."""

EXPIRY_LOOK_S: Final = 0.25
"""From one look for tokens that have expired to the next. See `IN_FLIGHT_S` in `ws/sockets/session.py`."""


Pushed = WalletEntry | PayoutProgress | Figures | CheckShown
"""What is told unasked."""


class Listener(Asker, Protocol):
    """A live socket, which both asks and is told."""

    def push(self, message: Pushed) -> None:
        """Send this when possible. Must neither block nor raise."""
        ...

    def deliver(self) -> None:
        """Send what is to be sent. Must neither block nor raise."""
        ...

    def end_because_stopping(self) -> None:
        """Send what is to be sent, then close with 1001."""
        ...

    def end_because_expired(self) -> None:
        """Take nothing more; send what is to be sent, then close with 4401."""
        ...

    def end_because_logged_out(self) -> None:
        """The same: the log-in that its token came from has ended."""
        ...


class Hub:
    """The registry of live sockets. All on the event loop."""

    def __init__(self, sockets_per_user: int = SOCKETS_PER_USER) -> None:
        self.sockets_per_user = sockets_per_user
        self.expiries: Expiries[Listener] = Expiries()
        self._sockets_of: dict[int, int] = {}
        self._resuming: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._by_user: dict[int, set[Listener]] = {}
        self._by_login: dict[str, set[Listener]] = {}
        self._by_payout: dict[int, set[Listener]] = {}
        self._payouts_of: dict[Listener, set[int]] = {}
        self._by_check: dict[str, set[Listener]] = {}
        self._of_figures: set[Listener] = set()
        self._figures_wanted = asyncio.Event()
        self._all: set[Listener] = set()
        self._due: list[Listener] = []
        self._is_stopping = False

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, listener: Listener) -> None:
        """A socket has been accepted; where all others have been told to go, it is told as well."""
        self._all.add(listener)
        if self._is_stopping:
            listener.end_because_stopping()

    def admit(self, user_id: int) -> bool:
        """Count a socket of this user in, whatever his role, until it leaves; False: he has enough."""
        sockets = self._sockets_of.get(user_id, 0)
        if sockets >= self.sockets_per_user:
            return False
        self._sockets_of[user_id] = sockets + 1
        return True

    @contextlib.asynccontextmanager
    async def turn_to_resume(self, user_id: int | None) -> AsyncIterator[None]:
        """Wait until fewer than `RESUMES_PER_USER` sockets of this user are being told what they missed."""
        assert user_id is not None
        turns = self._resuming.get(user_id)
        if turns is None:  # it goes with the last socket that uses it
            self._resuming[user_id] = turns = asyncio.Semaphore(RESUMES_PER_USER)
        async with turns:
            yield

    def follow(self, user_id: int, listener: Listener) -> None:
        """From now on `listener` hears of the entries of this wallet."""
        self._by_user.setdefault(user_id, set()).add(listener)

    def belongs(self, sid: str, listener: Listener) -> None:
        """`listener` ends when this log-in does."""
        self._by_login.setdefault(sid, set()).add(listener)

    def end_login(self, sid: str) -> None:
        """A log-in has ended, and with it each of its sockets, once what is in flight there is answered."""
        for listener in [*self._by_login.get(sid, ())]:
            listener.end_because_logged_out()

    def follow_payout(self, payout_id: int, listener: Listener) -> bool:
        """From now on `listener` hears how far this payout is, until all of it is paid; False: it follows
        `FOLLOWED_MAX` others, or has left."""
        if listener not in self._all:  # its frame was still being looked up
            return False
        followed = self._payouts_of.get(listener, set())
        if payout_id not in followed and len(followed) >= FOLLOWED_MAX:
            return False
        self._payouts_of.setdefault(listener, followed).add(payout_id)
        self._by_payout.setdefault(payout_id, set()).add(listener)
        return True

    def unfollow_payout(self, payout_id: int, listener: Listener) -> None:
        """`listener` hears of this payout no more, if it ever did."""
        followers, followed = self._by_payout.get(payout_id), self._payouts_of.get(listener)
        if followers is None or followed is None or payout_id not in followed:
            return
        followers.discard(listener)
        followed.discard(payout_id)
        if not followers:
            del self._by_payout[payout_id]
        if not followed:
            del self._payouts_of[listener]

    def follow_figures(self, listener: Listener) -> None:
        """From now on `listener` hears of each second's figures, until it leaves."""
        if listener in self._all:  # else its frame was still being looked up
            self._of_figures.add(listener)
            self._figures_wanted.set()

    async def figures_wanted(self) -> None:
        """Wait until somebody follows the figures."""
        await self._figures_wanted.wait()

    @property
    def is_followed(self) -> bool:
        """Whether anybody follows the figures."""
        return bool(self._of_figures)

    def tell_figures(self, figures: Figures) -> None:
        """Push them to all that follow them."""
        for listener in [*self._of_figures]:
            listener.push(figures)

    def follow_check(self, check: str, listener: Listener) -> None:
        """From now on `listener` hears how far this check of the books is, until its end."""
        if listener in self._all:
            self._by_check.setdefault(check, set()).add(listener)

    def check_changed(self, shown: CheckShown) -> None:
        """Tell those that follow it; at its end for the last time."""
        for listener in [*self._by_check.get(shown.check, ())]:
            listener.push(shown)
        if shown.state != "running":
            self._by_check.pop(shown.check, None)

    def leave(
        self, listener: Listener, user_id: int | None, expires_at_s: int | None, sid: str | None = None
    ) -> None:
        """A socket has gone. `user_id`: as whom it was admitted, if it was; `expires_at_s`: when its token
        would have ended, if it was welcome; `sid`: the log-in that it belonged to, if any."""
        self._all.discard(listener)
        if user_id is not None:
            self._count_out(user_id)
            followers = self._by_user.get(user_id, set())
            followers.discard(listener)
            if not followers:
                self._by_user.pop(user_id, None)
        if expires_at_s is not None:
            self.expiries.leave(listener, expires_at_s)
        if sid is not None and (of_login := self._by_login.get(sid)) is not None:
            of_login.discard(listener)
            if not of_login:
                del self._by_login[sid]
        for payout_id in [*self._payouts_of.get(listener, ())]:
            self.unfollow_payout(payout_id, listener)
        for check, followed_by in [*self._by_check.items()]:
            followed_by.discard(listener)
            if not followed_by:
                del self._by_check[check]
        self._of_figures.discard(listener)
        if not self._of_figures:
            self._figures_wanted.clear()

    def _count_out(self, user_id: int) -> None:
        self._sockets_of[user_id] -= 1
        if not self._sockets_of[user_id]:
            del self._sockets_of[user_id]

    def posted(self, accepted: Accepted, asker: Asker) -> None:
        """Tell the other sockets of each wallet that a transaction has posted to it."""
        for entry in accepted.entries:
            told = None  # one message for all: they may be 256
            for listener in self._by_user.get(entry.user_id, ()):
                if listener is not asker or accepted.wallet is None:  # else its answer says it
                    told = told or wallet_entry(entry, accepted.at_us)
                    listener.push(told)
        if accepted.payout is not None:
            self._payout_changed(accepted.payout)

    def _payout_changed(self, told: PayoutTold) -> None:
        for listener in [*self._by_payout.get(told.id, ())]:
            listener.push(progress(told))
            if is_over(told.state, told.suspended):
                self.unfollow_payout(told.id, listener)

    def due(self, listener: Listener) -> None:
        """Have `listener` deliver in the next turn of the event loop, once for each time that it is due.

        One callback serves all: what one COMMIT answers, or one read brings, leaves in one frame a socket.
        """
        if not self._due:
            asyncio.get_running_loop().call_soon(self._deliver)
        self._due.append(listener)

    def _deliver(self) -> None:
        due, self._due = self._due, []
        for listener in due:
            try:
                listener.deliver()
            except Exception:  # one broken socket must not cost the others their answers
                log.exception("a socket failed to deliver")

    def end_because_stopping(self) -> None:
        """Ask all live sockets, and those to come, to send what is to be sent and to close with 1001."""
        self._is_stopping = True
        for listener in list(self._all):
            listener.end_because_stopping()

    async def end_the_expired(self) -> None:
        """Look for tokens that have expired until cancelled; by the wall clock, also when that is set."""
        while True:
            await asyncio.sleep(EXPIRY_LOOK_S)
            for listener in self.expiries.due(time.time()):
                listener.end_because_expired()
