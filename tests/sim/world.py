"""One seed, from its first frame to its verdict.

chaos      clients act, faults strike, the server crashes, fails, stops and is started again
calm       no new faults; every client has a binding answer to everything within bounded time, and the circuit
           closes
end        the last look over the wire, a stop in good order, and the books
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import itertools
import logging
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partialmethod
from pathlib import Path
from typing import Any, Final
from unittest import mock

from batcher.breaker import State
from batcher.policy import BatchLimits, Queue
from engine.reconcile import reconcile
from engine.verify import verify
from tests.sim.auditor import Auditor
from tests.sim.books import check_books
from tests.sim.clients import Client, Intent, Operator, Player
from tests.sim.disk import Disk
from tests.sim.evidence import Body, Finding, Surroundings
from tests.sim.loop import Abort, Loop, Scheduler, Stuck
from tests.sim.network import Link, scaled
from tests.sim.rows import Entry, Transaction
from tests.sim.seams import seams
from tests.sim.server import NonceStore, Server, StoreGuard, identify, token
from tests.sim.template import OPERATOR, template
from tests.sim.weather import ALWAYS, AT_MOMENTS, BESIDE, CHANCES, OFTEN, Crash, Weather

CHAOS_US: Final = (3_000_000, 14_000_000)
CALM_US: Final = 240_000_000
"""By then every command has a binding answer and the circuit is closed: a breaker needs 30 s of health, a
client that lost its socket a few more, and a peer that vanished is found out in 30 s. Likewise the one in
front of the nonce store."""

RUSH_US: Final = 2_500_000

STOP_US: Final = 10_000_000
"""A stop ends within it."""

TURNS_MAX: Final = 1_000_000
SPINNING: Final = 20_000
"""Turns of the loop in the second between two looks of the supervisor: no load of a seed needs a tenth of
them."""

NEVER_LOGGED: Final = (
    "has died",
    "broke its contract",
    "failed to take its answer",
    "could not be posted",
    "failed to deliver",
    "fails by itself",
)
"""What the server says of bugs of its own."""

VERIFIED: Final = 10
"""Every so many seeds the engine's own `verify` reads the file as well; `reconcile` always does."""


shed_by_the_queue: Final = Queue._shed


@dataclass
class Verdict:
    """What became of a seed."""

    seed: int
    finding: str | None
    digest: str
    struck: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    tail: list[str] = field(default_factory=list)


