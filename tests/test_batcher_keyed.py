"""Commands other than bets through the batcher: replayed, turned away, taken apart, in doubt, alarmed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest
from batches import (
    ALICE,
    BOB,
    CONSTRAINT,
    FULL,
    IO_ERROR,
    NOW_US,
    OPENING_MINOR,
    PATIENT,
    Answer,
    Guard,
    S,
    World,
    bet,
    bet_id,
    hold_up_the_loop_until,
    world,
)
from pipelines import Decided, codes, ids

from batcher.alarms import QUIET_US
from batcher.breaker import Breaker, BreakerLimits, State
from batcher.policy import BatchLimits
from engine.commands import (
    CaptureHold,
    CashOutBet,
    Command,
    Deposit,
    Keyed,
    PlaceHold,
    ReleaseHold,
    Result,
    RollBackBet,
    SetFloor,
    SettleBet,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.commands import Leg as LegOf
from engine.decide import decide
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.view import View

DEADLINE_US = BatchLimits().deadline_us
UNKNOWN = Code.OUTCOME_UNKNOWN
HOUSE = 1


def deposit(key: str, amount_minor: int = 5, caller: str = "op") -> Deposit:
    return Deposit(BOB, amount_minor, key=key, caller=caller)


def settle(number: int, payout_minor: int | None = 20, result: Result = Result.WON, key: str = "s") -> Keyed:
    return SettleBet(bet_id(number), result, payout_minor, key=f"{key}-{number}", caller="op")


def unsettle(number: int, key: str = "u") -> Keyed:
    return UnsettleBet(bet_id(number), key=f"{key}-{number}", caller="op")


def cash_out(number: int, stake_minor: int = 4, payout_minor: int = 3, key: str = "c") -> Keyed:
    return CashOutBet(bet_id(number), stake_minor, payout_minor, key=f"{key}-{number}", caller="op")


def roll_back(number: int, key: str = "r") -> Keyed:
    return RollBackBet(bet_id(number), key=f"{key}-{number}", caller="op")


def kinds(this: World) -> list[str]:
    """Of the transactions behind the opening deposits: from the file alone."""
    return [kind for (kind,) in this.rows("SELECT kind FROM transactions WHERE id > 2 ORDER BY id")]


# --- one key, many commands -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_max", [1, 2, 1000])
def test_a_command_sent_many_times_is_done_once_and_answered_alike(tmp_path: Path, batch_max: int) -> None:
    async def run() -> None:
        async with world(tmp_path, limits=BatchLimits(batch_max=batch_max)) as this:
            await this.submit(bet(1))
            for command in (deposit("d"), settle(1), roll_back(2)):
                outcomes = await asyncio.gather(*this.submit_all([command] * 4))
                outcomes.append(await this.submit(command))
                assert all(isinstance(outcome, Accepted) for outcome in outcomes)
                assert [outcome.replayed for outcome in outcomes] == [False, True, True, True, True]
                assert len({(o.transaction_id, o.block_id) for o in outcomes if isinstance(o, Accepted)}) == 1
                assert len({(o.wallet, o.bet) for o in outcomes if isinstance(o, Accepted)}) == 1
            assert kinds(this) == ["BET", "DEPOSIT", "WIN", "ROLLBACK", "TOMBSTONE"]

    asyncio.run(run())


def test_keys_of_other_callers_and_of_other_kinds_of_command_never_meet(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            mine, anothers = deposit("k"), deposit("k", 6, caller="other")
            out = Withdraw(BOB, 7, key="k", caller="op")
            this.disk.hold()
            assert [answer.outcomes for answer in this.submit_all([mine, anothers])] == [[], []]
            await this.disk.holds_one()
            # under way are the deposits, not this
            assert await this.submit(out, Code.RATE_LIMITED).code() is Code.RATE_LIMITED
            assert await this.submit(deposit("k", 8), Code.RATE_LIMITED).code() is UNKNOWN
            this.disk.release()
            assert await this.codes([out, mine, deposit("k", 8)]) == [None, None, Code.IDEMPOTENCY_CONFLICT]
            assert kinds(this) == ["DEPOSIT", "DEPOSIT", "WITHDRAWAL"]

    asyncio.run(run())


# --- turned away ------------------------------------------------------------------------------------------


async def by_the_door(this: World, guard: Guard, command: Command) -> Answer:
    return this.submit(command, Code.RATE_LIMITED)


async def by_a_full_queue(this: World, guard: Guard, command: Command) -> Answer:
    guard.gate.clear()
    before = len(guard.calls)
    this.submit(deposit("first"))
    await guard.calls_are(before + 1)
    this.submit_all([deposit("second"), deposit("third")])
    return this.submit(command)


async def by_the_end(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.hold()
    this.submit(deposit("last"))
    await this.disk.holds_one()
    asyncio.create_task(this.batcher.drain()).add_done_callback(lambda drained: None)
    await this.turns()
    return this.submit(command)


async def by_its_deadline(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.hold()
    this.submit(deposit("before"))
    await this.disk.holds_one()
    answer = this.submit(command)
    await this.turns()
    this.clock.now_us += DEADLINE_US + 1
    this.disk.release()
    return answer


async def by_a_refused_batch(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.fail(FULL)
    this.submit(deposit("beside"))
    return this.submit(command)


async def by_an_unknown_commit(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.fail(IO_ERROR)
    assert await this.submit(deposit("in doubt")).code() is UNKNOWN
    return this.submit(command)


Way = Callable[[World, Guard, Command], Awaitable[Answer]]

WAYS: dict[Way, Code] = {
    by_the_door: Code.RATE_LIMITED,
    by_a_full_queue: Code.OVERLOADED,
    by_the_end: Code.OVERLOADED,
    by_its_deadline: Code.TIMED_OUT,
    by_a_refused_batch: Code.OVERLOADED,
    by_an_unknown_commit: Code.CIRCUIT_OPEN,
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", ["known", "conflict", "unknown"])
def test_who_is_turned_away_hears_the_first_answer_or_else_the_objection(
    tmp_path: Path, way: Way, case: str
) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(
            tmp_path, guard=guard, limits=BatchLimits(queue_max=1, reserve=1, ahead_min=1)
        ) as this:
            assert await this.codes([bet(1)]) + await this.codes([bet(2)]) == [None, None]
            first = await this.submit(settle(1))
            assert isinstance(first, Accepted)
            asked = {
                "known": settle(1),
                "conflict": settle(1, payout_minor=21),
                "unknown": settle(2, None, Result.VOID),
            }[case]
            told = await (await way(this, guard, asked))
            guard.gate.set()
            if case == "known":
                assert told == Accepted(
                    first.transaction_id, first.block_id, first.wallet, replayed=True, bet=first.bet
                )
            elif case == "conflict":
                assert told == Rejected(Code.IDEMPOTENCY_CONFLICT)
            else:
                assert isinstance(told, Rejected)
                assert told.code is WAYS[way]
            assert kinds(this).count("WIN") == 1
            assert "REFUND" not in kinds(this)

    asyncio.run(run())


async def opened(this: World) -> None:
    """The circuit is open: the disk is full."""
    for number in (901, 902, 903):
        this.disk.fail(FULL)
        assert await this.submit(bet(number)).code() is Code.OVERLOADED
    assert this.batcher.breaker_status().state is State.OPEN


def test_an_open_circuit_holds_back_bets_and_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.codes(map(bet, range(1, 5))) == [None] * 4
            await opened(this)
            owed = [settle(1), settle(2, None, Result.VOID), roll_back(3), cash_out(4), deposit("d")]
            assert await this.codes([bet(5), *owed, bet(6)]) == [
                Code.CIRCUIT_OPEN,
                *[None] * len(owed),
                Code.CIRCUIT_OPEN,
            ]
            assert await this.codes([unsettle(1)]) == [None]
            assert this.batcher.breaker_status().state is State.OPEN

    asyncio.run(run())


def test_what_is_owed_keeps_an_open_circuit_open_if_it_fails(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.submit(bet(1)).code() is None
            await opened(this)
            this.clock.now_us += S - 1
            this.disk.fail(FULL)
            assert await this.submit(settle(1)).code() is Code.OVERLOADED
            this.clock.now_us += S - 1  # since then
            assert await this.submit(bet(2)) == Rejected(Code.CIRCUIT_OPEN, retry_after_us=1)
            this.clock.now_us += 1
            assert await this.submit(bet(2)).code() is None

    asyncio.run(run())


def test_what_is_owed_shows_that_the_ledger_is_well_when_bets_are_only_tried(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.submit(bet(1)).code() is None
            await opened(this)
            this.clock.now_us += S
            assert await this.submit(settle(1)).code() is None  # no probe, and it takes no probe's place
            assert this.batcher.breaker_status().state is State.HALF_OPEN
            this.clock.now_us += BreakerLimits().stable_us
            assert this.batcher.breaker_status().state is State.HALF_OPEN
            assert await this.submit(deposit("1")).code() is None
            assert this.batcher.breaker_status().state is State.CLOSED

    asyncio.run(run())


def test_nobody_is_refused_while_a_copy_is_under_way(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(queue_max=1, reserve=1)) as this:
            await this.submit(bet(1))
            guard.gate.clear()
            under_way = this.submit_all([deposit("1")])
            await guard.calls_are(2)
            under_way += this.submit_all([settle(1), roll_back(2)])
            for command in (deposit("1"), settle(1), roll_back(2), deposit("1", 6)):
                assert await this.submit(command) == Rejected(UNKNOWN)
                assert await this.submit(command, Code.RATE_LIMITED) == Rejected(UNKNOWN)
            assert await this.submit(deposit("2")).code() is Code.OVERLOADED
            guard.gate.set()
            assert [await answer.code() for answer in under_way] == [None] * 3

    asyncio.run(run())


def test_a_late_command_is_not_refused_beside_its_retry_that_is_done(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            this.submit(bet(1))
            await this.disk.holds_one()
            other = this.submit(deposit("other"))  # closes the second batch
            await this.turns()
            late = this.submit(settle(1))
            this.clock.now_us += DEADLINE_US + 1
            retry = this.submit(settle(1))
            this.disk.release()
            assert await other.code() is Code.TIMED_OUT
            assert [await late.code(), await retry.code()] == [None, None]
            assert kinds(this) == ["BET", "WIN"]

    asyncio.run(run())


def test_a_refused_batch_claims_nothing_of_a_command_whose_copy_waits(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            first = this.submit(deposit("1"))
            await this.disk.holds_one()
            copy = this.submit(deposit("1"))
            this.disk.fail(FULL)
            this.disk.release()
            assert [await first.code(), await copy.code()] == [UNKNOWN, None]

    asyncio.run(run())


# --- refused, and done by a copy behind -------------------------------------------------------------------


def test_a_refusal_is_not_told_when_a_copy_in_the_same_batch_is_done(tmp_path: Path) -> None:
    """Refusals of these commands are not written down: what was refused may be accepted the next moment."""

    async def run() -> None:
        async with world(tmp_path) as this:
            rich = Withdraw(BOB, OPENING_MINOR + 5, key="w", caller="op")
            asked: list[Command] = [settle(1), unsettle(2), bet(1), settle(1), unsettle(2), settle(1, 21)]
            not_found, conflict = Code.NOT_FOUND, Code.IDEMPOTENCY_CONFLICT
            assert await this.codes(asked) == [UNKNOWN, not_found, None, None, not_found, conflict]
            assert await this.codes([rich, deposit("d"), rich]) == [UNKNOWN, None, None]
            assert kinds(this) == ["BET", "WIN", "DEPOSIT", "WITHDRAWAL"]

    asyncio.run(run())


def test_a_refusal_is_not_told_when_a_copy_in_the_next_batch_is_done_by_then(tmp_path: Path) -> None:
    """`world` compares what is told with the file."""

    async def run() -> None:
        decided = Decided()
        limits = BatchLimits(batch_max=2, ahead_min=1)
        async with world(tmp_path, decide=decided, limits=limits) as this:
            this.disk.hold()
            refused, paid = this.submit_all([settle(1), bet(2)])
            await this.disk.holds_one()
            this.submit_all([bet(1), settle(1)])
            await decided.comes_to(1)
            this.disk.release()
            hold_up_the_loop_until(lambda: "WIN" in kinds(this))
            assert [await refused.code(), await paid.code()] == [UNKNOWN, None]
            assert await codes(this) == [UNKNOWN, None, None, None]

    asyncio.run(run())


def test_a_bet_refused_too_often_is_not_called_unpaid_when_its_copy_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RATE_LIMITED is not written down either."""
    monkeypatch.setattr(import_module("engine.decide.place"), "REFUSALS_PER_MINUTE", 1)

    async def run() -> None:
        async with world(tmp_path) as this:
            rich = Deposit(ALICE, 5000, key="rich", caller="op")
            asked: list[Command] = [
                bet(1, stake=2000),
                bet(2, stake=2000),
                bet(3, stake=9999),
                rich,
                bet(2, stake=2000),
            ]
            short, limited = Code.INSUFFICIENT_FUNDS, Code.RATE_LIMITED
            assert await this.codes(asked) == [short, UNKNOWN, limited, None, None]
            assert this.ledger() == ids(2)

    asyncio.run(run())


