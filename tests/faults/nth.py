"""A fault at the Nth write, cut or sync of the database's files, once and for good, for each N reached.

    python -m tests.faults.nth                    every N, EIO and ENOSPC, once and for good
    python -m tests.faults.nth --every 17         every 17th of them
    python -m tests.faults.nth --without doubt    with a guard removed: the same audit must find lies

The disk is `nth.c`, built with the machine's C compiler and preloaded. One process imports everything and
forks another for each case, which forks the one that plays (`workload.py`) and then does what a restart does:
opens the file on a sound disk, audits what was told (`bank.py`), asks again for what is open, audits again.

Exit status: 0 when there is nothing to report; 1 with a line for each finding (the first 40).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import errno
import itertools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.accounts import open_books, open_wallets
from engine.commands import Deposit
from engine.errors import BatchRefused, CommitUnknown, FileUnusable
from engine.store import Asked, Store
from engine.writer import Writer
from harness.preload import compiled
from tests.crash.trial import report
from tests.faults.bank import CONFIRMED, OPENING_MINOR, UNKNOWN, lies, unresolved
from tests.faults.workload import ALICE, BOB, NOW_US, Log, ask_again, play, read_log

SOURCE = Path(__file__).with_name("nth.c")
NAME = "books.db"
OPS = ("write", "cut", "sync")
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
PLAY_WITHIN_S = 30


@dataclass(frozen=True)
class Case:
    """Which call fails, and how."""

    op: str
    n: int
    error: str = "EIO"
    for_good: bool = False

    def __str__(self) -> str:
        return f"{self.error} at {self.op} {self.n}, {'for good' if self.for_good else 'once'}"


@dataclass
class Shown:
    """What one case has shown."""

    case: str = ""
    counts: list[int] = field(default_factory=list)
    checkpoints: dict[str, int] = field(default_factory=dict)
    is_hit: bool = False
    where: str = ""
    opened: bool = False
    failure: str | None = None
    told: int = 0
    confirmed: int = 0
    unknown: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)


def build(folder: Path) -> Path:
    """The disk that fails, as a library to preload."""
    return compiled(SOURCE, folder)


def disk() -> ctypes.CDLL:
    """The library that this process was started with."""
    library = ctypes.CDLL(None)
    library.nth_count.restype = library.nth_hits.restype = ctypes.c_long
    library.nth_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    return library


def cases(reached: Sequence[int], every: int, errors: Sequence[str]) -> Iterator[Case]:
    """Each op that was reached, or every so manyth of them; always one of each kind."""
    kinds = itertools.product(errors, (False, True), zip(OPS, reached, strict=True))
    for number, (error, for_good, (op, most)) in enumerate(kinds):
        first = 1 + number * every // 3 % min(every, most)  # not the same ones of each kind
        yield from (Case(op, n, error, for_good) for n in range(first, most + 1, every))


def seed(path: Path) -> Path:
    """Books with two players, as a crash leaves them: with a log that is still to be written back."""

    async def run() -> None:
        store = await Store.open(path, create=True)
        await store.set_up(lambda connection: open_books(connection, "EUR"))
        await store.set_up(lambda connection: open_wallets(connection, "EUR", 2))
        await store.refresh_books()
        openings = [Deposit(user, OPENING_MINOR, key=f"open-{user}", caller="test") for user in (ALICE, BOB)]
        await store.commit([Asked(each) for each in openings], NOW_US)
        for end in ("", "-wal", ".signing-key"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{path}{end}", path.with_name(f"seed{end}"))
        await store.close()

    asyncio.run(run())
    return path.with_name("seed")


# --- one case ---------------------------------------------------------------------------------------------


def run_case(case: Case, seeded: Path, folder: Path, guard_removed: str | None) -> Shown:
    """Play with this fault in a process of its own, and be the bank that comes after it."""
    path = folder / NAME
    for end in ("", "-wal", ".signing-key"):
        shutil.copy(f"{seeded}{end}", f"{path}{end}")
    shown = Shown(str(case))
    log_path = folder / "answers"
    player = os.fork()
    if not player:
        _play_and_exit(case, path, log_path, guard_removed)
    shown.findings += _wait_for(player)
    told, notes = read_log(log_path)
    shown.counts, shown.is_hit = notes.get("counts", []), bool(notes.get("hits"))
    shown.where = _file(notes)
    shown.checkpoints = notes.get("checkpoints", {})
    shown.opened, shown.failure = bool(notes.get("opened")), notes.get("failure")
    if "died" in notes:
        shown.findings.append(f"it died: {notes['died']}")
    shown.told = len(told)
    open_ = unresolved(told)
    shown.confirmed = sum(each.said == CONFIRMED for each in told)
    shown.unknown = sum(said == UNKNOWN for said in open_.values())
    shown.refused = len(open_) - shown.unknown
    shown.findings += _went_on_or_stopped(case, notes, len(open_))
    try:
        asyncio.run(_restart(path))
        shown.findings += lies(path, told)
        again = asyncio.run(ask_again(path, open_))
        shown.findings += [
            f"{each.key} is {each.said} after the restart" for each in again if each.said != CONFIRMED
        ]
        shown.findings += lies(path, [*told, *again])
    except Exception as error:  # whatever it is, it is a finding about this case
        shown.findings.append(f"after the restart: {error!r}")
    return shown


def _file(notes: dict[str, Any]) -> str:
    """Which one met the fault first."""
    return ("", "database", "log", "index")[notes.get("where", 0)]


async def _restart(path: Path) -> None:
    await (await Store.open(path)).close()


def _went_on_or_stopped(case: Case, notes: dict[str, Any], open_: int) -> Iterator[str]:
    """A disk that is broken for good, or may have lost something, must have ended the taking of money; one
    that was full must not."""
    hits_before_the_end = notes.get("hits_played", 0)
    if not hits_before_the_end or not notes.get("opened"):
        return
    if case.error == "EIO" and case.for_good and notes.get("failure") is None:
        yield "the disk is broken for good, and money is taken"
    # Only checkpoints touch the database. A sync that failed may succeed next time, without the lost pages.
    is_unsafe = case.op == "sync" or (case.error == "EIO" and notes.get("where") == 1)
    if is_unsafe and notes.get("failure") is None:
        yield f"{case.op} of the {_file(notes)} has failed, and money is taken"
    is_full = case.error == "ENOSPC" and case.op == "write" and notes.get("where") in (1, 2)
    if is_full and (notes.get("failure") is not None or open_):
        yield f"the disk was full for a while: {open_} commands are open, {notes.get('failure')}"


def _wait_for(player: int) -> Iterator[str]:
    until = time.monotonic() + PLAY_WITHIN_S
    while time.monotonic() < until:
        ended, status = os.waitpid(player, os.WNOHANG)
        if ended:
            if status:
                yield f"it ended with {os.waitstatus_to_exitcode(status)}"
            return
        time.sleep(0.005)
    os.kill(player, signal.SIGKILL)
    os.waitpid(player, 0)
    yield f"it hung for {PLAY_WITHIN_S} s"


def _play_and_exit(case: Case, path: Path, log_path: Path, guard_removed: str | None) -> None:
    logging.disable()  # the batcher says so each time, which is a thousand times
    library, log = disk(), Log(log_path)
    if guard_removed is not None:
        GUARDS[guard_removed]()

    def note_the_disk(hits: str = "hits") -> None:
        log.note(hits, library.nth_hits())
        log.note("where", library.nth_where())
        log.note("counts", [library.nth_count(op) for op in range(len(OPS))])

    full_rounds = 0

    def space_returns() -> None:
        """A round after the one in which the disk was full."""
        nonlocal full_rounds
        full_rounds += library.nth_hits() > 0
        if case.error == "ENOSPC" and full_rounds == 2:
            library.nth_disarm()

    library.nth_arm(NAME.encode(), OPS.index(case.op), case.n, ERRORS[case.error], case.for_good)
    checkpoints = _count_checkpoints()
    played = log.note

    def noting(what: str, value: Any) -> None:
        if what == "played":
            log.note("checkpoints", checkpoints)
            note_the_disk("hits_played")
            note_the_disk()
        played(what, value)

    log.note = noting  # type: ignore[method-assign]
    try:
        # Half of the cases end as by kill -9: what is in the log alone must be enough.
        asyncio.run(play(path, log, space_returns, is_killed=case.for_good))
    except FileUnusable:
        pass  # it did not start, so nobody was told anything
    except BaseException as error:
        log.note("died", repr(error))
    note_the_disk()
    os._exit(0)


def _count_checkpoints() -> dict[str, int]:
    """How many there were of each kind, from here on."""
    counts = {"of the writer": 0, "of the keeper": 0, "that cut": 0}
    write_back, checkpoint = Store._write_back, Store.checkpoint

    async def counting_due(self: Store) -> None:
        counts["of the writer"] += 1
        counts["of the keeper"] -= 1
        await write_back(self)

    async def counting(self: Store, wait_ms: int | None = None) -> bool:
        counts["of the keeper" if wait_ms is None else "that cut"] += 1
        return await checkpoint(self, wait_ms)

    Store._write_back = counting_due  # type: ignore[method-assign]
    Store.checkpoint = counting  # type: ignore[method-assign]
    return counts


# --- guards removed: each must be found ---------------------------------------------------------------------


def _without_doubt() -> None:
    """Whatever COMMIT says, the batch is taken to have failed, and the next one begins."""

    def commit(self: Writer, connection: Any) -> None:
        try:
            connection.execute("COMMIT")
        except Exception as error:
            self._roll_back(connection)
            raise BatchRefused("commit", str(error)) from error

    Writer._commit = commit  # type: ignore[method-assign]
    Writer.heed = lambda self, operation, error: None  # type: ignore[method-assign]


def _too_early() -> None:
    """Confirmed before COMMIT: whatever becomes of it afterwards, it was said."""
    write = Writer.write

    def written(self: Writer, *arguments: Any) -> bool:
        with contextlib.suppress(BatchRefused, CommitUnknown):
            return write(self, *arguments)
        return True

    Writer.write = written  # type: ignore[assignment]


def _unheeded() -> None:
    """A checkpoint that has failed is no more than that, and the next one is believed."""
    Writer.heed = lambda self, operation, error: None  # type: ignore[method-assign]


GUARDS = {"doubt": _without_doubt, "patience": _too_early, "heed": _unheeded}


# --- all of them ------------------------------------------------------------------------------------------


def run_all(
    todo: Sequence[Case], seeded: Path, folder: Path, jobs: int, without: str | None
) -> Iterator[Shown]:
    """Each case in a process of its own, `jobs` at a time."""
    waiting, running = list(reversed(todo)), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            case = waiting.pop()
            place = Path(tempfile.mkdtemp(dir=folder))
            child = os.fork()
            if not child:
                shown = run_case(case, seeded, place, without)
                (place / "shown").write_text(json.dumps(asdict(shown)))
                os._exit(0)
            running[child] = case, place
        ended, _ = os.wait()
        case, place = running.pop(ended)
        result = place / "shown"
        if result.exists():
            yield Shown(**json.loads(result.read_text()))
        else:
            yield Shown(str(case), findings=["the audit itself died"])
        shutil.rmtree(place)


def _reached(seeded: Path, folder: Path) -> Sequence[int]:
    """How many calls of each op there are on a sound disk."""
    (shown,) = run_all([Case("write", 0)], seeded, folder, 1, None)
    assert not shown.findings, shown.findings
    assert min(shown.checkpoints.values()) > 0, f"a kind of checkpoint is not tried: {shown.checkpoints}"
    return shown.counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; prints a summary, as JSON with `--json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", choices=sorted(ERRORS))
    parser.add_argument("--op", choices=OPS, help="fail only these calls")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without", choices=sorted(GUARDS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    # In memory where that is possible: what a real disk forgets is the power cut's matter, not ours.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        folder = Path(name)
        if not hasattr(ctypes.CDLL(None), "nth_arm"):
            environment = os.environ | {"LD_PRELOAD": str(build(folder))}
            again = [
                sys.executable,
                "-m",
                "tests.faults.nth",
                *(sys.argv[1:] if arguments is None else arguments),
            ]
            return subprocess.run(again, env=environment, check=False).returncode
        seeded = seed(folder / NAME)
        reached = _reached(seeded, folder)
        todo = list(cases(reached, options.every, [options.only] if options.only else list(ERRORS)))
        todo = [case for case in todo if options.op in (None, case.op)]
        all_shown = list(run_all(todo, seeded, folder, options.jobs, options.without))
    summary = _summary(reached, all_shown)
    findings = [f"{shown.case}: {finding}" for shown in all_shown for finding in shown.findings]
    if options.json:
        print(json.dumps({"summary": summary, "findings": findings}))
        return 1 if findings else 0
    print(*(f"{name}: {value}" for name, value in summary.items()), sep="\n")
    return report(findings)


def _summary(reached: Sequence[int], all_shown: Sequence[Shown]) -> dict[str, Any]:
    hit = [shown for shown in all_shown if shown.is_hit]
    return {
        "reached": dict(zip(OPS, reached, strict=True)),
        "cases": len(all_shown),
        "met their fault": len(hit),
        "in the database, the log, the index": [
            sum(shown.where == where for shown in hit) for where in ("database", "log", "index")
        ],
        "did not start": sum(not shown.opened for shown in hit),
        "stopped taking money": sum(shown.failure is not None for shown in hit),
        "went on": sum(shown.opened and shown.failure is None for shown in hit),
        "answers": sum(shown.told for shown in all_shown),
        "confirmed": sum(shown.confirmed for shown in all_shown),
        "unknown until the restart": sum(shown.unknown for shown in all_shown),
        "refused at last": sum(shown.refused for shown in all_shown),
        "findings": sum(len(shown.findings) for shown in all_shown),
    }


if __name__ == "__main__":
    sys.exit(main())
