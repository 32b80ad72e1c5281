"""decide: every answer it can give, in which order, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import msgspec
import pytest

from engine.commands import BET_SCOPE, Deposit, PlaceBet
from engine.decide import decide
from engine.decide.place import REFUSALS_PER_MINUTE, SENT_AT_FUTURE_US, SENT_AT_PAST_US
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import RECORDED, RETRYABLE, Accepted, Code, Outcome, Rejected, Wallet
from engine.records import Entry, Head
from engine.view import MINUTE_US, View
from tests.books_open import ALICE, BOB, CASH, HOUSE, NOBODY, NOW_US, account, bet_id, deposit, place, view_of


def codes(view: View, *commands: PlaceBet | Deposit) -> list[Code | None]:
    """The code of each answer, None where the command was accepted."""
    return [
        outcome.code if isinstance(outcome, Rejected) else None
        for outcome in (decide(view, command, NOW_US) for command in commands)
    ]


def test_five_bets_of_30_on_100_are_three_confirmations_and_a_later_10_fits() -> None:
    view = view_of(account(ALICE, 100))

    answers = codes(view, *(place(number) for number in range(5)), place(5, stake_minor=10))

    assert answers == [None, None, None, Code.INSUFFICIENT_FUNDS, Code.INSUFFICIENT_FUNDS, None]
    assert view.accounts[ALICE].balance_minor == 0
    assert view.accounts[HOUSE].balance_minor == 100


def test_a_bet_moves_its_stake_from_the_wallet_to_the_house_and_says_so() -> None:
    head = Head(4, b"\x04" * 32, NOW_US - 1, 40, 80)
    view = view_of(account(ALICE, 100, last_entry_id=71, held_minor=20), head=head)

    outcome = decide(view, place(1, game="dice", round="r", selection="", odds_milli=2500), NOW_US)

    debit = Entry(81, ALICE, "EUR", -30, 70, "BET", bet_id(1), 41, 5, 71)
    credit = Entry(82, HOUSE, "EUR", 30, 30, "BET", bet_id(1), 41, 5, 0)
    assert outcome == Accepted(41, 5, Wallet(81, 70, 20, 50), entries=(debit, credit), at_us=NOW_US)
    assert view.new_entries == [debit, credit]
    assert [tuple(bet) for bet in view.new_bets] == [(41, ALICE, "EUR", 30, "dice", "r", "", 2500)]
    (transaction,) = view.new_transactions
    assert transaction[:4] == (41, "BET", BET_SCOPE, bet_id(1))
    assert transaction.block_id == 5
    assert msgspec.json.decode(transaction.answer, type=Wallet) == Wallet(81, 70, 20, 50)


def test_a_deposit_moves_its_amount_from_cash_to_the_wallet_and_says_so() -> None:
    view = view_of(account(ALICE, 100))

    outcome = decide(view, deposit("d1", 50), NOW_US)

    credit = Entry(1, ALICE, "EUR", 50, 150, "DEPOSIT", "1", 1, 1, 0)
    debit = Entry(2, CASH, "EUR", -50, -50, "DEPOSIT", "1", 1, 1, 0)
    assert outcome == Accepted(1, 1, Wallet(1, 150, 0, 150), entries=(credit, debit), at_us=NOW_US)
    assert view.new_bets == []
    assert view.new_transactions[0][1:4] == ("DEPOSIT", "test:deposit", "d1")


@dataclass
class Situation:
    """A command that would be accepted, until something is spoilt."""

    command: PlaceBet | Deposit
    wallet: dict[str, Any] = field(default_factory=dict)
    balance_minor: int = 100
    objection: Code | None = None
    known: bool = False

    def ask(self) -> tuple[View, Outcome]:
        """Decide the command in this situation."""
        view = view_of(account(ALICE, self.balance_minor, **self.wallet))
        if self.known:
            first = view_of(account(ALICE, 100))
            decide(first, place(1, 29) if isinstance(self.command, PlaceBet) else deposit("d1", 29), NOW_US)
            view.transactions.update(first.transactions)
        return view, decide(view, self.command, NOW_US, self.objection)

    def change(self, **terms: Any) -> None:
        """Send other terms."""
        self.command = msgspec.structs.replace(self.command, **terms)


Spoil = Callable[[Situation], object]


def _objecting(code: Code) -> Spoil:
    return lambda situation: setattr(situation, "objection", code)


def _rate_limited(situation: Situation) -> None:
    """Counts only for a bet that is refused anyhow: here for want of money."""
    situation.wallet |= {"refused_minute": NOW_US // MINUTE_US, "refused_count": REFUSALS_PER_MINUTE}
    situation.balance_minor = 0


OBJECTIONS: dict[Code, Spoil] = {
    code: _objecting(code)
    for code in (
        Code.NONCE_REUSED,
        Code.OUTCOME_UNKNOWN,
        Code.INTERNAL,
        Code.CIRCUIT_OPEN,
        Code.OVERLOADED,
        Code.TIMED_OUT,
    )
}
OF_BOTH: dict[Code, Spoil] = OBJECTIONS | {
    Code.IDEMPOTENCY_CONFLICT: lambda situation: setattr(situation, "known", True),
    Code.ACCOUNT_NOT_FOUND: lambda situation: situation.wallet.update(kind="house"),
    Code.ACCOUNT_BLOCKED: lambda situation: situation.wallet.update(status="blocked"),
}
OF_BETS: dict[Code, Spoil] = OF_BOTH | {
    Code.STALE_REQUEST: lambda situation: situation.change(sent_at_us=NOW_US - SENT_AT_PAST_US - 1),
    Code.RATE_LIMITED: _rate_limited,
    Code.CURRENCY_MISMATCH: lambda situation: situation.change(currency="USD"),
    Code.INSUFFICIENT_FUNDS: lambda situation: setattr(situation, "balance_minor", 29),
}
OF_DEPOSITS: dict[Code, Spoil] = OF_BOTH | {
    Code.LIMIT_EXCEEDED: lambda situation: setattr(situation, "balance_minor", WIRE_MAX_MINOR)
}
SITUATIONS: list[tuple[Callable[[], Situation], dict[Code, Spoil]]] = [
    (lambda: Situation(place(1)), OF_BETS),
    (lambda: Situation(deposit("d1")), OF_DEPOSITS),
]
NO_WALLET_NO_RATE = {Code.RATE_LIMITED, Code.ACCOUNT_NOT_FOUND}
"""Refusals are counted in a wallet's row, so these two never apply together."""

