"""Limits that a player sets himself: what he may stake, lose, deposit and for how long he may play, in a
day, a week, a month; and self-exclusion. Pure.

Each limit keeps a running counter for the window that is running, so a bet costs the same whatever came
before it. Windows are those of UTC: days, weeks from Monday, months. A counter begins when its limit is
set. Stricter is at once; looser, or none, is after a time to cool off.

Two times are asked for: `at_us`, that of the block, says which window is running; by `matured_us` what makes
things looser takes effect: the same, or before it while nobody knows what time it is (`engine/now.py`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.outcomes import LimitTold
from engine.records import Account, Limit

COOLING_OFF_US: Final = 24 * 3_600_000_000
"""How long a limit that is loosened stays as it was."""

PAUSE_US: Final = 5 * 60_000_000
"""Two bets that are further apart than this do not belong to one sitting: the time between is not played."""

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US


class LimitKind(StrEnum):
    """The values of `limits.kind`. Amounts are minor units, those of `time` seconds; that of an exclusion,
    which has no counter, is the time at which it ends."""

    STAKE = "stake"
    LOSS = "loss"
    DEPOSIT = "deposit"
    TIME = "time"
    EXCLUSION = "exclusion"


class Period(StrEnum):
    """The values of `limits.period`."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    EVER = "ever"
    """Of an exclusion."""


NONE: Final = -1
"""The amount of a limit that has been taken away: it limits nothing."""


def window_of(period: str, at_us: int) -> int:
    """The number of the day, week or month of this time, in UTC: the same for all times of one window."""
    days = at_us // DAY_US
    if period == Period.DAY:
        return days
    if period == Period.WEEK:
        return (days + 3) // 7  # day 0 was a Thursday
    if period == Period.EVER:
        return 0
    return _month_of(days)


def _month_of(days: int) -> int:
    """Months since year 0 of the day that is so many days after 1970-01-01, in the Gregorian calendar."""
    # Years from March on end with the leap day, so that all months before it have fixed lengths: 153 days
    # each five months.
    since = days + 719_468  # days from 0000-03-01
    era, day_of_era = divmod(since, 146_097)
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    return (era * 400 + year) * 12 + (5 * day_of_year + 2) // 153 + 2


def in_force(limit: Limit, matured_us: int) -> int:
    """The amount that limits now; `NONE` if nothing does."""
    if limit.pending_from_us and matured_us >= limit.pending_from_us:
        return limit.pending
    return limit.amount


def used(limit: Limit, at_us: int) -> int:
    """What has been used up of the window that is running."""
    return limit.used if limit.window == window_of(limit.period, at_us) else 0


def is_excluded(account: Account, matured_us: int) -> bool:
    """Whether its player keeps himself from betting, and from money to bet with. `account`: his first
    wallet, where that is written."""
    return any(limit.kind == LimitKind.EXCLUSION and matured_us < limit.amount for limit in account.limits)


def stops_bet(account: Account, stake_minor: int, at_us: int, matured_us: int) -> bool:
    """Whether a limit stops a bet that stakes `stake_minor` of the wallet itself: a bonus is not counted."""
    for limit in account.limits:
        match limit.kind:
            case LimitKind.STAKE | LimitKind.LOSS:
                if not stake_minor:
                    continue
                wanted = stake_minor
            case LimitKind.TIME:
                wanted = _played_s(limit, at_us)
            case LimitKind.EXCLUSION:
                if matured_us < limit.amount:
                    return True
                continue
            case _:
                continue
        if _is_over(limit, wanted, at_us, matured_us):
            return True
    return False


def stops_deposit(account: Account, amount_minor: int, at_us: int, matured_us: int) -> bool:
    """Whether a limit stops a deposit of `amount_minor`, or that much from others' wallets; apart from an
    exclusion (see `is_excluded`)."""
    return any(
        _is_over(limit, amount_minor, at_us, matured_us)
        for limit in account.limits
        if limit.kind == LimitKind.DEPOSIT
    )


def count_bet(account: Account, stake_minor: int, at_us: int) -> None:
    """A bet was placed."""
    for limit in account.limits:
        if limit.kind in (LimitKind.STAKE, LimitKind.LOSS):
            _count(limit, stake_minor, at_us)
        elif limit.kind == LimitKind.TIME:
            played_s = _played_s(limit, at_us)
            _count(limit, played_s, at_us)
            # What is left of a second is counted with the next bet, or two bets a second would cost no time.
            is_sitting = at_us - limit.last_bet_us <= PAUSE_US
            limit.last_bet_us = limit.last_bet_us + played_s * SECOND_US if is_sitting else at_us


def count_deposit(account: Account, amount_minor: int, at_us: int) -> None:
    """A deposit was made, or others gave as much."""
    for limit in account.limits:
        if limit.kind == LimitKind.DEPOSIT:
            _count(limit, amount_minor, at_us)


def count_returned(account: Account, amount_minor: int, at_us: int) -> None:
    """Money came back from the house by a win or a refund; below zero: it was taken again. That stops
    nothing, and is only counted."""
    for limit in account.limits:
        if limit.kind == LimitKind.LOSS:
            _count(limit, -amount_minor, at_us)


def change(limit: Limit, amount: int, at_us: int, matured_us: int) -> None:
    """Set `limit` to `amount` (`NONE`: no limit): at once if that is stricter, else when its player has
    cooled off."""
    now = in_force(limit, matured_us)
    is_stricter = amount == now or (amount != NONE and (now == NONE or amount < now))
    limit.amount = amount if is_stricter else now
    limit.pending = NONE if is_stricter else amount
    limit.pending_from_us = 0 if is_stricter else at_us + COOLING_OFF_US
    limit.is_changed = True


def told(limit: Limit, matured_us: int) -> LimitTold:
    """The limit as an answer shows it."""
    is_pending = limit.pending_from_us > matured_us
    return LimitTold(
        limit.user_id,
        limit.kind,
        limit.period,
        in_force(limit, matured_us),
        limit.pending if is_pending else NONE,
        limit.pending_from_us if is_pending else 0,
    )


def _is_over(limit: Limit, wanted: int, at_us: int, matured_us: int) -> bool:
    allowed = in_force(limit, matured_us)
    return allowed != NONE and used(limit, at_us) + wanted > allowed


def _count(limit: Limit, amount: int, at_us: int) -> None:
    limit.used = used(limit, at_us) + amount
    limit.window = window_of(limit.period, at_us)
    limit.is_changed = True


def _played_s(limit: Limit, at_us: int) -> int:
    """Seconds played since the last bet. A sitting begins with one: time that is used up stays so after a
    pause."""
    since_us = at_us - limit.last_bet_us
    return since_us // SECOND_US if since_us <= PAUSE_US else 1
