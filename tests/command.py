"""Runs the `solidgreen` command inside the test's process, and harms the files that it reads.

It is the whole program but the interpreter's start.
An exception that leaves `main` fails the test, as it would be a traceback in a terminal.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from cli.main import main
from harness.process import environment


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """What it printed, as the one JSON object that it must be."""
        printed: dict[str, Any] = json.loads(self.out)
        return printed


def run(*arguments: str | Path | int, **settings: str) -> Done:
    """Run one command to its end; `settings` are environment variables without `SOLIDGREEN_`."""
    out, err = io.StringIO(), io.StringIO()
    variables = environment(**settings) | {"COLUMNS": "100"}
    with (
        mock.patch.dict(os.environ, variables, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("os.nice"),  # nobody but root could take it back, and the tests that follow would starve
    ):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # how argparse ends, for --help and for a wrong call
            status = int(end.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


def well(*arguments: str | Path | int, **settings: str) -> Done:
    """Run one command that must end with status 0 and nothing on standard error."""
    done = run(*arguments, **settings)
    assert (done.status, done.err) == (0, ""), done
    return done


def seed(db: Path, players: int, balance: int = 100_000, currency: str = "EUR") -> list[dict[str, Any]]:
    """Add `players` wallets of `balance` minor units; each with its access token."""
    amount = ("--balance", balance, "--currency", currency)
    made = well("seed", "--db", db, "--players", players, *amount, "--json", "--tokens").json["players"]
    assert isinstance(made, list)
    return made


def harm(db: Path, *statements: str) -> None:
    """What a person with a SQLite shell can do to a file."""
    with contextlib.closing(sqlite3.connect(db)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def overwrite_page_of(db: Path, table: str) -> None:
    """A disk that lies: the first page of `table`, full of ones."""
    with contextlib.closing(sqlite3.connect(db)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    with db.open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)
