"""The operator's page as its tests see it: who works there, what they do first, what was played before."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from playwright.sync_api import Locator, Page, Route, WebSocket, expect

from tests.browser.visitors import PASSWORD, Visitor, held_back
from tests.server_fixture import World, mint

_names: Iterator[str] = (f"colleague{number}" for number in itertools.count(1))


def hired(world: World, role: str) -> str:
    """The name of somebody new of the staff."""
    name = next(_names)
    hire = {"username": name, "password": PASSWORD, "role": role}
    assert "user_id" in _asked(world, mint(1, "admin"), "/v1/admin/staff", **hire)
    return name


def moves_sent(visitor: Visitor) -> list[dict[str, Any]]:
    """Whatever its pages send from now on by socket that has a key."""
    sent: list[dict[str, Any]] = []

    def listen(socket: WebSocket) -> None:
        socket.on(
            "framesent", lambda frame: sent.append(json.loads(frame)) if '"key"' in str(frame) else None
        )

    visitor.context.on("page", lambda page: page.on("websocket", listen))
    return sent


def at_work(visitor: Visitor, role: str = "operator") -> Page:
    """The page, with somebody of this role logged in and figures coming."""
    page = visitor.logs_in(hired(visitor.world, role)).opens("/operator")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    return page


def played(world: World, token: str, stakes: Sequence[int]) -> list[dict[str, Any]]:
    """The answers to bets of these stakes."""
    return [_asked(world, token, "/v1/bets", stake=stake) for stake in stakes]


def _asked(world: World, token: str, path: str, **body: object) -> dict[str, Any]:
    """By HTTP: Playwright's own loop runs in this thread, and lets no other one in."""
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": str(uuid.uuid4()),
    }
    request = urllib.request.Request(world.server.http + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as refused:
        told = json.load(refused)
    return told


def statement(page: Page, user_id: int) -> Locator:
    """The rows of the statement of a wallet, which is looked for by its number."""
    page.get_by_label("Name, wallet number").fill(str(user_id))
    page.get_by_role("button", name=f"№ {user_id}").click()
    expect(page.get_by_role("heading", name=f"Wallet {user_id}")).to_be_focused()
    return page.get_by_role("region", name="Statement").locator("tbody tr")


def value_of(page: Page, chart: str) -> Locator:
    """The drawing, whose name says in words what it shows."""
    return page.get_by_role("img", name=chart)


def state_of(world: World, placed: Mapping[str, Any]) -> str:
    """Of a bet, as the file has it."""
    sql = "SELECT state FROM bets WHERE transaction_id = ?"
    return str(world.query(sql, placed["transaction_id"])[0][0])


def drawn(page: Page) -> None:
    """Wait until the page has done what the answers that it has got call for."""
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")


class Late:
    """Answers to a page's requests for these addresses, which come when the test wants them to.

    late = Late(page, "**/v1/blocks/*")
    with late.asked():
        ...                # brings the page to ask
    late.comes()           # and it has done with the answer whatever it does
    """

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url
        self._held = held_back(page, url)

    def asked(self) -> AbstractContextManager[Any]:
        """Within this, the page asks."""
        return self._page.expect_request(self._url)

    def comes(self, answer: Callable[[Route], None] = Route.continue_) -> None:
        """The answer of the server, or another one; to the request that was made last."""
        with self._page.expect_response(self._url):
            answer(self._held.pop())
        drawn(self._page)
