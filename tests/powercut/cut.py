"""Cut the power under a real server, at hundreds of points: nothing acknowledged may be missing.

    python -m tests.powercut.cut --points 500
    python -m tests.powercut.cut --recording FOLDER --seed S --only K      one point again, exactly

A server is recorded once (`load.py`, `recorder.c`). A point is a moment of the recording and one of the disks
that a power cut may leave then (`disk.py`). SQLite recovers that disk, and its books are held against every
answer that had arrived before the moment (`tests/crash/audit.py`); on a sample of points the server itself is
started on it, and has to stand by what it had confirmed.

Exit status: 0 when there is nothing to report; 1 with a line for each finding (the first 40), and then the
recording is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from engine.keys import key_file
from harness.process import Server, solidgreen, token
from harness.wire import connect, now_ms
from tests.crash.audit import audit, read_books
from tests.crash.standing import Standing
from tests.crash.trial import report
from tests.crash.witness import Finding, History
from tests.powercut.disk import Disk
from tests.powercut.load import Evidence, record
from tests.powercut.recording import Kind, Op, read

Json = dict[str, Any]

ACKS = 12_000  # bets of each run: some 5,000 pages of log, more than the engine lets it grow to
SERVED_EVERY = 25  # points; starting a server takes a second or two
AFTER_NS = 300_000  # a cut that is aimed at a call falls at most so long after it
PROGRAM = "tests.powercut.cut"


@dataclass
class Point:
    """One cut, and what was found after it."""

    number: int
    at_ns: int
    acknowledged: int = 0
    """Bets confirmed before it."""
    unsynced: int = 0
    """Calls that no sync had covered."""
    is_served: bool = False
    findings: list[Finding] = field(default_factory=list)


class Recording:
    """The calls of a server, and what its clients had heard, ready to be cut anywhere."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.ops = read(evidence.calls)
        lines = evidence.heard.read_text(encoding="utf-8").splitlines()
        self.records: list[Json] = [json.loads(line) for line in lines]
        self.confirmed_ns = [
            record["at_ns"]
            for record in self.records
            if record.get("heard", {}).get("type") == "bet.confirmed"
        ]
        self._run_ns = [record["at_ns"] for record in self.records if "run" in record]
        self._starts = [self._before_the_first_sync(start) for start in self._run_ns]
        self._rare: dict[tuple[Kind, str, bool], list[Op]] = defaultdict(list)
        for op in self.ops:
            self._rare[op.kind, op.path.removeprefix(str(evidence.db.resolve())), op.offset == 0].append(op)

    def moment(self, number: int, rng: Random) -> int:
        """When the power goes at a point.

        In turn: at any time; within or soon after any call; within or soon after one of a kind, whatever the
        kind (the rare ones are where order matters); as soon as an answer has arrived; after a
        start, when the server tells what it has found and has written nothing yet.
        """
        match number % 5:
            case 0:
                return rng.randint(self.ops[0].begun_ns, self.ops[-1].begun_ns)
            case 1:
                return _about(rng.choice(self.ops), rng)
            case 2:
                return _about(rng.choice(self._rare[rng.choice(sorted(self._rare))]), rng)
            case 3:
                return rng.choice(self.confirmed_ns) + 1
            case _:
                return rng.randint(*rng.choice(self._starts)) + 1

    def _before_the_first_sync(self, start: int) -> tuple[int, int]:
        told = next(
            record["at_ns"] for record in self.records if "heard" in record and record["at_ns"] > start
        )
        syncs = (op.ended_ns for op in self.ops if op.kind is Kind.SYNC and op.begun_ns > told)
        return told, next((ended for ended in syncs if ended is not None), told)

    def is_whole(self) -> bool:
        """Whether the calls, all done, make the very files that the server has left: none was missed."""
        folder = self.evidence.db.parent.resolve()
        disk = Disk(self.ops, str(folder))
        disk.advance(self.ops[-1].begun_ns + 1)
        named = [path for path in folder.glob(f"{self.evidence.db.name}*") if path.suffix != ".lock"]
        return disk.live() == {str(path): path.read_bytes() for path in named}

    def vacuous(self) -> list[Finding]:
        """What was not recorded, so that cutting it proves less than is said."""
        db = str(self.evidence.db.resolve())
        starts = self._run_ns
        stops = [*starts[1:], self.ops[-1].begun_ns]
        carried = [
            any(op.kind is Kind.SYNC and op.path == db and start < op.begun_ns < last for op in self.ops)
            for start, last in zip(starts, self._last_confirmed(starts, stops), strict=True)
        ]
        tried = {
            "three runs": len(starts) == 3,
            "the log carried over under load, in each run": all(carried),
            "a log begun anew over an old one": self._rewound(f"{db}-wal"),
            "bets unknown at a kill": any(
                record.get("sent", {}).get("type") == "bet.get" for record in self.records
            ),
        }
        return [
            Finding("vacuous", what, "not in this recording")
            for what, is_there in tried.items()
            if not is_there
        ]

    def _last_confirmed(self, starts: list[int], stops: list[int]) -> Iterator[int]:
        for start, stop in zip(starts, stops, strict=True):
            yield max((at for at in self.confirmed_ns if start < at < stop), default=start)

    def _rewound(self, log: str) -> bool:
        is_begun = False
        for op in self.ops:
            if op.path == log and op.kind in (Kind.TRUNCATE, Kind.CREATE):
                is_begun = False
            elif op.path == log and op.kind is Kind.WRITE and op.offset == 0:
                if is_begun:
                    return True
                is_begun = True
        return False


def _about(op: Op, rng: Random) -> int:
    within = rng.randint(op.begun_ns, op.ended_ns or op.begun_ns) + 1
    return within if rng.random() < 0.5 else within + rng.randint(0, AFTER_NS)


