"""Checks of the books while bets go on: the messages. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from ws.wire.fields import Id, Reply, Request

CheckName = Literal["reconcile", "verify"]


class CheckBegin(Request, tag="check.begin"):
    """Where one is under way, it is that one."""

    id: Id
    check: CheckName


class CheckGet(Request, tag="check.get"):
    id: Id
    check: CheckName


class CheckedHead(msgspec.Struct, gc=False):
    """The newest block that was looked at, and its hash."""

    block: int
    hash: str


class CheckShown(Reply, tag="check", kw_only=True):
    """A check under way, or what the newest one has found. A reply has the `id` of its request; a push has
    none.
    """

    id: str | UnsetType = UNSET
    check: str
    state: str
    done: int
    total: int
    began_at: int | None
    at: int | None
    entries: int
    found: int
    findings: list[str]
    why: str | None
    head: CheckedHead | None
    by: str | None
