"""The house's own books, as a command: how far each of them may go."""

from __future__ import annotations

from engine.commands import CLEARING_ID_BASE, SetFloor
from engine.decide.answers import accept
from engine.outcomes import Code, FloorTold, Outcome, Rejected
from engine.view import View


def set_floor(view: View, command: SetFloor, mark: bytes) -> Outcome:
    """Set the floor of a book, whatever it was before. The answer shows no wallet: a book is nobody's.

    Rejections: ACCOUNT_NOT_FOUND (there is no such account, or it is a wallet, or a payout's clearing
    account, which pays out what was paid in), INSUFFICIENT_FUNDS (the book is below it already).
    """
    book = view.accounts.get(command.user_id)
    if book is None or book.is_wallet or book.id >= CLEARING_ID_BASE:
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    if book.balance_minor - book.held_minor - command.floor_minor < 0:
        return Rejected(Code.INSUFFICIENT_FUNDS)

    # After this point it must succeed.
    view.change_account(book).floor_minor = command.floor_minor
    return accept(view, "FLOOR", command, mark, None, floor=FloorTold(book.id, book.floor_minor))
