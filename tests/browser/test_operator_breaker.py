"""The operator's page while the ledger is sick, and while the server is away. Needs a C compiler, for a disk
that is slow on demand (tests/faults/disk.c)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from harness.process import PATIENT, Server, seed
from tests.browser.control_room import at_work, played
from tests.browser.visitors import Visit
from tests.faults.failing_disk import Disk
from tests.server_fixture import World

STABLE_MS = "2500"
"""Long enough to be seen waiting, by a page that is told once a second."""
COMMIT_MS = "500"
"""The least that may be set; a commit on the slow disk takes 700 ms longer than it would."""
WITHIN_S = 30.0
"""For a breaker that needs 2.5 s without a slow commit, and may be opened again by one."""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


@pytest.fixture
def world(tmp_path: Path, disk: Disk) -> Iterator[World]:
    """A server of this test's own, on such a disk."""
    players = seed(tmp_path / "wallet.db", 2)
    settings = PATIENT | {"breaker_commit_ms": COMMIT_MS, "breaker_stable_ms": STABLE_MS}
    with Server(tmp_path / "wallet.db", settings=settings) as server:
        yield World(server, players, 0)


def breaker(page: Page, word: str) -> None:
    """Wait until the panel says so."""
    expect(page.locator("#breaker-state")).to_have_text(word)


def plays_until(world: World, token: str, is_seen: Callable[[], object]) -> None:
    """One bet after the other, or in vain for `WITHIN_S`: health is what commits show, so somebody has to."""
    until_s = time.monotonic() + WITHIN_S
    while not is_seen() and time.monotonic() < until_s:
        played(world, token, [1])


def test_the_breaker_is_seen_open_then_waiting_then_closed(visit: Visit, world: World, disk: Disk) -> None:
    page = at_work(visit())
    _, token = world.player()
    breaker(page, "Closed")
    expect(page.get_by_text("All bets are taken.")).to_be_visible()
    expect(page.locator("#breaker-left")).to_be_hidden()

    disk.becomes("slow")
    played(world, token, [1])
    breaker(page, "Open")
    expect(page.get_by_text("Bets are refused: a commit took too long.")).to_be_visible()
    expect(page.locator("#live")).to_have_text("The circuit breaker is now open.")
    disk.becomes("well")

    breaker(page, "Waiting")
    missing = page.locator("#breaker-seconds")
    expect(missing).to_have_text("3 s of stability still missing")
    plays_until(world, token, lambda: re.match("[12] s of", missing.inner_text()))
    expect(missing).to_have_text(re.compile("^[12] s of stability still missing"))
    # Not only while it waits: a busy machine may be slow at one of these bets, which opens it once more.
    plays_until(world, token, lambda: page.locator("#breaker-state").inner_text() == "Closed")
    breaker(page, "Closed")
    expect(page.locator("#breaker-left")).to_be_hidden()
    assert "CIRCUIT_OPEN" not in {answer.get("code") for answer in played(world, token, [1])}


def test_a_connection_that_broke_is_shown_and_comes_back(visit: Visit, world: World, disk: Disk) -> None:
    visitor = visit()
    visitor.forgives("WebSocket connection|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    page = at_work(visitor)
    played(world, world.player()[1], [5])
    expect(page.get_by_text("Since the start: 1 confirmed")).to_be_visible()

    world.server.kill()
    expect(page.get_by_text("Connection lost, trying again")).to_be_visible()
    expect(page.locator("#now")).to_have_class(re.compile("stale"))

    world.server.start()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.get_by_text("Since the start: 0 confirmed")).to_be_visible()
    expect(page.locator("#now")).not_to_have_class(re.compile("stale"))
