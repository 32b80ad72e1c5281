"""Which sockets belong to which wallet, so that each hears of the entries that it did not ask for itself."""

from __future__ import annotations

import asyncio
from typing import Protocol

from batcher.batcher import Asker
from engine.outcomes import Accepted
from ws.codec import wallet_entry
from ws.messages import WalletEntry


class Listener(Asker, Protocol):
    """A live socket, which both asks and is told."""

    def push(self, message: WalletEntry) -> None:
        """Send this when possible. Must neither block nor raise."""
        ...

    def end_because_stopping(self) -> None:
        """Send what is to be sent, then close with 1001."""
        ...


class Hub:
    """The registry of live sockets. All on the event loop."""

    def __init__(self) -> None:
        self._by_user: dict[int, set[Listener]] = {}
        self._all: set[Listener] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, listener: Listener) -> None:
        """A socket has been accepted."""
        self._all.add(listener)
        self._empty.clear()

    def follow(self, user_id: int, listener: Listener) -> None:
        """From now on `listener` hears of the entries of this wallet."""
        self._by_user.setdefault(user_id, set()).add(listener)

    def leave(self, listener: Listener, user_id: int | None) -> None:
        """A socket has gone. `user_id`: the wallet that it followed, if any."""
        self._all.discard(listener)
        followers = self._by_user.get(user_id, set()) if user_id is not None else set()
        followers.discard(listener)
        if not followers and user_id is not None:
            self._by_user.pop(user_id, None)
        if not self._all:
            self._empty.set()

    def posted(self, accepted: Accepted, asker: Asker) -> None:
        """Tell the other sockets of each wallet that a transaction has posted to it."""
        for entry in accepted.entries:
            for listener in self._by_user.get(entry.user_id, ()):
                if listener is not asker:
                    listener.push(wallet_entry(entry, accepted.at_us))

    async def wait_until_empty(self) -> None:
        """Return when the last socket has left."""
        await self._empty.wait()

    def end_because_stopping(self) -> None:
        """Ask all live sockets to send what is to be sent and to close with 1001."""
        for listener in list(self._all):
            listener.end_because_stopping()
