"""Frames as a client reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from ws.client.wire import AnyReply, decode_frame, encode, in_frames
from ws.codec import decode_frame as decode_requests
from ws.wire import reads
from ws.wire.fields import Reply
from ws.wire.limits import LimitSet
from ws.wire.messages import BetPlace, Pong
from ws.wire.operators import BetSettle, WalletTransfer

PONG = {"type": "pong", "id": "c1", "server_time": 7}


def replies(kind: type[Reply] = Reply) -> Iterator[type[Reply]]:
    for each in kind.__subclasses__():
        yield each
        yield from replies(each)


def test_every_reply_of_the_server_is_known() -> None:
    """On the socket; what `ws.wire.reads` has is only for HTTP."""
    of_the_server = {
        each for each in replies() if each.__module__.startswith("ws.") and each.__module__ != reads.__name__
    }
    assert set(get_args(AnyReply)) == {each for each in of_the_server if not each.__subclasses__()}


@pytest.mark.parametrize(
    ("frame", "count"),
    [
        (PONG, 1),
        ([PONG, PONG], 2),
        (PONG | {"since": "tomorrow"}, 1),
        ([PONG, {"type": "tomorrow", "id": "c1"}, 7, None, [], PONG], 2),
        ({"type": "tomorrow"}, 0),
        ("a string", 0),
        ([], 0),
    ],
)
def test_what_is_newer_than_the_client_is_left_out(frame: Any, count: int) -> None:
    assert decode_frame(json.dumps(frame)) == [Pong("c1", 7)] * count


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(ValueError, match="truncated"):
        decode_frame("{")


@pytest.mark.parametrize(
    "request_",
    [
        BetPlace("c1", "0199a5f0-1111-7222-8333-444455556666", 5, "12345678", 7, game="ö"),
        LimitSet("c1", "k", "loss", "day", None),
        msgspec.convert(
            {"id": "c1", "key": "k", "bet_id": "0199a5f0-1111-7222-8333-444455556666", "result": "void"},
            BetSettle,
        ),
        msgspec.convert(
            {"id": "c1", "key": "k", "legs": [{"user_id": 1, "amount": -1}, {"user_id": 2, "amount": 1}]},
            WalletTransfer,
        ),
    ],
    ids=lambda request: type(request).__name__,
)
def test_the_server_reads_what_the_client_writes(request_: Any) -> None:
    sent = encode(request_)

    assert list(decode_requests(sent.decode(), 1000)) == [request_]
    if not isinstance(request_, LimitSet):
        assert b"null" not in sent, "what was left out does not travel"


@pytest.mark.parametrize("frame_bytes", [12, 13, 14, 25, 26, 27, 1000])
@pytest.mark.parametrize("frame_messages", [1, 2, 3, 100])
def test_frames_stay_within_the_limits(frame_bytes: int, frame_messages: int) -> None:
    sent = [b'{"id":"%02d"}' % number for number in range(11)]

    frames = [*in_frames(sent, frame_bytes, frame_messages)]

    assert max(map(len, frames)) <= frame_bytes
    contents = [json.loads(frame) for frame in frames]
    listed = [content if isinstance(content, list) else [content] for content in contents]
    assert max(map(len, listed)) <= frame_messages
    assert [each for some in listed for each in some] == [json.loads(message) for message in sent]
