"""Over the wire: what was archived is told as it was before, or which file is missing is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.archives import file_of
from harness.process import Server, seed
from harness.wire import Wire, bet, connect, now_ms
from tests.archived import archived, move
from tests.operating import new_key, refused
from tests.server_fixture import mint

Json = dict[str, Any]


class Table:
    """A player with bets in each state, and what the server says of all of it."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "wallet.db"
        self.player, self.other = seed(self.db, 2, 100_000)
        self.bets: list[str] = []
        self.newest = 0

    async def play(self, server: Server) -> None:
        """Bets that are won, lost, void and open; a hold, and money that comes."""
        async with connect(server.ws, self.player["token"]) as wire, self.operating(server) as operator:
            placed = await wire.ask_all(*(bet(stake) for stake in (10, 20, 30, 40)))
            self.bets = [answer["bet_id"] for answer in placed]
            for bet_id, result in zip(self.bets, ("won", "lost", "void"), strict=False):
                payout = {"payout": 55} if result == "won" else {}
                await self.move(operator, "bet.settle", bet_id=bet_id, result=result, **payout)
            await self.move(operator, "wallet.hold", user_id=self.player["id"], amount=5)
            await self.move(operator, "wallet.deposit", user_id=self.player["id"], amount=7)

    async def move(self, operator: Wire, type_: str, **fields: object) -> Json:
        answer = await operator.ask({"type": type_, "key": new_key(), **fields})
        self.newest = answer["transaction_id"]
        return answer

    def operating(self, server: Server) -> Any:
        return connect(server.ws, mint(1, "operator"))

    async def told(self, server: Server, transactions: int) -> dict[Any, Json]:
        """Bets, and receipts as the player, a stranger and an operator see them."""
        found: dict[Any, Json] = {}
        for who in (self.player["token"], self.other["token"], mint(1, "operator")):
            async with connect(server.ws, who) as wire:
                for bet_id in self.bets:
                    found[who[-9:], bet_id] = await wire.ask({"type": "bet.get", "bet_id": bet_id})
                for id_ in range(1, transactions + 1):
                    found[who[-9:], id_] = await wire.ask({"type": "receipt.get", "transaction_id": id_})
        return {which: {**answer, "id": None} for which, answer in found.items()}

    async def resumed(self, server: Server, from_seq: int) -> tuple[list[int], bool]:
        """The entries that come, and whether there is a gap."""
        async with connect(server.ws, self.player["token"]) as wire:
            answer = await wire.ask({"type": "resume", "from_seq": from_seq})
            assert answer["type"] == "resumed", answer
            return [push["seq"] for push in wire.pushes], answer["gap"]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_archived_bets_and_receipts_are_answered_as_before(table: Table) -> None:
    async def first(server: Server) -> tuple[dict[Any, Json], list[int]]:
        await table.play(server)
        return await table.told(server, table.newest), (await table.resumed(server, 0))[0]

    async def again(server: Server) -> None:
        told = await table.told(server, transactions)
        # Signed with the second, a token may be another; the order of who asks is the same.
        assert list(told.values()) == list(before.values())

    with Server(table.db) as server:
        before, entries = asyncio.run(first(server))
    transactions = table.newest
    states = [answer["state"] for answer in before.values() if answer["type"] == "bet.state"]
    assert states == ["won", "lost", "void", "confirmed"] * 2

    now_us = now_ms() * 1000 + 10**6
    archive = archived(table.db, now_us, now_us=now_us + 1, steps=0, rows=4)
    for steps in (0, 2, 1, None):
        archive = move(table.db, steps=steps, rows=4)
        with Server(table.db) as server:
            asyncio.run(again(server))
            upto = archive.moved_entry_id
            left = [seq for seq in entries if seq > upto]
            for from_seq in (0, entries[0], entries[-2], entries[-1]):
                came, gap = asyncio.run(table.resumed(server, from_seq))
                assert came == [seq for seq in left if seq > from_seq]
                assert gap == any(from_seq < seq <= upto for seq in entries)
    assert archive.is_moved
    assert left == []


def test_which_file_is_missing_is_said_and_its_return_is_noticed(table: Table) -> None:
    async def scenario(server: Server) -> None:
        async with connect(server.ws, table.player["token"]) as wire:
            wanted: list[Json] = [
                {"type": "bet.get", "bet_id": table.bets[0]},
                {"type": "receipt.get", "transaction_id": table.newest - 8},
            ]
            for request in wanted:
                answer = await wire.ask(request)
                assert refused(answer, "NOT_FOUND", f"{file.name}: not there"), answer
                assert str(file.parent) not in answer["message"]
            unknown = await wire.ask({"type": "bet.get", "bet_id": bet(1)["bet_id"]})
            assert refused(unknown, "NOT_FOUND")
            assert file.name not in unknown["message"]
            assert (await wire.ask({"type": "bet.get", "bet_id": table.bets[3]}))["state"] == "confirmed"
            assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"

            file.write_bytes(b"something else" * 512)
            for request in wanted:
                assert refused(await wire.ask(request), "NOT_FOUND", file.name)
            file.unlink()
            elsewhere.rename(file)
            assert [(await wire.ask(request))["type"] for request in wanted] == ["bet.state", "receipt"]

    with Server(table.db) as server:
        asyncio.run(table.play(server))
    now_us = now_ms() * 1000 + 10**6
    file = file_of(table.db, archived(table.db, now_us, now_us=now_us + 1, rows=100).block_id)
    elsewhere = file.rename(file.with_name("elsewhere"))
    with Server(table.db) as server:
        asyncio.run(scenario(server))
        assert server.log is not None
        log = server.log.read_text()
        assert "Traceback" not in log
        # Each once, however often it was asked for.
        assert log.count(f"what is archived cannot be told: {file.name}: not there") == 1
        assert log.count("what is archived cannot be told: ") == 2
