"""Money set aside: it stays in the wallet, and cannot be spent until it is captured or given back."""

from __future__ import annotations

from engine.commands import CaptureHold, ExpireHold, PlaceHold, ReleaseHold, Withdraw
from engine.decide.answers import accept, wallet_of
from engine.lifecycle import HOLDS, NEVER, HoldEvent, HoldState, is_due
from engine.outcomes import Accepted, Code, HoldTold, Outcome, Rejected
from engine.records import Account
from engine.subjects import Hold
from engine.view import View

_COUNTERPART = {"hold": ("house", "CAPTURE"), "withdrawal": ("cash", "WITHDRAWAL")}
"""Which book gets what is captured of a hold of this purpose, and what its entries are called."""


def place_hold(view: View, command: PlaceHold, mark: bytes) -> Outcome:
    """Set money aside. Rejections: INVALID_REQUEST (it would have expired already), ACCOUNT_NOT_FOUND,
    ACCOUNT_BLOCKED, INSUFFICIENT_FUNDS.
    """
    account = view.accounts.get(command.user_id)
    if command.expires_at_us is not None and command.expires_at_us <= view.at_us:
        return Rejected(Code.INVALID_REQUEST)
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    if account.status != "open":
        return Rejected(Code.ACCOUNT_BLOCKED, wallet_of(account))
    if account.available_minor < command.amount_minor:
        return Rejected(Code.INSUFFICIENT_FUNDS, wallet_of(account))
    return set_aside(view, command, mark, account, "hold", command.expires_at_us or NEVER)


def set_aside(
    view: View,
    command: PlaceHold | Withdraw,
    mark: bytes,
    account: Account,
    purpose: str,
    expires_at_us: int = NEVER,
) -> Accepted:
    """Make a hold whose checks have passed; its id is that of its transaction."""
    # After this point the hold must succeed.
    hold = Hold(
        view.next_transaction_id,
        account.id,
        account.currency,
        purpose,
        command.amount_minor,
        expires_at_us,
        HoldState.OPEN.value,
        command.amount_minor,
        0,
    )
    view.set_aside(hold, account)
    told = HoldTold(hold.id, hold.state, hold.left_minor)
    return accept(view, "HOLD", command, mark, account, hold=told)


def capture(view: View, command: CaptureHold, mark: bytes) -> Outcome:
    """Take what is held, or a part of it. Rejections: NOT_FOUND, HOLD_CLOSED, INSUFFICIENT_FUNDS (more than
    is left of it).
    """
    hold = view.holds.get(command.hold_id)
    if hold is None:
        return Rejected(Code.NOT_FOUND)
    account = view.accounts[hold.user_id]
    amount_minor = hold.left_minor if command.amount_minor is None else command.amount_minor
    event = HoldEvent.CAPTURE_PART if amount_minor < hold.left_minor else HoldEvent.CAPTURE_REST
    state = HOLDS.get((HoldState(hold.state), event))
    if state is None or is_due(hold.expires_at_us, view.at_us):
        return Rejected(Code.HOLD_CLOSED, wallet_of(account))
    if amount_minor > hold.left_minor:
        return Rejected(Code.INSUFFICIENT_FUNDS, wallet_of(account))

    # After this point the capture must succeed.
    book, name = _COUNTERPART[hold.purpose]
    before = hold.last_transaction_id
    view.change(hold).state = state.value
    hold.left_minor -= amount_minor
    view.change_account(account).held_minor -= amount_minor
    taken = view.post(account, -amount_minor, name, str(hold.id))
    counter = view.post(view.book(book, hold.currency), amount_minor, name, str(hold.id))
    told = HoldTold(hold.id, hold.state, hold.left_minor, before)
    return accept(view, "CAPTURE", command, mark, account, (taken, counter), hold=told)


def release(view: View, command: ReleaseHold, mark: bytes) -> Outcome:
    """Give back what is held. Rejections: NOT_FOUND, HOLD_CLOSED."""
    return _give_back(view, command, mark, HoldEvent.RELEASE, "RELEASE")


def expire(view: View, command: ExpireHold, mark: bytes) -> Outcome:
    """Give back what is held and whose time has come. Rejections: NOT_FOUND, HOLD_CLOSED, INVALID_REQUEST
    (its time has not come).
    """
    hold = view.holds.get(command.hold_id)
    if hold is not None and not is_due(hold.expires_at_us, view.matured_us):
        return Rejected(Code.INVALID_REQUEST)
    return _give_back(view, command, mark, HoldEvent.EXPIRE, "EXPIRY")


def _give_back(
    view: View, command: ReleaseHold | ExpireHold, mark: bytes, event: HoldEvent, kind: str
) -> Outcome:
    hold = view.holds.get(command.hold_id)
    if hold is None:
        return Rejected(Code.NOT_FOUND)
    account = view.accounts[hold.user_id]
    state = HOLDS.get((HoldState(hold.state), event))
    if state is None:
        return Rejected(Code.HOLD_CLOSED, wallet_of(account))

    # After this point it must succeed.
    before = hold.last_transaction_id
    view.change(hold).state = state.value
    view.change_account(account).held_minor -= hold.left_minor
    hold.left_minor = 0
    told = HoldTold(hold.id, hold.state, 0, before)
    return accept(view, kind, command, mark, account, hold=told)
