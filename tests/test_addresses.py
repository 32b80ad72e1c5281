"""Who counts as one address."""

from __future__ import annotations

import pytest

from ws.rates.addresses import CHARS_MAX, UNKNOWN, _network_of, network_of, site_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2::1", "2001:0DB8:0001:0002::2"),
        ("fe80::1%eth0", "fe80::2"),
        ("not an address", None),
        ("", "x" * 70_000),
        ("192.0.2.7:80", "192.0.2.256"),
    ],
)
def test_these_are_one(one: str | None, other: str | None) -> None:
    assert network_of(one) == network_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.7", "192.0.2.8"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("::1", "127.0.0.1"),
        ("192.0.2.7", UNKNOWN),
    ],
)
def test_these_are_two(one: str, other: str) -> None:
    assert network_of(one) != network_of(other)


def test_what_is_counted_is_short_whatever_a_proxy_forwards() -> None:
    for host in (
        "255.255.255.255",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%" + "z" * 20,
        "\x00" * CHARS_MAX,
    ):
        assert len(network_of(host)) <= 19


def test_what_is_no_address_by_its_length_is_not_kept() -> None:
    kept = _network_of.cache_info().currsize
    assert network_of("1" * (CHARS_MAX + 1)) == UNKNOWN
    assert _network_of.cache_info().currsize == kept


def test_a_site_is_an_ipv4_address_or_a_48() -> None:
    assert site_of("2001:db8:1:2::1") == site_of("2001:0db8:0001:ffff::7") == "20010db80001/48"
    assert site_of("2001:db8:1::") != site_of("2001:db8:2::")
    assert site_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert site_of(None) == UNKNOWN
