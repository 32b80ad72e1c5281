"""What trials have in common: many questions on one socket, the verdict of `reconcile`, and the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.process import solidgreen
from harness.wire import Wire
from tests.crash.witness import Finding

Json = dict[str, Any]

FRAME_REQUESTS = 200  # asked in one array frame
PRINTED_FINDINGS = 40


async def ask_each(wire: Wire, requests: Sequence[Json]) -> list[Json]:
    """The last reply to each of `requests`, in their order; any number of them."""
    answers = []
    for start in range(0, len(requests), FRAME_REQUESTS):
        answers += await wire.ask_all(*requests[start : start + FRAME_REQUESTS])
    return answers


def reconciled(db: Path, accounts: int | None = None) -> list[Finding]:
    """What `solidgreen reconcile` finds in the file, served or not. `accounts`: how many it has to see."""
    done = solidgreen("reconcile", "--db", str(db), "--json", check=False)
    if done.returncode not in (0, 1):
        return [Finding("reconcile", f"status {done.returncode}", done.stderr)]
    verdict = json.loads(done.stdout)
    findings = [Finding("reconcile", "finding", str(line)) for line in verdict["findings"]]
    agrees = verdict["ok"] is (done.returncode == 0) is (not findings)
    if not agrees or accounts not in (None, verdict["users"]):
        findings.append(Finding("reconcile", "verdict", f"status {done.returncode}, {verdict}"))
    return findings


def report(findings: Sequence[object]) -> int:
    """Print a line for each finding, the first ones; the exit status of the trial."""
    for finding in findings[:PRINTED_FINDINGS]:
        print(finding)
    if len(findings) > PRINTED_FINDINGS:
        print(f"… and {len(findings) - PRINTED_FINDINGS} more")
    return 1 if findings else 0
