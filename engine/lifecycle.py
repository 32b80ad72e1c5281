"""What may become of a bet, of a hold and of bonus money: tables, from which docs/wallet.md is drawn. Pure.

A `void` bet pays its stake back; `lost` may pay a part. A bet of which a part was cashed out cannot be rolled
back: that part is over. What is not in a table is refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.commands import Result

NEVER: Final = 0
"""`expires_at_us` of a hold, a bonus or a free bet that does not expire."""


def is_due(expires_at_us: int, at_us: int) -> bool:
    """Whether the time of a hold, a bonus or a free bet has come by `at_us`."""
    return expires_at_us != NEVER and expires_at_us <= at_us


class BetState(StrEnum):
    """The values of `bets.state`."""

    CONFIRMED = "confirmed"
    WON = "won"
    LOST = "lost"
    VOID = "void"
    CASHED_OUT = "cashed_out"
    ROLLED_BACK = "rolled_back"


class BetEvent(StrEnum):
    """What can happen to a bet once it is confirmed."""

    WON = "settle won"
    LOST = "settle lost"
    VOID = "settle void"
    UNSETTLE = "unsettle"
    CASH_OUT_PART = "cash out a part"
    CASH_OUT_REST = "cash out the rest"
    ROLL_BACK = "roll back"


BETS: Final[dict[tuple[BetState, BetEvent], BetState]] = {
    (BetState.CONFIRMED, BetEvent.WON): BetState.WON,
    (BetState.CONFIRMED, BetEvent.LOST): BetState.LOST,
    (BetState.CONFIRMED, BetEvent.VOID): BetState.VOID,
    (BetState.WON, BetEvent.UNSETTLE): BetState.CONFIRMED,
    (BetState.LOST, BetEvent.UNSETTLE): BetState.CONFIRMED,
    (BetState.VOID, BetEvent.UNSETTLE): BetState.CONFIRMED,
    (BetState.CONFIRMED, BetEvent.CASH_OUT_PART): BetState.CONFIRMED,
    (BetState.CONFIRMED, BetEvent.CASH_OUT_REST): BetState.CASHED_OUT,
    (BetState.CONFIRMED, BetEvent.ROLL_BACK): BetState.ROLLED_BACK,
}

SETTLING: Final = {
    Result.WON: BetEvent.WON,
    Result.LOST: BetEvent.LOST,
    Result.VOID: BetEvent.VOID,
}


class HoldState(StrEnum):
    """The values of `holds.state`."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class HoldEvent(StrEnum):
    """What can happen to a hold."""

    CAPTURE_PART = "capture a part"
    CAPTURE_REST = "capture the rest"
    RELEASE = "release"
    EXPIRE = "expire"


HOLDS: Final[dict[tuple[HoldState, HoldEvent], HoldState]] = {
    (HoldState.OPEN, HoldEvent.CAPTURE_PART): HoldState.OPEN,
    (HoldState.OPEN, HoldEvent.CAPTURE_REST): HoldState.CAPTURED,
    (HoldState.OPEN, HoldEvent.RELEASE): HoldState.RELEASED,
    (HoldState.OPEN, HoldEvent.EXPIRE): HoldState.EXPIRED,
}


class BonusState(StrEnum):
    """The values of `bonuses.state`."""

    OPEN = "open"
    EXPIRED = "expired"


class BonusEvent(StrEnum):
    """What can happen to a bonus wallet, apart from being spent and won into."""

    GRANT = "grant"
    EXPIRE = "expire"


BONUSES: Final[dict[tuple[BonusState, BonusEvent], BonusState]] = {
    (BonusState.OPEN, BonusEvent.GRANT): BonusState.OPEN,
    (BonusState.OPEN, BonusEvent.EXPIRE): BonusState.EXPIRED,
    (BonusState.EXPIRED, BonusEvent.GRANT): BonusState.OPEN,
}


class FreeBetState(StrEnum):
    """The values of `free_bets.state`."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"


class FreeBetEvent(StrEnum):
    """What can happen to a free bet. It is given back when its bet is void or rolled back."""

    USE = "use"
    GIVE_BACK = "give back"
    REVOKE = "revoke"
    EXPIRE = "expire"


FREE_BETS: Final[dict[tuple[FreeBetState, FreeBetEvent], FreeBetState]] = {
    (FreeBetState.OPEN, FreeBetEvent.USE): FreeBetState.USED,
    (FreeBetState.USED, FreeBetEvent.GIVE_BACK): FreeBetState.OPEN,
    (FreeBetState.OPEN, FreeBetEvent.REVOKE): FreeBetState.REVOKED,
    (FreeBetState.OPEN, FreeBetEvent.EXPIRE): FreeBetState.EXPIRED,
}


class PayoutState(StrEnum):
    """The values of `payouts.state`, in the order in which a payout goes through them."""

    COLLECTING = "collecting"
    PAYING = "paying"
    PAID = "paid"


class ArchiveState(StrEnum):
    """The values of `archives.state`, in their order."""

    COPYING = "copying"
    MOVING = "moving"


class ItemState(StrEnum):
    """The values of `suspended_items.state`."""

    SUSPENDED = "suspended"
    PAID = "paid"
    RETURNED = "returned"
