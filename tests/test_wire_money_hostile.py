"""Operators and players who mean harm: messages that move money, malformed, forbidden, endless, too many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.wire import bet, connect, new_bet_id
from tests.money_table import FEES, MOST, Table, each_message, play
from tests.operating import refused
from tests.server_fixture import OPENING, Json, RawSocket, World, frame, of_type, running


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


def test_a_player_or_an_auditor_who_plays_the_operator_moves_nothing(world: World) -> None:
    async def scenario(table: Table) -> None:
        requests = [request for request, _ in await each_message(table)]
        before, wallet = world.entries(), await table.wallet()
        async with connect(world.server.ws, world.auditor) as auditor:
            for wire in (table.player, auditor):
                for request in requests:
                    # Out of his own wallet a player may: tests/test_player_transfers.py.
                    if wire is auditor or request["type"] != "wallet.transfer":
                        assert (await wire.ask(request | {"key": "mine"}))["code"] == "FORBIDDEN"
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
