"""Whose money a transaction moves: the entries that its kind and its answer call for, and no others. Pure.

A stake goes from the player to the house, a deposit from the cash book to the player, and so on. What becomes
of a bet moves money between the house and those who paid its stake, each of whom has his share; what a
clawback could not take from a wallet, and what is kept back for it later, stands on the receivable book under
that wallet's id. What comes into a bonus wallet that has expired goes on to the bonus book, and comes from
there if it is taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.bonus import share_of
from engine.commands import CLEARING_ID_BASE
from engine.outcomes import BetTold
from engine.records import Entry, Transaction

Leg = tuple[int, str, int, str, str]
"""Of an entry: holder, currency, amount in minor units, ref_type, ref_id."""

Books = Mapping[tuple[str, str], int]
"""The ids of the house's own books by (kind, currency)."""

RECEIVABLE: Final = "RECEIVABLE"

_PAIRS: Final = {"DEPOSIT": ("cash", 1), "WITHDRAWAL": ("cash", -1)}
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


class Staked(NamedTuple):
    """A bet, and who paid `source_minor` of its stake beside its wallet, if anybody did (see
    `subjects.LiveBet`).
    """

    user_id: int
    currency: str
    stake_minor: int
    source_id: int = 0
    source_minor: int = 0
    is_free: bool = False
    has_minor: int = 0
    """What is in the bonus wallet that paid, before the transaction."""
    is_expired: bool = False
    """Whether that one has expired."""

    def shares(self, amount_minor: int, before_minor: int, *, refunds: bool) -> list[tuple[int, int]]:
        """Who gets, or gives back, how much of `amount_minor`, if the bet has paid `before_minor` apart from
        it."""
        if not self.source_id or self.stake_minor <= 0 or (self.is_free and not refunds):
            return [(self.user_id, amount_minor)]
        part_minor = share_of(amount_minor, before_minor, self.source_minor, self.stake_minor)
        shares = [(self.user_id, amount_minor - part_minor), (self.source_id, part_minor)]
        return [share for share in shares if share[1]]


def other_legs(transaction: Transaction) -> dict[str, Any]:
    """The finding that a transaction has other entries."""
    return {"check": "legs", "transaction_id": transaction.id, "kind": transaction.kind}


def are_own_legs(
    transaction: Transaction,
    entries: Sequence[Entry],
    books: Books,
    bonus_ids: Collection[int] = frozenset(),
) -> bool:
    """Whether a transaction that is no part of a bet's or a hold's life has the entries of its kind.
    `bonus_ids`: the bonus wallets, into and out of which nobody pays.

    That they sum to zero is checked elsewhere; so is whose stake it is, of a bet.
    """
    kind, own_id = transaction.kind, str(transaction.id)
    if kind == "BET":
        return _are_a_stake(entries, transaction.key, books)
    if kind in _PAIRS:
        return _are_a_pair(entries, kind, own_id, books) and entries[0].user_id not in bonus_ids
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
    staked: Staked,
    entries: Sequence[Entry],
    books: Books,
    owed: Mapping[str, int],
    *,
    refunds: bool,
) -> list[Leg]:
    """The legs that `told` calls for. `owed`: what each wallet, whose id is written as a ref_id, owed before;
    `refunds`: it is the stake that comes back, or is taken back again.

    How much a clawback found in a wallet is not told: of a player's own one, where holds count too, that
    split is taken from `entries`.
    """
    currency, name = staked.currency, _BET_LEGS[kind]
    sign = -1 if kind == "UNSETTLE" else 1
    total_minor = staked.stake_minor if kind == "ROLLBACK" else told.payout_minor
    before_minor = told.total_minor - (told.payout_minor if sign > 0 else 0)
    house_id, receivable_id, bonus_id = (
        books.get((book, currency), 0) for book in ("house", "receivable", "bonus")
    )
    legs: list[Leg] = []
    forfeit: list[Leg] = []
    for holder_id, share_minor in staked.shares(total_minor, before_minor, refunds=refunds):
        holder = str(holder_id)
        is_source = holder_id == staked.source_id
        if kind == "UNSETTLE" and is_source:
            aside_minor = 0 if staked.is_free else share_minor - min(share_minor, max(0, staked.has_minor))
        elif kind == "UNSETTLE":
            aside_minor = min(share_minor, max(0, _lent(entries, holder)))
        else:
            aside_minor = 0 if refunds else min(share_minor, max(0, owed.get(holder, 0)))
        legs.append((holder_id, currency, sign * (share_minor - aside_minor), name, told.bet_id))
        if kind == "UNSETTLE" and is_source and staked.is_expired:
            legs.append((bonus_id, currency, -aside_minor, "EXPIRY", holder))
        else:
            legs.append((receivable_id, currency, sign * aside_minor, RECEIVABLE, holder))
        if is_source and staked.is_expired and kind != "UNSETTLE":
            left_minor = staked.has_minor + share_minor - aside_minor
            forfeit = expiry_legs(holder_id, currency, left_minor, bonus_id)
    legs.append((house_id, currency, -sign * total_minor, name, told.bet_id))
    return [leg for leg in legs + forfeit if leg[2]]


def expiry_legs(bonus_wallet_id: int, currency: str, left_minor: int, bonus_id: int) -> list[Leg]:
    """The legs that take `left_minor` out of a bonus wallet and into the bonus book; none if that is 0."""
    name = str(bonus_wallet_id)
    legs: list[Leg] = [
        (bonus_wallet_id, currency, -left_minor, "EXPIRY", name),
        (bonus_id, currency, left_minor, "EXPIRY", name),
    ]
    return legs if left_minor else []


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


def _are_a_stake(entries: Sequence[Entry], bet_id: str, books: Books) -> bool:
    """One or two who pay, of the house's books at most the bonus book; and the house."""
    payers = entries[:-1]
    if not 1 <= len(payers) <= 2 or any(payer.amount_minor >= 0 for payer in payers):
        return False
    currency = entries[0].currency
    others = {id_ for (book, _), id_ in books.items() if book != "bonus"}
    if any(payer.user_id in others or payer.user_id >= CLEARING_ID_BASE for payer in payers):
        return False
    stake_minor = -sum(payer.amount_minor for payer in payers)
    return legs_of(entries) == [
        *((payer.user_id, currency, payer.amount_minor, "BET", bet_id) for payer in payers),
        (books.get(("house", currency), 0), currency, stake_minor, "BET", bet_id),
    ]


def _lent(entries: Sequence[Entry], holder: str) -> int:
    return -sum(
        entry.amount_minor for entry in entries if (entry.ref_type, entry.ref_id) == (RECEIVABLE, holder)
    )