class Trace(logging.Handler):
    """All that happens, line by line, hashed."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.logged: Counter[str] = Counter()
        self._scheduler = scheduler

    def note(self, *what: object) -> None:
        self.lines.append(f"{self._scheduler.now_us:>11,} {' '.join(map(str, what))}")

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.logged[f"{record.levelname} {record.msg}"] += 1
        self.note("LOG", record.levelname, message)
        if any(each in message for each in NEVER_LOGGED):
            error = record.exc_info[1] if record.exc_info else None
            self._scheduler.abort(f"the server says: {message} ({error!r})")

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


class World:
    """Everything of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.scheduler = Scheduler()
        self.trace = Trace(self.scheduler)
        self.weather = Weather(self._rng("weather"), lambda: self.scheduler.now_us)
        self.confirmed: list[Body] = []
        self.unsettled: list[str] = []
        self.server: Server | None = None
        self.is_ending = False
        self.starts = 0
        self._turns = 0
        self._serials = itertools.count(1)
        self._ids = itertools.count(1)
        rng = self._rng("world")
        made = template()
        self._path = _file(made.image)
        self.players = list(made.players[: rng.randint(2, 4)])
        self.watched = made.players[4]
        around = Surroundings(
            now_us=lambda: self.scheduler.now_us,
            wall_us=lambda: self.scheduler.now_us + self.scheduler.wall_offset_us,
            last_us=lambda fault: self.weather.last_us.get(fault, -1),
            breaker=self._breaker,
            has_failed=lambda: self.server is not None and self.server.needs_restart,
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
        self._capacity = rng.choice((12, 4_500_000, 4_500_000))
        self.scale = rng.choice((10, 40))
        """What the bounds of sockets are divided by."""
        self.clients: list[Client] = [
            *[
                Player(self, user_id, "player", self._rng(f"player {user_id}"), rng.choice((1, 2, 2, 3)))
                for user_id in [*self.players, self.watched]
            ],
            Operator(self, OPERATOR, self._rng("operator"), 2, self.players),
        ]
        self._operator = self.clients[-1]
        self._plan(rng)

    # -- what clients find

    def next_id(self) -> str:
        return f"r{next(self._ids)}"

    def note(self, *what: object) -> None:
        self.trace.note(*what)

    def connect(self, client: Client, life_s: int) -> Link | None:
        server = self.server
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

    # -- the course of things

    def run(self) -> None:
        """To the end. Raises a `Finding`."""
        self._supervise()
        for client in self.clients:
            client.start()
        while True:
            try:
                self.scheduler.turn()
            except Crash:
                self._crash()
            except (Abort, Stuck) as end:
                raise Finding(str(end)) from end
            except _Over:
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

    def _plan(self, rng: random.Random) -> None:
        scheduler, chaos_us = self.scheduler, rng.randint(*CHAOS_US)
        for client in self.clients:
            busy = rng.randint(2, 14) if client.user_id != self.watched else 4
            for _ in range(busy):
                scheduler.at(rng.randint(300_000, chaos_us), client.act)  # type: ignore[attr-defined]
        often = [fault for fault, chance in OFTEN.items() if rng.random() < chance]
        for fault in [*often, *rng.sample([*CHANCES], rng.randint(1, 6))]:
            begin_us = rng.randint(200_000, chaos_us)
            end_us = begin_us + rng.randint(300_000, 6_000_000)
            for each in (fault, *BESIDE.get(fault, ())):
                scheduler.at(begin_us, self.weather.begin, each)
                scheduler.at(end_us, self.weather.end, each)
        moments = {
            "crash at any moment": self._crash_now,
            "stop": self._stop,
            "stall": lambda: self._stall(rng.randint(50_000, 3_000_000)),
            "wall clock jump": lambda: self._jump(rng),
            "burst": lambda: self._burst(rng, rng.randint(10, 60)),
            "rush": lambda: self._rush(rng),
            "outside write": lambda: self._outside(rng),
        }
        for moment in AT_MOMENTS:
            if rng.random() < ALWAYS.get(moment, 0.12):
                for _ in range(rng.choice((1, 1, 2, 3))):
                    scheduler.at(rng.randint(300_000, chaos_us), self._strike, moment, moments[moment])
        scheduler.at(chaos_us + 6_500_000, self._calm)

    def _strike(self, moment: str, action: Any) -> None:
        self.weather.strike(moment)
        self.note("FAULT", moment)
        action()

    def _crash_now(self) -> None:
        raise Crash

    def _stop(self) -> None:
        if self.server is not None:
            self.server.stop()

    def _jump(self, rng: random.Random) -> None:
        """The wall clock is set; it comes back, or an operator says that it is right, or nobody does."""
        second_us, hour_us = 1_000_000, 3_600_000_000
        sizes_us = (30 * second_us, 300 * second_us, hour_us, 365 * 24 * hour_us)
        jump_us = rng.choice((-1, 1)) * rng.choice(sizes_us)
        self._set_clock(jump_us)
        then, later_us = rng.random(), rng.randint(1_000, 4_000_000)
        if then < 0.3:
            self.scheduler.after(later_us, self._set_clock, -jump_us)
        elif then < 0.7:
            self.scheduler.after(later_us, self._operator.confirm_the_clock)

    def _set_clock(self, by_us: int) -> None:
        self.note("CLOCK", by_us)
        self.scheduler.wall_offset_us += by_us
        self.auditor.clocks.set()

    def _stall(self, duration_us: int) -> None:
        self.scheduler.stall(duration_us)
        self.auditor.clocks.set()  # to whoever looks at expiries it is the same

    def _burst(self, rng: random.Random, size: int) -> None:
        players = [client for client in self.clients if isinstance(client, Player)]
        rng.choice(players[:-1]).burst(size)

    def _rush(self, rng: random.Random) -> None:
        """For a while more bets come than a disk that is not well can take."""
        for delay_us in range(0, RUSH_US, RUSH_US // 10):
            self.scheduler.after(delay_us, self._burst, rng, rng.randint(3, 12))
        self.weather.begin("commit sluggish")
        self.scheduler.after(RUSH_US, self.weather.end, "commit sluggish")

    def _outside(self, rng: random.Random) -> None:
        """Somebody with a shell blocks a wallet, and opens it again after a while."""
        change = "UPDATE users SET status = ? WHERE id = ?"
        if self.watched in self.auditor.blocked_since_us:
            return
        if not self.disk.outside(change, "blocked", self.watched):
            self.scheduler.after(1_000, self._outside, rng)
            return
        self.auditor.blocked_since_us[self.watched] = self.scheduler.now_us
        player = next(client for client in self.clients if client.user_id == self.watched)
        assert isinstance(player, Player)
        player.place()
        for delay_us in (5_000, 100_000, 400_000):
            self.scheduler.after(delay_us, player.place)
        self.scheduler.after(rng.randint(500_000, 2_000_000), self._open_again)

    def _open_again(self) -> None:
        if not self.disk.outside("UPDATE users SET status = 'open' WHERE id = ?", self.watched):
            self.scheduler.after(1_000, self._open_again)
            return
        del self.auditor.blocked_since_us[self.watched]

    # -- whoever looks after the server

    def _supervise(self) -> None:
        rng, server = self._link_rng, self.server
        if self.is_ending:
            return
        if server is None or server.has_ended:
            self._check_the_end()
            self._start()
        elif server.needs_restart:
            self.weather.strike("restart")
            if server.is_up and rng.random() < 0.5:
                server.stop()
            else:
                self._kill()
        elif server.is_stopping and self.scheduler.now_us - self._stopped_us > STOP_US:
            raise Finding("a stop took more than 10 s")
        if server is None or not server.is_stopping:
            self._stopped_us = self.scheduler.now_us
        turns, self._turns = self.scheduler.turns - self._turns, self.scheduler.turns
        if turns > SPINNING:
            raise Finding(f"the loop spins: {turns} turns since the supervisor last looked")
        self.scheduler.after(rng.randint(200_000, 1_000_000), self._supervise)

    def _start(self) -> None:
        self._kill()
        self.starts += 1
        self.note("START", self.starts)
        loop = Loop(self.scheduler, self._uncaught)
        self.disk.spawn(loop)
        guard = StoreGuard(self._nonces, self.scheduler, self.weather, self._guard_rng)
        self.server = Server(
            self._path, self.scheduler, loop, guard, self._limits, self._capacity, self._server_rng
        )
        self.auditor.clocks.started()
        self.server.start()

    def _crash(self) -> None:
        self.note("CRASH")
        self._kill()

    def _kill(self) -> None:
        if self.server is not None and not self.server.loop.is_dead:
            self.server.kill()
            self.disk.power_off()

    def _uncaught(self, context: dict[str, Any]) -> None:
        self.scheduler.abort(f"nobody took this: {context.get('message')} {context.get('exception')!r}")

    def _breaker(self) -> State | None:
        return self.server.breaker() if self.server is not None and self.server.is_up else None

    # -- how it ends

    def _calm(self) -> None:
        self.note("CALM")
        self.weather.clear()
        self._until_us = self.scheduler.now_us + CALM_US
        for client in self.clients:
            client.calm()
        if self.seed % 2:
            self._operator.confirm_the_clock()
        self._wait_until_all_is_done()

    def _wait_until_all_is_done(self) -> None:
        undone = [intent for client in self.clients for intent in client.undone]
        server = self.server
        assert server is not None
        is_serving = server.is_up and not server.is_stopping and not server.needs_restart
        breaker = self._breaker()
        if not undone and is_serving and breaker is State.CLOSED and server.nonces() is State.CLOSED:
            self._look_once_more()
            return
        if self.scheduler.now_us > self._until_us:
            bodies = [(intent.body, intent.sendings) for intent in undone[:3]]
            nonces = server.nonces() if is_serving else None
            raise Finding(
                f"no end: {len(undone)} without an answer, the circuit {breaker}, nonces {nonces}: {bodies}"
            )
        if not undone and is_serving and breaker is not State.CLOSED:
            self._a_player().place()  # a breaker closes by what succeeds
        self.scheduler.after(1_000_000 if undone else 4_000_000, self._wait_until_all_is_done)

    def _a_player(self) -> Player:
        player = self.clients[0]
        assert isinstance(player, Player)
        return player

    def _look_once_more(self) -> None:
        """Every wallet over every live socket."""
        self._last: list[tuple[Intent, Link]] = []
        for client in self.clients:
            client.is_over = True
            for link in [*client.links.values()]:
                if link.is_cut or client.role != "player":
                    continue
                for body in ({"type": "resume", "from_seq": 0}, {"type": "balance.get"}):
                    intent = Intent(body)
                    self._last.append((intent, link))
                    client.send(intent, link=link)
        self.scheduler.after(15_000_000, self._stop_at_the_end)

    def _stop_at_the_end(self) -> None:
        for client in self.clients:
            for link in client.links.values():
                if link.is_open and not link.is_cut:
                    self.auditor.check_socket(link)
        for intent, link in self._last:
            if intent.done is None and link.is_open:
                raise Finding(f"no answer to {intent.body} in the end")
        assert self.server is not None
        self.is_ending = True
        self.server.stop()
        self.scheduler.after(STOP_US, self._end)

    def _end(self) -> None:
        assert self.server is not None
        if not self.server.has_ended:
            raise Finding("the last stop took more than 10 s")
        self._check_the_end()
        self._kill()
        raise _Over

    def _check_the_end(self) -> None:
        server = self.server
        if server is None or server.loop.is_dead:
            return
        if left := server.left_behind():
            raise Finding(f"a server has ended, and this is left: {left}")

    def _rng(self, name: str) -> random.Random:
        """Chance of its own for each part, so that one that asks more often does not shift the others."""
        return random.Random(f"{self.seed} {name}")


class _Over(Exception):
    """The world has come to its end."""


def play(seed: int) -> Verdict:
    """Run one seed; what was found, if anything, and what happened on the way."""
    collects = gc.isenabled()
    gc.disable()  # what it frees, and when, would depend on the seeds before
    world = World(seed)
    logger = logging.getLogger("solidgreen")
    before = (logger.level, logger.propagate)
    logger.addHandler(world.trace)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    finding = None
    try:
        with (
            world.scheduler.as_the_time(),
            seams(world.disk),
            scaled(world.scale),
            mock.patch("ws.session.identify", identify),
            mock.patch.object(Queue, "_shed", partialmethod(_shed, world)),
        ):
            try:
                world.run()
            except Finding as found:
                finding = str(found)
            world._kill()
    finally:
        logger.removeHandler(world.trace)
        logger.level, logger.propagate = before
        if collects:
            gc.enable()
    world.note("VERDICT", finding)
    return Verdict(
        seed,
        finding,
        world.trace.digest(),
        world.weather.struck,
        world.auditor.answers + world.trace.logged,
        world.scheduler.turns,
        world.trace.lines,
    )


def _shed(queue: Queue[Any], world: World, now_us: int) -> list[Any]:
    """Tells the world of what the queue sheds."""
    shed = shed_by_the_queue(queue, now_us)
    if shed:
        world.shed(len(shed))
    return shed


def _file(image: bytes) -> Path:
    """A fresh copy of the template: one for each process."""
    path = _folder() / f"{os.getpid()}.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(image)
    return path


@cache
def _folder() -> Path:
    in_memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="solidgreen-sim-", dir=in_memory if in_memory.is_dir() else None))


@contextlib.contextmanager
def folder() -> Iterator[None]:
    """Where the files are, in memory if possible; gone afterwards. Also for processes that this one forks."""
    made = _folder()
    try:
        yield
    finally:
        shutil.rmtree(made)
        _folder.cache_clear()
