"""Which refusal is told when several apply: for every command, the code that stands first in `Code`.

Each command is asked in a situation in which it is accepted; then one thing is spoilt, or two. Before all of
that a known key is answered: by replay or conflict, whatever else has become wrong (PROTOCOL, Codes).
"""

from itertools import combinations, product
from typing import Any, Final

import msgspec
import pytest

from engine.commands import (
    KINDS,
    Leg,
    PlaceBet,
    Result,
    RollBackBet,
    SettleBet,
)
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.view import View
from tests.books_open import ALICE, BOB, NOW_US, bet_id
from tests.precedence import (
    AT_THE_DOOR,
    KEY,
    OBJECTIONS,
    OVER,
    PAYOUT_MINOR,
    PLACED,
    ROLLED_BACK,
    STAKE_MINOR,
    TO_NOBODY,
    Situation,
    alice_has,
)
from tests.precedence_bonus import BONUS_CASES
from tests.precedence_cases import WALLET_CASES

CASES: Final = WALLET_CASES | BONUS_CASES
SINGLES: Final = [
    pytest.param(name, code, id=f"{name}: {code.name}") for name in CASES for code in CASES[name].spoils
]
PAIRS: Final = {
    name: [
        pair
        for pair in combinations(sorted(case.spoils, key=[*Code].index), 2)
        if set(pair) not in case.never_together
    ]
    for name, case in CASES.items()
}


def code_of(outcome: Outcome) -> Code | None:
    return outcome.code if isinstance(outcome, Rejected) else None


def money_in(view: View) -> list[Any]:
    """All that a refusal must leave as it is."""
    wallets = [
        (each.balance_minor, each.held_minor, each.owed_minor, each.status) for each in view.accounts.values()
    ]
    lives = [
        msgspec.to_builtins(each)
        for each in (view.bet(bet_id(1)), *view.holds.values(), *view.free_bets.values())
    ]
    lives += [msgspec.to_builtins(each.bonus) for each in view.accounts.values()]
    made = {kind: [*rows] for kind, rows in view.made.items() if rows}
    return [len(view.new_transactions), len(view.new_entries), wallets, lives, made]


def test_every_command_is_asked_here() -> None:
    assert {type(case.command) for case in CASES.values()} == {PlaceBet, *KINDS}


def test_every_code_of_the_engine_is_produced_here() -> None:
    produced = {code for case in CASES.values() for code in case.spoils} | {*OBJECTIONS}
    assert produced == {*Code} - AT_THE_DOOR


@pytest.mark.parametrize("name", CASES)
def test_unspoilt_it_is_accepted(name: str) -> None:
    outcome = CASES[name].situation().ask()

    assert isinstance(outcome, Accepted)
    assert not outcome.replayed


@pytest.mark.parametrize(("name", "code"), SINGLES)
def test_one_thing_wrong_gives_its_code_and_changes_nothing(name: str, code: Code) -> None:
    situation = CASES[name].situation()
    CASES[name].spoils[code](situation)
    view = situation.view
    before = money_in(view)

    outcome = situation.ask()

    assert code_of(outcome) is code
    assert money_in(view) == before


@pytest.mark.parametrize("name", CASES)
def test_of_two_things_wrong_the_one_earlier_in_code_is_told(name: str) -> None:
    for pair in PAIRS[name]:
        situation = CASES[name].situation()
        # What came before can only have happened while nothing else was wrong.
        for code in sorted(pair, key=lambda code: code not in OVER):
            CASES[name].spoils[code](situation)

        assert code_of(situation.ask()) is pair[0], pair


@pytest.mark.parametrize("name", CASES)
def test_a_command_that_is_shed_is_not_evaluated(name: str) -> None:
    for objection, spoiled in product(OBJECTIONS, (None, *CASES[name].spoils)):
        situation = CASES[name].situation()
        if spoiled is not None:
            CASES[name].spoils[spoiled](situation)
        situation.objection = objection
        is_stale = isinstance(situation.command, PlaceBet) and situation.command.sent_at_us < NOW_US
        expected = Code.STALE_REQUEST if is_stale else objection
        assert code_of(situation.ask()) is expected, (objection, spoiled)


@pytest.mark.parametrize(("name", "code"), SINGLES)
def test_a_known_key_is_replayed_whatever_has_become_wrong(name: str, code: Code) -> None:
    situation = CASES[name].situation()
    command, first = situation.command, situation.ask()
    assert isinstance(first, Accepted)
    if code not in OVER:  # what is over stays so
        CASES[name].spoils[code](situation)
    situation.command, situation.objection = command, Code.OVERLOADED
    if isinstance(command, PlaceBet):
        situation.change(sent_at_us=0)

    again = situation.ask()

    assert again == msgspec.structs.replace(first, replayed=True, entries=(), at_us=0)


