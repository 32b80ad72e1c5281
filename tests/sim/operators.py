"""The game host and the cashier: what becomes of bets, and of money that is no stake."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.sim.clients import Client, Intent, World
from tests.sim.evidence import Body


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
