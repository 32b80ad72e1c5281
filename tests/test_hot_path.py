"""What a bet may cost, counted and not timed: frames, round trips, tasks, objects, pattern searches.

The gains of docs/performance.md are in these counts; a machine that is busy does not change them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ws.codec
from batcher.batcher import Batcher
from batcher.memory_nonces import MemoryGuard
from engine.commands import Command
from engine.outcomes import Accepted, Outcome
from engine.store import Store
from harness.process import Server, seed
from harness.wire import bet, connect
from tests.batches import NOW_US, OPENING_MINOR, Disk, bet_id
from tests.books_open import ALICE, BOB, look, place
from tests.books_open import seed as seed_file
from tests.in_process import run, serving, without_the_collector
from tests.redis_server import RedisServer
from tests.server_fixture import OPENING, Json, RawSocket, World, frame
from ws.sockets.outbox import FRAME_REPLIES_MAX, Outbox
from ws.sockets.session import Session
from ws.transport.http_door import HttpDoor
from ws.transport.websocket_door import SLICE_BYTES, WebSocketDoor
from ws.wire.messages import BetPlace

# --- frames ----------------------------------------------------------------------------------------------


def next_frames(raw: RawSocket, count: int) -> list[tuple[set[str], int]]:
    """Of the next `count` frames: the types of their messages, and how many there are."""
    told = [raw.read_messages() for _ in range(count)]
    return [({message["type"] for message in messages}, len(messages)) for messages in told]


def one_read(bets: list[Json]) -> bytes:
    """Each bet in a frame of its own, and all of them in what the server parses at once."""
    sent = b"".join(frame(json.dumps(request)) for request in bets)
    assert len(sent) <= SLICE_BYTES
    return sent


@pytest.mark.parametrize("way", ["an array", "frames in one read"])
def test_bets_that_come_together_are_answered_in_one_frame_and_once_more(world: World, way: str) -> None:
    _, token = world.player()
    with RawSocket(world.server.port, token=token) as raw, RawSocket(world.server.port, token=token) as other:
        assert next_frames(raw, 1) == next_frames(other, 1) == [({"welcome"}, 1)]
        for count in (2, 30):
            bets = [bet(1, id=f"r{number}") for number in range(count)]
            raw.send(frame(json.dumps(bets)) if way == "an array" else one_read(bets))
            assert next_frames(raw, 2) == [({"bet.pending"}, count), ({"bet.confirmed"}, count)]
            assert next_frames(other, 1) == [({"wallet.entry"}, count)]


def test_a_frame_has_as_many_answers_as_clients_take(world: World) -> None:
    with RawSocket(world.server.port, token=world.player()[1]) as raw:
        next_frames(raw, 1)
        raw.send_frame(json.dumps([bet(1, id=f"r{number}") for number in range(1000)]))
        assert next_frames(raw, 4) == [
            *[({"bet.pending"}, FRAME_REPLIES_MAX)] * 2,
            *[({"bet.confirmed"}, FRAME_REPLIES_MAX)] * 2,
        ]


# --- round trips to Redis --------------------------------------------------------------------------------


def test_a_batch_is_one_round_trip_to_redis(tmp_path: Path, redis_server: RedisServer) -> None:
    db = tmp_path / "wallet.db"
    (player,) = seed(db, 1, OPENING)
    with Server(db, redis_url=redis_server.url) as server:
        (blocks,) = look(db, "SELECT count(*) FROM blocks")[0]
        redis_server.ask("CONFIG", "RESETSTAT")
        with RawSocket(server.port, token=player["token"]) as raw:
            next_frames(raw, 1)
            for count in (1, 1, 300):
                raw.send_frame(json.dumps([bet(1, id=f"r{number}") for number in range(count)]))
                assert next_frames(raw, 2)[1] == ({"bet.confirmed"}, count)
        calls = {
            name.removeprefix("cmdstat_").partition("|")[0]: int(stats["calls"])
            for name, stats in redis_server.ask("INFO", "commandstats").items()
        }
        assert look(db, "SELECT count(*) FROM blocks")[0] == (blocks + 3,)
    for of_this_test in ("config", "client", "hello", "select"):
        calls.pop(of_this_test, None)
    assert calls == {"evalsha": 3, "set": 302}  # SET is called by the script


# --- tasks and sockets: the parts of ws/app.py, in this process --------------------------------------------


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file, and the token of its one player."""
    db = tmp_path_factory.mktemp("hot") / "wallet.db"
    return db, seed(db, 1, OPENING)[0]["token"]


