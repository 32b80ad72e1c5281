"""A client of `/ws`: one socket, each reply handed to the request whose `id` it carries.

For tests, proofs and load runs; speaks what the wire's contract says and imports no room of the engine.

    async with connect(server.ws, token) as wire:
        confirmed = await wire.ask(bet(250))
        first, second = await wire.ask_all(bet(10), bet(20))    # one array frame
        other = await wire.push("wallet.entry")

What arrives is one object or an array of objects in a frame; callers never see the difference. It is sorted
into *replies* (an `id` that somebody waits for), *pushes* (no `id` at all) and *strays* (an `error` with
`"id":null`, or an `id` that nobody waits for: usually the sign of a fault on one side).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Json = dict[str, Any]

SUBPROTOCOL = Subprotocol("wallet.v1")
ANSWER_WITHIN_S = 10.0
"""Default patience. The server promises 2 s (`deadline_ms`); a loaded machine gets five times that."""


class SocketClosed(ConnectionError):
    """The socket is closed: what was waited for will not come. `code` is 1006 when the server vanished."""

    def __init__(self, code: int | None, reason: str | None = None) -> None:
        super().__init__(f"closed with {code} {reason or ''}".rstrip())
        self.code = code
        self.reason = reason


def now_ms() -> int:
    """Wall clock, milliseconds since the Unix epoch: what `sent_at` wants."""
    return time.time_ns() // 1_000_000


def new_bet_id() -> str:
    """A fresh UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
    value = now_ms() << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return str(uuid.UUID(int=value))


def bet(stake: int, **fields: Any) -> Json:
    """A `bet.place` of `stake` minor units, sent now; `bet_id` and `nonce` are fresh unless in `fields`."""
    fresh = {"bet_id": new_bet_id(), "stake": stake, "nonce": secrets.token_hex(12), "sent_at": now_ms()}
    return {"type": "bet.place"} | fresh | fields


@dataclass(eq=False)
class Exchange:
    """One request that was sent, and what came back for it so far, `bet.pending` included."""

    request: Json
    within_s: float
    replies: list[Json] = field(default_factory=list)
    last: asyncio.Future[Json] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def answer(self) -> Json:
        """The reply that ends it: any but `bet.pending`. Raises `TimeoutError` or `SocketClosed`."""
        async with asyncio.timeout(self.within_s):
            return await asyncio.shield(self.last)


