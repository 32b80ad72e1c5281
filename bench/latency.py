"""Open-loop cases: what a bet waits at a given rate, and whether idle connections change it.

Bets that were refused have no latency; a rate at which any was, or at which the backlog grew, is reported as
one that the wallet did not keep up with, and meets no target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.checks import audit_faults, driver_faults
from bench.stand import Figures, Stand
from bench.table import Results, Row, cores, mid, mid_ratio, per_s

CONNECTIONS = 100
UNCHANGED_RATIO = 1.1  # between two p99 of the same load …
UNCHANGED_MS = 0.5  # … or this far apart: half a tick of the driver's timer


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Bets at a fixed rate, whatever becomes of them."""

    offered_per_s: int
    p99_max_ms: float | None = None
    p999_max_ms: float | None = None
    rounds_max: int | None = None

    @property
    def name(self) -> str:
        return f"open-loop-{self.offered_per_s}"

    def measure(self, stand: Stand) -> Figures:
        with stand.wallet() as wallet:
            figures = wallet.open_loop(self.offered_per_s, CONNECTIONS)
        return {"open_loop": figures, "audit": wallet.audit}

    def faults(self, round_: Figures) -> list[str]:
        figures = round_["open_loop"]
        return driver_faults(figures, may_refuse=True) + audit_faults([figures], round_["audit"])

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        at = self.point(rounds)
        late_ms = mid(rounds, "open_loop", "lateness_us", "p99") / 1_000
        targets = [
            (quantile, at[name], limit)
            for quantile, name, limit in (
                ("p99", "p99_ms", self.p99_max_ms),
                ("p99.9", "p999_ms", self.p999_max_ms),
            )
            if limit is not None
        ]
        if at["p99_ms"] is None:
            figure = "none confirmed"
        else:
            figure = f"p99 {at['p99_ms']:.1f}, p99.9 {at['p999_ms']:.1f} ms"
        if not at["kept_up"]:
            figure += ", DID NOT KEEP UP"
        return [
            Row(
                case=f"open loop, {self.offered_per_s:,}/s over {CONNECTIONS} connections",
                measured=per_s(at["confirmed_per_s"]),
                beside=f"{per_s(mid(rounds, 'open_loop', 'sent_per_s'))} sent",
                figure=figure,
                target=", ".join(f"{quantile} ≤ {limit:g} ms" for quantile, _, limit in targets),
                met=at["kept_up"] and all(ms <= limit for _, ms, limit in targets) if targets else None,
                detail=f"p50 {at['p50_ms'] or 0:.1f} ms; sent late by p99 {late_ms:.1f} ms; in flight at the "
                f"end {at['in_flight_at_end']:,.0f}; refused {at['refused']:,.0f}; "
                f"{cores(rounds, 'open_loop')}",
            )
        ]

    def point(self, rounds: Sequence[Figures]) -> dict[str, Any]:
        """Medians for the chart of latency against offered load. `kept_up` only if it did in every round."""
        known = [each for each in rounds if each["open_loop"]["latency_us"]]
        latency_ms = {
            f"{name}_ms": mid(known, "open_loop", "latency_us", name) / 1_000 if known else None
            for name in ("p50", "p90", "p99", "p999", "max")
        }
        refused = [{"refused": sum(each["open_loop"]["refused"].values())} for each in rounds]
        return {
            "offered_per_s": self.offered_per_s,
            "confirmed_per_s": mid(rounds, "open_loop", "per_s"),
            **latency_ms,
            "refused": mid(refused, "refused"),
            "in_flight_at_end": mid(rounds, "open_loop", "in_flight_at_end"),
            "kept_up": all(each["open_loop"]["kept_up"] for each in rounds),
        }


@dataclass(frozen=True, slots=True)
class Idle:
    """What silent connections cost: memory, and the latency of those that bet beside them.

    One server for both, and fresh: what an earlier load left unused in its memory would hide what idle
    connections take. Hence the load with them comes first, and without them second.
    """

    connections: int = 5_000
    offered_per_s: int = 3_000  # the floor of the product
    kib_max: float = 40.0
    rounds_max: int | None = None

    @property
    def name(self) -> str:
        return "idle"

    def measure(self, stand: Stand) -> Figures:
        with stand.wallet() as wallet:
            idlers = wallet.players(self.connections, apart_from=wallet.players(CONNECTIONS))
            before = wallet.memory_kib()
            with wallet.idle(idlers) as idle:
                after = wallet.memory_kib()
                beside = wallet.open_loop(self.offered_per_s, CONNECTIONS)
            alone = wallet.open_loop(self.offered_per_s, CONNECTIONS)
        each_kib = {name: (after[name] - before[name]) / self.connections for name in before}
        memory = {"before_kib": before, "after_kib": after, "each_kib": each_kib}
        return {"idle": idle, "memory": memory, "beside": beside, "alone": alone, "audit": wallet.audit}

    def faults(self, round_: Figures) -> list[str]:
        drivers = [round_["beside"], round_["alone"]]
        found = [f"idle {name}: {round_['idle'][name]}" for name in ("lost", "other") if round_["idle"][name]]
        for each in drivers:
            found += driver_faults(each, may_refuse=True)
        return found + audit_faults(drivers, round_["audit"])

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        each_kib = mid(rounds, "memory", "each_kib", "uss")
        memory = Row(
            case=f"{self.connections:,} idle connections: memory",
            figure=f"{each_kib:.1f} KiB each",
            target=f"≤ {self.kib_max:g} KiB",
            met=each_kib <= self.kib_max,
            detail=f"resident {mid(rounds, 'memory', 'each_kib', 'rss'):.1f} KiB each; server before "
            f"{mid(rounds, 'memory', 'before_kib', 'uss') / 1_024:,.0f} MiB; "
            f"opened in {mid(rounds, 'idle', 'opened_in_s'):.1f} s",
        )
        if not all(each[part]["latency_us"] for each in rounds for part in ("beside", "alone")):
            return [memory, Row(case="p99 of others beside them", figure="none confirmed", met=False)]
        beside_ms, alone_ms = (mid(rounds, part, "latency_us", "p99") / 1_000 for part in ("beside", "alone"))
        ratio = mid_ratio(rounds, lambda each: _p99(each["beside"]), lambda each: _p99(each["alone"]))
        kept_up = all(each["beside"]["kept_up"] for each in rounds)
        return [
            memory,
            Row(
                case=f"p99 of others at {self.offered_per_s:,}/s beside them",
                measured=f"{beside_ms:.1f} ms",
                beside=f"{alone_ms:.1f} ms alone",
                figure=f"{ratio:.2f}" + ("" if kept_up else ", DID NOT KEEP UP"),
                target=f"≤ {UNCHANGED_RATIO}, or {UNCHANGED_MS:g} ms apart",
                met=kept_up and (ratio <= UNCHANGED_RATIO or beside_ms - alone_ms <= UNCHANGED_MS),
                detail=cores(rounds, "beside"),
            ),
        ]


def _p99(figures: Figures) -> float:
    return float(figures["latency_us"]["p99"])
