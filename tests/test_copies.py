"""What may be said of copies of one command in one batch, as tables."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batcher.copies import accepted, late, overtaken, stays, was_written
from batcher.undecided import name_of
from engine.actors import Actor
from engine.commands import Command, Deposit
from engine.outcomes import RECORDED, Accepted, Code, Outcome, Rejected, Wallet
from tests.batches import ALICE, SAYS_NO_MONEY_MOVED, bet

WALLET = Wallet(1, 10, 0, 10)
DONE = Accepted(1, 1, WALLET)
AGAIN = Accepted(1, 1, WALLET, replayed=True)
DEPOSIT = Deposit(ALICE, 1, key="d", caller="test")
SHORT = Rejected(Code.INSUFFICIENT_FUNDS)


class Sent(NamedTuple):
    command: Command
    arrived_us: int = 0
    objection: Code | None = None
    actor: Actor | None = None


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ([Sent(bet(1), 10), Sent(bet(2), 11)], []),
        ([Sent(bet(1), 9), Sent(bet(2), 10)], [0]),
        ([Sent(bet(1), 1), Sent(DEPOSIT, 2)], [0, 1]),
        ([Sent(bet(1), 1), Sent(bet(2), 2), Sent(bet(1), 10)], [1]),
        ([Sent(bet(1), 1), Sent(bet(1), 10, Code.NONCE_REUSED)], [0]),
        ([Sent(bet(1), 1, Code.OVERLOADED), Sent(bet(2), 2)], [1]),
    ],
    ids=["none", "the first", "all", "not with a retry in time", "but with one that is refused", "only once"],
)
def test_who_is_too_late(batch: list[Sent], found: list[int]) -> None:
    assert list(late(batch, lambda arrived_us: arrived_us < 10)) == [batch[at] for at in found]


def test_who_is_shed_beside_a_copy_that_goes_is_overtaken() -> None:
    goes, refused = Sent(bet(1)), Sent(bet(2), objection=Code.NONCE_REUSED)
    shed = [Sent(bet(number), objection=Code.OVERLOADED) for number in (1, 2, 3)]
    assert overtaken([goes, refused, *shed], shed) == shed[:1]


def test_which_commands_did_what_they_were_asked() -> None:
    batch = [Sent(bet(1)), Sent(bet(2)), Sent(bet(3)), Sent(DEPOSIT)]
    assert accepted(batch, [DONE, SHORT, AGAIN, DONE]) == {
        name_of(command) for command in (bet(1), bet(3), DEPOSIT)
    }


@pytest.mark.parametrize("code", Code)
def test_a_refusal_stays_if_it_claims_nothing_or_binds_the_copies_too(code: Code) -> None:
    assert stays(DEPOSIT, code) is (code not in SAYS_NO_MONEY_MOVED)
    assert stays(bet(1), code) is (code not in SAYS_NO_MONEY_MOVED or code in RECORDED)


@pytest.mark.parametrize(
    ("command", "outcome", "is_written"),
    [
        (bet(1), DONE, True),
        (bet(1), AGAIN, False),
        (bet(1), SHORT, True),
        (bet(1), Rejected(Code.INSUFFICIENT_FUNDS, replayed=True), False),
        (bet(1), Rejected(Code.TIMED_OUT), False),
        (DEPOSIT, DONE, True),
        (DEPOSIT, SHORT, False),
    ],
)
def test_what_has_just_been_written(command: Command, outcome: Outcome, is_written: bool) -> None:
    assert was_written(Sent(command), outcome) is is_written


@pytest.mark.parametrize(
    ("objection", "outcome", "is_written"),
    [
        (None, DONE, True),
        (None, AGAIN, False),
        (None, SHORT, True),
        (Code.TIMED_OUT, Rejected(Code.TIMED_OUT), False),
        (None, Rejected(Code.INTERNAL), False),
    ],
)
def test_of_what_is_done_for_the_house_a_refusal_is_written_too(
    objection: Code | None, outcome: Outcome, is_written: bool
) -> None:
    asked = Sent(DEPOSIT, objection=objection, actor=Actor(1, "operator", "127.0.0.1", "ws"))
    assert was_written(asked, outcome) is is_written
