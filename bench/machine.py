"""Where a figure was taken: machine, commit, versions, disk; and who used the processor meanwhile."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
"""Where results are kept."""

PACKAGES = (
    "aiosqlite", "httptools", "msgspec", "picows", "redis", "starlette", "uvicorn", "uvloop", "websockets",
)  # fmt: skip
SYNCS = 200
PAGE_BYTES = 4_096
FILES_WANTED = 65_536  # 5,000 connections and room to spare; the hard limit may be without end


def describe(folder: Path) -> dict[str, Any]:
    """What a figure depends on and a reader cannot guess. `folder` is where the ledger lies."""
    return {
        "machine": {
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "memory_mib": psutil.virtual_memory().total >> 20,
            "system": platform.platform(),
            "load_before": os.getloadavg(),
            "fdatasync_p50_us": fdatasync_p50_us(folder),
        },
        "commit": git("rev-parse", "HEAD"),
        "uncommitted": bool(git("status", "--porcelain")),
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            **{package: version(package) for package in PACKAGES},
        },
    }


@contextlib.contextmanager
def work_folder(beside: Path = OUT) -> Iterator[Path]:
    """A new folder beside the results, which goes again. The system's folder for temporary files may be
    memory, where a sync is free."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix="work-") as folder:
        yield Path(folder)


def raise_file_limit() -> int:
    """Let this process and those that it starts open as many files as the system allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def cpu_model() -> str:
    """The processor's name as Linux tells it, or what the platform module knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def git(*arguments: str) -> str | None:
    """What git says, or None outside a checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def fdatasync_p50_us(folder: Path) -> float:
    """Median of 200 times appending 4 KiB and waiting until the disk has it. About 0 means: no real disk."""
    took_ns = []
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
    path = folder / "fdatasync.probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(SYNCS):
            os.write(descriptor, bytes(PAGE_BYTES))
            started_ns = time.perf_counter_ns()
            sync(descriptor)
            took_ns.append(time.perf_counter_ns() - started_ns)
    finally:
        os.close(descriptor)
        path.unlink()
    return round(median(took_ns) / 1_000, 1)


class CpuMeter:
    """CPU time of the watched processes, of the driver that asks, and of all others, in cores."""

    def __init__(self, watch: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in watch.items()}
        self._processes["driver"] = psutil.Process()
        self._start = self._read()

    def _read(self) -> dict[str, float]:
        spent = {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        # Guest time is counted as user time too (proc(5)), so it is not added again.
        busy = sum(machine) - idle - getattr(machine, "guest", 0.0) - getattr(machine, "guest_nice", 0.0)
        return spent | {"machine": busy, "clock": time.perf_counter()}

    def cores(self) -> dict[str, float]:
        """Mean cores in use since the meter was made; `others`: what nobody here is known to have used."""
        now = self._read()
        elapsed_s = now.pop("clock") - self._start["clock"]
        used = {name: (value - self._start[name]) / elapsed_s for name, value in now.items()}
        used["others"] = max(0.0, used.pop("machine") - sum(used[name] for name in self._processes))
        return {name: round(value, 3) for name, value in used.items()}
