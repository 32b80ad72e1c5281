"""What becomes of a bet: settle, unsettle, roll back, cash out. The moves are those of `lifecycle.BETS`.

A player who is blocked still gets his wins and refunds; only a closed wallet takes nothing.
A bet that was paid from two wallets pays into both, and each gives back its own share (`shares.py`).
"""

from __future__ import annotations

from typing import Final

from engine.commands import BET_SCOPE, CashOutBet, Result, RollBackBet, SettleBet, UnsettleBet
from engine.decide.answers import accept, as_text, replay, wallet_of
from engine.decide.bonus import may_use_again, move_free_bet, paid_by
from engine.decide.shares import clawbacks_of, pay, shares_of, take_back, why_not_paid
from engine.lifecycle import BETS, SETTLING, BetEvent, BetState, FreeBetEvent
from engine.outcomes import Answer, BetTold, Code, FreeBetTold, Outcome, Rejected
from engine.records import Account, Entry, Transaction
from engine.subjects import LiveBet
from engine.view import View

TOMBSTONE = "TOMBSTONE"
"""The kind of the transaction that takes the `bet_id` of a bet that was rolled back before it came."""

ARCHIVED_BET: Final = Rejected(Code.BET_CLOSED, is_archived=True)
"""What a command is told that is about a bet which was archived."""

_KINDS = {Result.WON: "WIN", Result.LOST: "LOSS", Result.VOID: "REFUND"}


def settle(view: View, command: SettleBet, mark: bytes) -> Outcome:
    """End a bet. Rejections: INVALID_REQUEST (a void bet pays its stake, a won one says what it pays),
    NOT_FOUND, ACCOUNT_BLOCKED (closed), BET_ROLLED_BACK, BET_CLOSED, LIMIT_EXCEEDED (beyond what the wire
    can show), INSUFFICIENT_FUNDS (the house is at its floor).
    """
    bet = view.bet(command.bet_id)
    if command.result is Result.WON and command.payout_minor is None:
        return Rejected(Code.INVALID_REQUEST)
    if bet is None:
        return _no_such_bet(view, command.bet_id)
    account = view.accounts[bet.user_id]
    payout_minor = paid_by(bet, command.payout_minor or 0)
    if command.result is Result.VOID:
        payout_minor = bet.left_minor
        if command.payout_minor not in (None, payout_minor) and bet.state == BetState.CONFIRMED:
            return Rejected(Code.INVALID_REQUEST)
    state, code = _next_state(bet, account, SETTLING[command.result])
    if state is None:
        return Rejected(code, wallet_of(account))
    is_win = command.result is not Result.VOID
    shares = shares_of(view, bet, payout_minor, before_minor=bet.payout_minor, refunds=not is_win)
    refusal = why_not_paid(view, bet, shares, payout_minor, nets=is_win)
    if refusal is not None:
        return Rejected(refusal, wallet_of(account))

    # After this point the settlement must succeed.
    before = bet.last_transaction_id
    view.change(bet)
    bet.state = state.value
    bet.settled_minor = payout_minor
    bet.payout_minor += payout_minor
    entries = pay(view, bet, shares, "WIN" if is_win else "REFUND", nets=is_win)
    free_bet = None if is_win else _give_back(view, bet)
    told = _told(bet, bet.left_minor, payout_minor, before)
    return _conclude(view, _KINDS[command.result], command, mark, account, bet, entries, told, free_bet)


