"""Money that operators move, over real sockets against the real server: each command done once, deposits,
withdrawals, holds, transfers, blocked wallets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from harness.wire import bet, connect, now_ms
from tests.money_table import FEES, MOST, Table, each_message, play, world_player
from tests.operating import refused
from tests.server_fixture import OPENING, Json, World, mint


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


# --- idempotency -----------------------------------------------------------------------------------------


def test_the_same_key_does_it_once_and_says_the_same_again(world: World) -> None:
    async def scenario(table: Table) -> None:
        asked = [
            (request | {"id": "i", "key": "mine"}, change) for request, change in await each_message(table)
        ]
        first = [await table.operator.ask(request) for request, _ in asked]
        assert [answer["replayed"] for answer in first] == [False] * len(asked)
        entries = world.entries()
        for (request, change), answer in zip(asked, first, strict=True):
            assert await table.operator.ask(request) == answer | {"replayed": True}
            assert refused(await table.operator.ask(request | change), "IDEMPOTENCY_CONFLICT")
        assert world.entries() == entries
        async with connect(world.server.ws, mint(2, "operator")) as colleague:
            theirs = await colleague.ask(asked[4][0] | {"user_id": world_player(table)})
            assert (theirs["type"], theirs["replayed"]) == ("wallet.moved", False)
        table.player.pushes.clear()

    play(world, scenario)


def test_a_key_that_was_refused_may_be_used_again(world: World) -> None:
    async def scenario(table: Table) -> None:
        request = {"type": "wallet.withdraw", "key": "again", "user_id": table.user_id}
        assert refused(await table.operator.ask(request | {"amount": OPENING + 1}), "INSUFFICIENT_FUNDS")
        moved = await table.operator.ask(request | {"amount": OPENING})
        assert (moved["type"], moved["balance"], moved["replayed"]) == ("wallet.moved", 0, False)
        assert await table.pushed() == ("WITHDRAWAL", -OPENING, 0, None)

    play(world, scenario)


# --- money in, out, aside and across ---------------------------------------------------------------------


def test_deposits_and_withdrawals_move_money_against_the_cash_book(world: World) -> None:
    async def scenario(table: Table) -> None:
        cash = "SELECT balance FROM users WHERE kind = 'cash' AND currency = 'EUR'"
        ((before,),) = world.query(cash)
        paid_in = await table.move("wallet.deposit", user_id=table.user_id, amount=300)
        assert paid_in == {
            "type": "wallet.moved", "id": paid_in["id"], "transaction_id": paid_in["transaction_id"],
            "block": paid_in["block"], "replayed": False, "seq": paid_in["seq"], "balance": OPENING + 300,
            "held": 0, "available": OPENING + 300,
        }  # fmt: skip
        assert await table.pushed() == ("DEPOSIT", 300, OPENING + 300, None)
        paid_out = await table.move("wallet.withdraw", user_id=table.user_id, amount=OPENING + 300)
        assert (paid_out["balance"], "hold_id" in paid_out) == (0, False)
        assert await table.pushed() == ("WITHDRAWAL", -OPENING - 300, 0, None)
        assert world.query(cash) == [(before + OPENING,)]
        for type_ in ("wallet.deposit", "wallet.withdraw"):
            for book_or_nobody in (1, 2, 10**9, MOST):
                nobodys = await table.move(type_, user_id=book_or_nobody, amount=1)
                assert refused(nobodys, "ACCOUNT_NOT_FOUND")

    play(world, scenario)


@pytest.mark.parametrize("verdict", ["hold.capture", "hold.release"])
def test_a_withdrawal_waits_for_its_approval(world: World, verdict: str) -> None:
    async def scenario(table: Table) -> None:
        withdrawal = {"user_id": table.user_id, "amount": 400, "for_approval": True}
        asked = await table.move("wallet.withdraw", **withdrawal)
        left = OPENING - 400
        assert (asked["hold_state"], asked["hold_left"]) == ("open", 400)
        assert (asked["balance"], asked["held"], asked["available"]) == (OPENING, 400, left)
        over = await table.move(verdict, hold_id=asked["hold_id"])
        assert over["hold_left"] == 0
        if verdict == "hold.capture":
            assert over["hold_state"] == "captured"
            assert await table.pushed() == ("WITHDRAWAL", -400, left, None)
            assert await table.wallet() == (left, 0, left)
        else:
            assert over["hold_state"] == "released"
            assert await table.wallet() == (OPENING, 0, OPENING)
        for again in ("hold.capture", "hold.release"):
            assert refused(await table.move(again, hold_id=asked["hold_id"]), "HOLD_CLOSED")

    play(world, scenario)


def test_nobody_spends_what_is_set_aside(world: World) -> None:
    async def scenario(table: Table) -> None:
        hold_id = await table.hold(OPENING - 100)
        assert await table.wallet() == (OPENING, OPENING - 100, 100)
        poor = await table.player.ask(bet(101))
        assert (poor["type"], poor["code"]) == ("bet.rejected", "INSUFFICIENT_FUNDS")
        assert (poor["balance"], poor["held"], poor["available"]) == (OPENING, OPENING - 100, 100)
        legs = [{"user_id": table.user_id, "amount": -101}, {"user_id": FEES, "amount": 101}]
        too_much: list[tuple[str, Json]] = [
            ("wallet.withdraw", {"user_id": table.user_id, "amount": 101}),
            ("wallet.withdraw", {"user_id": table.user_id, "amount": 101, "for_approval": True}),
            ("wallet.hold", {"user_id": table.user_id, "amount": 101}),
            ("wallet.transfer", {"legs": legs}),
        ]
        for type_, fields in too_much:
            assert refused(await table.move(type_, **fields), "INSUFFICIENT_FUNDS")
        await table.bet(100)
        part = await table.move("hold.capture", hold_id=hold_id, amount=900)
        assert (part["hold_state"], part["hold_left"]) == ("open", OPENING - 1000)
        assert (part["balance"], part["held"], part["available"]) == (OPENING - 1000, OPENING - 1000, 0)
        assert await table.pushed() == ("CAPTURE", -900, OPENING - 1000, None)
        beyond = await table.move("hold.capture", hold_id=hold_id, amount=OPENING)
        assert refused(beyond, "INSUFFICIENT_FUNDS")
        assert beyond["message"].startswith("amount: ")
        released = await table.move("hold.release", hold_id=hold_id)
        assert (released["hold_state"], released["hold_left"]) == ("released", 0)
        assert await table.wallet() == (OPENING - 1000, 0, OPENING - 1000)

    play(world, scenario)


def test_a_hold_expires_by_itself_when_its_time_has_come(world: World) -> None:
    async def scenario(table: Table) -> None:
        past = await table.move("wallet.hold", user_id=table.user_id, amount=1, expires_at=now_ms() - 1)
        assert refused(past, "INVALID_REQUEST")
        assert past["message"].startswith("expires_at: ")
        hold_id = await table.hold(100, expires_at=now_ms() + 300)
        async with asyncio.timeout(10):
            while (await table.wallet())[1]:
                await asyncio.sleep(0.05)  # nothing is pushed: no money moves
        assert refused(await table.move("hold.capture", hold_id=hold_id), "HOLD_CLOSED")
        assert refused(await table.move("hold.release", hold_id=hold_id), "HOLD_CLOSED")

    play(world, scenario)


def test_a_transfer_is_posted_leg_by_leg_with_its_fee(world: World) -> None:
    async def scenario(table: Table) -> None:
        friend_id, token = world.player()
        ((fees,),) = world.query("SELECT balance FROM users WHERE id = ? AND kind = 'fees'", FEES)
        legs: list[Json] = [
            {"user_id": table.user_id, "amount": -970},
            {"user_id": table.user_id, "amount": -30, "name": "FEE"},
            {"user_id": friend_id, "amount": 970},
            {"user_id": FEES, "amount": 30, "name": "FEE"},
        ]
        async with connect(world.server.ws, token) as friend:
            moved = await table.move("wallet.transfer", legs=legs)
            assert moved["type"] == "wallet.moved"
            assert "balance" not in moved, "two players may have the receipt"
            received = await friend.push("wallet.entry")
            assert (received["kind"], received["amount"]) == ("TRANSFER", 970)
            assert received["balance"] == OPENING + 970
        assert await table.pushed() == ("TRANSFER", -970, OPENING - 970, None)
        assert await table.pushed() == ("FEE", -30, OPENING - 1000, None)
        assert world.query("SELECT balance FROM users WHERE id = ?", FEES) == [(fees + 30,)]

    play(world, scenario)


def test_a_transfer_that_does_not_add_up_moves_nothing(world: World) -> None:
    async def scenario(table: Table) -> None:
        mine, fees = {"user_id": table.user_id, "amount": -10}, {"user_id": FEES, "amount": 10}
        for legs, code in [
            ([mine, fees | {"amount": 9}], "INVALID_REQUEST"),
            ([mine, fees, fees | {"amount": 0}], "INVALID_REQUEST"),
            ([mine, fees | {"user_id": 10**9}], "ACCOUNT_NOT_FOUND"),
            ([mine, fees | {"user_id": world.blocked_id}], "ACCOUNT_BLOCKED"),
            ([mine | {"amount": -OPENING - 1}, fees | {"amount": OPENING + 1}], "INSUFFICIENT_FUNDS"),
            ([mine | {"amount": MOST}, fees | {"amount": -MOST}], "LIMIT_EXCEEDED"),
        ]:
            assert refused(await table.move("wallet.transfer", legs=legs), code), (legs, code)
        assert await table.wallet() == (OPENING, 0, OPENING)

    play(world, scenario)


def test_a_blocked_wallet_bets_no_more_and_still_gets_its_wins(world: World) -> None:
    async def scenario(table: Table) -> None:
        won, lost, void, back = [await table.bet(100) for _ in range(4)]
        hold_id = await table.hold(50)
        blocked = await table.move("wallet.status", user_id=table.user_id, status="blocked")
        assert (blocked["type"], blocked["balance"]) == ("wallet.moved", OPENING - 400)
        rejected = await table.player.ask(bet(1))
        assert (rejected["type"], rejected["code"]) == ("bet.rejected", "ACCOUNT_BLOCKED")
        for type_ in ("wallet.deposit", "wallet.withdraw", "wallet.hold"):
            refusal = await table.move(type_, user_id=table.user_id, amount=1)
            assert refused(refusal, "ACCOUNT_BLOCKED"), type_
        for bet_id, result, payout in [(won, "won", 300), (lost, "lost", None), (void, "void", None)]:
            assert (await table.settle(bet_id, result, payout))["state"] == result
        assert (await table.move("bet.rollback", bet_id=back))["state"] == "rolled_back"
        assert (await table.move("hold.release", hold_id=hold_id))["hold_state"] == "released"
        for kind, amount in [("WIN", 300), ("REFUND", 100), ("ROLLBACK", 100)]:
            assert (await table.pushed())[:2] == (kind, amount)
        closing = await table.move("wallet.status", user_id=table.user_id, status="closed")
        assert refused(closing, "LIMIT_EXCEEDED")
        await table.move("wallet.status", user_id=table.user_id, status="open")
        assert (await table.player.ask(bet(1)))["type"] == "bet.confirmed"

    play(world, scenario)


def test_a_closed_wallet_takes_nothing_until_it_is_opened_again(world: World) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(OPENING)
        closed = await table.move("wallet.status", user_id=table.user_id, status="closed")
        assert (closed["type"], closed["balance"]) == ("wallet.moved", 0)
        assert refused(await table.settle(bet_id, "won", 500), "ACCOUNT_BLOCKED")
        assert refused(await table.move("bet.rollback", bet_id=bet_id), "ACCOUNT_BLOCKED")
        assert await table.state(bet_id) == ("confirmed", 0)
        await table.move("wallet.status", user_id=table.user_id, status="open")
        assert (await table.settle(bet_id, "won", 500))["balance"] == 500
        assert await table.pushed() == ("WIN", 500, 500, bet_id)

    play(world, scenario)
