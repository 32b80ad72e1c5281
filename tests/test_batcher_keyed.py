"""Commands other than bets through the batcher: done once, refused beside a copy, in doubt, taken apart."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path

import pytest

from batcher.policy import BatchLimits
from engine.commands import Command, Deposit, PlaceHold, Result, Withdraw
from engine.outcomes import Accepted, Code, Outcome, Rejected
from tests.batches import ALICE, BOB, CONSTRAINT, IO_ERROR, OPENING_MINOR, bet, hold_up_the_loop_until, world
from tests.keyed_commands import cash_out, deposit, failing, kinds, roll_back, settle, unsettle
from tests.pipelines import Decided, codes, ids

UNKNOWN = Code.OUTCOME_UNKNOWN


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


# --- taken apart ----------------------------------------------------------------------------------------


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
