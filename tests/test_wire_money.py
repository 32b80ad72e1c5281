"""Money that operators move, over real sockets against the real server: a bet's life, deposits, withdrawals,
holds, transfers, blocked wallets; and operators and players who mean harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from server_fixture import OPENING, Json, RawSocket, World, frame, mint, of_type, running

from harness.wire import Wire, bet, connect, new_bet_id, now_ms

FEES = 3
"""The fees book of the file's first currency (docs/wire.md)."""

MOST = 2**53 - 1

_keys = itertools.count(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("money"), players=150) as live:
        yield live


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


@dataclass
class Table:
    """A player's socket and an operator's."""

    world: World
    user_id: int
    token: str
    player: Wire
    operator: Wire

    async def move(self, type_: str, **fields: object) -> Json:
        """The operator's message, under a new key unless told."""
        return await self.operator.ask({"type": type_, "key": f"k{next(_keys)}"} | fields)

    async def bet(self, stake: int, **fields: object) -> str:
        """The id of a bet that is confirmed."""
        request = bet(stake, **fields)
        confirmed = await self.player.ask(request)
        assert confirmed["type"] == "bet.confirmed", confirmed
        return str(request["bet_id"])

    async def settle(self, bet_id: str, result: str, payout: int | None = None) -> Json:
        fields: Json = {} if payout is None else {"payout": payout}
        return await self.move("bet.settle", bet_id=bet_id, result=result, **fields)

    async def hold(self, amount: int, **fields: object) -> int:
        """The id of a hold on the player's wallet."""
        held = await self.move("wallet.hold", user_id=self.user_id, amount=amount, **fields)
        assert (held["type"], held["hold_state"], held["hold_left"]) == ("wallet.moved", "open", amount), held
        return int(held["hold_id"])

    async def wallet(self) -> tuple[int, int, int]:
        """Balance, held, available."""
        told = await self.player.ask({"type": "balance.get"})
        return told["balance"], told["held"], told["available"]

    async def state(self, bet_id: str) -> tuple[str, int]:
        """State and payout, as the player sees them."""
        told = await self.player.ask({"type": "bet.get", "bet_id": bet_id})
        return told["state"], told["payout"]

    async def pushed(self) -> tuple[str, int, int, str | None]:
        """Kind, amount, balance and bet of the next push to the player."""
        told = await self.player.push("wallet.entry")
        return told["kind"], told["amount"], told["balance"], told.get("bet_id")


Play = Callable[[Table], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def seated(world: World) -> AsyncIterator[Table]:
    user_id, token = world.player()
    url = world.server.ws
    async with connect(url, token) as player, connect(url, world.operator) as operator:
        yield Table(world, user_id, token, player, operator)
        assert player.pushes == [], "a push that no test has looked at"
        assert operator.pushes == [], "an operator follows no wallet"


def play(world: World, scenario: Play) -> None:
    async def run() -> None:
        async with seated(world) as table:
            await scenario(table)

    asyncio.run(run())


def refused(answer: Json, code: str) -> bool:
    """Whether it is an `error` of this code."""
    return (answer["type"], answer.get("code")) == ("error", code)


# --- a bet's life ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "payout", "kind", "paid"),
    [
        ("won", 500, "WIN", 500),
        ("won", 0, None, 0),
        ("lost", None, None, 0),
        ("lost", 0, None, 0),
        ("lost", 40, "WIN", 40),
        ("void", None, "REFUND", 250),
        ("void", 250, "REFUND", 250),
    ],
)
def test_a_settled_bet_is_paid_and_its_player_hears_of_it(
    world: World, result: str, payout: int | None, kind: str | None, paid: int
) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(250)
        balance = OPENING - 250 + paid
        answer = await table.settle(bet_id, result, payout)
        seq = answer["seq"]
        assert answer == {
            "type": "bet.settled", "id": answer["id"], "bet_id": bet_id, "state": result, "stake": 250,
            "payout": paid, "transaction_id": answer["transaction_id"], "block": answer["block"],
            "replayed": False, "seq": seq, "balance": balance, "held": 0, "available": balance,
        }  # fmt: skip
        if kind is not None:
            push = await table.player.push("wallet.entry")
            assert push == {
                "type": "wallet.entry", "seq": seq, "prev_seq": push["prev_seq"], "kind": kind,
                "transaction_id": answer["transaction_id"], "amount": paid, "balance": balance,
                "at": push["at"], "bet_id": bet_id,
            }  # fmt: skip
        assert await table.state(bet_id) == (result, paid)
        assert await table.wallet() == (balance, 0, balance)
        for again in ("won", "lost", "void"):
            assert refused(await table.settle(bet_id, again, 250), "BET_CLOSED")
        assert refused(await table.move("bet.rollback", bet_id=bet_id), "BET_CLOSED")
        assert refused(await table.move("bet.cashout", bet_id=bet_id, stake=1, payout=1), "BET_CLOSED")

    play(world, scenario)


