"""Several wallets, bonus money and free bets over real sockets against the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.process import Server
from harness.wire import bet, connect, now_ms
from tests.bonus_table import Table, play, rejected, serving_two_currencies, shown
from tests.operating import move, refused
from tests.server_fixture import OPENING, Json, World, mint

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_two_currencies(tmp_path_factory.mktemp("bonus"), players=40) as live:
        yield live


# --- wallets ----------------------------------------------------------------------------------------------


def test_a_further_wallet_is_opened_in_another_currency_and_lived_in(world: World) -> None:
    async def scenario(table: Table) -> None:
        request = {"type": "wallet.open", "key": "usd", "currency": "USD", "participant_id": table.user_id}
        opened = await table.operator.ask(request)
        further = opened["user_id"]
        assert opened == {
            "type": "wallet.opened", "id": opened["id"], "user_id": further,
            "participant_id": table.user_id, "currency": "USD",
            "transaction_id": opened["transaction_id"], "block": opened["block"], "replayed": False,
        }  # fmt: skip
        again = await table.operator.ask(request)
        assert again == opened | {"id": again["id"], "replayed": True}
        async with table.wallet(further) as wire:
            told = {name: wire.welcome[name] for name in ("user_id", "currency", "balance", "seq")}
            assert told == {"user_id": further, "currency": "USD", "balance": 0, "seq": 0}
            await table.move("wallet.deposit", user_id=further, amount=500)
            assert shown(await wire.push("wallet.entry")) == ("DEPOSIT", 500, 500)
            confirmed = await wire.ask(bet(200, currency="USD"))
            assert (confirmed["type"], confirmed["balance"]) == ("bet.confirmed", 300)
            assert rejected(await wire.ask(bet(1, currency="EUR")), "CURRENCY_MISMATCH")
            settled = await table.move("bet.settle", bet_id=confirmed["bet_id"], result="won", payout=700)
            assert settled["balance"] == 1000
            assert shown(await wire.push("wallet.entry")) == ("WIN", 700, 1000)
            # One person, two wallets, each with what is its own.
            for mine in (table.player, wire):
                listed = await mine.ask({"type": "wallet.list"})
                assert [each["user_id"] for each in listed["wallets"]] == [table.user_id, further]
            assert await table.balances() == {table.user_id: OPENING, further: 1000}

    play(world, scenario)


def test_a_wallet_for_somebody_new_is_a_person_of_its_own(world: World) -> None:
    async def scenario(table: Table) -> None:
        opened = await table.move("wallet.open", currency="EUR")
        newcomer = opened["user_id"]
        assert opened["participant_id"] == newcomer
        further = await table.move("wallet.open", currency="EUR", participant_id=newcomer)
        # Whose it is, is said by the number of the first wallet; a further one's is nobody's.
        for nobody in (further["user_id"], 1, 10**12):
            answer = await move(table.operator, "wallet.open", currency="EUR", participant_id=nobody)
            assert refused(answer, "ACCOUNT_NOT_FOUND"), answer
        assert refused(await move(table.operator, "wallet.open", currency="XAU"), "CURRENCY_MISMATCH")
        async with table.wallet(further["user_id"]) as wire:
            listed = await wire.ask({"type": "wallet.list"})
            assert listed["participant_id"] == newcomer
            assert [each["user_id"] for each in listed["wallets"]] == [newcomer, further["user_id"]]
        assert await table.balances() == {table.user_id: OPENING}

    play(world, scenario)


def test_who_excludes_himself_on_one_wallet_is_out_on_all(world: World) -> None:
    async def scenario(table: Table) -> None:
        opened = await table.move("wallet.open", currency="USD", participant_id=table.user_id)
        further = opened["user_id"]
        await table.move("wallet.deposit", user_id=further, amount=500)
        async with table.wallet(further) as wire:
            excluded = await move(wire, "limit.exclude", until=now_ms() + HOUR_MS)
            assert excluded["type"] == "limit.changed", excluded
            for mine in (wire, table.player):
                assert rejected(await mine.ask(bet(1)), "LIMIT_EXCEEDED")
                kinds = [each["kind"] for each in (await mine.ask({"type": "limit.get"}))["limits"]]
                assert kinds == ["exclusion"]
        for user_id in (table.user_id, further):
            whose: Json = {"user_id": user_id, "amount": 1}
            for type_, fields in [
                ("wallet.deposit", whose), ("bonus.grant", whose | {"spend": "first"}),
                ("free_bet.grant", whose),
            ]:  # fmt: skip
                assert refused(await move(table.operator, type_, **fields), "LIMIT_EXCEEDED"), type_

    play(world, scenario)


def test_wallets_are_listed_to_their_owner_to_operators_and_to_auditors(world: World) -> None:
    async def scenario(table: Table) -> None:
        expires_at = now_ms() + HOUR_MS
        beside = await table.grant(2000, "last", expires_at=expires_at)
        later, never = await table.free_bet(30, expires_at=expires_at), await table.free_bet(20)
        sooner = await table.free_bet(10, expires_at=expires_at - 1)
        cash = {"currency": "EUR", "status": "open", "held": 0}
        listed = await table.player.ask({"type": "wallet.list", "id": "w"})
        seqs = [each.pop("seq") for each in listed["wallets"]]
        assert 0 < seqs[0] < seqs[1]
        assert listed == {
            "type": "wallets", "id": "w", "participant_id": table.user_id,
            "wallets": [
                cash | {
                    "user_id": table.user_id, "kind": "cash", "balance": OPENING, "available": OPENING,
                },
                cash | {
                    "user_id": beside, "kind": "bonus", "balance": 2000, "available": 2000,
                    "wallet_id": table.user_id, "spend": "last", "expires_at": expires_at, "expired": False,
                },
            ],
            "free_bets": [
                {"free_bet_id": sooner, "amount": 10, "expires_at": expires_at - 1},
                {"free_bet_id": later, "amount": 30, "expires_at": expires_at},
                {"free_bet_id": never, "amount": 20, "expires_at": None},
            ],
        }  # fmt: skip
        async with connect(world.server.ws, world.auditor) as auditor:
            for wire in (table.operator, auditor):
                seen = await wire.ask({"type": "wallet.list", "id": "w", "user_id": table.user_id})
                for each in seen["wallets"]:
                    del each["seq"]
                assert seen == listed
                of_bonus = await wire.ask({"type": "wallet.list", "user_id": beside})
                assert (of_bonus["participant_id"], of_bonus["free_bets"]) == (table.user_id, [])
                assert refused(await wire.ask({"type": "wallet.list"}), "INVALID_REQUEST", "user_id: ")
                for nobody in (1, 10**12):  # a book of the house's; nobody
                    answer = await wire.ask({"type": "wallet.list", "user_id": nobody})
                    assert refused(answer, "ACCOUNT_NOT_FOUND")

    play(world, scenario)


# --- bonus money ------------------------------------------------------------------------------------------


def test_a_bet_is_paid_from_two_wallets_and_its_win_is_shared(world: World) -> None:
    async def scenario(table: Table) -> None:
        request = {
            "type": "bonus.grant", "key": "b", "user_id": table.user_id, "amount": 100, "spend": "first",
        }  # fmt: skip
        granted = await table.operator.ask(request)
        beside = granted["user_id"]
        assert granted == {
            "type": "bonus.granted", "id": granted["id"], "user_id": beside, "spend": "first",
            "expires_at": None, "transaction_id": granted["transaction_id"], "block": granted["block"],
            "replayed": False, "seq": granted["seq"], "balance": 100, "held": 0, "available": 100,
        }  # fmt: skip
        async with table.wallet(beside) as bonus:
            seq_before = table.player.welcome["seq"]
            confirmed = await table.bet(150)
            # It shows the wallet that placed it: its own entry, not the bonus wallet's.
            assert (confirmed["stake"], confirmed["balance"]) == (150, OPENING - 50)
            push = await bonus.push("wallet.entry")
            assert shown(push) == ("BET", -100, 0)
            assert (push["prev_seq"], push["bet_id"]) == (granted["seq"], confirmed["bet_id"])
            for wire, balance, seq in [
                (table.player, OPENING - 50, confirmed["seq"]), (bonus, 0, push["seq"]),
            ]:  # fmt: skip
                told = await wire.ask({"type": "balance.get"})
                assert (told["balance"], told["seq"]) == (balance, seq)
            assert seq_before < confirmed["seq"] != push["seq"]
            state = await table.player.ask({"type": "bet.get", "bet_id": confirmed["bet_id"]})
            assert (state["stake"], state["seq"]) == (150, confirmed["seq"])
            settled = await table.move("bet.settle", bet_id=confirmed["bet_id"], result="won", payout=400)
            assert (settled["payout"], settled["balance"]) == (400, OPENING - 50 + 134)
            assert await table.pushed() == ("WIN", 134, OPENING + 84)
            assert shown(await bonus.push("wallet.entry")) == ("WIN", 266, 266)  # rounded down
            back = await table.move("bet.unsettle", bet_id=confirmed["bet_id"])
            assert (back["payout"], back["balance"]) == (400, OPENING - 50)
            assert await table.pushed() == ("UNSETTLE", -134, OPENING - 50)
            assert shown(await bonus.push("wallet.entry")) == ("UNSETTLE", -266, 0)
            await table.move("bet.settle", bet_id=confirmed["bet_id"], result="void")
            assert await table.pushed() == ("REFUND", 50, OPENING)
            assert shown(await bonus.push("wallet.entry")) == ("REFUND", 100, 100)
            assert bonus.pushes == []

    play(world, scenario)


def test_a_bonus_that_is_spent_last_waits_until_the_wallet_is_empty(world: World) -> None:
    async def scenario(table: Table) -> None:
        beside = await table.grant(100, "last")
        assert (await table.bet(OPENING - 1))["balance"] == 1
        confirmed = await table.bet(41)
        assert confirmed["balance"] == 0
        assert await table.balances() == {table.user_id: 0, beside: 60}
        whole = await table.bet(60)  # the bonus pays all of it: nothing was posted to the wallet
        assert (whole["seq"], whole["balance"]) == (confirmed["seq"], 0)
        assert rejected(await table.player.ask(bet(1)), "INSUFFICIENT_FUNDS")
        part = await table.move("bet.cashout", bet_id=confirmed["bet_id"], stake=41, payout=82)
        assert (part["payout"], part["balance"]) == (82, 2)
        assert await table.pushed() == ("CASHOUT", 2, 2)
        await table.move("bet.rollback", bet_id=whole["bet_id"])
        assert await table.balances() == {table.user_id: 2, beside: 140}

    play(world, scenario)


def test_the_newest_grant_gives_all_of_the_bonus_its_terms(world: World) -> None:
    async def scenario(table: Table) -> None:
        soon = now_ms() + HOUR_MS
        beside = await table.grant(100, "last", expires_at=soon)
        again = await table.move("bonus.grant", user_id=table.user_id, amount=50, spend="first")
        told = {name: again[name] for name in ("user_id", "spend", "expires_at", "balance")}
        assert told == {"user_id": beside, "spend": "first", "expires_at": None, "balance": 150}
        assert (await table.bet(150))["balance"] == OPENING

    play(world, scenario)


def test_the_socket_of_a_bonus_wallet_may_look_and_not_touch(world: World) -> None:
    async def scenario(table: Table) -> None:
        beside = await table.grant(100)
        async with table.wallet(beside) as bonus:
            assert (bonus.welcome["user_id"], bonus.welcome["balance"]) == (beside, 100)
            balance = await bonus.ask({"type": "balance.get", "id": "b"})
            assert balance == {
                "type": "balance", "id": "b", "currency": "EUR", "balance": 100, "held": 0, "available": 100,
                "seq": bonus.welcome["seq"],
            }  # fmt: skip
            resumed = await bonus.ask({"type": "resume", "from_seq": 0})
            assert (resumed["type"], resumed["seq"]) == ("resumed", bonus.welcome["seq"])
            assert (await bonus.push("wallet.entry"))["kind"] == "BONUS"
            assert rejected(await bonus.ask(bet(1)), "ACCOUNT_NOT_FOUND")
            limit = await move(bonus, "limit.set", kind="stake", period="day", amount=1)
            assert refused(limit, "ACCOUNT_NOT_FOUND")
            excluded = await move(bonus, "limit.exclude", until=now_ms() + HOUR_MS)
            assert refused(excluded, "ACCOUNT_NOT_FOUND")
        on_it: list[tuple[str, Json]] = [
            ("wallet.deposit", {"amount": 1}), ("wallet.withdraw", {"amount": 1}),
            ("wallet.withdraw", {"amount": 1, "for_approval": True}), ("wallet.hold", {"amount": 1}),
            ("wallet.status", {"status": "blocked"}), ("free_bet.grant", {"amount": 1}),
            ("bonus.grant", {"amount": 1, "spend": "first"}),
            ("limit.set", {"kind": "stake", "period": "day", "amount": 1}),
        ]  # fmt: skip
        for type_, fields in on_it:
            answer = await move(table.operator, type_, user_id=beside, **fields)
            assert refused(answer, "ACCOUNT_NOT_FOUND"), (type_, answer)
        assert rejected(await table.operator.ask(bet(1, user_id=beside)), "ACCOUNT_NOT_FOUND")
        legs = [{"user_id": beside, "amount": -40}, {"user_id": table.user_id, "amount": 40}]
        assert "balance" not in await table.move("wallet.transfer", legs=legs)
        assert await table.pushed() == ("TRANSFER", 40, OPENING + 40)
        assert await table.balances() == {table.user_id: OPENING + 40, beside: 60}

    play(world, scenario)


def test_a_bonus_and_a_free_bet_expire_by_themselves(world: World) -> None:
    async def scenario(table: Table) -> None:
        soon = now_ms() + 1000
        beside = await table.grant(100, expires_at=soon)
        async with table.wallet(beside) as bonus:
            spent = await table.bet(30)
            assert shown(await bonus.push("wallet.entry")) == ("BET", -30, 70)
            free_bet_id = await table.free_bet(10, expires_at=soon)
            assert shown(await bonus.push("wallet.entry")) == ("EXPIRY", -70, 0)
            assert now_ms() >= soon
            # What an earlier bet pays into it is taken back at once.
            won = await table.move("bet.settle", bet_id=spent["bet_id"], result="won", payout=90)
            assert won["balance"] == OPENING
            for told in (("WIN", 90, 90), ("EXPIRY", -90, 0)):
                assert shown(await bonus.push("wallet.entry")) == told
        listed = await table.player.ask({"type": "wallet.list"})
        assert listed["wallets"][1]["expired"] is True
        assert rejected(await table.player.ask(bet(10, free_bet_id=free_bet_id)), "INSUFFICIENT_FUNDS")
        assert await table.grant(5) == beside
        listed = await table.player.ask({"type": "wallet.list"})
        assert (listed["wallets"][1]["expired"], listed["wallets"][1]["balance"]) == (False, 5)

    play(world, scenario)


# --- free bets --------------------------------------------------------------------------------------------


def test_a_free_bet_is_granted_used_and_won(world: World) -> None:
    async def scenario(table: Table) -> None:
        expires_at = now_ms() + HOUR_MS
        request = {
            "type": "free_bet.grant", "key": "f", "user_id": table.user_id, "amount": 500,
            "expires_at": expires_at,
        }  # fmt: skip
        granted = await table.operator.ask(request)
        assert granted == {
            "type": "free_bet.changed", "id": granted["id"], "free_bet_id": granted["transaction_id"],
            "state": "open", "amount": 500, "transaction_id": granted["transaction_id"],
            "block": granted["block"], "replayed": False,
        }  # fmt: skip
        free_bet_id = granted["free_bet_id"]
        placing = bet(500, free_bet_id=free_bet_id, id="p")
        placed = await table.player.ask(placing)
        assert (placed["type"], placed["stake"], placed["balance"], placed["seq"]) == (
            "bet.confirmed", 500, OPENING, table.player.welcome["seq"],
        )  # fmt: skip
        assert await table.free_bets() == []
        assert await table.player.ask(placing) == placed | {"replayed": True}
        conflict = {name: value for name, value in placing.items() if name != "free_bet_id"}
        assert refused(await table.player.ask(conflict), "IDEMPOTENCY_CONFLICT")
        answer = await move(table.operator, "free_bet.revoke", free_bet_id=free_bet_id)
        assert refused(answer, "BET_CLOSED", "this free bet ")
        bet_id = placing["bet_id"]
        answer = await move(table.operator, "bet.cashout", bet_id=bet_id, stake=500, payout=1)
        assert refused(answer, "BET_CLOSED")
        settled = await table.move("bet.settle", bet_id=bet_id, result="won", payout=1500)
        assert (settled["stake"], settled["payout"], settled["balance"]) == (500, 1000, OPENING + 1000)
        assert await table.pushed() == ("WIN", 1000, OPENING + 1000)
        state = await table.player.ask({"type": "bet.get", "bet_id": bet_id})
        assert (state["state"], state["stake"], state["payout"]) == ("won", 500, 1000)
        assert await table.free_bets() == []

    play(world, scenario)


@pytest.mark.parametrize("ending", ["void", "rolled back"])
def test_the_free_bet_of_a_bet_that_is_given_back_may_be_used_again(world: World, ending: str) -> None:
    async def scenario(table: Table) -> None:
        free_bet_id = await table.free_bet(500)
        placed = await table.bet(500, free_bet_id=free_bet_id)
        if ending == "void":
            ended = await table.move("bet.settle", bet_id=placed["bet_id"], result="void")
        else:
            ended = await table.move("bet.rollback", bet_id=placed["bet_id"])
        assert (ended["balance"], ended["seq"]) == (OPENING, placed["seq"])  # and nothing is pushed
        assert await table.free_bets() == [free_bet_id]
        second = await table.bet(500, free_bet_id=free_bet_id)
        assert second["balance"] == OPENING
        if ending == "void":
            answer = await move(table.operator, "bet.unsettle", bet_id=placed["bet_id"])
            assert refused(answer, "BET_CLOSED")
        assert await table.free_bets() == []

    play(world, scenario)


def test_a_free_bet_that_is_revoked_is_gone(world: World) -> None:
    async def scenario(table: Table) -> None:
        free_bet_id = await table.free_bet(500)
        revoked = await table.move("free_bet.revoke", free_bet_id=free_bet_id, key="no")
        assert (revoked["free_bet_id"], revoked["state"], revoked["amount"]) == (free_bet_id, "revoked", 500)
        again = await table.move("free_bet.revoke", free_bet_id=free_bet_id, key="no", id=revoked["id"] + "x")
        assert again == revoked | {"id": again["id"], "replayed": True}
        answer = await move(table.operator, "free_bet.revoke", free_bet_id=free_bet_id)
        assert refused(answer, "BET_CLOSED", "this free bet ")
        assert rejected(await table.player.ask(bet(500, free_bet_id=free_bet_id)), "INSUFFICIENT_FUNDS")
        assert await table.free_bets() == []

    play(world, scenario)


# --- again ------------------------------------------------------------------------------------------------


def test_first_answers_are_told_again_after_a_restart(tmp_path: Path) -> None:
    expires_at = now_ms() + HOUR_MS

    async def ask(server: Server, requests: list[Json], user_id: int) -> list[Json]:
        async with (
            connect(server.ws, mint(1, "operator")) as operator,
            connect(server.ws, mint(user_id)) as player,
        ):
            return [
                await (player if request["type"] == "bet.place" else operator).ask(request)
                for request in requests
            ]

    with serving_two_currencies(tmp_path, players=1) as world:
        user_id, _ = world.player()
        whose: Json = {"user_id": user_id, "amount": 500}
        opened = {"type": "wallet.open", "currency": "USD", "participant_id": user_id}
        requests: list[Json] = [
            opened | {"key": "w"},
            {"type": "bonus.grant", "key": "b", "spend": "last", "expires_at": expires_at} | whose,
            {"type": "free_bet.grant", "key": "f", "expires_at": expires_at} | whose,
            {"type": "free_bet.grant", "key": "f2"} | whose,
        ]
        first = asyncio.run(ask(world.server, requests, user_id))
        free_bet_id, revoked_id = (each["free_bet_id"] for each in first[2:])
        later: list[Json] = [
            bet(500, free_bet_id=free_bet_id),
            bet(7),
            bet(OPENING + 300),
            {"type": "free_bet.revoke", "key": "r", "free_bet_id": revoked_id},
        ]
        first += asyncio.run(ask(world.server, later, user_id))
        assert not any(each["replayed"] for each in first)
        assert [each.get("bonus") for each in first if each["type"] == "bet.confirmed"] == [500, None, 307]
        before = world.entries()
        world.server.kill()
        with Server(world.server.db) as server:
            again = asyncio.run(ask(server, requests + later, user_id))
        assert [each | {"id": ""} for each in again] == [
            each | {"id": "", "replayed": True} for each in first
        ]
        assert world.entries() == before


@pytest.mark.parametrize("type_", ["wallet.open", "bonus.grant", "free_bet.grant"])
def test_two_copies_of_a_grant_under_way_grant_once(world: World, type_: str) -> None:
    async def scenario(table: Table) -> None:
        fields: Json = {"user_id": table.user_id, "amount": 70}
        fields |= {"spend": "first"} if type_ == "bonus.grant" else {}
        if type_ == "wallet.open":
            fields = {"currency": "USD", "participant_id": table.user_id}
        request = {"type": type_, "key": f"twice {type_}"} | fields
        async with connect(world.server.ws, world.operator) as other:
            exchanges = [*await table.operator.send(request, request), *await other.send(request, request)]
            answers = [await each.answer() for each in exchanges]
        assert sorted(each.pop("replayed") for each in answers) == [False, True, True, True]
        for each in answers:
            del each["id"]
        assert answers.count(answers[0]) == 4
        assert len(await table.balances()) == (1 if type_ == "free_bet.grant" else 2)
        assert len(await table.free_bets()) == (1 if type_ == "free_bet.grant" else 0)
        assert sum((await table.balances()).values()) == OPENING + (70 if type_ == "bonus.grant" else 0)

    play(world, scenario)
