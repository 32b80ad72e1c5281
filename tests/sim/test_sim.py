"""Some seeds of the simulator, each of its controls, and that a seed replays exactly.

Run in processes of their own: time itself is replaced there, and the hashes of strings are the same each
time. `make sim SEEDS=10000` runs more of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.sim.controls import CONTROLS
from tests.sim.weather import AT_MOMENTS, CHANCES, FOLLOWS

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SEEDS: Final = 200

SAID: Final = (
    *("bet.pending", "bet.confirmed", "bet.state", "bet.settled", "bet.unsettled", "bet.rolled_back"),
    *("bet.cashed_out", "wallet.moved", "wallet.entry", "payout", "resumed", "balance", "welcome", "pong"),
    *(f"bet.rejected {code}" for code in ("CIRCUIT_OPEN", "OVERLOADED", "TIMED_OUT", "ACCOUNT_BLOCKED")),
    *(f"bet.rejected {code}" for code in ("BET_ROLLED_BACK", "INSUFFICIENT_FUNDS", "RATE_LIMITED")),
    *(f"error {code}" for code in ("INVALID_REQUEST", "NOT_FOUND", "IDEMPOTENCY_CONFLICT", "STALE_REQUEST")),
    *(f"error {code}" for code in ("NONCE_REUSED", "OUTCOME_UNKNOWN", "INTERNAL", "CIRCUIT_OPEN")),
    *(f"error {code}" for code in ("OVERLOADED", "BET_CLOSED", "INSUFFICIENT_FUNDS", "UNAUTHORIZED")),
    *(f"error {code}" for code in ("TIMED_OUT",)),
    *("close 1001", "close 1011", "close 4401", "close 4429", "clock"),
)
"""What the server has to have said at least once, or the seeds came to nothing."""

LOGGED: Final = (
    *(
        "the wall clock is %+d s off",
        "the wall clock has come back",
        "the wall clock, %+d s off, was confirmed",
    ),
    *("the circuit is open", "the circuit is half open", "the circuit is closed again"),
    *("nonces are checked in memory", "the nonce store is back"),
    *("the write-ahead log cannot be written back", "no money is taken until this server is restarted"),
)
"""Likewise in its log: how these begin."""


def run(*arguments: str) -> dict[str, Any]:
    """What `python -m tests.sim.run --json` tells."""
    asked = [sys.executable, "-m", "tests.sim.run", "--json", *arguments]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode in (0, 1), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def some_seeds() -> dict[str, Any]:
    return run("--seeds", str(SEEDS))


def test_nothing_is_lost_and_nothing_happens_twice(some_seeds: dict[str, Any]) -> None:
    assert some_seeds["findings"] == {}, "again: python -m tests.sim.run -v --seed N"
    assert some_seeds["seeds"] == SEEDS


def test_every_fault_struck(some_seeds: dict[str, Any]) -> None:
    assert {*CHANCES, *AT_MOMENTS, *FOLLOWS} - some_seeds["struck"].keys() == set()


def test_everything_was_said(some_seeds: dict[str, Any]) -> None:
    assert set(SAID) - some_seeds["answers"].keys() == set()
    logged = [line.partition(" ")[2] for line in some_seeds["answers"]]
    assert [each for each in LOGGED if not any(line.startswith(each) for line in logged)] == []


def test_a_seed_replays_exactly(some_seeds: dict[str, Any]) -> None:
    """In another process, behind other seeds or none."""
    for seed in ("7", "31"):
        again = run("--seed", seed)
        assert again["digests"][seed] == some_seeds["digests"][seed]
    assert len(set(some_seeds["digests"].values())) == SEEDS


@pytest.mark.parametrize("control", CONTROLS)
def test_a_guard_that_is_gone_is_missed(control: str) -> None:
    _, within = CONTROLS[control]
    told = run("--control", control, "--seeds", str(within), "--jobs", "1")
    assert told["findings"], f"{within} seeds without this guard, and nothing was noticed"
