"""A server by chance, for the client's state machine: a script of events, and what the machine told of each.

It knows what it was asked, and answers some of it, out of order, with any answer that there is for it; it
pushes entries and leaves some out, breaks off with any code, and is silent.
"""

from __future__ import annotations

import random
from typing import Any

from tests.client_script import Json, Script

BETS = [f"0199a5f0-1111-7222-8333-{number:012x}" for number in range(6)]
NOW = 1_760_000_000_000
CODES = [None, 1000, 1001, 1006, 1011, 4401, 4408, 4429]
RETRYABLE = ["RATE_LIMITED", "CIRCUIT_OPEN", "OVERLOADED", "TIMED_OUT"]
ERRORS = ["NOT_FOUND", "STALE_REQUEST", "OUTCOME_UNKNOWN", "INTERNAL", "IDEMPOTENCY_CONFLICT"]
RARE_ERRORS = ["INVALID_REQUEST", "UNAUTHORIZED"]


class MadeUpServer:
    """What happens next, as a step of a script."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.at = 0
        self.asked: list[Json] = []
        self.ledger = [910]
        self.names: list[str] = []

    def next_step(self, told: Json) -> Json:
        """After what the machine told last."""
        chance = self.chance
        self.asked += told["sent"]
        self.at += chance.choice([0, 1, 7, 60, 300, 2500, 11_000 if chance.random() < 0.2 else 100])
        step: Json = {"at": self.at}
        if chance.random() < 0.25:
            step |= self._asks()
        elif told["phase"] == "offline":
            if chance.random() < 0.7 and self.at >= told["connect_ms"]:
                step["connected"] = True
            elif chance.random() < 0.3:
                step["closed"] = None
        elif told["phase"] == "waiting":
            step |= {"receive": [self._welcome()]} if chance.random() < 0.8 else self._breaks_off()
        elif told["phase"] == "open":
            step |= self._says() if chance.random() < 0.92 and not told["dead"] else self._breaks_off()
        return step

    def _breaks_off(self) -> Json:
        self.asked.clear()
        return {"closed": self.chance.choice(CODES)}

    def _asks(self) -> Json:
        chance = self.chance
        name = f"t{len(self.names)}"
        kind = chance.random()
        if kind < 0.15 and self.names:
            return {"abandon": chance.choice(self.names)}
        if kind < 0.17:
            return {"unfollow": True}
        if kind < 0.25:
            return {"follow": chance.choice(self.ledger)}
        if kind < 0.4:
            return {"take": chance.randrange(4)}
        self.names.append(name)
        request: Json = {"type": "bet.get", "bet_id": chance.choice(BETS)}
        start: Json = {"as": name, "request": request}
        if kind < 0.85:
            start["request"] = {
                "type": "bet.place", "bet_id": chance.choice(BETS), "stake": 250, "nonce": "4f1c09aa27",
            }  # fmt: skip
            start["only_looks"] = start["is_doubtful"] = chance.random() < 0.3
        return {"start": start}

    def _says(self) -> Json:
        chance = self.chance
        messages = []
        for _ in range(chance.randrange(1, 4)):
            if chance.random() < 0.3:
                messages.append(self._push())
            elif self.asked:
                asked = self.asked[chance.randrange(len(self.asked))]
                if chance.random() < 0.9:
                    self.asked.remove(asked)
                messages += self._answers(asked)
        return {"receive": messages} if messages else {}

    def _welcome(self) -> Json:
        limits = {
            "frame_bytes": 600, "frame_messages": 3, "in_flight": 4, "nonce_window_ms": 20_000,
            "deadline_ms": 2000, "messages_per_s": 50_000,
        }  # fmt: skip
        return {
            "type": "welcome", "user_id": 42, "role": "player", "server_time": self._time(), "limits": limits,
            "currency": "EUR", "balance": 1000, "held": 0, "available": 1000, "seq": self.ledger[-1],
        }  # fmt: skip

    def _time(self) -> int:
        return NOW + self.at + self.chance.randrange(-500, 500)

    def _push(self) -> Json:
        if self.chance.random() < 0.3:
            return self._entry(self.chance.randrange(1, len(self.ledger)) if len(self.ledger) > 1 else 0)
        self.ledger.append(self.ledger[-1] + self.chance.randrange(1, 4))
        return self._entry(len(self.ledger) - 1)

    def _entry(self, place: int) -> Json:
        return {
            "type": "wallet.entry", "seq": self.ledger[place],
            "prev_seq": self.ledger[place - 1] if place else 0, "transaction_id": 7,
            "kind": self.chance.choice(["WIN", "DEPOSIT", "CAPTURE"]), "amount": 5, "balance": 900 + place,
            "at": NOW,
        }  # fmt: skip

    def _answers(self, asked: Json) -> list[Json]:
        chance, id_ = self.chance, asked["id"]
        if asked["type"] == "ping":
            return [{"type": "pong", "id": id_, "server_time": self._time()}]
        if chance.random() < 0.25 or (asked["type"] == "bet.get" and chance.random() < 0.5):
            return [self._error(id_)]
        if asked["type"] == "resume":
            return self._resumes(asked)
        if asked["type"] == "balance.get":
            return [self._wallet({"type": "balance", "id": id_, "currency": "EUR"})]
        if asked["type"] == "bet.get":
            state = chance.choice(["pending", "confirmed", "won", "rejected"])
            return [
                {
                    "type": "bet.state",
                    "id": id_,
                    "bet_id": asked["bet_id"],
                    "state": state,
                    "stake": 250,
                    "payout": 0,
                }
            ]
        pending = {"type": "bet.pending", "id": id_, "bet_id": asked["bet_id"]}
        return [pending, self._fate(asked)] if chance.random() < 0.6 else [pending]

    def _fate(self, asked: Json) -> Json:
        id_, bet_id = asked["id"], asked["bet_id"]
        if self.chance.random() < 0.5:
            if self.chance.random() < 0.5:
                self.ledger.append(self.ledger[-1] + 1)
            return self._wallet(
                {
                    "type": "bet.confirmed",
                    "id": id_,
                    "bet_id": bet_id,
                    "stake": 250,
                    "transaction_id": 9,
                    "block": 3,
                }
            ) | {"replayed": self.chance.random() < 0.5}
        is_retryable = self.chance.random() < 0.7
        code = self.chance.choice(RETRYABLE) if is_retryable else "INSUFFICIENT_FUNDS"
        told = {"code": code, "message": "…", "retryable": is_retryable, "replayed": False}
        return {"type": "bet.rejected", "id": id_, "bet_id": bet_id} | told | self._comes_back(is_retryable)

    def _resumes(self, asked: Json) -> list[Json]:
        places = [place for place, seq in enumerate(self.ledger) if seq > asked["from_seq"]][:5]
        is_gap = self.chance.random() < 0.15
        told = [self._entry(place) for place in (places[1:] if is_gap else places)]
        seq = told[-1]["seq"] if told else self.ledger[-1]
        more = bool(places) and places[-1] + 1 < len(self.ledger)
        return [*told, {"type": "resumed", "id": asked["id"], "seq": seq, "more": more, "gap": is_gap}]

    def _wallet(self, message: Json) -> Json:
        seq = self.chance.choice(self.ledger[-3:])
        return message | {"seq": seq, "balance": 1000 + seq, "held": 100, "available": 900 + seq}

    def _error(self, id_: str) -> Json:
        code = self.chance.choice(ERRORS if self.chance.random() < 0.9 else RARE_ERRORS)
        is_retryable = code in ("OUTCOME_UNKNOWN", "INTERNAL")
        told = {"code": code, "message": "…", "retryable": is_retryable}
        return {"type": "error", "id": id_} | told | self._comes_back(is_retryable)

    def _comes_back(self, is_retryable: bool) -> Json:
        if is_retryable and self.chance.random() < 0.5:
            return {"retry_after_ms": self.chance.choice([1, 250, 333, 4000])}
        return {}


def made_up_script(chance: random.Random, steps: int) -> tuple[dict[str, Any], list[Json]]:
    """A script, and what the machine in Python tells of each of its steps."""
    chances = [chance.random() for _ in range(7)]
    server, script = MadeUpServer(chance), Script(chances)
    taken = [{"at": 0, "connected": True}]
    told = [script.step(taken[0])]
    for _ in range(steps):
        taken.append(server.next_step(told[-1]))
        told.append(script.step(taken[-1]))
    return {"steps": taken, "chances": chances}, told
