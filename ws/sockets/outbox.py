"""What one socket is still to be told: in which order, in what frames, and how many bytes of it may wait.

Nothing here waits for a reader but a long answer. What is sent goes into the socket's buffer at once, and
stays there for as long as `ws/transport/websocket_door.py` allows; that and what a long answer, or a welcome,
holds back are bounded together (`BUFFER_BYTES`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby, islice
from typing import Final, NamedTuple

from ws.codec import encode_frame
from ws.transport.websocket_door import BUFFER_BYTES, WebSocketDoor
from ws.wire.checks import CheckShown
from ws.wire.fields import Reply
from ws.wire.figures import Figures
from ws.wire.messages import Error, WalletEntry
from ws.wire.payouts import PayoutProgress

FRAME_REPLIES_MAX: Final = 500
"""Replies in one frame: some 130 KB, well below the 1 MiB that client libraries take by default."""

LONG_REPLIES_MAX: Final = 200
"""The same while a long answer is told: with what waits before it 100 KB, and the rest of the
buffer is for what happens meanwhile."""


class Held(NamedTuple):
    """A frame that waits behind a long answer, or the welcome."""

    frame: bytes
    is_push: bool


class Outbox:
    """The replies and pushes that wait to be sent on one socket."""

    def __init__(self, wire: WebSocketDoor) -> None:
        self.replies: list[Reply] = []
        """What is due, in order: whoever has something to tell appends it. Always this list."""
        self.is_telling = False
        """Whether a long answer is under way, behind which all else is to be held."""
        self._wire = wire
        self._held: list[Held] = []
        self._held_bytes = 0

    def send(self) -> bool:
        """Send all that waits. False: its reader is too slow for that, and it is dropped."""
        for held in self._held:
            self._wire.write(held.frame)
        self._held.clear()
        self._held_bytes = 0
        replies = self.replies
        while replies:
            frame = encode_frame(replies[:FRAME_REPLIES_MAX])
            # Whoever reads may be sent any amount at once: what the kernel does not take makes him stalled.
            if self._wire.is_stalled and self._wire.unsent() + len(frame) > BUFFER_BYTES:
                replies.clear()
                return False
            self._wire.write(frame)
            del replies[:FRAME_REPLIES_MAX]
        return True

    def hold(self) -> bool:
        """Keep what waits as it will be sent: that is less than the messages are, and can be counted. False:
        it is too much, and dropped."""
        for is_push, replies in groupby(self.replies, _is_push):
            while some := [*islice(replies, FRAME_REPLIES_MAX)]:
                self._held.append(Held(encode_frame(some), is_push))
                self._held_bytes += len(self._held[-1].frame)
        self.replies.clear()
        if self._wire.unsent() + self._held_bytes > BUFFER_BYTES:
            self._held.clear()
            self._held_bytes = 0
            return False
        return True

    def keep_last_words(self, *, was_welcome: bool) -> None:
        """The socket ends: keep what may still be said on it."""
        if self.is_telling:
            # It ends in the middle, and whoever saw a later entry would resume behind the gap.
            self._held = [held for held in self._held if not held.is_push]
            self.replies[:] = [reply for reply in self.replies if not _is_push(reply)]
        if not was_welcome:  # only why not is to be heard
            self._held.clear()
            self.replies[:] = [reply for reply in self.replies if isinstance(reply, Error)]

    async def tell(self, replies: Sequence[Reply]) -> bool:
        """Send what waits, then `replies`, as the peer reads them. False: the socket is closing or has gone,
        or its reader is too slow.

        What comes meanwhile is sent behind it, since entries in the middle of a `resume` would look like a
        gap.
        """
        if not self.send():
            return False
        self.is_telling = True
        try:
            frames: list[bytes] = []
            for start in range(0, len(replies), LONG_REPLIES_MAX):
                if start:
                    await asyncio.sleep(0)  # nor may a long answer keep the others waiting
                frames.append(encode_frame(replies[start : start + LONG_REPLIES_MAX]))
            del replies  # of 10,000 entries 4.3 MB, as frames 1.8 MB, and this reader may be slow
            frames.reverse()
            while frames:
                if not await self._wire.room():
                    return False
                self._wire.write(frames.pop())
        finally:
            self.is_telling = False
        return self.send()


def _is_push(reply: Reply) -> bool:
    """Whether nobody on this socket asked for it."""
    return isinstance(reply, WalletEntry | PayoutProgress | Figures | CheckShown)
