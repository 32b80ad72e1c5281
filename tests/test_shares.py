"""How many connections one network may hold."""

from __future__ import annotations

import itertools

import pytest

from ws.transport.shares import SHARE, Shares

ROOM = 1000
FIRST = 10
"""The descriptors below it are the server's own."""


def fill(shares: Shares, host: str) -> int:
    """Connections of `host` until one is more than its share; how many were not."""
    for number in itertools.count():
        if shares.enter((host, number), host, FIRST + len(shares), ROOM) > 0:
            shares.leave((host, number))
            return number
    raise AssertionError


def test_one_network_leaves_a_ninth_to_others_and_two_leave_a_seventeenth() -> None:
    shares = Shares()
    free = ROOM - FIRST
    most = fill(shares, "192.0.2.1")
    assert shares.of(("192.0.2.1", 7)) == ("192.0.2.1", most)
    assert shares.of("another") == ("", 0)
    assert most == pytest.approx(free * SHARE / (SHARE + 1), abs=1)
    fill(shares, "192.0.2.2")
    assert free - len(shares) == pytest.approx(free / (2 * SHARE + 1), rel=0.9)
    assert fill(shares, "192.0.2.3") > 1


def test_what_has_ended_counts_no_more() -> None:
    shares = Shares()
    most = fill(shares, "192.0.2.1")
    shares.leave(("192.0.2.1", 0))
    shares.leave(("192.0.2.1", 0))  # by both protocols of one connection
    assert len(shares) == most - 1
    assert fill(shares, "192.0.2.1") == 1
    for number in range(most):
        shares.leave(("192.0.2.1", number))
    assert len(shares) == 0


def test_a_site_of_ipv6_is_one_network_whatever_addresses_it_uses() -> None:
    shares = Shares()
    over = [shares.enter(n, f"2001:db8:7:{n:x}::{n:x}", FIRST + n, ROOM) for n in range(ROOM)]
    assert sum(each <= 0 for each in over) == pytest.approx((ROOM - FIRST) * SHARE / (SHARE + 1), abs=1)
    assert shares.enter("other", "2001:db8:8::1", FIRST, ROOM + 2 * FIRST) <= 0


def test_a_proxy_that_is_named_is_not_bounded() -> None:
    shares = Shares(["192.0.2.0/24", "2001:db8::1"])
    for number in range(2 * ROOM):
        assert shares.enter(number, "192.0.2.77", FIRST, ROOM) <= 0
        assert shares.enter(-number, "2001:db8::1", FIRST, ROOM) <= 0
    shares.leave(7)
    assert len(shares) == 0


def test_whoever_has_no_address_is_one_network() -> None:
    shares = Shares(["192.0.2.1"])
    assert fill(shares, "") < ROOM - FIRST
