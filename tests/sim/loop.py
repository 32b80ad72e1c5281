"""Virtual time: one scheduler for the whole world, and event loops that run on it.

Nothing here waits. When no callback is ready, time jumps to the next timer, so an hour costs what happens in
it. Callbacks keep asyncio's order (first come, first served); what a seed decides is how long everything
takes, and so who comes first.

The scheduler outlives the event loops: a crash drops one, with all that runs on it, and time goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from heapq import heappop, heappush
from typing import Any, Final

TURN_US: Final = 2
"""What one callback takes: time passes also for a loop that never idles."""

START_US: Final = 1_760_000_000_000_000
"""The wall clock when a world begins: microseconds since the Unix epoch."""


class Abort(BaseException):
    """The world ends here, whoever is just running: `Scheduler.abort`."""


class Stuck(Exception):
    """The world has nothing left to do, or does not come to an end."""


class Scheduler:
    """Runs callbacks in virtual time, microseconds from 0."""

    def __init__(self) -> None:
        self.now_us = 0
        self.wall_offset_us = START_US
        """The wall clock minus this one: it may be set."""
        self.turns = 0
        self._abort: str | None = None
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = 0  # of timers: those of one moment keep their order

    def soon(self, action: Callable[..., object], *arguments: Any) -> None:
        """Run `action` in a later turn, behind all that is ready."""
        self._ready.append((action, arguments))

    def at(self, at_us: int, action: Callable[..., object], *arguments: Any) -> None:
        """Run `action` when that time has come."""
        self._count += 1
        heappush(self._timers, (at_us, self._count, action, arguments))

    def after(self, delay_us: int, action: Callable[..., object], *arguments: Any) -> None:
        """Run `action` in so many microseconds."""
        self.at(self.now_us + delay_us, action, *arguments)

    def stall(self, duration_us: int) -> None:
        """Time passes and nobody runs, as when the whole process is not given the processor."""
        self.now_us += duration_us

    def turn(self) -> None:
        """Run the next callback; jump to it if none is ready. Raises what it raises, `Stuck` and `Abort`."""
        ready, timers = self._ready, self._timers
        if timers:
            if not ready and timers[0][0] > self.now_us:
                self.now_us = timers[0][0]
            while timers and timers[0][0] <= self.now_us:
                _, _, action, arguments = heappop(timers)
                ready.append((action, arguments))
        elif not ready:
            raise Stuck("nobody will ever run again")
        action, arguments = ready.popleft()
        self.turns += 1
        self.now_us += TURN_US
        action(*arguments)
        if self._abort is not None:
            raise Abort(self._abort)

    def abort(self, why: str) -> None:
        """Raise `Abort` in this turn or the next one, through whatever runs in it."""
        self._abort = self._abort or why

    def run_until(self, until_us: int) -> None:
        """Run all others up to that time; also from within a callback, which so takes its time."""
        while self.now_us < until_us:
            if not self._ready and (not self._timers or self._timers[0][0] > until_us):
                self.now_us = until_us
            else:
                self.turn()

    @contextlib.contextmanager
    def as_the_time(self) -> Iterator[None]:
        """Meanwhile this is what the `time` module tells everybody in the process."""
        replaced: dict[str, Callable[[], float | int]] = {
            "time": lambda: (self.now_us + self.wall_offset_us) / 1_000_000,
            "time_ns": lambda: (self.now_us + self.wall_offset_us) * 1000,
            "monotonic": lambda: self.now_us / 1_000_000,
            "monotonic_ns": lambda: self.now_us * 1000,
        }
        before = {name: getattr(time, name) for name in replaced}
        for name, clock in replaced.items():
            setattr(time, name, clock)
        try:
            yield
        finally:
            for name, clock in before.items():
                setattr(time, name, clock)


class Handle:
    """A callback of a loop that may be cancelled: what `asyncio.TimerHandle` is, at a third of its cost."""

    __slots__ = ("_arguments", "_callback", "_is_cancelled", "_loop", "_run_in", "_when_s")

    def __init__(
        self,
        loop: Loop,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: Context | None,
        when_s: float = 0.0,
    ) -> None:
        self._loop = loop
        self._callback = callback
        self._arguments = arguments
        self._run_in = (copy_context() if context is None else context).run
        self._when_s = when_s
        self._is_cancelled = False

    def cancel(self) -> None:
        self._is_cancelled = True

    def cancelled(self) -> bool:
        return self._is_cancelled

    def when(self) -> float:
        return self._when_s

    def __call__(self) -> None:
        loop = self._loop
        if self._is_cancelled or loop.is_dead:
            return
        if loop.is_busy:
            loop.postponed.append(self)
            return
        before = events._get_running_loop()
        events._set_running_loop(loop)
        try:
            self._run_in(self._callback, *self._arguments)
        except Exception as error:
            message = f"Exception in callback {self._callback!r}"
            loop.call_exception_handler({"message": message, "exception": error})
        finally:
            events._set_running_loop(before)


class Loop(asyncio.AbstractEventLoop):
    """An event loop without sockets and threads: what it does not have raises NotImplementedError."""

    def __init__(self, scheduler: Scheduler, on_failure: Callable[[dict[str, Any]], None]) -> None:
        """`on_failure` is told of each exception that nobody took."""
        self.is_dead = False
        self.is_busy = False
        """Whether it is occupied: nothing runs on it, and what comes waits."""
        self.postponed: list[Handle] = []
        self._scheduler = scheduler
        self._on_failure = on_failure
        self._tasks: list[asyncio.Task[Any]] = []

    def kill(self) -> None:
        """Forget all that runs here, as the kernel does with a process: nothing of it runs any more."""
        self.is_dead = True
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine: Any = task.get_coro()
                with contextlib.suppress(RuntimeError):  # one that awaits while it is being closed
                    coroutine.close()
        self._tasks.clear()

    def occupy(self, duration_us: int) -> None:
        """Something that it runs takes so long; what is not on this loop goes on, as threads do."""
        if not self.is_busy:
            self.is_busy = True
            self._scheduler.after(duration_us, self._be_free)

    def _be_free(self) -> None:
        self.is_busy = False
        for handle in self.postponed:
            self._scheduler.soon(handle)
        self.postponed.clear()

    # -- what asyncio asks of a loop

    def time(self) -> float:
        return self._scheduler.now_us / 1_000_000

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = Handle(self, callback, args, context)
        if not self.is_dead:
            self._scheduler.soon(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = Handle(self, callback, args, context, when)
        if not self.is_dead:
            self._scheduler.at(round(when * 1_000_000), handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        task = asyncio.Task(coro, loop=self, **options)
        if len(self._tasks) > 1000:
            self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.is_dead

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self._on_failure(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)