def test_a_look_up_that_was_overtaken_claims_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            answers = [
                this.submit(deposit("1"), Code.RATE_LIMITED),
                this.submit(deposit("2"), Code.RATE_LIMITED),
            ]
            await asyncio.sleep(0)  # the look-up has begun
            done = this.submit(deposit("1"))
            assert [await answer.code() for answer in answers] == [UNKNOWN, Code.RATE_LIMITED]
            assert await done.code() is None

    asyncio.run(run())


# --- an unknown COMMIT ------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [False, True])
def test_after_an_unknown_commit_only_a_restart_knows_what_was_done(tmp_path: Path, on_disk: bool) -> None:
    in_doubt = [settle(1), deposit("1"), roll_back(2), PlaceHold(BOB, 3, key="h", caller="op")]

    async def run() -> None:
        async with world(tmp_path) as this:
            await this.submit(bet(1))
            known = await this.submit(deposit("0"))
            assert isinstance(known, Accepted)
            this.disk.fail(IO_ERROR, after=on_disk)
            assert await this.codes(in_doubt) == [UNKNOWN] * 4
            assert await this.codes(in_doubt) == [UNKNOWN] * 4
            assert await this.submit(in_doubt[0], Code.RATE_LIMITED).code() is UNKNOWN
            assert await this.submit(deposit("2")).code() is Code.CIRCUIT_OPEN
            assert await this.submit(deposit("0")) == Accepted(
                known.transaction_id, known.block_id, known.wallet, replayed=True
            )
        async with world(tmp_path) as this:  # the restart
            outcomes = await asyncio.gather(*this.submit_all(in_doubt))
            assert all(isinstance(outcome, Accepted) for outcome in outcomes)
            assert [outcome.replayed for outcome in outcomes] == [on_disk] * 4
            assert kinds(this) == ["BET", "DEPOSIT", "WIN", "DEPOSIT", "ROLLBACK", "TOMBSTONE", "HOLD"]

    asyncio.run(run())


