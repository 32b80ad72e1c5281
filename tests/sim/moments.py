"""The plan of a world: when clients act, when spells of faults begin and end, what strikes at a moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tests.sim.auditor import Auditor
from tests.sim.clients import Operator, Player
from tests.sim.disk import Disk
from tests.sim.loop import Scheduler
from tests.sim.supervisor import Supervisor
from tests.sim.weather import ALWAYS, AT_MOMENTS, BESIDE, CHANCES, OFTEN, Crash, Weather

CHAOS_US: Final = (3_000_000, 14_000_000)
SPELLS_END_US: Final = 6_500_000
"""After the chaos, by which the last spell has ended."""

RUSH_US: Final = 2_500_000


class World(Protocol):
    """What a plan finds."""

    scheduler: Scheduler
    weather: Weather
    auditor: Auditor
    disk: Disk
    supervisor: Supervisor
    players: Sequence[Player]
    watched: Player
    """Whose wallet somebody blocks, past the server; nobody else has to do with it."""
    operator: Operator

    def note(self, *what: object) -> None: ...


class Moments:
    """Everything that is to happen in a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scheduler = world.scheduler

    def plan(self, rng: random.Random) -> int:
        """Plan it all; when it will have happened, in virtual microseconds."""
        world, scheduler, chaos_us = self._world, self._scheduler, rng.randint(*CHAOS_US)
        for client in (*world.players, world.watched, world.operator):
            busy = rng.randint(2, 14) if client is not world.watched else 4
            for _ in range(busy):
                scheduler.at(rng.randint(300_000, chaos_us), client.act)
        often = [fault for fault, chance in OFTEN.items() if rng.random() < chance]
        for fault in [*often, *rng.sample([*CHANCES], rng.randint(1, 6))]:
            begin_us = rng.randint(200_000, chaos_us)
            end_us = begin_us + rng.randint(300_000, 6_000_000)
            for each in (fault, *BESIDE.get(fault, ())):
                scheduler.at(begin_us, world.weather.begin, each)
                scheduler.at(end_us, world.weather.end, each)
        moments: dict[str, Callable[[], None]] = {
            "crash at any moment": _crash,
            "stop": world.supervisor.stop,
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
        return chaos_us + SPELLS_END_US

    def _strike(self, moment: str, action: Callable[[], None]) -> None:
        self._world.weather.strike(moment)
        self._world.note("FAULT", moment)
        action()

    def _jump(self, rng: random.Random) -> None:
        """The wall clock is set; it comes back, or an operator says that it is right, or nobody does."""
        second_us, hour_us = 1_000_000, 3_600_000_000
        sizes_us = (30 * second_us, 300 * second_us, hour_us, 365 * 24 * hour_us)
        jump_us = rng.choice((-1, 1)) * rng.choice(sizes_us)
        self._set_clock(jump_us)
        then, later_us = rng.random(), rng.randint(1_000, 4_000_000)
        if then < 0.3:
            self._scheduler.after(later_us, self._set_clock, -jump_us)
        elif then < 0.7:
            self._scheduler.after(later_us, self._world.operator.confirm_the_clock)

    def _set_clock(self, by_us: int) -> None:
        self._world.note("CLOCK", by_us)
        self._scheduler.wall_offset_us += by_us
        self._world.auditor.clocks.set()

    def _stall(self, duration_us: int) -> None:
        self._scheduler.stall(duration_us)
        self._world.auditor.clocks.set()  # to whoever looks at expiries it is the same

    def _burst(self, rng: random.Random, size: int) -> None:
        rng.choice(self._world.players).burst(size)

    def _rush(self, rng: random.Random) -> None:
        """For a while more bets come than a disk that is not well can take."""
        for delay_us in range(0, RUSH_US, RUSH_US // 10):
            self._scheduler.after(delay_us, self._burst, rng, rng.randint(3, 12))
        self._world.weather.begin("commit sluggish")
        self._scheduler.after(RUSH_US, self._world.weather.end, "commit sluggish")

    def _outside(self, rng: random.Random) -> None:
        """Somebody with a shell blocks a wallet, and opens it again after a while."""
        player, blocked_since_us = self._world.watched, self._world.auditor.blocked_since_us
        if player.user_id in blocked_since_us:
            return
        change = "UPDATE users SET status = ? WHERE id = ?"
        if not self._world.disk.outside(change, "blocked", player.user_id):
            self._scheduler.after(1_000, self._outside, rng)
            return
        blocked_since_us[player.user_id] = self._scheduler.now_us
        player.place()
        for delay_us in (5_000, 100_000, 400_000):
            self._scheduler.after(delay_us, player.place)
        self._scheduler.after(rng.randint(500_000, 2_000_000), self._open_again)

    def _open_again(self) -> None:
        user_id = self._world.watched.user_id
        if not self._world.disk.outside("UPDATE users SET status = 'open' WHERE id = ?", user_id):
            self._scheduler.after(1_000, self._open_again)
            return
        del self._world.auditor.blocked_since_us[user_id]


def _crash() -> None:
    raise Crash
