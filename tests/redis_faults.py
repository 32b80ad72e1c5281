"""What can be wrong with a Redis, as a table: how each fault begins and ends. Reached through a proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.redis_proxy import RedisProxy
from tests.redis_server import RedisServer


@dataclass(frozen=True)
class Redis:
    """A Redis of our own and the proxy through which it is reached."""

    server: RedisServer
    proxy: RedisProxy

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    def evict(self, policy: str) -> None:
        self.server.ask("CONFIG", "SET", "maxmemory-policy", policy)
        self.proxy.reset()  # the policy is read with each new connection

    def flush(self) -> None:
        self.server.ask("FLUSHALL")
        self.server.ask("SCRIPT", "FLUSH")

    def delay(self, by_s: float) -> None:
        self.proxy.delay_s = by_s

    def babble(self, instead: bytes | None) -> None:
        self.proxy.instead = instead


@contextlib.contextmanager
def redis_behind_a_proxy() -> Iterator[Redis]:
    with RedisServer() as server, RedisProxy(server.port) as proxy:
        yield Redis(server, proxy)


Step = Callable[[Redis], object]


def _nothing(_: Redis) -> None:
    """What is over when it has happened needs no end."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `is_outage`: the server must turn to its memory; None where it may."""

    begin: Step
    end: Step
    is_outage: bool | None = True


FAULTS: dict[str, Fault] = {
    "killed": Fault(lambda redis: redis.server.kill(), lambda redis: redis.server.start()),
    "frozen": Fault(lambda redis: redis.server.freeze(), lambda redis: redis.server.thaw()),
    "slow by 30 ms": Fault(lambda redis: redis.delay(0.03), lambda redis: redis.delay(0), None),
    "slow by 90 ms": Fault(lambda redis: redis.delay(0.09), lambda redis: redis.delay(0), None),
    "slow by 100 ms": Fault(lambda redis: redis.delay(0.1), lambda redis: redis.delay(0)),
    "slow by 200 ms": Fault(lambda redis: redis.delay(0.2), lambda redis: redis.delay(0)),
    "slow by 400 ms": Fault(lambda redis: redis.delay(0.4), lambda redis: redis.delay(0)),
    "writes paused": Fault(
        lambda redis: redis.server.ask("CLIENT", "PAUSE", 60_000, "WRITE"),
        lambda redis: redis.server.ask("CLIENT", "UNPAUSE"),
    ),
    "out of memory": Fault(
        lambda redis: redis.server.ask("CONFIG", "SET", "maxmemory", 1),
        lambda redis: redis.server.ask("CONFIG", "SET", "maxmemory", 0),
    ),
    "read-only": Fault(
        lambda redis: redis.server.ask("REPLICAOF", "127.0.0.1", 1),
        lambda redis: redis.server.ask("REPLICAOF", "NO", "ONE"),
    ),
    "evicting": Fault(lambda redis: redis.evict("allkeys-lru"), lambda redis: redis.evict("noeviction")),
    "babbling": Fault(lambda redis: redis.babble(b":1\r\n"), lambda redis: redis.babble(None)),
    "flushed": Fault(Redis.flush, _nothing, None),
    "restarted": Fault(Redis.restart, _nothing, None),
    "connections reset": Fault(lambda redis: redis.proxy.reset(), lambda redis: redis.proxy.reset(), None),
}
