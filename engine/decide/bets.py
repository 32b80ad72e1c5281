"""What becomes of a bet: settle, unsettle, roll back, cash out. The moves are those of `lifecycle.BETS`.

A player who is blocked still gets his wins and refunds; only a closed wallet takes nothing.
Money that a clawback cannot take is owed: the `receivable` book lends it, under the player's id, and is paid
back out of his later wins and cash-outs, before he sees them.
"""

from __future__ import annotations

from engine.commands import BET_SCOPE, CashOutBet, Result, RollBackBet, SettleBet, UnsettleBet
from engine.decide.answers import accept, as_text, replay, wallet_of
from engine.lifecycle import BETS, SETTLING, BetEvent, BetState
from engine.limits import count_returned
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Answer, BetTold, Code, Outcome, Rejected
from engine.records import Account, Entry, LiveBet, Transaction
from engine.view import View

TOMBSTONE = "TOMBSTONE"
"""The kind of the transaction that takes the `bet_id` of a bet that was rolled back before it came."""

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
    payout_minor = command.payout_minor or 0
    if command.result is Result.VOID:
        payout_minor = bet.left_minor
        if command.payout_minor not in (None, payout_minor) and bet.state == BetState.CONFIRMED:
            return Rejected(Code.INVALID_REQUEST)
    state, code = _next_state(bet, account, SETTLING[command.result])
    if state is None:
        return Rejected(code, wallet_of(account))
    is_win = command.result is not Result.VOID
    refusal = _why_not_paid(view, account, bet, payout_minor, nets=is_win)
    if refusal is not None:
        return Rejected(refusal, wallet_of(account))

    # After this point the settlement must succeed.
    before = bet.last_transaction_id
    view.change_bet(bet)
    bet.state = state.value
    bet.settled_minor = payout_minor
    bet.payout_minor += payout_minor
    entries = _pay(view, account, payout_minor, "WIN" if is_win else "REFUND", bet.bet_id, nets=is_win)
    return _conclude(view, _KINDS[command.result], command, mark, account, bet, entries, payout_minor, before)


def unsettle(view: View, command: UnsettleBet, mark: bytes) -> Outcome:
    """Take a settlement back. What the wallet cannot give is owed. Rejections: NOT_FOUND, BET_ROLLED_BACK,
    BET_CLOSED (not settled, or cashed out), INSUFFICIENT_FUNDS (the receivable book is at its floor).
    """
    bet = view.bet(command.bet_id)
    if bet is None:
        return _no_such_bet(view, command.bet_id)
    account = view.accounts[bet.user_id]
    state = BETS.get((BetState(bet.state), BetEvent.UNSETTLE))
    if state is None:
        return Rejected(_closed(bet), wallet_of(account))
    back_minor = bet.settled_minor
    taken_minor = min(back_minor, max(0, account.available_minor))
    owed_minor = back_minor - taken_minor
    receivable = view.book("receivable", bet.currency)
    if receivable.available_minor < owed_minor:
        return Rejected(Code.INSUFFICIENT_FUNDS, wallet_of(account))

    # After this point it must succeed.
    before = bet.last_transaction_id
    view.change_bet(bet)
    bet.state = state.value
    bet.settled_minor = 0
    bet.payout_minor -= back_minor
    view.change_account(account).owed_minor += owed_minor
    count_returned(account, -taken_minor, view.at_us)
    entries = _post(
        view,
        (account, -taken_minor, "UNSETTLE", bet.bet_id),
        (receivable, -owed_minor, "RECEIVABLE", str(account.id)),
        (view.book("house", bet.currency), back_minor, "UNSETTLE", bet.bet_id),
    )
    return _conclude(view, "UNSETTLE", command, mark, account, bet, entries, back_minor, before)


