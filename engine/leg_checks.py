"""Whose money a transaction moves: the entries that its kind and its answer call for, and no others. Pure.

A stake goes from the player to the house, a deposit from the cash book to the player, and so on. What becomes
of a bet moves money between the house and the bet's own player; what a clawback could not take, and what is
kept back for it later, stands on the receivable book under that player's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.commands import CLEARING_ID_BASE
from engine.outcomes import BetTold
from engine.records import Entry, Transaction

Leg = tuple[int, str, int, str, str]
"""Of an entry: holder, currency, amount in minor units, ref_type, ref_id."""

Books = Mapping[tuple[str, str], int]
"""The ids of the house's own books by (kind, currency)."""

RECEIVABLE: Final = "RECEIVABLE"

_PAIRS: Final = {"BET": ("house", -1), "DEPOSIT": ("cash", 1), "WITHDRAWAL": ("cash", -1)}
"""The book on the other side, and what sign the player's leg has."""

_CAPTURES: Final = {"hold": ("house", "CAPTURE"), "withdrawal": ("cash", "WITHDRAWAL")}
"""By the purpose of a hold: which book gets what is captured, and what the legs are called."""

_BET_LEGS: Final = {
    "WIN": "WIN",
    "LOSS": "WIN",
    "REFUND": "REFUND",
    "UNSETTLE": "UNSETTLE",
    "CASHOUT": "CASHOUT",
    "ROLLBACK": "ROLLBACK",
}
"""By the kind of a transaction in a bet's life: what its legs are called."""


def legs_of(entries: Sequence[Entry]) -> list[Leg]:
    """The entries as legs, in their order."""
    return [
        (entry.user_id, entry.currency, entry.amount_minor, entry.ref_type, entry.ref_id) for entry in entries
    ]


def are_own_legs(transaction: Transaction, entries: Sequence[Entry], books: Books) -> bool:
    """Whether a transaction that is no part of a bet's or a hold's life has the entries of its kind.

    That they sum to zero is checked elsewhere; so is whose stake it is, of a bet.
    """
    kind, own_id = transaction.kind, str(transaction.id)
    if kind in _PAIRS:
        ref_id = transaction.key if kind == "BET" else own_id
        return _are_a_pair(entries, kind, ref_id, books)
    if kind == "TRANSFER":
        names = {entry.ref_type for entry in entries}
        return (
            len(entries) >= 2
            and names <= {"TRANSFER", "FEE", "TAX"}
            and {entry.ref_id for entry in entries} == {own_id}
            and len({entry.currency for entry in entries}) == 1
        )
    return not entries


def bet_legs(
    kind: str,
    told: BetTold,
    bet: tuple[int, str, int],
    entries: Sequence[Entry],
    books: Books,
    owed_minor: int,
) -> list[Leg]:
    """The legs that `told` calls for. `bet`: its player, currency and stake; `owed_minor`: what that player
    owed before.

    How much a clawback found in the wallet is not told, so that split is taken from `entries`.
    """
    user_id, currency, stake_minor = bet
    lent_minor = sum(entry.amount_minor for entry in entries if entry.ref_type == RECEIVABLE)
    paid_minor = told.payout_minor
    match kind:
        case "UNSETTLE":
            paid_minor = -paid_minor
            aside_minor = max(paid_minor, min(0, lent_minor))
        case "ROLLBACK":
            paid_minor, aside_minor = stake_minor, 0
        case "REFUND":
            aside_minor = 0
        case _:
            aside_minor = min(paid_minor, owed_minor)
    name = _BET_LEGS[kind]
    legs: list[Leg] = [
        (user_id, currency, paid_minor - aside_minor, name, told.bet_id),
        (books.get(("receivable", currency), 0), currency, aside_minor, RECEIVABLE, str(user_id)),
        (books.get(("house", currency), 0), currency, -paid_minor, name, told.bet_id),
    ]
    return [leg for leg in legs if leg[2]]


def capture_legs(hold: tuple[int, int, str, str], taken_minor: int, books: Books) -> list[Leg]:
    """The legs of a capture. `hold`: its id, player, currency and purpose."""
    hold_id, user_id, currency, purpose = hold
    book, name = _CAPTURES.get(purpose, ("", ""))  # no purpose that anybody knows: no legs are right
    return [
        (user_id, currency, -taken_minor, name, str(hold_id)),
        (books.get((book, currency), 0), currency, taken_minor, name, str(hold_id)),
    ]


def _are_a_pair(entries: Sequence[Entry], kind: str, ref_id: str, books: Books) -> bool:
    book, sign = _PAIRS[kind]
    if not entries or entries[0].user_id in books.values() or entries[0].user_id >= CLEARING_ID_BASE:
        return False
    own = entries[0]
    return own.amount_minor * sign > 0 and legs_of(entries) == [
        (own.user_id, own.currency, own.amount_minor, kind, ref_id),
        (books.get((book, own.currency), 0), own.currency, -own.amount_minor, kind, ref_id),
    ]
