"""A real server on a disk that fails: what clients hear, what the server does, and what a restart knows.

Needs a C compiler for the failing disk (`disk.c`), so it runs with `make test-all`.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.process import Server, seed, solidgreen
from harness.wire import bet, connect, now_ms
from tests.faults.failing_disk import Disk, books
from tests.operating import move
from tests.server_fixture import mint
from ws.watching.noise import ERRORS_MAX

pytestmark = pytest.mark.long


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def ready(server: Server) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{server.http}/health/ready") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_sync_that_fails_stops_the_money_and_a_restart_knows(tmp_path: Path, disk: Disk) -> None:
    db = tmp_path / "books.db"
    (player,) = seed(db, 1, balance=1000)
    first, doubtful, later = bet(100), bet(10), bet(1)

    async def before(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            assert (await wire.ask(first))["type"] == "bet.confirmed"
            disk.becomes("sync")
            unknown = await wire.ask(doubtful)
            assert (unknown["type"], unknown["code"], unknown["retryable"]) == (
                "error",
                "OUTCOME_UNKNOWN",
                True,
            )
            refused = await wire.ask(later)
            assert (refused["type"], refused["code"]) == ("bet.rejected", "CIRCUIT_OPEN")
            assert refused["retryable"] is True
            # A bet that was paid is told so, whatever the state of the disk; of the other nobody knows.
            assert (await wire.ask(first | {"sent_at": now_ms()}))["replayed"] is True
            asked = await wire.ask({"type": "bet.get", "bet_id": doubtful["bet_id"]})
            assert (asked["type"], asked["code"]) == ("error", "OUTCOME_UNKNOWN")
            assert (await wire.ask({"type": "balance.get"}))["type"] == "balance"
        status, report = ready(server)
        assert status == 503
        assert report["storage"]["status"] == "failed"

    async def after(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            state = await wire.ask({"type": "bet.get", "bet_id": doubtful["bet_id"]})
            known = state["type"] == "bet.state" and state["state"] == "confirmed"
            assert known or state["code"] == "NOT_FOUND"
            answer = await wire.ask(doubtful | {"sent_at": now_ms()})
            assert (answer["type"], answer["replayed"]) == ("bet.confirmed", known)
            assert (await wire.ask(later | {"sent_at": now_ms()}))["balance"] == 889

    with Server(db) as server:
        asyncio.run(before(server))
        assert server.log is not None
        assert "no money is taken until this server is restarted" in server.log.read_text()
        assert server.stop() == 1, "the service manager must see that something was wrong"
    disk.is_replaced()
    with Server(db) as server:
        asyncio.run(after(server))
    assert books(db)["ok"] is True


def test_a_database_that_cannot_be_written_back_stops_the_money_though_every_commit_succeeds(
    tmp_path: Path, disk: Disk
) -> None:
    """Commits only write the log. Nobody's bet is in doubt, but the log could not become shorter any more."""
    db = tmp_path / "books.db"
    (player,) = seed(db, 1, balance=1000)
    first, later = bet(100), bet(1)
    until_due: list[dict[str, Any]] = []

    async def before(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            disk.becomes("base")
            assert (await wire.ask(first))["type"] == "bet.confirmed"
            async with asyncio.timeout(15):
                while (await asyncio.to_thread(ready, server))[0] == 200:
                    until_due.append(await wire.ask(bet(1)))
            refused = await wire.ask(later)
            assert (refused["type"], refused["code"]) == ("bet.rejected", "CIRCUIT_OPEN")
            assert (await wire.ask(first | {"sent_at": now_ms()}))["replayed"] is True
            assert (await wire.ask({"type": "resume", "from_seq": 0}))["type"] == "resumed"
            state = await wire.ask({"type": "bet.get", "bet_id": later["bet_id"]})
            assert state["code"] == "NOT_FOUND"
        _, report = ready(server)
        assert report["storage"] == {"status": "failed", "why": "checkpoint failed: disk I/O error"}

    async def after(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            assert (await wire.ask(first | {"sent_at": now_ms()}))["replayed"] is True
            confirmed = [each for each in until_due if each["type"] == "bet.confirmed"]
            balance = 1000 - 100 - len(confirmed)
            assert confirmed[-1]["balance"] == balance
            assert (await wire.ask(later | {"sent_at": now_ms()}))["balance"] == balance - 1

    with Server(db, module="tests.broken.small_log") as server:
        asyncio.run(before(server))
        assert server.log is not None
        assert "0 commands have an unknown outcome: checkpoint failed" in server.log.read_text()
        assert server.stop() == 1
    assert db.with_name("books.db-wal").stat().st_size > 0, "the log is left to the next start"
    disk.is_replaced()
    with Server(db) as server:
        asyncio.run(after(server))
    assert books(db)["ok"] is True


def test_a_full_disk_refuses_bets_and_serves_again_by_itself(tmp_path: Path, disk: Disk) -> None:
    db = tmp_path / "books.db"
    (player,) = seed(db, 1, balance=1000)

    async def play(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            disk.becomes("full")
            lost = bet(100)
            began_s = time.monotonic()
            refused = await wire.ask(lost)
            assert time.monotonic() - began_s < 1
            assert (refused["type"], refused["code"]) == ("bet.rejected", "OVERLOADED")
            assert refused["retryable"] is True
            disk.becomes("well")
            assert (await wire.ask(lost | {"sent_at": now_ms()}))["balance"] == 900

    with Server(db) as server:
        asyncio.run(play(server))
        assert ready(server)[0] == 200
        assert server.stop() == 0
    disk.is_replaced()
    assert books(db)["ok"] is True


@pytest.mark.parametrize(
    ("settings", "opens"), [({}, False), ({"breaker_commit_ms": "500"}, True)], ids=["default", "strict"]
)
def test_how_slow_a_commit_may_be_is_a_setting(
    tmp_path: Path, disk: Disk, settings: dict[str, str], opens: bool
) -> None:
    db = tmp_path / "books.db"
    (player,) = seed(db, 1, balance=1000)

    async def play(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            assert (await wire.ask(bet(100)))["type"] == "bet.confirmed"
            disk.becomes("slow")
            assert (await wire.ask(bet(100)))["type"] == "bet.confirmed", "slow, but on disk"
            answer = await wire.ask(bet(100))
            if opens:
                assert (answer["type"], answer["code"]) == ("bet.rejected", "CIRCUIT_OPEN")
            else:
                assert answer["type"] == "bet.confirmed"

    with Server(db, settings=settings) as server:
        asyncio.run(play(server))
        assert ready(server)[1]["breaker"]["status"] == ("open" if opens else "closed")
        disk.becomes("well")
        assert server.log is not None
        assert ("the circuit is open, bets are refused: a commit took" in server.log.read_text()) is opens


def test_a_disk_that_stays_full_opens_the_circuit_and_is_not_filled_by_the_log(
    tmp_path: Path, disk: Disk
) -> None:
    db = tmp_path / "books.db"
    (player,) = seed(db, 1, balance=1000)

    async def play(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            disk.becomes("full")
            codes = [(await wire.ask(bet(1)))["code"] for _ in range(3)]
            assert codes == ["OVERLOADED"] * 3
            refused = await wire.ask(bet(1))
            assert (refused["type"], refused["code"]) == ("bet.rejected", "CIRCUIT_OPEN")
            assert 0 < refused["retry_after_ms"] <= 2000
        async with connect(server.ws, mint(1, "operator")) as wire:  # what is owed is tried, each by itself
            for _ in range(5 * ERRORS_MAX):
                assert (await move(wire, "wallet.deposit", user_id=2, amount=1))["code"] == "OVERLOADED"
            disk.becomes("well")

    with Server(db) as server:
        asyncio.run(play(server))
        assert server.log is not None
        assert server.log.read_text().count("was refused by the storage") == ERRORS_MAX
        status, report = ready(server)
        assert (status, report["breaker"]["status"]) == (503, "open")
        assert report["breaker"]["why"] == "commits failed"
    disk.is_replaced()
    assert books(db)["ok"] is True


@pytest.mark.parametrize("state", ["half", "sync"])
def test_a_backup_that_the_disk_refuses_leaves_nothing(tmp_path: Path, disk: Disk, state: str) -> None:
    db, folder = tmp_path / "books.db", tmp_path / "kept"
    seed(db, 1, balance=1000)
    folder.mkdir()
    disk.becomes(state)
    done = solidgreen("backup", "--db", str(db), str(folder / "a.db"), check=False)
    words = {"half": "database or disk is full", "sync": "Input/output error"}[state]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"solidgreen backup: {db}: cannot be copied to {folder / 'a.db'}: {words}\n"
    assert list(folder.iterdir()) == []

    disk.becomes("well")
    solidgreen("backup", "--db", str(db), str(folder / "a.db"))
