"""Which refusal is told when several apply: for every command, the code that stands first in `Code`.

Each command is asked in a situation in which it is accepted; then one thing is spoilt, or two. Before all of
that a known key is answered: by replay or conflict, whatever else has become wrong (PROTOCOL, Codes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import msgspec
import pytest
from books_open import ALICE, BOB, NOBODY, NOW_US, account, bet_id, place

from engine.accounts import BOOK_KINDS
from engine.commands import (
    CHUNK_ITEMS,
    AddPayoutItems,
    CaptureHold,
    CashOutBet,
    Command,
    Deposit,
    Exclude,
    ExpireHold,
    Leg,
    OpenPayout,
    Pay,
    PayChunk,
    PayoutItem,
    PlaceBet,
    PlaceHold,
    ReleaseHold,
    ResolveItem,
    Result,
    RollBackBet,
    SetLimit,
    SetStatus,
    SettleBet,
    StartPayout,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.decide import decide
from engine.decide.place import REFUSALS_PER_MINUTE, SENT_AT_PAST_US
from engine.money import BOOK_FLOOR_MINOR, WIRE_MAX_MINOR
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.records import GENESIS, Account
from engine.view import MINUTE_US, View

DOLLAR_DAVE: Final = 20
STAKE_MINOR: Final = 30
PAYOUT_MINOR: Final = 90
HOLD_ID: Final = 1
PAYOUT_ID: Final = 1

OBJECTIONS: Final = (
    Code.NONCE_REUSED,
    Code.OUTCOME_UNKNOWN,
    Code.INTERNAL,
    Code.CIRCUIT_OPEN,
    Code.OVERLOADED,
    Code.TIMED_OUT,
)
"""What those in front hold against a command. It is not evaluated then: `Code`."""

AT_THE_DOOR: Final = {Code.UNAUTHORIZED, Code.FORBIDDEN}
"""Refused before the engine hears of it."""


class Situation:
    """ALICE has 100, and the command asked is accepted; until something is spoilt."""

    def __init__(self, command: Command, *before: Command) -> None:
        books = {
            (kind, currency): id_
            for currency, first_id in (("EUR", 1), ("USD", 11))
            for id_, kind in enumerate(BOOK_KINDS, first_id)
        }
        holders = [
            account(id_, kind=kind, currency=currency, floor_minor=BOOK_FLOOR_MINOR)
            for (kind, currency), id_ in books.items()
        ]
        holders += [account(ALICE, 100), account(BOB, 100), account(DOLLAR_DAVE, 100, currency="USD")]
        self.view = View(
            head=GENESIS, now_us=NOW_US, accounts={each.id: each for each in holders}, books=books,
            transactions={}, refusals={}, bets={}, holds={},
            payouts={}, items={}, suspended={},
        )  # fmt: skip
        self.command = command
        self.objection: Code | None = None
        for each in before:
            self.happens(each)

    @property
    def alice(self) -> Account:
        return self.view.accounts[ALICE]

    def happens(self, command: Command) -> None:
        """Something that is accepted."""
        assert isinstance(decide(self.view, command, NOW_US), Accepted), command
        # As the store would have looked them up for the batch that asks for them.
        self.view.items |= {(each.payout_id, each.number): each for each in self.view.new_items}

    def ask(self) -> Outcome:
        """Decide the command here."""
        return decide(self.view, self.command, NOW_US, self.objection)

    def change(self, **terms: Any) -> None:
        """Ask it in other words."""
        self.command = msgspec.structs.replace(self.command, **terms)


Spoil = Callable[[Situation], object]
_KEY: Final[dict[str, Any]] = {"key": "this", "caller": "operator"}
_EARLIER: Final[dict[str, Any]] = {"key": "earlier", "caller": "operator"}
_PLACED: Final = place(1, STAKE_MINOR)
_SETTLED: Final = SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **_EARLIER)
_UNSETTLED: Final = UnsettleBet(bet_id(1), **_EARLIER)
_ROLLED_BACK: Final = RollBackBet(bet_id(1), **_EARLIER)
_HELD: Final = PlaceHold(ALICE, 40, **_EARLIER)
_TO_ALICE: Final = (PayoutItem(ALICE, 10), PayoutItem(ALICE, 20))
_OPENED: Final = OpenPayout("EUR", **_EARLIER)
_ADDED: Final = AddPayoutItems(PAYOUT_ID, 0, _TO_ALICE, **_EARLIER)
_STARTED: Final = StartPayout(PAYOUT_ID, 2, 30, **_EARLIER)
_TO_NOBODY: Final = (PayoutItem(NOBODY, 10),)
_RETURNED: Final = ResolveItem(PAYOUT_ID, 0, True, **_EARLIER)


def happened(*commands: Command) -> Spoil:
    """Something else came first."""

    def spoil(situation: Situation) -> None:
        for command in commands:
            situation.happens(command)

    return spoil


def said(**terms: Any) -> Spoil:
    """Other terms."""
    return lambda situation: situation.change(**terms)


def alice_is(status: str) -> Spoil:
    return lambda situation: setattr(situation.alice, "status", status)


def nothing_left_in(kind: str) -> Spoil:
    """This book is at its floor."""

    def spoil(situation: Situation) -> None:
        book = situation.view.book(kind, "EUR")
        book.floor_minor = book.balance_minor

    return spoil


def alice_has(balance_minor: int) -> Spoil:
    return lambda situation: setattr(situation.alice, "balance_minor", balance_minor)


def alice_may_only(kind: str, amount: int) -> Spoil:
    """She has allowed herself no more than this a day."""
    return happened(SetLimit(ALICE, kind, "day", amount, **_EARLIER))


def the_winner_is(user_id: int, **changes: Any) -> Spoil:
    """In the place of the account that the item in suspense names, there is this one."""

    def spoil(situation: Situation) -> None:
        winner = account(user_id, **changes)
        known = situation.view.accounts.get(user_id)
        for name in changes if known else ():
            setattr(known, name, getattr(winner, name))
        situation.view.accounts[user_id] = known or winner

    return spoil


def refused_too_often(situation: Situation) -> None:
    """Counts only for a bet that is refused anyhow: here for want of money."""
    alice = situation.alice
    alice.refused_minute, alice.refused_count = NOW_US // MINUTE_US, REFUSALS_PER_MINUTE
    situation.change(stake_minor=1000)


def the_clawback_is_lent_by_nobody(situation: Situation) -> None:
    alice_has(0)(situation)
    nothing_left_in("receivable")(situation)


def with_legs(*amounts: tuple[int, int]) -> Spoil:
    """A transfer that moves this as well, between these."""

    def spoil(situation: Situation) -> None:
        assert isinstance(situation.command, Transfer)
        more = (Leg(user_id, amount_minor) for user_id, amount_minor in amounts)
        situation.change(legs=(*situation.command.legs, *more))

    return spoil


@dataclass(frozen=True)
class Case:
    """A command, what has to happen before it, and how each code comes about. `never_together`: pairs of
    which one rules the other out.
    """

    command: Command
    before: tuple[Command, ...]
    spoils: dict[Code, Spoil]
    never_together: tuple[set[Code], ...] = ()

    def situation(self) -> Situation:
        return Situation(self.command, *self.before)


NO_ACCOUNT: Final = {Code.ACCOUNT_NOT_FOUND: said(user_id=NOBODY)}
BLOCKED: Final = {Code.ACCOUNT_BLOCKED: alice_is("blocked")}
CLOSED: Final = {Code.ACCOUNT_BLOCKED: alice_is("closed")}
FULL: Final = {Code.LIMIT_EXCEEDED: alice_has(WIRE_MAX_MINOR)}
NO_SUCH_BET: Final = {Code.NOT_FOUND: said(bet_id=bet_id(2))}
NO_SUCH_HOLD: Final = {Code.NOT_FOUND: said(hold_id=NOBODY)}
NO_SUCH_PAYOUT: Final = {Code.NOT_FOUND: said(payout_id=NOBODY)}
NO_SUCH_CURRENCY: Final = {Code.CURRENCY_MISMATCH: said(currency="GBP")}
OVER: Final = (Code.BET_ROLLED_BACK, Code.BET_CLOSED, Code.HOLD_CLOSED, Code.PAYOUT_CLOSED)
OF_COLLECTING_PAYOUTS: Final = (
    # What has been collected can only be compared while something is.
    {Code.INVALID_REQUEST, Code.NOT_FOUND},
    {Code.INVALID_REQUEST, Code.PAYOUT_CLOSED},
)
ROLLED_BACK_OR_CLOSED: Final = {Code.BET_ROLLED_BACK, Code.BET_CLOSED}
HOUSE_AT_ITS_FLOOR: Final = {Code.INSUFFICIENT_FUNDS: nothing_left_in("house")}
OF_LIVE_BETS: Final = {
    **NO_SUCH_BET,
    **CLOSED,
    **FULL,
    **HOUSE_AT_ITS_FLOOR,
    Code.BET_ROLLED_BACK: happened(_ROLLED_BACK),
    Code.BET_CLOSED: happened(_SETTLED),
}

CASES: Final = {
    "place": Case(
        place(1, STAKE_MINOR),
        (),
        {
            **NO_ACCOUNT,
            **BLOCKED,
            Code.STALE_REQUEST: said(sent_at_us=NOW_US - SENT_AT_PAST_US - 1),
            Code.RATE_LIMITED: refused_too_often,
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.LIMIT_EXCEEDED: alice_may_only("stake", STAKE_MINOR - 1),
            Code.INSUFFICIENT_FUNDS: said(stake_minor=1000),
        },
        ({Code.RATE_LIMITED, Code.ACCOUNT_NOT_FOUND},),  # refusals are counted in a wallet's row
    ),
    "settle": Case(
        SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **_KEY),
        (_PLACED,),
        {**OF_LIVE_BETS, Code.INVALID_REQUEST: said(payout_minor=None)},
        (ROLLED_BACK_OR_CLOSED,),
    ),
    "settle void": Case(
        SettleBet(bet_id(1), Result.VOID, **_KEY),
        (_PLACED,),
        {**OF_LIVE_BETS, Code.INVALID_REQUEST: said(payout_minor=STAKE_MINOR + 1)},
        (
            ROLLED_BACK_OR_CLOSED,
            # What is left of a stake can only be said of a live bet.
            *({Code.INVALID_REQUEST, code} for code in (Code.NOT_FOUND, *ROLLED_BACK_OR_CLOSED)),
        ),
    ),
    "unsettle": Case(
        UnsettleBet(bet_id(1), **_KEY),
        (_PLACED, _SETTLED),
        {
            **NO_SUCH_BET,
            Code.BET_ROLLED_BACK: happened(_UNSETTLED, _ROLLED_BACK),
            Code.BET_CLOSED: happened(_UNSETTLED),
            Code.INSUFFICIENT_FUNDS: the_clawback_is_lent_by_nobody,
        },
        (ROLLED_BACK_OR_CLOSED,),
    ),
    "cash out": Case(
        CashOutBet(bet_id(1), 10, 20, **_KEY),
        (_PLACED,),
        {**OF_LIVE_BETS, Code.INVALID_REQUEST: said(stake_minor=STAKE_MINOR + 1)},
        (
            ROLLED_BACK_OR_CLOSED,
            *({Code.INVALID_REQUEST, code} for code in (Code.NOT_FOUND, *ROLLED_BACK_OR_CLOSED)),
        ),
    ),
    "roll back": Case(
        RollBackBet(bet_id(1), **_KEY),
        (_PLACED,),
        {
            **CLOSED,
            **FULL,
            **HOUSE_AT_ITS_FLOOR,
            Code.NOT_FOUND: said(user_id=BOB),
            Code.IDEMPOTENCY_CONFLICT: said(stake_minor=STAKE_MINOR + 1),
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.BET_CLOSED: happened(_SETTLED),
        },
    ),
    "deposit": Case(
        Deposit(ALICE, 10, **_KEY),
        (),
        {**NO_ACCOUNT, **BLOCKED, **FULL, Code.INSUFFICIENT_FUNDS: nothing_left_in("cash")},
    ),
    "withdraw": Case(
        Withdraw(ALICE, 10, **_KEY),
        (),
        {**NO_ACCOUNT, **BLOCKED, Code.INSUFFICIENT_FUNDS: alice_has(9)},
    ),
    "withdraw for approval": Case(
        Withdraw(ALICE, 10, for_approval=True, **_KEY),
        (),
        {**NO_ACCOUNT, **BLOCKED, Code.INSUFFICIENT_FUNDS: alice_has(9)},
    ),
    "transfer": Case(
        Transfer((Leg(ALICE, 10), Leg(BOB, -10)), **_KEY),
        (),
        {
            Code.INVALID_REQUEST: with_legs((ALICE, 1)),
            Code.ACCOUNT_NOT_FOUND: with_legs((NOBODY, 1), (ALICE, -1)),
            Code.CURRENCY_MISMATCH: with_legs((DOLLAR_DAVE, 1), (ALICE, -1)),
            **BLOCKED,
            **FULL,
            Code.INSUFFICIENT_FUNDS: with_legs((ALICE, 91), (BOB, -91)),
        },
    ),
    "close": Case(
        SetStatus(ALICE, "closed", **_KEY),
        (Withdraw(ALICE, 100, **_EARLIER),),
        {**NO_ACCOUNT, Code.LIMIT_EXCEEDED: alice_has(1)},
    ),
    "hold": Case(
        PlaceHold(ALICE, 10, NOW_US + 1, **_KEY),
        (),
        {
            **NO_ACCOUNT,
            **BLOCKED,
            Code.INVALID_REQUEST: said(expires_at_us=NOW_US),
            Code.INSUFFICIENT_FUNDS: alice_has(9),
        },
    ),
    "capture": Case(
        CaptureHold(HOLD_ID, **_KEY),
        (_HELD,),
        {
            **NO_SUCH_HOLD,
            Code.HOLD_CLOSED: happened(ReleaseHold(HOLD_ID, **_EARLIER)),
            Code.INSUFFICIENT_FUNDS: said(amount_minor=41),
        },
    ),
    "release": Case(
        ReleaseHold(HOLD_ID, **_KEY),
        (_HELD,),
        {**NO_SUCH_HOLD, Code.HOLD_CLOSED: happened(CaptureHold(HOLD_ID, **_EARLIER))},
    ),
    "expire": Case(
        ExpireHold(HOLD_ID, **_KEY),
        (PlaceHold(ALICE, 40, NOW_US + 1, **_EARLIER),),
        {
            **NO_SUCH_HOLD,
            Code.INVALID_REQUEST: lambda situation: setattr(situation.view, "at_us", NOW_US),
            Code.HOLD_CLOSED: happened(ReleaseHold(HOLD_ID, **_EARLIER)),
        },
        ({Code.INVALID_REQUEST, Code.NOT_FOUND},),  # whether its time has come depends on the hold
    ),
    "place, and may lose no more": Case(
        place(1, STAKE_MINOR),
        (),
        {**BLOCKED, Code.LIMIT_EXCEEDED: alice_may_only("loss", STAKE_MINOR - 1)},
    ),
    "place, and is excluded": Case(
        place(1, STAKE_MINOR),
        (),
        {
            **BLOCKED,
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.LIMIT_EXCEEDED: happened(Exclude(ALICE, NOW_US + 1, **_EARLIER)),
            Code.INSUFFICIENT_FUNDS: said(stake_minor=1000),
        },
    ),
    "deposit, and may no more": Case(
        Deposit(ALICE, 10, **_KEY),
        (),
        {
            **NO_ACCOUNT,
            **BLOCKED,
            Code.LIMIT_EXCEEDED: alice_may_only("deposit", 9),
            Code.INSUFFICIENT_FUNDS: nothing_left_in("cash"),
        },
    ),
    "limit": Case(SetLimit(ALICE, "stake", "day", 10, **_KEY), (), {**NO_ACCOUNT}),
    "exclude": Case(
        Exclude(ALICE, NOW_US + 10, **_KEY),
        (),
        {**NO_ACCOUNT, Code.LIMIT_EXCEEDED: happened(Exclude(ALICE, NOW_US + 11, **_EARLIER))},
    ),
    "pay": Case(
        Pay("EUR", _TO_ALICE, **_KEY),
        (),
        {
            **NO_SUCH_CURRENCY,
            **HOUSE_AT_ITS_FLOOR,
            Code.INVALID_REQUEST: said(items=_TO_ALICE * CHUNK_ITEMS),
            Code.LIMIT_EXCEEDED: said(items=(PayoutItem(ALICE, WIRE_MAX_MINOR), PayoutItem(BOB, 1))),
        },
        ({Code.INVALID_REQUEST, Code.LIMIT_EXCEEDED},),  # of either list there is one
    ),
    "open a payout": Case(OpenPayout("EUR", **_KEY), (), {**NO_SUCH_CURRENCY}),
    "add to a payout": Case(
        AddPayoutItems(PAYOUT_ID, 2, _TO_ALICE, **_KEY),
        (_OPENED, _ADDED),
        {
            **NO_SUCH_PAYOUT,
            Code.INVALID_REQUEST: said(first=1),
            Code.PAYOUT_CLOSED: happened(_STARTED),
            Code.LIMIT_EXCEEDED: said(items=(PayoutItem(ALICE, WIRE_MAX_MINOR),)),
        },
        OF_COLLECTING_PAYOUTS,
    ),
    "start a payout": Case(
        StartPayout(PAYOUT_ID, 2, 30, **_KEY),
        (_OPENED, _ADDED),
        {
            **NO_SUCH_PAYOUT,
            **HOUSE_AT_ITS_FLOOR,
            Code.INVALID_REQUEST: said(total_minor=31),
            Code.PAYOUT_CLOSED: happened(_STARTED),
        },
        OF_COLLECTING_PAYOUTS,
    ),
    "pay a chunk": Case(
        PayChunk(PAYOUT_ID, 0, **_KEY),
        (_OPENED, _ADDED, _STARTED),
        {**NO_SUCH_PAYOUT, Code.PAYOUT_CLOSED: happened(PayChunk(PAYOUT_ID, 0, **_EARLIER))},
    ),
    "pay out of suspense": Case(
        ResolveItem(PAYOUT_ID, 0, False, **_KEY),
        (Pay("EUR", _TO_NOBODY, **_EARLIER),),
        {
            Code.NOT_FOUND: said(number=1),
            Code.ACCOUNT_NOT_FOUND: the_winner_is(NOBODY, kind="fees"),
            Code.ACCOUNT_BLOCKED: the_winner_is(NOBODY, status="blocked"),
            Code.CURRENCY_MISMATCH: the_winner_is(NOBODY, currency="USD"),
            Code.PAYOUT_CLOSED: happened(_RETURNED),
            Code.LIMIT_EXCEEDED: the_winner_is(NOBODY, balance_minor=WIRE_MAX_MINOR - 9),
        },
    ),
    "return out of suspense": Case(
        ResolveItem(PAYOUT_ID, 0, True, **_KEY),
        (Pay("EUR", _TO_NOBODY, **_EARLIER),),
        {Code.NOT_FOUND: said(payout_id=NOBODY), Code.PAYOUT_CLOSED: happened(_RETURNED)},
    ),
}


def _situation(name: str) -> Situation:
    situation = CASES[name].situation()
    if name == "expire":
        situation.view.at_us += 1
    if name == "pay out of suspense":
        the_winner_is(NOBODY)(situation)  # who was not there when it was his turn
    return situation


SINGLES: Final = [
    pytest.param(name, code, id=f"{name}: {code.name}") for name in CASES for code in CASES[name].spoils
]
PAIRS: Final = [
    pytest.param(name, pair, id=f"{name}: {pair[0].name} before {pair[1].name}")
    for name, case in CASES.items()
    for pair in combinations(sorted(case.spoils, key=[*Code].index), 2)
    if set(pair) not in case.never_together
]


def code_of(outcome: Outcome) -> Code | None:
    return outcome.code if isinstance(outcome, Rejected) else None


def money_in(view: View) -> list[Any]:
    """All that a refusal must leave as it is."""
    wallets = [
        (each.balance_minor, each.held_minor, each.owed_minor, each.status) for each in view.accounts.values()
    ]
    lives = [msgspec.to_builtins(each) for each in (view.bet(bet_id(1)), *view.holds.values())]
    return [len(view.new_transactions), len(view.new_entries), wallets, lives]


def test_every_code_of_the_engine_is_produced_here() -> None:
    produced = {code for case in CASES.values() for code in case.spoils} | {*OBJECTIONS}
    assert produced == {*Code} - AT_THE_DOOR


@pytest.mark.parametrize("name", CASES)
def test_unspoilt_it_is_accepted(name: str) -> None:
    outcome = _situation(name).ask()

    assert isinstance(outcome, Accepted)
    assert not outcome.replayed


@pytest.mark.parametrize(("name", "code"), SINGLES)
def test_one_thing_wrong_gives_its_code_and_changes_nothing(name: str, code: Code) -> None:
    situation = _situation(name)
    CASES[name].spoils[code](situation)
    view = situation.view
    before = money_in(view)

    outcome = situation.ask()

    assert code_of(outcome) is code
    assert money_in(view) == before


@pytest.mark.parametrize(("name", "pair"), PAIRS)
def test_of_two_things_wrong_the_one_earlier_in_code_is_told(name: str, pair: tuple[Code, Code]) -> None:
    situation = _situation(name)
    # What came before can only have happened while nothing else was wrong.
    for code in sorted(pair, key=lambda code: code not in OVER):
        CASES[name].spoils[code](situation)

    assert code_of(situation.ask()) is pair[0]


@pytest.mark.parametrize("objection", OBJECTIONS)
@pytest.mark.parametrize("name", CASES)
def test_a_command_that_is_shed_is_not_evaluated(name: str, objection: Code) -> None:
    for spoil in (lambda situation: None, *CASES[name].spoils.values()):
        situation = _situation(name)
        spoil(situation)
        situation.objection = objection
        if isinstance(situation.command, PlaceBet) and situation.command.sent_at_us < NOW_US:
            assert code_of(situation.ask()) is Code.STALE_REQUEST
        else:
            assert code_of(situation.ask()) is objection


@pytest.mark.parametrize(("name", "code"), SINGLES)
def test_a_known_key_is_replayed_whatever_has_become_wrong(name: str, code: Code) -> None:
    situation = _situation(name)
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
    situation = _situation(name)
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
        "pay": {"items": _TO_NOBODY},
        "open a payout": {"currency": "USD"},
        "add to a payout": {"items": _TO_NOBODY},
        "start a payout": {"total_minor": 32},
        "pay a chunk": {"first": 1},
        "pay out of suspense": {"number": 2},
        "return out of suspense": {"number": 2},
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
    situation = Situation(_PLACED, _ROLLED_BACK)
    CASES["place"].spoils[code](situation)
    expected = Code.RATE_LIMITED if code is Code.RATE_LIMITED else Code.BET_ROLLED_BACK

    assert code_of(situation.ask()) is expected


@pytest.mark.parametrize("code", CASES["roll back"].spoils)
def test_a_second_rollback_is_answered_as_the_first_unless_it_means_another_bet(code: Code) -> None:
    """A blocked, full or impossible wallet does not matter any more."""
    situation = Situation(RollBackBet(bet_id(1), **_KEY), _PLACED, _ROLLED_BACK)
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
    situation = Situation(SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **_KEY), _PLACED)
    situation.alice.owed_minor = 60
    alice_has(WIRE_MAX_MINOR - 31)(situation)

    outcome = situation.ask()

    assert isinstance(outcome, Accepted)
    assert situation.alice.balance_minor == WIRE_MAX_MINOR - 1
    assert situation.alice.owed_minor == 0
