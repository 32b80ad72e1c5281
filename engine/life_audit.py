"""What became of bets, holds and payouts, followed through history in order, with their rows beside it.

Of each, nothing is kept (see `lives`): only what every debtor owes, what is left of payouts under way, and
two counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from engine.bonus_checks import WalletAudit
from engine.checks import Finding, check_bets
from engine.hold_checks import check_holds, is_hold_where_told, taken_by, why_hold_differs
from engine.leg_checks import RECEIVABLE, Books, Leg, bet_legs, capture_legs, legs_of, other_legs
from engine.life_checks import (
    NOT_BEFORE,
    NOT_WHERE_TOLD,
    is_bet_where_told,
    is_refund,
    told_by,
    why_bet_differs,
)
from engine.lives import Lives
from engine.outcomes import BetTold, HoldTold, PayoutTold
from engine.payout_checks import (
    NO_OWNER,
    NO_PAYOUT,
    SURPLUS,
    check_payouts,
    is_payout_where_told,
    items_of,
    payout_before,
    payout_legs,
    why_payout_differs,
    wrong,
)
from engine.records import Bet, Entry, Transaction


class LifeAudit:
    """`currencies`: by account; `wallets` says who paid for a bet beside its wallet."""

    def __init__(
        self, lives: Lives, books: Books, currencies: Mapping[int, str], wallets: WalletAudit
    ) -> None:
        self.owed: dict[str, int] = defaultdict(int)
        """What each debtor owes, whose id is written as a ref_id."""
        self.clearing: dict[int, int] = defaultdict(int)
        """What is not paid yet of each payout that was started."""
        self.changes = 0
        """How many transactions there were that changed bets, holds and payouts."""
        self.placed: dict[int, Bet] = {}
        """The bets of the block that is being read."""
        self._led_to = 0  # how many of those that are counted in `changes` the rows lead to
        self._lives = lives
        self._books = books
        self._currencies = currencies
        self._wallets = wallets

    def begun(
        self,
        transactions: Sequence[Transaction],
        entries: Sequence[Entry] | None,
        first_id: int,
        last_id: int,
    ) -> Iterator[Finding]:
        """The bets, holds and payouts of these transactions, as they were made and as they are now. Without
        `entries` it is not looked into who paid for them."""
        bets = self._lives.bets(first_id, last_id)
        self.placed = {bet.transaction_id: bet for bet, _ in bets}
        yield from check_bets(transactions, entries, [bet for bet, _ in bets])
        bet_ids = {each.id: each.key for each in transactions if each.kind == "BET"}
        for bet, row in bets:
            bet_id = bet_ids.get(bet.transaction_id)
            if bet_id is None:
                continue
            if not is_bet_where_told(bet_id, row):
                yield {"check": "bet", "transaction_id": bet.transaction_id, "why": NOT_WHERE_TOLD}
            self._led_to += self._lives.length(bet_id, row.last_transaction_id)
        holds = self._lives.holds(first_id, last_id)
        yield from check_holds(transactions, holds, self._currencies)
        for hold in holds:
            if not is_hold_where_told(hold):
                yield {"check": "hold", "transaction_id": hold.id, "why": NOT_WHERE_TOLD}
            self._led_to += self._lives.length(hold.id, hold.last_transaction_id)
        payouts = self._lives.payouts(first_id, last_id)
        yield from check_payouts(transactions, payouts)
        for payout in payouts:
            if not is_payout_where_told(payout):
                yield wrong(payout.id, NOT_WHERE_TOLD)
            if payout.surplus:
                yield wrong(payout.id, SURPLUS)
            self._led_to += self._lives.length(("payout", payout.id), payout.last_transaction_id)

    def done(
        self,
        transaction: Transaction,
        told: BetTold | HoldTold | PayoutTold,
        entries: Sequence[Entry],
        at_us: int,
    ) -> Iterator[Finding]:
        """A transaction that says what it made of one of them, in a block of that time."""
        match told:
            case BetTold():
                yield from self._bet(transaction, told, entries)
            case HoldTold():
                yield from self._hold(transaction, told, entries, at_us)
            case PayoutTold():
                yield from self._payout(transaction, told, entries)

    def post(self, entries: Sequence[Entry]) -> None:
        """Note what is lent and given back by a transaction that is checked."""
        for entry in entries:
            if entry.ref_type == RECEIVABLE and entry.user_id == self._books.get(
                ("receivable", entry.currency)
            ):
                self.owed[entry.ref_id] -= entry.amount_minor

    def again(self, transaction: Transaction, entries: Sequence[Entry]) -> Iterator[Finding]:
        """A transaction of a payout that an earlier run has checked: are the rows of its items the same?"""
        told = told_by(transaction.id, transaction.kind, transaction.answer)
        if not isinstance(told, PayoutTold):
            return
        found = self._lives.payout_of(told)
        prior = None if found is None else payout_before(transaction, told, found)
        if found is None or prior is None:
            yield wrong(transaction.id, NO_PAYOUT if found is None else NOT_BEFORE)
            return
        items, suspended = self._lives.items(told.id, *items_of(transaction, told, prior, entries))
        why = why_payout_differs(transaction, told, prior, found.currency, items, suspended)
        if why is not None:
            yield wrong(transaction.id, why)

    def strays(self) -> Iterator[Finding]:
        """The transactions that are no part of the life which they say they are of, once history is read."""
        for payout_id in self._lives.with_items():
            if not self._lives.is_payout(payout_id):
                yield wrong(payout_id, NO_OWNER)
        if self.changes != self._led_to:
            yield from self._lives.strays()

    def _bet(self, transaction: Transaction, told: BetTold, entries: Sequence[Entry]) -> Iterator[Finding]:
        found = self._lives.bet_of(told)
        why = why_bet_differs(transaction, told, found)
        if why is not None:
            yield {"check": "bet", "transaction_id": transaction.id, "why": why}
        legs: list[Leg] = []  # a burial moves nothing
        if found is not None and found.user_id is not None:
            self.changes += 1
            yield from self._wallets.became(transaction, told.bet_id, found)
            staked = self._wallets.staked((found.user_id, found.currency, found.stake_minor), found)
            refunds = is_refund(transaction.kind, found)
            about = (transaction.kind, told, staked, entries, self._books, self.owed)
            legs = bet_legs(*about, refunds=refunds)
        elif why is not None:
            return
        if legs_of(entries) != legs:
            yield other_legs(transaction)

    def _hold(
        self, transaction: Transaction, told: HoldTold, entries: Sequence[Entry], at_us: int
    ) -> Iterator[Finding]:
        found = self._lives.hold_of(told)
        why = why_hold_differs(transaction, told, found, at_us)
        if why is not None:
            yield {"check": "hold", "transaction_id": transaction.id, "why": why}
        if found is None:
            return
        self.changes += 1
        legs: list[Leg] = []
        if transaction.kind == "CAPTURE":
            hold = (told.id, found.user_id, found.currency, found.purpose)
            legs = capture_legs(hold, taken_by(told, found), self._books)
        if legs_of(entries) != legs:
            yield other_legs(transaction)

    def _payout(
        self, transaction: Transaction, told: PayoutTold, entries: Sequence[Entry]
    ) -> Iterator[Finding]:
        found = self._lives.payout_of(told)
        if found is None:
            yield wrong(transaction.id, NO_PAYOUT)
            return
        self.changes += 1
        prior = payout_before(transaction, told, found)
        if prior is None:
            yield wrong(transaction.id, NOT_BEFORE)
            return
        items, suspended = self._lives.items(told.id, *items_of(transaction, told, prior, entries))
        why = why_payout_differs(transaction, told, prior, found.currency, items, suspended)
        if why is not None:
            yield wrong(transaction.id, why)
        about = (transaction, told, found.currency, items)
        if legs_of(entries) != payout_legs(*about, suspended, self._books, self.owed):
            yield other_legs(transaction)
        if transaction.kind == "PAYOUT_START":
            self.clearing[told.id] += told.total_minor
        elif transaction.kind == "PAYOUT" and told.id in self.clearing:
            self.clearing[told.id] -= sum(item.amount_minor for item in items)
            if not self.clearing[told.id]:
                del self.clearing[told.id]
