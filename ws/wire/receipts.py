"""Receipts and heads: what a player can keep, and show to anyone. Source: PROTOCOL, `receipt.get`."""

from __future__ import annotations

from typing import Any

from ws.wire.fields import Id, Reply, Request, TransactionId, UserId


class ReceiptGet(Request, tag="receipt.get"):
    """`user_id`: whose entries to show, for operators and auditors only; a player sees his own."""

    id: Id
    transaction_id: TransactionId
    user_id: UserId | None = None


class HeadGet(Request, tag="head.get"):
    """`since`: an earlier block, of which the head proves that it comes after it."""

    id: Id
    since: TransactionId | None = None


class ReceiptShown(Reply, tag="receipt"):
    """`receipt`: as `engine.receipts.receipt` makes it, to be kept as it is."""

    id: str
    transaction_id: int
    receipt: dict[str, Any]


class HeadShown(Reply, tag="head"):
    """`head`: as `engine.receipts.head` makes it."""

    id: str
    head: dict[str, Any]
