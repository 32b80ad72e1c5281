"""What is recorded: a server seeded, loaded, stopped, loaded, killed, loaded, and what its clients heard.

Each start makes the files anew or recovers them, and each run is long enough for the log to be carried over
into the database under way: that is where the order of syncs matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.process import Server, token
from tests.crash.load import OPERATOR, Player, Table, seat_players
from tests.crash.standing import Standing
from tests.crash.witness import History, Witness
from tests.powercut.recording import build, close_what_a_kill_left_open, recorded

LOAD_WITHIN_S = 300.0  # to reach the acknowledgements of one run


@dataclass(frozen=True)
class Evidence:
    """Where a recording is kept."""

    folder: Path

    @property
    def db(self) -> Path:
        return self.folder / "served" / "cut.db"

    @property
    def calls(self) -> Path:
        """What the server did to its files."""
        return self.folder / "calls.log"

    @property
    def heard(self) -> Path:
        """What its clients sent and heard."""
        return self.folder / "witness.jsonl"


@dataclass(frozen=True)
class Load:
    """A server and those who play on it, run after run."""

    evidence: Evidence
    server: Server
    witness: Witness
    players: list[Player]
    operator: str
    """Whose token it is."""
    sockets: int

    async def run(self, acks: int, seed: str, end: Callable[[], object]) -> None:
        """Learn what became of what the last run left open, play until so many are acknowledged, and call
        `end` while all are playing on.
        """
        history = History()
        history.catch_up(self.evidence.heard)
        unknown = history.standing(Standing.OPEN)
        async with Table(self.server.ws, self.witness) as table:
            await table.sit(self.players, self.sockets, self.operator)
            # What is read of an earlier run is a promise as well: it must be on disk before it is told.
            await table.look_up(unknown)
            await table.place_again(unknown)
            await table.move_again(history.open_moves())
            target = self.witness.acknowledged + acks
            async with asyncio.timeout(LOAD_WITHIN_S), asyncio.TaskGroup() as tasks:
                tasks.create_task(table.play(seed))
                while self.witness.acknowledged < target:
                    assert self.server.process is not None
                    assert self.server.process.poll() is None, "the server ended by itself; see its log"
                    await asyncio.sleep(0.001)
                await asyncio.to_thread(end)


def record(evidence: Evidence, *, sockets: int, acks: int, seed: str, module: str = "cli.main") -> None:
    """Leave a recording in `evidence`, of three runs with at least `acks` acknowledgements each. `module`:
    what is run as the server.
    """
    evidence.db.parent.mkdir()
    server = Server(evidence.db, module=module)
    library = build(evidence.folder)
    with Witness(evidence.heard) as witness, recorded(library, evidence.calls, evidence.db):
        players = seat_players(evidence.db, witness, sockets, module)
        operator = token(evidence.db, OPERATOR, "operator", module)
        load = Load(evidence, server, witness, players, operator, sockets)
        try:
            for number, end in enumerate((server.stop, server.kill, server.stop), 1):
                server.start()
                witness.run(number)
                asyncio.run(load.run(acks, f"{seed}/{number}", end))
                close_what_a_kill_left_open(evidence.calls)
        finally:
            server.__exit__()
