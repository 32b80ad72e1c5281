"""A server to be fuzzed, what its books hold beforehand, and how one sees whether anything has come of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.process import PATIENT, Server, seed
from harness.wire import Wire, bet, connect
from tests.fuzz.shapes import Things
from tests.server_fixture import PING, PONG, RawSocket, mint

PLAYERS: Final = 20
OPENING: Final = 100_000
IS_A_FAULT: Final = re.compile(r"Traceback|ERROR|CRITICAL|a session failed").search
"""In the log. That a request is no HTTP is a warning, and rightly."""

Json = dict[str, Any]


@dataclass
class Target:
    """A running server, a connection that sees what becomes of its file, and a player who must be served."""

    server: Server
    things: Things
    players: Sequence[Json]
    """Those that the cases may speak for; the canary is none of them."""
    canary: RawSocket
    _books: sqlite3.Connection
    _version: int = 0
    _before: dict[str, tuple[int, str]] = field(default_factory=dict)
    _logged: int = 0

    def __post_init__(self) -> None:
        self._version, self._before = self._data_version(), self._tables()

    def token(self, door: str, number: int) -> str:
        """An access token for that door; players take turns."""
        if door == "player":
            return str(self.players[number % len(self.players)]["token"])
        return mint(1, door)

    def finding(self) -> str | None:
        """What has happened that must not, since this was asked last; None if all is well."""
        assert self.server.process is not None
        assert self.server.log is not None
        if self.server.process.poll() is not None:
            return f"the server has ended, with status {self.server.process.returncode}: {self._new_in_log()}"
        if self.server.log.stat().st_size > self._logged and IS_A_FAULT(said := self._new_in_log()):
            return f"the server's log: {said[-3000:]}"
        if (version := self._data_version()) != self._version:
            self._version = version
            return self.books_changed()
        return None

    def books_changed(self) -> str | None:
        """Which tables hold something else than in the beginning, row by row; None: no byte of them."""
        now = self._tables()
        changed = [
            f"{table}: {self._before.get(table, (0, ''))[0]} rows before, {rows} now"
            for table, (rows, digest) in now.items()
            if self._before.get(table) != (rows, digest)
        ]
        if not changed:
            return None
        newest = self._books.execute("SELECT kind, scope FROM transactions ORDER BY id DESC LIMIT 1")
        kind, scope = newest.fetchone()
        return f"the books have changed: {'; '.join(changed)}; newest: {kind} of {scope}"

    def canary_finding(self) -> str | None:
        """A player who means no harm asks twice, and has his answers, or what is wrong."""
        try:
            self.canary.send_frame('[{"type":"ping","id":"p"},{"type":"balance.get","id":"b"}]')
            heard: list[Json] = []
            while len(heard) < 2:
                opcode, payload = self.canary.read_frame()
                if opcode == PING:
                    self.canary.send_frame(payload, PONG)
                else:
                    heard += json.loads(payload) if payload[:1] == b"[" else [json.loads(payload)]
        except (OSError, EOFError, ValueError) as fault:
            return f"the canary was not served: {fault!r}"
        balance = next((each.get("balance") for each in heard if each["type"] == "balance"), None)
        return None if balance == OPENING else f"the canary heard {heard}"

    def resident_kb(self) -> int:
        """Memory of the server process (Linux)."""
        assert self.server.process is not None
        status = Path(f"/proc/{self.server.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0])

    def _data_version(self) -> int:
        # Changes when another connection commits to the file: sqlite.org/pragma.html#pragma_data_version.
        return int(self._books.execute("PRAGMA data_version").fetchone()[0])

    def _tables(self) -> dict[str, tuple[int, str]]:
        names = self._books.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        found = {}
        for (name,) in names:
            # What operators tried in vain is kept in the audit log, as it should be.
            which = "WHERE transaction_id IS NOT NULL" if name == "audit_log" else ""
            rows = sorted(map(repr, self._books.execute(f'SELECT * FROM "{name}" {which}')))
            found[name] = len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()
        return found

    def _new_in_log(self) -> str:
        assert self.server.log is not None
        with self.server.log.open("rb") as log:
            log.seek(self._logged)
            said = log.read()
        self._logged += len(said)
        return said.decode("utf-8", "replace")


@contextlib.contextmanager
def target(folder: Path, module: str = "cli.main") -> Iterator[Target]:
    """A server of `module`, on a new file with money, an open bet, a hold, a payout and a free bet."""
    db = folder / "fuzz.db"
    canary, other, *players = seed(db, PLAYERS, OPENING)
    with Server(db, settings=PATIENT | {"self_check_s": "0"}, module=module) as server:
        things = asyncio.run(_things(server, players[0], other))
        with (
            contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as books,
            RawSocket(server.port, token=canary["token"]) as raw,
        ):
            raw.read_messages()
            yield Target(server, things, players, raw, books)


async def _things(server: Server, player: Json, other: Json) -> Things:
    bet_id = "0197a000-0000-7000-8000-00000000f022"

    async def made(wire: Wire, type_: str, **fields: Any) -> int:
        answer = await wire.ask({"type": type_, "key": f"fuzz {type_}"} | fields)
        assert answer["type"] != "error", answer
        return int(answer["transaction_id"])

    async with connect(server.ws, other["token"]) as wire:
        placed = await wire.ask(bet(100, bet_id=bet_id))
        assert placed["type"] == "bet.confirmed", placed
    async with connect(server.ws, mint(1, "operator")) as wire:
        return Things(
            player["id"], other["id"], bet_id,
            hold_id=await made(wire, "wallet.hold", user_id=player["id"], amount=50),
            payout_id=await made(wire, "payout.open", currency="EUR"),
            free_bet_id=await made(wire, "free_bet.grant", user_id=player["id"], amount=10),
        )  # fmt: skip
