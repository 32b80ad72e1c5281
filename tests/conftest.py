"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contract_witness import witnessed
from tests.redis_server import RedisServer
from tests.server_fixture import World, running

THE_LONGEST = (
    *("test_wallet_model.py", "test_wire_slow.py", "test_schemathesis.py"),
    "test_heads.py",  # short: the fourth file waits behind the first, whose last test takes minutes
    *("test_archive_kills.py", "test_sim.py", "test_packaging.py", "test_wire_return.py"),
    *("test_redis_storm.py", "test_jumping_clock.py", "test_client_faults.py", "test_pictures.py"),
    *("test_wire_tls.py", "test_schema_mutations.py", "test_docs.py", "test_schema.py"),
)
"""Files, as they are begun: as the last each of them would keep the other cores idle, some for minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first. `--no-loadscope-reorder` lets xdist hand the files out in this order."""
    place = {name: at for at, name in enumerate(THE_LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="module", autouse=True)
def same_priority() -> Iterator[None]:
    """Whoever lowers his priority in this process slows all files that come after his."""
    before = os.nice(0)
    yield
    assert os.nice(0) == before


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One Redis for the whole run. Ask for `redis_server`, which is empty."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A real Redis, empty, with no limit of memory. Not to be stopped: other tests use it as well."""
    shared_redis.ask("FLUSHALL")
    shared_redis.ask("CONFIG", "SET", "maxmemory", 0)
    shared_redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    return shared_redis


@pytest.fixture
def mortal_redis() -> Iterator[RedisServer]:
    """A real Redis of this test's own, to be killed, frozen and started again."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running server with seeded players, for the tests of one file. What it says on sockets of `Wire` is
    held against the contract."""
    with running(tmp_path_factory.mktemp("world")) as live, witnessed():
        yield live
