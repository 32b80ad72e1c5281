"""A disk that gets full in the midst of `solidgreen upgrade`, at one write after the other (`nth.c`).

    LD_PRELOAD=nth.so python -m tests.faults.full_upgrade FOLDER EVERY

Each case has a process of its own, forked once everything is imported. Prints what each has shown, as JSON.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import sqlite3
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from cli.main import main
from engine.files import SCHEMA_VERSION
from tests.faults.nth import NAME, OPS, disk
from tests.old_books import OLD_FILES, unpacked

WATCHED: Final = (NAME, "copy.db")
"""The file with its log, and the copy of it that is made first."""


@dataclass
class Shown:
    """What a case has shown."""

    case: str
    status: int = -1
    said: str = ""
    hits: int = 0
    count: int = 0
    findings: list[str] = field(default_factory=list)


def content(path: Path) -> list[str]:
    """Every row and rule, by a reader that writes nothing back."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return [str(version), *connection.iterdump()]


def upgrade(path: Path, *options: str) -> tuple[int, str]:
    """The exit status, and what was said on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = main(["upgrade", "--db", str(path), *options])
    return status, said.getvalue()


def run_case(made: Path, folder: Path, watched: str, n: int) -> Shown:
    """Full from the `n`th write on (0: never), and then sound again."""
    path = folder / NAME
    shutil.copytree(made.parent, folder)
    shown = Shown(f"{watched} {n}")
    before = content(path)
    answer = folder / "answer"
    if not (child := os.fork()):
        library = disk()
        library.nth_arm(watched.encode(), OPS.index("write"), n, errno.ENOSPC, 1)
        status, said = upgrade(path)
        answer.write_text(json.dumps([status, said, library.nth_hits(), library.nth_count(0)]))
        os._exit(0)
    os.waitpid(child, 0)
    shown.status, shown.said, shown.hits, shown.count = json.loads(answer.read_text())
    after = content(path)
    is_new = after[0] == str(SCHEMA_VERSION)
    if not is_new and after != before:
        shown.findings.append("it is neither the one nor the other")
    if is_new != (shown.status == 0):
        shown.findings.append(f"status {shown.status}, and it is {'' if is_new else 'not '}upgraded")
    if any(each.name.endswith("-unfinished") for each in folder.iterdir()):
        shown.findings.append("what was not finished is still there")
    left = [each for each in folder.glob(f"{NAME}.before-upgrade-*") if shown.status]
    untold = [each for each in left if f"the copy of it as it was is {each}\n" not in shown.said]
    shown.findings += [f"it does not say that it has left {each.name}" for each in untold]
    if (again := upgrade(path, "--no-backup")) != (0, ""):
        shown.findings.append(f"the next run: {again}")
    shutil.rmtree(folder)
    return shown


def made_old(folder: Path) -> Path:
    """Books of the first version, with its archives and keys, under the name that `nth.c` watches."""
    folder.mkdir()
    old = unpacked(OLD_FILES[0], folder)
    for each in folder.glob(f"{old.db.name}*"):
        each.rename(each.with_name(each.name.replace(old.db.name, NAME)))
    return folder / NAME


def run(folder: Path, every: int) -> list[Shown]:
    """All cases: of each file every so manyth write, and the last one."""
    made = made_old(folder / "made")
    shown = []
    for watched in WATCHED:
        well = run_case(made, folder / "case", watched, 0)
        shown.append(well)
        numbers = sorted({*range(every, well.count + 1, every), well.count})
        shown += [run_case(made, folder / "case", watched, n) for n in numbers]
    return shown


if __name__ == "__main__":
    print(json.dumps([asdict(each) for each in run(Path(sys.argv[1]), int(sys.argv[2]))]))
