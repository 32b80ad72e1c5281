"""What the audit log keeps of a command: which action, which subject, and whether it is told at all."""

from __future__ import annotations

import json

import pytest

from engine.actors import Actor
from engine.commands import KINDS, CarryArchive, ExpireBonus, ExpireFreeBet, ExpireHold, PayChunk
from engine.deeds import ACCEPTED, ACTIONS, Deed, deed, is_new, subject_of
from engine.outcomes import Accepted, Code, Outcome, Rejected, Wallet
from tests.batches import ALICE, bet
from tests.operator_messages import COMMANDS, SOUND

OPERATOR = Actor(42, "operator", "192.0.2.1", "ws")
DONE = Accepted(7, 3, Wallet(1, 10, 0, 10))
BY_ITSELF = {ExpireHold, ExpireBonus, ExpireFreeBet, PayChunk, CarryArchive}


@pytest.mark.parametrize("type_", COMMANDS)
def test_an_action_is_the_type_of_the_message_that_asks_for_it(type_: str) -> None:
    assert ACTIONS[type(COMMANDS[type_])] == type_


def test_every_command_that_somebody_can_ask_for_has_an_action() -> None:
    asked_for = KINDS.keys() - BY_ITSELF
    assert ACTIONS.keys() - asked_for == {type(bet(1))}
    assert asked_for - ACTIONS.keys() == set()
    assert len(set(ACTIONS.values())) == len(ACTIONS)


@pytest.mark.parametrize("type_", COMMANDS)
def test_a_subject_names_what_the_request_named_but_for_its_key(
    type_: str,
) -> None:
    command = COMMANDS[type_]
    subject = json.loads(subject_of(command))
    assert not subject.keys() & {"key", "caller"}
    assert None not in subject.values()
    named = {name.removesuffix("_minor").removesuffix("_us") for name in subject}
    asked = SOUND[type_].keys() - {"type", "id", "key"}
    assert asked <= named | {"amount"}, "something that was asked for is missing"


def test_of_a_bet_the_subject_has_neither_nonce_nor_time() -> None:
    assert json.loads(subject_of(bet(1))) == {"bet_id": bet(1).bet_id, "user_id": ALICE, "stake_minor": 10}


def test_of_the_winners_of_a_payout_it_says_how_many_and_how_much() -> None:
    made = json.loads(subject_of(COMMANDS["payout.make"]))
    assert (made["items"], made["total_minor"]) == (2, 300)
    added = json.loads(subject_of(COMMANDS["payout.add"]))
    assert (added["items"], added["total_minor"]) == (2, 300)
    assert json.loads(subject_of(COMMANDS["payout.start"]))["items"] == COMMANDS["payout.start"].items  # type: ignore[attr-defined]


def test_a_deed_says_who_what_when_and_from_where() -> None:
    subject = subject_of(bet(1))
    done = deed(OPERATOR, bet(1), DONE, 5)
    assert done == Deed(
        *(0, 5, 42, "operator", "192.0.2.1", "ws", "bet.place", subject, bet(1).bet_id, ACCEPTED, 7)
    )
    refused = deed(OPERATOR, bet(1), Rejected(Code.ACCOUNT_BLOCKED), 5)
    assert refused == done._replace(outcome="ACCOUNT_BLOCKED", transaction_id=None)


@pytest.mark.parametrize(
    ("objection", "outcome", "is_told"),
    [
        (None, DONE, True),
        (None, Rejected(Code.NOT_FOUND), True),
        (None, Rejected(Code.IDEMPOTENCY_CONFLICT), True),
        (None, Accepted(7, 3, None, replayed=True), False),
        (None, Rejected(Code.INSUFFICIENT_FUNDS, replayed=True), False),
        (Code.TIMED_OUT, Rejected(Code.TIMED_OUT), False),
        (Code.TIMED_OUT, Rejected(Code.IDEMPOTENCY_CONFLICT), False),
    ],
)
def test_what_was_decided_anew_is_told(objection: Code | None, outcome: Outcome, is_told: bool) -> None:
    assert is_new(objection, outcome) is is_told
