"""Limits over real sockets against the real server: who may set and see whose, and what they stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from harness.wire import Wire, bet, connect, now_ms
from tests.operating import move, new_key, refused
from tests.server_fixture import OPENING, Json, World

DAY_MS = 86_400_000


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


@dataclass
class Table:
    """A player's socket, an operator's, an auditor's."""

    user_id: int
    player: Wire
    operator: Wire
    auditor: Wire

    async def bet(self, stake: int) -> Json:
        return await self.player.ask(bet(stake))

    async def deposit(self, amount: int, key: str | None = None) -> Json:
        answer = await move(
            self.operator, "wallet.deposit", user_id=self.user_id, amount=amount, key=key or new_key()
        )
        if answer["type"] == "wallet.moved":
            assert (await self.player.push("wallet.entry"))["amount"] == amount
        return answer

    async def limit(self, kind: str, amount: int | None, period: str = "day") -> Json:
        """The limit, set by the player himself."""
        answer = await move(self.player, "limit.set", kind=kind, period=period, amount=amount)
        assert answer["type"] == "limit.changed", answer
        return dict(answer["limit"])

    async def shown(self) -> list[Json]:
        answer = await self.player.ask({"type": "limit.get"})
        assert (answer["type"], answer["user_id"]) == ("limits", self.user_id)
        return list(answer["limits"])


@contextlib.asynccontextmanager
async def seated(world: World) -> AsyncIterator[Table]:
    user_id, token = world.player()
    url = world.server.ws
    async with (
        connect(url, token) as player,
        connect(url, world.operator) as operator,
        connect(url, world.auditor) as auditor,
    ):
        yield Table(user_id, player, operator, auditor)
        assert player.pushes == [], "a push that no test has looked at"


