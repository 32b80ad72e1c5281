"""What the load driver says and hears: frames of `bet.place` out, answers in, both as cheap as Python allows.

The driver shares the machine with the server that it measures, so each microsecond saved here is one that the
server gets. Both tricks are plain: all but the numbers of a request is written once, and an answer is cut at
known byte strings instead of being decoded. An answer that is spelt otherwise is decoded and counted as such,
so that a change of the server's spelling shows in the figures.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

STAKE_MINOR = 250
TAG_CHARS = 12
BET_ID_VERSIONS = (7, 4)

_CONFIRMED = b'"type":"bet.confirmed","id":"'
_PENDING = b'"type":"bet.pending"'
_ANY = b'"type":"'
_START = b'{"type":"bet.place","id":"'
_BET_ID = b'","bet_id":"'

_SHORT_FRAME_MAX_BYTES = 125
_MEDIUM_FRAME_MAX_BYTES = 0xFFFF


def text_frame_header(payload_bytes: int) -> bytes:
    """Head of a client's text frame of up to 65,535 bytes, masked with the key 0 (RFC 6455, section 5.2).

    A key of 0 leaves the payload as it is, which spares the driver the masking; the server applies it like
    any other. Only for loopback: elsewhere a random key protects the proxies on the way. Raises `ValueError`
    for a longer payload.
    """
    final_text, masked, key = 0x81, 0x80, bytes(4)
    if payload_bytes <= _SHORT_FRAME_MAX_BYTES:
        return bytes((final_text, masked | payload_bytes)) + key
    if payload_bytes > _MEDIUM_FRAME_MAX_BYTES:
        raise ValueError(f"{payload_bytes} bytes do not fit into a frame with a 16-bit length")
    return bytes((final_text, masked | 126)) + payload_bytes.to_bytes(2, "big") + key


def fresh_tags() -> Iterator[bytes]:
    """Twelve hexadecimal digits, never the same twice in one process and hardly ever in two."""
    return map(b"%012x".__mod__, count(secrets.randbits(47)))


class BetFrames:
    """Writes one connection's bets with fresh `id`, `bet_id` and `nonce`, `frame_bets` of them in each frame.

    A frame of one bet is an object, a frame of more an array. A bet's tag is its `id`, the last 48 bits of
    its `bet_id` and the end of its `nonce`. `bet_id` is a UUID of `version` 7 or 4 (RFC 9562). Of version 7,
    the other random bits are the connection's own: ids of one millisecond come out of order, as players' do.
    Of version 4, the leading 60 bits of each id are random, so that an index by id is entered anywhere.
    """

    def __init__(self, tags: Iterator[bytes], frame_bets: int = 1, version: int = 7) -> None:
        if version not in BET_ID_VERSIONS:
            raise ValueError(f"bet_id of version {version}: expected one of {BET_ID_VERSIONS}")
        self.frame_bets = frame_bets
        self._tags = tags
        self._version = version
        version_and_variant = 0x7000_8000 | secrets.randbits(12) << 16 | secrets.randbits(14)
        middle = b"%08x" % version_and_variant
        self._middle = b"-" + middle[:4] + b"-" + middle[4:] + b"-"
        self._nonce = b'","stake":%d,"nonce":"%s' % (STAKE_MINOR, secrets.token_hex(8).encode())
        self._written_at_ms = -1
        self._ordered_ids = b""  # all but the tag of a bet_id of version 7
        self._header = self._end = b""

    def burst(self, bets: int, now_ms: int) -> tuple[bytes, list[bytes]]:
        """Bytes of frames that hold `bets` bets sent at `now_ms` (Unix epoch), and the bets' tags.

        Only the last frame may hold less than `frame_bets`.
        """
        if now_ms != self._written_at_ms:
            self._write_parts(now_ms)
        tags = list(islice(self._tags, bets))
        if self.frame_bets == 1:
            return b"".join(self._pieces(tags, self._header + _START, self._end)), tags
        frames: list[bytes] = []
        for first in range(0, bets, self.frame_bets):
            part = tags[first : first + self.frame_bets]
            payload = b"".join(self._pieces(part, _START, self._end + b","))[:-1]
            if len(part) > 1:
                payload = b"[" + payload + b"]"
            frames += (text_frame_header(len(payload)), payload)
        return b"".join(frames), tags

    def _pieces(self, tags: list[bytes], start: bytes, end: bytes) -> list[bytes]:
        nonce = self._nonce
        pieces: list[bytes] = []
        if self._version == 7:
            bet_id = self._ordered_ids
            for tag in tags:
                pieces += (start, tag, bet_id, tag, nonce, tag, end)
        else:
            digits = secrets.token_hex(8 * len(tags)).encode()
            for at, tag in enumerate(tags):
                bet_id = _BET_ID + _random_head(digits[16 * at : 16 * at + 15])
                pieces += (start, tag, bet_id, tag, nonce, tag, end)
        return pieces

    def _write_parts(self, now_ms: int) -> None:
        time_bits = b"%012x" % now_ms
        self._ordered_ids = _BET_ID + time_bits[:8] + b"-" + time_bits[8:] + self._middle
        self._end = b'","sent_at":%d}' % now_ms
        self._header = text_frame_header(
            len(_START) + len(self._ordered_ids) + len(self._nonce) + len(self._end) + 3 * TAG_CHARS
        )
        self._written_at_ms = now_ms


def _random_head(digits: bytes) -> bytes:
    """All but the last 48 bits of a UUID of version 4, from 15 hexadecimal digits."""
    return b"%b-%b-4%b-8%b-" % (digits[:8], digits[8:12], digits[12:], digits[:3])


@dataclass(frozen=True, slots=True)
class Answers:
    """What one server frame said."""

    confirmed: list[bytes]  # ids, in the server's order
    pending: int = 0
    refused: list[tuple[bytes, str]] = field(default_factory=list)  # ids and codes of bet.rejected and error
    other: list[str] = field(default_factory=list)  # types that nobody asked for
    decoded: bool = False  # took the slow way


def read_answers(payload: bytes) -> Answers:
    """Read one text frame, an object or an array of objects. Raises `ValueError` if it is neither."""
    pieces = payload.split(_CONFIRMED)
    pending = payload.count(_PENDING)
    said = payload.count(_ANY)
    if said and said == len(pieces) - 1 + pending:
        return Answers([piece[:TAG_CHARS] for piece in pieces[1:]], pending)
    return _decode(payload)


def _decode(payload: bytes) -> Answers:
    decoded = json.loads(payload)
    objects: list[dict[str, Any]] = decoded if isinstance(decoded, list) else [decoded]
    confirmed: list[bytes] = []
    refused: list[tuple[bytes, str]] = []
    other: list[str] = []
    pending = 0
    for each in objects:
        kind = each.get("type") if isinstance(each, dict) else None
        if kind is None:
            raise ValueError(f"no answer of this protocol: {each!r:.200}")
        tag = str(each.get("id")).encode()
        if kind == "bet.confirmed":
            confirmed.append(tag)
        elif kind == "bet.pending":
            pending += 1
        elif kind in ("bet.rejected", "error"):
            refused.append((tag, str(each.get("code"))))
        else:
            other.append(str(kind))
    return Answers(confirmed, pending, refused, other, decoded=True)
