"""Closed-loop load: C connections with K bets in flight each; every answer is followed by a new bet.

Runs in a process of its own. Reads the job as one JSON object from standard input (tokens have no place on a
command line) and prints one JSON line. Closed loop means that the server sets the pace: the rate is the most
that it can do, and the latency is what bets wait at that rate.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import Any

from bench.clients import EchoConnection, Tally, WalletConnection, connect, drain, leave, quantiles_us
from bench.machine import CpuMeter
from bench.processes import do_the_job
from bench.wire import BetFrames, fresh_tags


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement. With `tokens`, one for each connection, the server is a wallet; without, the echo."""

    url: str
    connections: int
    in_flight: int  # bets, a multiple of `frame_bets`
    warm_up_s: float
    seconds: float
    tokens: list[str] = field(default_factory=list)
    watch: dict[str, int] = field(default_factory=dict)  # name -> process id, whose CPU time is reported
    drain_s: float = 10.0  # how long the last answers may take
    frame_bets: int = 1  # bets in each frame; the echo answers frames, so for it only 1
    bet_id_version: int = 7  # of the UUIDs: 7, or 4

    def __post_init__(self) -> None:
        if self.in_flight % self.frame_bets or not (self.tokens or self.frame_bets == 1):
            raise ValueError(f"{self.in_flight} bets in flight in frames of {self.frame_bets}")


async def drive(job: Job) -> dict[str, Any]:
    """Run `job` and return its figures; rates and latencies are those of the window after the warm-up."""
    tally, tags = Tally(is_refilling=True), fresh_tags()
    kind = WalletConnection if job.tokens else EchoConnection
    connections = await connect(
        job.url,
        job.tokens[: job.connections] or [None] * job.connections,
        lambda: kind(tally, BetFrames(tags, job.frame_bets, job.bet_id_version)),
    )
    for connection in connections:
        connection.send(job.in_flight)
    await asyncio.sleep(job.warm_up_s)

    before, tally.latencies_ns = tally.answered, array("q")
    started, meter = time.perf_counter(), CpuMeter(job.watch)
    await asyncio.sleep(job.seconds)
    window_s, cores = time.perf_counter() - started, meter.cores()
    in_window, latencies_ns = tally.answered - before, tally.latencies_ns

    tally.is_refilling, tally.latencies_ns = False, array("q")
    unanswered = await drain(connections, job.drain_s)
    return {
        "per_s": round(in_window / window_s, 1),
        "window_s": round(window_s, 3),
        "answered": in_window,
        "latency_us": quantiles_us(latencies_ns),
        "refusal_us": quantiles_us(tally.refusals_ns),
        "cores": cores,
        "answered_in_all": tally.answered,
        "pending_in_all": tally.pending,
        "unanswered": unanswered,
        "decoded_frames": tally.decoded_frames,
        **tally.faults(),
        "lost": leave(connections),
    }


def main() -> None:
    """Do the job on standard input and print its figures."""
    do_the_job(Job, drive)


if __name__ == "__main__":
    main()
