"""A bet's way through the ledger: the messages. Pure."""

from __future__ import annotations

import msgspec

from ws.wire.fields import BetId, Id, Reply, Request


class TrailGet(Request, tag="bet.trail"):
    id: Id
    bet_id: BetId


class TrailEntry(msgspec.Struct, gc=False):
    """A posting of one of its transactions. `user_id`: a wallet, or a book of the house's."""

    seq: int
    user_id: int
    amount: int
    balance: int


class TrailStep(msgspec.Struct, gc=False):
    """A transaction of the bet's life, and the block that seals it. `hash`: that block's."""

    transaction_id: int
    kind: str
    at: int
    block: int
    hash: str
    entries: list[TrailEntry]


class Trail(Reply, tag="bet.trail"):
    """A bet, and all transactions that it went through, in their order. A player sees his own entries."""

    id: str
    bet_id: str
    user_id: int
    state: str
    stake: int
    payout: int
    transactions: list[TrailStep]
