"""The clock over the socket, for operators: the messages and the reply. Pure."""

from __future__ import annotations

from batcher.steady import ClockStatus
from ws.wire.fields import Id, Reply, Request


class ClockGet(Request, tag="clock.get"):
    id: Id


class ClockConfirm(Request, tag="clock.confirm"):
    """The wall clock is right, wherever it stands."""

    id: Id


class ClockShown(Reply, tag="clock"):
    """Whether the time of the books follows the wall clock. `state`: `sure` or `unsure`; `at`: the time of
    the books; `jumped_ms`: how far the wall clock is from it, below 0 if behind, 0 while it is followed;
    `since_at`: the time of the books when it was left, null while it is followed."""

    id: str
    state: str
    at: int
    jumped_ms: int
    since_at: int | None


def clock_shown(request_id: str, at_us: int, status: ClockStatus) -> ClockShown:
    """The clock as it was read."""
    jumped_us, since_us = status
    if since_us is None:
        return ClockShown(request_id, "sure", at_us // 1000, 0, None)
    return ClockShown(request_id, "unsure", at_us // 1000, jumped_us // 1000, since_us // 1000)
