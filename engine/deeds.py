"""What was asked on behalf of the house and what it was answered, as the audit log keeps it. Pure.

A deed is written beside what it did: a command's in the transaction of its batch (docs/adr/0022), anything
else by `audit_log.record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from engine import commands
from engine.actors import Actor
from engine.commands import AddPayoutItems, Command, Pay, PlaceBet
from engine.outcomes import Accepted, Code, Outcome

ACCEPTED: Final = "accepted"
"""The outcome of what was done; otherwise it is the name of an `outcomes.Code`."""


class Deed(NamedTuple):
    """A row of `audit_log`, in the order of its columns. `id`: 0 until it is written; without a gap in the
    file. `at_us`: the time of the books."""

    id: int
    at_us: int
    actor_id: int
    """The `sub` of a token; 0: somebody at the command line."""
    role: str
    address: str
    door: str
    action: str
    """The type of the message that asks for it over the socket, whatever the door."""
    subject: str
    """What the request named, as a JSON object. Never a token."""
    key: str | None
    """The idempotency key; of a bet its `bet_id`; None where there is none."""
    outcome: str
    transaction_id: int | None
    """What it did in the ledger; None if it was refused, or is nothing of the ledger's."""


def deed(actor: Actor, command: Command, outcome: Outcome, at_us: int) -> Deed:
    """The deed of a command that was decided."""
    if isinstance(outcome, Accepted):
        said, transaction_id = ACCEPTED, outcome.transaction_id
    else:
        said, transaction_id = outcome.code.name, None
    subject = subject_of(command)
    return Deed(0, at_us, *actor, ACTIONS[type(command)], subject, command.key, said, transaction_id)


def is_new(objection: Code | None, outcome: Outcome) -> bool:
    """Whether this outcome is that of a deed that has not been written yet: the command was executed or
    refused, and not only looked up or told again."""
    return objection is None and not outcome.replayed


def subject_of(command: Command) -> str:
    """What a command names, by the names of its fields. Of a payout's items only how many and how much: who
    gets what is in `payout_items`."""
    named = {name: getattr(command, name) for name in command.__struct_fields__ if name not in _NOT_NAMED}
    if isinstance(command, Pay | AddPayoutItems):
        named["items"] = len(command.items)
        named["total_minor"] = sum(item.amount_minor for item in command.items)
    return as_subject(named)


def as_subject(named: Mapping[str, Any]) -> str:
    """A subject as its JSON text, without what is None."""
    return msgspec.json.encode({name: it for name, it in named.items() if it is not None}).decode()


_NOT_NAMED: Final = frozenset({"key", "caller", "nonce", "sent_at_us"})
"""What tells a request from another, or is a column of its own."""

ACTIONS: Final[Mapping[type, str]] = {
    PlaceBet: "bet.place",
    commands.SettleBet: "bet.settle",
    commands.UnsettleBet: "bet.unsettle",
    commands.RollBackBet: "bet.rollback",
    commands.CashOutBet: "bet.cashout",
    commands.Deposit: "wallet.deposit",
    commands.Withdraw: "wallet.withdraw",
    commands.Transfer: "wallet.transfer",
    commands.PlaceHold: "wallet.hold",
    commands.CaptureHold: "hold.capture",
    commands.ReleaseHold: "hold.release",
    commands.SetStatus: "wallet.status",
    commands.OpenWallet: "wallet.open",
    Pay: "payout.make",
    commands.OpenPayout: "payout.open",
    AddPayoutItems: "payout.add",
    commands.StartPayout: "payout.start",
    commands.ResolveItem: "payout.resolve",
    commands.GrantBonus: "bonus.grant",
    commands.GrantFreeBet: "free_bet.grant",
    commands.RevokeFreeBet: "free_bet.revoke",
    commands.SetLimit: "limit.set",
    commands.Exclude: "limit.exclude",
    commands.SetFloor: "book.floor",
    commands.OpenArchive: "archive.begin",
}
"""All commands but those that only the server itself asks for: an expiry, a chunk of a payout, what is
carried."""
