"""The sockets under a client, one after the other: connecting, sending, reading and waiting, with asyncio and
`websockets`. What is sent and when is decided by `ws/client/state.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from ws.client.errors import GivenUp, NotAuthenticated, NotPlaced, Refused, Unresolved
from ws.client.state import NOT_AUTHENTICATED as REFUSED_TOKEN
from ws.client.state import ClientState, Task
from ws.wire.fields import SUBPROTOCOL, Reply
from ws.wire.messages import Error

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of a frame of the server's: its own are below 200 KB, and a receipt may be longer."""
OPEN_WITHIN_S: Final = 10.0
"""Of one socket, as of its `welcome`, however patient whoever waits is: the next one may find the way."""
CLOSE_WITHIN_S: Final = 2.0
SEND_WITHIN_S: Final = 10.0
"""Of one frame, as of a pong: while the other end takes none, nobody asks whether it is there."""

Token = str | Callable[[], Awaitable[str]]
"""An access token, or where to get one: asked at the start, and whenever the server refuses the last one."""


class Link:
    """A client's connection, from `open` to `close`, over as many sockets as it takes.

    `on_late` hears of each task that was finished when nobody waited for it any more, `on_unasked` of each
    message that answers nothing.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        within_s: float,
        on_late: Callable[[Task], None],
        on_unasked: Callable[[Reply], object],
    ) -> None:
        self.state = ClientState(random.random)
        self.news = asyncio.Event()
        """An entry has come, or the end."""
        self.trouble: Exception | None = None
        """Why there was no socket when there was none last."""
        self._url = url
        self._source = token
        self._token: str | None = None
        self._within_s = within_s
        self._on_late = on_late
        self._on_unasked = on_unasked
        self._waiters: dict[Task, asyncio.Future[None]] = {}
        self._stir = asyncio.Event()
        """Something is to be sent, or looked at."""
        self._welcomed = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and wait for the first `welcome`. Raises `NotAuthenticated` or `GivenUp`."""
        self._runner = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._within_s):
                await self._welcomed.wait()
        except TimeoutError:
            await self.close()
            words = f"no welcome from {self._url} in {self._within_s:g} s: {self.trouble}"
            raise GivenUp(words) from self.trouble
        except BaseException:
            await self.close()
            raise
        if self.state.fault is not None:
            await self.close()
            raise self.fault_now()

    def fault_now(self) -> GivenUp:
        """Why this has ended, to be raised once more: without the frames of each time before, or they would
        be kept for ever."""
        assert self.state.fault is not None
        return self.state.fault.with_traceback(None)

    async def close(self) -> None:
        """End the connection. Whoever still waits hears `Unresolved`."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
            if not self._runner.cancelled() and (fault := self._runner.exception()) is not None:
                raise fault

    @property
    def is_over(self) -> bool:
        """Whether nothing will be sent or read any more."""
        return self._runner is None or self._runner.done()

    def stir(self) -> None:
        """Something is to be sent."""
        self._stir.set()

    def waits_for(self, bet_id: str) -> bool:
        """Whether some call waits to hear what becomes of this bet."""
        return any(task.bet is not None and task.bet.bet_id == bet_id for task in self._waiters)

    async def settled(self, task: Task, within_s: float) -> Reply | NotPlaced:
        """The last word on a task that was just started. Raises `Refused`, `Unresolved` or `GivenUp`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[task] = waiter
        self._stir.set()
        try:
            if not self.is_over:
                async with asyncio.timeout(within_s):
                    await waiter
        except TimeoutError:
            pass
        finally:
            del self._waiters[task]
            if task.result is None:
                self.state.abandon(task)
        if isinstance(task.result, Error):
            raise Refused(task.result)
        if task.result is not None:
            return task.result
        if self.state.fault is not None and task.sent_at is None and not task.is_doubtful:
            raise self.fault_now()
        raise _unresolved(task)

    async def _run(self) -> None:
        """Connect, and connect again, until it is cancelled or there is no point in it."""
        try:
            while self.state.fault is None:
                await asyncio.sleep(max(0, self.state.connect_ms - _now_ms()) / 1000)
                await self._one_socket()
        except Exception as fault:
            self.state.end(GivenUp(f"the client has failed: {fault!r}"))
            raise
        finally:
            # As the last thing: whoever waits looks at `is_over`, which is true once this has returned.
            asyncio.get_running_loop().call_soon(self._ended)

    def _ended(self) -> None:
        self._welcomed.set()
        self.news.set()
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_result(None)

    async def _one_socket(self) -> None:
        socket = await self._opened()
        if socket is None:
            return
        self.state.connected(_now_ms())
        writer = asyncio.create_task(self._write(socket))
        code = None
        try:
            while self.state.fault is None:
                self.state.receive(await socket.recv(decode=True), _now_ms())
                self._deliver()
        except ConnectionClosed:
            code = socket.close_code
        except ValueError as unreadable:
            self.trouble = unreadable
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            await socket.close()
        if not writer.cancelled():
            writer.result()
        if self.state.fault is None:
            self.trouble = ConnectionError(f"closed with {code} {socket.close_reason or ''}".rstrip())
            self.state.disconnected(code, _now_ms())

    async def _opened(self) -> ClientConnection | None:
        """A socket as the bearer of the token; None: not now, and the state knows."""
        try:
            if self._token is None or self.state.needs_token:
                self._token = await self._new_token()
        except GivenUp as fault:
            self.state.end(fault)
            return None
        except Exception as trouble:  # whoever gives tokens may be away as well
            self.trouble = trouble
            self.state.disconnected(None, _now_ms())
            return None
        try:
            return await connect(
                self._url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={"Authorization": f"Bearer {self._token}"},
                compression=None,
                proxy=None,
                open_timeout=min(self._within_s, OPEN_WITHIN_S),
                close_timeout=CLOSE_WITHIN_S,
                ping_interval=None,  # the state asks by itself, as a browser must
                max_size=FRAME_BYTES_MAX,
            )
        except InvalidStatus as refused:
            self.trouble = refused
            status = refused.response.status_code
            if status == 403:
                self.state.end(GivenUp(f"{self._url} lets this client not in (HTTP 403)"))
                return None
            retry_after_s = refused.response.headers.get("Retry-After", "")
            retry_after_ms = int(retry_after_s) * 1000 if retry_after_s.isdecimal() else None
            self.state.disconnected(REFUSED_TOKEN if status == 401 else None, _now_ms(), retry_after_ms)
        except (OSError, InvalidHandshake) as trouble:  # a TimeoutError is an OSError
            self.trouble = trouble
            self.state.disconnected(None, _now_ms())
        except Exception as fault:
            self.state.end(GivenUp(f"cannot connect to {self._url}: {fault!r}"))
        return None

    async def _new_token(self) -> str:
        if not isinstance(self._source, str):
            token = await self._source()
        elif self._token is None:
            token = self._source
        else:
            raise NotAuthenticated("the server has refused the token, or it has expired")
        self.state.needs_token = False
        return token

    async def _write(self, socket: ClientConnection) -> None:
        """Send what is due, until the socket has gone or nobody is at its other end."""
        try:
            while not self.state.is_dead(_now_ms()):
                self._stir.clear()
                for frame in self.state.to_send(_now_ms()):
                    async with asyncio.timeout(SEND_WITHIN_S):
                        await socket.send(frame)
                self._tell_finished()  # what is too long is finished without being sent
                wake_ms = self.state.wake_ms()
                left_s = None if wake_ms is None else max(0, wake_ms - _now_ms()) / 1000
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._stir.wait()
        except ConnectionClosed:
            return
        except TimeoutError:
            pass
        except Exception:
            socket.transport.abort()  # or nobody would send any more
            raise
        socket.transport.abort()

    def _deliver(self) -> None:
        """Wake whoever has something now."""
        self._stir.set()
        if self.state.welcome is not None:
            self._welcomed.set()
        if self.state.view.feed.waiting:
            self.news.set()
        self._tell_finished()
        unasked, self.state.unasked = self.state.unasked, []
        for message in unasked:
            # What it raises is its own fault, and not that of this connection.
            asyncio.get_running_loop().call_soon(self._on_unasked, message)

    def _tell_finished(self) -> None:
        finished, self.state.finished = self.state.finished, []
        for task in finished:
            waiter = self._waiters.get(task)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
            elif waiter is None:
                self._on_late(task)


def _unresolved(task: Task) -> Unresolved:
    bet_id = None if task.bet is None else task.bet.bet_id
    what = type(task.request).__name__ if bet_id is None else f"bet {bet_id}"
    was_sent = task.sent_at is not None or task.is_doubtful
    return Unresolved(what, bet_id, was_sent=was_sent, last=task.last)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
