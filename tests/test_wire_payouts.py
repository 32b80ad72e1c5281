"""Mass payouts over real sockets against the real server: who may, what is answered, who hears of it; and who
means harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.commands import Command
from engine.outcomes import Accepted, Outcome, PayoutTold
from harness.wire import SocketClosed, Wire, bet, connect
from tests.operating import move, new_key, refused
from tests.server_fixture import OPENING, Json, RawSocket, World, mint, running
from ws.sockets.hub import FOLLOWED_MAX, Hub
from ws.wire.messages import WalletEntry
from ws.wire.payouts import PayoutProgress

MOST = 2**53 - 1
NOBODY = 10**12


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("payouts"), players=120) as live:
        yield live


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    assert world.query("SELECT count(*) FROM payouts WHERE state = 'paying'") == [(0,)]
    assert world.query("SELECT count(*) FROM users WHERE id > 1 << 52 AND balance <> 0") == [(0,)]
    world.assert_sound()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@contextlib.asynccontextmanager
async def operating(world: World) -> AsyncIterator[Wire]:
    async with connect(world.server.ws, world.operator) as wire:
        yield wire


def items(*amounts: tuple[int, int]) -> list[Json]:
    return [{"user_id": user_id, "amount": amount} for user_id, amount in amounts]


def each(world: World, count: int) -> list[Json]:
    """So many items of 1, in turn to players that no test looks at."""
    ids = itertools.cycle(player["id"] for player in world.players[-50:])
    return items(*((next(ids), 1) for _ in range(count)))


async def collected(wire: Wire, *parts: list[Json]) -> tuple[int, Json]:
    """The id of a payout of these items, and what starts it."""
    opened = await move(wire, "payout.open", currency="EUR")
    assert (opened["type"], opened["state"], opened["items"]) == ("payout", "collecting", 0), opened
    id_, first, total = opened["payout_id"], 0, 0
    for part in parts:
        added = await move(wire, "payout.add", payout_id=id_, first=first, items=part)
        first, total = first + len(part), total + sum(item["amount"] for item in part)
        assert (added["items"], added["total"], added["done"]) == (first, total, 0), added
    go = {"type": "payout.start", "key": new_key(), "payout_id": id_, "items": first, "total": total}
    return id_, go


async def until_paid(wire: Wire, payout_id: int) -> list[Json]:
    """All that this follower hears until it is paid."""
    heard = []
    while True:
        heard.append(await wire.push("payout.progress"))
        assert heard[-1]["payout_id"] == payout_id
        if heard[-1]["state"] == "paid":
            return heard


# --- made, collected, paid, told ------------------------------------------------------------------------


def test_a_few_winners_are_paid_at_once_and_each_hears_of_it(world: World) -> None:
    async def scenario() -> None:
        (one, token), (two, _) = world.player(), world.player()
        async with operating(world) as operator, connect(world.server.ws, token) as player:
            request: Json = {"type": "payout.make", "key": "few", "currency": "EUR"}
            request |= {"items": items((one, 500), (two, 300), (one, 7))}
            made = await operator.ask(request)
            assert made == {
                "type": "payout", "id": made["id"], "payout_id": made["transaction_id"], "state": "paid",
                "items": 3, "total": 807, "done": 3, "suspended": 0, "block": made["block"],
                "transaction_id": made["transaction_id"], "replayed": False,
            }  # fmt: skip
            pushes = [await player.push("wallet.entry") for _ in range(2)]
            assert [(push["kind"], push["amount"], push["balance"]) for push in pushes] == [
                ("PAYOUT", 500, OPENING + 500),
                ("PAYOUT", 7, OPENING + 507),
            ]
            assert pushes[1]["prev_seq"] == pushes[0]["seq"]
            assert {push["transaction_id"] for push in pushes} == {made["transaction_id"]}
            again = await operator.ask(request)
            assert again == made | {"id": again["id"], "replayed": True}
            other = await operator.ask(request | {"items": items((one, 501), (two, 300))})
            assert refused(other, "IDEMPOTENCY_CONFLICT")
            assert (await player.ask({"type": "balance.get"}))["balance"] == OPENING + 507
            assert player.pushes == []

    run(scenario())


def test_a_hundred_are_paid_at_once_and_one_more_is_refused(world: World) -> None:
    async def scenario() -> None:
        async with operating(world) as wire:
            made = await move(wire, "payout.make", currency="EUR", items=each(world, 100))
            assert (made["state"], made["done"]) == ("paid", 100)
            more = await move(wire, "payout.make", currency="EUR", items=each(world, 101))
            assert refused(more, "INVALID_REQUEST", "items: expected a list of 1 to 100 items")

    run(scenario())


def test_a_payout_is_collected_and_paid_in_the_background_and_followed(world: World) -> None:
    async def scenario() -> None:
        user_id, token = world.player()
        url = world.server.ws
        async with (
            operating(world) as wire,
            connect(url, world.auditor) as auditor,
            connect(url, world.operator) as stranger,
            connect(url, token) as player,
        ):
            parts = each(world, 1000), [*each(world, 249), *items((user_id, 5))]
            id_, go = await collected(wire, *parts)
            before = await auditor.ask({"type": "payout.follow", "payout_id": id_})
            assert before == {
                "type": "payout", "id": before["id"], "payout_id": id_, "state": "collecting",
                "items": 1250, "total": 1254, "done": 0, "suspended": 0, "in_suspense": [],
            }  # fmt: skip
            began = await wire.ask(go)
            assert (began["state"], began["done"], began["replayed"]) == ("paying", 0, False)
            heard = await until_paid(auditor, id_)
            assert [push["done"] for push in heard] == [0, *range(100, 1250, 100), 1250]
            assert heard[-1] == {
                "type": "payout.progress", "payout_id": id_, "state": "paid", "items": 1250, "total": 1254,
                "done": 1250, "suspended": 0,
            }  # fmt: skip
            again = await wire.ask(go)
            assert again == began | {"id": again["id"], "replayed": True}
            push = await player.push("wallet.entry")
            assert (push["kind"], push["amount"], push["balance"]) == ("PAYOUT", 5, OPENING + 5)
            now = await stranger.ask({"type": "payout.get", "payout_id": id_})
            assert (now["state"], now["done"], now["in_suspense"]) == ("paid", 1250, [])
            assert (stranger.pushes, wire.pushes, auditor.pushes) == ([], [], [])
        paid = world.query(
            "SELECT count(*), sum(amount) FROM transaction_ledger WHERE ref_type = 'PAYOUT' AND ref_id = ? "
            "AND amount > 0 AND user_id < 1 << 52",
            str(id_),
        )
        assert paid == [(1250, 1254)]

    run(scenario())


def test_items_in_suspense_are_listed_paid_and_given_back(world: World) -> None:
    async def scenario() -> None:
        (one, _), (two, token) = world.player(), world.player()
        async with operating(world) as wire, connect(world.server.ws, token) as player:
            assert (await move(wire, "wallet.status", user_id=two, status="blocked"))[
                "type"
            ] == "wallet.moved"
            which = items((NOBODY, 3), (one, 4), (two, 5), (world.blocked_id, 6), (1, 7))
            made = await move(wire, "payout.make", currency="EUR", items=which)
            id_ = made["payout_id"]
            assert (made["state"], made["done"], made["suspended"]) == ("paid", 5, 4)
            asked = {"type": "payout.follow", "payout_id": id_}
            shown = (await wire.ask(asked))["in_suspense"]
            assert shown == [
                {"number": n, "user_id": user_id, "amount": amount, "reason": reason, "state": "suspended"}
                for n, user_id, amount, reason in (
                    (0, NOBODY, 3, "ACCOUNT_NOT_FOUND"), (2, two, 5, "ACCOUNT_BLOCKED"),
                    (3, world.blocked_id, 6, "ACCOUNT_BLOCKED"), (4, 1, 7, "ACCOUNT_NOT_FOUND"),
                )
            ]  # fmt: skip
            rest = await wire.ask({"type": "payout.get", "payout_id": id_, "suspended_from": 3})
            assert [item["number"] for item in rest["in_suspense"]] == [3, 4]

            item: Json = {"payout_id": id_, "number": 2}
            assert refused(await move(wire, "payout.resolve", **item), "ACCOUNT_BLOCKED")
            assert (await move(wire, "wallet.status", user_id=two, status="open"))["type"] == "wallet.moved"
            resolved = await move(wire, "payout.resolve", **item)
            assert (resolved["type"], resolved["suspended"]) == ("payout", 3)
            push = await player.push("wallet.entry")
            assert (push["kind"], push["amount"], push["balance"]) == ("PAYOUT", 5, OPENING + 5)
            assert refused(await move(wire, "payout.resolve", **item), "PAYOUT_CLOSED")
            for number in (0, 3, 4):
                back = await move(wire, "payout.resolve", payout_id=id_, number=number, returns=True)
                assert back["type"] == "payout", back
            assert refused(await move(wire, "payout.resolve", payout_id=id_, number=1), "NOT_FOUND")
            assert refused(await move(wire, "payout.resolve", payout_id=id_, number=9), "NOT_FOUND")
            told = [(await wire.push("payout.progress"))["suspended"] for _ in range(4)]
            assert told == [3, 2, 1, 0]
            states = (await wire.ask({"type": "payout.get", "payout_id": id_}))["in_suspense"]
            assert [each["state"] for each in states] == ["returned", "paid", "returned", "returned"]

    run(scenario())


# --- refused --------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_and_leaves_the_key_unused(world: World) -> None:
    async def scenario() -> None:
        async with operating(world) as wire:
            id_, go = await collected(wire, each(world, 3))
            for first in (0, 2, 4, MOST):
                wrong = await move(
                    wire, "payout.add", key="a", payout_id=id_, first=first, items=each(world, 1)
                )
                assert refused(wrong, "INVALID_REQUEST", "first: "), wrong
            add: Json = {
                "type": "payout.add",
                "key": "a",
                "payout_id": id_,
                "first": 3,
                "items": each(world, 1),
            }
            added = await wire.ask(add)
            assert added["items"] == 4
            again = await wire.ask(add)
            assert again == added | {"id": again["id"], "replayed": True}
            assert refused(await wire.ask(add | {"first": 4}), "IDEMPOTENCY_CONFLICT")
            for wrong in (go, go | {"items": 4}, go | {"total": 4}):
                assert refused(await wire.ask(wrong), "INVALID_REQUEST", "items, total: ")
            large = items((world.players[0]["id"], MOST))
            too_large = await move(wire, "payout.add", payout_id=id_, first=4, items=large)
            assert refused(too_large, "LIMIT_EXCEEDED", "items: ")
            too_large = await move(wire, "payout.make", currency="EUR", items=large * 2)
            assert refused(too_large, "LIMIT_EXCEEDED", "items: ")
            assert (await wire.ask(go | {"items": 4, "total": 4}))["state"] == "paying"
            late = await move(wire, "payout.add", payout_id=id_, first=4, items=each(world, 1))
            assert refused(late, "PAYOUT_CLOSED")
            assert refused(await wire.ask(go | {"key": "other", "items": 4, "total": 4}), "PAYOUT_CLOSED")
            empty = (await move(wire, "payout.open", currency="EUR"))["payout_id"]
            nothing = await move(wire, "payout.start", payout_id=empty, items=1, total=1)
            assert refused(nothing, "INVALID_REQUEST", "items, total: ")
            for currency in ("USD", "XXX"):
                assert refused(await move(wire, "payout.open", currency=currency), "CURRENCY_MISMATCH")
            for type_, fields in (
                ("payout.add", {"first": 0, "items": each(world, 1)}),
                ("payout.start", {"items": 1, "total": 1}),
                ("payout.resolve", {"number": 0}),
                ("payout.get", {}),
                ("payout.follow", {}),
            ):
                request: Json = {"type": type_, "payout_id": NOBODY, **fields}
                key = {} if type_ in ("payout.get", "payout.follow") else {"key": "n"}
                assert refused(await wire.ask(request | key), "NOT_FOUND"), type_

    run(scenario())


@pytest.mark.parametrize("role", ["player", "auditor"])
def test_who_is_no_operator_moves_nothing(world: World, role: str) -> None:
    async def scenario() -> None:
        token = world.auditor if role == "auditor" else world.player()[1]
        before = world.query("SELECT count(*) FROM payouts")
        async with connect(world.server.ws, token) as wire:
            for type_, fields in (
                ("payout.make", {"currency": "EUR", "items": each(world, 1)}),
                ("payout.open", {"currency": "EUR"}),
                ("payout.add", {"payout_id": 1, "first": 0, "items": each(world, 1000)}),
                ("payout.start", {"payout_id": 1, "items": 1, "total": 1}),
                ("payout.resolve", {"payout_id": 1, "number": 0}),
            ):
                assert refused(await move(wire, type_, **fields), "FORBIDDEN"), type_
            for type_ in ("payout.get", "payout.follow"):
                answer = await wire.ask({"type": type_, "payout_id": NOBODY})
                assert refused(answer, "FORBIDDEN" if role == "player" else "NOT_FOUND")
        assert world.query("SELECT count(*) FROM payouts") == before

    run(scenario())


# --- following ------------------------------------------------------------------------------------------


def test_who_has_left_hears_nothing_and_costs_the_others_nothing(world: World) -> None:
    async def scenario() -> None:
        async with operating(world) as wire:
            id_, go = await collected(wire, each(world, 300))
            async with connect(world.server.ws, world.auditor) as leaver:
                await leaver.ask({"type": "payout.follow", "payout_id": id_})
            await wire.ask({"type": "payout.follow", "payout_id": id_})
            with RawSocket(world.server.port, token=world.operator) as vanisher:
                vanisher.read_messages()
                vanisher.send_frame(json.dumps({"type": "payout.follow", "id": "f", "payout_id": id_}))
                assert vanisher.read_messages()[0]["type"] == "payout"
                vanisher.reset()
            await wire.ask(go)
            assert [push["done"] for push in await until_paid(wire, id_)] == [0, 100, 200, 300]
            assert leaver.pushes == []

    run(scenario())


class Quiet:
    """A socket that nobody writes to."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        raise AssertionError("it asks for nothing")

    def push(self, message: WalletEntry | PayoutProgress) -> None:
        assert isinstance(message, PayoutProgress)
        self.heard.append(message.done)

    def deliver(self) -> None:
        raise AssertionError("nothing is due")

    def end_because_stopping(self) -> None:
        raise AssertionError("nobody stops")

    def end_because_expired(self) -> None:
        raise AssertionError("nobody's token ends")


