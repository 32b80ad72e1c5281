"""Bets that a client has sent, or is about to send, and whose fate it does not know, kept through crashes.

A bet is kept before it is sent, and forgotten when its last word is there. So whoever starts again after a
crash finds every bet that may have been placed, with the `bet_id` and the `nonce` under which it was, and can
ask what became of it. A bet that is kept although it was never sent does no harm: nothing has become of it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import IO, Protocol

import msgspec

from ws.client.wire import encode
from ws.wire.messages import BetPlace

COMPACT_LINES = 10_000
"""Lines, at about 200 bytes, after which a file is written anew with what is still in it."""


class KeptBet(msgspec.Struct, frozen=True):
    """A bet, and whose wallet it was placed with: the user of the token."""

    user_id: int
    bet: BetPlace


class Journal(Protocol):
    """Where bets are kept. `keep` returns once a crash cannot lose it; it runs in a thread of its own."""

    def keep(self, kept: KeptBet) -> None:
        """Before the bet is sent."""
        ...

    def forget(self, bet_id: str) -> None:
        """Its last word is there. May be lost by a crash."""
        ...

    def kept(self) -> list[KeptBet]:
        """All that is not forgotten, in the order in which it was kept."""
        ...


class MemoryJournal:
    """Keeps bets as long as the process lives."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptBet] = {}

    def keep(self, kept: KeptBet) -> None:
        self._kept[kept.bet.bet_id] = kept

    def forget(self, bet_id: str) -> None:
        self._kept.pop(bet_id, None)

    def kept(self) -> list[KeptBet]:
        return [*self._kept.values()]


class FileJournal:
    """Keeps bets in a file, for one process at a time, each on the disk before `keep` returns.

    Each line is a bet that is kept, or the `bet_id` of one that is forgotten. A last line that a crash has
    torn is that of a bet that was never sent. Raises `BlockingIOError` where another process has the file.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._kept: dict[str, KeptBet] = {}
        self._written = self._synced = self._lines = 0
        self._file = self._opened()
        for line in self._path.read_bytes().splitlines():
            match _read(line):
                case KeptBet() as kept:
                    self._kept[kept.bet.bet_id] = kept
                case str(bet_id):
                    self._kept.pop(bet_id, None)
        self._write_anew()

    def keep(self, kept: KeptBet) -> None:
        with self._lock:
            self._kept[kept.bet.bet_id] = kept
            self._append(_line(kept))
            self._written += 1
            mine = self._written
        with self._disk:  # one sync serves all that were written before it began
            if self._synced < mine:
                written, file = self._written, self._file
                os.fsync(file.fileno())
                self._synced = written

    def forget(self, bet_id: str) -> None:
        with self._lock:
            if self._kept.pop(bet_id, None) is not None:
                self._append(msgspec.json.encode(bet_id) + b"\n")
        if self._lines > COMPACT_LINES:
            with self._disk, self._lock:
                self._write_anew()

    def kept(self) -> list[KeptBet]:
        with self._lock:
            return [*self._kept.values()]

    def close(self) -> None:
        """Let go of the file; another process may open it."""
        self._file.close()

    def _opened(self) -> IO[bytes]:
        file = self._path.open("ab", buffering=0)
        try:
            os.fchmod(file.fileno(), 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino != self._path.stat().st_ino:
                raise BlockingIOError(f"{self._path}: another process has just written it anew")
        except OSError:
            file.close()
            raise
        return file

    def _append(self, line: bytes) -> None:
        self._file.write(line)
        self._lines += 1

    def _write_anew(self) -> None:
        """What is kept, and nothing else, in a new file in the place of this one."""
        new = self._path.with_name(f"{self._path.name}.new")
        with new.open("wb") as file:
            file.writelines(_line(kept) for kept in self._kept.values())
            file.flush()
            os.fsync(file.fileno())
        # Locked before it has the name: no other process can get in between.
        old, self._file = self._file, new.open("ab", buffering=0)
        os.fchmod(self._file.fileno(), 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        new.replace(self._path)
        _sync_folder(self._path.parent)
        old.close()
        self._lines = len(self._kept)


def _line(kept: KeptBet) -> bytes:
    return b'{"user_id":%d,"bet":%b}\n' % (kept.user_id, encode(kept.bet))


def _read(line: bytes) -> KeptBet | str | None:
    try:
        return msgspec.json.decode(line, type=KeptBet | str)
    except msgspec.DecodeError:
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
