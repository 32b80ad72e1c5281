"""How a world ends: faults stop, everybody gets his answers; a last look over the wire, a good stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from batcher.breaker import State
from tests.sim.auditor import Auditor
from tests.sim.clients import Client, Intent
from tests.sim.disk import Disk
from tests.sim.evidence import Finding
from tests.sim.loop import Scheduler
from tests.sim.network import Link
from tests.sim.operators import Operator
from tests.sim.players import Player
from tests.sim.supervisor import STOP_US, Supervisor
from tests.sim.weather import Weather

CALM_US: Final = 240_000_000
"""By then every command has a binding answer and the circuit is closed: a breaker needs 30 s of health, a
client that lost its socket a few more, and a peer that vanished is found out in 30 s. Likewise the one in
front of the nonce store."""

LAST_LOOK_US: Final = 15_000_000
"""What is asked last is answered within it."""

QUIET_US: Final = 500_000
"""So long after a COMMIT everybody has been told of it, unless a reader stalls."""


class Over(BaseException):
    """The world has come to its end, whoever is just running: as `Finding`."""


class World(Protocol):
    """What is to be brought to an end."""

    seed: int
    scheduler: Scheduler
    weather: Weather
    auditor: Auditor
    disk: Disk
    supervisor: Supervisor
    clients: Sequence[Client]
    players: Sequence[Player]
    operator: Operator

    def note(self, *what: object) -> None: ...


class Ending:
    """From the end of the faults to `Over`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scheduler = world.scheduler
        self._until_us = 0
        self._last: list[tuple[Intent, Link]] = []

    def begin(self) -> None:
        """From now on nothing goes wrong."""
        world = self._world
        world.note("CALM")
        world.weather.clear()
        self._until_us = self._scheduler.now_us + CALM_US
        for client in world.clients:
            client.calm()
        if world.seed % 2:
            world.operator.confirm_the_clock()
        self._wait_until_all_is_done()

    def _wait_until_all_is_done(self) -> None:
        world, supervisor = self._world, self._world.supervisor
        undone = [intent for client in world.clients for intent in client.undone]
        server, is_serving = supervisor.server, supervisor.is_serving
        assert server is not None
        breaker = supervisor.breaker()
        if not undone and is_serving and breaker is State.CLOSED and server.nonces() is State.CLOSED:
            self._look_once_more()
            return
        if self._scheduler.now_us > self._until_us:
            bodies = [(intent.body, intent.sendings) for intent in undone[:3]]
            nonces = server.nonces() if is_serving else None
            raise Finding(
                f"no end: {len(undone)} without an answer, the circuit {breaker}, nonces {nonces}: {bodies}"
            )
        if not undone and is_serving and breaker is not State.CLOSED:
            world.players[0].place()  # a breaker closes by what succeeds
        self._scheduler.after(1_000_000 if undone else 4_000_000, self._wait_until_all_is_done)

    def _look_once_more(self) -> None:
        """Every wallet over every live socket."""
        for client in self._world.clients:
            client.is_over = True
            for link in [*client.links.values()]:
                if link.is_cut or client.role != "player":
                    continue
                for body in ({"type": "resume", "from_seq": 0}, {"type": "balance.get"}):
                    intent = Intent(body)
                    self._last.append((intent, link))
                    client.send(intent, link=link)
        self._until_us = self._scheduler.now_us + LAST_LOOK_US
        self._wait_until_all_is_quiet()

    def _wait_until_all_is_quiet(self) -> None:
        now_us = self._scheduler.now_us
        is_told = all(intent.done is not None or not link.is_open for intent, link in self._last)
        if now_us < self._until_us and not (is_told and now_us - self._world.disk.changed_us > QUIET_US):
            self._scheduler.after(QUIET_US, self._wait_until_all_is_quiet)
        else:
            self._stop()

    def _stop(self) -> None:
        for client in self._world.clients:
            for link in client.links.values():
                if link.is_open and not link.is_cut:
                    self._world.auditor.check_socket(link)
        for intent, link in self._last:
            if intent.done is None and link.is_open:
                raise Finding(f"no answer to {intent.body} in the end")
        self._world.supervisor.is_retired = True
        self._world.supervisor.stop()
        self._until_us = self._scheduler.now_us + STOP_US
        self._wait_for_the_end()

    def _wait_for_the_end(self) -> None:
        supervisor = self._world.supervisor
        assert supervisor.server is not None
        if not supervisor.server.has_ended:
            if self._scheduler.now_us > self._until_us:
                raise Finding("the last stop took more than 10 s")
            self._scheduler.after(QUIET_US, self._wait_for_the_end)
            return
        supervisor.check_the_end()
        supervisor.kill()
        raise Over
