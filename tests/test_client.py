"""The client in Python, against a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise

import pytest

from harness.process import free_port
from tests.server_fixture import OPENING, World, mint
from ws.client import (
    BetConfirmed,
    BetRejected,
    Funds,
    GivenUp,
    MemoryJournal,
    NotAuthenticated,
    Refused,
    Result,
    Unresolved,
    Wallet,
    WalletEntry,
    new_bet_id,
)
from ws.client.journal import KeptBet
from ws.wire.fields import Reply
from ws.wire.messages import Balance, BalanceGet, BetPlace, Ping, Pong, Welcome
from ws.wire.operators import WalletStatus

UNSEEN = "0199a5f0-1111-7222-8333-444455556666"


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run it; nothing of it is left behind."""

    async def whole() -> None:
        await asyncio.wait_for(scene(), 60)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(whole())


async def entries_until(wallet: Wallet, seq: int, from_seq: int | None = None) -> list[WalletEntry]:
    """Of its stream, up to the entry `seq`."""
    told: list[WalletEntry] = []
    async for entry in wallet.entries(from_seq):
        assert isinstance(entry, WalletEntry)
        told.append(entry)
        if entry.seq >= seq:
            break
    return told


def test_a_bet_is_confirmed_and_the_balance_follows(world: World) -> None:
    user_id, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet:
            before = wallet.balance
            assert before == Funds("EUR", OPENING, 0, OPENING, before.seq)
            answer = await wallet.place(250, game="roulette", odds_milli=2000)
            assert isinstance(answer, BetConfirmed)
            assert wallet.balance == Funds("EUR", OPENING - 250, 0, OPENING - 250, answer.seq)
            assert wallet.unresolved() == []
            found = await wallet.state(answer.bet_id)
            assert found is not None
            assert (found.state, found.transaction_id) == ("confirmed", answer.transaction_id)
            assert await wallet.state(UNSEEN) is None
            assert (wallet.user_id, wallet.role) == (user_id, "player")

    play(scene)


def test_a_rejected_bet_is_an_answer_and_a_wrong_request_is_not(world: World) -> None:
    _, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet:
            answer = await wallet.place(OPENING + 1)
            assert isinstance(answer, BetRejected)
            assert (answer.code, answer.retryable) == ("INSUFFICIENT_FUNDS", False)
            with pytest.raises(Refused, match="INVALID_REQUEST: stake: expected"):
                await wallet.place(0)
            with pytest.raises(Refused, match="FORBIDDEN") as refused:
                await wallet.settle(UNSEEN, Result.LOST, key="k")
            assert refused.value.code == "FORBIDDEN"
            assert wallet.balance.balance == OPENING
            assert wallet.unresolved() == []

    play(scene)


def test_what_comes_unasked_is_handed_on(world: World) -> None:
    """What whoever hears it raises is its own fault."""
    _, token = world.player()

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        heard = asyncio.Queue[Reply]()
        raised: list[object] = []
        loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))

        def hear(message: Reply) -> None:
            heard.put_nowait(message)
            raise ValueError("of whoever listens")

        async with Wallet(world.server.ws, token, on_push=hear), Wallet(world.server.ws, token) as other:
            assert isinstance(await heard.get(), Welcome)
            placed = await other.place(10)
            entry = await heard.get()
            assert isinstance(entry, WalletEntry)
            assert entry.bet_id == placed.bet_id
        assert [str(each) for each in raised] == ["of whoever listens"] * 2

    play(scene)


def test_two_clients_of_one_wallet_tell_the_same(world: World) -> None:
    user_id, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as one, Wallet(world.server.ws, token) as other:
            begin = one.balance.seq
            placed = await asyncio.gather(*(wallet.place(10) for _ in range(50) for wallet in (one, other)))
            last = max(answer.seq for answer in placed if isinstance(answer, BetConfirmed))
            told = await asyncio.gather(entries_until(one, last), entries_until(other, last))
            assert told[0] == told[1]
            assert [entry.prev_seq for entry in told[0]] == [begin, *(entry.seq for entry in told[0][:-1])]
            assert {entry.bet_id for entry in told[0]} == {answer.bet_id for answer in placed}
            assert one.balance == other.balance == await one.refresh()
            assert one.balance.balance == OPENING - 100 * 10

    play(scene)
    rows = world.query("SELECT count(*) FROM transaction_ledger WHERE user_id = ? AND amount = -10", user_id)
    assert rows == [(100,)]


