"""Schemathesis against a live server: whatever `/openapi.json` says, and what it does not say, as each role.

`make schemathesis`, or in its short form tests/test_schemathesis.py. It is run as a process of its own, since
it changes Hypothesis and warnings of the process that it is in. What it heard is held against the books
afterwards: a transaction that nobody was told of came from a refusal.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.process import PATIENT, Server, seed, token

PLAYERS = 100
PLAYER = 42
"""The wallet that the contract's examples name."""

# Keys belong to whoever asks: each role comes as somebody else.
ROLES = {"operator": 1, "player": PLAYER, "auditor": 3, "admin": 2}

UNBOUNDED = dict.fromkeys(("rate_address", "rate_user", "rate_money", "rate_login", "rate_refresh"), "off")
"""Else all but the first requests of a second would be 429."""

CONFIG = """
[checks]
positive_data_acceptance.enabled = false  # what is well-formed may be refused: codes say why
use_after_free.enabled = false            # nothing is deleted here
ensure_resource_availability.enabled = false
object_level_authorization.enabled = false  # tests/test_roles_matrix.py asks every route for others' things

[[operations]]
include-path = "/v1/payouts/open"         # a GET of it is one of `/v1/payouts/{payout_id}`
checks.unsupported_method.enabled = false
"""

PHASES = {"operator": "examples,coverage,fuzzing,stateful"}
SHORT_PHASES = "examples,coverage"

OF_THE_SERVER = ("clock:", "archive:")
"""How the scopes of keys begin of what the server does by itself: it pays chunks, ends holds."""


@dataclass
class Found:
    """What one run has found. `told`: transactions that it was told of; `registered`: players that it has
    become, of whose wallets nobody is told a transaction."""

    role: str
    operations: int
    tested: int
    cases: int
    failures: list[str]
    statuses: Counter[int] = field(default_factory=Counter)
    told: set[int] = field(default_factory=set)
    registered: int = 0

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.role}: {self.cases} cases of {self.tested}/{self.operations} operations, "
            f"{len(self.failures)} failures ({statuses})"
        )


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server of its own, whose wallets are those that the examples name."""
    seed(folder / "wallet.db", PLAYERS)
    with Server(folder / "wallet.db", settings=PATIENT | UNBOUNDED) as server:
        yield server


def run(server: Server, role: str, cases: int, folder: Path, seed_: int = 1) -> Found:
    """Run Schemathesis as `role`, with `cases` a route where it makes them up. Raises `RuntimeError` if it
    could not run."""
    config, report, events = folder / f"{role}.toml", folder / f"{role}.json", folder / f"{role}.ndjson"
    config.write_text(CONFIG, encoding="utf-8")
    bearer = token(server.db, ROLES[role], role)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config),
        "run", f"{server.http}/openapi.json", "--header", f"Authorization: Bearer {bearer}",
        "--phases", PHASES.get(role, SHORT_PHASES), "--max-examples", str(cases), "--seed", str(seed_),
        "--no-color", "--warnings", "off", "--continue-on-failure", "--no-shrink", "--report", "json,ndjson",
        "--report-json-path", str(report), "--report-ndjson-path", str(events),
    ]  # fmt: skip
    # Nothing of the house on its path, and a proxy in the environment is not meant.
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment["SCHEMATHESIS_HOOKS"] = "schemathesis_hooks"
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    if not report.exists() or not (said := json.loads(report.read_text(encoding="utf-8")))["complete"]:
        raise RuntimeError(f"Schemathesis has not run to its end:\n{done.stdout}\n{done.stderr}")
    found = Found(
        role,
        said["operations"]["total"],
        said["operations"]["tested"],
        said["test_cases"]["generated"],
        [json.dumps(each, indent=1) for each in said["failures"]],
    )
    if (done.returncode != 0) != bool(found.failures):
        raise RuntimeError(f"Schemathesis ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    for line in events.read_text(encoding="utf-8").splitlines():
        _hear(json.loads(line), found)
    return found


def _hear(event: Any, found: Found) -> None:
    """Count each response in an event, wherever it stands, and note which transactions it told of."""
    if isinstance(event, dict):
        response = event.get("response")
        if isinstance(response, dict) and "status_code" in response:
            found.statuses[response["status_code"]] += 1
            content = (response.get("content") or {}).get("$base64", "")
            if response["status_code"] in (200, 201):
                with contextlib.suppress(ValueError):
                    body = json.loads(base64.b64decode(content))
                    if isinstance(body, dict) and isinstance(body.get("transaction_id"), int):
                        found.told.add(body["transaction_id"])
                    if isinstance(body, dict) and "access_token" in body:
                        found.registered += response["status_code"] == 201
    children = event.values() if isinstance(event, dict) else event if isinstance(event, list) else ()
    for child in children:
        _hear(child, found)
