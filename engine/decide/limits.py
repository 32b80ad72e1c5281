"""The limits of a player, and his exclusion, as commands."""

from __future__ import annotations

from engine.commands import Exclude, SetLimit
from engine.decide.answers import accept, wallet_of
from engine.limits import NONE, LimitKind, Period, change, told
from engine.outcomes import Code, Outcome, Rejected
from engine.records import Account, Limit
from engine.view import View


def set_limit(view: View, command: SetLimit, mark: bytes) -> Outcome:
    """Make a limit stricter at once, or looser after a time. Rejections: ACCOUNT_NOT_FOUND."""
    assert command.kind != LimitKind.EXCLUSION, "an exclusion is set by `Exclude`, and cannot be made shorter"
    account = view.accounts.get(command.user_id)
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)

    # After this point it must succeed.
    limit = _limit_of(view, account, command.kind, command.period)
    amount = NONE if command.amount is None else command.amount
    change(limit, amount, view.at_us, view.matured_us)
    return accept(view, "LIMIT", command, mark, account, limit=told(limit, view.matured_us))


def exclude(view: View, command: Exclude, mark: bytes) -> Outcome:
    """Exclude a player from all of his wallets: it is written at his first one, which the answer shows.
    Rejections: INVALID_REQUEST (it would be over already), ACCOUNT_NOT_FOUND,
    LIMIT_EXCEEDED (he is excluded for longer already).
    """
    if command.until_us <= view.at_us:
        return Rejected(Code.INVALID_REQUEST)
    account = view.accounts.get(command.user_id)
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    account = view.accounts[account.participant_id]
    known = next((each for each in account.limits if each.kind == LimitKind.EXCLUSION), None)
    if known is not None and view.matured_us < known.amount > command.until_us:
        return Rejected(Code.LIMIT_EXCEEDED, wallet_of(account))

    # After this point it must succeed.
    limit = _limit_of(view, account, LimitKind.EXCLUSION, Period.EVER)
    limit.amount, limit.is_changed = command.until_us, True
    return accept(view, "LIMIT", command, mark, account, limit=told(limit, view.matured_us))


def _limit_of(view: View, account: Account, kind: str, period: str) -> Limit:
    view.change_account(account).is_limited = 1
    for limit in account.limits:
        if (limit.kind, limit.period) == (kind, period):
            return limit
    limit = Limit(account.id, kind, period, NONE, NONE, 0, 0, 0, 0)
    account.limits = (*account.limits, limit)
    return limit
