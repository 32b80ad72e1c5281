"""What waits to be sent on one socket: in order, in frames of bounded size, and no more than its buffer."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from engine.outcomes import Code
from ws.sockets.outbox import FRAME_REPLIES_MAX, LONG_REPLIES_MAX, Outbox
from ws.transport.websocket_door import BUFFER_BYTES
from ws.wire.messages import Pong, WalletEntry
from ws.wire.outcomes import error


class MadeUpWire:
    """A peer that is as slow as it is told to be."""

    def __init__(self) -> None:
        self.frames: list[list[dict[str, Any]]] = []
        self.is_stalled = False
        self.waiting = 0
        self.has_room = True

    def write(self, frame: bytes) -> None:
        content = json.loads(frame)
        self.frames.append(content if isinstance(content, list) else [content])

    def unsent(self) -> int:
        return self.waiting

    async def room(self) -> bool:
        await asyncio.sleep(0)
        return self.has_room


def made() -> tuple[MadeUpWire, Outbox]:
    wire = MadeUpWire()
    return wire, Outbox(cast(Any, wire))


def pongs(count: int, first: int = 0) -> list[Pong]:
    return [Pong(str(number), 0) for number in range(first, first + count)]


def entry(seq: int) -> WalletEntry:
    return WalletEntry(seq, seq - 1, seq, "BET", -1, 0, 0)


def ids(wire: MadeUpWire) -> list[str]:
    return [message["id"] for frame in wire.frames for message in frame]


def test_many_replies_leave_in_order_in_frames_of_a_bounded_size() -> None:
    wire, outbox = made()
    outbox.replies += pongs(2 * FRAME_REPLIES_MAX + 1)
    assert outbox.send()
    assert [len(frame) for frame in wire.frames] == [FRAME_REPLIES_MAX, FRAME_REPLIES_MAX, 1]
    assert ids(wire) == [str(number) for number in range(2 * FRAME_REPLIES_MAX + 1)]
    assert outbox.replies == []


@pytest.mark.parametrize("is_stalled", [True, False])
def test_who_reads_is_sent_any_amount_and_who_does_not_no_more_than_his_buffer(is_stalled: bool) -> None:
    wire, outbox = made()
    wire.is_stalled, wire.waiting = is_stalled, BUFFER_BYTES
    outbox.replies += pongs(1)
    assert outbox.send() is not is_stalled
    assert ids(wire) == ([] if is_stalled else ["0"])
    assert outbox.replies == [], "or the next one would be sent without it"


def test_what_is_held_comes_first_and_is_counted_with_what_is_unsent() -> None:
    wire, outbox = made()
    outbox.replies += pongs(1)
    assert outbox.hold()
    outbox.replies += pongs(1, first=1)
    assert outbox.send()
    assert ids(wire) == ["0", "1"]

    wire.waiting = BUFFER_BYTES
    outbox.replies += pongs(1, first=2)
    assert not outbox.hold()
    wire.waiting = 0
    outbox.replies += pongs(1, first=3)
    assert outbox.hold(), "what was dropped counts no more"
    assert outbox.send()
    assert ids(wire) == ["0", "1", "3"]


def test_a_long_answer_is_not_interrupted() -> None:
    async def run() -> None:
        wire, outbox = made()
        outbox.replies += pongs(1)
        telling = asyncio.create_task(outbox.tell([entry(seq) for seq in range(1, 2 * LONG_REPLIES_MAX + 1)]))
        while len(wire.frames) < 2:
            await asyncio.sleep(0)
        assert outbox.is_telling
        outbox.replies += pongs(1, first=1)
        assert outbox.hold()
        assert await telling
        told = [message.get("id", message.get("seq")) for frame in wire.frames for message in frame]
        assert told == ["0", *range(1, 2 * LONG_REPLIES_MAX + 1), "1"]

    asyncio.run(run())


def test_a_long_answer_ends_with_the_socket() -> None:
    async def run() -> None:
        wire, outbox = made()
        wire.has_room = False
        assert not await outbox.tell([entry(1)])
        assert not outbox.is_telling
        assert wire.frames == []

    asyncio.run(run())


def test_the_last_words_in_a_long_answer_are_no_pushes() -> None:
    wire, outbox = made()
    outbox.is_telling = True
    outbox.replies += [entry(1), *pongs(1), entry(2), *pongs(1, first=1)]
    outbox.keep_last_words(was_welcome=True)
    assert outbox.send()
    assert ids(wire) == ["0", "1"]


def test_a_stranger_hears_only_why_he_is_sent_away() -> None:
    wire, outbox = made()
    outbox.replies.append(entry(1))
    assert outbox.hold()
    outbox.replies += [entry(2), error("a", Code.UNAUTHORIZED)]
    outbox.keep_last_words(was_welcome=False)
    assert outbox.send()
    assert ids(wire) == ["a"]