def test_entries_are_the_ledger_s_own_and_go_on(world: World) -> None:
    user_id, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet, Wallet(world.server.ws, world.operator) as house:
            for number in range(3):
                await wallet.place(1 + number)
            async with asyncio.timeout(10):
                reader = asyncio.create_task(entries_until(wallet, 2**53, 0))
                answer = await wallet.place(7)
                paid = await house.deposit(user_id, 70, key=f"entries-{user_id}")
                reader.cancel()
                await asyncio.wait([reader])
                assert isinstance(answer, BetConfirmed)
                assert isinstance(paid.seq, int)
                told = await entries_until(wallet, paid.seq, 0)
            assert [entry.amount for entry in told] == [OPENING, -1, -2, -3, -7, 70]
            assert all(older.seq == newer.prev_seq for older, newer in pairwise(told))
            reader_ = wallet.entries(0)
            with pytest.raises(RuntimeError, match="read already"):
                wallet.entries()
            await reader_.aclose()

    play(scene)


def test_who_leaves_the_stream_of_entries_may_begin_another_at_once(world: World) -> None:
    _, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet:
            for _ in range(3):
                async for entry in wallet.entries(0):
                    assert isinstance(entry, WalletEntry)
                    break
                # The loop has not ended that one yet, and must not end this one with it.
                assert [each.amount for each in await entries_until(wallet, entry.seq, 0)] == [OPENING]
            reading = asyncio.create_task(entries_until(wallet, entry.seq + 1))
            for _ in range(5):
                await asyncio.sleep(0)
            answer = await wallet.place(5)
            assert isinstance(answer, BetConfirmed)
            assert [each.amount for each in await asyncio.wait_for(reading, 10)] == [-5]

    play(scene)


def test_a_request_that_cannot_be_written_is_its_caller_s_fault_alone(world: World) -> None:
    _, token = world.player()

    async def scene() -> None:
        welcomes: list[Reply] = []
        async with Wallet(world.server.ws, token, on_push=welcomes.append) as wallet:
            other = asyncio.create_task(wallet.place(5))
            with pytest.raises(TypeError, match="unsupported"):
                await wallet.place(object())
            with pytest.raises(TypeError, match="unsupported"):
                await wallet.settle(UNSEEN, Result.WON, object(), key="k")
            assert isinstance(await other, BetConfirmed)
            assert wallet.unresolved() == []
            assert isinstance(await wallet.place(6), BetConfirmed)
            assert [type(each) for each in welcomes] == [Welcome]

    play(scene)


def test_a_stream_of_entries_ends_with_the_client(world: World) -> None:
    _, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet:
            reader = asyncio.create_task(entries_until(wallet, 2**53))
            await wallet.place(5)
        assert [entry.amount for entry in await reader] in ([], [-5])

    play(scene)


def test_an_operator_settles_and_moves_money_once_for_each_key(world: World) -> None:
    user_id, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet, Wallet(world.server.ws, world.operator) as house:
            bets = [await wallet.place(100) for _ in range(3)]
            key = f"op-{user_id}"
            won = await house.settle(bets[0].bet_id, Result.WON, 300, key=f"{key}/1")
            assert (won.state, won.payout) == ("won", 300)
            again = await house.settle(bets[0].bet_id, Result.WON, 300, key=f"{key}/1")
            assert (again.replayed, again.transaction_id) == (True, won.transaction_id)
            assert (await house.unsettle(bets[0].bet_id, key=f"{key}/2")).state == "confirmed"
            assert (await house.roll_back(bets[1].bet_id, key=f"{key}/3")).state == "rolled_back"
            assert (await house.cash_out(bets[2].bet_id, 100, 60, key=f"{key}/4")).payout == 60
            await house.deposit(user_id, 1000, key=f"{key}/5")
            await house.withdraw(user_id, 500, key=f"{key}/6")
            held = await house.withdraw(user_id, 40, key=f"{key}/7", for_approval=True)
            assert (held.held, held.hold_state) == (40, "open")
            expected = OPENING - 100 - 100 + 60 + 1000 - 500
            funds = await wallet.refresh()
            assert (funds.balance, funds.held, funds.available) == (expected, 40, expected - 40)
            placed = await house.place(5, user_id=user_id)
            assert isinstance(placed, BetConfirmed)
            with pytest.raises(TypeError, match="operators have no wallet"):
                _ = house.balance
            with pytest.raises(TypeError, match="operators have no wallet"):
                await anext(aiter(house.entries()))

    play(scene)


