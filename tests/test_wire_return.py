"""What takes long: thousands of clients that come back at once, and peers that go without a word."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.process import Server, environment, seed
from tests.server_fixture import PING, PONG, RawSocket, running
from ws.transport.websocket_door import PING_EVERY_S

pytestmark = pytest.mark.long

CLIENTS = 2_000
SERVED_WITHIN_S = 10.0
DEAD_WITHIN_S = 40.0


def test_two_thousand_clients_that_come_back_at_once_are_all_served(tmp_path: Path) -> None:
    """The server is killed while all of them are connected, and started again."""
    db = tmp_path / "books.db"
    players = seed(db, CLIENTS)
    root = Path(__file__).parent
    with Server(db) as server:
        clients = subprocess.Popen(
            [sys.executable, root / "returning.py"],
            env=environment() | {"PYTHONPATH": str(root.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with clients:
            assert clients.stdin is not None
            assert clients.stdout is not None
            job = {"port": server.port, "tokens": [player["token"] for player in players]}
            print(json.dumps(job), file=clients.stdin, flush=True)
            assert clients.stdout.readline() == "ready\n"
            server.kill()
            assert clients.stdout.readline() == "dropped\n"
            server.start()
            report = json.loads(clients.stdout.readline())
        print(report)
        assert clients.wait(timeout=10) == 0
        assert report["served"] == CLIENTS
        assert report["last_s"] < SERVED_WITHIN_S
        assert server.stop() == 0
        assert server.log is not None
        assert "Traceback" not in server.log.read_text()


def test_a_thousand_who_never_say_who_they_are_are_gone_in_time(tmp_path: Path) -> None:
    """Half of them with a socket, half with a handshake that never ends; meanwhile a player is served."""
    with running(tmp_path, players=1) as world, contextlib.ExitStack() as stack:
        _, token = world.player()
        bystander = stack.enter_context(RawSocket(world.server.port, token=token))
        bystander.read_messages()
        assert world.server.process is not None
        folder = Path(f"/proc/{world.server.process.pid}/fd")
        before, memory = len([*folder.iterdir()]), world.resident_kb()
        began = time.monotonic()
        strangers = [stack.enter_context(RawSocket(world.server.port)) for _ in range(500)]
        for _ in range(500):
            stack.enter_context(RawSocket(world.server.port, upgrade=False)).send(
                b"GET /ws HTTP/1.1\r\nHost:"
            )
        asked = time.monotonic()
        bystander.send_frame('{"type":"ping","id":"p"}')
        assert bystander.read_messages()[0]["type"] == "pong"
        assert time.monotonic() - asked < 1.5
        assert world.resident_kb() - memory < 40 * 1024
        assert {raw.close_code() for raw in strangers} == {4408}
        while len([*folder.iterdir()]) > before:
            assert time.monotonic() - began < 20, "5 s for a token, 10 s for a head, and a busy machine"
            time.sleep(0.05)  # a connection that the server drops in its head gives no other sign
        world.assert_sound()


HOLDER = """
import socket, sys
held = [socket.socket(fileno=int(number)) for number in sys.argv[1:]]
print("holding", flush=True)
sys.stdin.read()
"""


def test_a_peer_that_goes_without_a_word_is_found(tmp_path: Path) -> None:
    """Its process is stopped: its kernel still takes what is sent. Another one answers no ping, but talks."""
    with running(tmp_path, players=3) as world:
        assert world.server.process is not None
        folder = Path(f"/proc/{world.server.process.pid}/fd")
        before = len([*folder.iterdir()])
        _, token = world.player()
        with (
            RawSocket(world.server.port, token=token) as stopped,
            RawSocket(world.server.port, token=token) as mute,
            RawSocket(world.server.port, token=token) as alive,
        ):
            for raw in (stopped, mute, alive):
                raw.read_messages()
            number = stopped.socket.fileno()
            command = [sys.executable, "-c", HOLDER, str(number)]
            with subprocess.Popen(
                command, pass_fds=[number], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as holder:
                assert holder.stdout is not None
                holder.stdout.readline()
                os.kill(holder.pid, signal.SIGSTOP)
                try:
                    took_s = until_only_one_is_left(folder, before, mute, alive)
                finally:
                    holder.kill()
            assert took_s > PING_EVERY_S, "who answers late is no dead peer"
            alive.socket.settimeout(8)
            alive.send_frame('{"type":"ping","id":"still"}')
            assert alive.read_messages()[0]["id"] == "still"
        world.assert_sound()


def until_only_one_is_left(folder: Path, before: int, mute: RawSocket, alive: RawSocket) -> float:
    """While one goes on to talk and the other answers the server's pings; how long it took."""
    began = time.monotonic()
    alive.socket.settimeout(1)
    while len([*folder.iterdir()]) > before + 1:
        assert time.monotonic() - began < DEAD_WITHIN_S
        with contextlib.suppress(ConnectionError):  # it is closed before the other one
            mute.send_frame('{"type":"ping","id":"p"}')
        with contextlib.suppress(TimeoutError):
            opcode, payload = alive.read_frame()
            if opcode == PING:
                alive.send_frame(payload, PONG)
    return time.monotonic() - began