def cash_out(view: View, command: CashOutBet, mark: bytes) -> Outcome:
    """Pay for a part of the stake. Rejections: as for a bet that is settled, and INVALID_REQUEST where there
    is less stake left than that.
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
    refusal = _why_not_paid(view, account, bet, command.payout_minor, nets=True)
    if refusal is not None:
        return Rejected(refusal, wallet_of(account))

    # After this point the cash-out must succeed.
    before = bet.last_transaction_id
    view.change_bet(bet)
    bet.state = state.value
    bet.cashed_stake_minor += command.stake_minor
    bet.payout_minor += command.payout_minor
    entries = _pay(view, account, command.payout_minor, "CASHOUT", bet.bet_id, nets=True)
    return _conclude(
        view,
        "CASHOUT",
        command,
        mark,
        account,
        bet,
        entries,
        command.payout_minor,
        before,
        command.stake_minor,
    )


def roll_back(view: View, command: RollBackBet, mark: bytes) -> Outcome:
    """Give the stake back, or see to it that the bet moves nothing when it comes. A second rollback gets the
    answer of the first.

    Rejections: NOT_FOUND (the bet is another user's), IDEMPOTENCY_CONFLICT (of another stake),
    ACCOUNT_BLOCKED (closed), CURRENCY_MISMATCH, BET_CLOSED (settled, or cashed out in part), LIMIT_EXCEEDED,
    INSUFFICIENT_FUNDS.
    """
    bet = view.bet(command.bet_id)
    if bet is None:
        return _bury(view, command, mark)
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
    refusal = _why_not_paid(view, account, bet, bet.stake_minor, nets=False)
    if refusal is not None:
        return Rejected(refusal, wallet_of(account))

    # After this point the rollback must succeed.
    before = bet.last_transaction_id
    view.change_bet(bet)
    bet.state = state.value
    entries = _pay(view, account, bet.stake_minor, "ROLLBACK", bet.bet_id, nets=False)
    return _conclude(view, "ROLLBACK", command, mark, account, bet, entries, 0, before)


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


def _no_such_bet(view: View, bet_id: str) -> Rejected:
    is_buried = (BET_SCOPE, bet_id) in view.transactions
    return Rejected(Code.BET_ROLLED_BACK if is_buried else Code.NOT_FOUND)


def _closed(bet: LiveBet) -> Code:
    return Code.BET_ROLLED_BACK if bet.state == BetState.ROLLED_BACK else Code.BET_CLOSED


def _next_state(bet: LiveBet, account: Account, event: BetEvent) -> tuple[BetState | None, Code]:
    """Where `event` takes the bet; None if it may not happen, and why."""
    if account.status == "closed":
        return None, Code.ACCOUNT_BLOCKED
    return BETS.get((BetState(bet.state), event)), _closed(bet)


def _why_not_paid(
    view: View, account: Account, bet: LiveBet, amount_minor: int, *, nets: bool
) -> Code | None:
    """Why the house does not pay this, or the wire could not show the balance, or all that the bet has
    paid."""
    shown_minor = amount_minor - (min(amount_minor, account.owed_minor) if nets else 0)
    if max(account.balance_minor + shown_minor, bet.payout_minor + amount_minor) > WIRE_MAX_MINOR:
        return Code.LIMIT_EXCEEDED
    if view.book("house", account.currency).available_minor < amount_minor:
        return Code.INSUFFICIENT_FUNDS
    return None


def _pay(
    view: View, account: Account, amount_minor: int, ref_type: str, bet_id: str, *, nets: bool
) -> tuple[Entry, ...]:
    """From the house to the player; what he owes is kept back first, where it `nets`."""
    kept_minor = min(amount_minor, account.owed_minor) if nets else 0
    view.change_account(account).owed_minor -= kept_minor
    count_returned(account, amount_minor - kept_minor, view.at_us)
    return _post(
        view,
        (account, amount_minor - kept_minor, ref_type, bet_id),
        (view.book("receivable", account.currency), kept_minor, "RECEIVABLE", str(account.id)),
        (view.book("house", account.currency), -amount_minor, ref_type, bet_id),
    )


def _post(view: View, *legs: tuple[Account, int, str, str]) -> tuple[Entry, ...]:
    return tuple(view.post(*leg) for leg in legs if leg[1])


def _conclude(
    view: View,
    kind: str,
    command: SettleBet | UnsettleBet | CashOutBet | RollBackBet,
    mark: bytes,
    account: Account,
    bet: LiveBet,
    entries: tuple[Entry, ...],
    payout_minor: int,
    before: int,
    stake_minor: int | None = None,
) -> Outcome:
    told = BetTold(
        bet.bet_id,
        bet.state,
        bet.left_minor if stake_minor is None else stake_minor,
        payout_minor,
        bet.payout_minor,
        bet.settled_minor,
        bet.cashed_stake_minor,
        before=before,
    )
    outcome = accept(view, kind, command, mark, account, entries, bet=told)
    bet.last_answer = view.new_transactions[-1].answer
    return outcome