def play(world: World, scenario: Callable[[Table], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with seated(world) as table:
            await scenario(table)

    asyncio.run(run())


def rejected(answer: Json) -> bool:
    """Whether a bet was stopped by a limit, for good."""
    return (answer["type"], answer.get("code"), answer.get("retryable")) == (
        "bet.rejected", "LIMIT_EXCEEDED", False,
    )  # fmt: skip


def limit(kind: str, amount: int | None, used: int, period: str = "day") -> Json:
    """As `limit.get` shows it while nothing is pending."""
    return {
        "kind": kind, "period": period, "amount": amount, "pending": None, "pending_from_at": None,
        "used": used,
    }  # fmt: skip


# --- who may ----------------------------------------------------------------------------------------------


def test_a_player_sets_and_sees_his_own(world: World) -> None:
    async def scenario(table: Table) -> None:
        assert await table.shown() == []
        request = {"type": "limit.set", "key": "mine", "kind": "stake", "period": "week", "amount": 100}
        first = await table.player.ask(request)
        told = limit("stake", 100, 0, "week")
        del told["used"]
        assert first == {
            "type": "limit.changed", "id": first["id"], "limit": told, "block": first["block"],
            "transaction_id": first["transaction_id"], "replayed": False,
        }  # fmt: skip
        again = await table.player.ask(request)
        assert again == first | {"id": again["id"], "replayed": True}
        assert refused(await table.player.ask(request | {"amount": 99}), "IDEMPOTENCY_CONFLICT")
        assert await table.shown() == [limit("stake", 100, 0, "week")]

    play(world, scenario)


def test_a_player_may_not_say_whose(world: World) -> None:
    async def scenario(table: Table) -> None:
        for user_id in (table.user_id, world.players[-1]["id"]):
            for type_, fields in SETTING.items():
                answer = await move(table.player, type_, user_id=user_id, **fields)
                assert refused(answer, "FORBIDDEN", "user_id: "), answer
            answer = await table.player.ask({"type": "limit.get", "user_id": user_id})
            assert refused(answer, "FORBIDDEN", "user_id: ")
        assert await table.shown() == []

    play(world, scenario)


SETTING: dict[str, Json] = {
    "limit.set": {"kind": "stake", "period": "day", "amount": 5},
    "limit.exclude": {"until": 2_000_000_000_000},
}


def test_an_operator_must_say_whose(world: World) -> None:
    async def scenario(table: Table) -> None:
        for type_, fields in SETTING.items():
            answer = await move(table.operator, type_, **fields)
            assert refused(answer, "INVALID_REQUEST", "user_id: "), answer
            for nobody in (1, 10**12):
                answer = await move(table.operator, type_, user_id=nobody, **fields)
                assert refused(answer, "ACCOUNT_NOT_FOUND"), answer
            answer = await move(table.operator, type_, user_id=table.user_id, **fields)
            assert answer["type"] == "limit.changed", answer
        for wire in (table.operator, table.auditor):
            assert refused(await wire.ask({"type": "limit.get"}), "INVALID_REQUEST", "user_id: ")
            for nobody in (1, 10**12):
                answer = await wire.ask({"type": "limit.get", "user_id": nobody})
                assert refused(answer, "ACCOUNT_NOT_FOUND")
            seen = await wire.ask({"type": "limit.get", "user_id": table.user_id})
            assert seen["limits"] == await table.shown()
            assert [each["kind"] for each in seen["limits"]] == ["exclusion", "stake"]

    play(world, scenario)


def test_an_auditor_sets_nothing(world: World) -> None:
    async def scenario(table: Table) -> None:
        for type_, fields in SETTING.items():
            for whose in ({}, {"user_id": table.user_id}):
                assert refused(await move(table.auditor, type_, **fields, **whose), "FORBIDDEN")
        assert await table.shown() == []

    play(world, scenario)


# --- what they stop ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stake", "loss"])
@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_a_bet_beyond_a_limit_is_refused_and_stays_so(world: World, kind: str, period: str) -> None:
    async def scenario(table: Table) -> None:
        await table.limit(kind, 100, period)
        assert (await table.bet(60))["type"] == "bet.confirmed"
        beyond = bet(41)
        answer = await table.player.ask(beyond)
        assert rejected(answer)
        assert answer["balance"] == OPENING - 60
        assert (await table.bet(40))["type"] == "bet.confirmed"
        assert rejected(await table.bet(1))
        assert await table.shown() == [limit(kind, 100, 100, period)]
        again = await table.player.ask(beyond)
        assert rejected(again)
        assert again["replayed"]
        state = await table.player.ask({"type": "bet.get", "bet_id": beyond["bet_id"]})
        assert (state["state"], state["code"]) == ("rejected", "LIMIT_EXCEEDED")

    play(world, scenario)


def test_a_win_makes_room_below_a_loss_limit_and_is_never_stopped(world: World) -> None:
    async def scenario(table: Table) -> None:
        await table.limit("loss", 100)
        lost = bet(100)
        assert (await table.player.ask(lost))["type"] == "bet.confirmed"
        assert rejected(await table.bet(1))
        excluded = await move(table.player, "limit.exclude", until=now_ms() + 3_600_000)
        assert excluded["type"] == "limit.changed"
        answer = await move(table.operator, "bet.settle", bet_id=lost["bet_id"], result="won", payout=130)
        assert answer["type"] == "bet.settled"
        assert (await table.player.push("wallet.entry"))["kind"] == "WIN"
        assert limit("loss", 100, -30) in await table.shown()

    play(world, scenario)


def test_a_deposit_beyond_a_limit_is_refused_and_its_key_may_be_used_again(world: World) -> None:
    async def scenario(table: Table) -> None:
        await table.limit("deposit", 500)
        assert (await table.deposit(300))["type"] == "wallet.moved"
        assert refused(await table.deposit(201, key="again"), "LIMIT_EXCEEDED")
        assert (await table.deposit(200, key="again"))["type"] == "wallet.moved"
        assert (await table.bet(OPENING + 500))["type"] == "bet.confirmed"  # of a bet it says nothing
        assert await table.shown() == [limit("deposit", 500, 500)]

    play(world, scenario)


def test_who_has_excluded_himself_neither_bets_nor_deposits(world: World) -> None:
    async def scenario(table: Table) -> None:
        until = now_ms() + DAY_MS
        told = await move(table.player, "limit.exclude", until=until)
        exclusion = {"kind": "exclusion", "period": "ever", "amount": until}
        assert told["limit"] == exclusion | {"pending": None, "pending_from_at": None}
        assert rejected(await table.bet(1))
        assert refused(await table.deposit(1), "LIMIT_EXCEEDED")
        for wire, whose in ((table.player, {}), (table.operator, {"user_id": table.user_id})):
            sooner = await move(wire, "limit.exclude", until=until - 1, **whose)
            assert refused(sooner, "LIMIT_EXCEEDED", "until: ")
        later = await move(table.player, "limit.exclude", until=until + 1)
        assert later["limit"]["amount"] == until + 1
        taken = await move(table.operator, "wallet.withdraw", user_id=table.user_id, amount=1)
        assert taken["type"] == "wallet.moved"  # his money stays his
        assert (await table.player.push("wallet.entry"))["kind"] == "WITHDRAWAL"

    play(world, scenario)


def test_what_a_friend_gives_is_a_deposit(world: World) -> None:
    """By his own socket and by an operator's; the house's money always gets in."""

    async def scenario(table: Table) -> None:
        friend_id, token = world.player()
        ((house,),) = world.query("SELECT id FROM users WHERE kind = 'house' AND currency = 'EUR'")

        async def given(by: Wire, amount: int, payer: int = friend_id, key: str | None = None) -> Json:
            legs = [{"user_id": payer, "amount": -amount}, {"user_id": table.user_id, "amount": amount}]
            return await move(by, "wallet.transfer", legs=legs, key=key or new_key())

        async with connect(world.server.ws, token) as friend:
            await table.limit("deposit", 100)
            for by, amount in ((friend, 60), (table.operator, 30)):
                assert (await given(by, amount))["type"] == "wallet.moved"
                assert (await table.player.push("wallet.entry"))["amount"] == amount
                assert (await friend.push("wallet.entry"))["amount"] == -amount
            assert [each["used"] for each in await table.shown()] == [90]
            key = new_key()
            for by in (friend, table.operator):
                told = await given(by, 11, key=key)
                assert refused(
                    told, "LIMIT_EXCEEDED", "legs: a limit of one of these wallets does not allow it"
                )
            assert refused(await table.deposit(11), "LIMIT_EXCEEDED")
            until = now_ms() + DAY_MS
            assert (await move(table.player, "limit.exclude", until=until))["type"] == "limit.changed"
            assert refused(await given(friend, 1), "LIMIT_EXCEEDED")
            assert (await given(table.operator, 500, payer=house))["type"] == "wallet.moved"
            assert (await table.player.push("wallet.entry"))["amount"] == 500
            # The payer's money is where it was, and his key is free.
            assert (await friend.ask({"type": "balance.get"}))["balance"] == OPENING - 90
            legs = [{"user_id": friend_id, "amount": -1}, {"user_id": house, "amount": 1}]
            assert (await move(table.operator, "wallet.transfer", legs=legs, key=key))["replayed"] is False
            assert (await friend.push("wallet.entry"))["amount"] == -1

    play(world, scenario)


# --- changed ----------------------------------------------------------------------------------------------


def test_a_stricter_limit_holds_at_once_and_a_looser_one_is_pending(world: World) -> None:
    async def scenario(table: Table) -> None:
        await table.limit("stake", 100)
        assert (await table.bet(40))["type"] == "bet.confirmed"
        assert (await table.limit("stake", 50))["amount"] == 50
        assert rejected(await table.bet(11))
        for looser in (1000, None):
            began = now_ms()
            told = await table.limit("stake", looser)
            assert (told["amount"], told["pending"]) == (50, looser)
            assert began + DAY_MS <= told["pending_from_at"] + 1 <= now_ms() + DAY_MS + 1
            assert rejected(await table.bet(11))
            assert await table.shown() == [told | {"used": 40}]
        assert await table.limit("stake", 49) == {
            "kind": "stake", "period": "day", "amount": 49, "pending": None, "pending_from_at": None
        }  # fmt: skip
        assert (await table.bet(9))["type"] == "bet.confirmed"
        assert (await table.limit("stake", 0))["amount"] == 0
        assert rejected(await table.bet(1))

    play(world, scenario)


def test_the_limits_of_several_kinds_and_periods_hold_side_by_side(world: World) -> None:
    async def scenario(table: Table) -> None:
        await table.limit("stake", 100, "day")
        await table.limit("stake", 150, "week")
        await table.limit("loss", 70, "month")
        await table.limit("time", 3600, "day")
        assert rejected(await table.bet(71))
        assert (await table.bet(70))["type"] == "bet.confirmed"
        shown = {
            (each["kind"], each["period"]): (each["amount"], each["used"]) for each in await table.shown()
        }
        assert shown == {
            ("loss", "month"): (70, 70), ("stake", "day"): (100, 70), ("stake", "week"): (150, 70),
            ("time", "day"): (3600, 1),
        }  # fmt: skip

    play(world, scenario)


@pytest.mark.parametrize("role", ["player", "operator"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"amount": -1}, "amount: expected null, or an integer from 0 to"),
        ({"amount": 1.0}, "amount: expected null, or an integer from 0 to"),
        ({"amount": 2**53}, "amount: expected null, or an integer from 0 to"),
        ({"kind": "exclusion"}, "kind: expected stake, loss, deposit or time"),
        ({"period": "ever"}, "period: expected day, week or month"),
        ({"user_id": 0}, "user_id: expected an integer from 1 to"),
        ({"until": 1}, "until: unknown field"),
    ],
)
def test_a_bad_value_is_refused_by_name(world: World, role: str, fields: Json, words: str) -> None:
    async def scenario(table: Table) -> None:
        wire = table.player if role == "player" else table.operator
        sound: Json = {"kind": "stake", "period": "day", "amount": 1}
        assert refused(await move(wire, "limit.set", **(sound | fields)), "INVALID_REQUEST", words)

    play(world, scenario)
