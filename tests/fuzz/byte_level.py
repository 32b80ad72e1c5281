"""Bytes that are no WebSocket frames, no HTTP requests and no access tokens, or hardly: each from a seed."""

from __future__ import annotations

import base64
import json
import struct
from random import Random
from typing import Final

from tests.server_fixture import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, mint

OPCODES: Final = (TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION)
CLOSE_CODES: Final = (0, 1, 999, 1000, 1004, 1005, 1006, 1015, 1016, 2999, 3000, 4400, 4999, 5000, 65535)
NOT_UTF_8: Final = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xf8")
LENGTHS: Final = (0, 1, 2, 125, 126, 127, 1000, 65535, 65536, 70000)
ROUTES: Final = (b"/", b"/ws", b"/health/live", b"/health/ready", b"/metrics", b"/no/such", b"*", b"//ws")
METHODS: Final = (b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"BREW", b"get")
QUERIES: Final = (b"?a=%zz&\xff", b"/../..", b"%00", b"?" + b"q" * 9000, b"#", b"?\x7f")
VERSIONS: Final = (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"")
BODIES: Final = (b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", frame(b"{}"))
CLAIMS: Final = (None, 7, -1, 1.5, True, [], {}, "", "x", ["solidgreen"], 2**70, "٣", "x" * 2000)
NO_OBJECTS: Final = (
    *("[" * 2500, '{"a":' * 600, '{"exp":1e999}', "null", '{"sub":', "\x00", '{"alg":NaN}', "{}" * 900),
)
HANDSHAKE: Final = (
    (b"Host", b"127.0.0.1"), (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Protocol", b"wallet.v1"),
)  # fmt: skip
ODD_HEADERS: Final = (
    (b"Content-Length", b"-1"), (b"Content-Length", b"9" * 40), (b"Content-Length", b"5"),
    (b"Content-Length", b"0x5"), (b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"gzip, x"),
    (b"Expect", b"100-continue"), (b"Connection", b"close, upgrade"), (b"Connection", b"\xff"),
    (b"Upgrade", b"h2c"), (b"Upgrade", b"websocket, websocket"), (b"Host", b"\x00"), (b"Host", b"a\tb"),
    (b"Origin", b"null"), (b"Origin", b"http://[::1"), (b"Origin", b"\xff://\xfe"), (b"Origin", b"://"),
    (b"Sec-WebSocket-Protocol", b"wallet.v1, wallet.v2, "), (b"Sec-WebSocket-Protocol", b"\x01,\xfc"),
    (b"Sec-WebSocket-Extensions", b"permessage-deflate; server_max_window_bits=99"),
    (b"Sec-WebSocket-Extensions", b";;;=,"), (b"Sec-WebSocket-Key", b"\xfc"), (b"Sec-WebSocket-Key", b"AA=="),
    (b"Sec-WebSocket-Version", b"13, 8"), (b"Sec-WebSocket-Version", b"-1"), (b"Cookie", b"x" * 5000),
    (b"Authorization", b"Bearer"), (b"Authorization", b"Bearer  "), (b"Authorization", b"Basic eDp5"),
    (b"Authorization", b"bearer \xff\xfe.\x80.\x81"), (b"X-Long", b"x" * 70_000), (b"", b"nameless"),
    (b"X Y", b"a space"), (b"X-Folded", b"a\r\n b"), (b"X\xff", b"y"), (b"X-Empty", b""),
)  # fmt: skip


def frames(chance: Random, payload: bytes) -> bytes:
    """What breaks RFC 6455, or comes close: a few frames, of which some hold `payload`."""
    return b"".join(_a_frame(chance, payload) for _ in range(chance.choice((1, 1, 1, 2, 3, 8))))


def _a_frame(chance: Random, payload: bytes) -> bytes:
    match chance.randrange(10):
        case 0:  # any first byte: opcodes and bits that are reserved
            return bytes([chance.randrange(256)]) + frame(payload)[1:]
        case 1:  # no mask
            return bytes([0x80 | chance.choice(OPCODES), min(len(payload), 125)]) + payload[:125]
        case 2:  # a length that the bytes do not have, or in a form that is too wide for it
            size = chance.choice((2**63, 2**64 - 1, 2**62, 2**31, 262_145, 5, 126, 65_535))
            forms = (struct.pack(">BQ", 0xFF, size), struct.pack(">BH", 0xFE, size % 126))
            return bytes([0x80 | TEXT]) + chance.choice(forms) + bytes(4) + payload
        case 3:  # a control frame that is too long, or in fragments
            control = chance.choice((CLOSE, PING, PONG))
            return frame(b"x" * chance.choice((0, 125, 126, 1000)), control, fin=chance.random() < 0.5)
        case 4:
            return frame(struct.pack(">H", chance.choice(CLOSE_CODES)) + chance.choice(NOT_UTF_8), CLOSE)
        case 5:
            return frame(struct.pack(">H", chance.choice(CLOSE_CODES))[: chance.randrange(3)], CLOSE)
        case 6:  # fragments: in order, out of order, another message between, one that is never ended
            starts = range(0, min(len(payload), 70), 7)
            parts = [frame(payload[at : at + 7], CONTINUATION if at else TEXT, fin=False) for at in starts]
            if chance.random() < 0.5:
                parts.insert(chance.randrange(len(parts) + 1), frame(b"x", chance.choice(OPCODES)))
            if chance.random() < 0.3:
                chance.shuffle(parts)
            return b"".join(parts) + (frame(b"", CONTINUATION) if chance.random() < 0.5 else b"")
        case 7:
            at = chance.randrange(len(payload) + 1)
            return frame(payload[:at] + chance.choice(NOT_UTF_8) + payload[at:])
        case 8:
            return frame(chance.randbytes(chance.choice(LENGTHS)), chance.choice((TEXT, BINARY, PING)))
        case _:  # bytes swapped anywhere, the end missing
            data = bytearray(frame(payload))
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            return bytes(data[: chance.randrange(1, len(data) + 1)])


def http(chance: Random) -> bytes:
    """A request or a handshake for one of the routes, wrong in some place; or bytes that are no HTTP."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.choice(LENGTHS)) + chance.choice((b"", b"\r\n\r\n"))
    is_handshake = chance.random() < 0.6
    headers = list(HANDSHAKE) if is_handshake else [HANDSHAKE[0]]
    route = b"/ws" if is_handshake and chance.random() < 0.8 else chance.choice(ROUTES)
    line = [
        b"GET" if chance.random() < 0.8 else chance.choice(METHODS),
        route if chance.random() < 0.8 else route + chance.choice(QUERIES),
        b"HTTP/1.1" if chance.random() < 0.9 else chance.choice(VERSIONS),
    ]
    for _ in range(chance.randrange(4)):
        match chance.randrange(4):
            case 0 if headers:
                headers.pop(chance.randrange(len(headers)))
            case 1 if headers:
                headers.append(chance.choice(headers))
            case _:
                headers.insert(chance.randrange(len(headers) + 1), chance.choice(ODD_HEADERS))
    if chance.random() < 0.02:
        headers += [(b"X%d" % number, b"x") for number in range(chance.choice((50, 300, 2000)))]
    lines = [b" ".join(line), *(name + b": " + value for name, value in headers)]
    end = b"\r\n" if chance.random() < 0.9 else chance.choice((b"\n", b"\r", b"\r\n\r\n", b"\x00"))
    data = bytearray(end.join(lines) + end + end)
    data += chance.choice(BODIES) if chance.random() < 0.5 else b""
    if chance.random() < 0.2:
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data))] if chance.random() < 0.15 else data)


def token(chance: Random, user_id: int, now_ms: int) -> str:
    """What is no valid access token of the server, though most of it may be one, issued now."""
    now_s = now_ms // 1000
    times = {"iat": now_s, "exp": now_s + 600}
    match chance.randrange(8):
        case 0:
            claim = chance.choice(("iss", "aud", "sub", "exp", "role"))
            odd = chance.choice(CLAIMS)
            return mint(user_id, odd, **times) if claim == "role" else mint(user_id, **(times | {claim: odd}))
        case 1:
            odd = chance.choice((None, "none", "HS384", "JWT", "", "hs256"))
            return mint(user_id, header={chance.choice(("alg", "typ")): odd}, **times)
        case 2:
            return mint(
                user_id, key=chance.choice(("x" * 32, "another secret, of the same length as ours")), **times
            )
        case 3:
            return mint(user_id, iat=now_s, exp=now_s - chance.choice((0, 1, 600, 10**9)))
        case 4:  # what is signed, changed: not the last character of a part, which has bits that do not count
            text = list(mint(user_id, **times))
            at = chance.choice([i for i in range(len(text) - 1) if "." not in (text[i], text[i + 1])])
            text[at] = "A" if text[at] != "A" else "B"
            return "".join(text)
        case 5:
            head, body, signature = mint(user_id, **times).split(".")
            return chance.choice((
                f"{head}.{body}.", f"{head}..{signature}", f".{body}.{signature}", f"{head}.{body}", "...",
                f"{head}.{body}.{signature}.{signature}", f"{body}.{head}.{signature}", head, ".", "",
            ))  # fmt: skip
        case 6:  # anything in the place of the header or the claims
            parts = [json.dumps({"alg": "HS256", "typ": "at+jwt"}), "{}", "signature"]
            parts[chance.randrange(2)] = chance.choice(NO_OBJECTS)
            return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
        case _:
            size = chance.choice((1, 10, 100, 3000))
            return "".join(chr(chance.choice((chance.randrange(0x21, 0x7F), chance.randrange(0xA1, 0x100))))
                           for _ in range(size))  # fmt: skip
