"""Closed-loop cases: as much as the wallet can do over the wire, beside what else the same stack can do.

A case measures one round at a time; what it returns is a dict of parts, each as its program printed it.
Why a round does not count, and its lines in the table, are told from these figures alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.checks import audit_faults, driver_faults
from bench.stand import Figures, Stand
from bench.table import Results, Row, cores, latency, mid, mid_ratio, per_s


@dataclass(frozen=True, slots=True)
class WholePath:
    """The wallet beside the bare echo, both as fast as they can."""

    connections: int
    in_flight: int
    ratio_min: float = 0.6
    goal_per_s: float | None = None
    rounds_max: int | None = None

    @property
    def name(self) -> str:
        return f"whole-path-{self.connections}x{self.in_flight}"

    def measure(self, stand: Stand) -> Figures:
        echo = stand.echo(self.connections, self.in_flight)
        with stand.wallet() as wallet:
            figures = wallet.closed_loop(self.connections, self.in_flight)
        return {"echo": echo, "wallet": figures, "audit": wallet.audit}

    def faults(self, round_: Figures) -> list[str]:
        found = [f"echo: {each}" for each in driver_faults(round_["echo"])]
        return found + driver_faults(round_["wallet"]) + audit_faults([round_["wallet"]], round_["audit"])

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        ratio = mid_ratio(rounds, lambda each: each["wallet"]["per_s"], lambda each: each["echo"]["per_s"])
        measured = mid(rounds, "wallet", "per_s")
        goal = "" if self.goal_per_s is None else f", goal {per_s(self.goal_per_s)}"
        return [
            Row(
                case=f"whole path, {self.connections} connections × {self.in_flight} in flight",
                measured=per_s(measured),
                beside=per_s(mid(rounds, "echo", "per_s"), "echoes"),
                figure=f"{ratio:.2f}",
                target=f"≥ {self.ratio_min}{goal}",
                met=ratio >= self.ratio_min,
                goal_met=None if self.goal_per_s is None else measured >= self.goal_per_s,
                detail=f"{latency(rounds, 'wallet')}; {cores(rounds, 'wallet')}; "
                f"echo: {cores(rounds, 'echo')}",
            )
        ]


@dataclass(frozen=True, slots=True)
class Frames:
    """As many bets in flight in frames of many as in frames of one."""

    connections: int = 20
    frame_bets: int = 100
    ratio_min: float = 1.3
    rounds_max: int | None = None

    @property
    def name(self) -> str:
        return f"frames-of-{self.frame_bets}"

    def measure(self, stand: Stand) -> Figures:
        with stand.wallet() as single:
            figures = single.closed_loop(self.connections, self.frame_bets)
        with stand.wallet() as framed:
            in_frames = framed.closed_loop(self.connections, self.frame_bets, frame_bets=self.frame_bets)
        return {
            "single": figures,
            "single_audit": single.audit,
            "framed": in_frames,
            "framed_audit": framed.audit,
        }

    def faults(self, round_: Figures) -> list[str]:
        return [
            f"{part}: {fault}"
            for part in ("single", "framed")
            for fault in driver_faults(round_[part]) + audit_faults([round_[part]], round_[f"{part}_audit"])
        ]

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        ratio = mid_ratio(rounds, lambda each: each["framed"]["per_s"], lambda each: each["single"]["per_s"])
        return [
            Row(
                case=f"frames of {self.frame_bets} bets, {self.connections} connections × {self.frame_bets}",
                measured=per_s(mid(rounds, "framed", "per_s")),
                beside=per_s(mid(rounds, "single", "per_s")),
                figure=f"{ratio:.2f}",
                target=f"≥ {self.ratio_min} × single frames",
                met=ratio >= self.ratio_min,
                detail=f"{latency(rounds, 'framed')}; {cores(rounds, 'framed')}",
            )
        ]
