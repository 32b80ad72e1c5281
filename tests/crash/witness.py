"""The witness: a log of every request sent and every answer heard, and what those answers promise.

The log is the wire's own transcript, one JSON object a line, written and flushed *before* a request leaves
and *as* a reply arrives, by the process that is not killed:

    {"player":7,"seeded":100000}                   a wallet, and what it held at first
    {"run":3}                                      a server process was started
    {"user":7,"sent":{"type":"bet.place",...}}     `id` is unique over the whole log
    {"heard":{"type":"bet.confirmed",...}}

For an operator's requests, `user` is the player whose wallet they move. Each record has `at_ns` as well,
CLOCK_MONOTONIC.
`History` is read from that file alone, so that the check depends on nothing that the load generator believes.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.crash.moves import EXPECTED, REPLIES, REQUESTS, Move
from tests.crash.standing import Standing

Json = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """Something that must not be: which check found it, about what, and the figures."""

    check: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.check}: {self.subject}: {self.detail}"


TAKEN = {"confirmed", "won", "lost", "void", "cashed_out", "rolled_back"}
"""States of a bet whose stake was taken, whatever became of it."""


@dataclass
class Bet:
    """One `bet_id`: how it was sent, and everything heard about it."""

    bet_id: str
    user_id: int
    stake: int
    request: Json
    answers: list[Json] = field(default_factory=list)
    """`bet.confirmed`, and `bet.rejected` with retryable:false: binding, so all must be alike."""
    sendings: int = 0
    unanswered: int = 0
    """Of the sendings: those that may still have an effect."""
    deferrals: int = 0
    found: Json | None = None
    """The first `bet.state` that settled what was open."""
    denied: bool = False
    """A `bet.get` was told that nobody knows it, when whoever had been sent it was dead."""
    sent_since: int = 0
    """Of the sendings: those after it was denied."""
    after: int = 0
    """The newest transaction that had been heard of when it was first sent."""
    lookups: list[Json] = field(default_factory=list)
    """Replies to `bet.get` from when the bet was no longer open: all must be alike."""

    @property
    def standing(self) -> Standing:
        words = [answer["type"] for answer in self.answers]
        state = self.found["state"] if self.found else None
        if "bet.confirmed" in words or state in TAKEN:
            return Standing.CONFIRMED
        if "bet.rejected" in words or state == "rejected":
            return Standing.REFUSED
        return Standing.DEFERRED if self.deferrals and not self.unanswered else Standing.OPEN

    @property
    def acknowledgement(self) -> Json | None:
        """What the player was told first, if anything: an answer, else the `bet.state` that settled it."""
        return self.answers[0] if self.answers else self.found


class History:
    """What the log says, bet by bet."""

    def __init__(self, records: Iterable[Json] = ()) -> None:
        self.bets: dict[str, Bet] = {}
        self.moves: dict[str, Move] = {}
        self.seeded: dict[int, int] = {}
        self.runs = 0
        self.errors: Counter[str] = Counter()
        """Replies of type `error`, by code, but for the `NOT_FOUND` of a `bet.get`."""
        self.confirmed = 0
        """How many bets were heard to be confirmed, each once."""
        self._newest = 0
        self._asked: dict[str, Json] = {}
        self._read_bytes = 0
        for record in records:
            self.add(record)

    def catch_up(self, log: Path) -> None:
        """Take in what `log` holds beyond what was read of it before."""
        with log.open("rb") as lines:
            lines.seek(self._read_bytes)
            for line in lines:
                self.add(json.loads(line))
            self._read_bytes = lines.tell()

    def open_moves(self) -> list[Move]:
        """The moves of which nobody has heard whether they happened."""
        return [move for move in self.moves.values() if move.standing is Standing.OPEN]

    def standing(self, standing: Standing) -> list[Bet]:
        """The bets that stand so, in the order in which they were first sent."""
        return [bet for bet in self.bets.values() if bet.standing is standing]

    def add(self, record: Json) -> None:
        """Take in one record. Raises `KeyError` for a reply to a request that the log does not hold."""
        if "heard" in record:
            message = record["heard"]
            if message.get("id") is not None:
                self._hear(message, self._asked[message["id"]])
        elif "sent" in record:
            request = record["sent"]
            self._asked[request["id"]] = request
            if request["type"] == "bet.place":
                fresh = Bet(request["bet_id"], record["user"], request["stake"], request, after=self._newest)
                bet = self.bets.setdefault(request["bet_id"], fresh)
                bet.sendings += 1
                bet.unanswered += 1
                bet.sent_since += bet.denied
            elif request["type"] in REQUESTS:
                staked = self.bets[request["bet_id"]].stake if "bet_id" in request else 0
                asked = Move(request["key"], record["user"], staked, request, after=self._newest)
                move = self.moves.setdefault(request["key"], asked)
                move.sendings += 1
                move.unanswered += 1
        elif "player" in record:
            self.seeded[record["player"]] = record["seeded"]
        elif "run" in record:
            self.runs = record["run"]
            for move in self.moves.values():
                move.orphaned = move.unanswered

    def _hear(self, message: Json, request: Json) -> None:
        self._newest = max(self._newest, message.get("transaction_id") or 0)
        if request["type"] in REQUESTS:
            self._hear_move(self.moves[request["key"]], message)
            return
        bet = self.bets[request["bet_id"]]
        if request["type"] == "bet.get":
            self._look_up(bet, message)
        elif message["type"] == "bet.confirmed" or (
            message["type"] == "bet.rejected" and not message["retryable"]
        ):
            bet.unanswered -= 1
            self.confirmed += message["type"] == "bet.confirmed" and not bet.answers
            bet.answers.append(message)
        elif message["type"] == "bet.rejected":
            bet.unanswered -= 1
            bet.deferrals += 1
        elif message["type"] == "error":
            self.errors[message["code"]] += (
                1  # says nothing about the bet, which stays as unanswered as it was
            )

    def _hear_move(self, move: Move, message: Json) -> None:
        if message["type"] in REPLIES:
            move.unanswered -= 1
            move.answers.append(message)
        elif message.get("retryable") and message["code"] != "OUTCOME_UNKNOWN":
            move.unanswered -= 1
            move.deferrals += 1
        elif message["code"] in EXPECTED:
            # Known keys are answered first: what was sent to a server that has ended did not happen.
            move.unanswered -= 1 + move.orphaned
            move.orphaned = 0
            move.answers.append(message)
        else:
            self.errors[message["code"]] += 1

    def _look_up(self, bet: Bet, message: Json) -> None:
        if bet.standing is not Standing.OPEN:
            bet.lookups.append(message)
        elif message["type"] == "bet.state" and message["state"] != "pending":
            bet.found = message
        elif message["type"] == "error" and message["code"] == "NOT_FOUND":
            # Asked only once the server that could have decided it is dead: what that one was sent is void.
            bet.unanswered = 0
            bet.denied, bet.sent_since = True, 0

    def contradictions(self) -> Iterator[Finding]:
        """Where the answers alone disagree, whatever the books say."""
        for code, times in self.errors.items():
            if code != "OUTCOME_UNKNOWN":
                yield Finding("unexpected_error", code, f"heard {times} times for a well-formed request")
        for move in self.moves.values():
            done = [_telling(answer) for answer in move.answers if answer["type"] in REPLIES]
            if any(one != done[0] for one in done):
                yield Finding("answers_differ", move.key, f"{move.answers}")
            if sum(answer.get("replayed") is False for answer in move.answers) > 1:
                yield Finding("answered_anew", move.key, f"replayed:false for what was known: {move.answers}")
            if move.told is not None and move.told["transaction_id"] <= move.after:
                yield Finding("out_of_order", move.key, f"asked after {move.after} was told: {move.told}")
        for bet in self.bets.values():
            first, *others = [_telling(answer) for answer in bet.answers] or [{}]
            if any(other != first for other in others):
                yield Finding("answers_differ", bet.bet_id, f"{bet.answers}")
            if sum(not answer["replayed"] for answer in bet.answers) + (bet.found is not None) > 1:
                yield Finding(
                    "answered_anew", bet.bet_id, f"replayed:false for what was known: {bet.answers}"
                )
            # Only what was sent after that can have been executed; known to it, only what was sent twice.
            executed = 2 if any(answer["replayed"] for answer in bet.answers[:1]) else 1
            if bet.denied and bet.acknowledgement is not None and bet.sent_since < executed:
                yield Finding("denied_but_known", bet.bet_id, f"NOT_FOUND, and then {bet.acknowledgement}")
            told = bet.acknowledgement or {}
            if "transaction_id" in told and told["transaction_id"] <= bet.after:
                yield Finding("out_of_order", bet.bet_id, f"sent after {bet.after} was told: {told}")
            lookups = [_telling(lookup) for lookup in [*([bet.found] if bet.found else []), *bet.lookups]]
            if any(lookup != lookups[0] for lookup in lookups):
                yield Finding("lookups_differ", bet.bet_id, f"{lookups}")
            for lookup in lookups:
                if not _agree(bet, lookup):
                    yield Finding("lookup_denies_answer", bet.bet_id, f"{bet.acknowledgement}, then {lookup}")


def _agree(bet: Bet, lookup: Json) -> bool:
    """Whether a reply to `bet.get` says of the bet what its answer said."""
    told = bet.acknowledgement
    if bet.standing is not Standing.CONFIRMED or told is None:
        return lookup.get("state") not in TAKEN
    return all(lookup.get(name) == told[name] for name in ("transaction_id", "seq", "stake"))


def _telling(message: Json) -> Json:
    """`message` without what may differ between two tellings of the same answer."""
    return {name: value for name, value in message.items() if name not in ("id", "replayed")}


HEARD = REPLIES | {"bet.confirmed", "bet.rejected", "bet.state", "error"}


class Witness:
    """Keeps the log of one trial. Each record is in the file, flushed, before the caller goes on."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("x", encoding="utf-8")
        self._ids = 0
        self.acknowledged = 0
        """Bets with a binding first answer, since the last `run`."""

    def record(self, **record: Any) -> None:
        record |= {"at_ns": time.monotonic_ns()}
        self._log.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._log.flush()

    def run(self, number: int) -> None:
        """A server process was started: its number, from 1."""
        self.acknowledged = 0
        self.record(run=number)

    def sending(self, user_id: int, request: Json) -> Json:
        """Log `request`, about to be sent for `user_id`; the request with the `id` to send it with."""
        self._ids += 1
        request = request | {"id": f"w{self._ids}"}
        self.record(user=user_id, sent=request)
        return request

    def heard(self, message: Json) -> None:
        """Log `message` if it is a reply that binds or excuses; for `wire.connect(on_message=…)`."""
        if message["type"] in HEARD:
            self.record(heard=message)
            if message["type"] in ("bet.confirmed", "bet.rejected"):
                self.acknowledged += not message.get("retryable") and not message["replayed"]

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._log.close()
