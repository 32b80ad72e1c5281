"""Whoever looks after the server: starts it, kills it, and starts it again when it has ended."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from batcher.breaker import State
from tests.sim.disk import Disk
from tests.sim.evidence import Finding
from tests.sim.loop import Loop, Scheduler
from tests.sim.server import Server
from tests.sim.weather import Weather

STOP_US: Final = 10_000_000
"""A stop ends within it."""

LOOK_US: Final = (200_000, 1_000_000)
SPINNING: Final = 20_000
"""Turns of the loop in the second between two looks: no load of a seed needs a tenth of them."""


class Supervisor:
    """Sees what a supervisor of processes sees, and whether the loop spins."""

    def __init__(
        self,
        scheduler: Scheduler,
        weather: Weather,
        disk: Disk,
        make: Callable[[Loop], Server],
        rng: random.Random,
        note: Callable[..., None],
    ) -> None:
        """`make` the next process of the server."""
        self.server: Server | None = None
        self.is_retired = False
        """Whether no server is started any more."""
        self._scheduler = scheduler
        self._weather = weather
        self._disk = disk
        self._make = make
        self._rng = rng
        self._note = note
        self._starts = 0
        self._turns = 0
        self._went_on_us = 0  # when it was last seen not to be stopping

    @property
    def is_serving(self) -> bool:
        """Whether there is a server that takes money."""
        server = self.server
        return server is not None and server.is_up and not server.is_stopping and not server.needs_restart

    @property
    def needs_restart(self) -> bool:
        """Whether there is one that does not take any until then."""
        return self.server is not None and self.server.needs_restart

    def breaker(self) -> State | None:
        """As its health shows it; None while there is none."""
        return self.server.breaker() if self.server is not None and self.server.is_up else None

    def watch(self) -> None:
        """Look after the server from now on."""
        server = self.server
        if self.is_retired:
            return
        if server is None or server.has_ended:
            self.check_the_end()
            self._start()
        elif server.needs_restart:
            self._weather.strike("restart")
            if server.is_up and self._rng.random() < 0.5:
                server.stop()
            else:
                self.kill()
        elif server.is_stopping and self._scheduler.now_us - self._went_on_us > STOP_US:
            raise Finding("a stop took more than 10 s")
        if server is None or not server.is_stopping:
            self._went_on_us = self._scheduler.now_us
        turns, self._turns = self._scheduler.turns - self._turns, self._scheduler.turns
        if turns > SPINNING:
            raise Finding(f"the loop spins: {turns} turns since the supervisor last looked")
        self._scheduler.after(self._rng.randint(*LOOK_US), self.watch)

    def stop(self) -> None:
        """SIGTERM."""
        if self.server is not None:
            self.server.stop()

    def kill(self) -> None:
        """SIGKILL, or whatever else ends a process at once."""
        if self.server is not None and not self.server.loop.is_dead:
            self.server.kill()
            self._disk.power_off()

    def check_the_end(self) -> None:
        """A server that has ended in good order remembers nobody."""
        server = self.server
        if server is None or server.loop.is_dead:
            return
        if left := server.left_behind():
            raise Finding(f"a server has ended, and this is left: {left}")

    def _start(self) -> None:
        self.kill()
        self._starts += 1
        self._note("START", self._starts)
        loop = Loop(self._scheduler, self._uncaught)
        self._disk.spawn(loop)
        self.server = self._make(loop)
        self.server.start()

    def _uncaught(self, context: dict[str, Any]) -> None:
        self._scheduler.abort(f"nobody took this: {context.get('message')} {context.get('exception')!r}")
