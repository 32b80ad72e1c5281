"""The client's two state machines, in Python and in JavaScript, do what clients/scenarios.json says, and the
same as each other whatever comes."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.client_script import Json, run
from tests.in_node import node
from tests.made_up_server import made_up_script

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS: list[Json] = json.loads((ROOT / "clients/scenarios.json").read_text(encoding="utf-8"))["scripts"]
MADE_UP = 300
LONG = 150


def differences(script: Mapping[str, Any], told: Sequence[Json]) -> list[tuple[int, str, Any, Any]]:
    """Where what was told is not what the script expects: the step, of what, and the two."""
    return [
        (number, name, found[name], expected)
        for number, (step, found) in enumerate(zip(script["steps"], told, strict=True))
        for name, expected in step["expect"].items()
        if _known(name, found[name], expected) != expected
    ]


def _known(name: str, found: Any, expected: Any) -> Any:
    """Of results the fields that are expected: in JavaScript they are as the server sent them."""
    if name != "done":
        return found
    known = {task: expected.get(task, result) for task, result in found.items()}
    return {task: {field: result.get(field) for field in known[task]} for task, result in found.items()}


def steps_in_node(scripts: Sequence[Mapping[str, Any]], folder: Path) -> list[list[Json]]:
    """What the machine in JavaScript tells of each step of each script."""
    file = folder / "scripts.json"
    file.write_text(json.dumps({"scripts": scripts}), encoding="utf-8")
    told: list[list[Json]] = json.loads(node("run_scripts.mjs", str(file)))
    return told


def test_every_step_says_what_is_sent() -> None:
    assert all("sent" in step["expect"] for script in SCRIPTS for step in script["steps"])
    assert len({script["name"] for script in SCRIPTS}) == len(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script["name"].replace(" ", "-"))
def test_the_machine_in_python_follows_the_script(script: Json) -> None:
    assert differences(script, run(script["steps"])) == []


@pytest.mark.long
def test_the_machine_in_javascript_follows_the_scripts(tmp_path: Path) -> None:
    told = steps_in_node(SCRIPTS, tmp_path)

    found = {script["name"]: differences(script, each) for script, each in zip(SCRIPTS, told, strict=True)}
    assert {name: each for name, each in found.items() if each} == {}


def assert_in_order(steps: Sequence[Mapping[str, Any]], told: Sequence[Json]) -> None:
    """Each reader is told each entry once, none is left out, and what is archived is said to be."""
    last = None
    for step, found in zip(steps, told, strict=True):
        last = step.get("follow", None if "unfollow" in step else last)
        for entry in found["taken"]:
            assert last is not None
            if entry["type"] == "gap":
                assert entry["after_seq"] == last < entry["upto_seq"]
                last = entry["upto_seq"]
            else:
                assert entry["prev_seq"] == last < entry["seq"]
                last = entry["seq"]


@pytest.mark.long
def test_both_machines_do_the_same_whatever_comes(tmp_path: Path) -> None:
    """Servers made up by chance, which answer out of order, repeat themselves, break off and lie."""
    made_up = [made_up_script(random.Random(seed), LONG) for seed in range(MADE_UP)]

    in_javascript = steps_in_node([script for script, _ in made_up], tmp_path)

    for seed, ((script, in_python), other) in enumerate(zip(made_up, in_javascript, strict=True)):
        for number, (one, two) in enumerate(zip(in_python, other, strict=True)):
            assert one == two, f"{seed=}, step {number}: {script['steps'][number]}"
    done = [each for _, told in made_up for step in told for each in step["done"].values()]
    assert {each["type"] for each in done} >= {"bet.confirmed", "bet.rejected", "error", "not_placed"}
    for script, told in made_up:
        assert_in_order(script["steps"], told)
    assert sum(step["cursor"] is not None for _, told in made_up for step in told) > MADE_UP
