"""The client in Python when things break: each bet is debited once, and its fate is known."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.server_fixture import OPENING, World, mint, running
from tests.tcp_proxy import TcpProxy
from tests.test_client import entries_until, play
from ws.client import BetConfirmed, BetRejected, FileJournal, Wallet

pytestmark = pytest.mark.long

KILLS = 5
BETS, CUTS = 1000, 20
DEPOSITS = 9000
"""1.7 MB of pushes: more than the kernel and the server take for a reader that has stopped."""
RECEIVE_BUFFER = 1 << 16
TOGETHER = 40
"""Clients at a time: the machine has two cores."""


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[World]:
    """A server of this test's own, to be killed and started again on its port."""
    with running(tmp_path, players=2) as world:
        yield world


def stakes_paid(world: World, user_id: int) -> list[int]:
    """The stakes that the ledger has taken from this wallet, in order; no bet has two of them."""
    rows = world.query(
        "SELECT amount, ref_id FROM transaction_ledger WHERE user_id = ? AND ref_type = 'BET' ORDER BY id",
        user_id,
    )
    assert len({bet_id for _, bet_id in rows}) == len(rows)
    return [-amount for amount, _ in rows]


def test_a_server_killed_between_pending_and_confirmed_debits_once(mortal: World) -> None:
    user_id, token = mortal.player()
    killed = asyncio.Event()

    def kill(said: bytes) -> None:
        if b'"bet.pending"' in said and not killed.is_set():
            mortal.server.kill()
            killed.set()

    async def scene() -> None:
        proxy = TcpProxy(mortal.server.port, on_reply=kill)
        async with proxy.serving(), Wallet(proxy.ws, token) as wallet:
            for number in range(KILLS):
                killed.clear()
                call = asyncio.create_task(wallet.place(100 + number, within_s=50))
                await killed.wait()
                await asyncio.to_thread(mortal.server.start)
                answer = await call
                assert isinstance(answer, BetConfirmed)
            assert wallet.unresolved() == []
            assert wallet.balance == await wallet.refresh()
            assert wallet.balance.balance == OPENING - sum(100 + number for number in range(KILLS))

    play(scene)
    assert stakes_paid(mortal, user_id) == [100 + number for number in range(KILLS)]


def test_a_connection_cut_at_any_byte_costs_no_bet(world: World) -> None:
    """From the first byte of the handshake to the last one of the answer."""
    user_id, token = world.player()
    turns = asyncio.Semaphore(TOGETHER)

    async def bet_cut_after(size: int) -> int:
        async with turns, AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(TcpProxy(world.server.port, cut_after=size).serving())
            wallet = await stack.enter_async_context(Wallet(proxy.ws, token, within_s=30))
            answer = await wallet.place(1)
            assert isinstance(answer, BetConfirmed)
            assert wallet.unresolved() == []
            return proxy.connections

    async def scene() -> None:
        async with TcpProxy(world.server.port).serving() as proxy:
            async with Wallet(proxy.ws, token) as wallet:
                await wallet.place(1)
            size = proxy.passed
        assert size > 700
        connections = await asyncio.gather(*(bet_cut_after(each) for each in range(1, size + 20)))
        assert set(connections[: size - 60]) == {2}

    play(scene)
    paid = stakes_paid(world, user_id)
    assert len(paid) > 700


