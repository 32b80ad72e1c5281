"""What becomes of bets, over real sockets: settled, taken back, cashed out, rolled back; who hears of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.wire import bet, connect
from tests.money_table import Table, play
from tests.operating import new_key, refused
from tests.server_fixture import OPENING, Json, World


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


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
            {"type": type_, "key": new_key(), "bet_id": bet_id} | fields for type_, fields in moves
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
