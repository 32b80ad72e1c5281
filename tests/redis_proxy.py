"""A TCP proxy in front of a Redis, in a thread of its own, that can be told to spoil what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST instead of FIN


class RedisProxy:
    """Passes everything on, both ways. Use as a context manager; what it spoils may be set at any time."""

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        """Before each piece of a reply."""
        self.instead: bytes | None = None
        """Said in the place of each piece of a reply."""
        self._upstream_port = port
        self._clients: set[asyncio.StreamWriter] = set()
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="redis proxy")
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def reset(self) -> None:
        """Cut every connection with an RST."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for writer in self._clients:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopping.wait()
        server.close()
        self._reset()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            back = asyncio.create_task(self._back(up_reader, writer))
            try:
                while data := await reader.read(1 << 16):
                    up_writer.write(data)
            finally:
                up_writer.close()
                back.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await back
        except (OSError, asyncio.CancelledError):  # one of the two has gone, or the test is over
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await asyncio.sleep(self.delay_s)
                writer.write(data if self.instead is None else self.instead)
        finally:
            writer.close()

    def __enter__(self) -> RedisProxy:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
