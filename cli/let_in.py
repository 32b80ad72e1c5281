"""The options of `keys` and `staff` (`cli/people.py`)."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from cli import values
from engine.people import SCOPES, STAFF_ROLES
from ws.settings import variable

WHO_WRITES: Final = "Also while the file is served: then the server does it."


def as_json(command: argparse.ArgumentParser, what: str) -> None:
    """For whoever reads the outcome by program."""
    command.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def let_in(
    commands: argparse._SubParsersAction[Any], command: Callable[..., argparse.ArgumentParser]
) -> None:
    """Add `keys` and `staff` to the `commands`. `command`: adds one, as the parser adds all of them."""

    def group(name: str, summary: str) -> Callable[..., argparse.ArgumentParser]:
        added = commands.add_parser(name, help=summary, description=f"{summary}. {WHO_WRITES}")
        actions = added.add_subparsers(dest="subcommand", required=True, metavar="ACTION")

        def action(name: str, summary: str, whose: str | None, more: str = "") -> argparse.ArgumentParser:
            leaf: argparse.ArgumentParser = command(
                name, summary, f"{more} {WHO_WRITES}".strip(), under=actions
            )
            if whose is not None:
                leaf.add_argument("name", metavar="NAME", help=whose)
            leaf.add_argument(
                "--url",
                default=variable("url"),
                help="of the server, if the file is served (default: as it has noted beside the file)",
            )
            return leaf

        return action

    def role(leaf: argparse.ArgumentParser) -> None:
        leaf.add_argument("--role", choices=STAFF_ROLES, default="operator", help="default: %(default)s")

    account = "of the service account"
    action = group("keys", "Keys of service accounts, by which programs act for the house")
    create = action("create", "Make a service account and print its key, this once", account)
    role(create)
    create.add_argument(
        "--scopes",
        metavar="NAMES",
        help=f"of all that the role may do, separated by commas: {', '.join(SCOPES)} (default: all of it)",
    )
    as_json(action("list", "List service accounts and their keys", None), "them")
    rotate = action("rotate", "Make a new key for a service account and print it", account)
    rotate.add_argument(
        "--grace",
        type=values.grace,
        default=0,
        metavar="SECONDS",
        help="how long the keys before it stay good (default: %(default)s)",
    )
    action("revoke", "Take a service account and all its keys back", account)

    member = "by which he logs in"
    action = group("staff", "People who act for the house, and log in by a password")
    add = action("add", "Add one of the staff and print his number", member)
    role(add)
    as_json(action("list", "List the staff", None), "them")
    action("remove", "Let one of the staff in no more, and end his log-ins", member)
    password = action("password", "Give one of the staff another password", member)
    for leaf in (add, password):
        leaf.add_argument(
            "--password-stdin", action="store_true", help="read it from standard input, not from the terminal"
        )