@pytest.mark.parametrize(("name", "code"), SINGLES)
def test_a_known_key_with_other_terms_is_a_conflict_whatever_else_is_wrong(name: str, code: Code) -> None:
    situation = CASES[name].situation()
    situation.ask()
    other: dict[str, dict[str, Any]] = {
        "place": {"stake_minor": 31},
        "settle": {"payout_minor": 1},
        "settle void": {"payout_minor": 1},
        "cash out": {"payout_minor": 1},
        "roll back": {"stake_minor": STAKE_MINOR},
        "unsettle": {"bet_id": bet_id(3)},
        "transfer": {"legs": (Leg(ALICE, 11), Leg(BOB, -11))},
        "close": {"status": "open"},
        "capture": {"amount_minor": 1},
        "release": {"hold_id": 2},
        "expire": {"hold_id": 2},
        "place, and may lose no more": {"stake_minor": 31},
        "place, and is excluded": {"stake_minor": 31},
        "limit": {"amount": 11},
        "exclude": {"until_us": NOW_US + 12},
        "floor": {"floor_minor": -101},
        "pay": {"items": TO_NOBODY},
        "open a payout": {"currency": "USD"},
        "add to a payout": {"items": TO_NOBODY},
        "start a payout": {"total_minor": 32},
        "pay a chunk": {"first": 1},
        "pay out of suspense": {"number": 2},
        "return out of suspense": {"number": 2},
        "place, and a bonus pays a part": {"stake_minor": 31},
        "place a free bet": {"free_bet_id": 2},
        "place a free bet, and the house cannot pay it": {"free_bet_id": None},
        "settle, shared": {"payout_minor": 1},
        "unsettle, shared": {"bet_id": bet_id(3)},
        "unsettle, of a bonus that has expired": {"bet_id": bet_id(3)},
        "transfer into a bonus wallet": {"legs": (Leg(ALICE, 11), Leg(BOB, -11))},
        "transfer out of a bonus wallet": {"legs": (Leg(ALICE, 11), Leg(BOB, -11))},
        "unsettle, of a free bet that was void": {"bet_id": bet_id(3)},
        "roll back, of a free bet": {"stake_minor": STAKE_MINOR},
        "archive": {"before_us": NOW_US - 1},
        "carry an archive": {"openings": bytes([1]) * 32},
        "open a wallet": {"participant_id": BOB},
        "open a wallet of somebody new": {"participant_id": ALICE},
        "expire a bonus": {"user_id": BOB},
        "revoke a free bet": {"free_bet_id": 2},
        "expire a free bet": {"free_bet_id": 2},
    }
    situation.change(**other.get(name, {"amount_minor": 11}))
    if code not in OVER:
        CASES[name].spoils[code](situation)
    situation.objection = Code.OVERLOADED

    assert code_of(situation.ask()) is Code.IDEMPOTENCY_CONFLICT


@pytest.mark.parametrize(
    "code", [code for code in CASES["place"].spoils if code is not Code.ACCOUNT_NOT_FOUND]
)
def test_a_bet_that_was_rolled_back_before_it_came_is_told_so_whatever_else_is_wrong(code: Code) -> None:
    situation = Situation(PLACED, ROLLED_BACK)
    CASES["place"].spoils[code](situation)
    expected = Code.RATE_LIMITED if code is Code.RATE_LIMITED else Code.BET_ROLLED_BACK

    assert code_of(situation.ask()) is expected


@pytest.mark.parametrize("code", CASES["roll back"].spoils)
def test_a_second_rollback_is_answered_as_the_first_unless_it_means_another_bet(code: Code) -> None:
    """A blocked, full or impossible wallet does not matter any more."""
    situation = Situation(RollBackBet(bet_id(1), **KEY), PLACED, ROLLED_BACK)
    means_another = (Code.NOT_FOUND, Code.IDEMPOTENCY_CONFLICT, Code.CURRENCY_MISMATCH)
    if code is not Code.BET_CLOSED:
        CASES["roll back"].spoils[code](situation)

    outcome = situation.ask()

    if code in means_another:
        assert code_of(outcome) is code
    else:
        assert isinstance(outcome, Accepted)
        assert outcome.replayed


def test_what_is_kept_back_of_a_win_does_not_count_against_the_limit() -> None:
    """ALICE owes 60 and could be shown 31 more: of a win of 90 she sees 30."""
    situation = Situation(SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **KEY), PLACED)
    situation.alice.owed_minor = 60
    alice_has(WIRE_MAX_MINOR - 31)(situation)

    outcome = situation.ask()

    assert isinstance(outcome, Accepted)
    assert situation.alice.balance_minor == WIRE_MAX_MINOR - 1
    assert situation.alice.owed_minor == 0
