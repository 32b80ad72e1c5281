"""The budget of one bet: where its microseconds of CPU go, line by line, in the real server under full load.

Four windows of one closed-loop run, over the wire like any other case:

    plain     nobody looks: the CPU time of each thread and of Redis, for each bet that the file has got
    running   stacks of the threads that run: they split a thread's CPU time into stages
    lock      the stack that holds the interpreter lock: which thread, and how much of the time
    all       every stack: how much of the time a thread has something to do, on the processor or not

So the lines add up to what the plain window has measured, and looking costs none of it. py-spy looks
without stopping the server (`--nonblocking`): to stop it wakes up each thread that waits, and waiting would
count as running. `--native`, which would tell SQLite's C code from its binding, has to stop the server, and
halves what it does; the line of Python that calls SQLite says which statement it is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from bench import checks, machine
from bench.processes import NO_REDIS, redis_executable, redis_version
from bench.stages import OTHER, REDIS, Stack, StageTable, read_stacks
from bench.stand import Figures, Stand, Wallet
from harness.process import seed

BALANCE_MINOR = 10_000_000_000  # at 250 a bet, 40 million bets: no run is that long
READINGS_PER_S = 500
POLL_S = 0.02
STARTS_WITHIN_S = 4.0  # py-spy, three times
OTHER_MAX = 0.1  # of the budget: beyond it, the table of stages has fallen behind the code
FAILED_MAX = 0.1  # of the readings: they fail where Python runs fast, so too many of them tilt the shares
DOES_NOT_COUNT = 1
WRONG_CALL = 2
NO_PY_SPY = "no py-spy beside this Python or on the PATH: `make bench` installs it, `pip install py-spy` too"
NOT_ALLOWED = (
    "py-spy may not read the server's memory. Run this as root, or allow each user to look into processes of "
    "their own (`sysctl kernel.yama.ptrace_scope=0`; in a container, the capability SYS_PTRACE)"
)


class Spent(NamedTuple):
    """Between two readings of a `Meter`: time, bets, and CPU time of the server's threads and of Redis."""

    wall_s: float
    bets: int
    threads_s: Mapping[int, float]  # by the thread's id in the system
    redis_s: float = 0.0

    @property
    def us_per_bet(self) -> float:
        """CPU time of the server and of Redis for each bet."""
        return self.us(sum(self.threads_s.values()) + self.redis_s)

    @property
    def bets_per_s(self) -> float:
        return self.bets / self.wall_s

    def us(self, cpu_s: float) -> float:
        """`cpu_s` for each bet, in microseconds."""
        return cpu_s / self.bets * 1e6


class Sampling(NamedTuple):
    """The stacks that py-spy has kept. So many `readings` were due, and some of them `failed`."""

    stacks: list[Stack]
    readings: int
    failed: int

    @property
    def samples(self) -> int:
        """Stacks in all."""
        return sum(stack.samples for stack in self.stacks)

    def share(self, count: int) -> float:
        """Of the readings that have not failed."""
        return count / (self.readings - self.failed)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the budget. `error_us`: standard error of telling a stage's share from so many samples."""

    line: str
    thread: str
    us: float
    error_us: float
    samples: int


def budget(table: StageTable, parts: Mapping[int, str], plain: Spent, running: Sequence[Stack]) -> list[Line]:
    """What each bet of the `plain` window has cost, each thread's time split as its `running` stacks are.

    In the order of the table. A thread that has used CPU time and was never seen is `OTHER`, so that the
    lines always add up to the whole.
    """
    spent_s: dict[str, float] = {}
    for thread_id, cpu_s in plain.threads_s.items():
        spent_s[parts[thread_id]] = spent_s.get(parts[thread_id], 0.0) + cpu_s
    seen: dict[str, Counter[str]] = {part: Counter() for part in spent_s}
    for stack in running:
        if (part := parts[stack.thread_id]) in seen:
            seen[part][table.stage_of(stack)] += stack.samples
    lines = [Line(REDIS, "redis", plain.us(plain.redis_s), 0.0, 0)]
    for part, cpu_s in spent_s.items():
        of_part, total = plain.us(cpu_s), seen[part].total()
        if not total:
            lines.append(Line(OTHER, part, of_part, of_part, 0))
        for stage, count in seen[part].items():
            share = count / total
            error_us = of_part * math.sqrt(share * (1 - share) / total)
            lines.append(Line(stage, part, of_part * share, error_us, count))
    return sorted((line for line in lines if line.us), key=lambda line: table.lines.index(line.line))


