"""Kill the server with SIGKILL while bets are in flight, and hold its books against what it had promised.

    python -m tests.crash.kill_cycles --cycles 20 --sockets 24 --acks 1000

Players bet, and an operator ends bets in every way there is and moves money in and out (`moves.py`).
One cycle: load until at least `--acks` bets are acknowledged, SIGKILL at a random moment, then
1. *autopsy*: audit the file as the crash left it, before any process opens it;
2. restart; ask for every bet without an answer, then send it again with the same `bet_id`, and so refused
   bets and some confirmed ones (what is known must be replayed, the same again); ask for all of these; send
   every move without an answer again, under its key;
3. stop a second time (SIGKILL and SIGTERM in turn); audit the file again, now with nothing left open;
4. restart; ask once more (the answers must agree); let `solidgreen reconcile` judge the live file.

Exit status: 0 when there is nothing to report; 1 with a line for each finding (the first 40), and then the
log and the copies of the file are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.process import Server, token
from tests.crash.audit import audit, read_books, snapshot
from tests.crash.load import OPERATOR, Player, Table, seat_players
from tests.crash.moves import KINDS, kinds
from tests.crash.standing import Standing
from tests.crash.trial import reconciled, report
from tests.crash.witness import Bet, Finding, History, Witness

LOAD_WITHIN_S = 60.0  # to reach the acknowledgements of a cycle
KILL_WITHIN_S = 0.05  # after that, at random
REPLAYED_BETS = 50  # confirmed bets of a cycle that are sent once more after the crash


@dataclass
class Cycle:
    """What one cycle showed. Counts are of bets sent in it, unless they say otherwise."""

    number: int
    acknowledged: int = 0
    refused: int = 0
    deferred: int = 0
    doubled: int = 0
    """Sent twice, on purpose, before the kill."""
    unknown: int = 0
    """Without a binding answer when the server was killed; each is `found`, or not and `retried`."""
    found: int = 0
    retried: int = 0
    moved: int = 0
    """Acknowledged moves of the operator's: settlements, rollbacks, cash-outs, money in and out."""
    move_kinds: set[tuple[str, str | None]] = field(default_factory=set)
    moves_unknown: int = 0
    accounts: int = 0
    entries_total: int = 0
    """Sum over the whole ledger, minor units: 0."""
    players_total: int = 0
    """Sum of the players' balances, minor units."""
    findings: list[Finding] = field(default_factory=list)
    took_s: float = 0.0

    def count(self, check: str) -> int:
        """How many findings are of `check`."""
        return sum(finding.check == check for finding in self.findings)

    def __str__(self) -> str:
        return (
            f"cycle {self.number:3}: acknowledged {self.acknowledged} (refused {self.refused}),"
            f" deferred {self.deferred}, sent twice {self.doubled},"
            f" unknown at kill {self.unknown} (found {self.found}, retried {self.retried}),"
            f" moves {self.moved} (unknown {self.moves_unknown}),"
            f" lost {self.count('lost')}, duplicated {self.count('duplicated')};"
            f" {self.accounts} accounts, players hold {self.players_total},"
            f" ledger sums to {self.entries_total}; {len(self.findings)} findings, {self.took_s:.1f} s"
        )


