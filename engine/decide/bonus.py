"""Bonus money and free bets: granted by operators, taken back when their time has come.

A bonus wallet stands beside the wallet that spends it. All that is in it has the terms of the newest grant.
What a bet pays into it after it has expired goes on to the bonus book at once.
"""

from __future__ import annotations

from engine.bonus import winnings_of
from engine.commands import ExpireBonus, ExpireFreeBet, GrantBonus, GrantFreeBet, RevokeFreeBet
from engine.decide.answers import accept, wallet_of
from engine.decide.cash import why_closed
from engine.lifecycle import (
    BONUSES,
    FREE_BETS,
    NEVER,
    BonusEvent,
    BonusState,
    FreeBetEvent,
    FreeBetState,
    is_due,
)
from engine.limits import is_excluded
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import BonusTold, Code, FreeBetTold, Outcome, Rejected
from engine.records import Account, Entry
from engine.subjects import Bonus, FreeBet, LiveBet
from engine.view import View


def grant_bonus(view: View, command: GrantBonus, mark: bytes) -> Outcome:
    """Give bonus money. The answer shows the bonus wallet. Rejections: INVALID_REQUEST (it would have expired
    already), ACCOUNT_NOT_FOUND, ACCOUNT_BLOCKED, LIMIT_EXCEEDED (the player is excluded, or it is beyond what
    the wire can show), INSUFFICIENT_FUNDS (the bonus book is at its floor).
    """
    wallet = view.accounts.get(command.user_id)
    code = _why_not_granted(view, wallet, command.expires_at_us)
    if code is not None or wallet is None:
        return Rejected(code or Code.ACCOUNT_NOT_FOUND)
    bonus = wallet.bonus
    is_over = bonus is not None and is_due(bonus.expires_at_us, view.at_us)
    has_minor = 0 if bonus is None or is_over else view.accounts[bonus.user_id].balance_minor
    if has_minor + command.amount_minor > WIRE_MAX_MINOR:
        return Rejected(Code.LIMIT_EXCEEDED)
    book = view.book("bonus", wallet.currency)
    if book.available_minor < command.amount_minor:
        return Rejected(Code.INSUFFICIENT_FUNDS)

    # After this point the grant must succeed.
    expires_at_us = command.expires_at_us or NEVER
    before = 0
    entries: tuple[Entry, ...] = ()
    if bonus is None:
        bonus = view.open_bonus(wallet, command.spend, expires_at_us, BonusState.OPEN)
    else:
        if is_over:  # what the clock has not come to yet is not brought back to life
            entries = forfeit(view, view.accounts[bonus.user_id])
        before = bonus.last_transaction_id
        view.change(bonus).state = BONUSES[BonusState(bonus.state), BonusEvent.GRANT]
        bonus.spend, bonus.expires_at_us = command.spend, expires_at_us
    beside = view.accounts[bonus.user_id]
    ref_id = str(view.next_transaction_id)
    given = view.post(beside, command.amount_minor, "BONUS", ref_id)
    counter = view.post(book, -command.amount_minor, "BONUS", ref_id)
    told = _bonus_told(bonus, before)
    return accept(view, "BONUS", command, mark, beside, (*entries, given, counter), bonus=told)


def expire_bonus(view: View, command: ExpireBonus, mark: bytes) -> Outcome:
    """Take back what is in a bonus wallet. Rejections: NOT_FOUND, INVALID_REQUEST (its time has not come, or
    it has expired already)."""
    account = view.accounts.get(command.user_id)
    if account is None or account.bonus is None or account.bonus.user_id != account.id:
        return Rejected(Code.NOT_FOUND)
    bonus = account.bonus
    state = BONUSES.get((BonusState(bonus.state), BonusEvent.EXPIRE))
    if state is None or not is_due(bonus.expires_at_us, view.matured_us):
        return Rejected(Code.INVALID_REQUEST)

    # After this point it must succeed.
    before = bonus.last_transaction_id
    view.change(bonus).state = state
    entries = forfeit(view, account)
    return accept(view, "EXPIRY", command, mark, account, entries, bonus=_bonus_told(bonus, before))


def forfeit(view: View, account: Account) -> tuple[Entry, ...]:
    """Move what is in a bonus wallet to the bonus book."""
    amount_minor = account.available_minor
    if not amount_minor:
        return ()
    name = str(account.id)
    out = view.post(account, -amount_minor, "EXPIRY", name)
    return out, view.post(view.book("bonus", account.currency), amount_minor, "EXPIRY", name)


