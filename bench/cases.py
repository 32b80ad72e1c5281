"""All cases in the order of the table, with what is to be reached; and what a case must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.commands import ONE_BY_ONE, POSTGRES, Budget, Engine, Ledger
from bench.latency import CONNECTIONS, Idle, OpenLoop
from bench.stand import Figures, Stand
from bench.table import Results, Row
from bench.throughput import Frames, WholePath


class Case(Protocol):
    """What the orchestrator needs of a case."""

    @property
    def name(self) -> str:
        """For the command line and the report."""

    @property
    def rounds_max(self) -> int | None:
        """How often it is worth measuring; None: in each round."""

    def measure(self, stand: Stand) -> Figures:
        """One round. Raises `RuntimeError` if there are no figures."""

    def faults(self, round_: Figures) -> list[str]:
        """Why `round_` does not count; empty when it does."""

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        """Lines of the table from one round or more; `results` also has the other cases."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: the whole, or just enough to see that everything works."""

    players: int = 10_000
    seconds: float = 8.0
    warm_up_s: float = 2.0
    rounds: int = 3
    offered_per_s: tuple[int, ...] = (1_000, 3_000, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000)
    idle: int = 5_000
    ledger_entries: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)


WHOLE = Plan()
QUICK = Plan(
    seconds=2.0,
    warm_up_s=0.5,
    rounds=1,
    offered_per_s=(1_000, 3_000, 10_000, 20_000),
    idle=500,
    ledger_entries=(20_000, 100_000),
)


def all_cases(plan: Plan) -> list[Case]:
    """Every case at the size of `plan`."""
    limits_ms: dict[int, tuple[float, float | None]] = {3_000: (8.0, 20.0), 20_000: (30.0, None)}
    return [
        Engine(1_000, plan.players),
        Engine(5_000, plan.players),
        WholePath(100, 20, goal_per_s=50_000),
        WholePath(400, 1),
        Frames(20, 100),
        *(OpenLoop(per_s, *limits_ms.get(per_s, (None, None))) for per_s in plan.offered_per_s),
        Idle(plan.idle),
        Ledger(plan.ledger_entries),
        ONE_BY_ONE,
        POSTGRES,
        Budget(100, 20),
        Budget(400, 1),
    ]


def players_needed(cases: Sequence[Case]) -> int:
    """One socket is one wallet: the most wallets that any of `cases` has open at a time."""
    needed = 1
    for case in cases:
        match case:
            case WholePath() | Frames():
                needed = max(needed, case.connections)
            case OpenLoop():
                needed = max(needed, CONNECTIONS)
            case Idle():
                needed = max(needed, CONNECTIONS + case.connections)
    return needed