class Trial:
    """Kill cycles on one database file in `folder`, which also gets the log and the copies of the file."""

    def __init__(
        self,
        folder: Path,
        *,
        sockets: int,
        acks: int,
        seed: str,
        redis_url: str | None = None,
        module: str = "cli.main",
    ) -> None:
        """`module`: what is run as the server."""
        self._folder = folder
        self._db = folder / "crash.db"
        self._log = folder / "witness.jsonl"
        self._sockets = sockets
        self._acks = acks
        self._seed = seed
        self._rng = random.Random(seed)
        self._server = Server(self._db, redis_url=redis_url, module=module)
        self._witness = Witness(self._log)
        self._history = History()
        self._players: list[Player] = []
        self._operator = ""
        self._starts = 0

    def run(self, cycles: int, until: str | None = None) -> list[Cycle]:
        """Seed the file, run the cycles, print a line for each; one that finds something is the last: by the
        check `until`, if that is named."""
        shown: list[Cycle] = []
        with self._witness:
            self._players = seat_players(self._db, self._witness, self._sockets, self._server.module)
            self._operator = token(self._db, OPERATOR, "operator", self._server.module)
            self._start()
            try:
                for number in range(1, cycles + 1):
                    shown.append(asyncio.run(self._cycle(number)))
                    print(shown[-1], flush=True)
                    if shown[-1].count(until) if until else shown[-1].findings:
                        break
            finally:
                self._server.__exit__()
        return shown

    def _start(self) -> None:
        self._server.start()
        self._starts += 1
        self._witness.run(self._starts)

    async def _cycle(self, number: int) -> Cycle:
        began, before = time.monotonic(), len(self._history.bets)
        moves_before = len(self._history.moves)
        cycle = Cycle(number)
        await self._load_and_kill(number)

        history = self._history
        history.catch_up(self._log)
        mine = list(history.bets.values())[before:]
        unknown = [bet for bet in mine if bet.standing is Standing.OPEN]
        cycle.unknown = len(unknown)
        cycle.acknowledged = sum(bool(bet.answers) for bet in mine)
        cycle.refused = sum(bet.standing is Standing.REFUSED for bet in mine)
        cycle.doubled = sum(bet.sendings > 1 for bet in mine)
        cycle.deferred = sum(bet.standing is Standing.DEFERRED for bet in mine)
        moves = list(history.moves.values())[moves_before:]
        cycle.moved = sum(move.told is not None for move in moves)
        cycle.move_kinds = kinds(moves)
        cycle.moves_unknown = len(history.open_moves())
        cycle.findings += self._audit(f"{number}-killed", cycle, may_be_open=True)

        self._start()
        asked = await self._resolve(unknown, mine, cycle)
        if number % 2:
            self._server.kill()
        elif (status := self._server.stop()) != 0:
            cycle.findings.append(Finding("exit_status", "server", f"{status} after SIGTERM"))
        history.catch_up(self._log)
        cycle.findings += self._audit(f"{number}-resolved", cycle, may_be_open=False)

        self._start()
        async with Table(self._server.ws, self._witness) as table:
            await table.sit(self._players, len(self._players), self._operator)
            await table.look_up(asked)
        history.catch_up(self._log)
        cycle.findings += [*history.contradictions(), *reconciled(self._db, cycle.accounts)]
        # The two audits may have found the same thing: once is enough.
        cycle.findings = list({(found.check, found.subject): found for found in cycle.findings}.values())
        cycle.took_s = time.monotonic() - began
        return cycle

    async def _load_and_kill(self, number: int) -> None:
        async with Table(self._server.ws, self._witness) as table:
            await table.sit(self._players, self._sockets, self._operator)
            target = self._witness.acknowledged + self._acks + self._rng.randrange(self._acks)
            async with asyncio.timeout(LOAD_WITHIN_S), asyncio.TaskGroup() as tasks:
                tasks.create_task(table.play(f"{self._seed}/{number}"))
                while self._witness.acknowledged < target:
                    process = self._server.process
                    assert process is not None
                    assert process.poll() is None, "the server ended before it was killed; see its log"
                    await asyncio.sleep(0.001)
                await asyncio.sleep(self._rng.uniform(0, KILL_WITHIN_S))
                self._server.kill()

    async def _resolve(self, unknown: list[Bet], mine: list[Bet], cycle: Cycle) -> list[Bet]:
        """Learn what became of `unknown`, replay what was answered; the bets to ask for once more."""
        refused = [bet for bet in mine if bet.standing is Standing.REFUSED]
        confirmed = [bet for bet in mine if bet.standing is Standing.CONFIRMED]
        replayed = refused + self._rng.sample(confirmed, min(REPLAYED_BETS, len(confirmed)))
        async with Table(self._server.ws, self._witness) as table:
            await table.sit(self._players, len(self._players), self._operator)
            await table.move_again(self._history.open_moves())
            await table.look_up(unknown)
            self._history.catch_up(self._log)
            missing = [bet for bet in unknown if bet.standing is Standing.OPEN]
            cycle.found, cycle.retried = len(unknown) - len(missing), len(missing)
            await table.place_again([*unknown, *replayed])
            await table.look_up([*unknown, *replayed])
        return [*unknown, *replayed]

    def _audit(self, name: str, cycle: Cycle, *, may_be_open: bool) -> list[Finding]:
        """Audit a copy of the file, made while no process has it open, and keep it if it shows something."""
        folder = self._folder / name
        books = read_books(snapshot(self._db, folder))
        findings = audit(books, self._history, may_be_open=may_be_open)
        cycle.accounts = len(books.balances)
        cycle.entries_total = sum(books.ledger.values())
        cycle.players_total = sum(books.balances.get(user_id, 0) for user_id in self._history.seeded)
        if not findings:
            shutil.rmtree(folder)
        return findings


