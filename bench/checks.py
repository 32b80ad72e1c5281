"""Whether a measurement counts, and what to doubt of one that does. Pure: figures in, sentences out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Figures = dict[str, Any]

DRIVER_BOUND_CORES = 0.9  # one thread that does nothing else is at its end a little below one core
NOISE_CORES = 0.1  # what strangers may use of the machine before a figure is doubtful
LATE_US = 5_000.0  # bets that left later than this say as much about the driver as about the server


def driver_faults(figures: Figures, *, may_refuse: bool = False) -> list[str]:
    """Why what a driver measured does not count: whatever was not simply confirmed.

    `may_refuse`: the load may be more than the server can take, and to say so is no fault.
    """
    names = ("other", "lost", "unanswered", "unknown_ids") + (() if may_refuse else ("refused",))
    found = [f"{name}: {figures[name]}" for name in names if figures[name]]
    return found if figures["answered"] or may_refuse else [*found, "nothing was answered"]


def audit_faults(drivers: Sequence[Figures], audit: Figures) -> list[str]:
    """Why a wallet's figures do not count: its ledger is not exactly what the drivers heard confirmed."""
    found = []
    if not audit["verdict"]["ok"]:
        found.append(f"reconcile: {audit['verdict']['findings']}")
    confirmed = sum(each["answered_in_all"] for each in drivers)
    if audit["bets_in_ledger"] != confirmed:
        found.append(f"{confirmed} bets confirmed, {audit['bets_in_ledger']} in the ledger")
    return found


def doubts(round_: Figures) -> Iterator[str]:
    """Which figures of a round say less about the server than about the driver or the machine."""
    for name, figures in round_.items():
        cores = figures.get("cores") if isinstance(figures, dict) else None
        if not cores:
            continue
        if cores.get("driver", 0.0) >= DRIVER_BOUND_CORES:
            yield f"the driver was the bottleneck of {name}"
        if cores.get("others", 0.0) > NOISE_CORES:
            yield f"others used {cores['others']:.2f} cores beside {name}"
        late_us = figures.get("lateness_us", {}).get("p99", 0.0)
        if late_us > LATE_US:
            yield f"1 % of the bets of {name} left {late_us / 1_000:.1f} ms late or later"