def test_nothing_is_kept_of_who_has_left() -> None:
    hub, leaver, stays = Hub(), Quiet(), Quiet()

    def changed(done: int, suspended: int = 0) -> None:
        state = "paid" if done == 3 else "paying"
        hub.posted(Accepted(9, 9, None, payout=PayoutTold(88, state, 3, 3, done, suspended)), leaver)

    for listener in (leaver, stays):
        hub.enter(listener)
        assert hub.follow_payout(88, listener)
    assert hub.follow_payout(99, leaver)
    changed(1)
    hub.leave(leaver, None, None)
    assert not hub.follow_payout(88, leaver), "its last frame was still being looked up"
    changed(2)
    assert (leaver.heard, stays.heard) == ([1], [1, 2])
    assert (hub._by_payout, hub._payouts_of) == ({88: {stays}}, {stays: {88}})
    hub.unfollow_payout(99, stays)
    changed(3, suspended=1)
    changed(3)
    changed(3)
    assert stays.heard == [1, 2, 3, 3]
    assert (hub._by_payout, hub._payouts_of) == ({}, {})


def test_to_follow_twice_is_to_hear_once(world: World) -> None:
    async def scenario() -> None:
        async with operating(world) as wire:
            id_, go = await collected(wire, each(world, 150))
            await wire.ask_all(*[{"type": "payout.follow", "payout_id": id_}] * 5)
            await wire.ask(go)
            assert [push["done"] for push in await until_paid(wire, id_)] == [0, 100, 150]
            await wire.ask({"type": "ping"})
            assert wire.pushes == []

    run(scenario())


