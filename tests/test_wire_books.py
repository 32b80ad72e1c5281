"""The floors of the house's books at a real server: who may set them, and what they stop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bonus_table import Table, play, serving_two_currencies
from tests.operating import move, refused
from tests.server_fixture import World

HOUSE, CASH = 8, 9  # of EUR: the books of USD, and a player, are the first


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_two_currencies(tmp_path_factory.mktemp("floors"), players=4) as live:
        yield live


def test_an_operator_sets_how_far_a_book_may_go(world: World) -> None:
    async def scenario(table: Table) -> None:
        request = {"type": "book.floor", "key": "floor", "user_id": CASH, "floor": -(10**12)}
        changed = await table.operator.ask(request)
        assert changed == {
            "type": "book.changed", "id": changed["id"], "user_id": CASH, "floor": -(10**12),
            "transaction_id": changed["transaction_id"], "block": changed["block"], "replayed": False,
        }  # fmt: skip
        again = await table.operator.ask(request)
        assert again == changed | {"id": again["id"], "replayed": True}
        assert refused(await table.operator.ask(request | {"floor": -1}), "IDEMPOTENCY_CONFLICT")

        too_much = await move(table.operator, "wallet.deposit", user_id=table.user_id, amount=10**12)
        assert refused(too_much, "INSUFFICIENT_FUNDS")
        await table.move("book.floor", user_id=CASH, floor=-(2**62))
        await table.move("wallet.deposit", user_id=table.user_id, amount=10**12)
        assert (await table.pushed())[:2] == ("DEPOSIT", 10**12)
        refusal = await move(table.operator, "book.floor", user_id=CASH, floor=0)
        assert refused(refusal, "INSUFFICIENT_FUNDS", "floor: this book is below it already")

    play(world, scenario)


def test_only_a_book_has_a_floor_and_only_operators_set_it(world: World) -> None:
    async def scenario(table: Table) -> None:
        words = "user_id: expected the number of a book of the house's"
        for user_id in (table.user_id, 2**52 + 1, 10**9):
            refusal = await move(table.operator, "book.floor", user_id=user_id, floor=-1)
            assert refused(refusal, "ACCOUNT_NOT_FOUND", words)
        assert refused(await move(table.player, "book.floor", user_id=HOUSE, floor=-1), "FORBIDDEN")
        assert refused(await move(table.operator, "book.floor", user_id=HOUSE, floor=1), "INVALID_REQUEST")

    play(world, scenario)
