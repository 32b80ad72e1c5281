"""Clients of every kind of manners: they retry, duplicate, contradict themselves, talk nonsense and vanish.

They know the wire and nothing else. What a client wants is an `Intent`: one request, sent again and again
under its own key until somebody says what became of it. Each sending has an `id` of its own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from tests.sim.auditor import Auditor
from tests.sim.evidence import Body
from tests.sim.loop import START_US, Scheduler
from tests.sim.network import DEAD_PEER_US, Link

IMPATIENT_US: Final = (2_500_000, 8_000_000)
"""How long a client waits for an answer before it sends the same again."""

LINGER_US: Final = (300_000, 4_000_000)
"""How long one reads nothing who comes back slowly: not so long that he is taken for gone."""

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


class Player(Client):
    """Places bets, some of them more than once, and some that are not quite what they were."""

    def __init__(self, world: World, user_id: int, rng: random.Random, sockets: int) -> None:
        super().__init__(world, user_id, "player", rng, sockets)
        self._stake_max = rng.choice((40, 400, 400))

    def bet(self, **changes: Any) -> Body:
        """A bet of its own."""
        digits = f"{self._rng.getrandbits(128):032x}"
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        body = {
            "type": "bet.place",
            "bet_id": "-".join(parts),
            "stake": self._rng.randint(1, self._stake_max),
        }
        return body | {"nonce": f"nonce-{self.user_id}-{self._number()}", "sent_at": 0} | changes

    def act(self) -> None:
        """Do one of the things that players do."""
        rng, chance = self._rng, self._rng.random()
        if chance < 0.06:
            self.nonsense()
        elif chance < 0.10:
            self.vanish()
        elif chance < 0.16:
            self.come_back_slowly()
        elif chance < 0.26:
            type_ = rng.choice(("balance.get", "balance.get", "ping", "wallet.list", "limit.get"))
            self.send(Intent({"type": type_}))
        elif chance < 0.31 and self._seq is not None:
            self.send(Intent({"type": "resume", "from_seq": rng.choice((0, self._seq))}, self._resumed))
        elif chance < 0.38 and self.intents:
            self.send(Intent({"type": "bet.get", "bet_id": rng.choice(self.intents).body["bet_id"]}))
        else:
            self.place()

    def place(self) -> None:
        """A bet, and what goes with it."""
        rng, scheduler = self._rng, self._scheduler
        body = self.bet()
        if rng.random() < 0.05:
            body["stake"] = 10**9
        if rng.random() < 0.03:
            body["sent_at"] = -rng.choice((100_000, 3_600_000))
        if rng.random() < 0.3:
            self._world.unsettled.append(body["bet_id"])
        intent = self.want(body)
        if rng.random() < 0.2:
            self.send(intent)
        if rng.random() < 0.2:
            scheduler.after(rng.randint(0, 20_000), self.send, intent)
        if rng.random() < 0.08:
            self.want(body | {"stake": body["stake"] + 1})
        if rng.random() < 0.06:
            self.want(self.bet(nonce=body["nonce"]))
        if rng.random() < 0.05:
            self.want(body | {"nonce": self.bet()["nonce"]})

    def burst(self, size: int) -> None:
        """Many bets in one frame."""
        intents = [Intent(self.bet()) for _ in range(size)]
        self.intents += intents
        self.send(*intents)

    def insist(self, size: int) -> None:
        """Many bets in one frame, and again and again, in any order, over what other sockets there are."""
        intents = [Intent(self.bet(stake=self._rng.randint(1, 5))) for _ in range(size)]
        self.intents += intents
        first = self._any_link()
        self.send(*intents, link=first)
        others = [link for link in self.links.values() if link is not first] or [first]
        for _ in range(2):
            again, link = self._rng.sample(intents, size), self._rng.choice(others)
            self._scheduler.after(self._rng.randint(0, 300_000), partial(self.send, *again, link=link))

    def come_back_slowly(self) -> None:
        """Ask for all that ever happened, over a line on which it takes a while; and go on beside it."""
        link = self._any_link()
        if link is None:
            return
        linger_us = self._rng.randint(*LINGER_US)
        link.linger(linger_us)
        self.send(Intent({"type": "resume", "from_seq": 0}, self._resumed), link=link)
        for _ in range(3):
            self._scheduler.after(self._rng.randint(1_000, linger_us), self.place)


class Operator(Client):
    """The game host and the cashier: settles, takes back, pays in and out, sets aside."""

    def __init__(
        self, world: World, user_id: int, rng: random.Random, sockets: int, players: list[int]
    ) -> None:
        super().__init__(world, user_id, "operator", rng, sockets)
        self._players = players

    def act(self) -> None:
        """Do one of the things that operators do."""
        rng = self._rng
        if rng.random() < 0.03:
            self.vanish()
            return
        if rng.random() < 0.08:
            self._pay_in_what_is_missing()
            return
        body, then = self._something()
        body["key"] = f"key-{self._number()}"
        intent = self.want(body, then)
        if rng.random() < 0.2:
            self.send(intent)
        if rng.random() < 0.15:
            self._scheduler.after(rng.randint(0, 30_000), self.send, intent)
        if rng.random() < 0.08 and "amount" in body:
            self.want(body | {"amount": body["amount"] + 1})

    def confirm_the_clock(self) -> None:
        """Say that the server's clock is right, wherever it stands."""
        self.want({"type": "clock.confirm"})

    def _something(self) -> tuple[Body, Callable[[Body], None] | None]:
        rng, user_id = self._rng, self._rng.choice(self._players)
        amount = rng.randint(1, 500)
        what = rng.random()
        if what < 0.45 and (self._world.confirmed or self._world.unsettled):
            return self._about_a_bet(), None
        if what < 0.6:
            return {"type": "wallet.deposit", "user_id": user_id, "amount": amount}, None
        if what < 0.7:
            if rng.random() < 0.5:
                return {"type": "wallet.withdraw", "user_id": user_id, "amount": amount}, None
            hold = {"type": "wallet.withdraw", "user_id": user_id, "amount": amount, "for_approval": True}
            return hold, self._end_hold
        if what < 0.8:
            hold = {"type": "wallet.hold", "user_id": user_id, "amount": amount}
            if rng.random() < 0.6:
                in_us = rng.randint(500_000, 9_000_000)
                hold["expires_at"] = (self._scheduler.now_us + self._clock_offset_us + in_us) // 1000
            return hold, self._end_hold
        if what < 0.87:
            to = rng.choice([each for each in self._players if each != user_id])
            legs = [{"user_id": user_id, "amount": -amount}, {"user_id": to, "amount": amount}]
            return {"type": "wallet.transfer", "legs": legs}, None
        if what < 0.9:
            status = rng.choice(("blocked", "open", "open"))
            return {"type": "wallet.status", "user_id": self._players[-1], "status": status}, None
        items = [{"user_id": rng.choice(self._players), "amount": rng.randint(1, 50)} for _ in range(3)]
        if what < 0.95:
            return {"type": "payout.make", "currency": "EUR", "items": items}, None
        return {"type": "payout.open", "currency": "EUR"}, lambda told: self._fill(told, items)

    def _pay_in_what_is_missing(self) -> None:
        """Ask for more than there may be, pay it in and ask again, without waiting for a word."""
        about = {"user_id": self._rng.choice(self._players), "amount": self._rng.randint(1_000, 4_000)}
        take = Intent({"type": "wallet.withdraw", "key": f"key-{self._number()}"} | about)
        give = Intent({"type": "wallet.deposit", "key": f"key-{self._number()}"} | about)
        self.intents += [take, give]
        self.send(take, give, take)

    def _about_a_bet(self) -> Body:
        rng = self._rng
        if self._world.unsettled and (rng.random() < 0.2 or not self._world.confirmed):
            return {"type": "bet.rollback", "bet_id": rng.choice(self._world.unsettled)}
        bet = rng.choice(self._world.confirmed[-20:])
        bet_id, stake = bet["bet_id"], bet["stake"]
        what = rng.random()
        if what < 0.6:
            result = rng.choice(("won", "lost", "void"))
            body = {"type": "bet.settle", "bet_id": bet_id, "result": result}
            return body | ({"payout": rng.randint(1, 3) * stake} if result == "won" else {})
        if what < 0.75:
            return {"type": "bet.unsettle", "bet_id": bet_id}
        if what < 0.9:
            return {"type": "bet.rollback", "bet_id": bet_id}
        part = rng.randint(1, stake)
        return {"type": "bet.cashout", "bet_id": bet_id, "stake": part, "payout": rng.randint(0, part)}

    def _end_hold(self, told: Body) -> None:
        if "hold_id" in told and self._rng.random() < 0.7:
            type_ = self._rng.choice(("hold.capture", "hold.release"))
            body = {"type": type_, "hold_id": told["hold_id"], "key": f"key-{self._number()}"}
            self._scheduler.after(self._rng.randint(0, 3_000_000), self.want, body)

    def _fill(self, told: Body, items: list[Body]) -> None:
        if told["type"] != "payout":
            return
        payout_id, total = told["payout_id"], sum(item["amount"] for item in items)
        start = {"type": "payout.start", "payout_id": payout_id, "items": len(items), "total": total}
        add = {"type": "payout.add", "payout_id": payout_id, "first": 0, "items": items}
        self.want(
            add | {"key": f"key-{self._number()}"},
            lambda _: self.want(start | {"key": f"key-{self._number()}"}) and None,
        )