def test_a_socket_follows_so_many_payouts_at_a_time(world: World) -> None:
    async def scenario() -> None:
        async with operating(world) as wire:
            which = [await collected(wire, each(world, 1)) for _ in range(FOLLOWED_MAX + 1)]
            follows = [{"type": "payout.follow", "payout_id": id_} for id_, _ in which]
            answers = await wire.ask_all(*follows)
            assert [answer["type"] for answer in answers] == ["payout"] * FOLLOWED_MAX + ["error"]
            assert refused(answers[-1], "RATE_LIMITED")
            assert (await wire.ask(follows[0]))["type"] == "payout"  # it does already
            for id_, go in which[:3]:  # what is over makes room
                await wire.ask(go)
                await until_paid(wire, id_)
            assert (await wire.ask(follows[-1]))["type"] == "payout"
            for _, go in which[3:]:
                await wire.ask(go)
            heard: set[int] = set()
            while len(heard) < FOLLOWED_MAX - 2:
                push = await wire.push("payout.progress")
                if push["state"] == "paid":
                    heard.add(push["payout_id"])
            assert heard == {id_ for id_, _ in which[3:]}

    run(scenario())


# --- who means harm -------------------------------------------------------------------------------------


def test_following_what_is_not_there_takes_no_place(world: World) -> None:
    """Nor following what is paid already. So what a socket can make the server remember is bounded."""

    async def scenario() -> None:
        async with operating(world) as wire:
            made = await move(wire, "payout.make", currency="EUR", items=each(world, 1))

            for start in range(NOBODY, NOBODY + 10 * FOLLOWED_MAX, FOLLOWED_MAX):
                asked = [{"type": "payout.follow", "payout_id": start + n} for n in range(FOLLOWED_MAX)]
                assert all(refused(answer, "NOT_FOUND") for answer in await wire.ask_all(*asked))
            over = [{"type": "payout.follow", "payout_id": made["payout_id"]}] * (2 * FOLLOWED_MAX)
            assert {answer["state"] for answer in await wire.ask_all(*over)} == {"paid"}
            id_, go = await collected(wire, each(world, 1))
            assert (await wire.ask({"type": "payout.follow", "payout_id": id_}))["type"] == "payout"
            await wire.ask(go)
            await until_paid(wire, id_)

    run(scenario())


