"""The steps from each schema version to the next: `upgrades/NNNN_name.sql`; the first is all of version 1.

A step that was released is never edited: files out there were made by it. Its SHA-256 stands in
`upgrades/SHA256SUMS`, and a step that differs from that is refused here. All steps together make
`schema.sql`, word for word (tests/test_steps.py), so the schema of every version can be made again, to hold a
file against it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from engine.errors import StepsUnusable
from engine.files import Schema, schema_in

MANIFEST: Final = "SHA256SUMS"
"""As `sha256sum` writes it, and `sha256sum --check` reads it."""

_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LINE: Final = re.compile(r"([0-9a-f]{64})  (\S+)")


class Step(NamedTuple):
    """What makes `version` of the version before it."""

    version: int
    name: str
    """Of its file."""
    sql: str
    sha256: str


def folder() -> Traversable:
    """Where the steps are: packed beside this module in a wheel, at the top of the checkout otherwise."""
    packed = resources.files("engine") / "schema_steps"
    return packed if packed.is_dir() else Path(__file__).resolve().parent.parent / "upgrades"


def known_steps(where: Traversable | None = None) -> tuple[Step, ...]:
    """All steps, from version 1 on. Raises `StepsUnusable` unless they are numbered without a gap and are,
    byte for byte, those of the manifest.
    """
    where = where or folder()
    try:
        listed = _manifest((where / MANIFEST).read_text(encoding="ascii"))
        contents = {each.name: each.read_bytes() for each in where.iterdir() if each.name.endswith(".sql")}
    except (OSError, UnicodeDecodeError) as error:
        raise StepsUnusable(f"the schema steps in {where} cannot be read: {error}") from error
    if contents.keys() != listed.keys():
        names = ", ".join(sorted(contents.keys() ^ listed.keys()))
        raise StepsUnusable(f"{where}: not both there and in {MANIFEST}: {names}")
    steps = []
    for version, (name, content) in enumerate(sorted(contents.items()), start=1):
        number = _NAME.fullmatch(name)
        if number is None or int(number[1]) != version:
            raise StepsUnusable(f"{where}: step {version} is missing: {name} stands in its place")
        digest = hashlib.sha256(content).hexdigest()
        if digest != listed[name]:
            raise StepsUnusable(f"{where}: {name} is not the step that was released: its SHA-256 is {digest}")
        steps.append(Step(version, name, content.decode(), digest))
    return tuple(steps)


def schema_at(steps: Sequence[Step], version: int) -> Schema:
    """The rules that the steps up to `version` make."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as reference:
        for step in steps[:version]:
            for statement in statements(step.sql):
                reference.execute(statement)
        return schema_in(reference)


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit what came before it."""
    statement = ""
    for piece in re.split(r"(?<=;)", sql):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _manifest(text: str) -> dict[str, str]:
    listed: dict[str, str] = {}
    for line in text.splitlines():
        entry = _LINE.fullmatch(line)
        if entry is None or entry[2] in listed:
            raise StepsUnusable(f"{MANIFEST}: cannot be understood: {line[:100]!r}")
        listed[entry[2]] = entry[1]
    return listed
