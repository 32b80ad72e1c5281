"""Connections of the load drivers: who has which bets in flight since when, and what was heard of them.

On picows, whose WebSocket parser is C. The frames that one read sets free leave in one write, as they would
from any event loop that buffers. What paces the bets (answers, or a schedule) is the drivers' business.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.wire import BetFrames, read_answers

SUBPROTOCOL = "wallet.v1"
CONNECT_AT_ONCE = 50  # enough to be quick, few enough not to overrun the listening socket's backlog
CONNECT_WITHIN_S = 30.0
NS_PER_US = 1_000


@dataclass(slots=True)
class Tally:
    """What all connections of a driver have heard so far."""

    answered: int = 0  # confirmations, or echoes
    pending: int = 0
    decoded_frames: int = 0  # wallet frames in a spelling that the cheap scan does not know
    unknown_ids: int = 0  # confirmations of nothing in flight: answered twice, or never asked
    refused: Counter[str] = field(default_factory=Counter)  # by code
    other: Counter[str] = field(default_factory=Counter)  # by type
    latencies_ns: array[int] = field(default_factory=lambda: array("q"))
    refusals_ns: array[int] = field(default_factory=lambda: array("q"))  # likewise, of those refused
    latencies_from_ns: int = 0  # of bets that are in flight since then, or later (monotonic)
    is_refilling: bool = False  # each answer is followed by a new bet: the loop is closed

    def faults(self) -> dict[str, Any]:
        """What a faultless run has none of."""
        return {
            "unknown_ids": self.unknown_ids,
            "refused": dict(self.refused),
            "other": dict(self.other),
        }


class Connection(WSListener, ABC):
    """One connection that keeps its bets in flight. What an answer looks like is the subclass's business."""

    def __init__(self, tally: Tally, frames: BetFrames) -> None:
        self.tally = tally
        self.frames = frames
        self.free = 0  # places in flight to fill at the end of this read
        self.transport: WSTransport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: str | None = None

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Bets sent and not answered."""

    @abstractmethod
    def sent(self, tags: Sequence[bytes], since_ns: Iterable[int]) -> None:
        """Note what is in flight, and since when each bet counts as such (monotonic)."""

    @abstractmethod
    def hear(self, frame: WSFrame) -> None:
        """Count what a text frame answers, and the places that it sets free."""

    def send(self, bets: int) -> None:
        """Send `bets` new bets in one write."""
        data, tags = self.frames.burst(bets, time.time_ns() // 1_000_000)
        self.sent(tags, [time.perf_counter_ns()] * bets)
        self.transport.underlying_transport.write(data)

    def send_due(self, due_ns: Sequence[int]) -> None:
        """Send a new bet for each of the times `due_ns`, at which they should have left, in one write."""
        data, tags = self.frames.burst(len(due_ns), time.time_ns() // 1_000_000)
        self.sent(tags, due_ns)
        self.transport.underlying_transport.write(data)

    def refill(self) -> None:
        """Send a new bet for each answer, as soon as there are enough to fill a frame."""
        frame_bets = self.frames.frame_bets
        if self.free >= frame_bets and self.tally.is_refilling:
            self.send(self.free - self.free % frame_bets)
            self.free %= frame_bets

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self.hear(frame)
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close()  # the server waits for it
            transport.disconnect()
        elif frame.msg_type is WSMsgType.PING:
            # Not left to picows, which would hide the frame: it may be the last of a read.
            transport.send_pong(frame.get_payload_as_bytes())
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

    def __init__(self, tally: Tally, frames: BetFrames) -> None:
        super().__init__(tally, frames)
        self.since_ns: deque[int] = deque()
        self.heard = 0  # in this read

    @property
    def in_flight(self) -> int:
        return len(self.since_ns)

    def sent(self, tags: Sequence[bytes], since_ns: Iterable[int]) -> None:
        self.since_ns.extend(since_ns)

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self.ready.set_result(None)

    def hear(self, frame: WSFrame) -> None:
        self.heard += 1
        if frame.last_in_buffer:
            self.count()

    def count(self) -> None:
        """Answer the oldest bets with what this read brought."""
        heard, self.heard = self.heard, 0
        self.free += heard
        self.tally.answered += heard
        now_ns = time.perf_counter_ns()
        self.tally.latencies_ns.extend([now_ns - self.since_ns.popleft() for _ in range(heard)])


class WalletConnection(Connection):
    """Confirmations name their bet; they come in any order, many in a frame, beside `bet.pending`."""

    def __init__(self, tally: Tally, frames: BetFrames) -> None:
        super().__init__(tally, frames)
        self.since_ns: dict[bytes, int] = {}

    @property
    def in_flight(self) -> int:
        return len(self.since_ns)

    def sent(self, tags: Sequence[bytes], since_ns: Iterable[int]) -> None:
        self.since_ns.update(zip(tags, since_ns, strict=True))

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
                since_ns = self.since_ns.pop(tag, 0)
                if since_ns:
                    self.free += 1
                    tally.answered += 1
                    if since_ns >= tally.latencies_from_ns:
                        tally.latencies_ns.append(now_ns - since_ns)
                else:
                    tally.unknown_ids += 1
        if answers.decoded:
            tally.decoded_frames += 1
            now_ns = time.perf_counter_ns()
            for tag, code in answers.refused:
                tally.refused[code] += 1
                since_ns = self.since_ns.pop(tag, 0)
                self.free += since_ns > 0
                if since_ns and since_ns >= tally.latencies_from_ns:
                    tally.refusals_ns.append(now_ns - since_ns)
            tally.other.update(answers.other)

    def _welcome(self, payload: bytes) -> None:
        if json.loads(payload).get("type") == "welcome":
            self.ready.set_result(None)
        else:
            self.ready.set_exception(ConnectionError(f"not welcome: {payload[:200]!r}"))


Kind = TypeVar("Kind", bound=Connection)


async def connect(url: str, tokens: Sequence[str | None], make: Callable[[], Kind]) -> list[Kind]:
    """Open a connection for each token (None: without one) and wait until each may bet.

    Raises if the server refuses one.
    """
    connections: list[Kind] = []

    async def one(token: str | None) -> None:
        headers = {}
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", "Sec-WebSocket-Protocol": SUBPROTOCOL}
        connection = make()
        await ws_connect(
            lambda: connection,
            url,
            extra_headers=headers,
            websocket_handshake_timeout=CONNECT_WITHIN_S,
            enable_auto_pong=False,
        )
        await asyncio.wait_for(connection.ready, CONNECT_WITHIN_S)
        connections.append(connection)

    for first in range(0, len(tokens), CONNECT_AT_ONCE):
        await asyncio.gather(*map(one, tokens[first : first + CONNECT_AT_ONCE]))
    return connections


async def drain(connections: Sequence[Connection], within_s: float) -> int:
    """Hear the last answers, and return how many never came."""
    deadline = time.monotonic() + within_s
    while any(each.in_flight for each in connections) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return sum(each.in_flight for each in connections)


def leave(connections: Sequence[Connection]) -> dict[str, int]:
    """Close every connection. Returns why those that were closed already were, and how many."""
    lost = Counter(each.lost for each in connections if each.lost)
    for connection in connections:
        connection.transport.disconnect()
    return dict(lost)


def quantiles_us(latencies_ns: array[int]) -> dict[str, float]:
    """Nearest-rank quantiles, and the maximum, in microseconds; empty when nothing was measured."""
    if not latencies_ns:
        return {}
    ordered = sorted(latencies_ns)
    # Nearest rank: the smallest value that at least this share (in thousandths) of all values do not exceed.
    shares = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}
    ranks = {name: -(-len(ordered) * share // 1000) for name, share in shares.items()}
    return {name: round(ordered[rank - 1] / NS_PER_US, 1) for name, rank in ranks.items()}
