"""Runs one function in a process of its own, of the lowest priority: minutes of Python beside the event loop
would make every bet wait. It is ended with its caller. Where that is killed itself, it ends when it has
something to tell: nobody hears that any more.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, TypeVar

from engine.errors import SolidGreenError
from ws.beside.priority import give_way

Answer = TypeVar("Answer")
Tell = Callable[[object], None]
"""What a function in the other process tells on its way; all of it is pickled."""

ENDING_S: Final = 0.2
"""How long the event loop waits at a stop for a process that was killed; a moment, unless that hangs in the
kernel."""


class EndedEarly(SolidGreenError):
    """The process was gone before it had answered: killed, perhaps for want of memory."""


async def apart(name: str, function: Callable[..., Answer], *arguments: object) -> Answer:
    """What `function` answers, or raises, called with `arguments` in a new process. All of these are pickled.

    Cancelling it ends the process. Raises `EndedEarly` where that ended by itself.
    """
    return await _in_a_process(name, None, _run, function, arguments)


async def apart_telling(name: str, hear: Tell, function: Callable[..., Answer], *arguments: object) -> Answer:
    """The same of a function that takes a `Tell` before its arguments. `hear` is called with what it tells,
    here and in the running loop, and no more once this has ended."""
    return await _in_a_process(name, hear, _run_telling, function, arguments)


async def _in_a_process(
    name: str,
    hear: Tell | None,
    run: Callable[[Connection, Callable[..., Answer], tuple[object, ...]], None],
    function: Callable[..., Answer],
    arguments: tuple[object, ...],
) -> Answer:
    spawning = multiprocessing.get_context("spawn")
    receiver, sender = spawning.Pipe(duplex=False)
    process = spawning.Process(target=run, args=(sender, function, arguments), daemon=True, name=name)
    process.start()
    assert process.pid is not None
    give_way(process.pid)  # and is not idle: a snapshot pins the log, so it has to get on
    sender.close()
    loop = asyncio.get_running_loop()
    has_ended = False

    def heard(what: object) -> None:
        if hear is not None and not has_ended:
            hear(what)

    def hand_on(what: object) -> None:
        loop.call_soon_threadsafe(heard, what)

    try:
        is_well, answer = await asyncio.to_thread(_hear, process, receiver, hand_on)
    except BaseException:
        process.kill()  # whoever waits for its answer hears that it is gone
        process.join(ENDING_S)
        raise
    finally:
        has_ended = True
    if not is_well:
        raise answer
    result: Answer = answer
    return result


def _run(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In the other process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    try:
        answer = (True, function(*arguments))
    except Exception as error:  # told to whoever asked
        answer = (False, error)
    sender.send(answer)


def _run_telling(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Likewise."""
    _run(sender, function, (lambda what: sender.send((None, what)), *arguments))


def _hear(process: BaseProcess, receiver: Connection, hear: Tell) -> tuple[bool, Any]:
    """Until its answer has come, or it has gone, and it has ended. On a thread: a process that gives way to
    all others takes its time for that as well."""
    try:
        while True:
            is_well, heard = receiver.recv()
            if is_well is not None:
                return is_well, heard
            hear(heard)
    except EOFError:
        return False, EndedEarly("the process that should do it ended before its time")
    finally:
        receiver.close()
        process.kill()  # where it has answered and not ended
        process.join()
