"""Sixty bets and their ends on a real store and batcher, and all that is answered, written down at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batcher.batcher import Batcher
from batcher.breaker import Breaker, BreakerLimits
from batcher.log_keeper import LogKeeper
from batcher.memory_nonces import MemoryGuard
from batcher.policy import BatchLimits
from engine import writer
from engine.commands import Command, PlaceBet, Result, SettleBet
from engine.outcomes import Accepted, Outcome
from engine.store import Asked, Store
from tests.faults.bank import CONFIRMED, Told

NOW_US = 1_760_000_000_000_000
ALICE, BOB = 7, 8  # behind the six books
ROUNDS, BETS_A_ROUND = 6, 10
CHECKPOINT_PAGES = 12
"""So few that commits checkpoint, as one in many does where there are 4,096."""

S = 1_000_000
PATIENT = BreakerLimits(
    commit_faults=1_000, queue_lower_us=90 * S, queue_upper_us=99 * S, commit_lower_us=90 * S,
    commit_upper_us=99 * S,
)  # fmt: skip
"""The breaker stays out of it: what the storage refuses is to be told by the store."""


def bet_id(number: int) -> str:
    return f"0197a000-0000-7000-8000-{number:012d}"


def bets(round_: int) -> list[Command]:
    """The bets of a round, and the ends of those of the round before it."""
    commands: list[Command] = []
    for n in range(BETS_A_ROUND):
        number = round_ * BETS_A_ROUND + n
        commands.append(PlaceBet(bet_id(number), ALICE + n % 2, 10 + n, f"nonce-{number:04d}", NOW_US))
        if round_ and n % 2:
            ended, result = number - BETS_A_ROUND, (Result.WON if n % 4 == 1 else Result.LOST)
            payout = 30 if result is Result.WON else None
            key = f"settle-{ended}"
            commands.append(SettleBet(bet_id(ended), result, payout, key=key, caller="test"))
    return commands


class Log:
    """Answers as lines of a file, each written at once: what is there was said, whatever became of us."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.told: dict[tuple[str, str], str] = {}
        self._waiting: dict[tuple[str, str], asyncio.Event] = {}

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        name = (command.scope, command.key)
        said, id_ = (
            (CONFIRMED, outcome.transaction_id) if isinstance(outcome, Accepted) else (outcome.code.name, 0)
        )
        self.note("told", [*name, said, id_])
        self.told[name] = said
        self._waiting[name].set()

    def note(self, what: str, value: Any) -> None:
        os.write(self._file, json.dumps([what, value]).encode() + b"\n")

    async def ask(self, batcher: Batcher, commands: Sequence[Command]) -> None:
        """Send these at once, and wait for all answers."""
        names = [(command.scope, command.key) for command in commands]
        self._waiting.update((name, asyncio.Event()) for name in names)
        for number, command in enumerate(commands):
            batcher.submit(command, self, f"r{number}")
        for name in names:
            await self._waiting[name].wait()


def read_log(path: Path) -> tuple[list[Told], dict[str, Any]]:
    """The answers in order, and what else was noted."""
    told: list[Told] = []
    notes: dict[str, Any] = {}
    for line in path.read_text().splitlines():
        what, value = json.loads(line)
        if what == "told":
            told.append(Told(*value))
        else:
            notes[what] = value
    return told, notes


async def play(path: Path, log: Log, end_of_round: Callable[[], None], is_killed: bool) -> None:
    """Rounds of bets, each asking again for what was refused before it. `end_of_round` may mend the disk.
    `is_killed`: end without closing anything.
    """
    writer.CHECKPOINT_PAGES = CHECKPOINT_PAGES  # type: ignore[misc]
    store = await Store.open(path)
    log.note("opened", True)
    batcher = Batcher(
        store,
        MemoryGuard(capacity=10_000),
        breaker=Breaker(PATIENT),
        limits=BatchLimits(batch_max=12, ahead_min=1),
        wall_clock=lambda: NOW_US,
    )
    ticks = iter(range(0, 10**12, 10**9))
    # To one keeper the log is always short, to the other always too long. Each has rounds of its own, since
    # when a batch ends, and with it which checkpoint comes first, is the machine's choice.
    mild, strict = (LogKeeper(store, lambda: next(ticks), log_max_bytes=bound) for bound in (1 << 40, 0))
    looks: list[Sequence[LogKeeper]] = [(), (mild, mild), (strict,)]  # a first look may find the writer's own
    batcher.start()
    refused: list[Command] = []
    for round_ in range(ROUNDS + 2):  # two in which only what was refused is asked again
        commands = [*refused, *(bets(round_) if round_ < ROUNDS else ())]
        await log.ask(batcher, commands)
        refused = [each for each in commands if log.told[each.scope, each.key] != CONFIRMED]
        for keeper in looks[round_ % len(looks)]:
            await keeper.look()
        end_of_round()
    log.note("failure", store.failure)
    log.note("played", True)
    if is_killed:
        os._exit(0)
    await batcher.drain()
    await store.close()


async def ask_again(path: Path, commands: Mapping[tuple[str, str], str]) -> list[Told]:
    """After the restart: send each of these once more, bets before their ends; what is answered then."""
    store = await Store.open(path)
    try:
        told = []
        for command in _all():
            if (command.scope, command.key) in commands:
                (outcome,) = await store.commit([Asked(command)], NOW_US)
                said = CONFIRMED if isinstance(outcome, Accepted) else outcome.code.name
                id_ = outcome.transaction_id if isinstance(outcome, Accepted) else 0
                told.append(Told(command.scope, command.key, said, id_))
        return told
    finally:
        await store.close()


def _all() -> Iterator[Command]:
    for round_ in range(ROUNDS):
        yield from bets(round_)
