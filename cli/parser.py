"""The command line: every command, its options and where they come from."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cli import values
from cli.let_in import as_json, let_in
from cli.serving import serve_options, tls_options
from engine.money import BOOK_FLOOR_MINOR
from ws.effects import ROLES
from ws.settings import variable

WRONG_CALL = 2
"""The exit status of a call that could not be understood or carried out."""

AddCommand = Callable[..., argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_CALL, f"{self.prog}: {message}\n(try: {self.prog} --help)\n")


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="solidgreen",
        description="A betting wallet: one process, one SQLite file, every bet booked before it is green.",
        epilog="Start with: solidgreen seed --db demo.db --players 100, then: solidgreen serve --db demo.db",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str,
        summary: str,
        more: str = "",
        *,
        on_database: bool = True,
        under: argparse._SubParsersAction[Parser] = commands,
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = under.add_parser(
            name, help=summary, description=f"{summary}. {more}".strip()
        )
        if on_database:
            db = variable("db")
            added.add_argument(
                "--db",
                type=values.database,
                metavar="FILE",
                required=db is None,
                default=db,
                help="the database file",
            )
        added.add_argument(
            "--log-level",
            type=values.log_level,
            default=variable("log_level", "info"),
            metavar="LEVEL",
            help=f"how much to say on standard error: {', '.join(values.LOG_LEVELS)} (default: %(default)s)",
        )
        return added

    _operate(command)
    _audit(command)
    _copy(command)
    _prove(command)
    let_in(commands, command)
    return parser


def _account(command: argparse.ArgumentParser) -> None:
    """Whose it is; there is no default."""
    command.add_argument("--user", type=values.count, required=True, metavar="ID", help="users.id")


def _operate(command: AddCommand) -> None:
    """What writes, and who may ask."""
    serve = command("serve", "Take bets over a WebSocket until Ctrl-C")
    serve_options(serve)

    seed = command("seed", "Add players with an opening balance", "Makes the file if there is none.")
    seed.add_argument(
        "--players", type=values.count, default=100, metavar="N", help="how many (default: %(default)s)"
    )
    seed.add_argument(
        "--balance",
        type=values.amount,
        default=100_000,
        metavar="MINOR",
        help="of each, in minor units: 100000 is 1000.00 EUR (default: %(default)s)",
    )
    seed.add_argument(
        "--currency",
        type=values.currency,
        default="EUR",
        metavar="CODE",
        help="of the wallets, three letters of ISO 4217 (default: %(default)s)",
    )
    seed.add_argument(
        "--house-floor",
        type=values.floor,
        default=variable("house_floor", str(BOOK_FLOOR_MINOR)),
        metavar="MINOR",
        help="how far below zero the house's books of a new currency may go (default: -2^62)",
    )
    seed.add_argument(
        "--tokens", action="store_true", help="add an access token, valid for a day, to each player"
    )
    as_json(seed, "the players")

    token = command("token", "Print an access token")
    _account(token)
    token.add_argument(
        "--role",
        choices=sorted(ROLES),
        default="player",
        help="what its bearer may do (default: %(default)s)",
    )
    token.add_argument(
        "--life",
        type=values.count,
        default=3600,
        metavar="SECONDS",
        help="how long it is valid (default: %(default)s)",
    )

    key = variable("signing_key")
    for writer in (serve, seed):
        writer.add_argument(
            "--signing-key",
            type=Path,
            metavar="FILE",
            default=key and Path(key),
            help="the private key that signs blocks (default: made beside the database)",
        )


def _audit(command: AddCommand) -> None:
    """What only reads."""
    reconcile = command(
        "reconcile",
        "Sum the ledger and compare it with every balance",
        "Reads only; works while the server runs. Exit status 1 if anything differs, each finding on a line.",
    )
    reconcile.add_argument(
        "--repair",
        action="store_true",
        help="put right what follows from the ledger (with the server stopped)",
    )
    as_json(reconcile, "the verdict")

    verify = command(
        "verify",
        "Recompute everything from the file: history, signatures, rows, balances",
        "Reads only, also its archives if all are beside it; works while the server runs. Exit status 1 if "
        "anything is wrong, each finding on a line. What it covers, and what it cannot prove, is in "
        "docs/verify.md.",
    )
    verify.add_argument(
        "--head",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="heads or receipts kept elsewhere, as JSON, one a line: the file must hold their blocks",
    )
    verify.add_argument(
        "--public-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a key that may be trusted, PEM; may be given again. Blocks that others signed are findings",
    )
    verify.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep there how far it came, and go on from there the next time",
    )
    verify.add_argument(
        "--alone",
        action="store_true",
        help="without its archives: behind the newest, from what is carried of it",
    )
    as_json(verify, "the verdict")

    statement = command(
        "statement",
        "Show where an account's money went",
        "Reads only; works while the server runs. TIME is RFC 3339, such as 2026-01-31T12:00:00Z.",
    )
    _account(statement)
    statement.add_argument(
        "--from", dest="from_us", type=values.time, metavar="TIME", help="entries from here on"
    )
    statement.add_argument("--to", dest="to_us", type=values.time, metavar="TIME", help="entries before this")
    statement.add_argument(
        "--at", dest="at_us", type=values.time, metavar="TIME", help="only the balance at this time"
    )
    shape = statement.add_mutually_exclusive_group()
    shape.add_argument(
        "--format",
        choices=values.STATEMENT_FORMATS,
        default="text",
        help="how to print it (default: %(default)s)",
    )
    shape.add_argument("--json", dest="format", action="store_const", const="json", help="as --format json")

    deeds = command(
        "audit-log",
        "Show what was done on behalf of the house: who, what, when, from where",
        "Newest first. Reads only; works while the server runs. TIME is RFC 3339, such as "
        "2026-01-31T12:00:00Z.",
    )
    deeds.add_argument("--actor", type=values.actor, metavar="ID", help="only his; 0: at the command line")
    deeds.add_argument("--action", metavar="TYPE", help="only this, such as bet.settle")
    deeds.add_argument("--from", dest="from_us", type=values.time, metavar="TIME", help="from here on")
    deeds.add_argument("--to", dest="to_us", type=values.time, metavar="TIME", help="before this")
    as_json(deeds, "each deed, on a line of its own,")

    doctor = command(
        "doctor",
        "Look for what keeps this file or machine from serving",
        "Reads only. Exit status 1 if it finds something.",
    )
    doctor.add_argument("--redis-url", default=variable("redis_url"), help="also look at this Redis")
    tls_options(doctor)
    as_json(doctor, "the findings")

    asks = command(
        "health",
        "Ask a running server whether bets are taken",
        "Exit status 1 if they are not, or nobody answers.",
        on_database=False,
    )
    asks.add_argument("--url", help="where it listens (default: as `serve` would with this environment)")


def _copy(command: AddCommand) -> None:
    """What makes files."""
    backup = command(
        "backup",
        "Copy the file, also while it is served, and check the copy",
        "Reads only. Exit status 1 if the check finds something: the copy is then kept as TARGET.suspect. "
        "Secrets and archives beside the file are not copied.",
    )
    backup.add_argument("target", type=Path, metavar="TARGET", help="the copy; must not exist yet")
    as_json(backup, "what was copied")

    archiving = command(
        "archive",
        "Move what is old out of the file, into one beside it",
        "Also while it is served: then the server does it, and this waits for the end. An archive that is "
        "under way goes on first, whatever TIME says. What moves, and what is left behind: docs/archive.md.",
    )
    archiving.add_argument(
        "--before",
        dest="before_us",
        type=values.time,
        required=True,
        metavar="TIME",
        help="what is older, up to the end of a block; RFC 3339, such as 2026-01-31T12:00:00Z",
    )
    archiving.add_argument(
        "--url",
        default=variable("url", "ws://127.0.0.1:8000/ws"),
        help="of the server, if the file is served (default: %(default)s)",
    )
    as_json(archiving, "what was moved")

    restore = command(
        "restore",
        "Make FILE out of a backup, after checking it",
        "FILE must not exist yet. Exit status 1 if the check finds something: then nothing is restored.",
    )
    restore.add_argument("backup", type=Path, metavar="BACKUP", help="a file that backup made; is only read")
    as_json(restore, "what was restored")

    upgrading = command(
        "upgrade",
        "Bring a file of an earlier version to the schema of this one",
        "Not while it is served. All of it or nothing. Exit status 1 if a check finds something: then "
        "nothing is done.",
    )
    upgrading.add_argument(
        "--check", action="store_true", help="try it on a copy, verify that, and throw it away"
    )
    upgrading.add_argument("--no-backup", action="store_true", help="without a copy of the file as it is")
    as_json(upgrading, "what was done")


def _prove(command: AddCommand) -> None:
    """What others can check."""
    receipt = command("receipt", "Print the receipt of a transaction", "JSON, for check-receipt.")
    receipt.add_argument("transaction", type=values.count, metavar="TRANSACTION", help="transactions.id")
    receipt.add_argument(
        "--user", type=values.count, metavar="ID", help="show the entries of this account only"
    )

    head = command("head", "Print the newest block's head, signed", "JSON, for check-head.")
    head.add_argument(
        "--since", type=values.count, metavar="BLOCK", help="prove that it comes after this block"
    )

    command("public-key", "Print the public key that receipts are checked with", "PEM.")

    check_receipt = command("check-receipt", "Check a receipt, without a database", on_database=False)
    check_receipt.add_argument("receipt", type=Path, metavar="FILE", help="as `receipt` prints it")

    check_head = command("check-head", "Check a head, without a database", on_database=False)
    check_head.add_argument("head", type=Path, metavar="FILE", help="as `head` prints it")
    check_head.add_argument(
        "--kept", type=Path, metavar="FILE", help="an earlier receipt or head: is it a part of this history?"
    )
    for check in (check_receipt, check_head):
        check.add_argument(
            "--public-key", type=Path, metavar="FILE", required=True, help="whose signature, PEM"
        )
        as_json(check, "the verdict")
