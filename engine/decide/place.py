"""A bet: the hot path. Money that is staked goes from the wallet to the house.

Beside the wallet a bonus wallet may pay a part of the stake, or all of it; a free bet is paid by the bonus
book. Then it is one bet with several entries, and the answer shows the wallet all the same.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.bonus import bonus_part, is_usable
from engine.commands import BET_SCOPE, PlaceBet, fingerprint_bet
from engine.decide.answers import ARCHIVED, as_text, replay_or_conflict, wallet_of
from engine.decide.bets import TOMBSTONE
from engine.decide.bonus import move_free_bet, usable_free_bet
from engine.lifecycle import FreeBetEvent
from engine.limits import count_bet, is_excluded, stops_bet
from engine.outcomes import RECORDED, Accepted, Code, Outcome, Placed, Rejected, Source, Wallet
from engine.records import ABSENT, Account, Entry, Refusal, new_bet, new_transaction
from engine.view import MINUTE_US, View

SENT_AT_PAST_US = 80_000_000
SENT_AT_FUTURE_US = 10_000_000
"""A bet was sent from now − 80 s to now + 10 s: inside the 90 s for which a nonce is remembered (DESIGN)."""

REFUSALS_PER_MINUTE = 1000
"""Refusals written down per user and minute: one full frame of bets. Beyond it a refusal is RATE_LIMITED and
costs no row, so that an empty wallet cannot fill the disk."""


class Funding(NamedTuple):
    """Who pays a stake that the wallet itself does not pay all of."""

    source: Account
    source_minor: int
    free_bet_id: int


def place(view: View, command: PlaceBet, now_us: int, objection: Code | None) -> Outcome:
    """Take a bet in. Rejections: IDEMPOTENCY_CONFLICT, BET_ROLLED_BACK (before it came), STALE_REQUEST, the
    objection, ACCOUNT_NOT_FOUND, ACCOUNT_BLOCKED, CURRENCY_MISMATCH, LIMIT_EXCEEDED, INSUFFICIENT_FUNDS; in
    place of the last four RATE_LIMITED, when too many were recorded.
    """
    account = view.accounts.get(command.user_id)
    currency = command.currency or (account.currency if account else "")
    fingerprint = fingerprint_bet(command, currency)
    bet_id = command.bet_id
    known = view.transactions.get((BET_SCOPE, bet_id))
    if known is not None and known.kind != TOMBSTONE:
        return replay_or_conflict(known, fingerprint)
    if (BET_SCOPE, bet_id) in view.archived:
        return ARCHIVED
    refused = view.refusals.get(bet_id)
    if refused is not None:
        return _stay_refused(refused, fingerprint)
    if known is not None:
        return _refuse_buried(view, account, command, fingerprint, objection)

    if not now_us - SENT_AT_PAST_US <= command.sent_at_us <= now_us + SENT_AT_FUTURE_US:
        return Rejected(Code.STALE_REQUEST)
    if objection is not None:
        return Rejected(objection)
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    stake_minor = own_minor = command.stake_minor
    funding = None
    if account.bonus is not None or command.free_bet_id is not None:
        funding = _funding(view, account, command)
        if command.free_bet_id is not None:
            own_minor = 0
        elif funding is not None:
            own_minor -= funding.source_minor
    code = _why_not(view, account, currency, own_minor)
    if code is None and command.free_bet_id is not None and funding is None:
        code = Code.INSUFFICIENT_FUNDS
    if code is not None:
        return _refuse(view, account, command, fingerprint, code)

    # After this point the bet must succeed.
    house = view.book("house", currency)
    entries: tuple[Entry, ...]
    if funding is None:
        stake = view.post(account, -stake_minor, "BET", bet_id)
        entries = stake, view.post(house, stake_minor, "BET", bet_id)
    else:
        paid = ((account, -own_minor), (funding.source, -funding.source_minor), (house, stake_minor))
        entries = tuple(view.post(payer, amount, "BET", bet_id) for payer, amount in paid if amount)
    if account.limits:  # written with the account, which a bonus or a free bet alone does not touch
        count_bet(view.change_account(account), own_minor, view.at_us)
    wallet = wallet_of(account)
    answer = wallet if funding is None else _note_funding(view, bet_id, wallet, funding)
    transaction_id, block_id = view.next_transaction_id, view.block_id
    view.new_bets.append(
        new_bet(
            (
                transaction_id,
                command.user_id,
                currency,
                stake_minor,
                ABSENT if command.game is None else command.game,
                ABSENT if command.round is None else command.round,
                ABSENT if command.selection is None else command.selection,
                ABSENT if command.odds_milli is None else command.odds_milli,
            )
        )
    )
    view.record(
        new_transaction((transaction_id, "BET", BET_SCOPE, bet_id, fingerprint, as_text(answer), block_id))
    )
    source = None if funding is None else _source(funding)
    return Accepted(transaction_id, block_id, wallet, False, entries, view.at_us, source)


def _funding(view: View, account: Account, command: PlaceBet) -> Funding | None:
    """Who pays beside the wallet; None if nobody does, or if the free bet that is asked for cannot."""
    stake_minor, bonus = command.stake_minor, account.bonus
    if command.free_bet_id is not None:
        book = view.book("bonus", account.currency)
        free_bet = usable_free_bet(view, account, command.free_bet_id, stake_minor)
        if free_bet is None or book.available_minor < stake_minor:
            return None
        return Funding(book, stake_minor, free_bet.id)
    if bonus is None or not is_usable(bonus, view.at_us):
        return None
    beside = view.accounts[bonus.user_id]
    part_minor = bonus_part(bonus.spend, stake_minor, account, beside)
    return Funding(beside, part_minor, 0) if part_minor else None


def _note_funding(view: View, bet_id: str, wallet: Wallet, funding: Funding) -> Placed:
    """Use up the free bet, if there is one; the answer to the bet."""
    free_bet_id = funding.free_bet_id
    view.sources[bet_id] = funding.source.id, funding.source_minor, free_bet_id
    free_bet = move_free_bet(view, free_bet_id, FreeBetEvent.USE) if free_bet_id else None
    told = wallet.seq, wallet.balance_minor, wallet.held_minor, wallet.available_minor
    return Placed(*told, _source(funding), free_bet)


def _source(funding: Funding) -> Source:
    return Source(funding.source.id, funding.source_minor)


def _why_not(view: View, account: Account, currency: str, own_minor: int) -> Code | None:
    """Why this wallet may not stake, or cannot pay its own part of the stake."""
    if account.status != "open":
        return Code.ACCOUNT_BLOCKED
    if currency != account.currency:
        return Code.CURRENCY_MISMATCH
    if account.limits and stops_bet(account, own_minor, view.at_us, view.matured_us):
        return Code.LIMIT_EXCEEDED
    first_id = account.participant_id
    if first_id != account.id and is_excluded(view.accounts[first_id], view.matured_us):
        return Code.LIMIT_EXCEEDED
    if account.available_minor < own_minor:
        return Code.INSUFFICIENT_FUNDS
    return None


def _refuse(view: View, account: Account, command: PlaceBet, fingerprint: bytes, code: Code) -> Rejected:
    assert code in RECORDED
    minute, into_minute_us = divmod(view.at_us, MINUTE_US)
    if account.refused_minute == minute and account.refused_count >= REFUSALS_PER_MINUTE:
        return Rejected(Code.RATE_LIMITED, wallet_of(account), retry_after_us=MINUTE_US - into_minute_us)
    view.refuse(
        Refusal(
            command.bet_id,
            account.id,
            command.stake_minor,
            fingerprint,
            code.name,
            account.balance_minor,
            account.held_minor,
            view.at_us,
        ),
        account,
    )
    return Rejected(code, wallet_of(account))


def _refuse_buried(
    view: View, account: Account | None, command: PlaceBet, fingerprint: bytes, objection: Code | None
) -> Rejected:
    """The bet was rolled back before it came, which no objection changes."""
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    if objection is not None:  # then nothing may be written
        return Rejected(Code.BET_ROLLED_BACK, wallet_of(account))
    return _refuse(view, account, command, fingerprint, Code.BET_ROLLED_BACK)


def _stay_refused(refused: Refusal, fingerprint: bytes) -> Rejected:
    if refused.fingerprint != fingerprint:
        return Rejected(Code.IDEMPOTENCY_CONFLICT)
    available_minor = refused.balance_minor - refused.held_minor  # a player's floor is zero
    wallet = Wallet(0, refused.balance_minor, refused.held_minor, available_minor)
    return Rejected(Code[refused.code], wallet, replayed=True)
