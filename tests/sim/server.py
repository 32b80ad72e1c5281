"""One process of the server: the composition root once more, in virtual time.

What `ws/app.py` builds is built here from the same parts: store, guards, batcher with its background tasks,
hub, sessions. The stop goes its steps as well.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from batcher.batcher import Batcher
from batcher.breaker import Breaker, State
from batcher.log_keeper import LogKeeper
from batcher.memory_nonces import MemoryGuard
from batcher.nonces import LIFE_S, Claim, FallbackGuard, NonceStoreAway, Verdict
from batcher.policy import BatchLimits
from batcher.redis_nonces import BUDGET_S
from engine.commands import Command
from engine.keys import SigningKey
from engine.outcomes import Outcome
from engine.queries import newest_block_at
from engine.store import Store
from tests.sim.loop import Loop, Scheduler
from tests.sim.network import Link, ServerEnd
from tests.sim.weather import Weather
from ws.app import BESIDE_S, CLOSE_S
from ws.auth import TokenRefused
from ws.beside.checks import Checks
from ws.effects import Identity
from ws.server import DRAIN_S, ECHO_S, READ_S
from ws.sockets.hub import Hub
from ws.sockets.session import Door, Session
from ws.watching.figures import Seconds
from ws.watching.sizes import Gauge
from ws.wire.messages import Limits

KEY: Final = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))

NONCE_US: Final = (50, 2_000)
NONCE_AWAY_US: Final = round(BUDGET_S * 1_000_000)
"""What the guard waits for its store before it gives up."""

NONCE_SLOW_US: Final = (2_000, NONCE_AWAY_US)

LOG_MAX_BYTES: Final = 1024 * 1024
"""Of the write-ahead log, beyond which bets wait for it to be cut: as `disk.CHECKPOINT_PAGES`, a little."""

LOSE_TASKS_S: Final = 1.0
"""`timeout_graceful_shutdown` of uvicorn, as `ws/server.py` sets it."""


class NonceStore:
    """What a Redis keeps, for all processes."""

    def __init__(self) -> None:
        self.bets: dict[tuple[int, str], tuple[float, str]] = {}


class StoreGuard:
    """The nonce guard in front of a store that is away, slow, or has forgotten all."""

    def __init__(self, store: NonceStore, scheduler: Scheduler, weather: Weather, rng: random.Random) -> None:
        self._store = store
        self._scheduler = scheduler
        self._weather = weather
        self._rng = rng

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        is_slow = self._weather.strikes("nonce store slow")
        await asyncio.sleep(self._rng.randint(*(NONCE_SLOW_US if is_slow else NONCE_US)) / 1_000_000)
        if self._weather.strikes("nonce store flushed"):
            self._store.bets.clear()
        is_away = self._weather.strikes("nonce store away")
        if is_away:
            await asyncio.sleep(NONCE_AWAY_US / 1_000_000)
            if self._rng.random() < 0.5:
                raise NonceStoreAway("claim", "no answer", "start it")
        verdicts = [self._claim(claim) for claim in claims]
        if is_away:  # and may have recorded them all the same
            raise NonceStoreAway("claim", "the answer was lost", "start it")
        return verdicts

    async def reach(self) -> None:
        await self.claim(())

    def health(self) -> str | None:
        return None

    def status(self) -> None:
        """No breaker here."""

    async def close(self) -> None:
        pass

    def _claim(self, claim: Claim) -> Verdict:
        bets, now_s, name = self._store.bets, self._scheduler.now_us / 1_000_000, (claim.user_id, claim.nonce)
        until_s, bet_id = bets.get(name, (0.0, ""))
        if until_s <= now_s:
            bets[name] = (now_s + LIFE_S, claim.bet_id)
            return Verdict.FRESH
        return Verdict.FRESH if bet_id == claim.bet_id else Verdict.REUSED


class SimSession(Session):
    """A session whose place in a set is the same in each run: by default it would be its address."""

    serial: int
    told: Callable[[str], None]

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        self.told(request_id)
        super().answer(request_id, command, outcome)

    def __hash__(self) -> int:
        return self.serial

    def __eq__(self, other: object) -> bool:
        return self is other


class Server:
    """From its start to its end, be that in good order or not."""

    def __init__(
        self,
        path: Path,
        scheduler: Scheduler,
        loop: Loop,
        guard: StoreGuard,
        limits: BatchLimits,
        capacity: int,
        rng: random.Random,
        shown: Limits | None = None,
    ) -> None:
        """`capacity`: nonces that the spare guard remembers. `rng`: the server's own chance. `shown`: the
        bounds that clients are told of.
        """
        self.loop = loop
        self.is_up = False
        self.is_stopping = False
        self.has_ended = False
        self.is_drained = False
        """Whether it has answered everything before it ended."""
        self.links: list[Link] = []
        self.batcher: Batcher
        self.guard: FallbackGuard
        self._path = path
        self._scheduler = scheduler
        self._primary = guard
        self._limits = limits
        self._capacity = capacity
        self._rng = rng
        self._shown = shown or Limits()
        self._sessions: list[asyncio.Task[None]] = []
        self._failed: BaseException | None = None

    def start(self) -> None:
        """Begin to open the file; `is_up` when it serves."""
        self.loop.create_task(self._start()).add_done_callback(self._ended)

    def connect(self, link: Link, bearer: str) -> None:
        """A socket has been accepted."""
        self.links.append(link)
        websocket: Any = ServerEnd(link)
        session = SimSession(websocket, self._door)
        session.serial = link.serial
        session.told = link.told
        task = self.loop.create_task(session.run(bearer), name="session")
        task.add_done_callback(self._ended)
        self._sessions.append(task)

    def stop(self) -> None:
        """SIGTERM."""
        if self.is_up and not self.is_stopping:
            self.is_stopping = True
            self.loop.create_task(self._stop()).add_done_callback(self._ended)

    def kill(self) -> None:
        """SIGKILL."""
        self.has_ended = True
        self.is_up = False
        self.loop.kill()
        for link in self.links:
            link.server_died()

    @property
    def needs_restart(self) -> bool:
        """What an operator's supervisor sees: it takes no money any more, or could not start."""
        return self._failed is not None or (self.is_up and self.batcher.failure is not None)

    def breaker(self) -> State:
        """As /health/ready shows it."""
        return self.batcher.breaker_status().state

    def nonces(self) -> State:
        """Of the breaker in front of the nonce store."""
        return self.guard.status().state

    def left_behind(self) -> dict[str, object]:
        """What a server that has ended in good order still remembers of somebody, though nobody is there."""
        hub, batcher = self._hub, self.batcher
        kept: dict[str, object] = {
            "sockets": len(hub),
            "tokens that end": len(hub.expiries),
            "sockets of users": hub._sockets_of,
            "who follows a wallet": hub._by_user,
            "who follows a payout": hub._by_payout or hub._payouts_of,
        }
        if self.is_drained:
            kept |= {
                "probes of the breaker": batcher._breaker._probes,
                "commands without an answer": batcher._unanswered,
                "commands that wait": batcher.queue_length() or batcher._turned_away._waiting,
                "commands under way": batcher._undecided._first or batcher._undecided._further,
            }
        return {what: kept[what] for what in kept if kept[what]}

    async def _start(self) -> None:
        self._store = store = await Store.open(self._path, key=KEY)
        self._hub = Hub()
        spare = MemoryGuard(capacity=self._capacity, clock=time.monotonic)
        self.guard = FallbackGuard(self._primary, spare, time.monotonic)
        self.batcher = Batcher(
            store,
            self.guard,
            breaker=Breaker(),
            limits=self._limits,
            posted=self._hub.posted,
            newest_us=await store.read(newest_block_at),
            chance=self._rng.random,
        )
        checks = Checks.of(store.path, self._hub.check_changed)
        figures = Seconds(store, self.batcher, self.guard, self._hub, Gauge(store))
        self._door = Door(store, self.batcher, self._hub, "", self._shown, checks, figures.newest)
        self.batcher.start()
        await self.guard.reach()
        self._beside = [
            self.loop.create_task(LogKeeper(store, log_max_bytes=LOG_MAX_BYTES).run(), name="log keeper"),
            self.loop.create_task(self._hub.end_the_expired(), name="expiries"),
        ]
        for task in self._beside:
            task.add_done_callback(self._ended)
        self.is_up = True

    async def _stop(self) -> None:
        """The steps of `ws.server.Server.shutdown`, uvicorn's, and those of `ws.app.serve` behind them."""
        draining = self.loop.create_task(self.batcher.drain(), name="drain")
        if not (await asyncio.wait([draining], timeout=DRAIN_S))[0]:
            draining.cancel()
        self.is_drained = draining.done()
        self._hub.end_because_stopping()
        await asyncio.sleep(0)
        self.batcher.abandon()
        await self._let_peers_read()
        for link in self.links:
            link.abort()
        going = [task for task in self._sessions if not task.done()]
        if going:
            for task in (await asyncio.wait(going, timeout=LOSE_TASKS_S))[1]:
                task.cancel()
        for task in self._beside:
            task.cancel()
        await asyncio.wait(self._beside, timeout=BESIDE_S)
        await self.guard.close()
        closing = self.loop.create_task(self._store.close(), name="close the file")
        await asyncio.wait([closing], timeout=CLOSE_S)
        self.has_ended = True  # if it has not been closed by now, without that

    async def _let_peers_read(self) -> None:
        began_s = time.monotonic()
        while True:
            waited_s = time.monotonic() - began_s
            if not any(
                waited_s < (READ_S if link.unsent() else ECHO_S) for link in self.links if not link.has_gone
            ):
                return
            await asyncio.sleep(0.01)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = error


def identify(secret: str, token: str, ended: Container[str] = frozenset()) -> Identity:
    """Stands for `ws.auth.identify`, which asks the real clock: a token is `user:role:expiry`."""
    user_id, role, expires_at_s = token.split(":")
    if int(expires_at_s) <= time.time():
        raise TokenRefused("the token has expired")
    return Identity(int(user_id), role, int(expires_at_s))


def token(user_id: int, role: str, expires_at_s: int) -> str:
    """What `identify` reads."""
    return f"{user_id}:{role}:{expires_at_s}"