def test_anything_can_be_asked_but_a_bet(world: World) -> None:
    user_id, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet, Wallet(world.server.ws, world.operator) as house:
            assert (await wallet.ask(Ping(""), Pong)).server_time > 0
            with pytest.raises(TypeError, match="BalanceGet with Balance"):
                await wallet.ask(BalanceGet(""), Pong)
            with pytest.raises(TypeError, match="place"):
                await wallet.ask(BetPlace("", UNSEEN, 1, "12345678", 0), BetConfirmed)
            blocked = WalletStatus("", f"block-{user_id}", user_id, "blocked")
            await house.ask(blocked, type(await house.deposit(user_id, 1, key=f"any-{user_id}")))
            answer = await wallet.place(1)
            assert isinstance(answer, BetRejected)
            assert answer.code == "ACCOUNT_BLOCKED"
            assert isinstance(await wallet.ask(BalanceGet(""), Balance), Balance)

    play(scene)


def test_more_than_the_server_takes_at_a_time_waits_here(world: World) -> None:
    _, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet:
            answers = await asyncio.gather(*(wallet.place(1) for _ in range(2500)))
            assert {type(answer) for answer in answers} == {BetConfirmed}
            assert not any(answer.replayed for answer in answers)
            assert wallet.balance.balance == OPENING - 2500

    play(scene)


def test_a_token_that_is_refused_is_the_end_unless_there_is_another(world: World) -> None:
    user_id, token = world.player()
    expired = mint(user_id, life_s=-10)
    given: list[str] = []

    async def scene() -> None:
        with pytest.raises(NotAuthenticated, match="refused the token"):
            async with Wallet(world.server.ws, expired):
                pytest.fail("an expired token opens nothing")

        async def always_expired() -> str:
            given.append(expired)
            return expired

        with pytest.raises(NotAuthenticated, match="3 tokens in a row"):
            async with Wallet(world.server.ws, always_expired):
                pytest.fail("nor do three of them")
        assert len(given) == 3

        async def renewed() -> str:
            given.append(token)
            return token if len(given) > 4 else expired

        async with Wallet(world.server.ws, renewed) as wallet:
            assert wallet.user_id == user_id
        assert len(given) == 5

    play(scene)


def test_who_gives_tokens_may_be_away_for_a_moment(world: World) -> None:
    """At the start as later on: it is asked again, and what it said is told where it never gave one."""
    user_id, token = world.player()
    stale = mint(user_id, life_s=-10)
    given: Iterator[str | OSError] = iter([OSError("no route"), stale, OSError("no route"), token])

    async def at_times() -> str:
        each = next(given)
        if isinstance(each, OSError):
            raise each
        return each

    async def never() -> str:
        raise OSError("no route")

    async def scene() -> None:
        async with Wallet(world.server.ws, at_times) as wallet:
            assert isinstance(await wallet.place(1), BetConfirmed)
        assert next(given, None) is None
        with pytest.raises(GivenUp, match=r"no welcome from .* in 0.5 s: no route"):
            async with Wallet(world.server.ws, never, within_s=0.5):
                pytest.fail("without a token nothing is opened")

    play(scene)


def test_where_nobody_answers_the_client_says_so_in_time() -> None:
    async def scene() -> None:
        with pytest.raises(GivenUp, match=r"no welcome from .* in 0.5 s: .*(refused|Connect call failed)"):
            async with Wallet(f"ws://127.0.0.1:{free_port()}/ws", "token", within_s=0.5):
                pytest.fail("nobody is there")
        with pytest.raises(GivenUp, match="InvalidURI"):
            async with Wallet("http://127.0.0.1/ws", "token"):
                pytest.fail("that is no WebSocket")

    play(scene)


def test_a_call_that_is_cancelled_loses_no_bet(world: World) -> None:
    _, token = world.player()

    async def scene() -> None:
        async with Wallet(world.server.ws, token) as wallet:
            calls = {}
            for turns in range(0, 40, 2):  # of the loop, until it is cancelled
                bet_id = new_bet_id()
                calls[bet_id] = asyncio.create_task(wallet.place(1, bet_id=bet_id))
                for _ in range(turns):
                    await asyncio.sleep(0)
                calls[bet_id].cancel()
            await asyncio.wait(calls.values())
            assert any(call.cancelled() for call in calls.values())
            known = {bet_id for bet_id in calls if await wallet.state(bet_id) is not None}
            for bet_id in known:
                assert isinstance(await answer_of(wallet, calls[bet_id], bet_id), BetConfirmed)
            assert not known & set(wallet.unresolved())
            assert (await wallet.refresh()).balance == OPENING - len(known)

    play(scene)


