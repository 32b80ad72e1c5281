"""The bucket of messages: what it gives at once, what comes back, and what each kind of message costs."""

from __future__ import annotations

import json

import pytest

from ws.effects import Identity
from ws.protocol import Conversation
from ws.wire.allowance import CAPACITY, CHARS_A_TOKEN, MESSAGES_PER_S, REFUSED_COST, Allowance
from ws.wire.messages import Limits


def test_what_is_spent_comes_back_with_time_and_no_faster() -> None:
    allowance = Allowance(100.0)
    allowance.tokens -= CAPACITY + 1
    assert not allowance.holds(100.0)
    assert not allowance.holds(100.0 + 0.5 / MESSAGES_PER_S)
    assert allowance.holds(100.0 + 1.5 / MESSAGES_PER_S)


def test_what_is_not_spent_does_not_pile_up() -> None:
    allowance = Allowance(0.0)
    assert allowance.holds(3600.0)
    assert allowance.tokens == CAPACITY


@pytest.mark.parametrize(("per_s", "ends"), [(MESSAGES_PER_S, False), (MESSAGES_PER_S * 2, True)])
def test_a_steady_sender_may_go_on_for_ever_and_a_flood_ends(per_s: int, ends: bool) -> None:
    """A minute, in reads of ten milliseconds; looked at only when all seems spent, as the socket does."""
    allowance = Allowance(0.0)
    ended_s = None
    for read in range(6000):
        allowance.tokens -= per_s // 100
        if allowance.tokens < 0 and not allowance.holds(read / 100) and ended_s is None:
            ended_s = read / 100
    assert (ended_s is not None) is ends
    assert ended_s is None or ended_s <= 2 * CAPACITY / (per_s - MESSAGES_PER_S)


BET = {"type": "bet.place", "id": "b", "bet_id": "0199a5f0-1111-7222-8333-444455556666", "stake": 1,
       "nonce": "12345678", "sent_at": 0}  # fmt: skip
PING = {"type": "ping", "id": "p"}
MALFORMED = {"type": "no.such", "id": "m"}


def cost(frame: object, *, limits: Limits | None = None) -> float:
    allowance = Allowance(0.0)
    conversation = Conversation(limits or Limits(), allowance)
    conversation.welcome(Identity(42, "player", 2**40), None, 0)
    conversation.receive_text(frame if isinstance(frame, str) else json.dumps(frame), 0)
    return CAPACITY - allowance.tokens


@pytest.mark.parametrize(
    ("frame", "costs"),
    [
        (PING, 1),
        (BET, 1),
        ([BET] * 900, 900),
        ([PING] * 3, 3),
        ([PING, MALFORMED], 1 + REFUSED_COST),
        ("x" * CHARS_A_TOKEN * 100, REFUSED_COST + 100),
        ("[" + "1," * 100_000 + "1]", REFUSED_COST + 200_003 // CHARS_A_TOKEN),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_message_costs_one_and_what_is_refused_more(frame: object, costs: int) -> None:
    assert cost(frame) == costs


def test_what_a_role_may_not_costs_more() -> None:
    allowance = Allowance(0.0)
    conversation = Conversation(Limits(), allowance)
    conversation.welcome(Identity(42, "auditor", 2**40), None, 0)
    conversation.receive_text(json.dumps(BET), 0)
    assert CAPACITY - allowance.tokens == REFUSED_COST


def test_bets_beyond_the_window_cost_more() -> None:
    assert cost([BET] * 7, limits=Limits(in_flight=5)) == 5 + 2 * REFUSED_COST