def unsettle(view: View, command: UnsettleBet, mark: bytes) -> Outcome:
    """Take a settlement back. What a wallet cannot give is owed; what a bonus that has expired cannot, the
    bonus book gives, where it went. Rejections: NOT_FOUND, BET_ROLLED_BACK, BET_CLOSED (not settled, cashed
    out, or its free bet is gone), INSUFFICIENT_FUNDS (a book that has to lend or give is at its floor).
    """
    bet = view.bet(command.bet_id)
    if bet is None:
        return _no_such_bet(view, command.bet_id)
    account = view.accounts[bet.user_id]
    state = BETS.get((BetState(bet.state), BetEvent.UNSETTLE))
    if state is None:
        return Rejected(_closed(bet), wallet_of(account))
    if view.is_closed_for_good(bet):
        return Rejected(Code.BET_CLOSED, wallet_of(account), is_archived=True)
    is_refund = bet.state == BetState.VOID
    if is_refund and not may_use_again(view, bet):
        return Rejected(Code.BET_CLOSED, wallet_of(account))
    back_minor = bet.settled_minor
    shares = shares_of(view, bet, back_minor, before_minor=bet.payout_minor - back_minor, refunds=is_refund)
    clawbacks = clawbacks_of(view, shares)
    if clawbacks is None:
        return Rejected(Code.INSUFFICIENT_FUNDS, wallet_of(account))

    # After this point it must succeed.
    before = bet.last_transaction_id
    view.change(bet)
    bet.state = state.value
    bet.settled_minor = 0
    bet.payout_minor -= back_minor
    entries = take_back(view, bet, clawbacks)
    free_bet = None
    if is_refund and bet.free_bet_id:
        free_bet = move_free_bet(view, bet.free_bet_id, FreeBetEvent.USE)
    told = _told(bet, bet.left_minor, back_minor, before)
    return _conclude(view, "UNSETTLE", command, mark, account, bet, entries, told, free_bet)


def cash_out(view: View, command: CashOutBet, mark: bytes) -> Outcome:
    """Pay for a part of the stake. Rejections: as for a bet that is settled, INVALID_REQUEST where there is
    less stake left than that, and BET_CLOSED for a free bet, of which there is no stake to be had.
    """
    bet = view.bet(command.bet_id)
    if bet is None:
        return _no_such_bet(view, command.bet_id)
    account = view.accounts[bet.user_id]
    if command.stake_minor > bet.left_minor and bet.state == BetState.CONFIRMED:
        return Rejected(Code.INVALID_REQUEST)
    is_rest = command.stake_minor >= bet.left_minor
    event = BetEvent.CASH_OUT_REST if is_rest else BetEvent.CASH_OUT_PART
    state, code = _next_state(bet, account, event)
    if state is None:
        return Rejected(code, wallet_of(account))
    if bet.free_bet_id:
        return Rejected(Code.BET_CLOSED, wallet_of(account))
    shares = shares_of(view, bet, command.payout_minor, before_minor=bet.payout_minor, refunds=False)
    refusal = why_not_paid(view, bet, shares, command.payout_minor, nets=True)
    if refusal is not None:
        return Rejected(refusal, wallet_of(account))

    # After this point the cash-out must succeed.
    before = bet.last_transaction_id
    view.change(bet)
    bet.state = state.value
    bet.cashed_stake_minor += command.stake_minor
    bet.payout_minor += command.payout_minor
    entries = pay(view, bet, shares, "CASHOUT", nets=True)
    told = _told(bet, command.stake_minor, command.payout_minor, before)
    return _conclude(view, "CASHOUT", command, mark, account, bet, entries, told)


def roll_back(view: View, command: RollBackBet, mark: bytes) -> Outcome:
    """Give the stake back, or see to it that the bet moves nothing when it comes. A second rollback gets the
    answer of the first.

    Rejections: NOT_FOUND (the bet is another user's), IDEMPOTENCY_CONFLICT (of another stake),
    ACCOUNT_BLOCKED (closed), CURRENCY_MISMATCH, BET_CLOSED (settled, or cashed out in part), LIMIT_EXCEEDED,
    INSUFFICIENT_FUNDS.
    """
    bet = view.bet(command.bet_id)
    if bet is None:
        return ARCHIVED_BET if _is_archived(view, command.bet_id) else _bury(view, command, mark)
    account = view.accounts[bet.user_id]
    if command.user_id not in (None, bet.user_id):
        return Rejected(Code.NOT_FOUND)
    if command.stake_minor not in (None, bet.stake_minor):
        return Rejected(Code.IDEMPOTENCY_CONFLICT)
    is_other_currency = command.currency not in (None, bet.currency)
    if bet.state == BetState.ROLLED_BACK and not is_other_currency:
        return replay(bet.last_transaction_id, bet.last_block_id, bet.last_answer)
    state, code = _next_state(bet, account, BetEvent.ROLL_BACK)
    if code is not Code.ACCOUNT_BLOCKED and is_other_currency:
        return Rejected(Code.CURRENCY_MISMATCH)
    if state is None:
        return Rejected(code, wallet_of(account))
    if bet.cashed_stake_minor:
        return Rejected(Code.BET_CLOSED, wallet_of(account))
    shares = shares_of(view, bet, bet.stake_minor, before_minor=0, refunds=True)
    refusal = why_not_paid(view, bet, shares, bet.stake_minor, nets=False)
    if refusal is not None:
        return Rejected(refusal, wallet_of(account))

    # After this point the rollback must succeed.
    before = bet.last_transaction_id
    view.change(bet)
    bet.state = state.value
    entries = pay(view, bet, shares, "ROLLBACK", nets=False)
    free_bet = _give_back(view, bet)
    told = _told(bet, bet.left_minor, 0, before)
    return _conclude(view, "ROLLBACK", command, mark, account, bet, entries, told, free_bet)


