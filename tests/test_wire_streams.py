"""Entries as they reach the sockets of a wallet, and what operators may do, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from harness.wire import Wire, bet, connect
from tests.server_fixture import OPENING, Json, RawSocket, World


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


async def resume(wire: Wire, from_seq: int) -> tuple[list[Json], Json]:
    """The entries that a `resume` brings, and what it ends with."""
    resumed = await wire.ask({"type": "resume", "from_seq": from_seq})
    assert resumed["type"] == "resumed"
    pushes, wire.pushes = wire.pushes, []
    return pushes, resumed


def test_resume_tells_every_later_entry_in_an_unbroken_chain(world: World) -> None:
    """PROTOCOL says that every reply carries the `id` of its request, and that a `resume` is answered by
    "`wallet.entry` for each later entry, then `resumed`"; it shows that answer as a `wallet.entry` without an
    `id` and `{"type":"resumed","id":"r5",…}` behind it, and says "Pushes carry no `id`: `wallet.entry` …". So
    an entry is the same message, whatever brings it, and `resumed` is the reply: whoever waits for the `id`
    (as `harness.wire` does) has all entries by then, and not the first of them only."""

    async def scenario() -> None:
        _, token = world.player()
        async with connect(world.server.ws, token) as wire:
            bets = [bet(stake) for stake in (1, 2, 3)]
            answers = await wire.ask_all(*bets)
            entries, resumed = await resume(wire, 0)
            assert [entry["kind"] for entry in entries] == ["DEPOSIT", "BET", "BET", "BET"]
            assert [entry["amount"] for entry in entries] == [OPENING, -1, -2, -3]
            assert [entry["prev_seq"] for entry in entries] == [0, *(entry["seq"] for entry in entries[:-1])]
            assert [entry.get("bet_id") for entry in entries] == [
                None,
                *(request["bet_id"] for request in bets),
            ]
            assert [entry["seq"] for entry in entries[1:]] == [answer["seq"] for answer in answers]
            assert [entry["balance"] for entry in entries[1:]] == [answer["balance"] for answer in answers]
            assert [e["transaction_id"] for e in entries[1:]] == [a["transaction_id"] for a in answers]
            assert not any("id" in entry for entry in entries)
            last = entries[-1]["seq"]
            assert resumed == {
                "type": "resumed",
                "id": resumed["id"],
                "seq": last,
                "more": False,
                "gap": False,
            }

            for skip, entry in enumerate(entries, 1):
                assert (await resume(wire, entry["seq"]))[0] == entries[skip:]

            nothing, resumed = await resume(wire, 2**53 - 1)
            assert (nothing, resumed["more"]) == ([], False)

    run(scenario())


def test_the_other_sockets_of_a_wallet_hear_and_the_asker_does_not(world: World) -> None:
    async def scenario() -> None:
        url = world.server.ws
        _, token = world.player()
        stranger_token = world.player()[1]
        async with (
            connect(url, token) as asker,
            connect(url, token) as phone,
            connect(url, token, by_message=True) as tablet,
            connect(url, stranger_token) as stranger,
            connect(url, world.auditor) as auditor,
        ):
            request = bet(250)
            confirmed = await asker.ask(request)
            for other in (phone, tablet):
                push = await other.push()
                assert push.pop("at") > 1_700_000_000_000
                assert push == {
                    "type": "wallet.entry", "seq": confirmed["seq"], "prev_seq": asker.welcome["seq"],
                    "transaction_id": confirmed["transaction_id"], "kind": "BET", "amount": -250,
                    "balance": OPENING - 250, "bet_id": request["bet_id"],
                }  # fmt: skip
            # Neither a replay nor a refusal moves money, so neither is heard of.
            await asker.ask(request)
            await asker.ask(bet(OPENING * 2))
            second = await phone.ask(bet(1))
            for listener, heard in ((asker, [second["seq"]]), (phone, []), (tablet, [second["seq"]])):
                await listener.ask({"type": "ping"})  # whatever was due before it has arrived by then
                while len(listener.pushes) < len(heard):
                    await asyncio.sleep(0)
                assert [push["seq"] for push in listener.pushes] == heard
            for outsider in (stranger, auditor):
                await outsider.ask({"type": "ping"})
                assert outsider.pushes == []

    run(scenario())


def test_an_operator_bets_for_a_player_who_hears_of_it(world: World) -> None:
    async def scenario() -> None:
        url = world.server.ws
        user_id, token = world.player()
        async with connect(url, world.operator) as operator, connect(url, token) as player:
            request = bet(40, user_id=user_id)
            confirmed = await operator.ask(request)
            assert (confirmed["type"], confirmed["balance"]) == ("bet.confirmed", OPENING - 40)
            push = await player.push("wallet.entry")
            assert (push["seq"], push["amount"], push["bet_id"]) == (confirmed["seq"], -40, request["bet_id"])
            own = {name: value for name, value in request.items() if name != "user_id"}
            assert (await player.ask(own))["replayed"]  # it is the player's bet, whoever placed it
            assert operator.pushes == []

    run(scenario())


def test_an_operator_must_name_a_players_wallet(world: World) -> None:
    async def scenario() -> None:
        books = [id_ for (id_,) in world.query("SELECT id FROM users WHERE kind <> 'player'")]
        async with connect(world.server.ws, world.operator) as operator:
            nameless = await operator.ask(bet(1))
            assert (nameless["type"], nameless["code"]) == ("error", "INVALID_REQUEST")
            assert nameless["message"].startswith("user_id: ")
            for nobody in (*books, 2**53 - 1):
                answer = await operator.ask(bet(1, user_id=nobody))
                assert (answer["type"], answer["code"]) == ("bet.rejected", "ACCOUNT_NOT_FOUND")
                assert answer.keys().isdisjoint({"balance", "held", "available"})

    run(scenario())


def test_who_may_not_bet_hears_forbidden_before_anything_is_looked_at(world: World) -> None:
    async def scenario() -> None:
        url = world.server.ws
        user_id, token = world.player()
        before = world.entries()
        async with connect(url, token) as player, connect(url, world.auditor) as auditor:
            for wire, request in (
                (player, bet(1, user_id=user_id)),
                (player, bet(1, user_id=user_id + 1)),
                (auditor, bet(1)),
                (auditor, bet(1, user_id=user_id, sent_at=0)),
            ):
                (exchange,) = await wire.send(request)
                answer = await exchange.answer()
                assert (answer["type"], answer["code"], answer["retryable"]) == ("error", "FORBIDDEN", False)
                assert exchange.replies == [answer]  # and no bet.pending
        assert world.entries() == before

    run(scenario())


def test_a_push_is_not_lost_between_the_welcome_and_the_resume(world: World) -> None:
    """Sockets open while bets run: what `welcome`, pushes and `resume` tell together is the whole chain."""

    async def scenario() -> None:
        _, token = world.player()
        url = world.server.ws
        async with connect(url, token) as bettor:
            betting = asyncio.gather(*(bettor.ask(bet(1)) for _ in range(300)))
            chains = []
            for _ in range(5):
                async with connect(url, token) as late:
                    seen = late.welcome["seq"]
                    await late.ask({"type": "ping"})
                    told, _ = await resume(late, seen)
                    chains.append((seen, {entry["seq"]: entry["prev_seq"] for entry in told}))
            await betting
        for seen, links in chains:
            later = sorted(seq for seq in links if seq > seen)
            assert [links[seq] for seq in later] == [seen, *later[:-1]] if later else True

    run(scenario())


def test_a_long_history_comes_in_frames_that_clients_take(world: World) -> None:
    _, token = world.player()
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        for _ in range(3):
            raw.send_frame(json.dumps([bet(1, id=f"r{i}") for i in range(900)]))
            done = 0
            while done < 900:
                done += sum(message["type"] != "bet.pending" for message in raw.read_messages())
        raw.send_frame('{"type":"resume","id":"x","from_seq":0}')
        sizes, messages = [], []
        while not messages or messages[-1]["type"] != "resumed":
            _, payload = raw.read_frame()
            sizes.append(len(payload))
            content = json.loads(payload)
            messages += content if isinstance(content, list) else [content]
        assert len(messages) == 1 + 2700 + 1
        assert max(sizes) < 2**20


def test_bets_of_a_client_that_vanished_are_decided_all_the_same(world: World) -> None:
    async def scenario() -> None:
        _, token = world.player()
        requests = [bet(1, id=f"r{i}") for i in range(50)]
        with RawSocket(world.server.port, token=token) as raw:
            raw.read_messages()
            raw.send_frame(json.dumps(requests))
            raw.read_messages()  # the first bet.pending: they are under way
            raw.reset()
        async with connect(world.server.ws, token) as wire:
            states = {"pending"}
            while "pending" in states:
                looks = [{"type": "bet.get", "bet_id": request["bet_id"]} for request in requests]
                states = {answer["state"] for answer in await wire.ask_all(*looks)}
            assert states == {"confirmed"}
            assert (await wire.ask({"type": "balance.get"}))["balance"] == OPENING - 50

    run(scenario())
