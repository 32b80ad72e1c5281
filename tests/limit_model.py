"""Limits once more: a diary of what each player did, and a sum over it whenever somebody asks.

Nothing is counted as it happens. The window of a moment is found with the calendar of `datetime`; what a
limit is at a moment is the last line, by then, of a timetable that is made from what was asked for. Times
are microseconds of the block clock.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

Row = tuple[Any, ...]
Named = tuple[str, str]  # kind, period

A_DAY, PAUSE = 86_400_000_000, 300_000_000


class Limits:
    """The limits of all players, and the diary that they are measured by."""

    def __init__(self) -> None:
        self._diary: dict[int, list[tuple[int, str, int]]] = defaultdict(list)  # when, what, how much
        # Of each limit: how long the diary was when it was first set; when it was asked for, and how much.
        self._asked: dict[int, dict[Named, tuple[int, list[tuple[int, int | None]]]]] = defaultdict(dict)
        self._out_until: dict[int, int] = {}

    def note(self, user: int, at: int, what: str, amount: int) -> None:
        """The player staked, deposited, or got money back (`returned`, less than 0: it was taken again)."""
        self._diary[user].append((at, what, amount))

    def ask(self, user: int, at: int, kind: str, period: str, amount: int | None) -> list[Any]:
        """Set a limit; it as an answer shows it."""
        _, asked = self._asked[user].setdefault((kind, period), (len(self._diary[user]), []))
        asked.append((at, amount))
        (since, coming), now = timetable(asked)[-1], amount_at(asked, at)
        is_coming = since > at
        pending = [_number(coming), since] if is_coming else [-1, 0]
        return [user, kind, period, _number(now), *pending]

    def exclude(self, user: int, until: int) -> list[Any]:
        """Keep the player out, whose first wallet this is; it as an answer shows it."""
        self._out_until[user] = until
        return [user, "exclusion", "ever", until, -1, 0]

    def out_until(self, user: int) -> int:
        """When the player's exclusion ends or has ended, 0 if there was none."""
        return self._out_until.get(user, 0)

    def stop_bet(self, user: int, at: int, stake: int) -> bool:
        """Whether the player may not stake this of his own now."""
        more = {"stake": stake or None, "loss": stake or None, "deposit": None, "time": None}
        return self._stop(user, at, more, [(at, "staked", 0)])

    def stop_deposit(self, user: int, at: int, amount: int) -> bool:
        """Whether the player may not deposit this now."""
        return self._stop(user, at, {"stake": None, "loss": None, "deposit": amount, "time": None}, [])

    def is_limited(self, user: int) -> bool:
        """Whether the player has ever set a limit."""
        return bool(self._asked.get(user)) or user in self._out_until

    def rows(self, now: int) -> set[Row]:
        """Each limit as its row in the file, but for its window, of which is told what was used by `now`.
        What is pending there stays until it is asked for again."""
        rows: set[Row] = {
            (user, "exclusion", "ever", until, -1, 0, 0, 0) for user, until in self._out_until.items()
        }
        for user, limits in self._asked.items():
            for (kind, period), (start, asked) in limits.items():
                at, _ = asked[-1]
                since, last = timetable(asked)[-1]
                pending = (_number(last), since) if since > at else (-1, 0)
                counted = [each for each in self._diary[user][start:] if each[1] in COUNTS[kind]]
                rows.add(
                    (
                        *(user, kind, period, _number(amount_at(asked, at)), *pending),
                        sum_of(kind, period, now, counted),
                        counted[-1][0] if kind == "time" and counted else 0,
                    )
                )
        return rows

    def _stop(
        self, user: int, at: int, more: dict[str, int | None], planned: list[tuple[int, str, int]]
    ) -> bool:
        for (kind, period), (start, asked) in self._asked[user].items():
            amount, allowed = more[kind], amount_at(asked, at)
            is_meant = amount is not None or (kind == "time" and planned)
            diary = self._diary[user][start:] + (planned if kind == "time" else [])
            if is_meant and allowed is not None and sum_of(kind, period, at, diary) + (amount or 0) > allowed:
                return True
        return False


COUNTS = {
    "stake": {"staked"},
    "loss": {"staked", "returned"},
    "deposit": {"deposited"},
    "time": {"staked"},
}
"""What of the diary each kind of limit counts."""


def timetable(asked: list[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """From when on the limit is how much (None: none). The last to be asked for takes the place of whatever
    was still to come.
    """
    lines: list[tuple[int, int | None]] = [(0, None)]
    for at, amount in asked:
        now = [line for line in lines if line[0] <= at]
        before = now[-1][1]
        is_stricter = amount == before or (amount is not None and (before is None or amount < before))
        lines = [*now, (at if is_stricter else at + A_DAY, amount)]
    return lines


def amount_at(asked: list[tuple[int, int | None]], at: int) -> int | None:
    """How much the limit is at this moment."""
    return [amount for since, amount in timetable(asked) if since <= at][-1]


def sum_of(kind: str, period: str, at: int, diary: list[tuple[int, str, int]]) -> int:
    """What the diary says was used of the limit in the window of this moment; of time, seconds."""
    events = [each for each in diary if each[1] in COUNTS[kind]]
    if kind == "time":
        moments = [-PAUSE - 1, *(when for when, *_ in events)]
        played = [  # each sitting begins with a second
            (after, after - before if after - before <= PAUSE else 1_000_000)
            for before, after in pairwise(moments)
        ]
        return sum(us for when, us in played if first_day(period, when) == first_day(period, at)) // 1_000_000
    sign = {"returned": -1}
    return sum(
        sign.get(what, 1) * amount
        for when, what, amount in events
        if first_day(period, when) == first_day(period, at)
    )


def first_day(period: str, at: int) -> date:
    """The first day, in UTC, of the day, week or month of this moment."""
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).date()
    return {
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
    }[period]


def window_number(period: str, at: int) -> int:
    """How the file numbers it: days and weeks from that of 1970-01-01 on, months from year 0 on."""
    first = first_day(period, at)
    if period == "month":
        return first.year * 12 + first.month - 1
    return (first - first_day(period, 0)).days // {"day": 1, "week": 7}[period]


def _number(amount: int | None) -> int:
    return -1 if amount is None else amount
