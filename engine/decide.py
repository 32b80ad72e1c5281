"""decide(view, command) -> outcome: what a command does, as a pure step over a prefetched view.

Checks come first, in the order of `Code`; then one line, after which the command must succeed; then only
writes. Commands of a batch are decided one after another on the same view, in arrival order.
"""

from __future__ import annotations

import msgspec

from engine.commands import BET_SCOPE, Command, Deposit, PlaceBet, fingerprint_bet, fingerprint_deposit
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import RECORDED, Accepted, Code, Outcome, Rejected, Wallet
from engine.view import ABSENT, MINUTE_US, Account, Refusal, Transaction, View, new_bet, new_transaction

SENT_AT_PAST_US = 80_000_000
SENT_AT_FUTURE_US = 10_000_000
"""A bet was sent from now − 80 s to now + 10 s: inside the 90 s for which a nonce is remembered (DESIGN)."""

REFUSALS_PER_MINUTE = 1000
"""Refusals written down per user and minute: one full frame of bets. Beyond it a refusal is RATE_LIMITED and
costs no row, so that an empty wallet cannot fill the disk."""


def decide(view: View, command: Command, now_us: int, objection: Code | None = None) -> Outcome:
    """Decide one command and apply it to `view`.

    `now_us` is wall-clock time. `objection` is what those in front hold against the command (a reused
    nonce, a passed deadline, an open circuit): it counts only if the key is unknown, so a bet that was
    paid is never told otherwise. Raises `KeyError` if the view lacks the currency's books.
    """
    if isinstance(command, PlaceBet):
        return _place(view, command, now_us, objection)
    return _deposit(view, command, objection)


def _place(view: View, command: PlaceBet, now_us: int, objection: Code | None) -> Outcome:
    account = view.accounts.get(command.user_id)
    currency = command.currency or (account.currency if account else "")
    fingerprint = fingerprint_bet(command, currency)
    bet_id = command.bet_id
    known = view.transactions.get((BET_SCOPE, bet_id))
    if known is not None:
        return _replay_or_conflict(known, fingerprint)
    refused = view.refusals.get(bet_id)
    if refused is not None:
        return _stay_refused(refused, fingerprint)

    if not now_us - SENT_AT_PAST_US <= command.sent_at_us <= now_us + SENT_AT_FUTURE_US:
        return Rejected(Code.STALE_REQUEST)
    if objection is not None:
        return Rejected(objection)
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    stake_minor = command.stake_minor
    code = _why_not(account, currency, stake_minor)
    if code is not None:
        return _refuse(view, account, command, fingerprint, code)

    # After this point the bet must succeed.
    house = view.book("house", currency)
    stake = view.post(account, -stake_minor, "BET", bet_id)
    counter = view.post(house, stake_minor, "BET", bet_id)
    wallet = _wallet(account)
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
        new_transaction((transaction_id, "BET", BET_SCOPE, bet_id, fingerprint, _as_text(wallet), block_id))
    )
    return Accepted(transaction_id, block_id, wallet, False, (stake, counter), view.at_us)


def _deposit(view: View, command: Deposit, objection: Code | None) -> Outcome:
    account = view.accounts.get(command.user_id)
    currency = account.currency if account else ""
    fingerprint = fingerprint_deposit(command, currency)
    known = view.transactions.get((command.scope, command.key))
    if known is not None:
        return _replay_or_conflict(known, fingerprint)
    if objection is not None:
        return Rejected(objection)
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    if account.status != "open":
        return Rejected(Code.ACCOUNT_BLOCKED, _wallet(account))
    cash = view.book("cash", currency)
    if (
        account.balance_minor + command.amount_minor > WIRE_MAX_MINOR
        or cash.available_minor < command.amount_minor
    ):
        return Rejected(Code.LIMIT_EXCEEDED, _wallet(account))

    # After this point the deposit must succeed.
    transaction_id = view.next_transaction_id
    paid_in = view.post(account, command.amount_minor, "DEPOSIT", str(transaction_id))
    counter = view.post(cash, -command.amount_minor, "DEPOSIT", str(transaction_id))
    wallet = _wallet(account)
    view.record(
        Transaction(
            transaction_id,
            "DEPOSIT",
            command.scope,
            command.key,
            fingerprint,
            _as_text(wallet),
            view.block_id,
        )
    )
    return Accepted(transaction_id, view.block_id, wallet, entries=(paid_in, counter), at_us=view.at_us)


def _why_not(account: Account, currency: str, stake_minor: int) -> Code | None:
    if account.status != "open":
        return Code.ACCOUNT_BLOCKED
    if currency != account.currency:
        return Code.CURRENCY_MISMATCH
    if account.available_minor < stake_minor:
        return Code.INSUFFICIENT_FUNDS
    return None


def _refuse(view: View, account: Account, command: PlaceBet, fingerprint: bytes, code: Code) -> Rejected:
    assert code in RECORDED
    minute, into_minute_us = divmod(view.at_us, MINUTE_US)
    if account.refused_minute == minute and account.refused_count >= REFUSALS_PER_MINUTE:
        return Rejected(Code.RATE_LIMITED, _wallet(account), retry_after_us=MINUTE_US - into_minute_us)
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
    return Rejected(code, _wallet(account))


def _replay_or_conflict(known: Transaction, fingerprint: bytes) -> Outcome:
    if known.fingerprint != fingerprint:
        return Rejected(Code.IDEMPOTENCY_CONFLICT)
    return Accepted(known.id, known.block_id, _ANSWER.decode(known.answer), replayed=True)


def _stay_refused(refused: Refusal, fingerprint: bytes) -> Rejected:
    if refused.fingerprint != fingerprint:
        return Rejected(Code.IDEMPOTENCY_CONFLICT)
    available_minor = refused.balance_minor - refused.held_minor  # a player's floor is zero
    wallet = Wallet(0, refused.balance_minor, refused.held_minor, available_minor)
    return Rejected(Code[refused.code], wallet, replayed=True)


def _wallet(account: Account) -> Wallet:
    balance_minor, held_minor = account.balance_minor, account.held_minor
    available_minor = balance_minor - held_minor - account.floor_minor
    return Wallet(account.last_entry_id, balance_minor, held_minor, available_minor)


def _as_text(wallet: Wallet) -> str:
    return _encode(wallet).decode()


_encode = msgspec.json.Encoder().encode
_ANSWER = msgspec.json.Decoder(Wallet)
