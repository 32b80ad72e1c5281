"""Commands in situations in which they are accepted, and what spoils them: one code each.

What test_precedence.py asks, one and two at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from engine.accounts import BOOK_KINDS
from engine.commands import (
    BONUS_BOOK_ID_BASE,
    AddPayoutItems,
    Command,
    Leg,
    OpenArchive,
    OpenPayout,
    PayoutItem,
    PlaceHold,
    ResolveItem,
    Result,
    RollBackBet,
    SetLimit,
    SettleBet,
    StartPayout,
    Transfer,
    UnsettleBet,
)
from engine.decide import decide
from engine.decide.place import REFUSALS_PER_MINUTE
from engine.money import BOOK_FLOOR_MINOR, WIRE_MAX_MINOR
from engine.outcomes import Accepted, Code, Outcome
from engine.records import GENESIS, Account
from engine.view import MINUTE_US, Boundary, View
from tests.books_open import ALICE, BOB, NOBODY, NOW_US, account, bet_id, place

DOLLAR_DAVE: Final = 20
STAKE_MINOR: Final = 30
PAYOUT_MINOR: Final = 90
HOLD_ID: Final = 1
PAYOUT_ID: Final = 1
ARCHIVE_ID: Final = 1
LONG_AGO_US: Final = 1
NEXT_WALLET: Final = 101
"""The number of the next wallet that is opened."""

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
            for id_, kind in (*enumerate(BOOK_KINDS, first_id), (BONUS_BOOK_ID_BASE + first_id, "bonus"))
        }
        holders = [
            account(id_, kind=kind, currency=currency, floor_minor=BOOK_FLOOR_MINOR)
            for (kind, currency), id_ in books.items()
        ]
        holders += [account(ALICE, 100), account(BOB, 100), account(DOLLAR_DAVE, 100, currency="USD")]
        self.view = View(
            head=GENESIS, now_us=NOW_US, accounts={each.id: each for each in holders}, books=books,
            transactions={}, refusals={}, bets={}, holds={},
            payouts={}, items={}, suspended={}, free_bets={}, last_user_id=NEXT_WALLET - 1,
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
KEY: Final[dict[str, Any]] = {"key": "this", "caller": "operator"}
EARLIER: Final[dict[str, Any]] = {"key": "earlier", "caller": "operator"}
PLACED: Final = place(1, STAKE_MINOR)
SETTLED: Final = SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **EARLIER)
UNSETTLED: Final = UnsettleBet(bet_id(1), **EARLIER)
ROLLED_BACK: Final = RollBackBet(bet_id(1), **EARLIER)
HELD: Final = PlaceHold(ALICE, 40, **EARLIER)
TO_ALICE: Final = (PayoutItem(ALICE, 10), PayoutItem(ALICE, 20))
OPENED: Final = OpenPayout("EUR", **EARLIER)
ADDED: Final = AddPayoutItems(PAYOUT_ID, 0, TO_ALICE, **EARLIER)
STARTED: Final = StartPayout(PAYOUT_ID, 2, 30, **EARLIER)
TO_NOBODY: Final = (PayoutItem(NOBODY, 10),)
RETURNED: Final = ResolveItem(PAYOUT_ID, 0, True, **EARLIER)


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
    return happened(SetLimit(ALICE, kind, "day", amount, **EARLIER))


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


def blocks_are_sealed(situation: Situation) -> None:
    """Three blocks up to a second ago, and no more up to now."""
    sealed = Boundary(3, 5, 9, moved_id=0, archives=0)
    situation.view.boundaries = {NOW_US + each: sealed for each in (0, 1)}
    situation.view.boundaries |= {LONG_AGO_US: Boundary(0, 0, 0, moved_id=0, archives=0)}


def an_archive_is_begun(situation: Situation) -> None:
    blocks_are_sealed(situation)
    situation.happens(OpenArchive(NOW_US, **EARLIER))


def with_legs(*amounts: tuple[int, int]) -> Spoil:
    """A transfer that moves this as well, between these."""

    def spoil(situation: Situation) -> None:
        assert isinstance(situation.command, Transfer)
        more = (Leg(user_id, amount_minor) for user_id, amount_minor in amounts)
        situation.change(legs=(*situation.command.legs, *more))

    return spoil


def a_moment_later(situation: Situation) -> None:
    """When what expires has expired."""
    situation.view.at_us += 1


@dataclass(frozen=True)
class Case:
    """A command, what has to happen before it, and how each code comes about. `never_together`: pairs of
    which one rules the other out. `arrange`: what else has to be so.
    """

    command: Command
    before: tuple[Command, ...]
    spoils: dict[Code, Spoil]
    never_together: tuple[set[Code], ...] = ()
    arrange: Spoil | None = None

    def situation(self) -> Situation:
        situation = Situation(self.command, *self.before)
        if self.arrange is not None:
            self.arrange(situation)
        return situation


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
    Code.BET_ROLLED_BACK: happened(ROLLED_BACK),
    Code.BET_CLOSED: happened(SETTLED),
}
