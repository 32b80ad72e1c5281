"""A process that hashes and verifies passwords, for `ws/people/hasher.py`: a line of JSON in, a line of
JSON out, until the input ends. It is run as a file, and imports nothing of the house.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

LOWEST_PRIORITY = 19


def main(way: str, memory_kib: int, passes: int, lanes: int, at_a_time: int) -> None:
    """Serve the lines of standard input. `way`: `idle` or `nice`, how it gives way to all others."""
    _give_way(is_idle=way == "idle")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)
    one_line = threading.Lock()

    def serve(line: bytes) -> None:
        number, password, kept = json.loads(line)
        try:
            answer = _matches(hasher, kept, password) if kept else hasher.hash(password)
        except (Argon2Error, MemoryError):
            answer = None  # no memory: nothing is known of this one
        told = json.dumps([number, answer])
        with one_line:
            sys.stdout.write(told + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(at_a_time) as threads:  # argon2 lets go of the interpreter's lock
        for line in sys.stdin.buffer:
            threads.submit(serve, line)


def _give_way(is_idle: bool) -> None:
    """Bets wait less beside an idle process than beside one that is merely nice; but an idle one gets nothing
    where others want all cores (figures: docs/adr/0029)."""
    os.nice(LOWEST_PRIORITY)
    if is_idle and hasattr(os, "SCHED_IDLE"):  # Linux; the threads of this process inherit it
        with contextlib.suppress(OSError):  # some containers forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _matches(hasher: PasswordHasher, kept: str, password: str) -> bool:
    try:
        return hasher.verify(kept, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