def lock_held(parts: Mapping[int, str], lock: Sampling) -> dict[str, float]:
    """By thread: the share of the time in which it holds the interpreter lock."""
    counts: Counter[str] = Counter()
    for stack in lock.stacks:
        counts[parts[stack.thread_id]] += stack.samples
    return {part: lock.share(count) for part, count in counts.most_common()}


def has_work(
    table: StageTable, parts: Mapping[int, str], running: Sampling, every: Sampling
) -> dict[str, float]:
    """By thread: the share of the time in which it has something to do, whether it gets to do it or not.

    The rest is what it spends in the function from which all else is called, and not running there.
    """
    waits = dict.fromkeys((parts[stack.thread_id] for stack in every.stacks), 0.0)
    for sampling, sign in ((every, 1), (running, -1)):
        for stack in sampling.stacks:
            if table.root_of(stack) is not None:
                waits[parts[stack.thread_id]] += sign * sampling.share(stack.samples)
    return {part: min(1.0, 1.0 - share) for part, share in waits.items() if part != "other threads"}


class Meter:
    """What a wallet has spent, and how many bets its file has got, since it was asked last."""

    def __init__(self, wallet: Wallet) -> None:
        self._server = psutil.Process(wallet.watch["server"])
        self._redis = psutil.Process(wallet.watch["redis"]) if "redis" in wallet.watch else None
        words = self._server.cmdline()
        db = Path(words[words.index("--db") + 1])
        self._file = sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)
        self._last = self._read()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def spent(self) -> Spent:
        """Since the last call, or since the meter was made."""
        before, self._last = self._last, self._read()
        now = self._last
        threads_s = {each: cpu_s - before.threads_s.get(each, 0.0) for each, cpu_s in now.threads_s.items()}
        return Spent(
            now.wall_s - before.wall_s, now.bets - before.bets, threads_s, now.redis_s - before.redis_s
        )

    def _read(self) -> Spent:
        return Spent(
            time.perf_counter(),
            # Under this load each of them is a bet, and their numbers have no gap.
            self._file.execute("SELECT coalesce(max(id), 0) FROM transactions").fetchone()[0],
            {each.id: each.user_time + each.system_time for each in self._server.threads()},
            0.0 if self._redis is None else sum(self._redis.cpu_times()[:2]),
        )


def py_spy() -> str:
    """The profiler's path. Raises `RuntimeError` where there is none."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which("py-spy", path=folders)
    if found is None:
        raise RuntimeError(NO_PY_SPY)
    return found


def py_spy_version() -> str:
    """As it tells itself: it need not be a package of this Python."""
    said = subprocess.run([py_spy(), "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1]


def sample(pid: int, seconds: int, *which: str) -> Sampling:
    """Look at the process for so long. `which` stacks: `--gil`, `--idle`, or nothing for threads that run.

    Raises `RuntimeError` if py-spy cannot, or says what is not understood.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stacks"
        command = [py_spy(), "record", "--pid", str(pid), "--duration", str(seconds), "--format", "raw"]
        command += ["--rate", str(READINGS_PER_S), "--threads", "--nonblocking", "--output", str(path)]
        done = subprocess.run([*command, *which], capture_output=True, text=True)
        said = done.stdout + done.stderr
        if done.returncode != 0 or not path.exists():
            why = NOT_ALLOWED if "permission" in said.lower() else said.strip()
            raise RuntimeError(f"py-spy: status {done.returncode}: {why}")
        failed = re.search(r"Samples: \d+ Errors: (\d+)", said)
        if failed is None:
            raise RuntimeError(f"py-spy: does not say how many readings failed: {said.strip()}")
        sampling = Sampling(read_stacks(path.read_text()), seconds * READINGS_PER_S, int(failed[1]))
    if sampling.failed >= sampling.readings:
        raise RuntimeError(f"py-spy: all {sampling.readings} readings have failed")
    return sampling


@dataclass(frozen=True, slots=True)
class Windows:
    """What the four windows of a run have shown. `sampled`: spent while py-spy looked at what runs."""

    plain: Spent
    cores: dict[str, float]  # in the plain window
    sampled: Spent
    running: Sampling
    lock: Sampling
    every: Sampling


def load_s(seconds: int) -> float:
    """How long the load must last for all windows."""
    return 2 * seconds + 2 * _short(seconds) + STARTS_WITHIN_S


