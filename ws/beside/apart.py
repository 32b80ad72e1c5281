"""Runs one function in a process of its own, of the lowest priority: minutes of Python beside the event loop
would make every bet wait. It is ended with its caller, unless that is killed itself: then it finishes what it
does.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final, TypeVar

from engine.errors import SolidGreenError

Answer = TypeVar("Answer")

NICE: Final = 19


class EndedEarly(SolidGreenError):
    """The process was gone before it had answered: killed, perhaps for want of memory."""


async def apart(name: str, function: Callable[..., Answer], *arguments: object) -> Answer:
    """What `function` answers, or raises, called with `arguments` in a new process. All of these are pickled.

    Cancelling it ends the process. Raises `EndedEarly` where that ended by itself.
    """
    spawning = multiprocessing.get_context("spawn")
    receiver, sender = spawning.Pipe(duplex=False)
    process = spawning.Process(target=_run, args=(sender, function, arguments), daemon=True, name=name)
    process.start()
    sender.close()
    try:
        is_well, answer = await asyncio.to_thread(_hear, receiver)
    finally:
        process.kill()  # where it has not ended: whoever waits for its answer hears that it is gone
        process.join()
        receiver.close()
    if not is_well:
        raise answer
    result: Answer = answer
    return result


def _run(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In the other process."""
    os.nice(NICE)
    try:
        answer = (True, function(*arguments))
    except Exception as error:  # told to whoever asked
        answer = (False, error)
    sender.send(answer)


def _hear(receiver: Connection) -> tuple[bool, Any]:
    try:
        heard: tuple[bool, Any] = receiver.recv()
    except EOFError:
        return False, EndedEarly("the process that should do it ended before its time")
    return heard