def test_a_settlement_can_be_taken_back_and_made_anew_any_number_of_times(world: World) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(250)
        balance = OPENING - 250
        for result, payout, kind in [("won", 500, "WIN"), ("void", 250, "REFUND"), ("won", 70, "WIN")] * 2:
            assert (await table.settle(bet_id, result, payout))["state"] == result
            assert await table.pushed() == (kind, payout, balance + payout, bet_id)
            assert await table.state(bet_id) == (result, payout)
            back = await table.move("bet.unsettle", bet_id=bet_id)
            assert (back["type"], back["state"], back["payout"]) == ("bet.unsettled", "confirmed", payout)
            assert back["balance"] == balance
            assert await table.pushed() == ("UNSETTLE", -payout, balance, bet_id)
            assert await table.state(bet_id) == ("confirmed", 0)
        assert refused(await table.move("bet.unsettle", bet_id=bet_id), "BET_CLOSED")

    play(world, scenario)


def test_what_a_clawback_cannot_take_is_kept_back_from_later_wins(world: World) -> None:
    async def scenario(table: Table) -> None:
        first, second = await table.bet(100), await table.bet(100)
        await table.settle(first, "won", 1000)
        assert (await table.pushed())[:2] == ("WIN", 1000)
        spent = await table.bet(OPENING - 200 + 1000 - 300)
        back = await table.move("bet.unsettle", bet_id=first)
        assert (back["payout"], back["balance"], back["available"]) == (1000, 0, 0)
        assert await table.pushed() == ("UNSETTLE", -300, 0, first)
        assert (await table.settle(second, "won", 600))["balance"] == 0  # owed 700
        won = await table.settle(spent, "won", 600)
        assert (won["payout"], won["balance"]) == (600, 500)
        assert await table.pushed() == ("WIN", 500, 500, spent)

    play(world, scenario)


def test_a_bet_is_cashed_out_in_parts_and_what_is_left_lives_on(world: World) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(250)
        balance = OPENING - 250
        part = await table.move("bet.cashout", bet_id=bet_id, stake=100, payout=130)
        assert (part["type"], part["state"], part["stake"], part["payout"]) == (
            "bet.cashed_out", "confirmed", 100, 130,
        )  # fmt: skip
        assert await table.pushed() == ("CASHOUT", 130, balance + 130, bet_id)
        assert await table.state(bet_id) == ("confirmed", 130)
        too_much = await table.move("bet.cashout", bet_id=bet_id, stake=151, payout=1)
        assert refused(too_much, "INVALID_REQUEST")
        assert too_much["message"].startswith("stake: ")
        assert refused(await table.move("bet.rollback", bet_id=bet_id), "BET_CLOSED")
        assert refused(await table.settle(bet_id, "void", 250), "INVALID_REQUEST")
        void = await table.settle(bet_id, "void")  # of what is left
        assert (void["state"], void["payout"]) == ("void", 150)
        assert await table.pushed() == ("REFUND", 150, balance + 280, bet_id)
        await table.move("bet.unsettle", bet_id=bet_id)
        assert await table.pushed() == ("UNSETTLE", -150, balance + 130, bet_id)
        rest = await table.move("bet.cashout", bet_id=bet_id, stake=150, payout=0)
        assert (rest["state"], rest["stake"], rest["payout"]) == ("cashed_out", 150, 0)
        assert await table.state(bet_id) == ("cashed_out", 130)
        assert refused(await table.settle(bet_id, "won", 1), "BET_CLOSED")
        assert refused(await table.move("bet.unsettle", bet_id=bet_id), "BET_CLOSED")

    play(world, scenario)


