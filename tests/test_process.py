"""Ports for servers: nobody else is told of one before it is bound."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness import process

ASK = "from harness.process import free_port; print(*(free_port() for _ in range(200)))"


def test_processes_that_begin_together_are_told_of_other_ports() -> None:
    command = [sys.executable, "-c", ASK]
    asked = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [int(port) for each in asked for port in each.communicate(timeout=30)[0].split()]
    assert len(told) == len(set(told)) == 600


def test_processes_whose_ids_are_near_begin_far_apart() -> None:
    """By 997, those 23 ids apart began 163 ports apart, and a process may ask for more."""
    size = len(process.PORTS)
    places = [number * process.PORTS_APART % size for number in range(1, 50)]
    assert min(min(place, size - place) for place in places) >= 250


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_port_is_one_that_an_outgoing_connection_may_take() -> None:
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    assert process.free_port() < int(first)


def test_a_port_that_is_taken_is_passed_over_and_none_is_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = process.free_port(), process.free_port()
    monkeypatch.setattr(process, "_ports", iter([taken, free]))
    with socket.create_server(("127.0.0.1", taken)):
        assert process.free_port() == free
    with pytest.raises(RuntimeError, match="every port"):
        process.free_port()
