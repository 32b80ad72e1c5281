"""A client that means harm: each of its frames is answered or its socket closed, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from harness.wire import new_bet_id
from tests.server_fixture import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Json, RawSocket, World, frame

FRAME_BYTES = 262_144


@pytest.fixture(scope="module")
def token(world: World) -> str:
    return world.player()[1]


@pytest.fixture(autouse=True)
def nobody_else_notices(world: World, token: str) -> Iterator[None]:
    """After each attack: the ledger is as it was, nothing raised, and a bystander is served at once."""
    before, logged = world.entries(), len(world.log())
    yield
    with RawSocket(world.server.port, token=token) as bystander:
        assert ask(bystander, '{"type":"ping","id":"p"}')[-1]["type"] == "pong"
    assert world.entries() == before
    assert "Traceback" not in world.log()[logged:], world.log()[logged:][-2000:]


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


def ask(raw: RawSocket, text: str | bytes) -> list[Json]:
    """The answer to a frame, after the welcome if that is still to come."""
    raw.send_frame(text)
    messages = raw.read_messages()
    return messages if messages[-1]["type"] != "welcome" else raw.read_messages()


FILLED = {"type": "bet.place", "id": "r", "stake": 1, "nonce": "12345678", "sent_at": 0}
BET_TEXT = json.dumps(FILLED | {"bet_id": new_bet_id()})


def with_stake(literal: str) -> str:
    return BET_TEXT.replace('"stake": 1', f'"stake": {literal}')


def with_id(literal: str) -> str:
    return BET_TEXT.replace('"r"', literal)


@pytest.mark.parametrize(
    "text",
    [
        *map(with_stake, ["1.0", "1e3", "1e400", "-1", "0", "-0", "true", "null", '"1"', "[]", "{}", "NaN"]),
        *map(with_stake, ["Infinity", "-Infinity", str(2**53), str(2**63), str(2**64), "9" * 5000, "01"]),
        BET_TEXT.replace("}", ', "admin": true}'), BET_TEXT.upper(), BET_TEXT[:-1],
        *map(with_id, ['""', '"r\\n"', '"\\u0000"', '"\x00"', '"' + "x" * 65 + '"', "7", "null"]),
        BET_TEXT.replace("12345678", "\\ud83d4567"), '{"type":"ping","id":"a"}{"type":"ping","id":"b"}',
        "", " ", "x", "{", "[", "]", "[]", "null", "7", '"ping"', "{}", "[[[]]]", "\x00", "\ufeff{}",
        "[" * 100_000, '{"id":' * 40_000, '{"type":"x - at `$.zzz`","id":"r"}',
        '[{"type":"x - at `$.zzz`","id":"r"}]', '{"type":"ping","id":"r","a` - at `$.zzz":1}',
        '{"type":"Object contains unknown field `","id":"r"}', '{"type":"' + "x" * 200_000 + '","id":"r"}',
        '{"type":"ping","id":"r","' + "k" * 200_000 + '":1}', "[" + "1," * 100_000 + "1]",
        json.dumps([{"type": "ping", "id": "p"}] * 1001),
    ],
    ids=lambda text: repr(text[:40]),
)  # fmt: skip
def test_a_malformed_frame_is_one_invalid_request(world: World, token: str, text: str) -> None:
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        began = time.monotonic()
        (refused,) = ask(raw, text)
        assert time.monotonic() - began < 1
        assert (refused["type"], refused["code"], refused["retryable"]) == ("error", "INVALID_REQUEST", False)
        assert refused["id"] in ("r", None)
        assert len(refused["message"]) < 700
        assert ask(raw, '{"type":"ping","id":"still"}')[0]["id"] == "still"


def test_a_thousand_bad_messages_get_a_thousand_answers(world: World, token: str) -> None:
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        raw.send_frame(json.dumps([{"type": "bet.place", "id": f"r{i}", "stake": "1"} for i in range(1000)]))
        answers: list[Json] = []
        while len(answers) < 1000:
            answers += raw.read_messages()
        assert [answer["id"] for answer in answers] == [f"r{i}" for i in range(1000)]
        assert {answer["code"] for answer in answers} == {"INVALID_REQUEST"}


def padded_ping(size: int) -> str:
    text = '{"type":"ping","id":"p"}'
    return text + " " * (size - len(text))


def test_a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not(world: World, token: str) -> None:
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        assert ask(raw, padded_ping(FRAME_BYTES))[0]["type"] == "pong"
        raw.send_frame(padded_ping(FRAME_BYTES + 1))
        assert raw.close_code() == 1009


NEVER_SENT = struct.pack(">BBQ", 0x81, 0xFF, 2**62)
"""The header of a frame whose payload would fill any memory."""

CLOSING = {
    "1 MB": (frame(b"[" * 2**20), {1009}),
    "4 EB": (NEVER_SENT + bytes(4), {1009}),
    "fragments beyond the limit": (
        frame(b" " * 200_000, fin=False) + frame(b" " * 200_000, CONTINUATION),
        {1009},
    ),
    "fragments without number": (
        frame(b"[", fin=False) + frame(b"", CONTINUATION, fin=False) * 10_000,
        {1008, 1009, 4429},
    ),
    "messages of many fragments without number": (
        (frame(b"[", fin=False) + frame(b"", CONTINUATION, fin=False) * 4000 + frame(b"]", CONTINUATION))
        * 30,
        {4401, 4429},
    ),
    "binary": (frame(b'{"type":"ping","id":"p"}', BINARY), {4400}),
    "empty binary": (frame(b"", BINARY), {4400}),
    "bytes that are no UTF-8": (frame(b'{"type":"\xff"}'), {1007}),
    "a surrogate in UTF-8": (frame(b'"\xed\xa0\x80"'), {1007}),
    "a character cut short": (frame(b"\xe2\x82"), {1007}),
    "no UTF-8, and a close in the same read": (frame(b"\xff") + frame(b"\x03\xe8", CLOSE), {1000}),
    "a character cut short by the end of a fragment": (
        frame(b"\xe2", fin=False) + frame(b"x", CONTINUATION),
        {1007},
    ),
    "not masked": (b"\x81\x02{}", {1002}),
    "reserved opcode": (frame(b"x", 3), {1002}),
    "reserved bits": (b"\xf1\x80" + bytes(4), {1002}),
    "a continuation of nothing": (frame(b"x", CONTINUATION), {1002}),
    "text within a fragmented text": (frame(b"x", fin=False) + frame(b"x"), {1002}),
    "a fragmented ping": (frame(b"x", PING, fin=False), {1002}),
    "a long ping": (frame(b"x" * 126, PING), {1002}),
    "a close of one byte": (frame(b"x", CLOSE), {1002}),
    "a close with a code of nobody's": (frame(struct.pack(">H", 999), CLOSE), {1002}),
    "a close whose reason is no UTF-8": (frame(b"\x03\xe8\xff", CLOSE), {1002, 1007}),
    "a sound close": (frame(struct.pack(">H", 1000), CLOSE), {1000}),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", {1002}),
}


@pytest.mark.parametrize("authenticated", [True, False], ids=["player", "stranger"])
@pytest.mark.parametrize("attack", CLOSING)
def test_what_breaks_the_protocol_is_closed_with_its_code(
    world: World, token: str, attack: str, authenticated: bool
) -> None:
    sent, codes = CLOSING[attack]
    with RawSocket(world.server.port, token=token if authenticated else None) as raw:
        if authenticated:
            raw.read_messages()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # closed before all of it is sent
            raw.send(sent)
        assert raw.close_code() in codes


def test_fragments_make_one_frame_even_with_a_ping_between(world: World, token: str) -> None:
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        for byte in b'{"type":"ping","id":"':
            raw.send_frame(bytes([byte]), TEXT if byte == ord("{") else CONTINUATION, fin=False)
        raw.send_frame(b"beat", PING)
        raw.send_frame("ü".encode()[:1], CONTINUATION, fin=False)
        raw.send_frame("ü".encode()[1:], CONTINUATION, fin=False)
        raw.send_frame(b'"}', CONTINUATION)
        assert raw.read_frame() == (PONG, b"beat")
        assert raw.read_messages()[0]["id"] == "ü"


@pytest.mark.parametrize(
    "request_line",
    [
        b"\x16\x03\x01\x02\x00", b"\x00" * 100, b"SSH-2.0-x\r\n", b"\r\n" * 100, b"GET\r\n\r\n",
        b"A" * 100_000, b"GET * HTTP/1.1\r\n\r\n", b"GET /ws HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
    ],
    ids=lambda line: repr(line[:24]),
)  # fmt: skip
def test_what_is_not_http_gets_400_or_less(world: World, request_line: bytes) -> None:
    with RawSocket(world.server.port, upgrade=False) as raw:
        raw.send(request_line)
        raw.socket.settimeout(0.3)
        try:
            raw.read_head()
            assert 400 <= raw.status < 500
        except (TimeoutError, EOFError, ConnectionError):
            pass  # it waits for more, or has hung up: both are fair


@pytest.mark.parametrize(
    ("removed", "added"),
    [
        ("Sec-WebSocket-Key", ""), ("Sec-WebSocket-Key", "Sec-WebSocket-Key: ="),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: ü"), ("x", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Sec-WebSocket-Version", ""), ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 7"),
        ("x", "Sec-WebSocket-Protocol: ,"), ("x", "X: " + "x" * 9000),
        ("x", "\r\n".join(f"X{i}: x" for i in range(200))),
    ],
    ids=lambda line: line[:12],
)  # fmt: skip
def test_a_broken_handshake_is_answered_with_an_http_error(world: World, removed: str, added: str) -> None:
    lines = [
        "GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: wallet.v1",
    ]  # fmt: skip
    kept = [line for line in lines if not line.startswith(removed)] + ([added] if added else [])
    with RawSocket(world.server.port, upgrade=False) as raw:
        raw.socket.settimeout(1.5)
        raw.send("\r\n".join([*kept, "", ""]).encode("latin-1"))
        raw.read_head()
        assert 400 <= raw.status < 500


HALVES = [b"", b"GET", b"GET /ws HTTP/1.1\r\nUpgrade: webs", b"GET /ws HTTP/1.1\r\nHost: x\r\n"]


def test_half_handshakes_and_resets_hold_nobody_up(world: World, token: str) -> None:
    idle = [RawSocket(world.server.port, upgrade=False) for _ in range(50)]
    for position, raw in enumerate(idle):
        raw.send(HALVES[position % len(HALVES)])
    for position, raw in enumerate(idle):
        raw.reset() if position % 2 else raw.socket.close()


BEFORE_THE_RESET = {
    "nothing": b"",
    "half a header": b"\x81",
    "half a frame": frame(BET_TEXT)[:40],
    "a stale bet": frame(BET_TEXT),
    "many pings": frame(json.dumps([{"type": "ping", "id": "p"}] * 1000)) * 3,
    "many looks": frame(json.dumps([{"type": "bet.get", "id": "p", "bet_id": new_bet_id()}] * 500)),
    "resumes": frame(json.dumps([{"type": "resume", "id": "p", "from_seq": 0}] * 500)),
    "a close": frame(struct.pack(">H", 1000), CLOSE),
    "a frame too big": NEVER_SENT + bytes(100_000),
}


@pytest.mark.parametrize("act", BEFORE_THE_RESET)
def test_a_client_may_vanish_in_the_middle_of_anything(world: World, token: str, act: str) -> None:
    for how in ("reset", "half-close", "reset at once"):
        with RawSocket(world.server.port, token=token) as raw:
            if how != "reset at once":
                raw.read_messages()
            raw.send(BEFORE_THE_RESET[act])
            if how == "half-close":
                with contextlib.suppress(OSError):  # the server may have closed it already
                    raw.socket.shutdown(socket.SHUT_WR)
            else:
                raw.reset()
