"""Receipts and heads from a real server, checked with nothing but the public key."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.wire import Wire, bet, connect
from tests.bonus_table import Table, play
from tests.command import run, well
from tests.operating import new_key, refused
from tests.server_fixture import World, mint, running
from verifier.check import Refused, check_receipt
from verifier.heads import check_head

RECEIPT_BYTES_MAX = 4095


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("receipts"), 150) as live:
        yield live
        live.assert_sound()


@pytest.fixture(scope="module")
def public_key(world: World) -> bytes:
    ((key,),) = world.query("SELECT public_key FROM signers")
    return bytes(key)


@contextlib.asynccontextmanager
async def operating(world: World, role: str = "operator") -> AsyncIterator[Wire]:
    async with connect(world.server.ws, mint(1, role)) as wire:
        yield wire


async def receipt(wire: Wire, transaction_id: int, **whose: int) -> str:
    """As text, which is what is kept."""
    answer = await wire.ask({"type": "receipt.get", "transaction_id": transaction_id} | whose)
    assert (answer["type"], answer["transaction_id"]) == ("receipt", transaction_id), answer
    return json.dumps(answer["receipt"])


async def head(wire: Wire, **since: int) -> str:
    answer = await wire.ask({"type": "head.get"} | since)
    assert answer["type"] == "head", answer
    return json.dumps(answer["head"])


def rows(text: str, public_key: bytes) -> tuple[str, list[tuple[int, int, int]]]:
    """What a receipt proves: the kind, and holder, amount and balance of each entry."""
    shown = check_receipt(text, public_key)
    assert len(text.encode()) <= RECEIPT_BYTES_MAX
    entries = [(entry["user_id"], entry["amount"], entry["balance_after"]) for entry in shown["entries"]]
    return shown["transaction"]["kind"], entries


def test_a_player_takes_home_what_became_of_his_bet(world: World, public_key: bytes) -> None:
    async def scenario(table: Table) -> None:
        placed = await table.bet(250)
        text = await receipt(table.player, placed["transaction_id"])
        assert rows(text, public_key) == ("BET", [(table.user_id, -250, placed["balance"])])
        shown = check_receipt(text, public_key)
        assert (shown["block"]["id"], shown["entries"][0]["id"]) == (placed["block"], placed["seq"])
        assert shown["transaction"]["key"] == placed["bet_id"]

        settled = await table.move("bet.settle", bet_id=placed["bet_id"], result="won", payout=500)
        text = await receipt(table.player, settled["transaction_id"])
        assert rows(text, public_key) == ("WIN", [(table.user_id, 500, settled["balance"])])
        assert await table.pushed() == ("WIN", 500, settled["balance"])

        lost = await table.bet(10)
        settled = await table.move("bet.settle", bet_id=lost["bet_id"], result="lost")
        assert rows(await receipt(table.player, settled["transaction_id"]), public_key) == ("LOSS", [])
        held = await table.move("wallet.hold", user_id=table.user_id, amount=5)
        assert rows(await receipt(table.player, held["transaction_id"]), public_key) == ("HOLD", [])
        limit = {"kind": "stake", "period": "day", "amount": 5000}
        limited = await table.player.ask({"type": "limit.set", "key": new_key()} | limit)
        assert rows(await receipt(table.player, limited["transaction_id"]), public_key) == ("LIMIT", [])

    play(world, scenario)


def test_a_receipt_shows_nobody_else(world: World, public_key: bytes) -> None:
    async def scenario(table: Table) -> None:
        other_id, other_token = world.player()
        async with connect(world.server.ws, other_token) as other:
            placed = await table.bet(10)
            of_bet = {"type": "receipt.get", "transaction_id": placed["transaction_id"]}
            assert refused(await other.ask(of_bet), "NOT_FOUND")
            assert refused(await other.ask(of_bet | {"user_id": table.user_id}), "FORBIDDEN")
            settled = await table.move("bet.settle", bet_id=placed["bet_id"], result="lost")
            assert refused(
                await other.ask(of_bet | {"transaction_id": settled["transaction_id"]}), "NOT_FOUND"
            )
            held = await table.move("wallet.hold", user_id=table.user_id, amount=5)
            assert refused(await other.ask(of_bet | {"transaction_id": held["transaction_id"]}), "NOT_FOUND")
            opened = await table.move("wallet.open", currency="EUR")
            assert refused(
                await other.ask(of_bet | {"transaction_id": opened["transaction_id"]}), "NOT_FOUND"
            )
            legs = [{"user_id": table.user_id, "amount": -7}, {"user_id": other_id, "amount": 7}]
            moved = await table.move("wallet.transfer", legs=legs)
            for wire, user_id, amount in ((other, other_id, 7), (table.player, table.user_id, -7)):
                _, [entry] = rows(await receipt(wire, moved["transaction_id"]), public_key)
                assert entry[:2] == (user_id, amount)
            for nothing in (2**53 - 1, 10**9):
                assert refused(await other.ask(of_bet | {"transaction_id": nothing}), "NOT_FOUND")
        assert (await table.player.push("wallet.entry"))["kind"] == "TRANSFER"

    play(world, scenario)


def test_an_operator_sees_a_small_transaction_whole_and_of_a_large_one_whom_he_names(
    world: World, public_key: bytes
) -> None:
    async def scenario() -> None:
        async with operating(world) as wire, operating(world, "auditor") as auditor:
            winners = [world.player()[0] for _ in range(100)]
            items = [{"user_id": winner, "amount": 5} for winner in winners]
            made = await wire.ask(
                {"type": "payout.make", "key": new_key(), "currency": "EUR", "items": items}
            )
            deposit = {"type": "wallet.deposit", "key": new_key(), "user_id": winners[0], "amount": 3}
            small = await wire.ask(deposit)
            _, entries = rows(await receipt(auditor, small["transaction_id"]), public_key)
            assert [amount for _, amount, _ in entries] == [3, -3]
            assert rows(await receipt(auditor, made["transaction_id"]), public_key) == ("PAYOUT", [])
            for winner in (winners[0], winners[57], winners[99]):
                text = await receipt(auditor, made["transaction_id"], user_id=winner)
                assert rows(text, public_key) == ("PAYOUT", [(winner, 5, 100_005)])
            nobody = {"type": "receipt.get", "transaction_id": made["transaction_id"], "user_id": 10**9}
            assert refused(await auditor.ask(nobody), "NOT_FOUND")

    asyncio.run(scenario())


def test_a_kept_block_is_a_part_of_every_later_history(world: World, public_key: bytes) -> None:
    async def scenario(table: Table) -> None:
        first = await table.bet(1)
        kept = [await receipt(table.player, first["transaction_id"]), await head(table.player)]
        assert [check_head(kept[1], public_key)["id"]] == [first["block"]]
        for number in range(2, 40):
            newest = await table.bet(number)
            later = await head(table.player, since=first["block"])
            assert check_head(later, public_key, kept[0])["id"] == newest["block"]
            assert check_head(later, public_key, kept[1])["id"] == newest["block"]
        with pytest.raises(Refused, match="does not follow the block that was kept"):
            check_head(await head(table.player), public_key, kept[0])
        elsewhere = await head(table.player, since=first["block"] + 1)
        with pytest.raises(Refused, match="does not follow the block that was kept"):
            check_head(elsewhere, public_key, kept[0])
        answer = await table.player.ask({"type": "head.get", "since": newest["block"] + 1})
        assert refused(answer, "NOT_FOUND")

    play(world, scenario)


def test_the_command_line_gives_and_checks_the_same(world: World, tmp_path: Path) -> None:
    db = world.server.db
    public, kept, later, false = (tmp_path / name for name in ("public.pem", "kept", "later", "false"))
    public.write_text(well("public-key", "--db", db).out)
    user_id, token = world.player()

    async def place() -> dict[str, Any]:
        async with connect(world.server.ws, token) as wire:
            return await wire.ask(bet(250))

    placed = asyncio.run(place())
    kept.write_text(well("receipt", placed["transaction_id"], "--db", db, "--user", user_id).out)
    asyncio.run(place())
    later.write_text(well("head", "--db", db, "--since", placed["block"]).out)

    told = well("check-receipt", kept, "--public-key", public).out
    assert told.startswith(
        f"{kept}: true. Transaction {placed['transaction_id']} (BET, key {placed['bet_id']})"
    )
    assert f"account {user_id}: -2.50 EUR, balance 997.50 EUR" in told
    verdict = well("check-receipt", kept, "--public-key", public, "--json").json
    assert verdict == {"ok": True, "transaction_id": placed["transaction_id"], "block": placed["block"]}
    assert (
        f"{kept} is a part of its history"
        in well("check-head", later, "--public-key", public, "--kept", kept).out
    )
    assert well("check-head", later, "--public-key", public, "--json").json["block"] > placed["block"]

    false.write_text(kept.read_text().replace('"amount": -250', '"amount": -25'))
    done = run("check-receipt", false, "--public-key", public)
    assert (done.status, done.out) == (1, f"{false}: not true: an entry is not in the transaction\n")
    done = run("check-receipt", false, "--public-key", public, "--json")
    assert (done.status, done.json) == (1, {"ok": False, "why": "an entry is not in the transaction"})
    assert run("check-head", kept, "--public-key", public).status == 1
