"""One seed, from its first frame to its verdict.

chaos      clients act, faults strike, the server crashes, fails, stops and is started again: `moments.py`
calm       no new faults; every client has a binding answer to everything within bounded time, and the circuit
           closes: `ending.py`
end        the last look over the wire, a stop in good order, and the books
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from batcher.policy import BatchLimits
from engine.reconcile import reconcile
from engine.verify import verify
from tests.sim.auditor import Auditor
from tests.sim.books import check_books
from tests.sim.clients import Client
from tests.sim.disk import Disk
from tests.sim.ending import Ending, Over
from tests.sim.evidence import Body, Finding, Surroundings
from tests.sim.loop import Abort, Loop, Scheduler, Stuck
from tests.sim.moments import Moments
from tests.sim.network import Link
from tests.sim.operators import Operator
from tests.sim.players import Player
from tests.sim.rows import Entry, Transaction
from tests.sim.server import NonceStore, Server, StoreGuard, token
from tests.sim.supervisor import Supervisor
from tests.sim.template import OPERATOR
from tests.sim.trace import Trace
from tests.sim.weather import Crash, Weather
from ws.wire.messages import Limits

TURNS_MAX: Final = 1_000_000

VERIFIED: Final = 10
"""Every so many seeds the engine's own `verify` reads the file as well; `reconcile` always does."""


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, path: Path, user_ids: Sequence[int]) -> None:
        """`path`: a fresh copy of the template, in which these players have wallets."""
        self.seed = seed
        self.scheduler = Scheduler()
        self.trace = Trace(self.scheduler)
        self.note = self.trace.note
        self.weather = Weather(self._rng("weather"), lambda: self.scheduler.now_us)
        self.confirmed: list[Body] = []
        self.unsettled: list[str] = []
        self._serials = itertools.count(1)
        self._ids = itertools.count(1)
        self._path = path
        rng = self._rng("world")
        whose = user_ids[: rng.randint(2, 4)]
        around = Surroundings(
            now_us=lambda: self.scheduler.now_us,
            wall_us=lambda: self.scheduler.now_us + self.scheduler.wall_offset_us,
            last_us=lambda fault: self.weather.last_us.get(fault, -1),
        )
        self.auditor = Auditor(around, 2_000_000)
        self.disk = Disk(self._path, self.scheduler, self.weather, self._rng("disk"), self)
        self._nonces = NonceStore()
        self._guard_rng, self._link_rng, self._server_rng = map(self._rng, ("guard", "links", "server"))
        self._limits = BatchLimits(
            batch_max=rng.choice((4, 20, 1000)),
            ahead_min=rng.choice((1, 3, 50)),
            queue_max=rng.choice((8, 40, 20_000)),
        )
        self._shown = Limits(in_flight=rng.choice((12, 1000)))
        self._capacity = rng.choice((12, 4_500_000, 4_500_000))
        self.supervisor = Supervisor(
            self.scheduler, self.weather, self.disk, self._make, self._link_rng, self.note
        )
        around.breaker = self.supervisor.breaker
        around.has_failed = lambda: self.supervisor.needs_restart
        self.scale = rng.choice((10, 40, 120))
        """What the bounds of sockets are divided by."""
        players = [
            Player(self, user_id, self._rng(f"player {user_id}"), rng.choice((1, 2, 2, 3)))
            for user_id in [*whose, user_ids[-1]]
        ]
        self.players, self.watched = players[:-1], players[-1]
        self.operator = Operator(self, OPERATOR, self._rng("operator"), 2, whose)
        self.clients: list[Client] = [*players, self.operator]
        self.scheduler.at(Moments(self, rng).plan(), Ending(self).begin)

    def run(self) -> None:
        """To the end. Raises a `Finding`."""
        self.supervisor.watch()
        for client in self.clients:
            client.start()
        while True:
            try:
                self.scheduler.turn()
            except Crash:
                self.note("CRASH")
                self.supervisor.kill()
            except (Abort, Stuck) as end:
                raise Finding(str(end)) from end
            except Over:
                break
            if self.scheduler.turns > TURNS_MAX:
                raise Finding("it never comes to rest")
        check_books(self._path, self.auditor.evidence)
        report = reconcile(self._path)
        if not report.ok:
            raise Finding(f"reconcile: {report.findings}")
        if self.seed % VERIFIED == 0:
            verdict = verify(self._path)
            if not verdict.ok:
                raise Finding(f"verify: {verdict}")

    # -- what clients find

    def next_id(self) -> str:
        return f"r{next(self._ids)}"

    def connect(self, client: Client, life_s: int) -> Link | None:
        server = self.supervisor.server
        if server is None or not server.is_up or server.is_stopping:
            return None
        number, scheduler = next(self._serials), self.scheduler
        link = Link(number, client, self, scheduler, self.weather, self._link_rng, server.loop, self.scale)
        now_s = (scheduler.now_us + scheduler.wall_offset_us) // 1_000_000
        self.auditor.opened(link, client.user_id, client.role, now_s + life_s)
        self.note("connect", link.serial, client.user_id, client.role)
        server.connect(link, token(client.user_id, client.role, now_s + life_s))
        return link

    # -- the tap at the server's door

    def arrived(self, link: Link, text: str) -> None:
        self.note(">", link.serial, text)
        self._audit(self.auditor.arrived, link, text)

    def told(self, request_id: str) -> None:
        self._audit(self.auditor.told, request_id)

    def shed(self, count: int) -> None:
        """So many bets have waited too long in a queue that stands."""
        self.note("SHED", count)
        self.weather.strike("bets shed")

    def emitted(self, link: Link, text: str) -> None:
        self.note("<", link.serial, text)
        self._audit(self.auditor.emitted, link, text)

    def ended(self, link: Link, code: int) -> None:
        self.note("close", link.serial, code)
        self._audit(self.auditor.ended, link, code)

    def committed(
        self, begun_us: int, at_us: int, transactions: list[Transaction], entries: list[Entry]
    ) -> None:
        self.note("COMMIT", begun_us, at_us, [each.id for each in transactions])
        self._audit(self.auditor.committed, begun_us, at_us, transactions, entries)

    def sealed(self, begun_us: int, at_us: int, block_at: int) -> None:
        self._audit(self.auditor.clocks.sealed, begun_us, at_us, block_at)

    def _audit(self, look: Callable[..., None], *seen: object) -> None:
        try:
            look(*seen)
        except Finding as finding:  # whoever called would take it for a fault of its own
            self.scheduler.abort(str(finding))

    def _make(self, loop: Loop) -> Server:
        """The next process of the server."""
        self.auditor.clocks.started()
        guard = StoreGuard(self._nonces, self.scheduler, self.weather, self._guard_rng)
        return Server(
            self._path,
            self.scheduler,
            loop,
            guard,
            self._limits,
            self._capacity,
            self._server_rng,
            self._shown,
        )

    def _rng(self, name: str) -> random.Random:
        """Chance of its own for each part, so that one that asks more often does not shift the others."""
        return random.Random(f"{self.seed} {name}")
