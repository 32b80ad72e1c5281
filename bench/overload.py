"""More bets than the wallet can take: `python -m bench.overload`. Prints JSON; 1 if a target was missed.

The peak is the most that is confirmed a second of bets that come at their own pace. They come at the rate
that gives most, and at one, two and three times what that gives, in turns and each time to a fresh server:
how many are confirmed a second beside the peak, what those waited from when they should have left, and what
the others heard. Once with a disk whose syncs are
so slow that the writer is the bottleneck, and once as the machine is, where all that a bet costs is the
loop's time, refusals too. Then one socket floods beside fifty polite ones. Every run is audited: the ledger
holds exactly the bets that were confirmed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

from bench import machine
from bench.checks import audit_faults, driver_faults
from bench.disks import slow_disk
from bench.stand import GRACE_S, Figures, Stand, Wallet
from bench.table import mid, mid_ratio
from harness.process import seed

CONNECTIONS: Final = 100
IN_FLIGHT: Final = 30  # of each, in the closed loop: three batches in all, so that each is full
IN_FLIGHT_MAX: Final = 100
"""Bets of one client in the open loop that wait for an answer: with so many unanswered he sends no more. What
the server has no time to read waits in sockets, and only clients can bound how much that is."""
FACTORS: Final = (1, 2, 3)
TURNS: Final = 5
BEST: Final = "best"
"""The rate of the ramp that gave most."""
RAMP: Final = (0.5, 0.7, 0.9, 1.1)  # of the closed loop: one of them is near the peak of an open one
STUCK_SYNC_US: Final = 1_100_000
"""Longer than a commit may take: the circuit opens, and each probe opens it again."""
REFUSED_PER_S: Final = 2_000
REFUSED_WITHIN_US: Final = 5_000
POLITE: Final = 50
SLOW_SYNC_US: Final = 230_000
"""A full batch of 1,000 bets then takes some 270 ms: about 3,700 bets a second."""
TOO_MUCH: Final = {"2", "3"}
GOODPUT_MIN: Final = 0.9
DEADLINE_US: Final = 2_000_000
BALANCE_MINOR: Final = 10_000_000_000
MISSED: Final = 1

Round = dict[str, Figures]
"""A run for each rate."""


def overload(stand: Stand, turns: int) -> Figures:
    """The peak of bets that come at their own pace, and what is left of it when more come."""
    faults: list[str] = []
    with stand.wallet() as wallet:
        closed = wallet.closed_loop(CONNECTIONS, IN_FLIGHT)
    faults += driver_faults(closed, may_refuse=True) + audit_faults([closed], wallet.audit)

    def at(per_s: float) -> Figures:
        with stand.wallet() as wallet:
            run = wallet.open_loop(per_s, CONNECTIONS, in_flight_max=IN_FLIGHT_MAX)
        found = driver_faults(run, may_refuse=True) + audit_faults([run], wallet.audit)
        faults.extend(f"at {per_s:.0f} a second: {fault}" for fault in found)
        return run

    ramp = [at(share * closed["per_s"]) for share in RAMP]
    best = max(ramp, key=itemgetter("per_s"))
    rates = {BEST: best["offered_per_s"]} | {f"{each}": each * best["per_s"] for each in FACTORS}
    rounds: list[Round] = []
    for number in range(turns):
        names = [*rates] if number % 2 == 0 else [*rates][::-1]
        rounds.append({name: at(rates[name]) for name in names})
    shown = {"closed_loop_per_s": closed["per_s"], "ramp": [*map(point, ramp)], "faults": faults}
    return shown | goodputs(rounds)


def goodputs(rounds: Sequence[Round]) -> Figures:
    """What each rate confirms of the peak: of the rate, whichever it is, that confirms most.

    A machine that others share does a quarter more or less within minutes, so the rates take turns, and a
    goodput is the median of the ratios of neighbours. `goodput_of_cpu`: likewise of bets in a second of the
    server's processor, which the driver, on the same machine, takes from it.
    """

    def of(name: str) -> Callable[[Round], float]:
        return lambda each: float(each[name]["per_s"])

    def a_core(name: str) -> Callable[[Round], float]:
        return lambda each: float(each[name]["per_s"]) / float(each[name]["cores"]["server"])

    peak = max(rounds[0], key=lambda name: mid(rounds, name, "per_s"))
    at = {
        name: {
            "per_s": mid(rounds, name, "per_s"),
            "goodput": round(mid_ratio(rounds, of(name), of(peak)), 3),
            "goodput_of_cpu": round(mid_ratio(rounds, a_core(name), a_core(peak)), 3),
            "admitted_p99_ms": max(each[name]["latency_us"].get("p99", 0.0) for each in rounds) / 1000,
            "runs": [point(each[name]) for each in rounds],
        }
        for name in rounds[0]
    }
    return {"peak": {"at": peak, "per_s": mid(rounds, peak, "per_s")}, "at": at}


def point(run: Figures) -> Figures:
    """What is to be said of one run."""
    return {
        "offered_per_s": run["offered_per_s"],
        "sent_per_s": run["sent_per_s"],
        "confirmed_per_s": run["per_s"],
        "admitted_ms": {name: round(us / 1000, 1) for name, us in run["latency_us"].items()},
        "sent_late_p99_ms": round(run["lateness_us"]["p99"] / 1000, 1),
        "refused_ms": {name: round(us / 1000, 1) for name, us in run["refusal_us"].items()},
        "refused_in_all": run["refused"],
        "held_back_in_all": run["held_back_in_all"],
        "cores": run["cores"],
    }


def refusals(stand: Stand) -> Figures:
    """How soon bets are refused while the circuit is open: to one player who waits for each answer, beside
    many. Of the many it is told as well, from when each bet was due: so with what their driver, which has
    2,000 of them a second in hand, adds by itself."""
    with stand.wallet() as wallet, ThreadPoolExecutor() as threads:
        many = wallet.players(CONNECTIONS)
        him = wallet.players(1, apart_from=many)
        beside = threads.submit(wallet.open_loop, REFUSED_PER_S, CONNECTIONS, tokens=many)
        alone = wallet.closed_loop(1, 1, tokens=him)
        run = beside.result()
    return {
        "refused_us": alone["refusal_us"],
        "refused_of_many_us": run["refusal_us"],
        "sent_late_us": run["lateness_us"],
        "refused_in_all": run["refused"],
        "confirmed_in_all": run["answered_in_all"],
        "cores": run["cores"],
        "faults": driver_faults(run, may_refuse=True) + audit_faults([alone, run], wallet.audit),
    }


def fairness(stand: Stand) -> Figures:
    """What fifty polite sockets, one bet in flight each, wait before one floods beside them, and then."""
    with stand.wallet() as wallet:
        flooder, *_ = wallet.players(1)
        before = wallet.closed_loop(POLITE, 1, tokens=wallet.players(POLITE, apart_from=[flooder]))
        with flooding(wallet, flooder) as flood:
            during = wallet.closed_loop(POLITE, 1, tokens=wallet.players(POLITE, apart_from=[flooder]))
    heard = [before, during, flood]
    faults = [fault for each in heard for fault in driver_faults(each | {"answered": 1}, may_refuse=True)]
    return {
        "polite_before_ms": {name: round(us / 1000, 1) for name, us in before["latency_us"].items()},
        "polite_during_ms": {name: round(us / 1000, 1) for name, us in during["latency_us"].items()},
        "polite_refused": during["refused"],
        "flood_confirmed": flood["answered_in_all"],
        "flood_refused": flood["refused"],
        "faults": faults + audit_faults(heard, wallet.audit),
    }


@contextlib.contextmanager
def flooding(wallet: Wallet, token: str) -> Iterator[Figures]:
    """One socket floods meanwhile. The figures are complete after the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.flood"],
        cwd=machine.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            figures: Figures = {}
            assert process.stdin is not None
            process.stdin.write(json.dumps({"url": wallet.url, "token": token}) + "\n")
            process.stdin.flush()
            yield figures
            said, _ = process.communicate(timeout=GRACE_S)
            if process.returncode:
                raise RuntimeError(f"bench.flood: ended with status {process.returncode}")
            figures |= json.loads(said)
        finally:
            process.kill()


