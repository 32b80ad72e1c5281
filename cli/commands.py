"""Which function does the work of each command. Its module is imported when the command is called: else what
scripts call, such as `health` every few seconds, would import the whole server first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Final

RUNS: Final = {
    "serve": "cli.serve:serve",
    "seed": "cli.operate:seed",
    "token": "cli.operate:token",
    "reconcile": "cli.audit:reconcile",
    "verify": "cli.verify:verify",
    "statement": "cli.statements:statement",
    "audit-log": "cli.audit_log:show",
    "doctor": "cli.doctor:doctor",
    "health": "cli.health:health",
    "backup": "cli.backups:backup",
    "archive": "cli.archive:archive",
    "restore": "cli.backups:restore",
    "upgrade": "cli.upgrade:upgrade",
    "receipt": "cli.evidence:receipt",
    "head": "cli.evidence:head",
    "public-key": "cli.evidence:public_key",
    "check-receipt": "cli.evidence:check_a_receipt",
    "check-head": "cli.evidence:check_a_head",
    "keys create": "cli.people:create_key",
    "keys list": "cli.people:list_keys",
    "keys rotate": "cli.people:rotate_key",
    "keys revoke": "cli.people:revoke_key",
    "staff add": "cli.people:add_staff",
    "staff list": "cli.people:list_staff",
    "staff remove": "cli.people:remove_staff",
    "staff password": "cli.people:set_password",
}
"""By what is typed: module and function."""


def run_of(options: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    """What runs the command that was called; its module is imported now."""
    called = " ".join([options.command, *filter(None, [getattr(options, "subcommand", None)])])
    module, _, function = RUNS[called].partition(":")
    run: Callable[[argparse.Namespace], int] = getattr(import_module(module), function)
    return run
