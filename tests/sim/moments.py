"""The plan of a world: when clients act, when spells of faults begin and end, what strikes at a moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tests.sim.auditor import Auditor
from tests.sim.disk import Disk
from tests.sim.loop import Scheduler
from tests.sim.operators import Operator
from tests.sim.players import Player
from tests.sim.supervisor import Supervisor
from tests.sim.weather import ALWAYS, AT_MOMENTS, BESIDE, CHANCES, OFTEN, PROVOKED, Crash, Weather

CHAOS_US: Final = (3_000_000, 14_000_000)
SPELLS_END_US: Final = 6_500_000
"""After the chaos, by which the last spell has ended."""

STALL_US: Final = (50_000, 3_000_000)
RUSH_US: Final = 2_500_000
BURST: Final = (10, 60)
"""Bets of one: more than the smallest queue of a seed, and than some batches."""

INSISTED: Final = (12, 20)
"""Bets upon which one insists: more than a socket may have in flight in some seeds (`World`)."""

SMALL_BURST: Final = (3, 12)


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

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._scheduler = world.scheduler
        self._rng = rng
        self._actions: dict[str, Callable[[], None]] = {
            "crash at any moment": _crash,
            "stop": world.supervisor.stop,
            "stall": self._stall,
            "wall clock jump": self._jump,
            "burst": self._burst,
            "insistence": self._insist,
            "rush": self._rush,
            "outside write": self._outside,
        }

    def plan(self) -> int:
        """Plan it all; when it will have happened, in virtual microseconds."""
        world, scheduler, rng = self._world, self._scheduler, self._rng
        chaos_us = rng.randint(*CHAOS_US)
        everybody: list[Player | Operator] = [*world.players, world.watched, world.operator]
        for client in everybody:
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
            for moment in PROVOKED.get(fault, ()):
                scheduler.at(rng.randint(begin_us, end_us), self._strike, moment)
        for moment in AT_MOMENTS:
            if rng.random() < ALWAYS.get(moment, 0.12):
                for _ in range(rng.choice((1, 1, 2, 3))):
                    scheduler.at(rng.randint(300_000, chaos_us), self._strike, moment)
        return chaos_us + SPELLS_END_US

    def _strike(self, moment: str) -> None:
        self._world.weather.strike(moment)
        self._world.note("FAULT", moment)
        self._actions[moment]()

    def _jump(self) -> None:
        """The wall clock is set; it comes back, or an operator says that it is right, or nobody does."""
        second_us, hour_us = 1_000_000, 3_600_000_000
        sizes_us = (30 * second_us, 300 * second_us, hour_us, 365 * 24 * hour_us)
        rng = self._rng
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

    def _stall(self) -> None:
        self._scheduler.stall(self._rng.randint(*STALL_US))
        self._world.auditor.clocks.set()  # to whoever looks at expiries it is the same

    def _burst(self, sizes: tuple[int, int] = BURST) -> None:
        self._rng.choice(self._world.players).burst(self._rng.randint(*sizes))

    def _insist(self) -> None:
        self._rng.choice(self._world.players).insist(self._rng.randint(*INSISTED))

    def _rush(self) -> None:
        """For a while more bets come than a disk that is not well can take."""
        for delay_us in range(0, RUSH_US, RUSH_US // 10):
            self._scheduler.after(delay_us, self._burst, SMALL_BURST)
        self._world.weather.begin("commit sluggish")
        self._scheduler.after(RUSH_US, self._world.weather.end, "commit sluggish")

    def _outside(self) -> None:
        """Somebody with a shell blocks a wallet, and opens it again after a while."""
        player, blocked_since_us = self._world.watched, self._world.auditor.blocked_since_us
        if player.user_id in blocked_since_us:
            return
        change = "UPDATE users SET status = ? WHERE id = ?"
        if not self._world.disk.outside(change, "blocked", player.user_id):
            self._scheduler.after(1_000, self._outside)
            return
        blocked_since_us[player.user_id] = self._scheduler.now_us
        player.place()
        for delay_us in (5_000, 100_000, 400_000):
            self._scheduler.after(delay_us, player.place)
        self._scheduler.after(self._rng.randint(500_000, 2_000_000), self._open_again)

    def _open_again(self) -> None:
        user_id = self._world.watched.user_id
        if not self._world.disk.outside("UPDATE users SET status = 'open' WHERE id = ?", user_id):
            self._scheduler.after(1_000, self._open_again)
            return
        del self._world.auditor.blocked_since_us[user_id]


def _crash() -> None:
    raise Crash
