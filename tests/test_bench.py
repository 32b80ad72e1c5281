"""The closed-loop driver speaks PROTOCOL and cannot be fooled into a better figure."""

from __future__ import annotations

import asyncio
import json
import uuid
from array import array
from itertools import cycle
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from bench import checks
from bench.clients import quantiles_us
from bench.driver import Job, drive
from bench.echo import CONFIRMATION
from bench.wire import BetFrames, fresh_tags, read_answers, text_frame_header
from tests.fake_wallet import Answer, compact, confirm, confirmed, driven, pending, rejected, tokens

NOW_MS = 1_760_000_000_123


def frames_of(data: bytes) -> list[Frame]:
    """What a server makes of `data`; the parser is the one that uvicorn runs."""
    parser = ServerProtocol(state=OPEN)
    parser.receive_data(data)
    assert parser.parser_exc is None
    return [each for each in parser.events_received() if isinstance(each, Frame)]


def test_a_burst_is_one_text_frame_with_one_bet_for_each() -> None:
    data, tags = BetFrames(fresh_tags()).burst(3, NOW_MS)
    frames = frames_of(data)
    assert [each.opcode for each in frames] == [Opcode.TEXT] * 3
    bets = [json.loads(bytes(each.data)) for each in frames]
    assert [bet["id"].encode() for bet in bets] == tags
    for bet in bets:
        assert set(bet) == {"type", "id", "bet_id", "stake", "nonce", "sent_at"}
        assert bet["type"] == "bet.place"
        assert bet["stake"] > 0
        assert 8 <= len(bet["nonce"]) <= 64
        assert bet["sent_at"] == NOW_MS


def test_a_bet_id_is_a_version_7_uuid_of_its_millisecond() -> None:
    frames = BetFrames(fresh_tags())
    for now_ms in (NOW_MS, NOW_MS + 1):
        bet = json.loads(bytes(frames_of(frames.burst(1, now_ms)[0])[0].data))
        bet_id = uuid.UUID(bet["bet_id"])
        assert str(bet_id) == bet["bet_id"]
        assert (bet_id.version, bet_id.variant) == (7, uuid.RFC_4122)
        assert bet_id.int >> 80 == bet["sent_at"] == now_ms


def test_no_two_connections_send_the_same_bet() -> None:
    tags = fresh_tags()
    bets = [
        json.loads(bytes(frame.data))
        for connection in (BetFrames(tags), BetFrames(tags))
        for _ in range(2)
        for frame in frames_of(connection.burst(50, NOW_MS)[0])
    ]
    for field in ("id", "bet_id", "nonce"):
        assert len({bet[field] for bet in bets}) == 200


def test_a_bet_id_of_version_4_begins_at_random() -> None:
    data, tags = BetFrames(fresh_tags(), version=4).burst(100, NOW_MS)
    bet_ids = [json.loads(bytes(each.data))["bet_id"] for each in frames_of(data)]
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in bet_ids} == {(4, uuid.RFC_4122)}
    assert [str(uuid.UUID(each)) for each in bet_ids] == bet_ids
    assert [each[-12:].encode() for each in bet_ids] == tags
    assert len({each[:8] for each in bet_ids}) > 90
    assert len({each[14:18] for each in bet_ids}) > 60


def test_a_bet_id_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 1"):
        BetFrames(fresh_tags(), version=1)


@pytest.mark.parametrize("version", [7, 4])
def test_frames_of_many_bets_are_arrays(version: int) -> None:
    data, tags = BetFrames(fresh_tags(), frame_bets=100, version=version).burst(201, NOW_MS)
    first, second, last = [json.loads(bytes(each.data)) for each in frames_of(data)]
    assert (len(first), len(second)) == (100, 100)
    assert [bet["id"].encode() for bet in [*first, *second, last]] == tags
    assert {frozenset(bet) for bet in [*first, *second, last]} == {
        frozenset(("type", "id", "bet_id", "stake", "nonce", "sent_at"))
    }
    assert len({bet["bet_id"] for bet in [*first, *second, last]}) == 201


