"""Floods: a client that sends and never reads, and thousands of random frames."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.wire import new_bet_id, now_ms
from tests.server_fixture import CONTINUATION, PING, RawSocket, World, frame

GROWTH_KB = 16 * 1024
"""What one hostile client may cost: the parser's buffers and the heap's fragments. Unbounded, each of these
floods takes more than that within its time.
"""

FLOOD_S = 1.5
ANSWERED_WITHIN_S = 1.5
"""How long a bystander waits at most, on a machine that others use as well; stopped by a flood, it is as long
as the flood lasts.
"""


def array(message: dict[str, object], count: int = 900) -> bytes:
    return frame(json.dumps([message] * count))


STALE = {
    "type": "bet.place",
    "id": "x",
    "bet_id": new_bet_id(),
    "stake": 1,
    "nonce": "12345678",
    "sent_at": 0,
}
NEVER_READS = {
    "control frames": frame(b"x" * 125, PING) * 2000,
    "pings": array({"type": "ping", "id": "x" * 60}),
    "invalid requests": array({"type": "no.such", "id": "x" * 60}),
    "stale bets": array(STALE),
    "looks": array({"type": "bet.get", "id": "x", "bet_id": new_bet_id()}),
    "resumes": array({"type": "resume", "id": "x", "from_seq": 0}),
}
"""Each has answers, and nobody takes them."""

TINY = {
    "empty control frames": (False, b"", frame(b"", PING) * 20_000),
    "fragments without number": (False, frame(b"[", fin=False), frame(b"", CONTINUATION, fin=False) * 20_000),
    "arrays of a hundred thousand": (True, b"", frame("[" + "1," * 130_000 + "1]")),
    "small frames of a player": (True, b"", frame("x") * 5_000),
    "small frames of a stranger": (False, b"", frame("x") * 5_000),
}
"""Whether a player sends it, what comes first, and what comes without end: cheap to send, dear to take. The
sender reads what comes back.
"""


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


class Flood:
    """Sends without end, from a thread, until it is refused or told to stop; reads only if `reads`."""

    def __init__(self, raw: RawSocket, blob: bytes, *, reads: bool) -> None:
        self._raw = raw
        self._blob = blob
        self._reads = reads
        self._until = time.monotonic() + FLOOD_S * (2 if reads else 1)
        raw.socket.settimeout(0.5)
        self._threads = [threading.Thread(target=self._send)]
        if reads:
            self._threads.append(threading.Thread(target=self._read))

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # not read from any more, or closed: that is the defence
            while time.monotonic() < self._until:
                self._raw.send(self._blob)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while time.monotonic() < self._until:
                with contextlib.suppress(TimeoutError):
                    if not self._raw.socket.recv(2**20):
                        return

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        if self._reads:  # what was to be seen has been seen; memory needs the whole time to grow
            self._until = 0.0
        for thread in self._threads:
            thread.join()


def assert_a_bystander_is_served(world: World, token: str) -> None:
    began = time.monotonic()
    with RawSocket(world.server.port, token=token) as bystander:
        bystander.read_messages()
        bystander.send_frame('{"type":"ping","id":"p"}')
        assert bystander.read_messages()[0]["type"] == "pong"
    assert time.monotonic() - began < ANSWERED_WITHIN_S


@pytest.mark.parametrize("flood", NEVER_READS)
def test_who_sends_and_never_reads_costs_bounded_memory(world: World, flood: str) -> None:
    _, token = world.player()
    before = world.resident_kb()
    with RawSocket(world.server.port, token=token, receive_buffer=4096) as raw:
        with Flood(raw, NEVER_READS[flood], reads=False):
            assert_a_bystander_is_served(world, token)
        assert world.resident_kb() - before < GROWTH_KB


@pytest.mark.parametrize("flood", TINY)
def test_tiny_frames_starve_nobody(world: World, flood: str) -> None:
    _, token = world.player()
    by_player, first, blob = TINY[flood]
    before = world.resident_kb()
    with RawSocket(world.server.port, token=token if by_player else None) as raw:
        raw.send(first)
        with Flood(raw, blob, reads=True):
            for _ in range(3):
                assert_a_bystander_is_served(world, token)
        assert world.resident_kb() - before < GROWTH_KB


@pytest.mark.parametrize(
    ("flood", "costs"),
    [
        (array({"type": "no.such", "id": "x"}), 9_000),
        (frame("[" + "1," * 130_000 + "1]"), 8_135),
        (frame(b"", PING) * 500, 5_000),
    ],
    ids=["invalid requests", "arrays that are none", "pings"],
)
def test_a_flood_of_what_is_refused_is_cut_off(world: World, flood: bytes, costs: int) -> None:
    """250,000 tokens at first, 50,000 a second: who reads what he is told is closed all the same."""
    _, token = world.player()
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        codes: list[int] = []
        reader = threading.Thread(target=lambda: codes.append(raw.close_code()))
        reader.start()
        began, sent = time.monotonic(), 0
        with contextlib.suppress(OSError):
            while reader.is_alive() and time.monotonic() - began < 10:
                raw.send(flood)
                sent += costs
        reader.join()
        assert codes in ([4429], [1006]), "a reset overtakes the close frame where more was sent behind it"
        assert sent > 250_000
        assert_a_bystander_is_served(world, token)


def test_a_header_that_never_ends_is_refused(world: World) -> None:
    _, token = world.player()
    before = world.resident_kb()
    with RawSocket(world.server.port, upgrade=False) as raw:
        raw.send(b"GET /health/live HTTP/1.1\r\nX: ")
        with Flood(raw, b"x" * 2**20, reads=False):
            assert_a_bystander_is_served(world, token)
        assert world.resident_kb() - before < GROWTH_KB


def unsent(port: int, peer: int) -> int:
    """Bytes in the kernel's send queue of the server's side of a connection (Linux)."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, ours, theirs, _, queues, *_ = line.split()
        if (int(ours.split(":")[1], 16), int(theirs.split(":")[1], 16)) == (port, peer):
            return int(queues.split(":")[0], 16)
    return 0