class Wire:
    """One live socket, made by `connect`. Any number of tasks may ask at once; all of one event loop."""

    def __init__(
        self,
        socket: ClientConnection,
        *,
        within_s: float = ANSWER_WITHIN_S,
        on_message: Callable[[Json], None] | None = None,
    ) -> None:
        self.welcome: Json = {}
        self.pushes: list[Json] = []
        self.strays: list[Json] = []
        self.within_s = within_s
        self._socket = socket
        self._on_message = on_message
        self._exchanges: dict[str, Exchange] = {}
        self._ids = itertools.count(1)
        self._arrived = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def send(self, *requests: Mapping[str, Any], array: bool | None = None) -> list[Exchange]:
        """Send `requests` in one frame and return without waiting for replies; one exchange for each.

        A request without an `id` gets one. One request travels as an object, several as an array, unless
        `array` says otherwise. Raises `SocketClosed` if nothing can be sent any more, `ValueError` if an `id`
        is in use.
        """
        exchanges = []
        for given in requests:
            request = {"id": f"r{next(self._ids)}", **given}
            if request["id"] in self._exchanges:
                raise ValueError(f"id {request['id']!r} already waits for its answer on this socket")
            exchange = Exchange(request, self.within_s)
            self._exchanges[request["id"]] = exchange
            exchanges.append(exchange)
        bodies = [exchange.request for exchange in exchanges]
        as_array = len(bodies) != 1 if array is None else array
        await self.send_raw(json.dumps(bodies if as_array else bodies[0], separators=(",", ":")))
        return exchanges

    async def send_raw(self, frame: str | bytes) -> None:
        """Send `frame` as it is, sound or not: text as a text frame, bytes as a binary frame."""
        try:
            await self._socket.send(frame)
        except ConnectionClosed:
            raise self._closed() from None

    async def ask(self, request: Mapping[str, Any]) -> Json:
        """Send one request and return the reply that ends it (for a bet: not `bet.pending`)."""
        (exchange,) = await self.send(request)
        return await exchange.answer()

    async def ask_all(self, *requests: Mapping[str, Any]) -> list[Json]:
        """Send `requests` in one array frame; their last replies, in the order of the requests."""
        exchanges = await self.send(*requests, array=True)
        return [await exchange.answer() for exchange in exchanges]

    async def push(self, type_: str | None = None) -> Json:
        """Take the oldest push (of that type) not yet taken, waiting for it if need be."""
        return await self._take(self.pushes, type_)

    async def stray(self, type_: str | None = None) -> Json:
        """Take the oldest stray (of that type) not yet taken, waiting for it if need be."""
        return await self._take(self.strays, type_)

    async def close_code(self) -> int | None:
        """Wait until the socket is closed by the other side, and return the close code."""
        async with asyncio.timeout(self.within_s):
            await self._socket.wait_closed()
        return self._socket.close_code

    async def close(self) -> None:
        """Close with 1000. Raises what a callback or an unreadable frame raised meanwhile."""
        await self._socket.close()
        await self._reader

    async def _take(self, box: list[Json], type_: str | None) -> Json:
        async with asyncio.timeout(self.within_s):
            while True:
                for place, message in enumerate(box):
                    if type_ is None or message["type"] == type_:
                        return box.pop(place)
                if self._reader.done():
                    raise self._closed()
                self._arrived.clear()
                await self._arrived.wait()

    async def _read(self) -> None:
        end: Exception | None = None
        try:
            while True:
                content = json.loads(await self._socket.recv())
                for message in content if isinstance(content, list) else [content]:
                    self._sort(message)
        except ConnectionClosed:
            end = self._closed()
        except Exception as fault:  # an unreadable frame, or the callback: `close` raises it
            end = fault
            raise
        finally:
            for exchange in self._exchanges.values():
                exchange.last.set_exception(end or self._closed())
                exchange.last.exception()  # seen: an exchange nobody awaits is no error of the event loop
            self._exchanges.clear()
            # Whoever waits in `_take` looks at `_reader.done()`, which is true only once this has returned.
            asyncio.get_running_loop().call_soon(self._arrived.set)

    def _sort(self, message: Json) -> None:
        if self._on_message is not None:
            self._on_message(message)
        exchange = self._exchanges.get(message["id"] or "") if "id" in message else None
        if exchange is not None:
            exchange.replies.append(message)
            if message["type"] != "bet.pending":
                del self._exchanges[message["id"]]
                exchange.last.set_result(message)
        else:
            (self.strays if "id" in message else self.pushes).append(message)
            self._arrived.set()

    def _closed(self) -> SocketClosed:
        return SocketClosed(self._socket.close_code, self._socket.close_reason)


@contextlib.asynccontextmanager
async def connect(
    url: str,
    token: str | None,
    *,
    by_message: bool = False,
    headers: Mapping[str, str] | None = None,
    within_s: float = ANSWER_WITHIN_S,
    on_message: Callable[[Json], None] | None = None,
) -> AsyncIterator[Wire]:
    """Open a socket as the bearer of `token` and read its `welcome`; leaving the block closes it.

    `by_message` sends the token as the first message, as a browser must, else it goes with the handshake;
    with no token nothing is sent and no `welcome` awaited. `on_message` sees each message as it arrives,
    before whoever waits for it does. Raises `websockets.exceptions.InvalidStatus` when the handshake is
    refused, `SocketClosed` when the server closes instead of welcoming.
    """
    bearer = {"Authorization": f"Bearer {token}"} if token and not by_message else {}
    socket = await open_socket(
        url,
        subprotocols=[SUBPROTOCOL],
        additional_headers=bearer | dict(headers or {}),
        compression=None,
        proxy=None,  # the server is on loopback; a proxy in the environment is not meant
        ping_interval=None,  # a paused or killed server is part of some tests
        max_size=None,  # an answer to `resume` may be long
    )
    wire = Wire(socket, within_s=within_s, on_message=on_message)
    try:
        if token and by_message:
            await wire.send_raw(json.dumps({"type": "auth", "token": token}))
        if token:
            wire.welcome = await wire.push("welcome")
        yield wire
    finally:
        await wire.close()
