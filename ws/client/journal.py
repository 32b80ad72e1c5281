"""Bets that a client has sent, or is about to send, and whose fate it does not know, kept through crashes.

A bet is kept before it is sent, and forgotten when its last word is there. So whoever starts again after a
crash finds every bet that may have been placed, with the `bet_id` and the `nonce` under which it was, and can
ask what became of it. A bet that is kept although it was never sent does no harm: nothing has become of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import threading
from pathlib import Path
from typing import IO, Final, Protocol

import msgspec

from ws.client.wire import encode
from ws.wire.messages import BetPlace

COMPACT_LINES = 10_000
"""Lines, at about 200 bytes, after which a file is written anew with what is still in it, if that is less
than half of them: else it would be written at each bet that is forgotten."""


_TORN = re.compile(rb'\{"user_id":.*|"[^"]*', re.DOTALL).fullmatch
"""What a crash may have left of a line, beside less than its first word."""
_FIRST_WORD: Final = b'{"user_id":'
_IN_USE: Final = "another process, or a journal that is not closed, has this file"


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
        """Its last word is there. May be lost by a crash, and must not raise: the last word would be lost."""
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
    torn is that of a bet that was never sent. Raises `BlockingIOError` where another process has the file,
    and `ValueError`, without a change to it, where it holds anything else: it would not be kept.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._written = self._synced = self._lines = 0
        self._file = self._opened()
        try:
            self._kept = _kept_in(self._path)
            self._write_anew()
        except BaseException:
            self._file.close()
            raise

    def keep(self, kept: KeptBet) -> None:
        """Raises `OSError` where the disk does not take it, as one that is full: then it must not be sent."""
        with self._lock:
            self._append(_line(kept))
            self._kept[kept.bet.bet_id] = kept
            self._written += 1
            mine = self._written
        with self._disk:  # one sync serves all that were written before it began
            if self._synced < mine:
                written, file = self._written, self._file
                os.fsync(file.fileno())
                self._synced = written

    def forget(self, bet_id: str) -> None:
        """Where the disk does not take it, the next process finds the bet, and is told the same of it."""
        with self._lock:
            if self._kept.pop(bet_id, None) is not None:
                with contextlib.suppress(OSError):
                    self._append(msgspec.json.encode(bet_id) + b"\n")
        if self._lines > max(COMPACT_LINES, 2 * len(self._kept)):
            with contextlib.suppress(OSError), self._disk, self._lock:
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
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino != self._path.stat().st_ino:
                raise BlockingIOError  # another process has just written it anew
        except BlockingIOError:
            file.close()
            raise BlockingIOError(errno.EWOULDBLOCK, _IN_USE, str(self._path)) from None
        except OSError:
            file.close()
            raise
        return file

    def _append(self, line: bytes) -> None:
        """All of it or nothing: the next line would be glued to a piece of this one."""
        written = self._file.write(line)
        if written != len(line):  # what a disk does that is nearly full
            os.ftruncate(self._file.fileno(), self._file.tell() - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._lines += 1

    def _write_anew(self) -> None:
        """What is kept, and nothing else, in a new file in the place of this one."""
        new = self._path.with_name(f"{self._path.name}.new")
        with new.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.writelines(_line(kept) for kept in self._kept.values())
            file.flush()
            os.fsync(file.fileno())
        opened = new.open("ab", buffering=0)
        try:
            # Locked before it has the name: no other process can get in between.
            fcntl.flock(opened, fcntl.LOCK_EX)
            new.replace(self._path)
        except OSError:
            opened.close()
            raise
        self._file.close()
        self._file, self._lines = opened, len(self._kept)
        _sync_folder(self._path.parent)


def _line(kept: KeptBet) -> bytes:
    return b'{"user_id":%d,"bet":%b}\n' % (kept.user_id, encode(kept.bet))


def _kept_in(path: Path) -> dict[str, KeptBet]:
    found: dict[str, KeptBet] = {}
    *lines, last = path.read_bytes().split(b"\n")
    for number, line in enumerate([*lines, last], 1):
        is_whole = number <= len(lines) and b"\0" not in line  # zeros are where data got lost with the power
        match _read(line.strip(b"\0")):
            case KeptBet() as kept:
                found[kept.bet.bet_id] = kept
            case str(bet_id):
                found.pop(bet_id, None)
            case torn if (is_whole and torn) or not (_TORN(torn) or _FIRST_WORD.startswith(torn)):
                raise ValueError(f"{path}, line {number}: no bet that this journal could keep; left as it is")
    return found


def _read(line: bytes) -> KeptBet | str | bytes:
    """A line; as it is, where it says nothing."""
    try:
        return msgspec.json.decode(line, type=KeptBet | str)
    except msgspec.ValidationError:
        return _unchecked(line)
    except msgspec.DecodeError:
        return line


def _unchecked(line: bytes) -> KeptBet | bytes:
    """A bet that a server would refuse, or takes by now: this client has kept it, and may have sent it."""
    match msgspec.json.decode(line):
        case {"user_id": int(user_id), "bet": {"type": "bet.place", "bet_id": str()} as bet}:
            fields = {name: value for name, value in bet.items() if name != "type"}
            with contextlib.suppress(TypeError):  # of a field that is newer than this client
                return KeptBet(user_id, BetPlace(**fields))
    return line


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