# --- taken apart ------------------------------------------------------------------------------------------


def failing(*keys: str) -> Callable[[View, Command, int, Code | None], Outcome]:
    """`decide`, but the commands of these keys fail after they were decided."""

    def decide_and_fail(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        outcome = decide(view, command, now_us, objection)
        if command.key in keys and objection is None:
            raise ZeroDivisionError
        return outcome

    return decide_and_fail


LIFE: list[Command] = [
    *(bet(1), settle(1, 30), bet(2), cash_out(2), unsettle(1), roll_back(3), bet(3)),
    *(settle(1, 40, key="again"), settle(2, 0, Result.LOST), deposit("d"), bet(4), roll_back(4)),
]
CODES = [None, None, None, None, None, None, Code.BET_ROLLED_BACK, None, None, None, None, None]


@pytest.mark.parametrize(
    "culprits",
    [{0}, {1}, {3, 4}, {5}, {7}, {11}, set(range(0, 12, 2)), set()],
    ids=lambda culprits: "-".join(map(str, sorted(culprits))) or "a constraint",
)
def test_the_neighbours_of_a_culprit_are_answered_as_if_it_had_never_come(
    tmp_path: Path, culprits: set[int]
) -> None:
    """Those that lean on it included: a settlement of a bet that was not placed finds no bet."""
    others = [number for number in range(len(LIFE)) if number not in culprits]

    async def play(folder: Path, *, with_culprits: bool) -> tuple[list[Outcome], list[tuple[int, str]]]:
        folder.mkdir()
        decide = failing(*(LIFE[number].key for number in culprits))
        async with world(folder, decide=decide) as this:
            if with_culprits and not culprits:
                this.disk.fail(CONSTRAINT)
            asked = [c for n, c in enumerate(LIFE) if with_culprits or n in others]
            outcomes = await asyncio.gather(*this.submit_all(asked))
            assert this.told == this.answers
            assert this.batcher.failure is None
            entries = this.rows("SELECT id, ref_type || amount || '/' || user_id FROM transaction_ledger")
            return outcomes, entries

    async def run() -> None:
        together, entries = await play(tmp_path / "with", with_culprits=True)
        alone, expected = await play(tmp_path / "without", with_culprits=False)
        assert [codes_of([together[number]])[0] for number in sorted(culprits)] == [Code.INTERNAL] * len(
            culprits
        )
        assert codes_of([together[number] for number in others]) == codes_of(alone)
        assert entries == expected
        if not culprits:
            assert codes_of(together) == CODES

    asyncio.run(run())


def codes_of(outcomes: list[Outcome]) -> list[Code | None]:
    return [outcome.code if isinstance(outcome, Rejected) else None for outcome in outcomes]


def test_refusals_of_commands_write_nothing_and_do_not_count_as_health(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await this.submit(roll_back(1))
            poor = Withdraw(BOB, 9999, key="w", caller="op")
            another = RollBackBet(bet_id(1), key="another", caller="op")  # gets the first one's answer
            for number, nothing in enumerate([poor, another, settle(7)]):
                this.disk.fail(FULL)
                assert await this.submit(deposit(str(number))).code() is Code.OVERLOADED
                await this.submit(nothing)
            assert this.batcher.breaker_status().state is State.OPEN

    asyncio.run(run())


# --- a book of the house at its floor ---------------------------------------------------------------------


async def floor_of(this: World, book: str, floor_minor: int) -> None:
    ((book_id,),) = this.rows("SELECT id FROM users WHERE kind = ?", book)
    await this.submit(SetFloor(book_id, floor_minor, key="floor", caller="op"))


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (settle(1, 25), "settle"),
        (cash_out(1, 4, 25), "cashout"),
        (settle(1, None, Result.VOID), "settle"),
        (roll_back(1), "rollback"),
    ],
    ids=["won", "cashed out", "void", "rolled back"],
)
def test_what_the_house_cannot_pay_is_refused_and_alarmed_and_its_neighbours_stand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, refused: Keyed, kind: str
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await floor_of(this, "house", 0)
            await this.codes([bet(1, stake=20), bet(2, stake=2)])
            if kind != "cashout" and refused != settle(1, 25):
                await this.submit(settle(2, 22))  # the house has nothing left
            asked: list[Command] = [deposit("before"), refused, bet(3, stake=1, user=BOB), deposit("behind")]
            assert await this.codes(asked) == [None, Code.INSUFFICIENT_FUNDS, None, None]
            (line,) = alarms(caplog)
            assert f"the {kind} of bet {bet_id(1)} was refused" in line
            assert "the house book is at its floor" in line
            assert "send the command again with the same key" in line
            top_up = Transfer((LegOf(BOB, -500), LegOf(HOUSE, 500)), key="t", caller="op")
            assert await this.codes([top_up, refused]) == [None, None]
            assert len(alarms(caplog)) == 1

    asyncio.run(run())