def test_a_rollback_gives_the_stake_back_once(world: World) -> None:
    async def scenario(table: Table) -> None:
        request = bet(250)
        bet_id = request["bet_id"]
        confirmed = await table.player.ask(request | {"id": "b"})
        known = {"bet_id": bet_id, "user_id": table.user_id, "stake": 250}
        first = await table.move("bet.rollback", id="x", **known)
        assert first == {
            "type": "bet.rolled_back", "id": "x", "bet_id": bet_id, "state": "rolled_back", "stake": 250,
            "payout": 0, "transaction_id": first["transaction_id"], "block": first["block"],
            "replayed": False, "seq": first["seq"], "balance": OPENING, "held": 0, "available": OPENING,
        }  # fmt: skip
        assert await table.pushed() == ("ROLLBACK", 250, OPENING, bet_id)
        assert await table.state(bet_id) == ("rolled_back", 0)
        await table.bet(10)
        second = await table.move("bet.rollback", id="x", bet_id=bet_id)  # under another key
        assert second == first | {"replayed": True}
        assert await table.player.ask(request | {"id": "b"}) == confirmed | {"replayed": True}
        assert refused(await table.settle(bet_id, "won", 1), "BET_ROLLED_BACK")
        assert refused(await table.move("bet.unsettle", bet_id=bet_id), "BET_ROLLED_BACK")
        cash_out = await table.move("bet.cashout", bet_id=bet_id, stake=1, payout=1)
        assert refused(cash_out, "BET_ROLLED_BACK")
        assert (await table.wallet())[0] == OPENING - 10

    play(world, scenario)


def test_a_rollback_that_means_another_bet_is_refused(world: World) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(250)
        refusals: list[tuple[Json, str]] = [
            ({"user_id": table.user_id + 1}, "NOT_FOUND"),
            ({"stake": 251}, "IDEMPOTENCY_CONFLICT"),
            ({"currency": "USD"}, "CURRENCY_MISMATCH"),
        ]
        for wrong, code in refusals:
            assert refused(await table.move("bet.rollback", bet_id=bet_id, **wrong), code)
        assert await table.state(bet_id) == ("confirmed", 0)

    play(world, scenario)


