"""Limits over the socket, for players themselves and for operators: the messages, the commands, the
replies. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from engine.commands import Exclude, Keyed, SetLimit
from engine.limits import NONE
from engine.outcomes import Accepted, LimitTold
from engine.snapshots import LimitState
from ws.wire.fields import Id, Natural, Reply, Request, UserId
from ws.wire.operators import Move


class LimitSet(Move, tag="limit.set"):
    """`user_id`: for operators, who must say it."""

    kind: Literal["stake", "loss", "deposit", "time"]
    period: Literal["day", "week", "month"]
    amount: Natural | None
    user_id: UserId | None = None

    def to_command(self, caller: str) -> Keyed:
        assert self.user_id is not None, "the session has filled it in"
        return SetLimit(self.user_id, self.kind, self.period, self.amount, key=self.key, caller=caller)


class LimitExclude(Move, tag="limit.exclude"):
    """`user_id`: for operators, who must say it."""

    until: Natural
    user_id: UserId | None = None

    def to_command(self, caller: str) -> Keyed:
        assert self.user_id is not None, "the session has filled it in"
        return Exclude(self.user_id, self.until * 1000, key=self.key, caller=caller)


class LimitGet(Request, tag="limit.get"):
    id: Id
    user_id: UserId | None = None


class LimitShown(msgspec.Struct, gc=False):
    """One limit. `amount`: null if nothing is limited any more; of a `time` limit seconds, of an
    `exclusion` when it ends, else minor units. `pending` takes its place at `pending_from_at`, unless that
    is null. `used`: of the window that is running."""

    kind: str
    period: str
    amount: int | None
    pending: int | None
    pending_from_at: int | None
    used: int | UnsetType = UNSET


class LimitChanged(Reply, tag="limit.changed"):
    id: str
    limit: LimitShown
    transaction_id: int
    block: int
    replayed: bool


class Limits(Reply, tag="limits"):
    id: str
    user_id: int
    limits: list[LimitShown]


def limit_changed(request_id: str, accepted: Accepted, told: LimitTold) -> LimitChanged:
    """What a command has made of a limit."""
    return LimitChanged(
        request_id, shown(told), accepted.transaction_id, accepted.block_id, accepted.replayed
    )


def limits_shown(request_id: str, user_id: int, limits: list[LimitState]) -> Limits:
    """Limits as they were read."""
    return Limits(request_id, user_id, [shown(each.told, each.used) for each in limits])


def shown(told: LimitTold, used: int | UnsetType = UNSET) -> LimitShown:
    """A limit in the wire's units."""
    amount = told.amount // 1000 if told.kind == "exclusion" else told.amount
    is_pending = told.pending_from_us > 0
    return LimitShown(
        told.kind,
        told.period,
        None if told.amount == NONE else amount,
        None if not is_pending or told.pending == NONE else told.pending,
        told.pending_from_us // 1000 if is_pending else None,
        used,
    )
