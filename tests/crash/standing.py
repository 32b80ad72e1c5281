"""How a command stands, as far as those who sent it can know."""

from __future__ import annotations

from enum import Enum


class Standing(Enum):
    """What has been promised about a bet, or about money that an operator moves."""

    OPEN = "open"  # sent, and nothing heard that binds: its money may have moved or not
    DEFERRED = "deferred"  # refused with retryable:true: no money has moved, a retry may move it
    REFUSED = "refused"  # refused for good
    CONFIRMED = "confirmed"
