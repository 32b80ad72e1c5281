"""Back a server up under load, restore that elsewhere, serve it, and hold it against what clients had heard.

    python -m tests.crash.backup_drills --drills 10

One drill: with bets in flight, `backup`; `restore` to another file; serve that and ask, as each player, for
every bet confirmed since the last drill. Those up to the newest block of the backup must be there, those
after it must not: the backup is of one moment, and not before it was asked for. Then a bet is placed on what
was restored, and `reconcile` judges it. At the end it judges the file that was served all the time.

Exit status: 0 when there is nothing to report; 1 with a line for each finding.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from harness.process import Server, seed, solidgreen
from harness.wire import Wire, bet, connect
from tests.crash.trial import ask_each, reconciled, report

PLAYERS = 8
IN_FLIGHT = 8  # bets of each player
PAUSE_S = 0.03  # of each, between an answer and the next bet: 2,000 bets/s if they are answered at once
BALANCE = 1_000_000_000
BETS_BEFORE = 500  # confirmed since the last drill, at least
LOAD_WITHIN_S = 60.0


@dataclass
class Drill:
    """What one drill showed. Counts are of bets confirmed since the last one."""

    number: int
    block: int
    """The newest in the backup."""
    before: int = 0
    """Confirmed before the backup was asked for."""
    during: int = 0
    """Confirmed between that and its end."""
    found: int = 0
    after_it: int = 0
    """Later than the backup's newest block, and rightly not found."""
    took_s: float = 0.0
    """From the call to the end of `backup`."""
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"drill {self.number:3}: {self.before} confirmed before, {self.during} during the backup"
            f" ({self.took_s:.1f} s, to block {self.block}); found {self.found}, later {self.after_it};"
            f" {len(self.findings)} findings"
        )


class Load:
    """Players who bet while `on`, and remember the block of each bet."""

    def __init__(self) -> None:
        self.blocks: dict[str, tuple[int, int]] = {}
        """Since it was last taken: the id of a confirmed bet, its player's place and its block."""
        self.on = asyncio.Event()

    async def play(self, wire: Wire, place: int) -> None:
        """Bet until cancelled."""
        while await self.on.wait():
            answer = await wire.ask(bet(1))
            if answer["type"] == "bet.confirmed":
                self.blocks[answer["bet_id"]] = (place, answer["block"])
            await asyncio.sleep(PAUSE_S)

    async def until(self, confirmed: int) -> None:
        """Wait until so many are remembered. Raises `TimeoutError`."""
        async with asyncio.timeout(LOAD_WITHIN_S):
            while len(self.blocks) < confirmed:
                await asyncio.sleep(0.01)


async def drills(folder: Path, count: int) -> list[Drill]:
    """Run `count` drills on one server in `folder`, which gets the files."""
    live = folder / "live.db"
    tokens = [player["token"] for player in seed(live, PLAYERS, BALANCE)]
    shown = []
    with Server(live) as server:
        load = Load()
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            wires = [await stack.enter_async_context(connect(server.ws, token)) for token in tokens]
            players = [
                tasks.create_task(load.play(wire, place % PLAYERS))
                for place, wire in enumerate(wires * IN_FLIGHT)
            ]
            for number in range(1, count + 1):
                shown.append(await _drill(folder, number, load, tokens))
                print(shown[-1], flush=True)
            for player in players:
                player.cancel()
        shown[-1].findings += map(str, await asyncio.to_thread(reconciled, live))
    return shown


async def _drill(folder: Path, number: int, load: Load, tokens: list[str]) -> Drill:
    kept, restored = folder / f"{number}.backup", folder / f"{number}.db"
    load.on.set()
    await load.until(BETS_BEFORE)
    before = dict(load.blocks)
    began_s = time.monotonic()
    made = await asyncio.to_thread(
        solidgreen, "backup", "--db", str(folder / "live.db"), str(kept), "--json", check=False
    )
    took_s = time.monotonic() - began_s
    load.on.clear()  # what is in flight now belongs to the next drill
    confirmed, load.blocks = load.blocks, {}
    if made.returncode != 0:
        return Drill(number, 0, findings=[f"backup: {made.returncode} {made.stdout}{made.stderr}"])
    drill = Drill(number, json.loads(made.stdout)["block"], len(before), len(confirmed) - len(before))
    drill.took_s = took_s
    missing = [bet_id for bet_id, (_, block) in before.items() if block > drill.block]
    drill.findings += [
        f"bet {bet_id} was confirmed before the backup, which ends earlier" for bet_id in missing
    ]
    await asyncio.to_thread(solidgreen, "restore", str(kept), "--db", str(restored))
    server = Server(restored)
    await asyncio.to_thread(server.start)
    try:
        for place, token in enumerate(tokens):
            async with connect(server.ws, token) as wire:
                own = {bet_id: block for bet_id, (player, block) in confirmed.items() if player == place}
                await _look_up(wire, own, drill)
                if (await wire.ask(bet(1)))["type"] != "bet.confirmed":
                    drill.findings.append(f"player {place} cannot bet on what was restored")
    finally:
        await asyncio.to_thread(server.stop)
    drill.findings += map(str, await asyncio.to_thread(reconciled, restored))
    return drill


async def _look_up(wire: Wire, own: dict[str, int], drill: Drill) -> None:
    answers = await ask_each(wire, [{"type": "bet.get", "bet_id": bet_id} for bet_id in own])
    for (bet_id, block), answer in zip(own.items(), answers, strict=True):
        is_there = answer["type"] == "bet.state" and answer["state"] == "confirmed"
        is_absent = answer.get("code") == "NOT_FOUND"
        drill.found += is_there
        drill.after_it += is_absent
        if not (is_there if block <= drill.block else is_absent):
            drill.findings.append(f"bet {bet_id} of block {block}: {answer}")


def vacuous(shown: list[Drill]) -> list[str]:
    """Why the drills, taken together, prove less than they say."""
    if not any(drill.during for drill in shown):
        return ["no bet was confirmed during any backup: there was no load"]
    if not any(drill.after_it for drill in shown):
        return ["no bet was later than its backup: nothing shows that a backup is of one moment"]
    return []


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="backup_drills", description="Back up and restore under load.")
    parser.add_argument("--drills", type=int, default=10)
    count = parser.parse_args(arguments).drills
    if count < 1:
        parser.error("at least 1 drill")
    with tempfile.TemporaryDirectory(prefix="backup-drills-") as folder:
        shown = asyncio.run(drills(Path(folder), count))
    return report([finding for drill in shown for finding in drill.findings] + vacuous(shown))


if __name__ == "__main__":
    sys.exit(main())
