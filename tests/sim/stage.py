"""A server on a disk, one client, and no chance: for stories of a few steps."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from batcher.policy import BatchLimits
from tests.sim.disk import Disk
from tests.sim.evidence import Body
from tests.sim.loop import START_US, Loop, Scheduler
from tests.sim.network import Link, scaled
from tests.sim.rows import Entry, Transaction
from tests.sim.seams import seams
from tests.sim.server import NonceStore, Server, StoreGuard, identify, token
from tests.sim.template import template
from tests.sim.weather import CHANCES, Weather

BET_ID = "0197a000-0000-7000-8000-000000000001"


class Stage:
    """A server on a disk, one client, and no chance: faults strike when a test says so."""

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        path.write_bytes(template().image)
        self.scheduler = Scheduler()
        self.weather = Weather(random.Random(1), lambda: self.scheduler.now_us)
        self.commits: list[list[int]] = []
        self.closed: list[int] = []
        self.heard_by_client: list[Body] = []
        self.failures: list[dict[str, Any]] = []
        self.disk = Disk(path, self.scheduler, self.weather, random.Random(2), self)
        self.loop = Loop(self.scheduler, self.failures.append)
        self.disk.spawn(self.loop)
        stack.enter_context(self.scheduler.as_the_time())
        stack.enter_context(seams(self.disk))
        stack.enter_context(scaled(40))
        stack.enter_context(mock.patch("ws.sockets.session.identify", identify))
        guard = StoreGuard(NonceStore(), self.scheduler, self.weather, random.Random(3))
        chance = random.Random(5)
        self.server = Server(path, self.scheduler, self.loop, guard, BatchLimits(), 1000, chance)
        self.server.start()
        self.until(lambda: self.server.is_up)
        self._serial = 0

    def until(self, is_so: Callable[[], bool], within_us: int = 5_000_000) -> None:
        end_us = self.scheduler.now_us + within_us
        while not is_so():
            assert self.scheduler.now_us < end_us, "it never came"
            self.scheduler.turn()

    def connect(self, life_s: int = 3600) -> Link:
        self._serial += 1
        link = Link(self._serial, self, self, self.scheduler, self.weather, random.Random(4), self.loop)
        now_s = (self.scheduler.now_us + START_US) // 1_000_000
        self.server.connect(link, token(template().players[0], "player", now_s + life_s))
        self.until(lambda: any(each["type"] == "welcome" for each in self.heard_by_client))
        return link

    def bet(self, link: Link, bet_id: str) -> None:
        sent_at = (self.scheduler.now_us + START_US) // 1000
        nonce = f"nonce-{bet_id[-4:]}"
        body = {"type": "bet.place", "bet_id": bet_id, "stake": 10, "nonce": nonce, "sent_at": sent_at}
        link.send(json.dumps(body | {"id": f"r{self.scheduler.now_us}"}))

    def last(self, *types: str) -> Body | None:
        return next((each for each in reversed(self.heard_by_client) if each["type"] in types), None)

    @contextlib.contextmanager
    def struck_by(self, *faults: str) -> Iterator[None]:
        """Meanwhile these strike, each time."""
        with mock.patch.dict(CHANCES, dict.fromkeys(faults, 1.0)):
            for fault in faults:
                self.weather.begin(fault)
            yield
            for fault in faults:
                self.weather.end(fault)

    # -- what links, and the disk, tell

    def committed(
        self, begun_us: int, at_us: int, transactions: list[Transaction], entries: list[Entry]
    ) -> None:
        self.commits.append([each.id for each in transactions])

    def sealed(self, begun_us: int, at_us: int, block_at: int) -> None: ...

    def heard(self, link: Link, text: str) -> None:
        messages = json.loads(text)
        for message in messages if isinstance(messages, list) else [messages]:
            self.heard_by_client.append(message | {"is_writing": self.disk.is_writing})

    def lost(self, link: Link, code: int) -> None:
        self.closed.append(code)

    def arrived(self, link: Link, text: str) -> None: ...

    def told(self, request_id: str) -> None: ...

    def emitted(self, link: Link, text: str) -> None: ...

    def ended(self, link: Link, code: int) -> None: ...