def missed(report: Figures) -> list[str]:
    """Which targets were missed, and why what was measured does not count."""
    found = []
    for name, each in report.items():
        found += [f"{name}: {fault}" for fault in each["faults"]]
        for rate, at in each.get("at", {}).items():
            if rate in TOO_MUCH and at["goodput"] < GOODPUT_MIN:
                found.append(f"{name}: goodput at {rate} times the peak is {at['goodput']:.2f} of it")
            if at["admitted_p99_ms"] >= DEADLINE_US / 1000:
                found.append(f"{name}: at {rate} times p99 is {at['admitted_p99_ms']:.0f} ms")
        if each.get("refused_us", {}).get("p99", 0.0) >= REFUSED_WITHIN_US:
            found.append(f"{name}: p99 of refusals is {each['refused_us']['p99'] / 1000:.1f} ms")
        if "refused_us" in each and not each["refused_in_all"].get("CIRCUIT_OPEN"):
            found.append(f"{name}: the circuit never was open")
        if polite := each.get("polite_refused"):
            found.append(f"{name}: who is polite was refused for who floods: {polite}")
        if each.get("polite_during_ms", {}).get("p99", 0.0) >= DEADLINE_US / 1000:
            found.append(
                f"{name}: who is polite waits {each['polite_during_ms']['p99']:.0f} ms beside a flood"
            )
    return found


def measure(folder: Path, seconds: float, warm_up_s: float, turns: int, chosen: Sequence[str]) -> Figures:
    """The parts that were chosen, each on servers of its own."""
    seeded = folder / "seeded.db"
    tokens = [each["token"] for each in seed(seeded, 2 * CONNECTIONS, BALANCE_MINOR)]
    stand = Stand(seeded, tokens, warm_up_s, seconds, nonces="memory")
    report: Figures = {}
    for part, (do, sync_us) in parts(turns).items():
        if part not in chosen:
            continue
        with slow_disk(folder, sync_us):
            report[part] = do(stand)
        print(f"{part}: {json.dumps(report[part])}", file=sys.stderr)
    return report


def parts(turns: int = TURNS) -> dict[str, tuple[Callable[[Stand], Figures], int]]:
    """What is measured, and how much longer a sync takes meanwhile."""
    return {
        "overload-slow": (partial(overload, turns=turns), SLOW_SYNC_US),
        "overload-cpu": (partial(overload, turns=turns), 0),
        "fairness-slow": (fairness, SLOW_SYNC_US),
        "fairness-cpu": (fairness, 0),
        "open": (refusals, STUCK_SYNC_US),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in a folder of its own beside the other results, print the figures and what was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="measured in each run")
    parser.add_argument("--warm-up", type=float, default=3.0, help="before that: until the queue stands")
    parser.add_argument("--turns", type=int, default=TURNS, help="of each rate, in overload-*")
    parser.add_argument("--parts", nargs="+", choices=parts(), default=[*parts()])
    chosen = parser.parse_args(arguments)
    machine.raise_file_limit()
    with machine.work_folder() as folder:
        report = measure(folder, chosen.seconds, chosen.warm_up, chosen.turns, chosen.parts)
    report["missed"] = missed(report)
    print(json.dumps(report, indent=1))
    return MISSED if report["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
