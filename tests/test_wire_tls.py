"""TLS, over real sockets: bets, HTTP, a renewed certificate, and who is slow, silent or gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import ssl
import struct
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.files import served_at
from harness.process import PATIENT, Server, seed, solidgreen
from harness.wire import bet, connect
from tests.books_open import look
from tests.certificates import issued
from tests.server_fixture import CLOSE, RawSocket, World
from tests.test_wire_slow import GONE_WITHIN_S, place, resume
from ws.tls import HANDSHAKE_S, Pair
from ws.transport.websocket_door import BUFFER_BYTES, KERNEL_BYTES, LEAVE_S, STALL_S

WITHIN_S = 10.0


@dataclass
class TlsServer(Server):
    """A server that speaks TLS; what trusts its root is set up by `served`."""

    @property
    def http(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"wss://127.0.0.1:{self.port}/ws"


@contextlib.contextmanager
def served(folder: Path, players: int = 4) -> Iterator[tuple[World, Pair]]:
    """A world behind TLS. What this process connects to by name of a root, it knows from SSL_CERT_FILE."""
    pair = issued(folder)
    db = folder / "wallet.db"
    wallets = seed(db, players)
    tls = {"tls_certificate": str(pair.certificate), "tls_key": str(pair.key)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "root.pem"))
        patch.setattr(urllib.request, "_opener", None)  # from Python 3.12 on it keeps the first root
        with TlsServer(db, settings=PATIENT | tls) as server:
            yield World(server, wallets, 0), pair


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Pair]]:
    with served(tmp_path_factory.mktemp("tls")) as live:
        yield live
        live[0].assert_sound()


def raw(world: World, folder: Path, token: str, **named: int) -> RawSocket:
    """A socket of which each byte is the test's, inside TLS."""
    made = RawSocket(world.server.port, upgrade=False, **named)
    context = ssl.create_default_context(cafile=folder / "root.pem")
    made.socket = context.wrap_socket(made.socket, server_hostname="127.0.0.1")
    made.shake_hands(token=token)
    made.read_messages()
    return made