async def answer_of(wallet: Wallet, call: asyncio.Task[object], bet_id: str) -> object:
    """Of the call, or what is to be found out of it."""
    return await wallet.resolve(bet_id) if call.cancelled() else call.result()


def test_a_bet_that_never_left_is_placed_only_if_it_is_still_wanted(world: World) -> None:
    user_id, token = world.player()
    journal = MemoryJournal()
    journal.keep(KeptBet(user_id, BetPlace("kept", UNSEEN, 5, "12345678", 0)))

    async def scene() -> None:
        async with Wallet(world.server.ws, token, journal=journal) as wallet:
            assert wallet.unresolved() == [UNSEEN]
            with pytest.raises(Unresolved) as unresolved:  # it might still arrive, for 90 s
                await wallet.resolve(UNSEEN, within_s=0.5)
            assert unresolved.value.bet_id == UNSEEN
            assert wallet.unresolved() == [UNSEEN]
            assert wallet.balance.balance == OPENING
            answer = await wallet.resolve(UNSEEN, again=True)
            assert isinstance(answer, BetConfirmed)
            assert answer.replayed is False
            assert wallet.unresolved() == []
            assert (await wallet.state(UNSEEN)) is not None

    play(scene)


def test_placed_again_under_its_bet_id_it_may_still_have_left_before(world: World) -> None:
    """Of an asking that is refused nothing can come, but of the one before it something may have."""
    user_id, token = world.player()
    journal, bet_id = MemoryJournal(), new_bet_id()

    async def scene() -> None:
        async with Wallet(world.server.ws, token, journal=journal) as wallet:
            assert isinstance(await wallet.place(5, bet_id=bet_id), BetConfirmed)
            # As if this process had crashed before it heard that.
            journal.keep(KeptBet(user_id, BetPlace("kept", bet_id, 5, "12345678", 0)))
            for stake, why in ((6, "IDEMPOTENCY_CONFLICT"), (0, "INVALID_REQUEST")):
                with pytest.raises(Refused, match=why):
                    await wallet.place(stake, bet_id=bet_id)
                assert wallet.unresolved() == [bet_id], why
            answer = await wallet.resolve(bet_id)
            assert isinstance(answer, BetConfirmed)
            assert (answer.replayed, wallet.unresolved()) == (True, [])
            assert wallet.balance.balance == OPENING - 5

    play(scene)


def test_a_bet_that_may_have_left_before_is_unresolved_where_this_asking_never_left(world: World) -> None:
    user_id, token = world.player()
    journal, fresh = MemoryJournal(), new_bet_id()
    journal.keep(KeptBet(user_id, BetPlace("kept", UNSEEN, 5, "12345678", 0)))

    async def scene() -> None:
        async with Wallet(world.server.ws, token, journal=journal) as wallet:
            await wallet.close()
            for bet_id in (UNSEEN, fresh):
                with pytest.raises(Unresolved) as unresolved:
                    await wallet.place(5, bet_id=bet_id)
                assert unresolved.value.was_sent is (bet_id == UNSEEN)
            assert wallet.unresolved() == [UNSEEN]
            assert [kept.bet.bet_id for kept in journal.kept()] == [UNSEEN]

    play(scene)


def test_the_bets_of_another_user_are_not_this_one_s(world: World) -> None:
    _, token = world.player()
    journal = MemoryJournal()
    journal.keep(KeptBet(1, BetPlace("kept", UNSEEN, 5, "12345678", 0)))

    async def scene() -> None:
        async with Wallet(world.server.ws, token, journal=journal) as wallet:
            assert wallet.unresolved() == []
            with pytest.raises(KeyError):
                await wallet.resolve(UNSEEN)

    play(scene)
    assert len(journal.kept()) == 1


def test_who_only_uses_the_client_does_not_load_the_server() -> None:
    names = "import sys, ws.client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded >= {"ws", "websockets", "msgspec"}
    assert not loaded & {"aiosqlite", "sqlite3", "uvicorn", "starlette", "redis", "jwt", "cryptography"}


def test_nothing_of_it_has_failed_in_the_server(world: World) -> None:
    world.assert_sound()