@pytest.mark.parametrize("payload_bytes", [1, 125, 126, 65_535])
def test_a_frame_header_says_the_length(payload_bytes: int) -> None:
    payload = b"x" * payload_bytes
    assert [bytes(each.data) for each in frames_of(text_frame_header(payload_bytes) + payload)] == [payload]


def test_a_payload_too_long_for_the_header_is_refused() -> None:
    with pytest.raises(ValueError, match="65536 bytes"):
        text_frame_header(65_536)


A, B = "00000000000a", "00000000000b"


def test_confirmations_and_pendings_are_heard_without_decoding() -> None:
    heard = read_answers(compact(pending(A), confirmed(B), pending(B), confirmed(A)))
    assert (heard.confirmed, heard.pending, heard.decoded) == ([B.encode(), A.encode()], 2, False)
    assert read_answers(compact(confirmed(A))).confirmed == [A.encode()]
    assert read_answers(compact(pending(A))).pending == 1
    assert not read_answers(CONFIRMATION.encode()).decoded


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps([pending(A), confirmed(A)]).encode(),  # with spaces
        compact(dict(reversed(confirmed(A).items())), pending(A)),  # type comes last
    ],
)
def test_another_spelling_is_heard_as_well_and_shows(payload: bytes) -> None:
    heard = read_answers(payload)
    assert (heard.confirmed, heard.pending, heard.decoded) == ([A.encode()], 1, True)


def test_refusals_among_confirmations_are_not_overheard() -> None:
    refusal = rejected(B, "OVERLOADED") | {"message": 'say "type":"bet.confirmed"'}
    error = {"type": "error", "id": None, "code": "INVALID_REQUEST"}
    entry = {"type": "wallet.entry", "seq": 918}
    heard = read_answers(compact(confirmed(A), refusal, error, entry))
    assert heard.confirmed == [A.encode()]
    assert heard.refused == [(B.encode(), "OVERLOADED"), (b"None", "INVALID_REQUEST")]
    assert heard.other == ["wallet.entry"]


