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

_CONFIRMED = b'"type":"bet.confirmed","id":"'
_PENDING = b'"type":"bet.pending"'
_ANY = b'"type":"'

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
    """Writes one connection's bets, a frame each, with fresh `id`, `bet_id` (UUID version 7) and `nonce`.

    A bet's tag is its `id`, the last 48 bits of its `bet_id` and the end of its `nonce`. The other random
    bits of the `bet_id` are the connection's own: ids of one millisecond come out of order, as players' do.
    """

    def __init__(self, tags: Iterator[bytes]) -> None:
        self._tags = tags
        version_and_variant = 0x7000_8000 | secrets.randbits(12) << 16 | secrets.randbits(14)
        middle = b"%08x" % version_and_variant
        self._middle = b"-" + middle[:4] + b"-" + middle[4:] + b"-"
        self._nonce = b'","stake":%d,"nonce":"%s' % (STAKE_MINOR, secrets.token_hex(8).encode())
        self._written_at_ms = -1
        self._parts: tuple[bytes, bytes, bytes, bytes] = (b"", b"", b"", b"")

    def burst(self, bets: int, now_ms: int) -> tuple[bytes, list[bytes]]:
        """Bytes of `bets` frames, each a `bet.place` sent at `now_ms` (Unix epoch), and the bets' tags."""
        if now_ms != self._written_at_ms:
            self._write_parts(now_ms)
        start, bet_id, nonce, end = self._parts
        tags = list(islice(self._tags, bets))
        pieces: list[bytes] = []
        for tag in tags:
            pieces += (start, tag, bet_id, tag, nonce, tag, end)
        return b"".join(pieces), tags

    def _write_parts(self, now_ms: int) -> None:
        time_bits = b"%012x" % now_ms
        start = b'{"type":"bet.place","id":"'
        bet_id = b'","bet_id":"' + time_bits[:8] + b"-" + time_bits[8:] + self._middle
        end = b'","sent_at":%d}' % now_ms
        header = text_frame_header(len(start) + len(bet_id) + len(self._nonce) + len(end) + 3 * TAG_CHARS)
        self._parts = (header + start, bet_id, self._nonce, end)
        self._written_at_ms = now_ms


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
