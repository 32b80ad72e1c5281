"""Faults of Redis, one after the other, while bets are placed, repeated and misused; then an audit.

    python -m tests.redis_storm --seconds 300

A real server, a real Redis behind a proxy, real sockets. Each fault begins and ends under load; then the
server has to be well again by itself. What may not be: money that moved twice or was told otherwise, an
honest bet refused for its nonce, a bet that waits longer for Redis than 250 ms, an outage that is not one
warning and one line of info.

Exit status: 0 when there is nothing to report; 1 with a line for each finding.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
import tempfile
import time
import urllib.request
from collections import Counter, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.process import PATIENT, Server, seed
from harness.wire import Wire, bet, connect, now_ms
from tests.crash.audit import audit, read_books, snapshot
from tests.crash.standing import Standing
from tests.crash.trial import reconciled, report
from tests.crash.witness import Finding, History, Witness
from tests.redis_faults import FAULTS, Redis, redis_behind_a_proxy

Json = dict[str, Any]

PLAYERS = 6
BETTORS = 3  # a player's socket keeps so many bets in flight
STAKE_MAX = 50
PAUSE_MAX_S = 0.02  # between two bets of one bettor: about a thousand a second in all
SAME_BET_SHARE = 0.1  # the same bet once more, at once or after its answer: one bet_id, one nonce
SAME_NONCE_SHARE = 0.05  # another bet with a nonce that was used a moment ago: what the nonces are there for

STABLE_MS = 1000  # so that a storm is no day's work; long enough that no fault here recovers while it lasts
BACK_WITHIN_S = 30.0
BEFORE_S, AFTER_S = 0.7, 0.3  # of betting without a fault, to compare with, and to notice the end as well
FOR_REDIS_S = 0.25
SLACK_S = 0.75
"""What a machine that others use may add to the slowest of some thousand bets, most of it to COMMIT. How long
Redis alone is waited for is measured in test_redis_waits, beside the loop's own delays."""


@dataclass
class Passage:
    """What was seen from just before one fault until the server was well again."""

    fault: str
    before_s: float = 0.0
    """The slowest bet before it."""
    slowest_s: float = 0.0
    """The slowest bet from its beginning on."""
    bets: int = 0
    warnings: int = 0
    infos: int = 0
    back_after_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.fault:18}: {self.bets:5} bets, slowest {self.slowest_s * 1000:4.0f} ms"
            f" (before it {self.before_s * 1000:4.0f}); {self.warnings} warnings, {self.infos} infos,"
            f" well again after {self.back_after_s:4.1f} s; {len(self.findings)} findings"
        )