def shown(port: int, root: Path, **limits: ssl.TLSVersion) -> tuple[bytes, str]:
    """The certificate that a new connection sees, and the version of TLS."""
    context = ssl.create_default_context(cafile=root)
    for name, version in limits.items():
        setattr(context, name, version)
    with (
        socket.create_connection(("127.0.0.1", port), WITHIN_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        return secure.getpeercert(binary_form=True) or b"", secure.version() or ""


def sockets(world: World) -> set[str]:
    """Those that the server has open, by the names that the kernel gives them."""
    assert world.server.process is not None
    found = set()
    for each in Path(f"/proc/{world.server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.add(str(each.readlink()))
    return {name for name in found if name.startswith("socket:")}


def wait_for_rest(world: World) -> None:
    """Until no more bets are placed."""
    before, now = -2, -1
    while now != before:
        time.sleep(0.5)  # nothing tells that nothing more will come
        before, ((now,),) = now, look(world.server.db, "SELECT count(*) FROM bets")


def test_bets_and_http_inside_tls(tls: tuple[World, Pair]) -> None:
    world, pair = tls
    user_id, token = world.player()

    async def play() -> None:
        async with connect(world.server.ws, token) as wire:
            assert (await wire.ask(bet(250)))["type"] == "bet.confirmed"
            answers = await wire.ask_all(*(bet(1) for _ in range(500)))
            assert {answer["type"] for answer in answers} == {"bet.confirmed"}
            assert (await wire.ask({"type": "balance.get"}))["balance"] == 100_000 - 750

    asyncio.run(play())
    with urllib.request.urlopen(f"{world.server.http}/health/ready", timeout=5) as answer:
        assert json.load(answer)["status"] == "ready"
    assert f"on wss://127.0.0.1:{world.server.port}/ws" in world.log()
    assert shown(world.server.port, pair.key.parent / "root.pem")[1] == "TLSv1.3"
    assert world.query("SELECT balance FROM users WHERE id = ?", user_id) == [(99_250,)]


@pytest.mark.long
def test_the_command_line_finds_its_server_behind_tls(tls: tuple[World, Pair]) -> None:
    """By the note in the lock, which says https; by an address that is given; and only one that it trusts."""
    server = tls[0].server
    db = ("--db", str(server.db))
    assert served_at(server.db) == server.http == f"https://127.0.0.1:{server.port}"
    key = solidgreen("keys", "create", "behind-tls", *db).stdout.strip()
    assert key.startswith("sg_")
    for given in ((), ("--url", server.http), ("--url", server.ws)):
        assert "behind-tls: operator" in solidgreen("keys", "list", *db, *given).stdout
    assert json.loads(solidgreen("health", "--url", server.http).stdout)["status"] == "ready"
    where = {"host": "0.0.0.0", "port": str(server.port), "tls_certificate": str(tls[1].certificate)}
    assert json.loads(solidgreen("health", **where).stdout)["status"] == "ready"
    # It refuses by itself: so it was asked, over TLS.
    early = ("--before", "2020-01-01T00:00:00Z", "--url", server.ws)
    assert "no block that is older" in solidgreen("archive", *db, *early, check=False).stderr
    plain = solidgreen("keys", "list", *db, "--url", f"http://127.0.0.1:{server.port}", check=False)
    assert (plain.returncode, "cannot be asked" in plain.stderr) == (2, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE")
        assert solidgreen("health", **where).returncode == 0, "that very certificate is enough"
        stranger = solidgreen("keys", "list", *db, check=False)
    assert (stranger.returncode, stranger.stdout) == (2, "")
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.stderr, "an admin's token is shown to nobody unknown"


def test_what_is_no_tls_or_too_old_is_refused(tls: tuple[World, Pair]) -> None:
    world, pair = tls
    root = pair.key.parent / "root.pem"
    with socket.create_connection(("127.0.0.1", world.server.port), WITHIN_S) as plain:
        plain.sendall(b"GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP/" not in plain.recv(4096)
    with pytest.warns(DeprecationWarning, match="TLSv1"), pytest.raises((ssl.SSLError, ConnectionError)):
        shown(
            world.server.port,
            root,
            minimum_version=ssl.TLSVersion.TLSv1,
            maximum_version=ssl.TLSVersion.TLSv1_1,
        )
    assert shown(world.server.port, root, maximum_version=ssl.TLSVersion.TLSv1_2)[1] == "TLSv1.2"


def test_who_vanishes_leaves_no_trace(tls: tuple[World, Pair]) -> None:
    """Without TLS's own goodbye, in the handshake or after it: no traceback, and the next one is served."""
    world, pair = tls
    _, token = world.player()
    for _ in range(5):
        with raw(world, pair.key.parent, token) as vanishing:
            vanishing.send_frame(json.dumps(bet(1, id="b")))
            vanishing.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            vanishing.socket.close()
        with socket.create_connection(("127.0.0.1", world.server.port), WITHIN_S) as half:
            half.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    assert shown(world.server.port, pair.key.parent / "root.pem")[0]
    world.assert_sound()


def test_a_renewed_certificate_is_shown_to_whoever_comes_next(tmp_path: Path) -> None:
    with served(tmp_path) as (world, pair):
        _, token = world.player()
        port, root = world.server.port, tmp_path / "root.pem"
        process = world.server.process
        assert process is not None

        def told_days_left() -> int:
            with urllib.request.urlopen(f"{world.server.http}/metrics", timeout=WITHIN_S) as answer:
                name = rb"^solidgreen_certificate_expires_timestamp_seconds (\S+)$"
                (ends_at_s,) = re.findall(name, answer.read(), re.MULTILINE)
            return int((float(ends_at_s) - time.time()) // 86_400)

        def hung_up(line: str) -> None:
            process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + WITHIN_S
            while line not in world.log():
                assert time.monotonic() < deadline, world.log()
                time.sleep(0.02)  # a signal is answered by nothing but the log

        async def play() -> None:
            async with connect(world.server.ws, token) as wire:
                first, _ = shown(port, root)
                certificate = pair.certificate.read_bytes()
                issued(tmp_path, days=30)
                renewed = pair.certificate.read_bytes()
                pair.certificate.write_bytes(certificate)  # half of it was copied
                hung_up("the certificate was not renewed: ")
                assert shown(port, root)[0] == first
                assert told_days_left() == 90
                pair.certificate.write_bytes(renewed)
                hung_up("the certificate was renewed, and is good for 30 days")
                assert shown(port, root)[0] == ssl.PEM_cert_to_DER_cert(renewed.decode()) != first
                assert told_days_left() == 30
                assert (await wire.ask(bet(5)))["type"] == "bet.confirmed", "who is connected stays"

        asyncio.run(play())
        assert world.server.stop() == 0


def test_without_tls_a_hang_up_is_a_stop_in_good_order(tmp_path: Path) -> None:
    seed(tmp_path / "a.db", 1)
    with Server(tmp_path / "a.db") as server:
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(timeout=WITHIN_S) == 0
        assert server.log is not None
        assert "stopped" in server.log.read_text()


@pytest.mark.long
def test_a_stop_ends_every_socket_with_1001_and_waits_for_nobody(tmp_path: Path) -> None:
    """One that reads, one that does not, one that says nothing, one in the midst of its handshake."""
    with served(tmp_path) as (world, _):
        (_, reading), (_, deaf) = world.player(), world.player()
        port = world.server.port

        async def play() -> int | None:
            async with connect(world.server.ws, reading) as wire:
                assert (await wire.ask(bet(5)))["type"] == "bet.confirmed"
                stopping = asyncio.create_task(asyncio.to_thread(world.server.stop))
                code = await wire.close_code()
                began = time.monotonic()
                assert await stopping == 0
                assert time.monotonic() - began < WITHIN_S
                return code

        with (
            raw(world, tmp_path, deaf, receive_buffer=4096) as unread,
            socket.create_connection(("127.0.0.1", port)),
            socket.create_connection(("127.0.0.1", port)) as half,
        ):
            half.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
            for number in range(40):
                unread.send_frame(json.dumps([bet(1, id=f"{number}-{each}") for each in range(100)]))
            assert asyncio.run(play()) == 1001
        assert "Traceback" not in world.log()


@pytest.mark.long
def test_what_waits_for_a_reader_is_bounded(tls: tuple[World, Pair]) -> None:
    """As without TLS: `transport.BUFFER_BYTES`, and what the kernels keep."""
    world, pair = tls
    _, token = world.player()
    with raw(world, pair.key.parent, token, receive_buffer=4096) as slow:
        for number in range(300):
            slow.send_frame(json.dumps([bet(1, id=f"{number}-{each}") for each in range(100)]))
        wait_for_rest(world)  # else a server that is slower than this reader would have nothing to bound
        told_bytes, code = 0, None
        while code is None:
            opcode, payload = slow.read_frame()
            told_bytes += len(payload)
            code = struct.unpack(">H", payload[:2])[0] if opcode == CLOSE else None
    assert code == 4429
    assert told_bytes < BUFFER_BYTES + 4 * KERNEL_BYTES
    world.assert_sound()

    async def again() -> None:
        async with connect(world.server.ws, token) as wire:
            assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"

    asyncio.run(again())


@pytest.mark.long
def test_who_does_not_read_is_given_up(tls: tuple[World, Pair]) -> None:
    """Stalled, closed, and dropped when it has not read that either: nothing of its socket is left."""
    world, pair = tls
    _, token = world.player()
    with raw(world, pair.key.parent, token) as rich:
        place(rich, 4000)
    before = sockets(world)
    with raw(world, pair.key.parent, token, receive_buffer=4096) as deaf:
        its_own = sockets(world) - before
        assert its_own
        resume(deaf, 0)
        began = time.monotonic()
        while its_own & sockets(world):
            assert time.monotonic() - began < GONE_WITHIN_S
            time.sleep(0.05)  # a socket that the server drops gives no sign to a peer that does not read
        took_s = time.monotonic() - began
    # With the loop's own limit for TLS (512 KiB) nothing would be stalled, but too much: closed at once.
    assert took_s > STALL_S + LEAVE_S - 1, "it had its time"
    assert "Traceback" not in world.log()


@pytest.mark.long
def test_who_says_nothing_is_dropped(tls: tuple[World, Pair]) -> None:
    world, _ = tls
    with socket.create_connection(("127.0.0.1", world.server.port), HANDSHAKE_S * 3) as silent:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert silent.recv(1) == b""
        assert HANDSHAKE_S - 1 < time.monotonic() - began < HANDSHAKE_S * 2


def test_an_untrusted_root_is_not_talked_to(tls: tuple[World, Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would say nothing if their clients trusted anybody."""
    world, _ = tls
    monkeypatch.delenv("SSL_CERT_FILE")

    async def play() -> None:
        async with connect(world.server.ws, world.operator):
            pass

    with pytest.raises(ssl.SSLCertVerificationError):
        asyncio.run(play())