RATE_BEHIND_OBJECTION = [
    {Code.RATE_LIMITED, code} for code in (Code.CIRCUIT_OPEN, Code.OVERLOADED, Code.TIMED_OUT)
]
"""Here decide departs from the order of `Code`; a test below says so."""


def _pairs() -> list[Any]:
    order = list(Code)
    cases = []
    for make, spoils in SITUATIONS:
        for pair in combinations(sorted(spoils, key=order.index), 2):
            together = len(OBJECTIONS.keys() & set(pair)) < 2 and set(pair) != NO_WALLET_NO_RATE
            if together and set(pair) not in RATE_BEHIND_OBJECTION:
                name = f"{type(make().command).__name__}: {pair[0].name} before {pair[1].name}"
                cases.append(pytest.param(make, [spoils[code] for code in pair], pair[0], id=name))
    return cases


@pytest.mark.parametrize(
    ("make", "spoil", "code"),
    [
        pytest.param(make, spoil, code, id=f"{type(make().command).__name__}: {code.name}")
        for make, spoils in SITUATIONS
        for code, spoil in spoils.items()
    ],
)
def test_one_thing_wrong_gives_its_code_and_moves_nothing(
    make: Callable[[], Situation], spoil: Spoil, code: Code
) -> None:
    situation = make()
    assert isinstance(situation.ask()[1], Accepted), "unspoilt, it is accepted"
    spoil(situation)

    view, outcome = situation.ask()

    assert isinstance(outcome, Rejected)
    assert outcome.code is code
    assert not outcome.replayed
    recorded = isinstance(situation.command, PlaceBet) and code in RECORDED
    assert [refusal.code for refusal in view.new_refusals] == ([code.name] if recorded else [])
    assert view.changed == recorded
    assert view.new_entries == view.new_transactions == view.new_bets == []
    assert view.accounts[ALICE].balance_minor == situation.balance_minor


@pytest.mark.parametrize(("make", "spoils", "code"), _pairs())
def test_of_two_things_wrong_the_one_earlier_in_code_is_the_answer(
    make: Callable[[], Situation], spoils: list[Spoil], code: Code
) -> None:
    for order in (spoils, spoils[::-1]):
        situation = make()
        for spoil in order:
            spoil(situation)

        outcome = situation.ask()[1]

        assert isinstance(outcome, Rejected)
        assert outcome.code is code