class Storm:
    """One server, one Redis, and players who bet until they are told to stop."""

    def __init__(self, folder: Path, redis: Redis, *, seed: str, module: str = "cli.main") -> None:
        self.answers: Counter[str] = Counter()
        self.reused: Counter[str] = Counter()
        """What became of other bets under a used nonce."""
        self.findings: list[Finding] = []
        self._redis = redis
        self._db = folder / "storm.db"
        self._log = folder / "witness.jsonl"
        self._witness = Witness(self._log)
        self._rng = random.Random(seed)
        settings = {**PATIENT, "nonce_stable_ms": str(STABLE_MS)}
        self._server = Server(self._db, redis_url=redis.proxy.url, settings=settings, module=module)
        self._is_over = asyncio.Event()
        self._slowest_s = 0.0
        self._bets = 0
        self._read_bytes = 0
        self._wires: list[tuple[int, Wire]] = []

    async def run(self, passages: list[tuple[str, float]]) -> list[Passage]:
        """Go through these faults, each for so many seconds, and audit the books."""
        self._seat_players()
        shown = []
        with self._witness, self._server as server:
            async with AsyncExitStack() as sockets:
                for user_id, token in self._players:
                    opening = connect(server.ws, token, within_s=30, on_message=self._witness.heard)
                    self._wires.append((user_id, await sockets.enter_async_context(opening)))
                async with asyncio.TaskGroup() as tasks:
                    for user_id, wire in self._wires:
                        for number in range(BETTORS):
                            rng = random.Random(f"{self._rng.random()}/{number}")
                            tasks.create_task(self._bet_on(user_id, wire, rng))
                    for fault, lasts_s in passages:
                        shown.append(await self._pass(fault, lasts_s))
                        print(shown[-1], flush=True)
                    self._is_over.set()
                await self._resolve()
            self.findings += reconciled(self._db)
        self.findings += self._audit()
        return shown

    def _seat_players(self) -> None:
        players = seed(self._db, PLAYERS, 1_000_000_000)
        self._players = [(player["id"], player["token"]) for player in players]
        for player in players:
            self._witness.record(player=player["id"], seeded=player["balance"])
        self._witness.run(1)

    # -- the load

    async def _bet_on(self, user_id: int, wire: Wire, rng: random.Random) -> None:
        used: deque[str] = deque(maxlen=50)
        while not self._is_over.is_set():
            await asyncio.sleep(rng.uniform(0, PAUSE_MAX_S))
            request = bet(rng.randint(1, STAKE_MAX))
            if used and rng.random() < SAME_NONCE_SHARE:
                answer = await self._place(user_id, wire, request | {"nonce": rng.choice(used)})
                self.reused[answer.get("code") or answer["type"]] += 1
                continue
            copies = [self._place(user_id, wire, request)]
            if (is_twice := rng.random() < SAME_BET_SHARE) and rng.random() < 0.5:
                copies.append(self._place(user_id, wire, request))
            answers = await asyncio.gather(*copies)
            if is_twice:
                answers.append(await self._place(user_id, wire, request | {"sent_at": now_ms()}))
            for answer in answers:
                code = answer.get("code") or answer["type"]
                self.answers[code] += 1
                if code == "NONCE_REUSED":
                    self.findings.append(Finding("honest_nonce_refused", request["bet_id"], f"{answer}"))
            used.append(request["nonce"])

    async def _place(self, user_id: int, wire: Wire, request: Json) -> Json:
        sent_s = time.monotonic()
        (exchange,) = await wire.send(self._witness.sending(user_id, request))
        answer = await exchange.answer()
        self._slowest_s = max(self._slowest_s, time.monotonic() - sent_s)
        self._bets += 1
        return answer

    # -- one fault

    async def _pass(self, name: str, lasts_s: float) -> Passage:
        fault, passage = FAULTS[name], Passage(name)
        self._slowest_s = 0.0
        await asyncio.sleep(BEFORE_S)
        passage.before_s, bets = self._slowest_s, self._bets
        self._slowest_s = 0.0
        await asyncio.to_thread(fault.begin, self._redis)
        await asyncio.sleep(lasts_s)
        during = await self._ready()
        await asyncio.to_thread(fault.end, self._redis)
        ended_s = time.monotonic()
        await asyncio.sleep(AFTER_S)
        while (await self._ready())["nonces"]["status"] != "ok":
            if time.monotonic() - ended_s > BACK_WITHIN_S:
                passage.findings.append(Finding("not_back", name, f"{await self._ready()}"))
                break
            await asyncio.sleep(0.05)  # another process brings it about, and gives no other sign
        passage.back_after_s = time.monotonic() - ended_s
        await asyncio.sleep(AFTER_S)
        passage.slowest_s, passage.bets = self._slowest_s, self._bets - bets
        passage.warnings, passage.infos = self._said()
        passage.findings += self._judge(passage, during, fault.is_outage)
        return passage

    def _judge(self, passage: Passage, during: Json, is_outage: bool | None) -> list[Finding]:
        findings = []
        if passage.slowest_s > passage.before_s + FOR_REDIS_S + SLACK_S:
            findings.append(Finding("waited", passage.fault, f"{passage.slowest_s:.3f} s"))
        if passage.warnings != passage.infos or passage.warnings > 1 or (is_outage and not passage.warnings):
            said = f"{passage.warnings} warnings, {passage.infos} infos"
            findings.append(Finding("log", passage.fault, said))
        if during["status"] != "ready" or (is_outage and during["nonces"]["status"] != "degraded"):
            findings.append(Finding("health", passage.fault, f"{during}"))
        if not passage.bets:
            findings.append(Finding("vacuous", passage.fault, "nobody bet"))
        return findings

    async def _ready(self) -> Json:
        def ask() -> Json:
            with urllib.request.urlopen(f"{self._server.http}/health/ready", timeout=30) as answer:
                report: Json = json.load(answer)
            return report

        return await asyncio.to_thread(ask)

    def _said(self) -> tuple[int, int]:
        """Warnings and infos since the last time."""
        assert self._server.log is not None
        said = self._server.log.read_bytes()[self._read_bytes :]
        self._read_bytes += len(said)
        return said.count(b"nonces are checked in memory"), said.count(b"the nonce store is back")

    # -- the end

    async def _resolve(self) -> None:
        """Have every bet answered for good: what was refused for its nonce gets one of its own."""
        history = History()
        history.catch_up(self._log)
        wires = dict(self._wires)
        for open_ in [*history.standing(Standing.OPEN), *history.standing(Standing.DEFERRED)]:
            request = open_.request | {"nonce": secrets.token_hex(12), "sent_at": now_ms()}
            await self._place(open_.user_id, wires[open_.user_id], request)

    def _audit(self) -> list[Finding]:
        history = History()
        history.catch_up(self._log)
        del history.errors["NONCE_REUSED"]  # asked for; what honest bets heard is judged where they heard it
        books = read_books(snapshot(self._db, self._db.parent / "audited"))
        assert self._server.log is not None
        tracebacks = self._server.log.read_text().count("Traceback")
        return [
            *audit(books, history, may_be_open=True),
            *history.contradictions(),
            *([Finding("traceback", "server", f"{tracebacks} in its log")] if tracebacks else []),
        ]


def vacuous(storm: Storm) -> list[Finding]:
    """What was not tried at all."""
    tried = {
        "bets confirmed": storm.answers["bet.confirmed"],
        "nonces of other bets refused": storm.reused["NONCE_REUSED"],
    }
    return [Finding("vacuous", what, "none") for what, times in tried.items() if not times]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="redis_storm", description="Faults of Redis under load.")
    parser.add_argument("--seconds", type=float, default=300, help="about so long (default 300)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="of faults, their length and the stakes")
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    passages: list[tuple[str, float]] = []
    planned_s = 0.0
    while planned_s < options.seconds:
        for name in rng.sample(list(FAULTS), len(FAULTS)):  # each once before any comes again
            passages.append((name, rng.choice([0.3, 1.0, 1.5])))
            planned_s += 4.5  # as measured: before, the fault, and some three until all is well again
    print(f"seed {options.seed}: {len(passages)} faults", flush=True)
    with tempfile.TemporaryDirectory(prefix="redis-storm-") as folder, redis_behind_a_proxy() as redis:
        storm = Storm(Path(folder), redis, seed=options.seed)
        shown = asyncio.run(storm.run(passages))
    findings = [finding for passage in shown for finding in passage.findings]
    findings += storm.findings + vacuous(storm)
    print(
        f"{len(shown)} faults, bets {dict(storm.answers)}, other bets under used nonces {dict(storm.reused)},"
        f" slowest {max(passage.slowest_s for passage in shown) * 1000:.0f} ms; {len(findings)} findings"
    )
    return report(findings)


if __name__ == "__main__":
    sys.exit(main())
