"""What was answered is counted once, under the right name."""

from __future__ import annotations

import pytest

from batcher.jobs import Job
from batcher.tally import DONE, REPLAYED, Tally
from engine.commands import KINDS, Deposit, PlaceBet, SettleBet
from engine.outcomes import Accepted, Code, Outcome, Rejected
from tests.batches import bet

NEW, AGAIN = Accepted(1, 1, None), Accepted(1, 1, None, replayed=True)


class Nobody:
    def answer(self, request_id: str, command: object, outcome: object) -> None:
        raise AssertionError("nobody is told here")


def job(command: PlaceBet | Deposit) -> Job:
    is_bet = isinstance(command, PlaceBet)
    return Job(command, asker=Nobody(), request_id="r", arrived_us=0, is_bet=is_bet)


def test_bets_are_counted_as_new_as_told_again_and_by_code() -> None:
    tally = Tally()
    refused = Rejected(Code.INSUFFICIENT_FUNDS)
    for outcome in (NEW, NEW, AGAIN, refused, Rejected(Code.INSUFFICIENT_FUNDS, replayed=True)):
        tally.told(job(bet(1)), outcome)
    assert (tally.confirmed, tally.replayed) == (2, 1)
    assert tally.refused == {Code.INSUFFICIENT_FUNDS: 2}
    assert not tally.others


@pytest.mark.parametrize(
    ("outcome", "ended"), [(NEW, DONE), (AGAIN, REPLAYED), (Rejected(Code.CIRCUIT_OPEN), "CIRCUIT_OPEN")]
)
def test_other_commands_are_counted_by_kind(outcome: Outcome, ended: str) -> None:
    tally = Tally()
    tally.told(job(Deposit(7, 1, key="k", caller="7")), outcome)
    assert tally.others == {("deposit", ended): 1}
    assert (tally.confirmed, tally.replayed, len(tally.refused)) == (0, 0, 0)


def test_no_code_can_be_taken_for_what_was_done() -> None:
    assert not {DONE, REPLAYED} & {code.name for code in Code}
    assert KINDS[SettleBet] == "settle"