@pytest.mark.parametrize("payload", [b"", b"garbage", b"7", b"[1]", b"{}", b"\xff\xfe"])
def test_what_is_no_answer_raises(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_answers(payload)


def figures_against(answer: Answer, connections: int = 2, in_flight: int = 3, **more: Any) -> dict[str, Any]:
    """Drive a tenth of a second of load against a wallet whose every bet goes to `answer`."""

    async def load(url: str) -> dict[str, Any]:
        return await drive(
            Job(url, connections, in_flight, 0.0, 0.1, tokens(connections), drain_s=0.2, **more)
        )

    return driven(answer, load)


def test_the_loop_is_closed_every_answer_sets_one_bet_free() -> None:
    bets: list[str] = []

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        bets.extend(bet["bet_id"] for bet in asked)
        for bet in asked:
            await socket.send(compact(pending(bet["id"]), confirmed(bet["id"])), text=True)

    figures = figures_against(answer)
    assert figures["answered_in_all"] == figures["pending_in_all"] == len(bets) == len(set(bets))
    assert 0 < figures["answered"] <= figures["answered_in_all"]
    assert figures["per_s"] == pytest.approx(figures["answered"] / figures["window_s"], rel=0.01)
    assert 0 < figures["latency_us"]["p50"] <= figures["latency_us"]["p99"] <= figures["latency_us"]["max"]
    assert checks.driver_faults(figures) == []


def test_no_more_bets_are_in_flight_than_asked_for() -> None:
    heard: list[dict[str, Any]] = []

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        heard.extend(asked)
        if len(heard) in (3, 6):  # all three at once, twice; then never again
            await socket.send(compact(*(confirmed(bet["id"]) for bet in heard[-3:])), text=True)

    figures = figures_against(answer, connections=1, in_flight=3)
    assert len(heard) == 9
    assert (figures["answered_in_all"], figures["unanswered"]) == (6, 3)
    assert "unanswered: 3" in checks.driver_faults(figures)


def test_a_frame_leaves_when_there_is_room_for_all_its_bets() -> None:
    sizes: list[int] = []
    held: list[dict[str, Any]] = []
    held_back = cycle((3, 8, 1, 6))  # a commit can end in the middle of a frame, and does so anywhere

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        sizes.append(len(asked))
        commit = len(asked) - next(held_back)
        await confirm([*held, *asked[:commit]], socket)
        held[:] = asked[commit:]

    figures = figures_against(answer, connections=1, in_flight=20, frame_bets=10)
    assert set(sizes) == {10}
    assert len(sizes) > 8  # no place in flight was forgotten: with one that was, it ends with the third
    assert figures["answered_in_all"] == sum(sizes) - len(held)
    assert checks.driver_faults(figures) == [f"unanswered: {len(held)}"]


def test_frames_that_do_not_fill_the_places_are_refused() -> None:
    with pytest.raises(ValueError, match="25 bets in flight in frames of 10"):
        Job("ws://127.0.0.1:1/ws", 1, 25, 0.0, 0.1, tokens(1), frame_bets=10)


def test_a_ping_behind_an_answer_is_answered_and_the_next_bet_leaves() -> None:
    pongs: list[asyncio.Future[float]] = []

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        await confirm(asked, socket)
        pongs.append(asyncio.ensure_future(await socket.ping()))  # arrives in the same read

    figures = figures_against(answer, connections=1, in_flight=1)
    assert figures["answered"] > 2
    assert sum(pong.done() for pong in pongs) > 2
    assert checks.driver_faults(figures) == []


def test_echoes_count_in_the_order_of_the_bets_to_the_last() -> None:
    async def echo(socket: ServerConnection) -> None:
        async for _ in socket:
            await socket.send(CONFIRMATION)

    async def scene() -> dict[str, Any]:
        async with serve(echo, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await drive(Job(f"ws://127.0.0.1:{port}/ws", 2, 50, 0.0, 0.1, drain_s=0.2))

    figures = asyncio.run(scene())
    assert figures["answered"] > 100  # more than are in flight: their places were used again
    assert 0 < figures["latency_us"]["p50"] <= figures["latency_us"]["max"] < 1_000_000
    assert checks.driver_faults(figures) == []


def test_a_server_that_says_nothing_yields_no_figure() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        return

    figures = figures_against(answer)
    assert (figures["per_s"], figures["latency_us"]) == (0, {})
    assert checks.driver_faults(figures) == ["unanswered: 6", "nothing was answered"]


def test_a_refused_bet_is_counted_and_replaced() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        for bet in asked:
            await socket.send(compact(rejected(bet["id"], "INSUFFICIENT_FUNDS")), text=True)

    figures = figures_against(answer)
    assert figures["refused"]["INSUFFICIENT_FUNDS"] > 6  # the first bets of all, and at least one after them
    assert figures["answered_in_all"] == figures["unanswered"] == 0
    assert any("INSUFFICIENT_FUNDS" in fault for fault in checks.driver_faults(figures))


def test_a_bet_confirmed_twice_counts_once_and_is_a_fault() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        for bet in asked:
            await socket.send(compact(confirmed(bet["id"]), confirmed(bet["id"])), text=True)

    figures = figures_against(answer)
    assert figures["unknown_ids"] == figures["answered_in_all"] > 0
    assert any("unknown_ids" in fault for fault in checks.driver_faults(figures))


def test_an_answer_that_is_no_text_does_not_count_and_is_a_fault() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        for bet in asked:
            await socket.send(compact(confirmed(bet["id"])))

    figures = figures_against(answer)
    assert figures["answered_in_all"] == 0
    assert figures["other"] == {"BINARY": 6}
    assert "other: {'BINARY': 6}" in checks.driver_faults(figures)


def test_a_lost_connection_is_a_fault() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        await socket.close(4429, "too many messages")

    figures = figures_against(answer)
    assert sum(figures["lost"].values()) == 2
    assert any("4429" in fault for fault in checks.driver_faults(figures))


def test_quantiles_are_of_the_nearest_rank() -> None:
    quantiles = quantiles_us(array("q", [us * 1_000 for us in range(1_000, 0, -1)]))
    assert quantiles == {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}
    assert quantiles_us(array("q")) == {}
