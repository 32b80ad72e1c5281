"""Closed-loop load: C connections with K bets in flight each; every answer is followed by a new bet.

Runs in a process of its own, on picows, whose WebSocket parser is C. Reads the job as one JSON object from
standard input (tokens have no place on a command line) and prints one JSON line. Closed loop means that the
server sets the pace: the rate is the most that it can do, and the latency is what bets wait at that rate.

The frames that one read sets free leave in one write, as they would from any event loop that buffers.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.machine import CpuMeter
from bench.wire import BetFrames, fresh_tags, read_answers

SUBPROTOCOL = "wallet.v1"
CONNECT_AT_ONCE = 50  # enough to be quick, few enough not to overrun the listening socket's backlog
CONNECT_WITHIN_S = 30.0
NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement. With `tokens`, one for each connection, the server is a wallet; without, the echo."""

    url: str
    connections: int
    in_flight: int
    warm_up_s: float
    seconds: float
    tokens: list[str] = field(default_factory=list)
    watch: dict[str, int] = field(default_factory=dict)  # name -> process id, whose CPU time is reported
    drain_s: float = 10.0  # how long the last answers may take


@dataclass(slots=True)
class Tally:
    """What all connections have heard so far."""

    answered: int = 0  # confirmations, or echoes
    pending: int = 0
    decoded_frames: int = 0  # wallet frames in a spelling that the cheap scan does not know
    unknown_ids: int = 0  # confirmations of nothing in flight: answered twice, or never asked
    refused: Counter[str] = field(default_factory=Counter)  # by code
    other: Counter[str] = field(default_factory=Counter)  # by type
    latencies_ns: array[int] = field(default_factory=lambda: array("q"))
    stopping: bool = False


class Connection(WSListener):
    """One connection that keeps its bets in flight. What an answer looks like is the subclass's business."""

    def __init__(self, tally: Tally, tags: Iterator[bytes]) -> None:
        self.tally = tally
        self.frames = BetFrames(tags)
        self.free = 0  # places in flight to fill at the end of this read
        self.transport: WSTransport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: str | None = None

    @property
    def in_flight(self) -> int:
        """Bets sent and not answered."""
        raise NotImplementedError

    def sent(self, tags: list[bytes], at_ns: int) -> None:
        """Note what is in flight, and since when (monotonic)."""
        raise NotImplementedError

    def send(self, bets: int) -> None:
        """Send `bets` new bets, a frame each, in one write."""
        data, tags = self.frames.burst(bets, time.time_ns() // 1_000_000)
        self.sent(tags, time.perf_counter_ns())
        self.transport.underlying_transport.write(data)

    def hear(self, frame: WSFrame) -> None:
        """Count what a text frame answers, and the places that it sets free."""
        raise NotImplementedError

    def refill(self) -> None:
        """Send a new bet for each answer of this read."""
        if self.free and not self.tally.stopping:
            self.send(self.free)
        self.free = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self.hear(frame)
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close()  # the server waits for it
            transport.disconnect()
        else:
            self.tally.other[frame.msg_type.name] += 1
        if frame.last_in_buffer:
            self.refill()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        handshake = transport.close_handshake
        close = handshake.recv if handshake else None
        self.lost = f"{close.code} {close.reason}" if close else "no close frame"
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"closed before the welcome: {self.lost}"))


class EchoConnection(Connection):
    """Echoes name no bet, but arrive in the order of the bets."""

    def __init__(self, tally: Tally, tags: Iterator[bytes]) -> None:
        super().__init__(tally, tags)
        self.sent_at_ns: deque[int] = deque()

    @property
    def in_flight(self) -> int:
        return len(self.sent_at_ns)

    def sent(self, tags: list[bytes], at_ns: int) -> None:
        self.sent_at_ns.extend([at_ns] * len(tags))

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self.ready.set_result(None)

    def hear(self, frame: WSFrame) -> None:
        self.free += 1
        if frame.last_in_buffer:
            now_ns = time.perf_counter_ns()
            self.tally.answered += self.free
            self.tally.latencies_ns.extend([now_ns - self.sent_at_ns.popleft() for _ in range(self.free)])