@pytest.mark.parametrize("sent_at", ["in time", "stale"])
def test_a_bet_that_was_rolled_back_before_it_came_moves_nothing(world: World, sent_at: str) -> None:
    async def scenario(table: Table) -> None:
        late = bet(250)
        bet_id, look = late["bet_id"], {"type": "bet.get", "id": "g", "bet_id": late["bet_id"]}
        first = await table.move("bet.rollback", id="x", bet_id=bet_id, stake=250, user_id=table.user_id)
        assert first == {
            "type": "bet.rolled_back", "id": "x", "bet_id": bet_id, "state": "rolled_back", "stake": 250,
            "payout": 0, "transaction_id": first["transaction_id"], "block": first["block"],
            "replayed": False,
        }  # fmt: skip
        assert await table.move("bet.rollback", id="x", bet_id=bet_id) == first | {"replayed": True}
        async with connect(world.server.ws, world.auditor) as auditor:
            for wire in (table.operator, auditor):
                assert await wire.ask(look) == {
                    "type": "bet.state", "id": "g", "bet_id": bet_id, "state": "rolled_back", "stake": 250,
                    "payout": 0,
                }  # fmt: skip
        assert refused(await table.player.ask(look), "NOT_FOUND")  # nobody knows whose it is
        assert refused(await table.settle(bet_id, "won", 1), "BET_ROLLED_BACK")
        assert refused(await table.move("bet.unsettle", bet_id=bet_id), "BET_ROLLED_BACK")

        if sent_at == "stale":
            late["sent_at"] -= 3_600_000
        came = await table.player.ask(late | {"id": "b"})
        assert (came["type"], came["code"], came["retryable"], came["replayed"]) == (
            "bet.rejected", "BET_ROLLED_BACK", False, False,
        )  # fmt: skip
        assert (came["balance"], came["available"]) == (OPENING, OPENING)
        assert await table.player.ask(late | {"id": "b"}) == came | {"replayed": True}
        conflict = await table.player.ask(late | {"stake": 1})
        assert refused(conflict, "IDEMPOTENCY_CONFLICT")
        assert await table.player.ask(look) == {
            "type": "bet.state", "id": "g", "bet_id": bet_id, "state": "rejected", "stake": 250, "payout": 0,
            "code": "BET_ROLLED_BACK",
        }  # fmt: skip
        assert await table.move("bet.rollback", id="x", bet_id=bet_id) == first | {"replayed": True}
        assert await table.wallet() == (OPENING, 0, OPENING)

    play(world, scenario)


def test_a_late_bet_is_pending_until_it_is_decided(world: World) -> None:
    async def scenario(table: Table) -> None:
        late = bet(250)
        await table.move("bet.rollback", bet_id=late["bet_id"])
        # In one frame: the look is taken before the bet can have been decided.
        placed, looked = await table.player.send(late, {"type": "bet.get", "bet_id": late["bet_id"]})
        assert (await looked.answer())["state"] == "pending"
        assert (await placed.answer())["code"] == "BET_ROLLED_BACK"

    play(world, scenario)


def test_a_whole_life_in_one_frame_is_lived_in_order(world: World) -> None:
    async def scenario(table: Table) -> None:
        request = bet(250, user_id=table.user_id)
        bet_id = request["bet_id"]
        moves: list[tuple[str, Json]] = [
            ("bet.settle", {"result": "won", "payout": 400}),
            ("bet.unsettle", {}),
            ("bet.cashout", {"stake": 50, "payout": 60}),
            ("bet.settle", {"result": "lost"}),
        ]
        frame_of_all = [request] + [
            {"type": type_, "key": f"k{next(_keys)}", "bet_id": bet_id} | fields for type_, fields in moves
        ]
        answers = await table.operator.ask_all(*frame_of_all)
        assert [answer.get("state", answer["type"]) for answer in answers] == [
            "bet.confirmed", "won", "confirmed", "confirmed", "lost",
        ]  # fmt: skip
        assert len({answer["block"] for answer in answers}) == 1
        for kind, amount in [("BET", -250), ("WIN", 400), ("UNSETTLE", -400), ("CASHOUT", 60)]:
            assert (await table.pushed())[:2] == (kind, amount)
        assert await table.state(bet_id) == ("lost", 60)

    play(world, scenario)


def test_every_socket_of_the_wallet_hears_and_a_resume_tells_it_again(world: World) -> None:
    async def scenario(table: Table) -> None:
        async with connect(world.server.ws, table.token) as other:
            bet_id = await table.bet(250)
            await other.push("wallet.entry")
            await table.settle(bet_id, "won", 500)
            push = await other.push("wallet.entry")
            assert await table.player.push("wallet.entry") == push
            resumed = await other.ask({"type": "resume", "from_seq": push["prev_seq"]})
            assert (resumed["type"], resumed["seq"]) == ("resumed", push["seq"])
            assert await other.push("wallet.entry") == push

    play(world, scenario)


# --- idempotency -----------------------------------------------------------------------------------------


