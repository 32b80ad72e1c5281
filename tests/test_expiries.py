"""Whose token ends when, under a clock that is an argument and may be set."""

from __future__ import annotations

import random

from ws.sockets.expiries import Expiries


def test_each_is_told_once_when_its_second_has_begun() -> None:
    expiries: Expiries[str] = Expiries()
    for name, at_s in (("a", 100), ("b", 100), ("c", 101)):
        expiries.enter(name, at_s)
    assert expiries.due(99.999) == []
    assert sorted(expiries.due(100.0)) == ["a", "b"]
    assert expiries.due(100.9) == []
    assert expiries.due(101.0) == ["c"]
    assert expiries.due(10**12) == []
    assert len(expiries) == 0


def test_the_clock_may_be_set_forth_and_back() -> None:
    expiries: Expiries[str] = Expiries()
    expiries.enter("soon", 3_700)
    expiries.enter("later", 7_300)
    assert expiries.due(100.0) == []
    assert expiries.due(100.0 + 3_600) == ["soon"]
    assert expiries.due(100.0 - 3_600) == []
    assert expiries.due(100.0 + 3_600) == []
    assert expiries.due(100.0 + 7_200) == ["later"]


def test_who_has_left_is_not_told_and_leaves_nothing_behind() -> None:
    chance = random.Random(6)
    expiries: Expiries[int] = Expiries()
    ends = {holder: chance.randrange(50) for holder in range(500)}
    for holder, at_s in ends.items():
        expiries.enter(holder, at_s)
    told = set(expiries.due(20.0))
    assert told == {holder for holder, at_s in ends.items() if at_s <= 20}
    for holder, at_s in ends.items():  # also those that were told: leaving twice harms nobody
        expiries.leave(holder, at_s)
    assert len(expiries) == 0
    assert expiries.due(50.0) == []
    assert expiries._by_second == {}
