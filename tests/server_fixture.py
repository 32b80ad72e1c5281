"""A running server with seeded players, and a client that speaks bytes, so that it can speak them wrongly."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import socket
import sqlite3
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.reconcile import reconcile
from harness.process import JWT_SECRET, Server, seed
from harness.wire import now_ms

Json = dict[str, Any]

OPENING = 100_000
"""Minor units in each wallet when the server starts."""

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
PATIENCE_S = 8.0


def mint(
    user_id: int | str,
    role: object = "player",
    life_s: float = 600,
    *,
    header: Mapping[str, object] | None = None,
    key: str = JWT_SECRET,
    **claims: object,
) -> str:
    """A signed access token, made by hand so that it can be wrong.

    `header` and `claims` replace the fields of a sound one, or remove them where they are None.
    """
    now_s = now_ms() // 1000
    sound = {"iss": "solidgreen", "aud": "solidgreen", "sub": str(user_id), "role": role, "iat": now_s}
    fields = [
        {"alg": "HS256", "typ": "at+jwt"} | dict(header or {}),
        sound | {"exp": now_s + int(life_s)} | claims,
    ]
    parts = [{name: value for name, value in part.items() if value is not None} for part in fields]
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
    digest = {"HS512": hashlib.sha512, "HS384": hashlib.sha384}.get(str(parts[0].get("alg")), hashlib.sha256)
    signature = b"" if parts[0].get("alg") == "none" else hmac.digest(key.encode(), signed.encode(), digest)
    return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class World:
    """One server, its file, and wallets that no test has used yet."""

    server: Server
    players: list[Json]
    blocked_id: int
    _unused: Iterator[Json] = field(init=False)

    def __post_init__(self) -> None:
        self._unused = itertools.chain(self.players)

    def player(self) -> tuple[int, str]:
        """The id and token of a wallet that is still as it was seeded."""
        fresh = next(self._unused)
        return fresh["id"], fresh["token"]

    @property
    def operator(self) -> str:
        return mint(1, "operator")

    @property
    def auditor(self) -> str:
        return mint(1, "auditor")

    def log(self) -> str:
        """What the server has logged so far."""
        assert self.server.log is not None
        return self.server.log.read_text(encoding="utf-8", errors="replace")

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the file, read beside the server."""
        uri = f"{self.server.db.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def entries(self) -> int:
        """How many ledger entries there are."""
        return int(self.query("SELECT count(*) FROM transaction_ledger")[0][0])

    def assert_sound(self) -> None:
        """The books balance, and nothing has raised in the server."""
        assert reconcile(self.server.db).findings == []
        assert "Traceback" not in self.log(), self.log()[-3000:]

    def resident_kb(self) -> int:
        """Memory of the server process (Linux)."""
        assert self.server.process is not None
        status = Path(f"/proc/{self.server.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0])


@contextlib.contextmanager
def running(folder: Path, players: int = 60) -> Iterator[World]:
    """A server of its own for one test file; one wallet more than `players` is blocked."""
    db = folder / "wallet.db"
    if db.exists():  # with books of other currencies
        *open_wallets, blocked = _seeded(db, players)
    else:
        files, (*open_wallets, blocked) = _seeded_once(players)
        for name, content in files.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
    with Server(db) as server:
        yield World(server, open_wallets, blocked["id"])


@cache
def _seeded_once(players: int) -> tuple[dict[str, bytes], list[Json]]:
    """The database and its key, made by the command line once for all servers of this process, and whose
    wallets there are."""
    with tempfile.TemporaryDirectory() as name:
        wallets = _seeded(Path(name) / "wallet.db", players)
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}, wallets


def _seeded(db: Path, players: int) -> list[Json]:
    """Wallets with money; the last one is blocked."""
    wallets = seed(db, players + 1, OPENING)
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE users SET status = 'blocked' WHERE id = ?", (wallets[-1]["id"],))
        connection.commit()
    return wallets


class RawSocket:
    """A TCP connection to the server and the bytes of RFC 6455, each under the test's control.

    With `upgrade` the handshake is sent at once and `status` is its answer; `head` holds all of it.
    """

    def __init__(
        self,
        port: int,
        *headers: str,
        token: str | None = None,
        subprotocol: str | None = "wallet.v1",
        path: str = "/ws",
        upgrade: bool = True,
        receive_buffer: int | None = None,
        after: bytes = b"",
        host: str = "127.0.0.1",
    ) -> None:
        self.socket = socket.socket()
        self.socket.bind((host, 0))  # all of 127.0.0.0/8 is this machine (Linux)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        self._buffer = b""
        self.head = b""
        self.status = 0
        if upgrade:
            try:
                self.shake_hands(*headers, token=token, subprotocol=subprotocol, path=path, after=after)
            except (OSError, EOFError):
                self.socket.close()
                raise

    def shake_hands(
        self,
        *headers: str,
        token: str | None = None,
        subprotocol: str | None = "wallet.v1",
        path: str = "/ws",
        after: bytes = b"",
    ) -> None:
        """Ask for a WebSocket, and read the answer."""
        request = [
            f"GET {path} HTTP/1.1", "Host: {}:{}".format(*self.socket.getpeername()), "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", *headers,
        ]  # fmt: skip
        request += [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
        request += [f"Authorization: Bearer {token}"] if token is not None else []
        self.send("\r\n".join([*request, "", ""]).encode("latin-1") + after)
        self.read_head()

    def send(self, data: bytes) -> None:
        """These bytes, as they are."""
        self.socket.sendall(data)

    def send_frame(self, payload: bytes | str, opcode: int = TEXT, *, fin: bool = True) -> None:
        """One masked frame (by zeros, which mask nothing)."""
        self.send(frame(payload, opcode, fin=fin))

    def read_head(self) -> None:
        """An HTTP status line and headers."""
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._some()
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.status = int(self.head.split()[1])

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame. Raises `EOFError` or `ConnectionError` at the end."""
        opcode, length = self._exactly(2)
        size = length & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._exactly(8))
        return opcode & 0x0F, self._exactly(size)

    def read_messages(self) -> list[Json]:
        """The messages of the next text frame."""
        opcode, payload = self.read_frame()
        assert opcode == TEXT, (opcode, payload)
        content = json.loads(payload)
        return content if isinstance(content, list) else [content]

    def messages_and_close_code(self) -> tuple[list[Json], int]:
        """All that comes until the server closes; 1006 if it only drops the connection."""
        messages: list[Json] = []
        try:
            while True:
                opcode, payload = self.read_frame()
                if opcode == CLOSE:
                    return messages, struct.unpack(">H", payload[:2])[0]
                if opcode == TEXT:
                    content = json.loads(payload)
                    messages += content if isinstance(content, list) else [content]
        except (EOFError, ConnectionError):
            return messages, 1006

    def close_code(self) -> int:
        """How the server ends it, whatever it says before."""
        return self.messages_and_close_code()[1]

    def reset(self) -> None:
        """Vanish: RST, and no goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._some()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _some(self) -> bytes:
        received = self.socket.recv(65536)
        if not received:
            raise EOFError("the server has closed the connection")
        return received

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def frame(payload: bytes | str, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """The bytes of one client frame."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        length = bytes([0x80 | 127]) + struct.pack(">Q", size)
    return bytes([fin << 7 | opcode]) + length + bytes(4) + data


def of_type(messages: Sequence[Json], type_: str) -> list[Json]:
    """Those of one type."""
    return [message for message in messages if message["type"] == type_]