def test_a_thousand_bets_through_twenty_cuts(world: World) -> None:
    user_id, token = world.player()
    stakes = [1 + number % 7 for number in range(BETS)]
    seqs: list[int] = []

    async def scene() -> None:
        some = asyncio.Semaphore(30)
        async with TcpProxy(world.server.port).serving() as proxy, Wallet(proxy.ws, token) as wallet:
            reader = asyncio.create_task(entries_until(wallet, 2**53))  # over all those sockets

            async def place(stake: int) -> int:
                async with some:
                    answer = await wallet.place(stake, within_s=50)
                assert isinstance(answer, BetConfirmed)
                assert answer.stake == stake
                seqs.append(answer.seq)
                if len(seqs) % (BETS // CUTS) == 0:
                    proxy.reset()
                return answer.seq

            await asyncio.gather(*(place(stake) for stake in stakes))
            assert wallet.balance == await wallet.refresh()
            assert proxy.connections == CUTS + 1
            assert wallet.unresolved() == []
            reader.cancel()
            await asyncio.wait([reader])
            told = await entries_until(wallet, max(seqs))
            assert sorted(-entry.amount for entry in told) == sorted(stakes)
            assert all(older.seq == newer.prev_seq for older, newer in pairwise(told))

    play(scene)
    assert len(seqs) == BETS
    assert sorted(stakes_paid(world, user_id)) == sorted(stakes)
    world.assert_sound()


def test_who_reads_too_slowly_is_closed_and_misses_no_entry(world: World) -> None:
    user_id, token = world.player()
    slow_line = TcpProxy(world.server.port, receive_buffer=RECEIVE_BUFFER)

    async def scene() -> None:
        async with (
            slow_line.serving(),
            Wallet(slow_line.ws, token) as wallet,
            Wallet(world.server.ws, world.operator, within_s=40) as house,
        ):
            begin = wallet.balance.seq
            reader = asyncio.create_task(entries_until(wallet, 2**53))
            slow_line.reads.clear()
            paid = await asyncio.gather(
                *(house.deposit(user_id, 1, key=f"slow-{user_id}-{n}") for n in range(DEPOSITS))
            )
            slow_line.reads.set()
            last = max(each.seq for each in paid if isinstance(each.seq, int))
            while wallet.balance.seq < last:
                await asyncio.sleep(0.01)
            assert "4429" in str(wallet._link.trouble)
            assert slow_line.connections == 2
            reader.cancel()
            await asyncio.wait([reader])
            told = await entries_until(wallet, last, begin)
            assert len(told) == DEPOSITS
            assert all(older.seq == newer.prev_seq for older, newer in pairwise(told))
            assert wallet.balance.balance == OPENING + DEPOSITS

    play(scene)


def test_tokens_that_expire_cost_no_bet(world: World) -> None:
    user_id, _ = world.player()
    given: list[str] = []

    async def short() -> str:
        given.append(mint(user_id, life_s=2))
        return given[-1]

    async def scene() -> None:
        async with Wallet(world.server.ws, short) as wallet:
            begin = len(given)
            bets = 0
            while len(given) < begin + 3:
                answers = await asyncio.gather(*(wallet.place(1) for _ in range(20)))
                assert all(isinstance(answer, BetConfirmed) for answer in answers)
                bets += len(answers)
                await asyncio.sleep(0.02)
            assert wallet.balance == await wallet.refresh()
            assert wallet.balance.balance == OPENING - bets
            assert wallet.unresolved() == []

    play(scene)


def test_a_server_that_stops_and_starts_again_is_waited_for(mortal: World) -> None:
    user_id, token = mortal.player()

    async def scene() -> None:
        async with Wallet(mortal.server.ws, token) as wallet:
            calls = [asyncio.create_task(wallet.place(1, within_s=30)) for _ in range(200)]
            await asyncio.sleep(0)
            assert await asyncio.to_thread(mortal.server.stop) == 0
            calls += [asyncio.create_task(wallet.place(1, within_s=30)) for _ in range(200)]
            await asyncio.to_thread(mortal.server.start)
            answers = await asyncio.gather(*calls)
            assert {type(answer) for answer in answers} <= {BetConfirmed, BetRejected}
            confirmed = [answer for answer in answers if isinstance(answer, BetConfirmed)]
            assert len(confirmed) == 400
            assert wallet.balance.balance == OPENING - 400

    play(scene)
    assert len(stakes_paid(mortal, user_id)) == 400


CRASHING = """
import asyncio, os, sys
from ws.client import FileJournal, Wallet

async def main(url, token, journal):
    async with Wallet(url, token, journal=FileJournal(journal)) as wallet:
        calls = [asyncio.create_task(wallet.place(1)) for _ in range(100)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        os.kill(os.getpid(), 9)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_client_that_crashes_finds_its_bets_again(world: World, tmp_path: Path) -> None:
    user_id, token = world.player()
    path = tmp_path / "bets.journal"
    done = subprocess.run([sys.executable, "-c", CRASHING, world.server.ws, token, path], check=False)
    assert done.returncode == -9

    async def scene() -> None:
        journal = FileJournal(path)
        async with Wallet(world.server.ws, token, journal=journal) as wallet:
            left = wallet.unresolved()
            assert left, "it was killed with bets in flight"
            found = await asyncio.gather(*(wallet.resolve(bet_id, again=True) for bet_id in left))
            assert all(isinstance(answer, BetConfirmed) for answer in found)
            assert wallet.unresolved() == []
        journal.close()

    play(scene)
    kept = stakes_paid(world, user_id)
    assert len(kept) <= 100
    again = FileJournal(path)
    assert again.kept() == []
    again.close()