class WalletConnection(Connection):
    """Confirmations name their bet; they come in any order, many in a frame, beside `bet.pending`."""

    def __init__(self, tally: Tally, tags: Iterator[bytes]) -> None:
        super().__init__(tally, tags)
        self.sent_at_ns: dict[bytes, int] = {}

    @property
    def in_flight(self) -> int:
        return len(self.sent_at_ns)

    def sent(self, tags: list[bytes], at_ns: int) -> None:
        self.sent_at_ns.update(dict.fromkeys(tags, at_ns))

    def hear(self, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if not self.ready.done():
            self._welcome(payload)
            return
        tally = self.tally
        try:
            answers = read_answers(payload)
        except ValueError:
            tally.other["unreadable"] += 1
            return
        tally.pending += answers.pending
        if answers.confirmed:
            now_ns = time.perf_counter_ns()
            for tag in answers.confirmed:
                at_ns = self.sent_at_ns.pop(tag, 0)
                if at_ns:
                    self.free += 1
                    tally.answered += 1
                    tally.latencies_ns.append(now_ns - at_ns)
                else:
                    tally.unknown_ids += 1
        if answers.decoded:
            tally.decoded_frames += 1
            for tag, code in answers.refused:
                tally.refused[code] += 1
                self.free += self.sent_at_ns.pop(tag, 0) > 0
            tally.other.update(answers.other)

    def _welcome(self, payload: bytes) -> None:
        if json.loads(payload).get("type") == "welcome":
            self.ready.set_result(None)
        else:
            self.ready.set_exception(ConnectionError(f"not welcome: {payload[:200]!r}"))


async def connect(job: Job, tally: Tally) -> list[Connection]:
    """Open every connection and wait until each may bet. Raises if the server refuses one."""
    tags = fresh_tags()
    kind = WalletConnection if job.tokens else EchoConnection
    connections: list[Connection] = []

    async def one(number: int) -> None:
        headers = {}
        if job.tokens:
            headers = {"Authorization": f"Bearer {job.tokens[number]}", "Sec-WebSocket-Protocol": SUBPROTOCOL}
        connection = kind(tally, tags)
        await ws_connect(
            lambda: connection, job.url, extra_headers=headers, websocket_handshake_timeout=CONNECT_WITHIN_S
        )
        await asyncio.wait_for(connection.ready, CONNECT_WITHIN_S)
        connections.append(connection)

    for first in range(0, job.connections, CONNECT_AT_ONCE):
        await asyncio.gather(*map(one, range(first, min(first + CONNECT_AT_ONCE, job.connections))))
    return connections


async def drain(connections: list[Connection], within_s: float) -> int:
    """Hear the last answers, and return how many never came."""
    deadline = time.monotonic() + within_s
    while any(each.in_flight for each in connections) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return sum(each.in_flight for each in connections)


async def drive(job: Job) -> dict[str, Any]:
    """Run `job` and return its figures; rates and latencies are those of the window after the warm-up."""
    tally = Tally()
    connections = await connect(job, tally)
    for connection in connections:
        connection.send(job.in_flight)
    await asyncio.sleep(job.warm_up_s)

    before, tally.latencies_ns = tally.answered, array("q")
    started, meter = time.perf_counter(), CpuMeter(job.watch)
    await asyncio.sleep(job.seconds)
    window_s, cores = time.perf_counter() - started, meter.cores()
    in_window, latencies_ns = tally.answered - before, tally.latencies_ns

    tally.stopping, tally.latencies_ns = True, array("q")
    unanswered = await drain(connections, job.drain_s)
    lost = Counter(each.lost for each in connections if each.lost)
    for connection in connections:
        connection.transport.disconnect()
    return {
        "per_s": round(in_window / window_s, 1),
        "window_s": round(window_s, 3),
        "answered": in_window,
        "latency_us": quantiles_us(latencies_ns),
        "cores": cores,
        "answered_in_all": tally.answered,
        "pending_in_all": tally.pending,
        "unanswered": unanswered,
        "unknown_ids": tally.unknown_ids,
        "decoded_frames": tally.decoded_frames,
        "refused": dict(tally.refused),
        "other": dict(tally.other),
        "lost": dict(lost),
    }


def quantiles_us(latencies_ns: array[int]) -> dict[str, float]:
    """Nearest-rank quantiles, and the maximum, in microseconds; empty when nothing was measured."""
    if not latencies_ns:
        return {}
    ordered = sorted(latencies_ns)
    # Nearest rank: the smallest value that at least this share (in thousandths) of all values do not exceed.
    shares = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}
    ranks = {name: -(-len(ordered) * share // 1000) for name, share in shares.items()}
    return {name: round(ordered[rank - 1] / NS_PER_US, 1) for name, rank in ranks.items()}


def main() -> None:
    """Do the job on standard input and print its figures."""
    gc.disable()  # nothing on the hot path makes cycles: a collection would only stall the load
    print(json.dumps(uvloop.run(drive(Job(**json.load(sys.stdin))))))


if __name__ == "__main__":
    main()
