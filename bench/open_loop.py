"""Open-loop load: bets leave at times fixed beforehand, whatever the server does with those before them.

Runs in a process of its own; reads its job as JSON from standard input and prints one JSON line. A bet's
latency counts from its *intended* time: a server that stalls delays every bet that was due meanwhile, and all
of them show it (a closed loop would send nothing during the stall and report one slow bet: coordinated
omission). So would a driver that stalls; how late bets left is therefore measured as well, and reported
beside the latency that contains it.

The gaps between bets are exponential and each bet is of a random connection, as players do not know of each
other: clumps that evenly spaced bets would never form are part of the load. Seed and rate fix the schedule,
so that every run of a rate offers the same clumps.
"""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.clients import Tally, WalletConnection, connect, drain, leave, quantiles_us
from bench.machine import CpuMeter
from bench.processes import do_the_job
from bench.wire import BetFrames, fresh_tags

WAKE_S = 0.001  # the finest timer of uvloop; waiting actively would take a core from the server
KEPT_UP_SHARE = 0.98  # of the planned rate, confirmed: a bound on how fast a backlog may grow
NS_PER_S = 1_000_000_000
SEED = 20_240_229


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: `per_s` bets a second over one connection for each of `tokens`."""

    url: str
    per_s: float
    warm_up_s: float
    seconds: float
    tokens: list[str]
    watch: dict[str, int] = field(default_factory=dict)  # name -> process id, whose CPU time is reported
    drain_s: float = 10.0  # how long the last answers may take
    bet_id_version: int = 7
    seed: int = SEED
    in_flight_max: int | None = None  # of a connection: what is due beyond that is never sent


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each bet is due, in nanoseconds from the start and in order, and on which connection."""

    due_ns: array[int]
    connection: array[int]


def poisson_schedule(per_s: float, seconds: float, connections: int, seed: int) -> Schedule:
    """Bets of independent players: `per_s` a second on average, each on any of the connections."""
    chance = random.Random(seed)
    due_ns, connection = array("q"), array("l")
    at_s = chance.expovariate(per_s)
    while at_s < seconds:
        due_ns.append(int(at_s * NS_PER_S))
        connection.append(chance.randrange(connections))
        at_s += chance.expovariate(per_s)
    return Schedule(due_ns, connection)


class Sender:
    """Sends what is due, and never waits for an answer."""

    def __init__(
        self, schedule: Schedule, connections: Sequence[WalletConnection], in_flight_max: int | None = None
    ) -> None:
        self.due = 0  # so far: sent, or held back
        self.held_back = 0
        self.lateness_ns: array[int] = array(
            "q"
        )  # of bets that left at `lateness_from_ns` (monotonic) or later
        self.lateness_from_ns = 0
        self._schedule = schedule
        self._connections = connections
        self._in_flight_max = in_flight_max
        self._loop = asyncio.get_running_loop()
        self._started_ns = time.perf_counter_ns()
        self.finished: asyncio.Future[None] = self._loop.create_future()

    @property
    def started_ns(self) -> int:
        """The schedule's time 0 on the monotonic clock."""
        return self._started_ns

    def wake(self) -> None:
        """Send what has become due since the last time, one write for each connection, but nothing to those
        that have too much in flight; again in `WAKE_S`."""
        schedule, start = self._schedule, self.due
        now_ns = time.perf_counter_ns()
        elapsed_ns = now_ns - self._started_ns
        due: dict[int, list[int]] = {}
        end = start
        while end < len(schedule.due_ns) and schedule.due_ns[end] <= elapsed_ns:
            due.setdefault(schedule.connection[end], []).append(self._started_ns + schedule.due_ns[end])
            end += 1
        self.due = end
        for number, due_ns in due.items():
            connection = self._connections[number]
            if self._in_flight_max is not None:
                room = max(self._in_flight_max - connection.in_flight, 0)
                self.held_back += len(due_ns[room:])
                del due_ns[room:]
            if due_ns:
                connection.send_due(due_ns)
        if due and now_ns >= self.lateness_from_ns:
            left_ns = time.perf_counter_ns() - self._started_ns
            self.lateness_ns.extend([left_ns - each for each in schedule.due_ns[start:end]])
        if end < len(schedule.due_ns):
            self._loop.call_later(WAKE_S, self.wake)
        else:
            self.finished.set_result(None)


async def drive(job: Job) -> dict[str, Any]:
    """Run `job`. Latencies are those of the bets due in the window after the warm-up, whenever answered."""
    tally, tags = Tally(), fresh_tags()
    schedule = poisson_schedule(job.per_s, job.warm_up_s + job.seconds, len(job.tokens), job.seed)
    connections = await connect(
        job.url, job.tokens, lambda: WalletConnection(tally, BetFrames(tags, version=job.bet_id_version))
    )
    sender = Sender(schedule, connections, job.in_flight_max)
    window_from_ns = sender.started_ns + int(job.warm_up_s * NS_PER_S)
    tally.latencies_from_ns = sender.lateness_from_ns = window_from_ns
    sender.wake()
    await asyncio.sleep((window_from_ns - time.perf_counter_ns()) / NS_PER_S)

    due_before, held_before, answered_before = sender.due, sender.held_back, tally.answered
    backlog_before = sum(each.in_flight for each in connections)
    started, meter = time.perf_counter(), CpuMeter(job.watch)
    await sender.finished
    window_s, cores = time.perf_counter() - started, meter.cores()
    due, confirmed = sender.due - due_before, tally.answered - answered_before
    sent = due - (sender.held_back - held_before)
    backlog = sum(each.in_flight for each in connections)

    unanswered = await drain(connections, job.drain_s)
    refused = sum(tally.refused.values())
    # Of the planned rate, not of the rate sent: a driver that falls behind has not offered what it should.
    kept_up = not refused and not unanswered and confirmed / window_s >= KEPT_UP_SHARE * due / job.seconds
    return {
        "offered_per_s": job.per_s,
        "sent_per_s": round(sent / window_s, 1),
        "per_s": round(confirmed / window_s, 1),
        "window_s": round(window_s, 3),
        "answered": confirmed,
        "latency_us": quantiles_us(tally.latencies_ns),
        "refusal_us": quantiles_us(tally.refusals_ns),
        "lateness_us": quantiles_us(sender.lateness_ns),
        "cores": cores,
        "kept_up": kept_up,
        "in_flight_at_start": backlog_before,
        "in_flight_at_end": backlog,
        "sent_in_all": sender.due - sender.held_back,
        "held_back_in_all": sender.held_back,
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
