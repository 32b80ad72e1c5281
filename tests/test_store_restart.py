"""A start after a disk that failed: what the kernel had dropped is written again out of the log, whoever else
has the file open (docs/adr/0018)."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.outcomes import Accepted
from tests.books_open import BOB, place, play, seed

DIES = """
import asyncio, os, signal, sqlite3, sys
from pathlib import Path
from engine.store import Store
from tests.books_open import BOB, NOW_US, asked, place

async def run(path):
    store = await Store.open(path)
    await store.commit(asked(*(place(number, 1, BOB) for number in range(500))), NOW_US)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM users").fetchone()
    await store.commit(asked(place(500, 1, BOB)), NOW_US)
    assert not await store.checkpoint(), "the reader holds it up: what it wrote is counted, and not synced"
    reader.close()
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        await store.tidy(fail)
    except sqlite3.OperationalError:
        await store.close()

def fail(connection):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    raise error

asyncio.run(run(Path(sys.argv[1])))
"""
"""A server that ends after a checkpoint that a reader held up: killed, or because the disk has failed."""

LOOKS_ON = """
import sqlite3, sys
shell = sqlite3.connect(sys.argv[1], isolation_level=None)
print(*shell.execute("SELECT count(*) FROM users").fetchall(), flush=True)
sys.stdin.read()
"""
"""A shell that somebody has forgotten: it reads nothing now, and keeps the index of the log alive."""


@pytest.mark.parametrize(
    ("end", "shell"),
    # Killed, nobody is left who could tell a shell what to write back when it is the last to close the file.
    [("killed", "none"), ("killed", "stays"), ("failed", "stays"), ("failed", "ends before the start")],
)
def test_pages_that_no_sync_followed_are_written_again(tmp_path: Path, end: str, shell: str) -> None:
    books = seed(tmp_path / "books.db", 100, 1000)
    on_disk = books.read_bytes()
    program = LOOKS_ON if shell != "none" else "import sys; print(flush=True); sys.stdin.read()"
    looking = [sys.executable, "-c", program, str(books)]
    with subprocess.Popen(looking, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as looks:
        assert looks.stdin is not None
        assert looks.stdout is not None
        looks.stdout.readline()
        ended = subprocess.run([sys.executable, "-c", DIES, str(books), end], check=False)
        assert ended.returncode == (-signal.SIGKILL if end == "killed" else 0)
        with books.open("r+b") as file:  # the kernel could not write what was not synced, and dropped it
            assert os.fstat(file.fileno()).st_size > len(on_disk)
            file.write(on_disk)
        if shell == "ends before the start":
            looks.stdin.close()
            looks.wait()
        (answers,) = play(books, [place(number, 1, BOB) for number in range(501)])
        assert all(isinstance(answer, Accepted) and answer.replayed for answer in answers)
        looks.stdin.close()
    with contextlib.closing(sqlite3.connect(books)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
