"""Clients of every kind of manners: they retry, duplicate, contradict themselves, talk nonsense and vanish.

They know the wire and nothing else. What a client wants is an `Intent`: one request, sent again and again
under its own key until somebody says what became of it. Each sending has an `id` of its own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from tests.sim.auditor import Auditor
from tests.sim.evidence import Body
from tests.sim.loop import START_US, Scheduler
from tests.sim.network import DEAD_PEER_US, Link

IMPATIENT_US: Final = (2_500_000, 8_000_000)
"""How long a client waits for an answer before it sends the same again."""

BACK_OFF_US: Final = (100_000, 2_000_000)
BACK_OFF_MAX: Final = 6
"""How long a client waits that is to come back: so many times as often as it has asked, up to this."""

RECONNECT_US: Final = (5_000, 2_000_000)
NONSENSE: Final = (
    "", "{", "[]", "null", "[[]]", '{"type":"bet.place"}', '{"type":"no.such","id":"x"}', "\u0000", '"ping"',
    '{"type":"bet.place","id":"m","bet_id":"0197A000","stake":1.0,"nonce":"n","sent_at":0}',
    '[{"type":"ping"},7,{"type":"balance.get","id":"","x":1}]', '{"type":"resume","id":"m","from_seq":-1}',
)  # fmt: skip


@dataclass(eq=False)
class Intent:
    """Something a client wants done, or to know."""

    body: Body
    then: Callable[[Body], None] | None = None
    """Told of the answer that settles it."""
    done: Body | None = None
    sendings: int = 0


class World(Protocol):
    """What clients find around them."""

    scheduler: Scheduler
    auditor: Auditor
    confirmed: list[Body]
    """What the game host has heard of: bets that can be settled."""
    unsettled: list[str]
    """Bets that are open, or may be: also some that are still to come."""

    def connect(self, client: Client, life_s: int) -> Link | None: ...

    def next_id(self) -> str: ...

    def note(self, *what: object) -> None: ...


class Client:
    """One person, or one program, with some sockets."""

    def __init__(self, world: World, user_id: int, role: str, rng: random.Random, sockets: int) -> None:
        self.user_id = user_id
        self.role = role
        self.intents: list[Intent] = []
        self.is_over = False
        self.links: dict[int, Link] = {}
        """Those that were welcomed."""
        self._world = world
        self._scheduler = world.scheduler
        self._rng = rng
        self._sockets = sockets
        self._asked: dict[str, tuple[Intent, Link]] = {}
        self._clock_offset_us = START_US
        self._life_s = rng.choice((4, 9, 86_400, 86_400, 86_400, 86_400, 86_400))
        self._seq: int | None = None
        self._count = 0

    def start(self) -> None:
        """Connect."""
        for _ in range(self._sockets):
            self._scheduler.after(self._rng.randint(0, 300_000), self._connect)

    def calm(self) -> None:
        """No more mischief: tokens live long from now on."""
        self._life_s = 86_400

    def want(self, body: Body, then: Callable[[Body], None] | None = None) -> Intent:
        """Have this done."""
        intent = Intent(body, then)
        self.intents.append(intent)
        self.send(intent)
        return intent

    @property
    def undone(self) -> list[Intent]:
        """What nobody has settled yet."""
        return [intent for intent in self.intents if intent.done is None]

    def send(self, *intents: Intent, link: Link | None = None) -> None:
        """Send these now, in one frame, or as soon as there is a socket."""
        intents = tuple(intent for intent in intents if intent.done is None)
        if not intents:
            return
        link = link or self._any_link()
        if link is None:
            self._scheduler.after(self._rng.randint(100_000, 600_000), self.send, *intents)
            return
        messages = []
        for intent in intents:
            intent.sendings += 1
            body = dict(intent.body, id=self._world.next_id())
            if "sent_at" in body:
                body["sent_at"] += (self._scheduler.now_us + self._clock_offset_us) // 1000
            messages.append(body)
            self._asked[body["id"]] = (intent, link)
            self._world.auditor.sent(link, body)
            self._scheduler.after(self._rng.randint(*IMPATIENT_US), self._impatient, intent, body["id"])
        link.send(json.dumps(messages[0] if len(messages) == 1 else messages))

    def nonsense(self) -> None:
        """Send something that is no request."""
        link = self._any_link()
        if link is not None:
            self._world.auditor.sent_nonsense(link)
            link.send(self._rng.choice(NONSENSE))

    def vanish(self) -> None:
        """Lose a socket, without a word."""
        link = self._any_link()
        if link is not None:
            link.cut(self._rng.choice((1_000, DEAD_PEER_US)))

    # -- what links tell

    def heard(self, link: Link, text: str) -> None:
        messages = json.loads(text)
        for message in messages if isinstance(messages, list) else [messages]:
            if message["type"] == "welcome":
                self._welcomed(link, message)
            elif message["type"] != "bet.pending" and message.get("id") in self._asked:
                intent, _ = self._asked.pop(message["id"])
                self._answered(intent, message)

    def lost(self, link: Link, code: int) -> None:
        self.links.pop(link.serial, None)
        for id_, (intent, through) in [*self._asked.items()]:
            if through is link:
                del self._asked[id_]
                self._again(intent, RECONNECT_US)
        if not self.is_over:
            self._scheduler.after(self._rng.randint(*RECONNECT_US), self._connect)

    # -- what it does about it

    def _connect(self) -> None:
        if self.is_over:
            return
        if self._world.connect(self, self._life_s) is None:
            self._scheduler.after(self._rng.randint(*RECONNECT_US), self._connect)

    def _welcomed(self, link: Link, welcome: Body) -> None:
        self.links[link.serial] = link
        self._tell_the_time(welcome["server_time"])
        if self.role != "player":
            return
        if self._seq is None:
            self._seq = welcome["seq"]
        else:
            from_seq = self._seq if self._rng.random() < 0.8 else 0
            self.send(Intent({"type": "resume", "from_seq": from_seq}, self._resumed), link=link)

    def _resumed(self, message: Body) -> None:
        if message["type"] == "resumed":
            self._seq = max(self._seq or 0, message["seq"])

    def _tell_the_time(self, server_time: int) -> None:
        self._clock_offset_us = server_time * 1000 - self._scheduler.now_us

    def _answered(self, intent: Intent, message: Body) -> None:
        if message["type"] == "pong":
            self._tell_the_time(message["server_time"])
        code = message.get("code")
        if code == "STALE_REQUEST" and intent.body.get("sent_at") == 0:
            # The server's clock was set: ask what time it is.
            self.send(Intent({"type": "ping"}))
            self._again(intent, BACK_OFF_US)
        elif message.get("retryable") or code == "UNAUTHORIZED":  # the latter: over another socket
            if code == "OUTCOME_UNKNOWN" and intent.body["type"] == "bet.place":
                self.send(Intent({"type": "bet.get", "bet_id": intent.body["bet_id"]}))
            wait_us, times = 1000 * message.get("retry_after_ms", 0), min(intent.sendings, BACK_OFF_MAX)
            self._again(intent, (wait_us + times * BACK_OFF_US[0], wait_us + times * BACK_OFF_US[1]))
        elif intent.done is None:
            intent.done = message
            if message["type"] == "bet.confirmed":
                self._world.confirmed.append(message | {"user_id": self.user_id})
            if intent.then is not None:
                intent.then(message)

    def _impatient(self, intent: Intent, request_id: str) -> None:
        if request_id in self._asked and intent.done is None:
            if intent.body["type"] == "bet.place" and self._rng.random() < 0.5:
                self.send(Intent({"type": "bet.get", "bet_id": intent.body["bet_id"]}))
            self.send(intent)

    def _again(self, intent: Intent, range_us: tuple[int, int]) -> None:
        if intent.done is None:
            self._scheduler.after(self._rng.randint(*range_us), self.send, intent)

    def _any_link(self) -> Link | None:
        links = [link for link in self.links.values() if link.is_open]
        return self._rng.choice(links) if links else None

    def _number(self) -> int:
        self._count += 1
        return self._count
