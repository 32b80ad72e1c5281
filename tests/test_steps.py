"""The steps of the schema: found, numbered, unchanged since they were released, and all of schema.sql."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import StepsUnusable
from engine.files import SCHEMA_VERSION, differences, schema_in, schema_of, schema_sql
from engine.steps import MANIFEST, known_steps, schema_at, statements
from tests.old_books import OLD_FILES, ROOT, STEPS, later_steps, list_steps, unpacked

UPGRADES = ROOT / "upgrades"


def test_all_steps_together_make_the_schema_word_for_word() -> None:
    steps = known_steps()
    assert [step.version for step in steps] == list(range(1, SCHEMA_VERSION + 1))
    assert differences(schema_at(steps, SCHEMA_VERSION), schema_of(schema_sql())) == ""


def test_the_manifest_names_every_step_and_what_it_was_when_it_was_released() -> None:
    lines = (UPGRADES / MANIFEST).read_text().splitlines()
    found = {
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}" for each in UPGRADES.glob("*.sql")
    }
    assert set(lines) == found
    assert len(lines) == len(found) == SCHEMA_VERSION


@pytest.mark.parametrize("archive", OLD_FILES, ids=lambda path: path.name)
def test_the_steps_lead_to_the_very_rules_that_files_of_that_version_have(
    archive: Path, tmp_path: Path
) -> None:
    """Whoever edits a released step, and the manifest with it, is told here."""
    old = unpacked(archive, tmp_path)
    with closing(sqlite3.connect(old.db)) as connection:
        found = schema_in(connection)
    assert differences(found, schema_at(known_steps(), old.said["schema_version"])) == ""


def edited(folder: Path) -> None:
    with (folder / "0001_first.sql").open("a") as step:
        step.write("\n")


def listed_anew(harm: Callable[[Path], object]) -> Callable[[Path], None]:
    def both(folder: Path) -> None:
        harm(folder)
        list_steps(folder)

    return both


NEXT = f"{SCHEMA_VERSION + 1:04}_later.sql"
UNSOUND: dict[str, tuple[Callable[[Path], object], str]] = {
    "edited": (edited, "0001_first.sql is not the step that was released: its SHA-256 is "),
    "one that is not there": (
        lambda folder: (folder / NEXT).unlink(),
        f"not both there and in {MANIFEST}: {NEXT}",
    ),
    "one that is not listed": (
        lambda folder: (folder / "9999_x.sql").touch(),
        f"not both there and in {MANIFEST}: 9999_x.sql",
    ),
    "a gap": (listed_anew(lambda folder: (folder / NEXT).unlink()), f"step {SCHEMA_VERSION + 1} is missing"),
    "a number twice": (
        listed_anew(lambda folder: (folder / "0001_second.sql").write_text("SELECT 1;")),
        "step 2 is missing: 0001_second.sql stands in its place",
    ),
    "no number": (
        listed_anew(lambda folder: (folder / "nine.sql").touch()),
        f"step {SCHEMA_VERSION + 3} is missing: nine.sql",
    ),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "cannot be read"),
    "a manifest of something else": (
        lambda folder: (folder / MANIFEST).write_text("x y\n"),
        "cannot be understood",
    ),
    "a step listed twice": (
        lambda folder: (folder / MANIFEST).write_text((folder / MANIFEST).read_text() * 2),
        "cannot be understood",
    ),
}


@pytest.mark.parametrize(("harm", "words"), UNSOUND.values(), ids=UNSOUND)
def test_steps_that_are_not_those_that_were_released_are_refused(
    harm: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    folder = later_steps(tmp_path / "steps", *STEPS)
    assert len(known_steps(folder)) == SCHEMA_VERSION + 2
    harm(folder)
    with pytest.raises(StepsUnusable) as refused:
        known_steps(folder)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_script_is_taken_apart_where_its_statements_end() -> None:
    script = """
    -- a comment; with one
    CREATE TABLE t (a TEXT DEFAULT ';'); /* ; */ CREATE TRIGGER r AFTER INSERT ON t
    BEGIN SELECT 1; SELECT CASE WHEN 1 THEN 2 END; END;
    INSERT INTO t VALUES ('a;b');
    SELECT 1"""
    found = [each.strip().splitlines()[-1].strip() for each in statements(script)]
    assert found == [
        "CREATE TABLE t (a TEXT DEFAULT ';');",
        "BEGIN SELECT 1; SELECT CASE WHEN 1 THEN 2 END; END;",
        "INSERT INTO t VALUES ('a;b');",
        "SELECT 1",
    ]
    assert "".join(statements(schema_sql())).strip() == schema_sql().strip()
