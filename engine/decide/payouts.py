"""Mass payouts: many winners, each paid exactly once, in order, whatever crashes in between.

Up to `CHUNK_ITEMS` winners are paid in one transaction. More are collected first; then the whole sum moves
into a clearing account of the payout's own, and is paid out of it chunk by chunk. What cannot be paid is
put into suspense with its reason, where it stays until somebody resolves it. What a winner owes is kept
back, as from any win.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.commands import (
    CHUNK_ITEMS,
    CLEARING_ID_BASE,
    AddPayoutItems,
    OpenPayout,
    Pay,
    PayChunk,
    ResolveItem,
    StartPayout,
)
from engine.decide.answers import accept
from engine.lifecycle import ItemState, PayoutState
from engine.limits import count_returned
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Code, Outcome, PayoutTold, Rejected
from engine.records import Account, Entry, Item
from engine.subjects import Payout, Suspended
from engine.view import View

ITEMS_MAX: Final = 1_000_000
"""Items of one payout, at about 20 bytes in the file."""


def pay(view: View, command: Pay, mark: bytes) -> Outcome:
    """Pay a few winners at once. Rejections: INVALID_REQUEST (no items, or too many), CURRENCY_MISMATCH
    (the house has no books in it), LIMIT_EXCEEDED (the sum is beyond what the wire can show),
    INSUFFICIENT_FUNDS."""
    total_minor = sum(item.amount_minor for item in command.items)
    if not 1 <= len(command.items) <= CHUNK_ITEMS:
        return Rejected(Code.INVALID_REQUEST)
    code = _why_not_paid(view, command.currency, total_minor)
    if code is not None:
        return Rejected(code)

    # After this point the payout must succeed.
    count = len(command.items)
    payout = view.change(_new_payout(view, command))
    payout.state = PayoutState.PAID
    payout.items = payout.done = count
    payout.total_minor = total_minor
    items = [
        Item(payout.id, number, item.user_id, item.amount_minor) for number, item in enumerate(command.items)
    ]
    view.add_items(items)
    entries, suspends = _pay_items(view, payout, view.book("house", payout.currency), items)
    payout.suspended = len(suspends)
    return accept(view, "PAYOUT", command, mark, None, entries, payout=_told(payout, 0, suspends))


def open_payout(view: View, command: OpenPayout, mark: bytes) -> Outcome:
    """Begin to collect. Rejections: CURRENCY_MISMATCH (the house has no books in it)."""
    if ("house", command.currency) not in view.books:
        return Rejected(Code.CURRENCY_MISMATCH)

    # After this point it must succeed.
    payout = _new_payout(view, command)
    return accept(view, "PAYOUT_OPEN", command, mark, None, payout=_told(payout, 0))


def add_items(view: View, command: AddPayoutItems, mark: bytes) -> Outcome:
    """Add items. Rejections: NOT_FOUND, INVALID_REQUEST (no items, or `first` is not how many there are),
    PAYOUT_CLOSED (started), LIMIT_EXCEEDED (too many items, or too large a sum).
    """
    payout = view.payouts.get(command.payout_id)
    if not command.items:
        return Rejected(Code.INVALID_REQUEST)
    if payout is None:
        return Rejected(Code.NOT_FOUND)
    if payout.state != PayoutState.COLLECTING:
        return Rejected(Code.PAYOUT_CLOSED)
    if command.first != payout.items:
        return Rejected(Code.INVALID_REQUEST)
    count = payout.items + len(command.items)
    total_minor = payout.total_minor + sum(item.amount_minor for item in command.items)
    if count > ITEMS_MAX or total_minor > WIRE_MAX_MINOR:
        return Rejected(Code.LIMIT_EXCEEDED)

    # After this point it must succeed.
    before = payout.last_transaction_id
    view.change(payout)
    view.add_items(
        [
            Item(payout.id, number, item.user_id, item.amount_minor)
            for number, item in enumerate(command.items, command.first)
        ]
    )
    payout.items, payout.total_minor = count, total_minor
    return accept(view, "PAYOUT_ITEMS", command, mark, None, payout=_told(payout, before))


def start(view: View, command: StartPayout, mark: bytes) -> Outcome:
    """Move the whole sum into the payout's clearing account. Rejections: NOT_FOUND, INVALID_REQUEST (other
    items, or none, or another sum, than were collected), PAYOUT_CLOSED, LIMIT_EXCEEDED, INSUFFICIENT_FUNDS.
    """
    payout = view.payouts.get(command.payout_id)
    if payout is None:
        return Rejected(Code.NOT_FOUND)
    if payout.state != PayoutState.COLLECTING:
        return Rejected(Code.PAYOUT_CLOSED)
    if not payout.items or (command.items, command.total_minor) != (payout.items, payout.total_minor):
        return Rejected(Code.INVALID_REQUEST)
    code = _why_not_paid(view, payout.currency, payout.total_minor)
    if code is not None:
        return Rejected(code)

    # After this point the payout must succeed.
    before = payout.last_transaction_id
    view.change(payout).state = PayoutState.PAYING
    clearing = view.open_account(
        Account(CLEARING_ID_BASE + payout.id, "clearing", payout.currency, "open", 0, 0, 0, 0, 0, 0, 0)
    )
    name = str(payout.id)
    out = view.post(view.book("house", payout.currency), -payout.total_minor, "PAYOUT", name)
    into = view.post(clearing, payout.total_minor, "PAYOUT", name)
    return accept(view, "PAYOUT_START", command, mark, None, (out, into), payout=_told(payout, before))


def pay_chunk(view: View, command: PayChunk, mark: bytes) -> Outcome:
    """Pay the next items. Rejections: NOT_FOUND, PAYOUT_CLOSED (not being paid, or these items were)."""
    payout = view.payouts.get(command.payout_id)
    if payout is None:
        return Rejected(Code.NOT_FOUND)
    if payout.state != PayoutState.PAYING or command.first != payout.done:
        return Rejected(Code.PAYOUT_CLOSED)
    last = min(payout.done + CHUNK_ITEMS, payout.items)
    items = [view.items[payout.id, number] for number in range(payout.done, last)]

    # After this point it must succeed.
    before = payout.last_transaction_id
    view.change(payout)
    clearing = view.accounts[CLEARING_ID_BASE + payout.id]
    entries, suspends = _pay_items(view, payout, clearing, items)
    payout.done = last
    payout.suspended += len(suspends)
    if payout.done == payout.items:
        payout.state = PayoutState.PAID
        assert clearing.balance_minor == 0, "the items add up to the total"
    return accept(view, "PAYOUT", command, mark, None, entries, payout=_told(payout, before, suspends))


def resolve(view: View, command: ResolveItem, mark: bytes) -> Outcome:
    """Bring an item out of suspense. Rejections: NOT_FOUND (it is not, and never was, in suspense),
    PAYOUT_CLOSED (it was resolved), and while it still cannot be paid: ACCOUNT_NOT_FOUND, ACCOUNT_BLOCKED,
    CURRENCY_MISMATCH, LIMIT_EXCEEDED."""
    where = command.payout_id, command.number
    payout, suspended = view.payouts.get(command.payout_id), view.suspended.get(where)
    if payout is None or suspended is None:
        return Rejected(Code.NOT_FOUND)
    item = view.items[where]
    winner = view.accounts.get(item.user_id)
    code = None if command.returns else _why_not_payable(winner, payout.currency, item.amount_minor)
    if suspended.state != ItemState.SUSPENDED and code in (None, Code.LIMIT_EXCEEDED):
        return Rejected(Code.PAYOUT_CLOSED)
    if code is not None:
        return Rejected(code)

    # After this point it must succeed.
    before = payout.last_transaction_id
    view.change(payout).suspended -= 1
    view.change(suspended).state = ItemState.RETURNED if command.returns else ItemState.PAID
    name = f"{payout.id}:{item.number}"
    out = view.post(view.book("suspense", payout.currency), -item.amount_minor, "SUSPENSE", name)
    if command.returns or winner is None:
        into = [view.post(view.book("house", payout.currency), item.amount_minor, "SUSPENSE", name)]
    else:
        into = _credit(view, winner, item.amount_minor, payout)
    return accept(view, "PAYOUT_ITEM", command, mark, None, (out, *into), payout=_told(payout, before))


def _pay_items(
    view: View, payout: Payout, source: Account, items: Sequence[Item]
) -> tuple[tuple[Entry, ...], tuple[tuple[int, str], ...]]:
    """One debit of `source` for all `items`, and one credit or more for each; those that went into
    suspense."""
    suspense = view.book("suspense", payout.currency)
    total_minor = sum(item.amount_minor for item in items)
    entries = [view.post(source, -total_minor, "PAYOUT", str(payout.id))]
    suspends = []
    for item in items:
        winner = view.accounts.get(item.user_id)
        code = _why_not_payable(winner, payout.currency, item.amount_minor)
        if code is None and winner is not None:
            entries += _credit(view, winner, item.amount_minor, payout)
            continue
        reason = (code or Code.ACCOUNT_NOT_FOUND).name
        name = f"{payout.id}:{item.number}"
        entries.append(view.post(suspense, item.amount_minor, "SUSPENSE", name))
        view.suspend(Suspended(payout.id, item.number, reason, ItemState.SUSPENDED, 0))
        suspends.append((item.number, reason))
    return tuple(entries), tuple(suspends)


def _credit(view: View, winner: Account, amount_minor: int, payout: Payout) -> list[Entry]:
    """Pay a winner, what he owes kept back."""
    kept_minor = min(amount_minor, winner.owed_minor)
    view.change_account(winner).owed_minor -= kept_minor
    count_returned(winner, amount_minor - kept_minor, view.at_us)
    legs = (
        (winner, amount_minor - kept_minor, "PAYOUT", str(payout.id)),
        (view.book("receivable", payout.currency), kept_minor, "RECEIVABLE", str(winner.id)),
    )
    return [view.post(*leg) for leg in legs if leg[1]]


def _why_not_payable(winner: Account | None, currency: str, amount_minor: int) -> Code | None:
    if winner is None or winner.kind != "player":
        return Code.ACCOUNT_NOT_FOUND
    if winner.status != "open":
        return Code.ACCOUNT_BLOCKED
    if winner.currency != currency:
        return Code.CURRENCY_MISMATCH
    if winner.balance_minor + amount_minor - min(amount_minor, winner.owed_minor) > WIRE_MAX_MINOR:
        return Code.LIMIT_EXCEEDED
    return None


def _why_not_paid(view: View, currency: str, total_minor: int) -> Code | None:
    """Why the house does not pay this sum."""
    if ("house", currency) not in view.books:
        return Code.CURRENCY_MISMATCH
    if total_minor > WIRE_MAX_MINOR:
        return Code.LIMIT_EXCEEDED
    if view.book("house", currency).available_minor < total_minor:
        return Code.INSUFFICIENT_FUNDS
    return None


def _new_payout(view: View, command: Pay | OpenPayout) -> Payout:
    number = view.next_transaction_id
    return view.open_payout(
        Payout(number, command.caller, command.currency, PayoutState.COLLECTING, 0, 0, 0, 0, 0)
    )


def _told(payout: Payout, before: int, suspends: tuple[tuple[int, str], ...] = ()) -> PayoutTold:
    return PayoutTold(
        payout.id,
        payout.state,
        payout.items,
        payout.total_minor,
        payout.done,
        payout.suspended,
        suspends,
        before,
    )
