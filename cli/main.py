"""Parses the command line and runs one command. Exit status: 0 all is well, 1 a check found something, 2 the
call was wrong. Source: PROTOCOL, "Command line".
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence

from cli.commands import run_of
from cli.parser import WRONG_CALL, build_parser
from engine.errors import SolidGreenError
from ws.watching.logs import configure

BROKEN_PIPE = 128 + 13
"""What a shell reports of a program that SIGPIPE ended. 0 would say that all is well, unread."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        try:
            return _run(build_parser().parse_args(arguments))
        finally:
            sys.stdout.flush()  # here, and also after --help: at exit nobody could catch what it raises
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except OSError as error:
        # A full disk under the output, for one. Status 1 would say that a check was made and found something.
        _discard_output()
        print(f"solidgreen: {error}", file=sys.stderr)
        return WRONG_CALL


def _discard_output() -> None:
    """What is still buffered cannot be written; Python would try again at exit and end with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace) -> int:
    # The others speak to whoever typed them, and log hardly anything.
    configure(options.log_level, getattr(options, "log_format", "text"), sys.stderr)
    try:
        status = run_of(options)(options)
    except SolidGreenError as error:
        print(f"solidgreen {options.command}: {error}", file=sys.stderr)
        return WRONG_CALL
    except sqlite3.Error as error:
        print(f"solidgreen {options.command}: {options.db}: {error}", file=sys.stderr)
        return WRONG_CALL
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
