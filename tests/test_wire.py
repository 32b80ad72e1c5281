"""What PROTOCOL promises, over real sockets, against the real server process."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Coroutine
from typing import Any

import pytest

from harness.wire import Wire, bet, connect, new_bet_id, now_ms
from tests.server_fixture import OPENING, Json, RawSocket, World, frame, mint, of_type

LIMITS = {
    "frame_bytes": 262144,
    "frame_messages": 1000,
    "in_flight": 1000,
    "nonce_window_ms": 90000,
    "deadline_ms": 2000,
    "messages_per_s": 50000,
}
FUNDS = {"balance": OPENING, "held": 0, "available": OPENING}


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Any:
    yield
    world.assert_sound()


@pytest.mark.parametrize("by_message", [False, True], ids=["header", "first message"])
def test_a_player_is_welcomed_with_the_wallet(world: World, by_message: bool) -> None:
    async def scenario() -> None:
        user_id, token = world.player()
        async with connect(world.server.ws, token, by_message=by_message) as wire:
            assert abs(wire.welcome.pop("server_time") - now_ms()) < 5000
            ((seq,),) = world.query("SELECT max(id) FROM transaction_ledger WHERE user_id = ?", user_id)
            assert wire.welcome == {
                "type": "welcome", "user_id": user_id, "role": "player", "currency": "EUR", "seq": seq,
                "limits": LIMITS, **FUNDS,
            }  # fmt: skip

    run(scenario())


@pytest.mark.parametrize("role", ["operator", "auditor"])
def test_who_is_no_player_is_welcomed_without_a_wallet(world: World, role: str) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, getattr(world, role)) as wire:
            assert wire.welcome.keys() == {"type", "user_id", "role", "server_time", "limits"}
            for request in ({"type": "balance.get"}, {"type": "resume", "from_seq": 0}):
                assert (await wire.ask(request))["code"] == "FORBIDDEN"

    run(scenario())


def confirmed_fields(request: Json, answer: Json) -> Json:
    """The answer without what only the server can know, after a look at the latter."""
    assert answer["type"] == "bet.confirmed", answer
    assert answer["bet_id"] == request["bet_id"]
    assert min(answer["transaction_id"], answer["block"], answer["seq"]) > 0
    return {name: answer[name] for name in ("stake", "balance", "held", "available", "replayed")}


def test_a_bet_is_pending_and_then_confirmed(world: World) -> None:
    async def scenario() -> None:
        user_id, token = world.player()
        async with connect(world.server.ws, token) as wire:
            request = bet(250, id="mine", currency="EUR", game="g", round="r", selection="s", odds_milli=1900)
            (exchange,) = await wire.send(request)
            confirmed = await exchange.answer()
            assert exchange.replies[0] == {"type": "bet.pending", "id": "mine", "bet_id": request["bet_id"]}
            assert exchange.replies[1:] == [confirmed]
            left = OPENING - 250
            assert confirmed_fields(request, confirmed) == {
                "stake": 250, "balance": left, "held": 0, "available": left, "replayed": False,
            }  # fmt: skip
            ((entry,),) = world.query("SELECT amount FROM transaction_ledger WHERE id = ?", confirmed["seq"])
            assert entry == -250
            assert await wire.ask({"type": "balance.get", "id": "b"}) == {
                "type": "balance", "id": "b", "currency": "EUR", "balance": left, "held": 0,
                "available": left, "seq": confirmed["seq"],
            }  # fmt: skip
            terms = world.query(
                "SELECT user_id, game, round, selection, odds_milli FROM bets WHERE transaction_id = ?",
                confirmed["transaction_id"],
            )
            assert terms == [(user_id, "g", "r", "s", 1900)]

    run(scenario())


def test_a_replay_is_the_first_answer_whatever_has_happened_since(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            request = bet(10)
            first = await wire.ask(request | {"id": "1"})
            await wire.ask(bet(20))
            stale = now_ms() - 3_600_000
            for change in ({}, {"nonce": secrets.token_hex(8)}, {"sent_at": stale}, {"currency": "EUR"}):
                again = await wire.ask(request | {"id": "1"} | change)
                assert again == first | {"replayed": True}, change
            assert (await wire.ask({"type": "balance.get"}))["balance"] == OPENING - 30

    run(scenario())


@pytest.mark.parametrize(
    "change",
    [
        {"stake": 11}, {"game": "other"}, {"game": ""}, {"round": "x"}, {"selection": "x"},
        {"odds_milli": 1001}, {"currency": "USD"}, {"stake": 11, "sent_at": 0},
    ],
    ids=str,
)  # fmt: skip
def test_the_same_bet_id_for_another_bet_is_a_conflict(world: World, change: Json) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            request = bet(10)
            await wire.ask(request)
            answer = await wire.ask(request | change)
            assert (answer["type"], answer["code"], answer["retryable"]) == (
                "error",
                "IDEMPOTENCY_CONFLICT",
                False,
            )

    run(scenario())


def test_another_players_bet_can_be_neither_taken_nor_seen(world: World) -> None:
    async def scenario() -> None:
        url = world.server.ws
        async with connect(url, world.player()[1]) as owner, connect(url, world.player()[1]) as thief:
            won, lost = bet(10), bet(OPENING + 1)
            confirmed, rejected = await owner.ask_all(won, lost)
            for request in (won, lost):
                look = {"type": "bet.get", "bet_id": request["bet_id"]}
                assert (await thief.ask(request))["code"] == "IDEMPOTENCY_CONFLICT"
                assert (await thief.ask(look))["code"] == "NOT_FOUND"
                async with connect(url, world.operator) as operator, connect(url, world.auditor) as auditor:
                    seen = [await wire.ask(look | {"id": "x"}) for wire in (owner, operator, auditor)]
                    assert seen[0] == seen[1] == seen[2]
                    assert seen[0]["type"] == "bet.state"
            assert (confirmed["type"], rejected["code"]) == ("bet.confirmed", "INSUFFICIENT_FUNDS")

    run(scenario())


def test_a_bet_can_be_asked_for_in_each_state(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            request = bet(10)
            look = {"type": "bet.get", "id": "g", "bet_id": request["bet_id"]}
            # In one frame: the look is taken before the bet can have been decided.
            placed, looked = await wire.send(request, look)
            assert await looked.answer() == {
                "type": "bet.state", "id": "g", "bet_id": request["bet_id"], "state": "pending",
                "stake": 10, "payout": 0,
            }  # fmt: skip
            confirmed = await placed.answer()
            assert await wire.ask(look) == {
                "type": "bet.state", "id": "g", "bet_id": request["bet_id"], "state": "confirmed",
                "stake": 10, "payout": 0, "transaction_id": confirmed["transaction_id"],
                "seq": confirmed["seq"],
            }  # fmt: skip
            poor = bet(OPENING * 2)
            await wire.ask(poor)
            assert await wire.ask(look | {"bet_id": poor["bet_id"]}) == {
                "type": "bet.state", "id": "g", "bet_id": poor["bet_id"], "state": "rejected",
                "stake": OPENING * 2, "payout": 0, "code": "INSUFFICIENT_FUNDS",
            }  # fmt: skip
            unknown = await wire.ask(look | {"bet_id": new_bet_id()})
            assert (unknown["type"], unknown["code"], unknown["id"]) == ("error", "NOT_FOUND", "g")

    run(scenario())


async def refused_for_good(wire: Wire, request: Json, code: str) -> None:
    """Refused with the wallet shown, and again when it is sent again."""
    first = await wire.ask(request | {"id": "1"})
    message = first.pop("message")
    assert first == {
        "type": "bet.rejected", "id": "1", "bet_id": request["bet_id"], "code": code, "retryable": False,
        "replayed": False, **FUNDS,
    }  # fmt: skip
    again = await wire.ask(request | {"id": "1", "nonce": secrets.token_hex(8)})
    assert again == first | {"replayed": True, "message": message}
    conflict = await wire.ask(request | {"stake": 3})
    assert conflict["code"] == "IDEMPOTENCY_CONFLICT"


def test_a_bet_beyond_the_balance_stays_refused(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            await refused_for_good(wire, bet(OPENING + 1), "INSUFFICIENT_FUNDS")
            assert (await wire.ask(bet(OPENING)))["available"] == 0

    run(scenario())


def test_a_bet_in_another_currency_stays_refused(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            await refused_for_good(wire, bet(10, currency="USD"), "CURRENCY_MISMATCH")
            assert (await wire.ask(bet(OPENING + 1, currency="ZZZ")))["code"] == "CURRENCY_MISMATCH"

    run(scenario())


def test_a_blocked_wallet_may_look_and_not_bet(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, mint(world.blocked_id)) as wire:
            await refused_for_good(wire, bet(10), "ACCOUNT_BLOCKED")
            both = await wire.ask(bet(OPENING + 1, currency="USD"))
            assert both["code"] == "ACCOUNT_BLOCKED"
            assert (await wire.ask({"type": "balance.get"}))["balance"] == OPENING

    run(scenario())


@pytest.mark.parametrize(
    ("offset_ms", "stale"),
    [(-78_000, False), (-82_000, True), (8_000, False), (12_000, True), (-(10**12), True)],
)
def test_a_request_is_fresh_for_80_s_and_10_s_ahead(world: World, offset_ms: int, stale: bool) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            request = bet(10, sent_at=now_ms() + offset_ms)
            answer = await wire.ask(request)
            assert answer.get("code") == ("STALE_REQUEST" if stale else None)
            assert answer["type"] == ("error" if stale else "bet.confirmed")
            sent_anew = await wire.ask(request | {"sent_at": now_ms()})
            assert (sent_anew["type"], sent_anew["replayed"]) == ("bet.confirmed", not stale)

    run(scenario())


def test_a_nonce_serves_one_bet_of_one_player(world: World) -> None:
    async def scenario() -> None:
        url = world.server.ws
        async with connect(url, world.player()[1]) as wire, connect(url, world.player()[1]) as other:
            nonce = "the-same"
            await wire.ask(bet(10, nonce=nonce))
            reused = await wire.ask(bet(10, nonce=nonce))
            assert (reused["type"], reused["code"], reused["retryable"]) == ("error", "NONCE_REUSED", False)
            assert (await wire.ask(bet(10, nonce=nonce, sent_at=0)))["code"] == "STALE_REQUEST"
            assert (await wire.ask(bet(OPENING * 2, nonce=nonce)))["code"] == "NONCE_REUSED"
            assert (await other.ask(bet(10, nonce=nonce)))["type"] == "bet.confirmed"

    run(scenario())


def test_an_array_is_answered_element_by_element(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            answers = await wire.ask_all(
                bet(30, id="a"),
                {"type": "bet.place", "id": "b", "stake": 1.5},
                {"type": "no.such", "id": "c"},
                {"type": "ping", "id": "d"},
                bet(OPENING, id="e"),
                bet(10, id="f"),
            )
            assert [answer["id"] for answer in answers] == ["a", "b", "c", "d", "e", "f"]
            assert [answer.get("code", answer["type"]) for answer in answers] == [
                "bet.confirmed", "INVALID_REQUEST", "INVALID_REQUEST", "pong", "INSUFFICIENT_FUNDS",
                "bet.confirmed",
            ]  # fmt: skip

    run(scenario())


def test_bets_of_one_frame_are_decided_in_order(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            stakes = [OPENING * 3 // 10] * 5 + [OPENING // 10]
            answers = await wire.ask_all(*(bet(stake) for stake in stakes))
            assert [answer["type"] == "bet.confirmed" for answer in answers] == [True] * 3 + [False] * 2 + [
                True
            ]
            assert answers[-1]["available"] == 0

    run(scenario())


def test_too_many_in_flight_are_turned_away_and_may_come_back(world: World) -> None:
    _, token = world.player()
    bets = [bet(1, id=f"r{i}") for i in range(2700)]
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        raw.send(b"".join(frame(json.dumps(bets[i : i + 900])) for i in (0, 900, 1800)))
        replies: list[Json] = []
        while len(replies) - len(of_type(replies, "bet.pending")) < len(bets):
            replies += raw.read_messages()
        refused = of_type(replies, "bet.rejected")
        assert {(reply["code"], reply["retryable"]) for reply in refused} == {("RATE_LIMITED", True)}
        assert len(of_type(replies, "bet.confirmed")) + len(refused) == len(bets)
        assert {reply["id"] for reply in of_type(replies, "bet.pending")}.isdisjoint(
            reply["id"] for reply in refused
        )
        again = next(b for b in bets if b["id"] == refused[0]["id"])
        raw.send_frame(json.dumps(again))
        pending, *rest = raw.read_messages()
        (answer,) = rest or raw.read_messages()
        assert (pending["type"], answer["type"], answer["replayed"]) == (
            "bet.pending",
            "bet.confirmed",
            False,
        )


def test_ping_is_answered_with_the_time(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.player()[1]) as wire:
            pong = await wire.ask({"type": "ping", "id": "ü😀"})
            assert pong == {"type": "pong", "id": "ü😀", "server_time": pong["server_time"]}
            assert abs(pong["server_time"] - now_ms()) < 5000

    run(scenario())