async def each_message(table: Table) -> list[tuple[Json, Json]]:
    """Each message of operators that would succeed, and what makes another request of it."""
    user_id, other_id = table.user_id, world_player(table)
    bets = [await table.bet(250) for _ in range(3)]
    settled = await table.bet(250)
    await table.settle(settled, "lost")
    holds = [await table.hold(100) for _ in range(2)]
    legs = [{"user_id": user_id, "amount": -10}, {"user_id": other_id, "amount": 10}]
    return [
        ({"type": "bet.settle", "bet_id": bets[0], "result": "lost"}, {"result": "void"}),
        ({"type": "bet.unsettle", "bet_id": settled}, {"bet_id": bets[1]}),
        ({"type": "bet.rollback", "bet_id": bets[1]}, {"stake": 250}),
        ({"type": "bet.cashout", "bet_id": bets[2], "stake": 10, "payout": 0}, {"payout": 1}),
        ({"type": "wallet.deposit", "user_id": user_id, "amount": 5}, {"amount": 6}),
        ({"type": "wallet.withdraw", "user_id": user_id, "amount": 5}, {"for_approval": True}),
        ({"type": "wallet.hold", "user_id": user_id, "amount": 5}, {"expires_at": MOST}),
        ({"type": "hold.capture", "hold_id": holds[0], "amount": 1}, {"amount": 2}),
        ({"type": "hold.release", "hold_id": holds[1]}, {"hold_id": holds[0]}),
        ({"type": "wallet.transfer", "legs": legs}, {"legs": legs[::-1]}),
        ({"type": "wallet.status", "user_id": user_id, "status": "blocked"}, {"status": "open"}),
    ]


def world_player(table: Table) -> int:
    return table.world.player()[0]


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
            assert (moved["type"], moved["balance"]) == ("wallet.moved", OPENING - 1000)
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


# --- who means harm --------------------------------------------------------------------------------------


def test_a_player_or_an_auditor_who_plays_the_operator_moves_nothing(world: World) -> None:
    async def scenario(table: Table) -> None:
        requests = [request for request, _ in await each_message(table)]
        before, wallet = world.entries(), await table.wallet()
        async with connect(world.server.ws, world.auditor) as auditor:
            for wire in (table.player, auditor):
                answers = await wire.ask_all(*(request | {"key": "mine"} for request in requests))
                assert [answer["code"] for answer in answers] == ["FORBIDDEN"] * len(requests)
        assert (world.entries(), await table.wallet()) == (before, wallet)

    play(world, scenario)


def test_a_malformed_settlement_changes_nothing(world: World) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(250)
        before = world.entries()
        sound = {"bet_id": bet_id, "result": "won", "payout": 500}
        malformed: list[Json] = [
            {"payout": -1}, {"payout": 1.5}, {"payout": "500"}, {"payout": True}, {"payout": 2**53},
            {"payout": 2**64}, {"payout": None}, {"result": "WON"}, {"result": None}, {"result": "rejected"},
            {"result": "void", "payout": 249}, {"result": "void", "payout": 0}, {"bet_id": bet_id.upper()},
            {"key": ""}, {"key": "a\x00"}, {"key": "a\n"}, {"key": "x" * 65}, {"key": 7}, {"stake": 250},
            {"user_id": table.user_id},
        ]  # fmt: skip
        for wrong in malformed:
            answer = await table.move("bet.settle", **sound | wrong)
            assert refused(answer, "INVALID_REQUEST"), wrong
            named = "payout" if wrong.keys() == {"result", "payout"} else next(iter(wrong))
            assert answer["message"].startswith(f"{named}: "), answer
        unknown = await table.move("bet.settle", **sound | {"bet_id": new_bet_id()})
        assert refused(unknown, "NOT_FOUND")
        assert (await table.state(bet_id), world.entries()) == (("confirmed", 0), before)

    play(world, scenario)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


LEG = {"user_id": FEES, "amount": 1}