@pytest.mark.parametrize("role", ["player", "operator"])
def test_a_hundred_thousand_items_at_once_end_that_socket_and_no_other(world: World, role: str) -> None:
    async def scenario() -> None:
        token = world.operator if role == "operator" else world.player()[1]
        async with (
            connect(world.server.ws, token) as hostile,
            connect(world.server.ws, world.player()[1]) as player,
        ):
            many = [{"user_id": 7, "amount": 1}] * 100_000
            with pytest.raises(SocketClosed) as closed:
                await move(hostile, "payout.add", payout_id=1, first=0, items=many)
            assert closed.value.code == 1009
            assert (await player.ask(bet(1)))["type"] == "bet.confirmed"

    run(scenario())


def test_as_many_items_as_a_frame_holds_are_refused_in_words(world: World) -> None:
    async def scenario() -> None:
        async with operating(world) as wire:
            answer = await move(wire, "payout.add", payout_id=1, first=0, items=each(world, 1001))
            assert refused(answer, "INVALID_REQUEST", "items: expected a list of 1 to 1000 items")
            body = '{"type":"payout.add","id":"x","key":"k","payout_id":1,"first":0,"items":[' + "[" * 100_000
            await wire.send_raw(body)
            assert refused(await wire.stray("error"), "INVALID_REQUEST")

    run(scenario())


def test_a_payout_goes_on_when_its_server_is_started_again(tmp_path: Path) -> None:
    async def begin(world: World) -> int:
        async with operating(world) as wire:
            id_, go = await collected(wire, *(each(world, 1000) for _ in range(3)))
            await wire.ask({"type": "payout.follow", "payout_id": id_})
            await wire.ask(go)
            while (await wire.push("payout.progress"))["done"] < 200:
                pass
            return id_

    async def end(world: World, id_: int) -> None:
        async with connect(world.server.ws, mint(1, "auditor")) as wire:
            now = await wire.ask({"type": "payout.follow", "payout_id": id_})
            assert 200 <= now["done"] < 3000, "not in the middle"
            await until_paid(wire, id_)

    with running(tmp_path, players=10) as own:
        id_ = asyncio.run(begin(own))
        assert own.server.stop() == 0
        own.server.start()
        asyncio.run(end(own, id_))
        paid = own.query(
            "SELECT user_id, sum(amount) FROM transaction_ledger WHERE ref_type = 'PAYOUT' AND ref_id = ? "
            "AND amount > 0 AND user_id < 1 << 52 GROUP BY user_id",
            str(id_),
        )
        assert paid == [(player["id"], 300) for player in own.players]
        own.assert_sound()
