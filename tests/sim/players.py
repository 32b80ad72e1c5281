"""Players: they bet, more than once and not quite the same, talk nonsense, vanish, and come back slowly."""

from __future__ import annotations

import random
from functools import partial
from typing import Any, Final

from tests.sim.clients import Client, Intent, World
from tests.sim.evidence import Body
from tests.sim.network import Link

LINGER_US: Final = (300_000, 4_000_000)
"""How long one reads nothing who comes back slowly: not so long that he is taken for gone."""


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
        others: list[Link | None] = [link for link in self.links.values() if link is not first] or [first]
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
