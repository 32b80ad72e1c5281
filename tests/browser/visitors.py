"""People in front of a page: a browser context with somebody logged in, whose every complaint is a fault.

visitor = visit()                     # a phone or a desk, light or dark
visitor.registers(balance=10_000)     # over HTTP; the cookie is the browser's
page = visitor.opens("/")
"""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, Route

from tests.server_fixture import World

PASSWORD = "correct horse battery"
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
SERIOUS = ("serious", "critical")
REFUSED_BY_THE_SERVER = re.compile(r"^Failed to load resource: the server responded with a status of 4\d\d")

_names: Iterator[str] = (f"visitor{number}" for number in itertools.count(1))


def held_back(page: Page, url: str) -> list[Route]:
    """What this page asks there from now on: it waits until somebody lets it go."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(url, hold)
    return held


class Visitor:
    """One browser context on one server. `faults`: what its pages complained of."""

    def __init__(self, context: BrowserContext, world: World) -> None:
        self.context = context
        self.world = world
        self.faults: list[str] = []
        self.loaded: dict[str, int] = {}
        """Bytes of each file that was loaded, by its path, before compression."""
        self.user_id = 0
        self.name = ""
        self._forgiven: list[re.Pattern[str]] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"thrown: {error.error}"))
        context.on("request", self._request)
        context.on("response", self._response)

    # -- who it is

    def registers(self, balance: int = 0) -> Visitor:
        """A new player is logged in, with so many minor units."""
        self.name = next(_names)
        self._is_logged_in(self._post("register", username=self.name, password=PASSWORD))
        if balance:
            self.is_paid(balance)
        return self

    def logs_in(self, name: str, password: str = PASSWORD) -> Visitor:
        """Somebody who is known already: staff, for example."""
        self.name = name
        self._is_logged_in(self._post("login", username=name, password=password))
        return self

    def is_paid(self, amount: int) -> None:
        """A deposit."""
        self.operates("POST", "/v1/deposits", user_id=self.user_id, amount=amount)

    def operates(self, method: str, path: str, **fields: object) -> dict[str, Any]:
        """The house does something: the answer, which must be a good one."""
        answer = self.context.request.fetch(
            path,
            method=method,
            data=json.dumps(fields) if fields else None,
            headers={
                "Authorization": f"Bearer {self.world.operator}",
                "Content-Type": "application/json",
                "Idempotency-Key": str(uuid.uuid4()),
            },
        )
        assert answer.ok, answer.text()
        told: dict[str, Any] = answer.json()
        return told

    # -- what it sees

    def opens(self, path: str = "/") -> Page:
        """Another tab."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def forgives(self, pattern: str) -> None:
        """Complaints that the test brings about itself: a server that is gone, a page that is offline."""
        self._forgiven.append(re.compile(pattern))

    def serious_faults(self, page: Page) -> list[str]:
        """What axe-core finds that is serious or worse."""
        if not page.evaluate("'axe' in window"):
            # By the debugger's protocol, which no policy of the page forbids.
            page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['impact']}: {each['id']}: {node['html']}: {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]

    # -- what its pages do

    def _post(self, route: str, **body: object) -> dict[str, Any]:
        answer = self.context.request.post(f"/v1/auth/{route}", data={**body, "cookie": True})
        assert answer.ok, answer.text()
        told: dict[str, Any] = answer.json()
        return told

    def _is_logged_in(self, tokens: dict[str, Any]) -> None:
        assert "refresh_token" not in tokens
        self.user_id = tokens["user_id"]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        # A browser reports each answer of 400 or more; of the API those are answers like others.
        is_answer = REFUSED_BY_THE_SERVER.match(message.text) and "/v1/" in message.location["url"]
        if not is_answer and not any(each.search(message.text) for each in self._forgiven):
            self.faults.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.world.server.http}/", "data:", "blob:")):
            self.faults.append(f"asked elsewhere: {request.url}")

    def _response(self, response: Response) -> None:
        path = response.url.removeprefix(self.world.server.http)
        if path in ("/", "/operator") or path.startswith("/web/"):
            self.loaded[path] = int(response.headers.get("content-length", self.loaded.get(path, 0)))


Visit = Callable[..., Visitor]
"""The fixture `visit`: makes visitors of the server of its file."""