@pytest.mark.parametrize(
    "legs",
    [
        json.dumps([LEG, LEG | {"amount": -1}] * 500),
        json.dumps([LEG] * 6000),
        json.dumps([{"user_id": user_id, "amount": 1} for user_id in range(1, 6001)]),
        json.dumps([LEG] * 99 + [7]),
        json.dumps([LEG, {"user_id": FEES, "amount": {"amount": [LEG] * 50}}]),
        json.dumps([LEG | {"legs": [LEG] * 100}] * 2),
        json.dumps([LEG | {"a` - at `$.zzz": 1}] * 2),
        nested(1000), nested(60_000), f"[{nested(500)},{nested(500)}]", '{"0":{}}', '"' + "x" * 200_000 + '"',
        "[" + "1," * 100_000 + "1]", "9" * 5000, f'[{{"user_id":{"9" * 5000},"amount":1}},{json.dumps(LEG)}]',
    ],
    ids=lambda legs: f"{legs[:20]} ({len(legs)})",
)  # fmt: skip
def test_legs_of_junk_are_one_invalid_request(world: World, legs: str) -> None:
    before = world.entries()
    with RawSocket(world.server.port, token=world.operator) as raw:
        raw.read_messages()
        raw.send_frame(f'{{"type":"wallet.transfer","id":"r","key":"junk","legs":{legs}}}')
        (answer,) = raw.read_messages()
        assert refused(answer, "INVALID_REQUEST")
        assert answer["id"] in ("r", None)
        assert len(answer["message"]) < 300
        raw.send_frame('{"type":"ping","id":"still"}')
        assert raw.read_messages()[0]["type"] == "pong"
    assert world.entries() == before


def test_hold_ids_are_those_of_holds(world: World) -> None:
    async def scenario(table: Table) -> None:
        request = bet(250)
        placed = await table.player.ask(request)
        hold_id = await table.hold(100)
        for nobodys in (placed["transaction_id"], hold_id + 1, 1, MOST):
            for type_ in ("hold.capture", "hold.release"):
                assert refused(await table.move(type_, hold_id=nobodys), "NOT_FOUND")
        thief = await table.player.ask({"type": "hold.release", "key": "k", "hold_id": hold_id})
        assert refused(thief, "FORBIDDEN")
        assert await table.wallet() == (OPENING - 250, 100, OPENING - 350)

    play(world, scenario)


def test_amounts_at_the_end_of_the_range_are_refused_and_not_wrapped(world: World) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(1)
        user_id = table.user_id
        refusals: list[tuple[str, Json, str]] = [
            ("wallet.deposit", {"user_id": user_id, "amount": MOST}, "LIMIT_EXCEEDED"),
            ("wallet.withdraw", {"user_id": user_id, "amount": MOST}, "INSUFFICIENT_FUNDS"),
            ("wallet.hold", {"user_id": user_id, "amount": MOST}, "INSUFFICIENT_FUNDS"),
            ("bet.settle", {"bet_id": bet_id, "result": "won", "payout": MOST}, "LIMIT_EXCEEDED"),
            ("bet.cashout", {"bet_id": bet_id, "stake": 1, "payout": MOST}, "LIMIT_EXCEEDED"),
            ("bet.cashout", {"bet_id": bet_id, "stake": MOST, "payout": 0}, "INVALID_REQUEST"),
        ]
        for type_, fields, code in refusals:
            assert refused(await table.move(type_, **fields), code), type_
        up_to_the_brim = MOST - OPENING + 1
        won = await table.settle(bet_id, "won", up_to_the_brim)
        assert won["balance"] == MOST
        assert await table.pushed() == ("WIN", up_to_the_brim, MOST, bet_id)
        hold_id = await table.hold(MOST, expires_at=MOST)
        assert await table.wallet() == (MOST, MOST, 0)
        back = await table.move("bet.unsettle", bet_id=bet_id)  # nothing is available: all of it is owed
        assert (back["payout"], back["balance"]) == (up_to_the_brim, MOST)
        await table.move("hold.release", hold_id=hold_id)

    play(world, scenario)


