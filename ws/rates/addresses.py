"""Who counts as one address. Pure.

Of IPv6 a single customer is given a network of 2^64 addresses (RFC 6177, BCP 157), and may use another one
for each request: so the network is counted, and not the address.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from typing import Final

UNKNOWN: Final = "unknown"
"""Whoever has no address, or one that makes no sense: what a proxy forwards is text."""

CHARS_MAX: Final = 64
"""An IPv6 address has 39, and may name an interface behind them; what is longer is none, and is not kept."""

HOST_BITS: Final = 64

SITE_DIGITS: Final = 12
"""Of a /48, which is what a site is given, by some for nothing (RFC 6177, section 2): 65,536 networks."""


def network_of(host: str | None) -> str:
    """What is counted for `host`: an IPv4 address itself, also where it is written as IPv6 (`::ffff:…`); of
    IPv6 its /64.
    """
    if host is None or len(host) > CHARS_MAX:
        return UNKNOWN
    return _network_of(host)


def site_of(host: str | None) -> str:
    """The same, but of IPv6 its /48: whoever has that has all that is in it."""
    network = network_of(host)
    return site_around(network) or network


def site_around(network: str) -> str | None:
    """The /48 that this network (`network_of`) is in; None: it is none of IPv6."""
    return f"{network[:SITE_DIGITS]}/48" if network.endswith("/64") else None


@lru_cache(maxsize=4096)
def _network_of(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> HOST_BITS:016x}/64"