def test_answers_that_are_due_to_a_socket_that_broke_the_protocol_harm_nobody(world: World) -> None:
    """The close frame waits behind unread answers, and outcomes of bets come in meanwhile."""
    _, token = world.player()
    looks = [{"type": "bet.get", "id": "g", "bet_id": new_bet_id()}] * 900
    bets = [STALE | {"id": f"b{i}", "bet_id": new_bet_id()} for i in range(100)]
    for extra in (2, 3, 4):  # a close that is late needs a buffer that is neither empty nor full
        with RawSocket(world.server.port, token=token, receive_buffer=4096) as raw:
            peer = raw.socket.getsockname()[1]
            queued, stuck = 0, 0
            while stuck < extra:
                raw.send(array({"type": "ping", "id": "x" * 60}, 100))
                until = time.monotonic() + 0.02
                while (now := unsent(world.server.port, peer)) == queued and time.monotonic() < until:
                    time.sleep(0.0005)  # whether the kernel takes more shows only in its queue
                queued, stuck = now, stuck + (now == queued)
            raw.send_frame(json.dumps(bets + looks))
            time.sleep(0.002)  # the looks keep the session busy while the next frame arrives
            raw.send_frame(b"\xff")
            assert_a_bystander_is_served(world, token)
    assert "Traceback" not in world.log(), world.log()[-2000:]


SOUND = [
    {"type": "ping", "id": "p"},
    {"type": "balance.get", "id": "b"},
    {"type": "bet.get", "id": "g", "bet_id": new_bet_id()},
    {"type": "resume", "id": "r", "from_seq": 0},
    {"type": "bet.place", "id": "s", "bet_id": new_bet_id(), "stake": 1, "nonce": "12345678", "sent_at": 0},
    {"type": "auth", "token": "t"},
]
TOKENS = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\\u0000",
    "\\ud800",
    "1e400",
    "-0",
    "2.5",
    "null",
    "NaN",
    "`$.x`",
]


def mangled(chance: random.Random) -> bytes:
    """A frame that is near to sound, or not: bytes swapped, cut, doubled, or the framing itself broken."""
    requests = [chance.choice(SOUND) for _ in range(chance.choice([1, 1, 1, 2, 5]))]
    text = json.dumps(requests[0] if len(requests) == 1 and chance.random() < 0.7 else requests)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(TOKENS) + text[at + chance.randrange(3) :]
    data = bytearray(frame(text.encode("utf-8", "surrogatepass")))
    if chance.random() < 0.15:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_frames_are_answered_or_closed_and_move_no_money(world: World, seed: int) -> None:
    chance = random.Random(seed)
    _, token = world.player()
    entries, memory = world.entries(), world.resident_kb()
    for round_ in range(40):
        with RawSocket(world.server.port, token=token) as raw:
            raw.read_messages()
            frames = [mangled(chance) for _ in range(30)]
            try:
                raw.send(b"".join(frames))
                # Either the sentinel behind them comes back, or the server has closed the socket. A length
                # that was mangled may swallow some of the sentinels, so there are enough to fill it.
                raw.send(frame(padded("end")) * 3)
                while not any(m.get("id") == "end" for m in raw.read_messages()):
                    pass
            except (AssertionError, EOFError, ConnectionError):
                pass  # closed, as it may be
            except TimeoutError:
                pytest.fail(f"neither answered nor closed: {seed=} {round_=}")
    assert world.entries() == entries
    assert world.resident_kb() - memory < GROWTH_KB
    assert "Traceback" not in world.log()


def padded(id_: str) -> str:
    """A ping that is longer than any frame may be short of."""
    return (
        json.dumps(
            {
                "type": "ping",
                "id": id_,
            }
        )
        + " " * 66_000
    )


def test_the_server_still_takes_bets(world: World) -> None:
    _, token = world.player()
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        request = {"type": "bet.place", "id": "x", "bet_id": new_bet_id(), "stake": 1, "nonce": "12345678"}
        raw.send_frame(json.dumps(request | {"sent_at": now_ms()}))
        _, *rest = raw.read_messages()
        assert (rest or raw.read_messages())[0]["type"] == "bet.confirmed"
