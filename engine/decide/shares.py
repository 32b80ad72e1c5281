"""Who has which share in what a bet pays, and gives it back: the wallet that placed it, and who paid beside
it.

Money that a clawback cannot take is owed: the `receivable` book lends it, under the wallet's id, and is paid
back out of its later wins and cash-outs, before the player sees them. A bonus that has expired owes nothing:
what was paid into it went on to the bonus book, and comes from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from engine.bonus import is_expired, share_of
from engine.decide.bonus import forfeit
from engine.limits import count_returned
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Code
from engine.records import Account, Entry
from engine.subjects import LiveBet
from engine.view import View

Share = tuple[Account, int]
"""An account, and its part of an amount in minor units."""


class Clawback(NamedTuple):
    """What is taken back from an account, and who lends, or gives, what it has not got."""

    holder: Account
    taken_minor: int
    lender: Account
    lent_minor: int


def shares_of(
    view: View, bet: LiveBet, amount_minor: int, *, before_minor: int, refunds: bool
) -> list[Share]:
    """Who gets, or gives back, how much of `amount_minor`. `before_minor`: what the bet has paid apart from
    it; `refunds`: it is the stake, or a part of it."""
    account = view.accounts[bet.user_id]
    if not bet.source_id or (bet.free_bet_id and not refunds):
        return [(account, amount_minor)]
    part_minor = share_of(amount_minor, before_minor, bet.source_minor, bet.stake_minor)
    shares = [(account, amount_minor - part_minor), (view.accounts[bet.source_id], part_minor)]
    return [share for share in shares if share[1]]


def why_not_paid(
    view: View, bet: LiveBet, shares: Sequence[Share], amount_minor: int, *, nets: bool
) -> Code | None:
    """Why the house does not pay this, or the wire could not show a balance, or all that the bet has paid."""
    for holder, share_minor in shares:
        shown_minor = share_minor - (min(share_minor, holder.owed_minor) if nets else 0)
        if holder.is_wallet and holder.balance_minor + shown_minor > WIRE_MAX_MINOR:
            return Code.LIMIT_EXCEEDED
    if bet.payout_minor + amount_minor > WIRE_MAX_MINOR:
        return Code.LIMIT_EXCEEDED
    if view.book("house", bet.currency).available_minor < amount_minor:
        return Code.INSUFFICIENT_FUNDS
    return None


def pay(view: View, bet: LiveBet, shares: Sequence[Share], ref_type: str, *, nets: bool) -> tuple[Entry, ...]:
    """From the house to each; what is owed is kept back first, where it `nets`. What goes into a bonus wallet
    that has expired is forfeit."""
    receivable, house = view.book("receivable", bet.currency), view.book("house", bet.currency)
    legs = []
    for holder, share_minor in shares:
        kept_minor = min(share_minor, holder.owed_minor) if nets else 0
        view.change_account(holder).owed_minor -= kept_minor
        count_returned(holder, share_minor - kept_minor, view.at_us)
        legs.append((holder, share_minor - kept_minor, ref_type, bet.bet_id))
        legs.append((receivable, kept_minor, "RECEIVABLE", str(holder.id)))
    total_minor = sum(share_minor for _, share_minor in shares)
    entries = _post(view, *legs, (house, -total_minor, ref_type, bet.bet_id))
    for holder, _ in shares:
        if is_expired(holder):
            entries += forfeit(view, holder)
    return entries


def clawbacks_of(view: View, shares: Sequence[Share]) -> list[Clawback] | None:
    """How each gives back its share; None if the book that would have to lend or give is at its floor."""
    clawbacks = []
    lent_minor: dict[str, int] = defaultdict(int)
    for holder, share_minor in shares:
        taken_minor = min(share_minor, max(0, holder.available_minor))
        book = "bonus" if is_expired(holder) else "receivable"
        lender, missing_minor = view.book(book, holder.currency), share_minor - taken_minor
        lent_minor[book] += missing_minor
        # A book that has paid for a free bet borrows from nobody.
        is_stuck = missing_minor > 0 and not holder.is_wallet
        if is_stuck or lender.available_minor < lent_minor[book]:
            return None
        clawbacks.append(Clawback(holder, taken_minor, lender, missing_minor))
    return clawbacks


def take_back(view: View, bet: LiveBet, clawbacks: Sequence[Clawback]) -> tuple[Entry, ...]:
    """From each to the house."""
    legs = []
    for holder, taken_minor, lender, lent_minor in clawbacks:
        count_returned(view.change_account(holder), -taken_minor, view.at_us)
        legs.append((holder, -taken_minor, "UNSETTLE", bet.bet_id))
        is_owed = lender.kind == "receivable"
        holder.owed_minor += lent_minor if is_owed else 0
        legs.append((lender, -lent_minor, "RECEIVABLE" if is_owed else "EXPIRY", str(holder.id)))
    back_minor = sum(each.taken_minor + each.lent_minor for each in clawbacks)
    return _post(view, *legs, (view.book("house", bet.currency), back_minor, "UNSETTLE", bet.bet_id))


def _post(view: View, *legs: tuple[Account, int, str, str]) -> tuple[Entry, ...]:
    return tuple(view.post(*leg) for leg in legs if leg[1])
