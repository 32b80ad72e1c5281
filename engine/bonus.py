"""Bonus money: who pays how much of a stake, and who gets how much of what a bet pays. Pure.

A stake is paid by the wallet, by the bonus wallet beside it, or by both; what the bet pays is shared in the
same proportion, and of all of it the bonus wallet has its part rounded down. So a stake that is given back
whole goes exactly where it came from. A free bet is paid by the bonus book: the player gets what is won
beyond the stake.
"""

from __future__ import annotations

from engine.commands import Spend
from engine.lifecycle import BonusState, is_due
from engine.records import Account
from engine.subjects import Bonus


def is_usable(bonus: Bonus, at_us: int) -> bool:
    """Whether the money in this bonus wallet may be staked."""
    return bonus.state == BonusState.OPEN and not is_due(bonus.expires_at_us, at_us)


def is_expired(account: Account) -> bool:
    """Whether this is a bonus wallet that has expired, and was not granted anything since."""
    bonus = account.bonus
    return bonus is not None and bonus.user_id == account.id and bonus.state == BonusState.EXPIRED


def bonus_part(spend: str, stake_minor: int, wallet: Account, beside: Account) -> int:
    """How much of a stake the bonus wallet `beside` pays: no more than there is in it, even if the wallet
    cannot pay the rest."""
    if spend == Spend.FIRST:
        return min(stake_minor, beside.available_minor)
    return min(max(0, stake_minor - wallet.available_minor), beside.available_minor)


def share_of(amount_minor: int, before_minor: int, source_minor: int, stake_minor: int) -> int:
    """The part of `amount_minor` that goes to who paid `source_minor` of the stake of a bet that has paid
    `before_minor`: so that of all that it pays, in however many parts, he has his share rounded down.
    """
    after_minor = before_minor + amount_minor
    return after_minor * source_minor // stake_minor - before_minor * source_minor // stake_minor


def winnings_of(payout_minor: int, stake_minor: int) -> int:
    """What a player gets of the gross payout of a free bet."""
    return max(0, payout_minor - stake_minor)
