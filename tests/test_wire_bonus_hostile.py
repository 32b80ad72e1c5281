"""Players who help themselves to wallets, bonus money and free bets, over real sockets; and bad requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from engine.commands import BONUS_BOOK_ID_BASE
from harness.wire import bet, connect, now_ms
from tests.bonus_table import Table, play, rejected, serving_two_currencies
from tests.operating import move, refused
from tests.server_fixture import OPENING, Json, RawSocket, World, mint, of_type
from ws.asking.lookups import FREE_BETS_MAX

MOST = 2**53 - 1
AT_ONCE = 1000
"""Requests of one frame (PROTOCOL, `frame_messages`)."""

FOR_OPERATORS: dict[str, Json] = {
    "wallet.open": {"currency": "EUR"},
    "bonus.grant": {"user_id": 7, "amount": 100, "spend": "first"},
    "free_bet.grant": {"user_id": 7, "amount": 100},
    "free_bet.revoke": {"free_bet_id": 88},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_two_currencies(tmp_path_factory.mktemp("hostile"), players=60) as live:
        yield live


def events(world: World) -> tuple[int, int, int]:
    """How much there is in the file: transactions, entries, accounts."""
    ((transactions, entries, users),) = world.query(
        """
        SELECT (SELECT count(*) FROM transactions), (SELECT count(*) FROM transaction_ledger),
               (SELECT count(*) FROM users)
        """
    )
    return transactions, entries, users


def bonus_book(world: World) -> int:
    """The balance of the bonus book in EUR."""
    ((minor,),) = world.query("SELECT balance FROM users WHERE kind = 'bonus' AND currency = 'EUR'")
    return int(minor)


# --- bad requests -----------------------------------------------------------------------------------------

INTEGER = "expected an integer from 1 to 9007199254740991"
TIME = "expected an integer: milliseconds since the Unix epoch"
NO_NUMBERS: list[object] = [0, -1, 2**53, 2**64, 1.0, 1.5, "7", True, [], {}]
BAD: dict[tuple[str, str], tuple[list[object], str]] = {
    ("wallet.open", "currency"): ([None, "eur", "EURO", 978, ""], "expected three capital letters"),
    ("wallet.open", "participant_id"): (NO_NUMBERS, INTEGER),
    ("bonus.grant", "user_id"): ([*NO_NUMBERS, None], INTEGER),
    ("bonus.grant", "amount"): ([*NO_NUMBERS, None], INTEGER),
    ("bonus.grant", "spend"): ([None, "FIRST", "", "both", 1, ["first"]], "expected first or last"),
    ("bonus.grant", "expires_at"): ([-1, 2**53, 1.0, "0", True], TIME),
    ("free_bet.grant", "user_id"): ([*NO_NUMBERS, None], INTEGER),
    ("free_bet.grant", "amount"): ([*NO_NUMBERS, None], INTEGER),
    ("free_bet.grant", "expires_at"): ([-1, 2**53, 1.0, "0", True], TIME),
    ("free_bet.revoke", "free_bet_id"): ([*NO_NUMBERS, None], INTEGER),
    ("wallet.list", "user_id"): (NO_NUMBERS, INTEGER),
    ("bet.place", "free_bet_id"): (NO_NUMBERS, INTEGER),
}


@pytest.mark.parametrize(("type_", "field"), BAD)
def test_a_bad_value_is_refused_by_name_and_does_nothing(world: World, type_: str, field: str) -> None:
    async def scenario(table: Table) -> None:
        values, words = BAD[type_, field]
        sound: Json = {"type": type_, "key": "k"} | FOR_OPERATORS.get(type_, {})
        if type_ == "wallet.list":
            sound = {"type": type_}
        elif type_ == "bet.place":
            sound = bet(5, user_id=table.user_id)
        before = events(world)
        answers = await table.operator.ask_all(*(sound | {field: value} for value in values))
        wrong = [each for each in answers if not refused(each, "INVALID_REQUEST", f"{field}: {words}")]
        assert wrong == []
        answer = await table.operator.ask(sound | {"free": 1})
        assert refused(answer, "INVALID_REQUEST", "free: unknown field")
        assert events(world) == before

    play(world, scenario)


@pytest.mark.parametrize("type_", ["bonus.grant", "free_bet.grant"])
def test_what_would_have_expired_already_is_not_granted(world: World, type_: str) -> None:
    async def scenario(table: Table) -> None:
        sound = FOR_OPERATORS[type_] | {"user_id": table.user_id}
        for late in (0, 1, now_ms() - 1):
            answer = await move(table.operator, type_, **sound, expires_at=late)
            assert refused(answer, "INVALID_REQUEST", "expires_at: ")
        assert (await move(table.operator, type_, **sound, expires_at=MOST))["type"] != "error"

    play(world, scenario)


@pytest.mark.parametrize("type_", ["bonus.grant", "free_bet.grant"])
def test_who_cannot_bet_is_granted_nothing(world: World, type_: str) -> None:
    async def scenario(table: Table) -> None:
        sound = FOR_OPERATORS[type_]
        for user_id, code in [
            (world.blocked_id, "ACCOUNT_BLOCKED"),
            (1, "ACCOUNT_NOT_FOUND"),
            (BONUS_BOOK_ID_BASE + 1, "ACCOUNT_NOT_FOUND"),
            (MOST, "ACCOUNT_NOT_FOUND"),
        ]:
            answer = await move(table.operator, type_, **sound | {"user_id": user_id})
            assert refused(answer, code), (user_id, answer)

    play(world, scenario)


# --- who may ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", FOR_OPERATORS)
def test_no_player_and_no_auditor_grants_opens_or_revokes(world: World, type_: str) -> None:
    async def scenario(table: Table) -> None:
        free_bet_id, beside = await table.free_bet(10), await table.grant(10)
        sound = FOR_OPERATORS[type_]
        for field, value in {"user_id": table.user_id, "free_bet_id": free_bet_id}.items():
            sound = sound | ({field: value} if field in sound else {})
        before = events(world)
        async with (
            connect(world.server.ws, world.auditor) as auditor,
            table.wallet(beside) as bonus,
        ):
            for wire in (table.player, bonus, auditor):
                assert refused(await move(wire, type_, **sound), "FORBIDDEN", "for operators only")
        assert events(world) == before
        assert await table.free_bets() == [free_bet_id]

    play(world, scenario)


def test_a_player_lists_no_wallets_but_his_own(world: World) -> None:
    async def scenario(table: Table) -> None:
        other, _ = world.player()
        for user_id in (other, table.user_id):
            answer = await table.player.ask({"type": "wallet.list", "user_id": user_id})
            assert refused(answer, "FORBIDDEN", "user_id: ")

    play(world, scenario)


@pytest.mark.parametrize("number", [BONUS_BOOK_ID_BASE + 1, BONUS_BOOK_ID_BASE + 8, MOST, "first book"])
def test_a_token_of_a_book_or_of_nobody_opens_no_socket(world: World, number: int | str) -> None:
    user_id = 1 if isinstance(number, str) else number
    with RawSocket(world.server.port, token=mint(user_id)) as raw:
        messages, code = raw.messages_and_close_code()
    assert code == 4401
    assert [each["code"] for each in messages] == ["UNAUTHORIZED"]


def test_a_token_that_has_expired_opens_no_bonus_wallet_either(world: World) -> None:
    async def scenario(table: Table) -> None:
        beside = await table.grant(10)
        with RawSocket(world.server.port, token=mint(beside, life_s=-1)) as raw:
            assert raw.status == 401 or raw.close_code() == 4401
        with RawSocket(world.server.port, token=mint(beside, life_s=1)) as raw:
            (welcome,) = raw.read_messages()
            assert welcome["user_id"] == beside
            assert raw.close_code() == 4401

    play(world, scenario)


# --- helping oneself --------------------------------------------------------------------------------------


def test_of_a_flood_for_one_free_bet_one_is_paid(world: World) -> None:
    async def scenario(table: Table) -> None:
        free_bet_id = await table.free_bet(70)
        book = bonus_book(world)
        flood = [bet(70, free_bet_id=free_bet_id) for _ in range(AT_ONCE)]
        answers = await table.player.ask_all(*flood)
        told = Counter((each["type"], each.get("code")) for each in answers)
        assert told == {
            ("bet.confirmed", None): 1,
            ("bet.rejected", "INSUFFICIENT_FUNDS"): AT_ONCE - 1,
        }
        assert answers[0]["type"] == "bet.confirmed"  # the first in the frame
        assert bonus_book(world) == book - 70
        assert await table.balances() == {table.user_id: OPENING}
        again = await table.player.ask_all(*flood[:2])
        assert [each["replayed"] for each in again] == [True, True]

    play(world, scenario)


def test_many_sockets_do_not_use_a_free_bet_twice(world: World) -> None:
    async def scenario(table: Table) -> None:
        free_bet_id = await table.free_bet(70)
        async with table.wallet(table.user_id) as other:
            wires = [table.player, other]
            exchanges = [
                exchange
                for _ in range(50)
                for wire in wires
                for exchange in await wire.send(bet(70, free_bet_id=free_bet_id))
            ]
            answers = [await each.answer() for each in exchanges]
            assert [each["type"] for each in answers].count("bet.confirmed") == 1
            assert of_type(other.pushes, "wallet.entry") == []  # it costs the wallet nothing
        assert await table.balances() == {table.user_id: OPENING}

    play(world, scenario)


def test_a_free_bet_of_somebody_else_or_of_nobody_tells_nothing_and_pays_nothing(world: World) -> None:
    """All are answered alike: nobody learns which numbers are whose."""

    async def scenario(table: Table) -> None:
        victim, victims_token = world.player()
        granted = await table.move("free_bet.grant", user_id=victim, amount=70)
        theirs = int(granted["free_bet_id"])
        further = (await table.move("wallet.open", currency="EUR", participant_id=table.user_id))["user_id"]
        of_further = await table.move("free_bet.grant", user_id=further, amount=70)
        bonus = await table.move("bonus.grant", user_id=table.user_id, amount=70, spend="last")
        usd = await table.move("wallet.open", currency="USD", participant_id=table.user_id)
        of_usd = await table.move("free_bet.grant", user_id=usd["user_id"], amount=70)
        numbers = [
            theirs, of_further["free_bet_id"], of_usd["free_bet_id"], bonus["transaction_id"], 1, 10**9, MOST,
        ]  # fmt: skip
        answers = await table.player.ask_all(*(bet(70, free_bet_id=number) for number in numbers))
        assert all(rejected(each, "INSUFFICIENT_FUNDS") for each in answers), answers
        said = [{**each, "id": 0, "bet_id": 0} for each in answers]
        assert said.count(said[0]) == len(numbers)
        assert (await table.balances())[table.user_id] == OPENING
        async with connect(world.server.ws, victims_token) as wire:
            assert (await wire.ask(bet(70, free_bet_id=theirs)))["type"] == "bet.confirmed"

    play(world, scenario)


def test_a_free_bet_pays_its_own_amount_and_in_its_own_currency(world: World) -> None:
    async def scenario(table: Table) -> None:
        free_bet_id = await table.free_bet(70)
        for stake in (1, 69, 71, MOST):
            answer = await table.player.ask(bet(stake, free_bet_id=free_bet_id))
            assert rejected(answer, "INSUFFICIENT_FUNDS"), stake
        answer = await table.player.ask(bet(70, free_bet_id=free_bet_id, currency="USD"))
        assert rejected(answer, "CURRENCY_MISMATCH")
        assert (await table.bet(70, free_bet_id=free_bet_id))["balance"] == OPENING

    play(world, scenario)


def test_only_free_bets_are_revoked(world: World) -> None:
    async def scenario(table: Table) -> None:
        placed = await table.bet(5)
        bonus = await table.move("bonus.grant", user_id=table.user_id, amount=70, spend="last")
        for number in (placed["transaction_id"], bonus["transaction_id"], 10**9, MOST):
            answer = await move(table.operator, "free_bet.revoke", free_bet_id=number)
            assert refused(answer, "NOT_FOUND"), number

    play(world, scenario)


def test_a_bet_under_way_as_its_free_bet_is_revoked_is_paid_or_refused(world: World) -> None:
    async def scenario(table: Table) -> None:
        outcomes = Counter[tuple[str, str]]()
        for _ in range(10):
            free_bet_id = await table.free_bet(70)
            request = {"type": "free_bet.revoke", "key": f"no-{free_bet_id}", "free_bet_id": free_bet_id}
            placed, revoked = await asyncio.gather(
                table.player.ask(bet(70, free_bet_id=free_bet_id)), table.operator.ask(request)
            )
            outcomes[placed["type"], revoked["type"]] += 1
        assert set(outcomes) <= {("bet.confirmed", "error"), ("bet.rejected", "free_bet.changed")}
        assert await table.free_bets() == []
        assert await table.balances() == {table.user_id: OPENING}

    play(world, scenario)


def test_nobody_is_granted_more_than_a_client_can_read(world: World) -> None:
    async def scenario(table: Table) -> None:
        beside = await table.grant(MOST)
        whose: Json = {"user_id": table.user_id, "amount": 1, "spend": "first"}
        assert refused(await move(table.operator, "bonus.grant", **whose), "LIMIT_EXCEEDED")
        confirmed = await table.bet(MOST)  # all of it is the bonus's
        assert await table.balances() == {table.user_id: OPENING, beside: 0}
        bet_id = confirmed["bet_id"]
        await table.grant(1)
        answer = await move(table.operator, "bet.settle", bet_id=bet_id, result="won", payout=MOST)
        assert refused(answer, "LIMIT_EXCEEDED")
        await table.move("bet.settle", bet_id=bet_id, result="won", payout=MOST - 1)
        assert await table.balances() == {table.user_id: OPENING, beside: MOST}

    play(world, scenario)


def test_in_a_payout_a_bonus_wallet_goes_to_suspense(world: World) -> None:
    async def scenario(table: Table) -> None:
        beside = await table.grant(10)
        items = [{"user_id": beside, "amount": 5}]
        paid = await table.move("payout.make", currency="EUR", items=items)
        assert paid["suspended"] == 1
        assert await table.balances() == {table.user_id: OPENING, beside: 10}

    play(world, scenario)


def test_a_long_list_is_cut_and_a_frame_of_lists_holds_up_nobody(world: World) -> None:
    async def scenario(table: Table) -> None:
        whose: Json = {"type": "free_bet.grant", "user_id": table.user_id, "amount": 1}
        for start in (0, 1000):
            grants = [whose | {"key": f"many-{start + n}"} for n in range(1000)]
            granted = await table.operator.ask_all(*grants)
            assert {each["type"] for each in granted} == {"free_bet.changed"}
        assert len(await table.free_bets()) == FREE_BETS_MAX
        _, token = world.player()
        async with connect(world.server.ws, token) as wire:
            lists = await table.player.send(*({"type": "wallet.list"} for _ in range(AT_ONCE)))
            for _ in range(5):
                assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"
            assert not lists[-1].last.done(), "other players' bets have waited for all of the lists"
        answers = [await each.answer() for each in lists]
        assert {len(each["free_bets"]) for each in answers} == {FREE_BETS_MAX}

    play(world, scenario)