def cut(
    recording: Recording, numbers: list[int], seed: str, folder: Path, served_every: int
) -> Iterator[Point]:
    """Cut at each of the points `numbers` of `seed`, in the order of their moments; `folder` gets the disks.
    The server is started on each `served_every`th.
    """
    aims = []
    for number in numbers:
        rng = Random(f"{seed}/{number}")
        aims.append((recording.moment(number, rng), number, rng))
    disk = Disk(recording.ops, str(recording.evidence.db.parent.resolve()))
    history, taken_in = History(), 0
    for at_ns, number, rng in sorted(aims, key=lambda aim: aim[:2]):
        disk.advance(at_ns)
        while taken_in < len(recording.records) and recording.records[taken_in]["at_ns"] < at_ns:
            history.add(recording.records[taken_in])
            taken_in += 1
        point = Point(number, at_ns, history.confirmed, disk.unsynced)
        beside = folder / str(number)
        beside.mkdir()
        for path, content in disk.after_a_cut(rng).items():
            (beside / Path(path).name).write_bytes(content)
        db = beside / recording.evidence.db.name
        point.findings += _judge(db, history)
        if number % served_every == 0 and history.seeded and not point.findings:
            point.is_served = True
            point.findings += _serve(db, history, rng)
        shutil.rmtree(beside)
        yield point


def _judge(db: Path, history: History) -> list[Finding]:
    if not db.exists():
        # Its name is on disk before its first wallet is promised.
        return [Finding("lost", "the database", "there is no file")] if history.seeded else []
    try:
        books = read_books(db)
    except sqlite3.Error as error:
        return [Finding("damaged_file", "database", str(error))]
    if history.seeded and not key_file(db).exists():
        return [Finding("lost", "the key that signs", "there is no file")]
    return audit(books, history, may_be_open=True)


def _serve(db: Path, history: History, rng: Random) -> list[Finding]:
    """What the command line and a server make of the disk: it verifies, a confirmed bet is replayed as it was
    told, and it verifies still."""
    findings = [*_verified(db)]
    confirmed = history.standing(Standing.CONFIRMED)
    with Server(db) as server:
        if confirmed:
            one = rng.choice(confirmed)
            request = one.request | {"sent_at": now_ms()}
            answer = asyncio.run(_ask(server.ws, token(db, one.user_id), request))
            told = one.acknowledgement or {}
            if not answer.get("replayed") or answer["transaction_id"] != told["transaction_id"]:
                findings.append(Finding("answered_anew", one.bet_id, f"{told}, then {answer}"))
    return [*findings, *_verified(db)]


async def _ask(url: str, bearer: str, request: Json) -> Json:
    async with connect(url, bearer) as wire:
        return await wire.ask(request)


def _verified(db: Path) -> Iterator[Finding]:
    done = solidgreen("verify", "--db", str(db), check=False)
    if done.returncode != 0:
        yield Finding("verify", f"status {done.returncode}", f"{done.stdout}{done.stderr}")


def summary(shown: list[Point], took_s: float) -> str:
    """The whole trial in a few lines."""
    found = [finding.check for point in shown for finding in point.findings]
    return "\n".join(
        (
            f"points        {len(shown)}, of which with unsynced calls {sum(p.unsynced > 0 for p in shown)};"
            f" {took_s:.0f} s",
            f"acknowledged  up to {max(point.acknowledged for point in shown)} bets;"
            f" checked {sum(point.acknowledged for point in shown)} times",
            f"served        {sum(point.is_served for point in shown)}",
            f"points with loss {sum(any(f.check == 'lost' for f in p.findings) for p in shown)}",
            f"lost          {found.count('lost')}",
            f"duplicated    {found.count('duplicated')}",
            f"findings      {len(found)}",
        )
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cut", description="Cut the power, and check the books.")
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--acks", type=int, default=ACKS, help="least acknowledgements of each of three runs")
    parser.add_argument("--sockets", type=int, default=24, help="open at once, at least 6 (default 24)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="for the points; a fresh one is printed")
    parser.add_argument("--recording", type=Path, help="cut this one, kept by an earlier trial")
    parser.add_argument("--only", type=int, help="this point alone; its disk is as it was, for the same seed")
    parser.add_argument(
        "--server", default="cli.main", help="what is recorded: one of tests.broken must be found out"
    )
    options = parser.parse_args(arguments)
    if options.points < 1 or options.sockets < 6 or options.acks < 1:
        parser.error("at least 1 point, 6 sockets and 1 acknowledgement")

    folder = options.recording or Path(tempfile.mkdtemp(prefix="power-cut-"))
    print(f"seed {options.seed}; recording in {folder}", flush=True)
    evidence = Evidence(folder)
    if options.recording is None:
        record(evidence, sockets=options.sockets, acks=options.acks, seed=options.seed, module=options.server)
    recording = Recording(evidence)
    findings = recording.vacuous()
    if options.recording is None and not recording.is_whole():
        findings.append(Finding("recorder", "calls", "they do not make the files that the server has left"))
    numbers = list(range(options.points)) if options.only is None else [options.only]
    began, shown = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="power-cut-disks-") as disks:
        for point in cut(recording, numbers, options.seed, Path(disks), SERVED_EVERY):
            shown.append(point)
            if point.findings:
                print(
                    f"point {point.number}: {len(point.findings)} findings; again: python -m {PROGRAM}"
                    f" --recording {folder} --seed {options.seed} --only {point.number}",
                    flush=True,
                )
                findings += point.findings
    print(summary(shown, time.monotonic() - began))
    if not findings and options.recording is None:
        shutil.rmtree(folder)
    return report(findings)


if __name__ == "__main__":
    sys.exit(main())