def vacuous(shown: list[Cycle]) -> list[Finding]:
    """What the cycles together failed to try: a trial in which nothing was in flight proves nothing."""
    tried = {
        "bets unknown at kill": sum(cycle.unknown for cycle in shown),
        "refused bets": sum(cycle.refused for cycle in shown),
        "bets sent twice": sum(cycle.doubled for cycle in shown),
        "moves unknown at kill": sum(cycle.moves_unknown for cycle in shown),
        **{
            f"{type_} {result or ''}".rstrip(): any((type_, result) in cycle.move_kinds for cycle in shown)
            for type_, result in KINDS
        },
    }
    return [Finding("vacuous", what, "none in any cycle") for what, times in tried.items() if not times]


def summary(shown: list[Cycle], sockets: int) -> str:
    """The whole trial in a few lines."""

    def total(name: str) -> int:
        return sum(getattr(cycle, name) for cycle in shown)

    last = shown[-1]
    return "\n".join(
        (
            f"cycles        {len(shown)}, each with {sockets} sockets; {sum(c.took_s for c in shown):.0f} s",
            f"acknowledged  {total('acknowledged')}, of which refused {total('refused')};"
            f" least in a cycle {min(cycle.acknowledged for cycle in shown)}",
            f"unknown       {total('unknown')} at kill: found {total('found')}, retried {total('retried')}",
            f"moved         {total('moved')} times by the operator; unknown {total('moves_unknown')} at kill,"
            " all sent again",
            f"lost          {sum(cycle.count('lost') for cycle in shown)}",
            f"duplicated    {sum(cycle.count('duplicated') for cycle in shown)}",
            f"sums          ledger {last.entries_total}; {last.accounts} accounts, balance = own entries in"
            f" {last.accounts - last.count('balance')}; players hold {last.players_total}",
            f"findings      {sum(len(cycle.findings) for cycle in shown)}",
        )
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="kill_cycles", description="Kill -9 under load, and check the books."
    )
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--sockets", type=int, default=24, help="open at once, at least 6 (default 24)")
    parser.add_argument("--acks", type=int, default=1000, help="least acknowledgements before each kill")
    parser.add_argument(
        "--seed", default=secrets.token_hex(4), help="for stakes and moments; a fresh one is printed"
    )
    parser.add_argument("--redis-url", help="let the server keep its nonces there")
    parser.add_argument(
        "--server", default="cli.main", help="what is killed: one of tests.broken must be found out"
    )
    options = parser.parse_args(arguments)
    if options.cycles < 1 or options.sockets < 6 or options.acks < 1:
        parser.error("at least 1 cycle, 6 sockets and 1 acknowledgement")

    folder = Path(tempfile.mkdtemp(prefix="kill-cycles-"))
    print(f"seed {options.seed}; evidence in {folder}", flush=True)
    trial = Trial(
        folder,
        sockets=options.sockets,
        acks=options.acks,
        seed=options.seed,
        redis_url=options.redis_url,
        module=options.server,
    )
    shown = trial.run(options.cycles)
    print(summary(shown, options.sockets))
    findings = [finding for cycle in shown for finding in cycle.findings] + vacuous(shown)
    if not findings:
        shutil.rmtree(folder)
    return report(findings)


if __name__ == "__main__":
    sys.exit(main())
