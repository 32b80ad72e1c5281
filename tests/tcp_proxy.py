"""A TCP proxy in the test's own event loop, which can cut connections anywhere and stop reading."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST instead of FIN
READ_AT_ONCE = 4096


class TcpProxy:
    """Passes everything on, both ways, from `port` to `upstream`, until told otherwise.

    `cut_after`: of the first connection, so many bytes of what the server says are passed on, and then it is
    reset. `on_reply` sees each piece of what the server says before it is passed on.
    """

    def __init__(
        self,
        upstream: int,
        *,
        cut_after: int | None = None,
        on_reply: Callable[[bytes], None] = lambda _: None,
        receive_buffer: int | None = None,
    ) -> None:
        self.port = 0
        self.connections = 0
        self.passed = 0
        """Bytes of the server's on the first connection."""
        self.reads = asyncio.Event()
        """While it is not set, nothing more is read from the server."""
        self.reads.set()
        self._upstream = upstream
        self._cut_after = cut_after
        self._on_reply = on_reply
        self._receive_buffer = receive_buffer
        self._live: set[asyncio.StreamWriter] = set()

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def reset(self) -> None:
        """Cut every connection with an RST."""
        for writer in [*self._live]:
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        is_first = self.connections == 1
        raw = socket.socket()
        raw.setblocking(False)
        if self._receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        up_writer = None
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._upstream))
            up_reader, up_writer = await asyncio.open_connection(sock=raw, limit=READ_AT_ONCE)
            self._live |= {writer, up_writer}
            there = asyncio.create_task(self._pass_on(reader, up_writer))
            back = asyncio.create_task(self._pass_back(up_reader, writer, is_first))
            try:
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.wait([there, back])
        except OSError:  # the server is away
            pass
        finally:
            for each in (writer, up_writer):
                self._live.discard(each)  # type: ignore[arg-type]
                if each is not None:
                    each.close()
            raw.close() if up_writer is None else None

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()

    async def _pass_back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_first: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self.reads.wait()
                self._on_reply(data)
                if is_first and self._cut_after is not None:
                    data = data[: self._cut_after - self.passed]
                writer.write(data)
                await writer.drain()
                if is_first:
                    self.passed += len(data)
                    if self.passed == self._cut_after:
                        writer.write_eof()  # what was passed on arrives; a reset could overtake it
                        return

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[TcpProxy]:
        """Listen until the block is left."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.reset()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
