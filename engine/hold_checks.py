"""What became of a hold: it is as its transaction made it, each later one follows from the one before it
along the table in `lifecycle`, and its row is where the newest one has left it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.commands import Keyed, PlaceHold, Withdraw, fingerprint
from engine.life_checks import NOT_BEFORE, NOT_FOLLOWING, Told, answer_of, told_by
from engine.lifecycle import HOLDS, HoldEvent
from engine.outcomes import HoldTold
from engine.records import Transaction


class HoldRow(NamedTuple):
    """A row of `holds`, and the transaction that it says changed it last."""

    id: int
    user_id: int
    currency: str
    purpose: str
    amount_minor: int
    expires_at_us: int
    state: str
    left_minor: int
    last_transaction_id: int
    kind: str | None
    answer: str | None


class HoldFound(NamedTuple):
    """The hold that a transaction names, and what its answer says came before."""

    user_id: int
    currency: str
    purpose: str
    amount_minor: int
    expires_at_us: int
    prior_kind: str | None
    prior_answer: str | None


def check_holds(
    transactions: Sequence[Transaction], holds: Sequence[HoldRow], currencies: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    """The holds made in one block: each has its transaction, and is as its answer and fingerprint say.
    `currencies`: by account.
    """
    by_id = {hold.id: hold for hold in holds}
    for transaction in transactions:
        hold = by_id.pop(transaction.id, None)
        if transaction.kind != "HOLD" and hold is None:
            continue

        def wrong(why: str, hold_id: int = transaction.id) -> dict[str, Any]:
            return {"check": "hold", "transaction_id": hold_id, "why": why}

        if hold is None or transaction.kind != "HOLD":
            yield wrong("a hold without its transaction, or a transaction without its hold")
            continue
        if _fingerprint(hold) != transaction.fingerprint or currencies.get(hold.user_id) != hold.currency:
            yield wrong("its terms do not give its fingerprint: they were changed after it was made")
        said = answer_of(transaction.answer)
        if said is None or said.hold != HoldTold(hold.id, "open", hold.amount_minor):
            yield wrong("its amount is not what its transaction says")
    for hold_id in by_id:
        yield {"check": "hold", "transaction_id": hold_id, "why": "a hold without its transaction"}


def _fingerprint(hold: HoldRow) -> bytes:
    command: Keyed
    if hold.purpose == "withdrawal" and not hold.expires_at_us:
        command = Withdraw(hold.user_id, hold.amount_minor, for_approval=True, key="", caller="")
    elif hold.purpose == "hold":
        command = PlaceHold(hold.user_id, hold.amount_minor, hold.expires_at_us or None, key="", caller="")
    else:
        return b""
    return fingerprint(command)


def is_hold_where_told(row: HoldRow) -> bool:
    """Whether the row of a hold is what its newest transaction says."""
    newest: Told | None = HoldTold(row.id, "open", row.amount_minor)
    if row.last_transaction_id:
        newest = told_by(row.last_transaction_id, row.kind, row.answer)
    return (
        isinstance(newest, HoldTold)
        and newest.id == row.id
        and (row.state, row.left_minor) == (newest.state, newest.left_minor)
    )


def taken_by(told: HoldTold, found: HoldFound) -> int:
    """How much less is set aside after this transaction of a hold's life than before, in minor units."""
    prior = _hold_before(told, found)
    return 0 if prior is None else prior.left_minor - told.left_minor


def why_hold_differs(
    transaction: Transaction, told: HoldTold, found: HoldFound | None, at_us: int
) -> str | None:
    """As `why_bet_differs`, of a hold. `at_us`: block time, by which holds expire."""
    if found is None:
        return "it names a hold that there is not"
    prior = _hold_before(told, found)
    if prior is None:
        return NOT_BEFORE
    is_part = transaction.kind == "CAPTURE" and told.left_minor > 0
    state = _NEXT.get((prior.state, HoldEvent.CAPTURE_PART if is_part else _EVENTS[transaction.kind]))
    if (
        told.state != state
        or not 0 <= told.left_minor < prior.left_minor
        or (told.left_minor and not is_part)
    ):
        return NOT_FOLLOWING
    is_over = 0 < found.expires_at_us <= at_us
    if (transaction.kind == "EXPIRY" and not is_over) or (transaction.kind == "CAPTURE" and is_over):
        return "its hold was over, or was not yet"
    return None


def _hold_before(told: HoldTold, found: HoldFound) -> HoldTold | None:
    if not told.before:
        return HoldTold(told.id, "open", found.amount_minor)
    prior = told_by(told.before, found.prior_kind, found.prior_answer)
    return prior if isinstance(prior, HoldTold) and prior.id == told.id else None


_EVENTS: Final = {
    "CAPTURE": HoldEvent.CAPTURE_REST,
    "RELEASE": HoldEvent.RELEASE,
    "EXPIRY": HoldEvent.EXPIRE,
}
_NEXT: Final = {(state.value, event): after.value for (state, event), after in HOLDS.items()}