def test_a_batch_is_one_task_and_a_bet_none_nor_a_turn_in_the_sessions_queue(
    seeded: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    db, token = seeded
    made: list[str] = []
    queued: list[object] = []
    receive = WebSocketDoor.receive

    def noting(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **options)

    async def noting_too(door: WebSocketDoor) -> Any:
        queued.append(message := await receive(door))
        return message

    async def scenario() -> None:
        async with serving(db) as url, connect(url, token) as wire:
            await wire.ask(bet(1))
            asyncio.get_running_loop().set_task_factory(noting)
            for count in (1, 10, 300):
                made.clear()
                answers = await wire.ask_all(*(bet(1) for _ in range(count)))
                assert {answer["type"] for answer in answers} == {"bet.confirmed"}
                assert made == ["Store.write"]
            assert len(queued) == 1  # websocket.connect
            await wire.ask({"type": "ping"})
            assert len(queued) == 2
            asyncio.get_running_loop().set_task_factory(None)

    monkeypatch.setattr(WebSocketDoor, "receive", noting_too)
    run(scenario())


def test_a_socket_that_has_gone_leaves_neither_its_session_nor_its_buffers(seeded: tuple[Path, str]) -> None:
    db, token = seeded
    watched = (Session, Outbox, WebSocketDoor, HttpDoor)

    def alive() -> Counter[str]:
        return Counter(type(each).__name__ for each in gc.get_objects() if type(each) in watched)

    async def visit(url: str) -> None:
        async with connect(url, token) as wire:
            await wire.ask(bet(1))
            await wire.ask({"type": "balance.get"})

    async def scenario() -> None:
        async with serving(db) as url:
            await visit(url)
            with without_the_collector():
                async with connect(url, token):
                    before = alive()
                    for _ in range(20):
                        await visit(url)
                    for _ in range(100):  # turns, for the server's side of the last goodbye
                        await asyncio.sleep(0)
                    assert alive() <= before

    run(scenario())


# --- objects ---------------------------------------------------------------------------------------------

OBJECTS_A_BET = 7
"""What the collector has to look at for each bet that stands at COMMIT: its job, the transaction and its key,
two entries and the pair of them, the bet's row."""


class Counted:
    """Asks for bets and counts the answers; keeps nothing."""

    def __init__(self) -> None:
        self.left = 0
        self.done = asyncio.Event()

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        assert isinstance(outcome, Accepted)
        self.left -= 1
        if not self.left:
            self.done.set()


async def objects(store: Store, disk: Disk, numbers: range) -> tuple[int, int, int]:
    """How many more there are while these bets stand at COMMIT in one batch, and when all have been told; and
    then, how many more blocks of memory, of whatever kind."""
    batcher = Batcher(store, MemoryGuard(capacity=10_000), wall_clock=lambda: NOW_US)
    counted = Counted()
    bets = [place(number, 1, (ALICE, BOB)[number % 2]) for number in numbers]
    batcher.start()
    await asyncio.sleep(0)
    with without_the_collector():
        before, blocks = len(gc.get_objects()), sys.getallocatedblocks()
        disk.hold()
        counted.left = len(bets)
        for command in bets:
            batcher.submit(command, counted, "r")
        await disk.holds_one()
        at_commit = len(gc.get_objects())
        disk.release()
        await counted.done.wait()
        counted.left = 1
        counted.done.clear()
        batcher.submit(place(numbers.stop, 1, BOB), counted, "r")  # the last batch is kept until the next one
        await counted.done.wait()
        told = len(gc.get_objects())
        gc.collect()  # empties Python's free lists too, as it did before
        left = sys.getallocatedblocks()
        await batcher.drain()
    return at_commit - before, told - before, left - blocks


def test_a_bet_is_few_objects_and_nothing_of_it_stays(tmp_path: Path) -> None:
    path = seed_file(tmp_path / "books.db", OPENING_MINOR, OPENING_MINOR)

    async def scenario() -> None:
        disk = Disk()
        store = await Store.open(path, connection_factory=disk.connection())
        _, few, many = [
            await objects(store, disk, each) for each in (range(910), range(1000, 1010), range(2000, 2910))
        ]
        await store.close()
        at_commit, told, blocks = [
            round((by_many - by_few) / 900, 1) for by_few, by_many in zip(few, many, strict=True)
        ]
        assert at_commit <= OBJECTS_A_BET
        assert (told, blocks) == (0, 0)

    asyncio.run(scenario())


# --- decoding --------------------------------------------------------------------------------------------


def counted(searched: Counter[str], name: str, search: Callable[[str], object], text: str) -> object:
    searched[name] += 1
    return search(text)


def test_a_bets_frame_is_searched_for_the_pattern_of_its_bet_id_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: Counter[str] = Counter()
    for name in ("_has_control", "_is_uuid"):
        monkeypatch.setattr(ws.codec, name, partial(counted, searched, name, getattr(ws.codec, name)))
    terms = {"type": "bet.place", "id": "r", "stake": 1, "nonce": "12345678", "sent_at": 1, "game": "dice"}
    bets = [terms | {"bet_id": bet_id(number)} for number in range(50)]
    for requests in (bets, bets[0]):
        count = len(requests) if isinstance(requests, list) else 1
        searched.clear()
        decoded = ws.codec.decode_frame(json.dumps(requests), 1000)
        assert [type(each) for each in decoded] == [BetPlace] * count
        assert searched == {"_is_uuid": count}
    # The three letters of a currency are the only text that the decoder itself matches, where there are any.
    fields = msgspec.inspect.type_info(BetPlace).fields  # type: ignore[attr-defined]
    patterns = {field.name for field in fields if "pattern=" in repr(field.type).replace("pattern=None", "")}
    assert patterns == {"currency"}
