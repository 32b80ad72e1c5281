"""How many connections one network may hold, of all that there are descriptors for. Pure.

A stranger needs no token to hold a connection for as long as he likes: a request each few seconds keeps it.
From one address he can hold more than the process may open, and then nobody else gets a socket. So a network
may hold `SHARE` times as many as are left, and no more (dynamic thresholds: Choudhury and Hahne, IEEE/ACM
Transactions on Networking 6(2), 1998): one that takes all it can get leaves a ninth to others, two such leave
a seventeenth, and nothing is set aside that nobody wants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from ws.rates.addresses import site_of

SHARE: Final = 8
"""How many one network may hold for each that is left: alone it gets eight ninths. Players behind a proxy
that nobody has named are one network, and should not notice."""


class Shares:
    """Who holds how many connections. All on one event loop."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        """`proxies`: addresses and networks whose connections are those of many, and are not bounded."""
        self._proxies: list[IPv4Network | IPv6Network] = [ip_network(each, strict=False) for each in proxies]
        self._held: Counter[str] = Counter()
        self._holder: dict[Hashable, str] = {}
        self._lowest: int | None = None

    def __len__(self) -> int:
        """Connections of all that are bounded."""
        return len(self._holder)

    def enter(self, connection: Hashable, host: str, descriptor: int, room: int) -> int:
        """Count a connection from `host`; by how many its network has more than its share, 0 or less: none.

        `descriptor`: of the connection; those below the lowest that was ever seen are not for connections.
        `room`: the descriptors of the process that are not in reserve.
        """
        if self.is_proxy(host):
            return 0
        self._lowest = descriptor if self._lowest is None else min(self._lowest, descriptor)
        network = self._holder[connection] = site_of(host)
        self._held[network] += 1
        return self._held[network] - SHARE * (room - self._lowest - len(self._holder))

    def of(self, connection: Hashable) -> tuple[str, int]:
        """The network of a connection, and how many it holds; an empty one: it is not counted."""
        network = self._holder.get(connection, "")
        return network, self._held[network]

    def leave(self, connection: Hashable) -> None:
        """It is over, if it was counted."""
        network = self._holder.pop(connection, None)
        if network is not None:
            self._held[network] -= 1
            if not self._held[network]:
                del self._held[network]

    def is_proxy(self, host: str) -> bool:
        """Whether connections from there are those of many."""
        if not self._proxies:
            return False
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)