def grant_free_bet(view: View, command: GrantFreeBet, mark: bytes) -> Outcome:
    """Give a free bet. No money moves until it is used. Rejections: INVALID_REQUEST (it would have expired
    already), ACCOUNT_NOT_FOUND, ACCOUNT_BLOCKED, LIMIT_EXCEEDED (the player is excluded).
    """
    wallet = view.accounts.get(command.user_id)
    code = _why_not_granted(view, wallet, command.expires_at_us)
    if code is not None or wallet is None:
        return Rejected(code or Code.ACCOUNT_NOT_FOUND)

    # After this point the grant must succeed.
    free_bet = FreeBet(
        view.next_transaction_id,
        wallet.id,
        wallet.currency,
        command.amount_minor,
        command.expires_at_us or NEVER,
        FreeBetState.OPEN,
        0,
    )
    view.add_free_bet(free_bet)
    return accept(view, "FREE_BET", command, mark, wallet, free_bet=_free_bet_told(free_bet, 0))


def revoke_free_bet(view: View, command: RevokeFreeBet, mark: bytes) -> Outcome:
    """Take a free bet back. Rejections: NOT_FOUND, BET_CLOSED (it was used, revoked or has expired)."""
    return _end_free_bet(view, command, mark, FreeBetEvent.REVOKE, "REVOKE")


def expire_free_bet(view: View, command: ExpireFreeBet, mark: bytes) -> Outcome:
    """Take back a free bet whose time has come. Rejections: NOT_FOUND, INVALID_REQUEST (it has not come),
    BET_CLOSED."""
    free_bet = view.free_bets.get(command.free_bet_id)
    if free_bet is not None and not is_due(free_bet.expires_at_us, view.matured_us):
        return Rejected(Code.INVALID_REQUEST)
    return _end_free_bet(view, command, mark, FreeBetEvent.EXPIRE, "EXPIRY")


def usable_free_bet(view: View, account: Account, free_bet_id: int, stake_minor: int) -> FreeBet | None:
    """The free bet that pays a stake; None if it is not this player's, not open, or of another amount."""
    free_bet = view.free_bets.get(free_bet_id)
    if (
        free_bet is None
        or free_bet.user_id != account.id
        or (FreeBetState(free_bet.state), FreeBetEvent.USE) not in FREE_BETS
        or is_due(free_bet.expires_at_us, view.at_us)
        or free_bet.amount_minor != stake_minor
    ):
        return None
    return free_bet


def may_use_again(view: View, bet: LiveBet) -> bool:
    """Whether the free bet of a bet that was given back is still there for it; True if it had none."""
    if not bet.free_bet_id:
        return True
    return (FreeBetState(view.free_bets[bet.free_bet_id].state), FreeBetEvent.USE) in FREE_BETS


def move_free_bet(view: View, free_bet_id: int, event: FreeBetEvent) -> FreeBetTold:
    """Use a free bet, or give it back, with the bet that is being decided. The move must be possible."""
    free_bet = view.free_bets[free_bet_id]
    before = free_bet.last_transaction_id
    view.change(free_bet).state = FREE_BETS[FreeBetState(free_bet.state), event]
    return _free_bet_told(free_bet, before)


def paid_by(bet: LiveBet, payout_minor: int) -> int:
    """What the house pays of a gross payout: all of it, but for a free bet only what is won."""
    return winnings_of(payout_minor, bet.stake_minor) if bet.free_bet_id else payout_minor


def _end_free_bet(
    view: View, command: RevokeFreeBet | ExpireFreeBet, mark: bytes, event: FreeBetEvent, kind: str
) -> Outcome:
    free_bet = view.free_bets.get(command.free_bet_id)
    if free_bet is None:
        return Rejected(Code.NOT_FOUND)
    wallet = view.accounts[free_bet.user_id]
    if (FreeBetState(free_bet.state), event) not in FREE_BETS:
        return Rejected(Code.BET_CLOSED, wallet_of(wallet))

    # After this point it must succeed.
    told = move_free_bet(view, free_bet.id, event)
    return accept(view, kind, command, mark, wallet, free_bet=told)


def _why_not_granted(view: View, wallet: Account | None, expires_at_us: int | None) -> Code | None:
    if expires_at_us is not None and expires_at_us <= view.at_us:
        return Code.INVALID_REQUEST
    code = why_closed(wallet)
    if code is not None or wallet is None:
        return code
    first = view.accounts[wallet.participant_id]
    return Code.LIMIT_EXCEEDED if is_excluded(first, view.matured_us) else None


def _bonus_told(bonus: Bonus, before: int) -> BonusTold:
    return BonusTold(bonus.user_id, bonus.state, bonus.spend, bonus.expires_at_us, before)


def _free_bet_told(free_bet: FreeBet, before: int) -> FreeBetTold:
    return FreeBetTold(free_bet.id, free_bet.state, free_bet.amount_minor, before)
