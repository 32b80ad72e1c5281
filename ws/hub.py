"""Which sockets belong to which wallet, so that each hears of the entries that it did not ask for itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from batcher.jobs import Asker
from engine.outcomes import Accepted
from ws.codec import wallet_entry
from ws.messages import WalletEntry

log = logging.getLogger("solidgreen.ws")


class Listener(Asker, Protocol):
    """A live socket, which both asks and is told."""

    def push(self, message: WalletEntry) -> None:
        """Send this when possible. Must neither block nor raise."""
        ...

    def deliver(self) -> None:
        """Send what is to be sent. Must neither block nor raise."""
        ...

    def end_because_stopping(self) -> None:
        """Send what is to be sent, then close with 1001."""
        ...


class Hub:
    """The registry of live sockets. All on the event loop."""

    def __init__(self) -> None:
        self._by_user: dict[int, set[Listener]] = {}
        self._all: set[Listener] = set()
        self._due: list[Listener] = []
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

    def due(self, listener: Listener) -> None:
        """Have `listener` deliver in the next turn of the event loop, once for each time that it is due.

        One callback serves all: what one COMMIT answers, or one read brings, leaves in one frame a socket.
        """
        if not self._due:
            asyncio.get_running_loop().call_soon(self._deliver)
        self._due.append(listener)

    def _deliver(self) -> None:
        due, self._due = self._due, []
        for listener in due:
            try:
                listener.deliver()
            except Exception:  # one broken socket must not cost the others their answers
                log.exception("a socket failed to deliver")

    async def wait_until_empty(self) -> None:
        """Return when the last socket has left."""
        await self._empty.wait()

    def end_because_stopping(self) -> None:
        """Ask all live sockets to send what is to be sent and to close with 1001."""
        for listener in list(self._all):
            listener.end_because_stopping()
