"""The command `reconcile`, and how findings are said. It only reads, also beside a running server, unless it
is to repair.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from engine.checks import line_of
from engine.files import check_is_ours
from engine.reconcile import Report
from engine.reconcile import reconcile as reconcile_file
from engine.repair import repair
from engine.verify import Verdict


def reconcile(options: argparse.Namespace) -> int:
    """Print the verdict; 1 if anything differs."""
    report: Report | Verdict
    repaired: dict[str, object] = {}
    if options.repair:
        done = repair(options.db, time.time_ns() // 1000)
        report = done.report
        repaired = {"repaired": [each._asdict() for each in done.repairs], "refused": done.is_refused}
        if not options.json:
            for each in done.repairs:
                print(f"repaired: user_id {each.user_id}, {each.what} {each.found}, is {each.became}")
            if done.is_refused:
                print("not repaired: more is wrong than what follows from the ledger")
    else:
        check_is_ours(options.db, writing=False)
        report = reconcile_file(options.db)
    if options.json:
        verdict = {"ok": report.ok, "users": report.users, "entries": report.entries}
        print(json.dumps(verdict | {"findings": report.findings} | repaired))
    else:
        for finding in report.findings:
            print(line_of(finding))
        told = "every balance is the sum of its entries" if report.ok else count_of(report.findings)
        print(f"{options.db}: {report.users} accounts, {report.entries} entries: {told}")
    return 0 if report.ok else 1


def count_of(findings: Sequence[object]) -> str:
    """How many findings, in words."""
    return "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