def test_no_transfer_fills_a_book_beyond_64_bits(tmp_path: Path) -> None:
    """In a server of its own: what would fit nowhere must not fail later, in other people's bets."""

    async def scenario(world: World) -> list[str]:
        async with connect(world.server.ws, world.operator) as operator:
            out_of_two_books = [
                [{"user_id": book, "amount": -MOST}, {"user_id": 1, "amount": MOST}] * 50 for book in (2, 3)
            ]
            answers = [
                await operator.ask({"type": "wallet.transfer", "key": f"{book}/{number}", "legs": legs})
                for book, legs in enumerate(out_of_two_books)
                for number in range(11)
            ]
            poor = await operator.ask(bet(1, user_id=world.player()[0]))
            assert poor["type"] == "bet.confirmed"
            return [answer.get("code", "moved") for answer in answers]

    with running(tmp_path, players=1) as world:
        codes = asyncio.run(scenario(world))
        assert set(codes) == {"moved", "LIMIT_EXCEEDED"}
        world.assert_sound()


def test_no_balance_on_the_way_is_more_than_a_client_can_read(world: World) -> None:
    async def scenario(table: Table) -> None:
        there, back = {"user_id": table.user_id, "amount": MOST}, {"user_id": table.user_id, "amount": -MOST}
        mirror = [{"user_id": FEES, "amount": -leg["amount"]} for leg in (there, back)]
        answer = await table.move("wallet.transfer", legs=[there, back, *mirror])
        assert refused(answer, "LIMIT_EXCEEDED")

    play(world, scenario)


def test_what_was_paid_for_a_bet_is_never_more_than_a_client_can_read(world: World) -> None:
    async def scenario(table: Table) -> None:
        bet_id = await table.bet(10)
        part = {"bet_id": bet_id, "stake": 1, "payout": MOST - OPENING}
        assert (await table.move("bet.cashout", **part))["state"] == "confirmed"
        await table.move("wallet.withdraw", user_id=table.user_id, amount=MOST - OPENING)
        assert refused(await table.move("bet.cashout", **part), "LIMIT_EXCEEDED")
        assert await table.state(bet_id) == ("confirmed", MOST - OPENING)
        table.player.pushes.clear()

    play(world, scenario)


def test_keys_may_be_anything_that_is_a_text(world: World) -> None:
    async def scenario(table: Table) -> None:
        keys = [
            "'; DROP TABLE users;--",
            '"',
            "\\",
            "ß∂😀",
            "%s",
            "{}",
            " ",
            "clock:expire",
            "\u2028",
            "x" * 64,
        ]
        for number, key in enumerate(keys, start=1):
            request = {"key": key, "user_id": table.user_id, "amount": 1}
            moved = await table.move("wallet.deposit", **request)
            assert (moved["balance"], moved["replayed"]) == (OPENING + number, False)
            assert (await table.move("wallet.deposit", **request))["replayed"] is True
        table.player.pushes.clear()

    play(world, scenario)


def test_too_many_in_flight_are_turned_away_and_may_come_back(world: World) -> None:
    user_id, _ = world.player()
    moves = [
        {"type": "wallet.deposit", "id": f"r{i}", "key": f"flood{i}", "user_id": user_id, "amount": 1}
        for i in range(2700)
    ]
    with RawSocket(world.server.port, token=world.operator) as raw:
        raw.read_messages()
        raw.send(b"".join(frame(json.dumps(moves[i : i + 900])) for i in (0, 900, 1800)))
        replies: list[Json] = []
        while len(replies) < len(moves):
            replies += raw.read_messages()
        errors = of_type(replies, "error")
        assert errors, "all of them were taken"
        assert {(reply["code"], reply["retryable"]) for reply in errors} == {("RATE_LIMITED", True)}
        assert {reply["id"] for reply in replies} == {move["id"] for move in moves}
        again = next(move for move in moves if move["id"] == errors[0]["id"])
        raw.send_frame(json.dumps(again))
        (answer,) = raw.read_messages()
        assert (answer["type"], answer["replayed"]) == ("wallet.moved", False)
        taken = len(of_type(replies, "wallet.moved")) + 1
        assert answer["balance"] == OPENING + taken
