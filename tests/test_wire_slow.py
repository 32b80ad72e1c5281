"""Who reads slowly, or not at all, over real sockets: closed in time, bounded in memory, back without a gap.

What is asserted about time has the real figures, so these tests take as long as they say.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.wire import bet
from tests.server_fixture import CLOSE, PING, TEXT, Json, RawSocket, World, frame, mint, of_type, running

pytestmark = pytest.mark.long

CLOSED_WITHIN_S = 5.0
"""From the moment a reader stalls (issue 6)."""

GONE_WITHIN_S = 20.0
"""The same until nothing of its socket is left: 4.5 s, 5 s, and a busy machine on which ten long answers are
looked up one after the other."""

ENTRIES = 10_000
"""As many as one `resume` answers: 1.8 MB."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("slow")) as live:
        yield live
        live.assert_sound()


@pytest.fixture(scope="module")
def rich(world: World) -> tuple[int, str]:
    """A wallet with a long history."""
    user_id, token = world.player()
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        place(raw, ENTRIES)
    return user_id, token


@pytest.fixture(scope="module")
def crowd(world: World) -> list[str]:
    """The tokens of ten sockets, two of each wallet, with 700 KB to be told to each."""
    tokens: list[str] = []
    for _ in range(5):
        _, token = world.player()
        tokens += [token, token]
        with RawSocket(world.server.port, token=token) as raw:
            raw.read_messages()
            place(raw, 4_000)
    return tokens


def place(raw: RawSocket, count: int) -> None:
    """So many bets of 1, confirmed."""
    for start in range(0, count, 1000):
        bets = [bet(1, id=f"{start}-{number}") for number in range(min(1000, count - start))]
        raw.send_frame(json.dumps(bets))
        confirmed = 0
        while confirmed < len(bets):
            confirmed += len(of_type(raw.read_messages(), "bet.confirmed"))


def resume(raw: RawSocket, from_seq: int) -> None:
    raw.send_frame(json.dumps({"type": "resume", "id": "r", "from_seq": from_seq}))


def read_on(raw: RawSocket) -> tuple[list[Json], int | None]:
    """Messages up to `resumed` or the server's close, and its code."""
    messages: list[Json] = []
    while not of_type(messages, "resumed"):
        try:
            opcode, payload = raw.read_frame()
        except (EOFError, ConnectionError):
            return messages, 1006
        if opcode == CLOSE:
            return messages, struct.unpack(">H", payload[:2])[0]
        if opcode == TEXT:
            content = json.loads(payload)
            messages += content if isinstance(content, list) else [content]
    return messages, None


def descriptors(world: World) -> int:
    assert world.server.process is not None
    return len([*Path(f"/proc/{world.server.process.pid}/fd").iterdir()])


def wait_for_descriptors(world: World, count: int, within_s: float) -> float:
    """Until the server has at most `count` open; how long that took."""
    began = time.monotonic()
    while descriptors(world) > count:
        assert time.monotonic() - began < within_s, f"{descriptors(world)} descriptors, not {count}"
        time.sleep(0.05)  # a socket that the server drops gives no sign to a peer that does not read
    return time.monotonic() - began


def slow_reader(world: World, token: str) -> RawSocket:
    raw = RawSocket(world.server.port, token=token, receive_buffer=4096)
    raw.read_messages()
    raw.socket.settimeout(20)
    return raw


@contextlib.contextmanager
def stalled(world: World, tokens: list[str]) -> Iterator[list[RawSocket]]:
    """Sockets that ask for all that there is, and read none of it."""
    with contextlib.ExitStack() as stack:
        windows = [stack.enter_context(slow_reader(world, token)) for token in tokens]
        for each in windows:
            resume(each, 0)
        yield windows


def test_who_stalls_in_a_resume_is_closed_and_comes_back_without_a_gap(
    world: World, rich: tuple[int, str]
) -> None:
    """Entries are posted all the while, and nothing of them is missing."""
    user_id, token = rich
    with RawSocket(world.server.port, token=token) as bettor, slow_reader(world, token) as slow:
        bettor.read_messages()
        resume(slow, 0)
        place(bettor, 500)  # a moment in which the buffers fill
        time.sleep(CLOSED_WITHIN_S)
        messages, code = read_on(slow)
        assert code == 4429, "closed by then: what is read from here on was buffered before"
        entries = of_type(messages, "wallet.entry")
        assert 0 < len(entries) < ENTRIES
        assert not of_type(messages, "resumed")
        place(bettor, 500)
    with (
        RawSocket(world.server.port, token=token) as again,
        RawSocket(world.server.port, token=token) as bettor,
    ):
        again.read_messages()
        bettor.read_messages()
        more = True
        while more:
            resume(again, entries[-1]["seq"])
            place(bettor, 10)
            messages, code = read_on(again)
            assert code is None
            entries += of_type(messages, "wallet.entry")
            more = of_type(messages, "resumed")[0]["more"]
        newest = world.query("SELECT max(id) FROM transaction_ledger WHERE user_id = ?", user_id)[0][0]
        while max(entry["seq"] for entry in entries) < newest:
            entries += of_type(again.read_messages(), "wallet.entry")
    # What is posted during a `resume` may be pushed as well: the same entry, which its seq tells.
    entries = [*{entry["seq"]: entry for entry in sorted(entries, key=lambda each: each["seq"])}.values()]
    assert [entry["prev_seq"] for entry in entries] == [0, *(entry["seq"] for entry in entries[:-1])]
    sums = world.query("SELECT count(*), sum(amount) FROM transaction_ledger WHERE user_id = ?", user_id)
    assert (len(entries), sum(entry["amount"] for entry in entries)) == sums[0]


