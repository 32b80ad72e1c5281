"""Random commands and faults at the batcher: each answer is true, and each command is done at most once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from batcher.breaker import Breaker
from batcher.nonces import Verdict
from batcher.policy import BatchLimits
from engine.commands import (
    CaptureHold,
    CashOutBet,
    Command,
    Deposit,
    PlaceHold,
    ReleaseHold,
    Result,
    RollBackBet,
    SettleBet,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.commands import Leg as LegOf
from engine.outcomes import Accepted, Code
from tests.batches import (
    ALICE,
    BOB,
    CONSTRAINT,
    FRAIL,
    FULL,
    IO_ERROR,
    NOW_US,
    PATIENT,
    Guard,
    S,
    World,
    bet,
    bet_id,
    does_not_sum_to_zero,
    raises,
    spoilt_by,
    world,
)
from tests.keyed_commands import failing


class Storm:
    """Retries, conflicts, refusals, objections and faults, in any order; what is sent is the subclass's."""

    STEPS: ClassVar[int]

    def __init__(self, this: World, guard: Guard, random: Random) -> None:
        self.this, self.guard, self.random = this, guard, random

    async def blow(self) -> None:
        this, guard, random = self.this, self.guard, self.random
        for step in range(self.STEPS):
            match random.randrange(12):
                case 0:
                    this.disk.hold(random.choice(["before", "after"]))
                case 1 | 2:
                    this.disk.release()
                case 3:
                    this.disk.fail(random.choice([None, FULL, CONSTRAINT]))
                case 4:
                    (guard.gate.clear if random.random() < 0.5 else guard.gate.set)()
                case 5:
                    self.let_time_pass()
                case 6:
                    await self.meddle()
                case 7 if step > self.STEPS - 20:  # behind it no money is taken any more
                    this.disk.fail(IO_ERROR, after=random.random() < 0.5)
                case _:
                    self.send_some()
            for _ in range(random.choice([0, 0, 1, 5, 20])):
                await asyncio.sleep(0)
            if random.random() < 0.5:
                await this.store.read(lambda connection: None)
        guard.gate.set()

    def let_time_pass(self) -> None:
        raise NotImplementedError

    async def meddle(self) -> None:
        raise NotImplementedError

    def send_some(self) -> None:
        raise NotImplementedError


# --- bets ------------------------------------------------------------------------------------------------


class OfBets(Storm):
    """With refusals of many kinds, and nonces that several bets share."""

    STEPS = 60

    def let_time_pass(self) -> None:
        self.this.clock.now_us += self.random.randrange(3 * S)

    async def meddle(self) -> None:
        verdicts = {f"nonce-{self.random.randrange(30):04d}": self.random.choice([*Verdict])}
        self.guard.verdicts = verdicts

    def send_some(self) -> None:
        random = self.random
        for _ in range(random.randrange(1, 8)):
            number = random.randrange(30)
            stake = 9999 if number % 7 == 3 else 11 if random.random() < 0.05 else 10
            nonce = None if random.random() < 0.9 else "nonce-same"
            command = bet(number, stake=stake, user=(ALICE, BOB)[number % 2], nonce=nonce)
            self.this.submit(command, Code.RATE_LIMITED if random.random() < 0.2 else None)