@pytest.mark.parametrize("pair", RATE_BEHIND_OBJECTION, ids=lambda pair: "/".join(sorted(map(str, pair))))
def test_a_bet_that_is_shed_is_told_so_before_its_wallet_is_looked_at(pair: set[Code]) -> None:
    situation = Situation(place(1))
    for code in pair:
        OF_BETS[code](situation)

    outcome = situation.ask()[1]

    assert isinstance(outcome, Rejected)
    assert {outcome.code} == pair - {Code.RATE_LIMITED}


@pytest.mark.parametrize("user_id", [NOBODY, HOUSE, CASH])
def test_only_players_bet_or_are_paid_in(user_id: int) -> None:
    view = view_of(account(ALICE, 100))

    assert (
        codes(view, place(1, user_id=user_id), deposit("d1", user_id=user_id)) == [Code.ACCOUNT_NOT_FOUND] * 2
    )
    assert not view.changed


@pytest.mark.parametrize("status", ["blocked", "closed"])
def test_an_account_that_is_not_open_does_nothing(status: str) -> None:
    view = view_of(account(ALICE, 100, status=status))

    assert codes(view, place(1), deposit("d1")) == [Code.ACCOUNT_BLOCKED] * 2


@pytest.mark.parametrize(
    ("sent_at_us", "code"),
    [
        (NOW_US - SENT_AT_PAST_US, None),
        (NOW_US - SENT_AT_PAST_US - 1, Code.STALE_REQUEST),
        (NOW_US + SENT_AT_FUTURE_US, None),
        (NOW_US + SENT_AT_FUTURE_US + 1, Code.STALE_REQUEST),
    ],
)
def test_a_bet_is_fresh_from_80_s_ago_to_10_s_ahead(sent_at_us: int, code: Code | None) -> None:
    assert codes(view_of(account(ALICE, 100)), place(1, sent_at_us=sent_at_us)) == [code]
    assert (SENT_AT_PAST_US, SENT_AT_FUTURE_US) == (80_000_000, 10_000_000)


@pytest.mark.parametrize(
    ("wallet", "stake_minor", "code"),
    [
        ({}, 100, None),
        ({}, 101, Code.INSUFFICIENT_FUNDS),
        ({"held_minor": 40}, 60, None),
        ({"held_minor": 40}, 61, Code.INSUFFICIENT_FUNDS),
    ],
)
def test_what_is_available_can_be_staked_and_not_one_unit_more(
    wallet: dict[str, int], stake_minor: int, code: Code | None
) -> None:
    assert codes(view_of(account(ALICE, 100, **wallet)), place(1, stake_minor)) == [code]


@pytest.mark.parametrize(
    ("balance_minor", "amount_minor", "code"),
    [
        (0, WIRE_MAX_MINOR, None),
        (1, WIRE_MAX_MINOR - 1, None),
        (1, WIRE_MAX_MINOR, Code.LIMIT_EXCEEDED),
        (WIRE_MAX_MINOR, 1, Code.LIMIT_EXCEEDED),
    ],
)
def test_a_wallet_holds_at_most_what_json_shows_exactly(
    balance_minor: int, amount_minor: int, code: Code | None
) -> None:
    assert codes(view_of(account(ALICE, balance_minor)), deposit("d1", amount_minor)) == [code]


def test_the_cash_book_goes_to_its_floor_in_order_and_no_further() -> None:
    view = view_of(account(ALICE), account(BOB), cash_floor_minor=-150)

    asked = [deposit("d1", 100), deposit("d2", 100), deposit("d3", 50, user_id=BOB), deposit("d4", 1)]

    assert codes(view, *asked) == [None, Code.INSUFFICIENT_FUNDS, None, Code.INSUFFICIENT_FUNDS]
    assert view.accounts[CASH].available_minor == 0


@pytest.mark.parametrize("code", Code)
def test_a_refusal_that_is_written_down_is_final(code: Code) -> None:
    assert not (code in RECORDED and code in RETRYABLE)


def test_a_currency_without_books_is_a_fault_and_not_an_outcome() -> None:
    view = view_of(account(ALICE, 100, currency="JPY"))

    with pytest.raises(KeyError):
        decide(view, place(1), NOW_US)
    assert not view.changed
