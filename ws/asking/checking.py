"""A check of the books that somebody begins: written down first, as all that is done for the house."""

from __future__ import annotations

import logging
import sqlite3

from batcher.batcher import Batcher
from engine import audit_log, logins
from engine.actors import NO_NUMBER, Actor
from engine.deeds import ACCEPTED
from engine.errors import CommitUnknown, StoreFault
from engine.outcomes import Code
from engine.store import Store
from ws.beside.checks import Checks
from ws.wire.checks import CheckBegin
from ws.wire.fields import Reply
from ws.wire.outcomes import error

log = logging.getLogger("solidgreen.ws")


async def begin_check(
    store: Store, batcher: Batcher, checks: Checks, request: CheckBegin, actor: Actor
) -> Reply:
    """Have it made, once it is on disk who wanted it. Where one is under way it is that one, and nothing is
    written: nothing is done, and who may only look must not keep the writer busy."""
    check = checks.named(request.check)
    async with check.beginning:
        if check.is_running:
            return check.shown(request.id)
        at_us = batcher.books_clock.now().at_us
        subject = {"check": request.check}

        def write_down(connection: sqlite3.Connection) -> str | None:
            audit_log.record(connection, actor, "check.begin", subject, ACCEPTED, at_us)
            return logins.name_of(connection, actor.id)

        try:
            name = await store.tidy(write_down)
        except (StoreFault, sqlite3.Error) as fault:
            log.error("no check of the books is begun, since nobody could write down who wants it: %s", fault)
            return not_written(request.id, batcher, fault)
        check.begin(_shown(actor, name))
        return check.shown(request.id)


def not_written(request_id: str, batcher: Batcher, fault: Exception) -> Reply:
    """What somebody hears whose deed could not be written down, and was not done."""
    if isinstance(fault, CommitUnknown) and fault.has_begun:
        return error(request_id, Code.OUTCOME_UNKNOWN)
    code = Code.OVERLOADED if batcher.failure is None else Code.CIRCUIT_OPEN
    return error(request_id, code, "it could not be written into the audit log")


def _shown(actor: Actor, name: str | None) -> str:
    """As colleagues are told: by his name, by his number if he has none, or who he is at the command line."""
    return f"{actor.role} {actor.address if actor.id == NO_NUMBER else name or actor.id}"
