"""A start after a disk that failed: what the kernel had dropped is written again out of the log, whoever else
has the file open (docs/adr/0018)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from books_open import BOB, place, play, seed

from engine.outcomes import Accepted

DIES = f"""
import asyncio, os, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from books_open import BOB, NOW_US, asked, place
from engine.store import Store

async def run(path):
    store = await Store.open(path)
    await store.commit(asked(*(place(number, 1, BOB) for number in range(500))), NOW_US)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM users").fetchone()
    await store.commit(asked(place(500, 1, BOB)), NOW_US)
    assert not await store.checkpoint(), "the reader holds it up: what it wrote is counted, and not synced"
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run(Path(sys.argv[1])))
"""
"""A server that is gone after a checkpoint that a reader held up."""

LOOKS_ON = """
import sqlite3, sys
shell = sqlite3.connect(sys.argv[1], isolation_level=None)
print(*shell.execute("SELECT count(*) FROM users").fetchall(), flush=True)
sys.stdin.read()
"""
"""A shell that somebody has forgotten: it reads nothing now, and keeps the index of the log alive."""


@pytest.mark.parametrize("forgotten_shell", [False, True])
def test_pages_that_no_sync_followed_are_written_again_at_the_next_start(
    tmp_path: Path, forgotten_shell: bool
) -> None:
    books = seed(tmp_path / "books.db", 100, 1000)
    on_disk = books.read_bytes()
    program = LOOKS_ON if forgotten_shell else "import sys; print(flush=True); sys.stdin.read()"
    looking = [sys.executable, "-c", program, str(books)]
    with subprocess.Popen(looking, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdout.readline()
        died = subprocess.run([sys.executable, "-c", DIES, str(books)], check=False)
        assert died.returncode == -signal.SIGKILL
        with books.open("r+b") as file:  # the kernel could not write what was not synced, and dropped it
            assert os.fstat(file.fileno()).st_size > len(on_disk)
            file.write(on_disk)
        (answers,) = play(books, [place(number, 1, BOB) for number in range(501)])
        assert all(isinstance(answer, Accepted) and answer.replayed for answer in answers)
        shell.stdin.close()
    with sqlite3.connect(books) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