def _bury(view: View, command: RollBackBet, mark: bytes) -> Outcome:
    """Roll back a bet that was never seen: a transaction of its own takes the `bet_id`, for ever."""
    known = view.transactions.get((BET_SCOPE, command.bet_id))
    if known is not None:
        return replay(known.id - 1, known.block_id, known.answer)

    # After this point it must succeed.
    stake_minor = command.stake_minor or 0
    told = BetTold(command.bet_id, BetState.ROLLED_BACK, stake_minor)
    outcome = accept(view, "ROLLBACK", command, mark, None, bet=told)
    # The very next number: that is how a second rollback finds the first.
    view.record(
        Transaction(
            view.next_transaction_id,
            TOMBSTONE,
            BET_SCOPE,
            command.bet_id,
            mark,
            as_text(Answer(bet=told)),
            view.block_id,
        )
    )
    return outcome


def _is_archived(view: View, bet_id: str) -> bool:
    """Of a bet that is in no row any more: it is in an archive, or on its way there."""
    placing = view.transactions.get((BET_SCOPE, bet_id))
    is_placed = placing is not None and placing.kind != TOMBSTONE
    return is_placed or (BET_SCOPE, bet_id) in view.archived


def _no_such_bet(view: View, bet_id: str) -> Rejected:
    if _is_archived(view, bet_id):
        return ARCHIVED_BET
    is_buried = (BET_SCOPE, bet_id) in view.transactions
    return Rejected(Code.BET_ROLLED_BACK if is_buried else Code.NOT_FOUND)


def _closed(bet: LiveBet) -> Code:
    return Code.BET_ROLLED_BACK if bet.state == BetState.ROLLED_BACK else Code.BET_CLOSED


def _next_state(bet: LiveBet, account: Account, event: BetEvent) -> tuple[BetState | None, Code]:
    """Where `event` takes the bet; None if it may not happen, and why."""
    if account.status == "closed":
        return None, Code.ACCOUNT_BLOCKED
    return BETS.get((BetState(bet.state), event)), _closed(bet)


def _give_back(view: View, bet: LiveBet) -> FreeBetTold | None:
    """The free bet of a bet that is given back may be used again."""
    return move_free_bet(view, bet.free_bet_id, FreeBetEvent.GIVE_BACK) if bet.free_bet_id else None


def _told(bet: LiveBet, stake_minor: int, payout_minor: int, before: int) -> BetTold:
    return BetTold(
        bet.bet_id,
        bet.state,
        stake_minor,
        payout_minor,
        bet.payout_minor,
        bet.settled_minor,
        bet.cashed_stake_minor,
        before,
    )


def _conclude(
    view: View,
    kind: str,
    command: SettleBet | UnsettleBet | CashOutBet | RollBackBet,
    mark: bytes,
    account: Account,
    bet: LiveBet,
    entries: tuple[Entry, ...],
    told: BetTold,
    free_bet: FreeBetTold | None = None,
) -> Outcome:
    outcome = accept(view, kind, command, mark, account, entries, bet=told, free_bet=free_bet)
    bet.last_block_id = view.block_id
    bet.last_answer = view.new_transactions[-1].answer
    return outcome