def _short(seconds: int) -> int:
    return max(1, seconds // 2)


def look(wallet: Wallet, load: Future[Figures], warm_up_s: float, seconds: int) -> Windows:
    """One window after the other, while `load` lasts. Raises `RuntimeError` if it does not last so long."""
    pid = wallet.watch["server"]
    with contextlib.closing(Meter(wallet)) as meter:
        while not meter.spent().bets:
            if load.done():
                raise RuntimeError(f"no bet has come into the file: {load.result()}")
            time.sleep(POLL_S)  # nobody tells this process when the driver's connections stand
        began_s = time.monotonic()
        time.sleep(warm_up_s)  # the load runs in a process of its own meanwhile
        meter.spent()
        cpu = machine.CpuMeter(wallet.watch)
        time.sleep(seconds)  # the window in which nobody looks
        plain, cores = meter.spent(), cpu.cores()
        running, sampled = sample(pid, seconds), meter.spent()
        lock, every = sample(pid, _short(seconds), "--gil"), sample(pid, _short(seconds), "--idle")
        if time.monotonic() - began_s > warm_up_s + load_s(seconds):
            raise RuntimeError("py-spy took longer than the load did: is the machine busy otherwise?")
    if not plain.bets:
        raise RuntimeError(f"no bet was confirmed within {seconds} s")
    return Windows(plain, cores, sampled, running, lock, every)


def measure(stand: Stand, table: StageTable, connections: int, in_flight: int, seconds: int) -> Figures:
    """The budget at this shape of the load, and what else the windows have shown, as the JSON has it."""
    with stand.wallet() as wallet:
        sample(wallet.watch["server"], 1, "--idle")  # whether py-spy may: better known before the load
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(wallet.closed_loop, connections, in_flight)
            seen = look(wallet, load, stand.warm_up_s, seconds)
        driven = load.result()
    found = figures(table, seen, driven, main_thread_id=wallet.watch["server"])
    found["wrong"] = checks.driver_faults(driven) + checks.audit_faults([driven], wallet.audit)
    return {"shape": f"{connections}x{in_flight}", "nonces": stand.nonces, **found}


def figures(table: StageTable, seen: Windows, driven: Figures, main_thread_id: int) -> Figures:
    """What the windows come to. `driven`: what the driver has measured, also its own use of the processor."""
    samplings = {"running": seen.running, "lock": seen.lock, "all": seen.every}
    parts = table.parts((stack for each in samplings.values() for stack in each.stacks), main_thread_id)
    lines = budget(table, parts, seen.plain, seen.running.stacks)
    # To the meter, whoever asks is the driver, and that is this process; the real one was among the others.
    cores = dict.fromkeys((line.thread for line in lines), 0.0)
    for line in lines:
        cores[line.thread] += line.us * seen.plain.bets_per_s / 1e6
    cores["driver"] = driven["cores"]["driver"]
    cores["others"] = max(0.0, seen.cores["others"] - cores["driver"])
    found = {
        "budget": [asdict(line) for line in lines],
        "us_per_bet": seen.plain.us_per_bet,
        "bets_per_s": seen.plain.bets_per_s,
        "gil": lock_held(parts, seen.lock),
        "has_work": has_work(table, parts, seen.running, seen.every),
        "cores": cores,
        "sampled": {
            "us_per_bet": seen.sampled.us_per_bet,
            "bets_per_s": seen.sampled.bets_per_s,
            "cores": sum(seen.sampled.threads_s.values()) / seen.sampled.wall_s,
            "running_threads": seen.running.share(seen.running.samples),
        },
        "samples": {
            name: {"stacks": each.samples, "readings": each.readings, "failed": each.failed}
            for name, each in samplings.items()
        },
    }
    return found | {"doubts": [*checks.doubts({"the plain window": found}), *doubts(found)]}


def doubts(found: Figures) -> list[str]:
    """Why the split into stages may be worth less than it looks."""
    other = sum(line["us"] for line in found["budget"] if line["line"] == OTHER) / found["us_per_bet"]
    said = []
    if other > OTHER_MAX:
        said.append(f"{other:.0%} of the budget is {OTHER!r}: bench/stages.py does not know where it goes")
    for name, each in found["samples"].items():
        if each["failed"] > FAILED_MAX * each["readings"]:
            said.append(f"{each['failed'] / each['readings']:.0%} of the readings of {name!r} have failed")
    return said


def render(found: Figures) -> str:
    """Lines, threads, and what a reader must know before believing them."""
    us_per_bet, shape = found["us_per_bet"], found["shape"].replace("x", " connections × ")
    text = [
        f"One bet, {shape} in flight, nonces in {found['nonces']}: {us_per_bet:.1f} µs of CPU "
        f"at {found['bets_per_s']:,.0f} bets/s",
        "",
        f"{'µs':>6}  {'±':>4}  {'share':>6}  {'thread':14} line",
    ]
    for line in found["budget"]:
        share = line["us"] / us_per_bet
        text.append(
            f"{line['us']:6.2f}  {line['error_us']:4.2f}  {share:6.1%}  {line['thread']:14} {line['line']}"
        )
    total = sum(line["us"] for line in found["budget"])
    text += [f"{total:6.2f}  {'':4}  {total / us_per_bet:6.1%}  {'':14} the server and Redis", ""]
    text.append(f"{'thread':14}  {'cores':>6}  {'lock held':>9}  {'has work':>8}")
    for part, cores in found["cores"].items():
        shares = (f"{found[name][part]:.0%}" if part in found[name] else "" for name in ("gil", "has_work"))
        text.append("{:14}  {:6.2f}  {:>9}  {:>8}".format(part, cores, *shares).rstrip())
    sampled, running = found["sampled"], found["samples"]["running"]
    text += [
        "",
        f"The interpreter lock is held for {sum(found['gil'].values()):.0%} of the time.",
        f"{running['stacks']:,} stacks of running threads, {running['failed']} of {running['readings']:,} "
        f"readings failed. On average {sampled['running_threads']:.2f} threads ran or waited for a core, and "
        f"used {sampled['cores']:.2f}; a bet then took {sampled['us_per_bet']:.1f} µs at "
        f"{sampled['bets_per_s']:,.0f} bets/s.",
        *found["doubts"],
        *(f"DOES NOT COUNT: {each}" for each in found["wrong"]),
    ]
    return "\n".join(text)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with `connections` and `in_flight` of its shape."""
    parser = argparse.ArgumentParser(prog="python -m bench.budget", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--shape", default="100x20", metavar="CxK", help="C connections with K bets in flight (100x20)")
    add("--seconds", type=int, default=8, help="of the first two windows, 2 or more; half for the others (8)")
    add("--warm-up", type=float, default=2.0, help="seconds of load before the first look (2)")
    add("--players", type=int, default=10_000, help="seeded wallets (10000)")
    add("--nonces", choices=("redis", "memory"), default="redis", help="where the wallet keeps them (redis)")
    add("--json", action="store_true", help="print JSON instead of the table")
    chosen = parser.parse_args(arguments)
    shape = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", chosen.shape)
    if shape is None:
        parser.error(f"--shape: expected connections and bets in flight, as in 100x20, not {chosen.shape!r}")
    chosen.connections, chosen.in_flight = int(shape[1]), int(shape[2])
    if chosen.seconds < 2 or chosen.warm_up < 0:
        parser.error("--seconds, --warm-up: expected a time, and 2 s or more to look")
    if chosen.players < chosen.connections:
        parser.error(f"--players: one socket is one wallet, so {chosen.connections} connections need as many")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. 0: it counts; 1: it does not, or there is no figure; 2: wrong call, or something is
    missing.
    """
    chosen = options(arguments)
    try:
        py_spy()
        table = StageTable()
        if chosen.nonces == "redis" and redis_executable() is None:
            raise RuntimeError(NO_REDIS)
    except (RuntimeError, LookupError) as error:
        print(f"bench.budget: {error}", file=sys.stderr)
        return WRONG_CALL
    machine.raise_file_limit()
    with machine.work_folder() as folder:
        facts = machine.describe(folder)
        seeded = folder / "seeded.db"
        tokens = [each["token"] for each in seed(seeded, chosen.players, BALANCE_MINOR)]
        stand = Stand(seeded, tokens, chosen.warm_up, load_s(chosen.seconds), chosen.nonces)
        try:
            found = measure(stand, table, chosen.connections, chosen.in_flight, chosen.seconds)
        except RuntimeError as error:
            print("\n".join([f"bench.budget: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
            return DOES_NOT_COUNT
    facts["versions"]["py-spy"] = py_spy_version()
    if chosen.nonces == "redis":
        facts["versions"]["redis-server"] = redis_version()
    print(json.dumps(facts | found, indent=1, ensure_ascii=False) if chosen.json else render(found))
    return DOES_NOT_COUNT if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