@pytest.mark.parametrize("seed", range(40))
def test_in_a_storm_every_answer_is_true_and_every_bet_moves_money_at_most_once(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    limits = BatchLimits(
        batch_max=random.choice([1, 3, 1000]),
        ahead_min=random.choice([1, 50]),
        queue_max=random.choice([4, 1000]),
        target_us=random.choice([1, S // 2]),
        interval_us=1,
    )
    breaker = Breaker(replace(FRAIL, commit_faults=3, cool_off_us=S // 4, stable_us=S))

    async def run() -> None:
        guard = Guard()
        decide = spoilt_by(random.choice([raises, does_not_sum_to_zero]), 5, 6)
        async with world(tmp_path, guard=guard, decide=decide, limits=limits, breaker=breaker) as this:
            await OfBets(this, guard, random).blow()
        # `world` has seen that each was told exactly one thing, and the truth, and that the books are right.
        ledger = this.ledger()
        assert len(ledger) == len(set(ledger)), f"{seed=}"
        told: dict[str, list[Accepted]] = {}
        for answer in this.told:
            if isinstance(answer.outcomes[0], Accepted):
                told.setdefault(answer.command.key, []).append(answer.outcomes[0])
        assert set(told) <= set(ledger), f"{seed=}"
        unsaid = set(ledger) - set(told)
        assert all(this.batcher.doubtful(key) is not None for key in unsaid), f"{seed=}"
        for outcomes in told.values():
            # One of them moved the money: not always the first one sent, which may have been turned away.
            assert [outcome.replayed for outcome in outcomes].count(False) == 1, f"{seed=}"
            assert len({outcome.transaction_id for outcome in outcomes}) == 1, (seed, outcomes)
        assert sorted(accepted.entries[0].ref_id for accepted, _ in this.posted) == sorted(told), f"{seed=}"

    asyncio.run(run())


# --- commands of all kinds -------------------------------------------------------------------------------


def any_command(this: World, random: Random) -> Command:
    """Few bets, holds and keys, so that they meet."""
    number, key = random.randrange(12), f"k{random.randrange(20)}"
    own: Any = {"key": key, "caller": random.choice(["op", "other"])}
    user, amount = random.choice([ALICE, BOB]), random.choice([1, 50, 700])
    holds = [
        each.outcomes[0].hold.id
        for each in this.told
        if isinstance(each.outcomes[0], Accepted) and each.outcomes[0].hold is not None
    ]
    hold_id = random.choice(holds or [99])
    match random.randrange(13):
        case 0 | 1:
            return bet(number, stake=9999 if number == 3 else 10, user=(ALICE, BOB)[number % 2])
        case 2:
            return Deposit(user, amount, **own)
        case 3:
            return Withdraw(user, amount, random.random() < 0.5, **own)
        case 4 | 5:
            result = random.choice([*Result])
            return SettleBet(bet_id(number), result, None if result is Result.VOID else amount, **own)
        case 6:
            return UnsettleBet(bet_id(number), **own)
        case 7:
            return CashOutBet(bet_id(number), random.choice([4, 10]), amount, **own)
        case 8:
            return RollBackBet(bet_id(number), **own)
        case 9 | 10:
            return PlaceHold(user, amount, random.choice([None, NOW_US + 20 * S]), **own)
        case 11:
            return random.choice([CaptureHold(hold_id, None, **own), ReleaseHold(hold_id, **own)])
        case _:
            return Transfer((LegOf(ALICE, -amount), LegOf(BOB, amount)), **own)


class OfCommands(Storm):
    """With holds that expire."""

    STEPS = 90

    def let_time_pass(self) -> None:
        self.this.clock.now_us += self.random.randrange(2 * S)
        self.this.wall.now_us += self.random.randrange(12 * S)

    async def meddle(self) -> None:
        await self.this.batcher._expiry.look()

    def send_some(self) -> None:
        for _ in range(self.random.randrange(1, 12)):
            objection = Code.RATE_LIMITED if self.random.random() < 0.2 else None
            self.this.submit(any_command(self.this, self.random), objection)


SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(8, 16))]  # a second each


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_storm_every_answer_is_true_and_every_command_is_done_at_most_once(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    limits = BatchLimits(
        batch_max=random.choice([1, 3, 1000]),
        ahead_min=random.choice([1, 50]),
        queue_max=random.choice([4, 1000]),
        reserve=random.choice([1, 1000]),
        target_us=random.choice([1, S // 2]),
        interval_us=1,
    )
    breaker = Breaker(replace(PATIENT, probes_max=1, cool_off_us=S // 4, stable_us=S))

    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, decide=failing("k5"), limits=limits, breaker=breaker) as this:
            await asyncio.gather(*this.submit_all(map(bet, range(4, 10))))
            await OfCommands(this, guard, random).blow()
        # `world` has seen that each was told exactly one thing, and the truth, and that the books are right.
        told: dict[Command, list[Accepted]] = {}
        for answer in this.told:
            if isinstance(answer.outcomes[0], Accepted):
                told.setdefault(answer.command, []).append(answer.outcomes[0])
        on_disk = {
            (scope, key): id_
            for scope, key, id_ in this.rows(
                "SELECT scope, key, id FROM transactions WHERE kind <> 'TOMBSTONE'"
            )
        }
        for command, outcomes in told.items():
            assert len({outcome.transaction_id for outcome in outcomes}) == 1, (seed, outcomes)
            first = [outcome.transaction_id for outcome in outcomes if not outcome.replayed]
            # A second rollback of a bet, under another key, has the first one's answer.
            assert len(first) == 1 or (not first and isinstance(command, RollBackBet)), (seed, outcomes)
            assert not first or on_disk[command.scope, command.key] == first[0], (seed, outcomes)
        said = {(command.scope, command.key) for command in told}
        unsaid = {each.command for each in this.answers if this.is_done(each.command)} - told.keys()
        for command in unsaid:  # what was done and never told is in doubt, and nothing else
            is_another = (command.scope, command.key) in said  # under its key
            assert is_another or command in this.batcher._undecided, (seed, command)

    asyncio.run(run())
