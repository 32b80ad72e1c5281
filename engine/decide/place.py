"""A bet: the hot path. Money that is staked goes from the wallet to the house."""

from __future__ import annotations

from engine.commands import BET_SCOPE, PlaceBet, fingerprint_bet
from engine.decide.answers import as_text, replay_or_conflict, wallet_of
from engine.decide.bets import TOMBSTONE
from engine.limits import count_bet, stops_bet
from engine.outcomes import RECORDED, Accepted, Code, Outcome, Rejected, Wallet
from engine.records import ABSENT, Account, Refusal, new_bet, new_transaction
from engine.view import MINUTE_US, View

SENT_AT_PAST_US = 80_000_000
SENT_AT_FUTURE_US = 10_000_000
"""A bet was sent from now − 80 s to now + 10 s: inside the 90 s for which a nonce is remembered (DESIGN)."""

REFUSALS_PER_MINUTE = 1000
"""Refusals written down per user and minute: one full frame of bets. Beyond it a refusal is RATE_LIMITED and
costs no row, so that an empty wallet cannot fill the disk."""


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
    stake_minor = command.stake_minor
    code = _why_not(account, currency, stake_minor, view.at_us)
    if code is not None:
        return _refuse(view, account, command, fingerprint, code)

    # After this point the bet must succeed.
    house = view.book("house", currency)
    stake = view.post(account, -stake_minor, "BET", bet_id)
    counter = view.post(house, stake_minor, "BET", bet_id)
    if account.limits:
        count_bet(account, stake_minor, view.at_us)
    wallet = wallet_of(account)
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
        new_transaction((transaction_id, "BET", BET_SCOPE, bet_id, fingerprint, as_text(wallet), block_id))
    )
    return Accepted(transaction_id, block_id, wallet, False, (stake, counter), view.at_us)


def _why_not(account: Account, currency: str, stake_minor: int, at_us: int) -> Code | None:
    if account.status != "open":
        return Code.ACCOUNT_BLOCKED
    if currency != account.currency:
        return Code.CURRENCY_MISMATCH
    if account.limits and stops_bet(account, stake_minor, at_us):
        return Code.LIMIT_EXCEEDED
    if account.available_minor < stake_minor:
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
