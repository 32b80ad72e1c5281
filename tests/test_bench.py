"""The load driver speaks PROTOCOL and cannot be fooled into a better figure; the table says what to doubt."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from bench import run, table
from bench.driver import Job, drive, quantiles_us
from bench.echo import CONFIRMATION
from bench.wire import BetFrames, fresh_tags, read_answers, text_frame_header
from harness.process import free_port

NOW_MS = 1_760_000_000_123
WELCOME = json.dumps({"type": "welcome", "user_id": 42})


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


@pytest.mark.parametrize("payload_bytes", [1, 125, 126, 65_535])
def test_a_frame_header_says_the_length(payload_bytes: int) -> None:
    payload = b"x" * payload_bytes
    assert [bytes(each.data) for each in frames_of(text_frame_header(payload_bytes) + payload)] == [payload]


def test_a_payload_too_long_for_the_header_is_refused() -> None:
    with pytest.raises(ValueError, match="65536 bytes"):
        text_frame_header(65_536)


def confirmed(tag: str) -> dict[str, Any]:
    return {"type": "bet.confirmed", "id": tag, "bet_id": "0199", "stake": 250, "replayed": False}


def pending(tag: str) -> dict[str, Any]:
    return {"type": "bet.pending", "id": tag, "bet_id": "0199"}


def compact(*objects: dict[str, Any]) -> bytes:
    """As the server writes: an object, or an array where there are several."""
    return json.dumps(objects if len(objects) > 1 else objects[0], separators=(",", ":")).encode()


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
    rejected = {
        "type": "bet.rejected",
        "id": B,
        "code": "OVERLOADED",
        "message": 'say "type":"bet.confirmed"',
    }
    error = {"type": "error", "id": None, "code": "INVALID_REQUEST"}
    entry = {"type": "wallet.entry", "seq": 918}
    heard = read_answers(compact(confirmed(A), rejected, error, entry))
    assert heard.confirmed == [A.encode()]
    assert heard.refused == [(B.encode(), "OVERLOADED"), (b"None", "INVALID_REQUEST")]
    assert heard.other == ["wallet.entry"]


@pytest.mark.parametrize("payload", [b"", b"garbage", b"7", b"[1]", b"{}", b"\xff\xfe"])
def test_what_is_no_answer_raises(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_answers(payload)


Answer = Callable[[list[dict[str, Any]], ServerConnection], Awaitable[None]]


def figures_against(answer: Answer, connections: int = 2, in_flight: int = 3) -> dict[str, Any]:
    """Drive a tenth of a second of load against a wallet whose every bet goes to `answer`."""

    async def wallet(socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.request.headers["Authorization"] in {"Bearer t0", "Bearer t1"}
        assert socket.subprotocol == "wallet.v1"
        await socket.send(WELCOME)
        async for text in socket:
            await answer([json.loads(text)], socket)

    async def scene() -> dict[str, Any]:
        async with serve(wallet, "127.0.0.1", 0, subprotocols=["wallet.v1"], compression=None) as server:  # type: ignore[list-item]
            port = next(iter(server.sockets)).getsockname()[1]
            tokens = [f"t{number}" for number in range(connections)]
            url = f"ws://127.0.0.1:{port}/ws"
            return await drive(Job(url, connections, in_flight, 0.0, 0.1, tokens, drain_s=0.2))

    return asyncio.run(scene())


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
    assert table.faults(figures) == []


def test_no_more_bets_are_in_flight_than_asked_for() -> None:
    heard: list[dict[str, Any]] = []

    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        heard.extend(asked)
        if len(heard) in (3, 6):  # all three at once, twice; then never again
            await socket.send(compact(*(confirmed(bet["id"]) for bet in heard[-3:])), text=True)

    figures = figures_against(answer, connections=1, in_flight=3)
    assert len(heard) == 9
    assert (figures["answered_in_all"], figures["unanswered"]) == (6, 3)
    assert "unanswered: 3" in table.faults(figures)


def test_a_server_that_says_nothing_yields_no_figure() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        return

    figures = figures_against(answer)
    assert (figures["per_s"], figures["latency_us"]) == (0, {})
    assert table.faults(figures) == ["unanswered: 6", "nothing was answered"]


def test_a_refused_bet_is_counted_and_replaced() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        for bet in asked:
            refusal = {"type": "bet.rejected", "id": bet["id"], "code": "INSUFFICIENT_FUNDS"}
            await socket.send(compact(refusal), text=True)

    figures = figures_against(answer)
    assert figures["refused"]["INSUFFICIENT_FUNDS"] > 6  # the first bets of all, and at least one after them
    assert figures["answered_in_all"] == figures["unanswered"] == 0
    assert any("INSUFFICIENT_FUNDS" in fault for fault in table.faults(figures))


def test_a_bet_confirmed_twice_counts_once_and_is_a_fault() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        for bet in asked:
            await socket.send(compact(confirmed(bet["id"]), confirmed(bet["id"])), text=True)

    figures = figures_against(answer)
    assert figures["unknown_ids"] == figures["answered_in_all"] > 0
    assert any("unknown_ids" in fault for fault in table.faults(figures))


def test_an_answer_that_is_no_text_does_not_count_and_is_a_fault() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        for bet in asked:
            await socket.send(compact(confirmed(bet["id"])))

    figures = figures_against(answer)
    assert figures["answered_in_all"] == 0
    assert figures["other"] == {"BINARY": 6}
    assert "other: {'BINARY': 6}" in table.faults(figures)


def test_a_lost_connection_is_a_fault() -> None:
    async def answer(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
        await socket.close(4429, "too many messages")

    figures = figures_against(answer)
    assert sum(figures["lost"].values()) == 2
    assert any("4429" in fault for fault in table.faults(figures))


def test_quantiles_are_of_the_nearest_rank() -> None:
    quantiles = quantiles_us(array("q", [us * 1_000 for us in range(1_000, 0, -1)]))
    assert quantiles == {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}
    assert quantiles_us(array("q")) == {}


def measured(per_s: float, driver: float = 0.5, others: float = 0.0) -> dict[str, Any]:
    """Figures as the driver gives them, faultless."""
    return {
        "per_s": per_s,
        "answered": int(per_s),
        "answered_in_all": int(per_s),
        "latency_us": {"p50": 1_500.0, "p99": 9_000.0},
        "cores": {"server": 1.0, "driver": driver, "others": others},
        "refused": {},
        "other": {},
        "lost": {},
        "unanswered": 0,
        "unknown_ids": 0,
        "verdict": {"ok": True, "findings": []},
        "bets_in_ledger": int(per_s),
        "log": "",
    }


def test_the_ratio_is_that_of_neighbours_not_of_medians() -> None:
    # The machine slows down by half from round to round; the wallet is at half of echo all the time.
    rounds = [table.Round(measured(echo), measured(echo / 2)) for echo in (80_000, 40_000, 20_000)]
    assert table.medians(rounds)["ratio"] == 0.5
    uneven = [table.Round(measured(e), measured(w)) for e, w in ((100, 50), (1_000, 600), (10, 7))]
    assert table.medians(uneven)["ratio"] == 0.6


def test_the_table_shows_figures_and_what_to_doubt() -> None:
    fine = table.Round(measured(60_000), measured(30_000))
    doubtful = table.Round(measured(60_000, driver=0.97), measured(30_000, others=0.8))
    text = table.render({"100 × 20": [fine], "400 × 1": [doubtful]})
    assert [row.split()[:8] for row in text.splitlines()[2:4]] == [
        ["100", "×", "20", "60,000", "30,000", "0.50", "1.5", "9.0"],
        ["400", "×", "1", "60,000", "30,000", "0.50", "1.5", "9.0"],
    ]
    assert text.splitlines()[-2:] == [
        "400 × 1, round 1: the driver was the bottleneck of echo",
        "400 × 1, round 1: others used 0.80 cores beside wallet",
    ]


def test_a_round_counts_only_if_the_ledger_agrees() -> None:
    assert run.faults(table.Round(measured(60_000), measured(30_000))) == []
    short = measured(30_000) | {"bets_in_ledger": 29_999}
    assert run.faults(table.Round(measured(60_000), short)) == ["30000 bets confirmed, 29999 in the ledger"]
    finding = {"check": "balance", "user_id": 42, "balance": 5, "ledger": 4}
    wrong = measured(30_000) | {"verdict": {"ok": False, "findings": [finding]}}
    assert run.faults(table.Round(measured(60_000), wrong)) == [f"reconcile: {[finding]}"]


@pytest.mark.parametrize("text", ["100", "100x", "x1", "0x5", "5x0", "-1x5", "axb"])
def test_a_shape_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        run.options(["--shapes", text])
    assert refused.value.code == 2
    assert "--shapes" in capsys.readouterr().err


def test_more_connections_than_players_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.options(["--shapes", "100x20", "--players", "99"])
    assert "100 connections need as many players" in capsys.readouterr().err


def test_a_process_that_dies_before_it_listens_is_noticed() -> None:
    with (
        pytest.raises(RuntimeError, match="ended with status 3"),
        run.listening([sys.executable, "-c", "raise SystemExit(3)"], free_port()),
    ):
        pytest.fail("it cannot have listened")


@pytest.mark.long
def test_a_short_run_of_everything_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seconds", "1", "--warm-up", "0.5", "--rounds", "1", "--players", "60"]
    status = run.main([*arguments, "--shapes", "20x5", "30x1", "--out", str(tmp_path)])
    out, err = capsys.readouterr()
    assert status == 0, out + err
    (path,) = tmp_path.iterdir()  # the ledgers are gone
    report = json.loads(path.read_text())
    assert list(report["cases"]) == [
        f"{shape}, nonces in {nonces}" for shape in ("20 × 5", "30 × 1") for nonces in ("memory", "redis")
    ]
    for case in report["cases"].values():
        (measurement,) = case["rounds"]
        for figures in (measurement["echo"], measurement["wallet"]):
            assert figures["per_s"] > 100
            assert 0 < figures["latency_us"]["p50"] <= figures["latency_us"]["p99"]
            assert figures["cores"]["server"] > 0
        assert measurement["wallet"]["bets_in_ledger"] == measurement["wallet"]["answered_in_all"]
        assert measurement["wallet"]["decoded_frames"] == 0  # the cheap scan knows the server's spelling
        assert ("redis" in measurement["wallet"]["cores"]) == (case["nonces"] == "redis")
    assert [line.split("  ")[0] for line in out.splitlines()[2:6]] == list(report["cases"])
