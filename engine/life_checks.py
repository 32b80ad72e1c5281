"""What became of a bet: each transaction of its life follows from the one before it, along the table in
`lifecycle`, and its row is where the newest one has left it. Pure; likewise of holds in `hold_checks`, of
payouts in `payout_checks`.

The answer of each such transaction says what it made of its subject, and names the transaction that
changed it before: so a life is a chain from the row back to the placing, and anybody can go along it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from engine.commands import Keyed, fingerprint
from engine.lifecycle import BETS, BetEvent
from engine.outcomes import Answer, BetTold, HoldTold, PayoutTold, Placed
from engine.records import Transaction

BET_KINDS: Final = frozenset({"WIN", "LOSS", "REFUND", "UNSETTLE", "CASHOUT", "ROLLBACK"})
HOLD_KINDS: Final = frozenset({"CAPTURE", "RELEASE", "EXPIRY"})
PAYOUT_KINDS: Final = frozenset({"PAYOUT_ITEMS", "PAYOUT_START", "PAYOUT", "PAYOUT_ITEM"})
LIFE_KINDS: Final = BET_KINDS | HOLD_KINDS | PAYOUT_KINDS

Told = BetTold | HoldTold | PayoutTold

Subject = str | int | tuple[str, int]
"""Whose life it is: the id of a bet, which is a text; of a hold, a number; of a payout, named as one."""

_NUMBER_MAX: Final = 2**53
"""Beyond any number of an item and any amount: what a forged answer says is looked up too."""


class BetRow(NamedTuple):
    """What the row of a bet says became of it, and the transaction that it says changed it last (0, None,
    None: none did).
    """

    state: str
    payout_minor: int
    settled_minor: int
    cashed_stake_minor: int
    last_transaction_id: int
    kind: str | None
    answer: str | None


class BetFound(NamedTuple):
    """The bet that a transaction names: who placed it and how, None if it is buried; and what its answer says
    came before.
    """

    placing_id: int
    placing_kind: str
    user_id: int | None
    currency: str
    stake_minor: int
    placing_answer: str
    prior_kind: str | None
    prior_answer: str | None


def told_by(transaction_id: int, kind: str | None, answer: str | None) -> Told | None:
    """What a transaction says it made of its bet, hold or payout; None if it says nothing that can be. An
    EXPIRY may be that of something else (see `bonus_checks`)."""
    said = answer_of(answer) if answer is not None and kind in LIFE_KINDS else None
    if said is None:
        return None
    told = said.bet if kind in BET_KINDS else said.hold if kind in HOLD_KINDS else said.payout
    if told is None or not 0 <= told.before < transaction_id:
        return None
    if isinstance(told, HoldTold) and not 0 < told.id < transaction_id:
        return None
    if isinstance(told, PayoutTold):
        is_possible = 0 <= told.done <= told.items < _NUMBER_MAX
        # One that is paid at once is made by the transaction that pays it.
        newest_id = transaction_id if kind == "PAYOUT" and not told.before else transaction_id - 1
        return told if is_possible and 0 < told.id <= newest_id else None
    return told


def answer_of(text: str) -> Answer | None:
    """`transactions.answer` read; None if it is not the JSON of one."""
    try:
        return _ANSWER.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def placed_of(text: str) -> Placed | None:
    """Likewise the answer of a BET, which says who paid beside its wallet, and with which free bet."""
    try:
        placed = _PLACED.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    source, free_bet = placed.source, placed.free_bet
    is_possible = (source is None or 0 < source.amount_minor < _NUMBER_MAX) and (
        free_bet is None or 0 < free_bet.id < _NUMBER_MAX
    )
    return placed if is_possible else None


def is_asked(transaction: Transaction, command: Keyed) -> bool:
    """Whether a transaction is that of this command, whoever asked and under whichever key."""
    try:
        return fingerprint(command) == transaction.fingerprint
    except OverflowError:  # a number that nobody can have asked for
        return False


def check_of(kind: str) -> str:
    """By which name a finding goes that is about a transaction of this kind."""
    return "bet" if kind in BET_KINDS else "payout" if kind in PAYOUT_KINDS else "hold"


def is_refund(kind: str, found: BetFound) -> bool:
    """Whether a transaction of this kind gives the stake of a bet back, or takes back that it was given."""
    return kind in ("REFUND", "ROLLBACK") or (kind == "UNSETTLE" and found.prior_kind == "REFUND")


def subject_of(told: Told | None) -> Subject | None:
    """Whose life `told` is a part of."""
    match told:
        case BetTold():
            return told.bet_id
        case PayoutTold():
            return "payout", told.id
        case HoldTold():
            return told.id
    return None


def is_bet_where_told(bet_id: str, row: BetRow) -> bool:
    """Whether the row of a bet is what its newest transaction says."""
    newest: Told | None = BetTold(bet_id, "confirmed")
    if row.last_transaction_id:
        newest = told_by(row.last_transaction_id, row.kind, row.answer)
    return (
        isinstance(newest, BetTold)
        and newest.bet_id == bet_id
        and row[:4] == (newest.state, newest.total_minor, newest.settled_minor, newest.cashed_stake_minor)
    )


def why_bet_differs(transaction: Transaction, told: BetTold, found: BetFound | None) -> str | None:
    """What is wrong with a transaction in the life of a bet, apart from its entries; None if nothing is."""
    if found is not None and found.placing_kind == "TOMBSTONE":
        buries = transaction.kind == "ROLLBACK" and found.placing_id == transaction.id + 1
        as_told = told == BetTold(told.bet_id, "rolled_back", told.stake_minor) and told.stake_minor >= 0
        return None if buries and as_told else "it is not the burial of its bet"
    if found is None or found.user_id is None or found.placing_id >= transaction.id:
        return "it names a bet that there is not"
    prior: Told | None = BetTold(told.bet_id, "confirmed")
    if told.before:
        prior = told_by(told.before, found.prior_kind, found.prior_answer)
    if not isinstance(prior, BetTold) or prior.bet_id != told.bet_id:
        return NOT_BEFORE
    return None if told == _bet_after(transaction.kind, prior, told, found.stake_minor) else NOT_FOLLOWING


def _bet_after(kind: str, prior: BetTold, told: BetTold, stake_minor: int) -> BetTold | None:
    """What a transaction of this kind makes of a bet; None if it may not happen. A win says itself what it
    pays, a cash-out also for how much of the stake.
    """
    paid_minor, part_minor = told.payout_minor, told.stake_minor
    total_minor, back_minor, cashed_minor = prior.total_minor, prior.settled_minor, prior.cashed_stake_minor
    left_minor = stake_minor - cashed_minor
    is_rest = kind == "CASHOUT" and part_minor == left_minor
    state = _NEXT.get((prior.state, BetEvent.CASH_OUT_REST if is_rest else _EVENTS[kind]))
    if state is None or paid_minor < 0:
        return None

    def after(ended: int, paid: int, total: int, settled: int, cashed: int) -> BetTold:
        return BetTold(told.bet_id, state, ended, paid, total, settled, cashed, told.before)

    match kind:
        case "WIN" | "LOSS":
            return after(left_minor, paid_minor, total_minor + paid_minor, paid_minor, cashed_minor)
        case "REFUND":
            return after(left_minor, left_minor, total_minor + left_minor, left_minor, cashed_minor)
        case "UNSETTLE":
            return after(left_minor, back_minor, total_minor - back_minor, 0, cashed_minor)
        case "CASHOUT" if 0 < part_minor <= left_minor:
            return after(part_minor, paid_minor, total_minor + paid_minor, 0, cashed_minor + part_minor)
        case "ROLLBACK" if not cashed_minor:
            return after(stake_minor, 0, total_minor, 0, 0)
    return None


def check_burials(transactions: Sequence[Transaction]) -> Iterator[dict[str, Any]]:
    """The tombstones of one block: each follows its rollback at once, with the same answer."""
    before: Transaction | None = None
    for transaction in transactions:
        if transaction.kind == "TOMBSTONE" and not _is_burial(before, transaction):
            yield {
                "check": "bet",
                "transaction_id": transaction.id,
                "why": "a tombstone without its rollback",
            }
        before = transaction


def _is_burial(rollback: Transaction | None, tombstone: Transaction) -> bool:
    # That the one before is a rollback, and comes just before, is checked from its side.
    return (
        rollback is not None
        and (rollback.fingerprint, rollback.answer) == (tombstone.fingerprint, tombstone.answer)
        and subject_of(told_by(rollback.id, rollback.kind, rollback.answer)) == tombstone.key
    )


NOT_WHERE_TOLD: Final = "its row is not what its newest transaction says"
NOT_SAID: Final = "its answer does not say what became of what"
NOT_BEFORE: Final = "it does not name the transaction before it"
NOT_FOLLOWING: Final = "it does not follow from the transaction before it"
NOT_IN_CHAIN: Final = "it is no part of what became of its subject"

_EVENTS: Final = {
    "WIN": BetEvent.WON,
    "LOSS": BetEvent.LOST,
    "REFUND": BetEvent.VOID,
    "UNSETTLE": BetEvent.UNSETTLE,
    "CASHOUT": BetEvent.CASH_OUT_PART,
    "ROLLBACK": BetEvent.ROLL_BACK,
}
_NEXT: Final = {(state.value, event): after.value for (state, event), after in BETS.items()}
_ANSWER: Final = msgspec.json.Decoder(Answer)
_PLACED: Final = msgspec.json.Decoder(Placed)
