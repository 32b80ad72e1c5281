"""What an answer tells of a bet that others have paid for too, and in which words wallets are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.wire import bet
from tests.bonus_table import Table, play, serving_two_currencies
from tests.operating import move, refused
from tests.server_fixture import OPENING, Json, World
from ws.wire.outcomes import NO_FREE_BET

NO_BOOKS = "currency: the house has no books in it"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_two_currencies(tmp_path_factory.mktemp("answers"), players=10) as live:
        yield live


# --- who has paid -----------------------------------------------------------------------------------------


def test_a_bet_tells_what_of_its_stake_the_wallet_has_not_paid(world: World) -> None:
    async def scenario(table: Table) -> None:
        await table.grant(100)
        free_bet_id = await table.free_bet(70)
        placing: list[tuple[Json, int | None]] = [
            (bet(60), 60),
            (bet(150), 40),
            (bet(10), None),
            (bet(70, free_bet_id=free_bet_id), 70),
        ]
        for request, expected in placing:
            confirmed = await table.player.ask(request)
            assert confirmed == {
                "type": "bet.confirmed", "id": confirmed["id"], "bet_id": request["bet_id"],
                "stake": request["stake"], "transaction_id": confirmed["transaction_id"],
                "block": confirmed["block"], "seq": confirmed["seq"], "balance": confirmed["balance"],
                "held": 0, "available": confirmed["balance"], "replayed": False,
            } | ({} if expected is None else {"bonus": expected})  # fmt: skip
            again = await table.player.ask(request)
            assert again == confirmed | {"id": again["id"], "replayed": True}
        assert confirmed["balance"] == OPENING - 110 - 10

    play(world, scenario)


def test_a_bet_that_an_operator_places_tells_it_too(world: World) -> None:
    async def scenario(table: Table) -> None:
        await table.grant(100)
        confirmed = await table.operator.ask(bet(150, user_id=table.user_id))
        assert (confirmed["bonus"], confirmed["balance"]) == (100, OPENING - 50)
        assert await table.pushed() == ("BET", -50, OPENING - 50)

    play(world, scenario)


def test_what_has_become_of_a_bonus_since_changes_no_first_answer(world: World) -> None:
    async def scenario(table: Table) -> None:
        beside = await table.grant(100)
        mixed, own = bet(150), bet(10)
        first = [await table.player.ask(each) for each in (mixed, own)]
        await table.move("bet.settle", bet_id=mixed["bet_id"], result="won", payout=300)
        await table.grant(1000, "last")
        legs = [{"user_id": beside, "amount": -1200}, {"user_id": table.user_id, "amount": 1200}]
        await table.move("wallet.transfer", legs=legs)
        again = [await table.player.ask(each) for each in (mixed, own)]
        assert again == [
            told | {"id": each["id"], "replayed": True} for told, each in zip(first, again, strict=True)
        ]
        assert [each.get("bonus") for each in again] == [100, None]
        assert await table.pushed() == ("WIN", 100, OPENING + 40)
        assert await table.pushed() == ("TRANSFER", 1200, OPENING + 1240)

    play(world, scenario)


# --- in which words ---------------------------------------------------------------------------------------


def test_what_an_operator_has_to_mend_is_named(world: World) -> None:
    async def scenario(table: Table) -> None:
        further = (await table.move("wallet.open", currency="EUR", participant_id=table.user_id))["user_id"]
        first_wallet = "participant_id: expected the number of a person's first wallet"
        items = [{"user_id": table.user_id, "amount": 1}]
        cases: list[tuple[str, Json, str, str]] = [
            (
                "wallet.open",
                {"currency": "EUR", "participant_id": further},
                "ACCOUNT_NOT_FOUND",
                first_wallet,
            ),
            ("wallet.open", {"currency": "EUR", "participant_id": 1}, "ACCOUNT_NOT_FOUND", first_wallet),
            ("wallet.open", {"currency": "XAU"}, "CURRENCY_MISMATCH", NO_BOOKS),
            ("payout.open", {"currency": "XAU"}, "CURRENCY_MISMATCH", NO_BOOKS),
            ("payout.make", {"currency": "XAU", "items": items}, "CURRENCY_MISMATCH", NO_BOOKS),
        ]
        for type_, fields, code, words in cases:
            answer = await move(table.operator, type_, **fields)
            assert refused(answer, code), (type_, answer)
            assert answer["message"] == words

    play(world, scenario)


def test_a_free_bet_that_does_not_pay_is_told_in_its_own_words_also_again(world: World) -> None:
    async def scenario(table: Table) -> None:
        free_bet_id = await table.free_bet(70)
        request = bet(71, free_bet_id=free_bet_id)
        first, again = [await table.player.ask(request) for _ in range(2)]
        assert (first["code"], first["message"]) == ("INSUFFICIENT_FUNDS", NO_FREE_BET)
        assert again == first | {"id": again["id"], "replayed": True}
        plain = await table.player.ask(bet(OPENING + 1))
        assert plain["code"] == "INSUFFICIENT_FUNDS"
        assert plain["message"] != NO_FREE_BET
        assert await table.free_bets() == [free_bet_id]

    play(world, scenario)


# --- closing ----------------------------------------------------------------------------------------------


def test_a_wallet_is_closed_though_the_bonus_beside_it_owes(world: World) -> None:
    async def scenario(table: Table) -> None:
        beside = await table.grant(100)
        won = await table.bet(100)
        await table.move("bet.settle", bet_id=won["bet_id"], result="won", payout=300)
        spent = await table.bet(250)
        await table.move("wallet.withdraw", user_id=table.user_id, amount=OPENING)
        assert await table.pushed() == ("WITHDRAWAL", -OPENING, 0)
        closing: Json = {"user_id": table.user_id, "status": "closed"}
        refusal = await move(table.operator, "wallet.status", **closing)  # 50 of bonus money are left
        assert refused(refusal, "LIMIT_EXCEEDED", "status: ")
        await table.move("bet.unsettle", bet_id=won["bet_id"])
        assert await table.balances() == {table.user_id: 0, beside: 0}  # and the bonus owes 250
        await table.move("wallet.status", **closing)
        answer = await move(table.operator, "bet.settle", bet_id=spent["bet_id"], result="won", payout=400)
        assert refused(answer, "ACCOUNT_BLOCKED")
        await table.move("wallet.status", **closing | {"status": "open"})
        await table.move("bet.settle", bet_id=spent["bet_id"], result="won", payout=400)
        assert await table.balances() == {table.user_id: 0, beside: 150}  # what it owed was kept back

    play(world, scenario)


def test_a_wallet_that_owes_itself_is_not_closed(world: World) -> None:
    async def scenario(table: Table) -> None:
        won = await table.bet(100)
        await table.move("bet.settle", bet_id=won["bet_id"], result="won", payout=300)
        await table.move("wallet.withdraw", user_id=table.user_id, amount=OPENING + 200)
        await table.move("bet.unsettle", bet_id=won["bet_id"])
        assert await table.pushed() == ("WIN", 300, OPENING + 200)
        assert await table.pushed() == ("WITHDRAWAL", -OPENING - 200, 0)
        answer = await move(table.operator, "wallet.status", user_id=table.user_id, status="closed")
        assert refused(answer, "LIMIT_EXCEEDED", "status: ")

    play(world, scenario)
