"""The table of commands: each has its function, and none imports what only the server needs."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from cli.commands import RUNS
from cli.parser import build_parser
from harness.process import environment, free_port

ONLY_OF_THE_SERVER = {"aiosqlite", "cryptography", "redis", "starlette", "uvicorn", "uvloop", "websockets"}


def commands_of(parser: argparse.ArgumentParser, *above: str) -> Iterator[str]:
    """All that can be called, by what is typed."""
    groups = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for group in groups:
        for name, below in group.choices.items():
            yield from commands_of(below, *above, name)
    if not groups:
        yield " ".join(above)


def test_each_command_has_its_function() -> None:
    assert sorted(commands_of(build_parser())) == sorted(RUNS)


@pytest.mark.parametrize("where", RUNS.values())
def test_each_function_exists_where_the_table_says(where: str) -> None:
    module, _, function = where.partition(":")
    assert getattr(import_module(module), function).__module__ == module


def test_what_a_script_calls_does_not_import_the_server() -> None:
    """`health`, as the image of docs/deploy.md and any cron job call it."""
    program = (
        "import sys; from cli.main import main\n"
        f"print(main(['health', '--url', 'http://127.0.0.1:{free_port()}']))\n"
        f"print(sorted({ONLY_OF_THE_SERVER} & {{*sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["1", "[]"], done