def test_a_debt_that_the_receivable_book_cannot_lend_is_alarmed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await floor_of(this, "receivable", 0)
            spent = bet(2, stake=1490)
            assert await this.codes([bet(1), settle(1, 500), spent, unsettle(1)]) == [
                *[None] * 3,
                Code.INSUFFICIENT_FUNDS,
            ]
            (line,) = alarms(caplog)
            assert f"the unsettle of bet {bet_id(1)} was refused" in line
            assert "the receivable book is at its floor" in line

    asyncio.run(run())


def test_an_alarm_is_a_line_a_minute_for_each_book_with_the_number_of_those_between(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await floor_of(this, "house", 0)
            await this.codes([bet(1), bet(2)])
            for waited_us, lines in [(0, 1), (QUIET_US - 1, 1), (1, 2), (QUIET_US - 1, 2)]:
                this.clock.now_us += waited_us
                assert (
                    await this.codes([settle(1, 99), settle(2, 99, key="k")]) == [Code.INSUFFICIENT_FUNDS] * 2
                )
                assert len(alarms(caplog)) == lines
            counts = [line.partition("like ")[2].partition(" others")[0] for line in alarms(caplog)]
            assert counts == ["0", "3"]

    asyncio.run(run())


def test_a_player_without_money_is_no_alarm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            short = Code.INSUFFICIENT_FUNDS
            poor = [Withdraw(BOB, 9999, key="w", caller="op"), PlaceHold(BOB, 9999, key="h", caller="op")]
            assert await this.codes([bet(1, stake=9999), *poor]) == [short] * 3
            assert alarms(caplog) == []

    asyncio.run(run())


# --- all of it at once ------------------------------------------------------------------------------------


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


SEEDS = [*range(12), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 40))]  # a second each


async def storm(this: World, guard: Guard, random: Random) -> None:
    """Retries, conflicts, refusals, expiries, objections and faults, in any order."""
    for step in range(90):
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
                this.clock.now_us += random.randrange(2 * S)
                this.wall.now_us += random.randrange(12 * S)
            case 6:
                await this.batcher._expiry.look()
            case 7 if step > 70:
                this.disk.fail(IO_ERROR, after=random.random() < 0.5)
            case _:
                for _ in range(random.randrange(1, 12)):
                    objection = Code.RATE_LIMITED if random.random() < 0.2 else None
                    this.submit(any_command(this, random), objection)
        for _ in range(random.choice([0, 0, 1, 5, 20])):
            await asyncio.sleep(0)
        if random.random() < 0.5:
            await this.store.read(lambda connection: None)
    guard.gate.set()


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
            await storm(this, guard, random)
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
