"""Run seeds: `python -m tests.sim.run --seeds 10000`, or one of them again: `--seed 4711 -v`.

Python keys the hashes of strings with a secret unless it is told not to, and the order of a set can be what
a fault hangs on: so this starts itself anew with PYTHONHASHSEED=0. Exit status: 0 nothing was found, 1
something.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from typing import Final

from tests.sim.controls import CONTROLS
from tests.sim.play import Verdict, folder, play
from tests.sim.template import template

TAIL: Final = 60
"""Lines of the trace that a failure shows."""

FOUND_MAX: Final = 10
"""Findings after which nobody needs another one."""

CHUNK: Final = 20
"""Seeds that a process takes at a time."""

CHUNKS_A_PROCESS: Final = 25
"""Then another takes its place: of each seed some 1.2 MB stay (over 4,500 of them; not known why)."""


_AS_EVER: Final = (signal.SIGTERM, signal.SIG_DFL)
"""For the processes of a pool: the first process cleans up."""


class Stopped(KeyboardInterrupt):
    """SIGTERM: say how far it came, and leave nothing behind. Any other exception would stay within asyncio,
    if it was raised in a callback."""


def _stop(number: int, frame: object) -> None:
    raise Stopped


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--control", choices=CONTROLS, help="with this guard removed, until it is found")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", help="one object for other programs")
    parser.add_argument("-v", dest="verbose", action="store_true", help="the whole trace of --seed")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tests.sim.run", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else [asked.seed]
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.closing(_verdicts(seeds, asked.jobs, asked.control)) as verdicts:
        return _report(verdicts, asked, began_s)


def _report(verdicts: Iterator[Verdict], asked: argparse.Namespace, began_s: float) -> int:
    struck: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    found: list[Verdict] = []
    digests: dict[int, str] = {}
    with contextlib.suppress(Stopped):
        for verdict in verdicts:
            struck += verdict.struck
            answers += verdict.answers
            digests[verdict.seed] = verdict.digest
            if verdict.finding is not None:
                found.append(verdict)
                if not asked.json:
                    _show(verdict, len(verdict.tail) if asked.verbose else TAIL)
                if asked.control or len(found) == FOUND_MAX:
                    break
            elif asked.verbose and asked.seed is not None:
                _show(verdict, len(verdict.tail))
    if asked.json:
        findings = {verdict.seed: verdict.finding for verdict in found}
        told = {"seeds": len(digests), "findings": findings, "struck": struck, "answers": answers}
        print(json.dumps(told | {"digests": digests}))
    else:
        took_s = time.monotonic() - began_s
        _coverage(struck, answers)
        rate = len(digests) / took_s
        print(f"{len(digests)} seeds in {took_s:.0f} s ({rate:.1f} a second), {len(found)} with a finding")
    return 1 if found else 0


def _verdicts(seeds: Iterable[int], jobs: int, control: str | None) -> Generator[Verdict]:
    tasks = [(seed, control) for seed in seeds]
    with folder():
        if jobs == 1 or len(tasks) <= CHUNK:
            yield from map(_play, tasks)
            return
        context = multiprocessing.get_context("fork")
        with context.Pool(jobs, signal.signal, _AS_EVER, maxtasksperchild=CHUNKS_A_PROCESS) as pool:
            yield from pool.imap(_play, tasks, chunksize=CHUNK)


def _play(task: tuple[int, str | None]) -> Verdict:
    seed, control = task
    template()  # made by the engine as it is
    removed = CONTROLS[control][0]() if control else contextlib.nullcontext()
    with removed:
        verdict = play(seed)
    if verdict.finding is None and multiprocessing.parent_process() is not None:
        verdict.tail.clear()  # nobody will read it
    return verdict


def _show(verdict: Verdict, lines: int) -> None:
    print(*verdict.tail[-lines:], sep="\n")
    print(f"seed {verdict.seed}: {verdict.finding or 'nothing found'}")
    print(f"again: python -m tests.sim.run --seed {verdict.seed} -v\n", flush=True)


def _coverage(struck: Counter[str], answers: Counter[str]) -> None:
    for title, counts in (("what went wrong", struck), ("what was said", answers)):
        print(f"{title}:")
        for what, count in sorted(counts.items()):
            print(f"  {count:>9,}  {what[:90]}")


if __name__ == "__main__":
    sys.exit(main())
