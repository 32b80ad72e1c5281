"""Books that earlier versions of this program made (tests/old_files), and steps that there are not yet."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from cli.upgrade import LOGGED_FROM_VERSION
from engine import audit_log, files, steps, upgrades
from engine.actors import at_a_shell
from engine.deeds import ACCEPTED
from engine.steps import MANIFEST, known_steps, statements

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
OLD_FILES = sorted((Path(__file__).resolve().parent / "old_files").glob("v*.tar.xz"))
LATER: Final = "LATER_STEPS"
"""The variable that names the folder of steps which `tests.broken.later` takes for its own."""

NOTES = """
-- A later table; the semicolon here ends nothing.
CREATE TABLE later_notes (
    id INTEGER PRIMARY KEY, -- nor here;
    user_id INTEGER NOT NULL REFERENCES users (id),
    note TEXT NOT NULL DEFAULT 'a;b'
) STRICT;
CREATE TRIGGER later_notes_are_never_updated BEFORE UPDATE ON later_notes
BEGIN SELECT RAISE(ABORT, 'later_notes is append-only'); END;
INSERT INTO later_notes (user_id) SELECT id FROM users WHERE kind = 'player';
"""
RULES = """
DROP TRIGGER repairs_are_never_updated;
CREATE TRIGGER repairs_are_never_updated BEFORE UPDATE ON repairs
BEGIN SELECT RAISE(ABORT, 'repairs is append-only, still'); END;
CREATE INDEX later_notes_by_user ON later_notes (user_id);
"""
STEPS = (NOTES, RULES)


class Old(NamedTuple):
    """The books of an earlier version, and what that program said of them."""

    db: Path
    said: Json


def unpacked(archive: Path, folder: Path) -> Old:
    """The files of an earlier version, in a folder of their own."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    db = folder / archive.name.replace(".tar.xz", ".db")
    for secret in (db, *folder.glob("*.jwt-secret"), *folder.glob("*.signing-key")):
        secret.chmod(0o600)
    return Old(db, json.loads((folder / "said.json").read_text()))


def brought_to(db: Path, version: int) -> Path:
    """The file as a program of that version would have upgraded it: by the steps, and by the deed that says
    since when deeds are told."""
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as connection:
        (now,) = connection.execute("PRAGMA user_version").fetchone()
        for step in known_steps()[now:version]:
            for statement in statements(step.sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step.version}")
        if now < LOGGED_FROM_VERSION <= version:
            (last,) = connection.execute("SELECT max(id) FROM transactions").fetchone()
            subject = {"from_version": now, "to_version": version, "logged_after": last}
            audit_log.record(connection, at_a_shell("op@then"), "schema.upgrade", subject, ACCEPTED, 1)
    return db


def later_steps(folder: Path, *scripts: str) -> Path:
    """The steps that there are, and `scripts` as the next ones, in a folder with a manifest."""
    shutil.copytree(ROOT / "upgrades", folder)
    for number, script in enumerate(scripts, start=files.SCHEMA_VERSION + 1):
        (folder / f"{number:04}_later.sql").write_text(script)
    list_steps(folder)
    return folder


def list_steps(folder: Path) -> None:
    """Write the manifest anew."""
    lines = [
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in folder.glob("*.sql")
    ]
    (folder / MANIFEST).write_text("".join(lines))


def know(folder: Path, patch: pytest.MonkeyPatch) -> int:
    """Be the program that has these steps; the newest version."""
    own = files.SCHEMA_VERSION
    later = [each.read_text() for each in sorted(folder.glob("*.sql"))][own:]
    schema = files.schema_sql() + "\n".join(later)
    for module in (files, upgrades):
        patch.setattr(module, "schema_sql", lambda: schema)
    patch.setattr(files, "SCHEMA_VERSION", own + len(later))
    patch.setattr(steps, "folder", lambda: folder)
    return own + len(later)


def know_as_told() -> None:
    """The same in a process of its own, for good."""
    know(Path(os.environ[LATER]), pytest.MonkeyPatch())
