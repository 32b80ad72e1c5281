"""A process that hashes and verifies passwords, for `ws/people/hasher.py`: a line of JSON in, a line of
JSON out, until the input ends. It is run as a file, and imports nothing of the house.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerifyMismatchError


def main(memory_kib: int, passes: int, lanes: int, at_a_time: int) -> None:
    """Serve the lines of standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)
    one_line = threading.Lock()

    def serve(line: bytes) -> None:
        number, password, kept = json.loads(line)
        try:
            answer = _matches(hasher, kept, password) if kept else hasher.hash(password)
        except Exception:  # no memory, or what nobody thought of: without an answer it would stay outstanding
            answer = None
        told = json.dumps([number, answer])
        with one_line:
            sys.stdout.write(told + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(at_a_time) as threads:  # argon2 lets go of the interpreter's lock
        for line in sys.stdin.buffer:
            threads.submit(serve, line)


def _matches(hasher: PasswordHasher, kept: str, password: str) -> bool:
    try:
        return hasher.verify(kept, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
