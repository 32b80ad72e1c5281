"""Tells somebody else where the chain stands: appends the newest head to a file, or POSTs it to a URL.

Against the operator himself only heads that are kept elsewhere prove anything (docs/verify.md). All of it
runs on a thread of its own, with a short connection for each look, so that no bet waits for a disk or a
network.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from engine.files import open_read_only
from engine.receipts import head
from ws.settings import SettingInvalid

log = logging.getLogger("solidgreen.heads")

LOOK_EVERY_S: Final = 1.0
POST_S: Final = 2.0
"""How long one POST may take for each step of it."""

STOP_S: Final = 1.0
"""How long a stop waits for the last head to be taken."""

Keep = Callable[[bytes], None]
"""Keeps one head, a line of JSON. Raises `OSError` or `http.client.HTTPException`."""


def keeper(to: str) -> Keep:
    """What keeps heads at `to`: the path of a file, or an http(s) URL. Raises `SettingInvalid`."""
    if "://" in to:
        return _poster(to)
    path = Path(to)
    try:
        append(path, b"")
    except OSError as error:
        raise SettingInvalid(f"heads: {path}: {error.strerror}") from error
    return lambda line: append(path, line)


def append(path: Path, line: bytes) -> None:
    """Add `line` to the file, made with mode 0600, and sync it; a line that finds no room leaves nothing."""
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a crash in the middle of a line
            line = b"\n" + line
        try:
            written = os.write(descriptor, line)
            if written < len(line):
                raise OSError(0, "no room for a whole line")
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _poster(url: str) -> Keep:
    parts = urlsplit(url)
    try:
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise SettingInvalid(f"heads: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise SettingInvalid("heads: expected a file, or http(s)://host[:port]/path")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def post(line: bytes) -> None:
        with contextlib.closing(kind(host, port, timeout=POST_S)) as connection:
            connection.request("POST", target, line, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        if not 200 <= status < 300:
            raise http.client.HTTPException(f"the answer was {status}")

    return post


class Heads:
    """Has `keep` keep the newest head of `db` whenever it has changed, about once a second."""

    def __init__(self, db: Path, keep: Keep, look_every_s: float = LOOK_EVERY_S) -> None:
        self._db = db
        self._keep = keep
        self._look_every_s = look_every_s
        self._kept = 0  # the block that was kept last
        self._why: str | None = None  # why the newest one is not kept
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)

    def start(self) -> None:
        """Begin, with the head that there is."""
        self._thread.start()

    def stop(self) -> None:
        """Have the last head kept, and end. Once everything is committed; before the file is closed."""
        self._stopping.set()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            log.error("the newest head was not kept in time; ending without it")

    def health(self) -> dict[str, object]:
        """What `/health/ready` shows: `ok`, or `failed` and why the newest head is not kept."""
        if self._why is not None:
            return {"status": "failed", "why": f"heads are not kept: {self._why}"}
        if not self._thread.is_alive() and not self._stopping.is_set():
            return {"status": "failed", "why": "what keeps heads has died; the log says why"}
        return {"status": "ok"}

    def _run(self) -> None:
        while not self._stopping.wait(self._look_every_s):
            self._look()
        self._look()

    def _look(self) -> None:
        try:
            found = _newest(self._db)
            if found is None or found["block"]["id"] == self._kept:
                return
            self._keep(json.dumps(found, separators=(",", ":")).encode() + b"\n")
        except (OSError, http.client.HTTPException, sqlite3.Error) as error:
            if self._why is None:
                log.error("heads are not kept: %s; trying again each second", error)
            # Without the path: whoever reaches the port may read it.
            self._why = getattr(error, "strerror", None) or str(error)
            return
        self._kept = found["block"]["id"]
        if self._why is not None:
            log.info("heads are kept again")
        self._why = None


def _newest(db: Path) -> dict[str, Any] | None:
    with contextlib.closing(open_read_only(db)) as connection:
        return head(connection)
