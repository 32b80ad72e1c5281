"""Play one seed: a world of its own, on a fresh file, in which time is virtual."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partialmethod
from pathlib import Path
from typing import Any, Final
from unittest import mock

from batcher.policy import Queue
from tests.sim.evidence import Finding
from tests.sim.network import scaled
from tests.sim.seams import seams
from tests.sim.server import identify
from tests.sim.template import template
from tests.sim.world import World

shed_by_the_queue: Final = Queue._shed


@dataclass
class Verdict:
    """What became of a seed."""

    seed: int
    finding: str | None
    digest: str
    struck: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    tail: list[str] = field(default_factory=list)


def play(seed: int) -> Verdict:
    """Run one seed; what was found, if anything, and what happened on the way."""
    collects = gc.isenabled()
    gc.disable()  # what it frees, and when, would depend on the seeds before
    made = template()
    world = World(seed, _file(made.image), made.players)
    logger = logging.getLogger("solidgreen")
    before = (logger.level, logger.propagate)
    logger.addHandler(world.trace)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    finding = None
    try:
        with (
            world.scheduler.as_the_time(),
            seams(world.disk),
            scaled(world.scale),
            mock.patch("ws.sockets.session.identify", identify),
            mock.patch.object(Queue, "_shed", partialmethod(_shed, world)),
        ):
            try:
                world.run()
            except Finding as found:
                finding = str(found)
            world.supervisor.kill()
    finally:
        logger.removeHandler(world.trace)
        logger.level, logger.propagate = before
        if collects:
            gc.enable()
    world.note("VERDICT", finding)
    return Verdict(
        seed,
        finding,
        world.trace.digest(),
        world.weather.struck,
        world.auditor.answers + world.trace.logged,
        world.scheduler.turns,
        world.trace.lines,
    )


def _shed(queue: Queue[Any], world: World, now_us: int) -> list[Any]:
    """Tells the world of what the queue sheds."""
    shed = shed_by_the_queue(queue, now_us)
    if shed:
        world.shed(len(shed))
    return shed


def _file(image: bytes) -> Path:
    """A fresh copy of the template: one for each process."""
    path = _folder() / f"{os.getpid()}.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(image)
    return path


@cache
def _folder() -> Path:
    in_memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="solidgreen-sim-", dir=in_memory if in_memory.is_dir() else None))


@contextlib.contextmanager
def folder() -> Iterator[None]:
    """Where the files are, in memory if possible; gone afterwards. Also for processes that this one forks."""
    made = _folder()
    try:
        yield
    finally:
        shutil.rmtree(made)
        _folder.cache_clear()