def test_who_reads_again_in_time_gets_all(world: World, rich: tuple[int, str]) -> None:
    _, token = rich
    with slow_reader(world, token) as slow:
        resume(slow, 0)
        time.sleep(3.0)
        messages, code = read_on(slow)
    assert (code, len(of_type(messages, "wallet.entry"))) == (None, ENTRIES)


def test_who_reads_a_few_bytes_now_and_then_is_closed(world: World, rich: tuple[int, str]) -> None:
    """A kilobyte each 100 ms: it never stops reading, and would hold its buffers for minutes."""
    _, token = rich
    before = descriptors(world)
    with slow_reader(world, token) as slow:
        resume(slow, 0)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while slow.socket.recv(1024):
                assert time.monotonic() - began < GONE_WITHIN_S
                if descriptors(world) <= before:
                    break
                time.sleep(0.1)
        wait_for_descriptors(world, before, GONE_WITHIN_S)


@pytest.mark.parametrize("act", ["nothing", "a half-close", "a close frame", "pings", "bytes of a frame"])
def test_of_a_window_that_stays_shut_nothing_is_left(world: World, crowd: list[str], act: str) -> None:
    before, memory = descriptors(world), world.resident_kb()
    with stalled(world, crowd) as windows:
        for raw in windows:
            raw.socket.settimeout(0.2)
            with contextlib.suppress(OSError):
                if act == "a half-close":
                    raw.socket.shutdown(socket.SHUT_WR)
                elif act == "a close frame":
                    raw.send_frame(struct.pack(">H", 1000), CLOSE)
                elif act == "pings":
                    raw.send(frame(b"x" * 100, PING) * 3000)
                elif act == "bytes of a frame":
                    for byte in frame(json.dumps({"type": "ping", "id": "p"})):
                        raw.send(bytes([byte]))
        wait_for_descriptors(world, before, GONE_WITHIN_S)
    assert world.resident_kb() - memory < 24 * 1024


def test_who_is_stalled_when_his_token_expires_is_closed_all_the_same(
    world: World, rich: tuple[int, str]
) -> None:
    user_id, _ = rich
    with slow_reader(world, mint(user_id, life_s=3)) as slow:
        resume(slow, 0)
        time.sleep(3.5)
        messages, code = read_on(slow)
        assert code == 4401
        assert 0 < len(of_type(messages, "wallet.entry")) < ENTRIES


def test_a_user_who_stalls_on_many_sockets_takes_little_room(world: World, rich: tuple[int, str]) -> None:
    """Two are told at a time; all of them together would be 86 MB."""
    _, token = rich
    memory = world.resident_kb()
    with stalled(world, [token] * 20):
        until = time.monotonic() + 8
        while time.monotonic() < until:
            assert world.resident_kb() - memory < 40 * 1024
            time.sleep(0.1)


def test_others_are_served_while_ten_stall(world: World, crowd: list[str]) -> None:
    _, other = world.player()
    with stalled(world, crowd), RawSocket(world.server.port, token=other) as raw:
        raw.read_messages()
        worst_s = 0.0
        until = time.monotonic() + 3
        while time.monotonic() < until:
            began = time.monotonic()
            place(raw, 1)
            worst_s = max(worst_s, time.monotonic() - began)
    assert worst_s < 1.5


def test_a_stop_does_not_wait_for_who_does_not_read(tmp_path: Path) -> None:
    with running(tmp_path, players=2) as live:
        _, token = live.player()
        with RawSocket(live.server.port, token=token) as raw:
            raw.read_messages()
            place(raw, ENTRIES)
        with slow_reader(live, token) as reading, stalled(live, [token]):
            resume(reading, 0)
            first = reading.read_messages()
            with stalled(live, [token] * 20):
                began = time.monotonic()
                assert live.server.process is not None
                live.server.process.terminate()
                messages, code = read_on(reading)  # slowly, and yet to the end
                if code is None:  # all of it was told before the close
                    _, code = read_on(reading)
                assert code == 1001
                assert 0 < len(of_type(first + messages, "wallet.entry")) <= ENTRIES
                assert live.server.process.wait(timeout=10) == 0
                assert time.monotonic() - began < 5
        assert "Traceback" not in live.log()
