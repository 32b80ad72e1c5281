"""A real Chromium, and visitors in it. These tests need Playwright and a browser, so `make test-all` runs
them: Debian's browser where it is there, else the one that `playwright install chromium` has brought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.visitors import Visit, Visitor
from tests.server_fixture import World

DEBIANS = Path("/usr/bin/chromium")
LAUNCH = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 10_000
"""How long a page may take to show what it should: the server's own 2 s, five times over."""

SIZES = {"phone": (390, 844), "desk": (1280, 900)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is in this folder is a test in a browser, and long."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of one file: while Playwright runs, its loop is that of this thread, and
    tests of other files have loops of their own."""
    with sync_playwright() as playwright:
        path = DEBIANS if DEBIANS.exists() else None
        launched = playwright.chromium.launch(executable_path=path, args=LAUNCH)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Browser, world: World) -> Iterator[Visit]:
    """Makes visitors of the server of this file: `visit()`, `visit("phone", "dark")`. When the test is over,
    no page of theirs may have complained, broken its policy or asked another origin."""
    visitors: list[Visitor] = []

    def make(size: Literal["phone", "desk"] = "desk", scheme: Literal["light", "dark"] = "light") -> Visitor:
        width, height = SIZES[size]
        context = browser.new_context(
            base_url=world.server.http,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="Europe/Vienna",
        )
        context.set_default_timeout(PATIENCE_MS)
        visitors.append(Visitor(context, world))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
    assert [fault for visitor in visitors for fault in visitor.faults] == []
