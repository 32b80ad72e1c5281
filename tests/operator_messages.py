"""Each message that only operators may send, with all its fields, and the command that it becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from engine import commands
from engine.commands import Keyed, Leg, Result
from tests.books_open import NOW_US
from ws.codec import Malformed, decode_frame
from ws.effects import Identity, Submit
from ws.protocol import Conversation
from ws.wire.allowance import Allowance
from ws.wire.messages import AnyRequest, Limits

BET_ID = "0199a5f0-1111-7222-8333-444455556666"
NOW_MS = NOW_US // 1000
OWN = {"key": "k1", "caller": "42"}

LEGS: list[dict[str, Any]] = [
    {"user_id": 7, "amount": -100},
    {"user_id": 8, "amount": 97},
    {"user_id": 3, "amount": 3, "name": "FEE"},
]
ITEMS: list[dict[str, Any]] = [{"user_id": 7, "amount": 100}, {"user_id": 8, "amount": 200}]
SOUND: dict[str, dict[str, Any]] = {
    "bet.settle": {"bet_id": BET_ID, "result": "won", "payout": 500},
    "bet.unsettle": {"bet_id": BET_ID},
    "bet.rollback": {"bet_id": BET_ID, "user_id": 7, "stake": 250, "currency": "EUR"},
    "bet.cashout": {"bet_id": BET_ID, "stake": 100, "payout": 120},
    "wallet.deposit": {"user_id": 7, "amount": 100},
    "wallet.withdraw": {"user_id": 7, "amount": 100, "for_approval": True},
    "wallet.hold": {"user_id": 7, "amount": 100, "expires_at": NOW_MS},
    "wallet.transfer": {"legs": LEGS},
    "wallet.status": {"user_id": 7, "status": "blocked"},
    "hold.capture": {"hold_id": 88, "amount": 40},
    "hold.release": {"hold_id": 88},
    "payout.make": {"currency": "EUR", "items": ITEMS},
    "payout.open": {"currency": "EUR"},
    "payout.add": {"payout_id": 88, "first": 2000, "items": ITEMS},
    "payout.start": {"payout_id": 88, "items": 2, "total": 300},
    "payout.resolve": {"payout_id": 88, "number": 17, "returns": True},
    "limit.set": {"user_id": 7, "kind": "loss", "period": "week", "amount": 5000},
    "limit.exclude": {"user_id": 7, "until": NOW_MS},
    "wallet.open": {"currency": "EUR", "participant_id": 7},
    "bonus.grant": {"user_id": 7, "amount": 100, "spend": "first", "expires_at": NOW_MS},
    "free_bet.grant": {"user_id": 7, "amount": 100, "expires_at": NOW_MS},
    "free_bet.revoke": {"free_bet_id": 88},
    "book.floor": {"user_id": 1, "floor": -5000},
    "archive.begin": {"before": NOW_MS},
}
"""Each message with all its fields, but those that all have: type, id, key."""

PAID = (commands.PayoutItem(7, 100), commands.PayoutItem(8, 200))
COMMANDS: dict[str, Keyed] = {
    "bet.settle": commands.SettleBet(BET_ID, Result.WON, 500, **OWN),
    "bet.unsettle": commands.UnsettleBet(BET_ID, **OWN),
    "bet.rollback": commands.RollBackBet(BET_ID, 7, 250, "EUR", **OWN),
    "bet.cashout": commands.CashOutBet(BET_ID, 100, 120, **OWN),
    "wallet.deposit": commands.Deposit(7, 100, **OWN),
    "wallet.withdraw": commands.Withdraw(7, 100, True, **OWN),
    "wallet.hold": commands.PlaceHold(7, 100, NOW_MS * 1000, **OWN),
    "wallet.transfer": commands.Transfer((Leg(7, -100), Leg(8, 97), Leg(3, 3, "FEE")), **OWN),
    "wallet.status": commands.SetStatus(7, "blocked", **OWN),
    "hold.capture": commands.CaptureHold(88, 40, **OWN),
    "hold.release": commands.ReleaseHold(88, **OWN),
    "payout.make": commands.Pay("EUR", PAID, **OWN),
    "payout.open": commands.OpenPayout("EUR", **OWN),
    "payout.add": commands.AddPayoutItems(88, 2000, PAID, **OWN),
    "payout.start": commands.StartPayout(88, 2, 300, **OWN),
    "payout.resolve": commands.ResolveItem(88, 17, True, **OWN),
    "limit.set": commands.SetLimit(7, "loss", "week", 5000, **OWN),
    "limit.exclude": commands.Exclude(7, NOW_US // 1000 * 1000, **OWN),
    "wallet.open": commands.OpenWallet("EUR", 7, **OWN),
    "bonus.grant": commands.GrantBonus(7, 100, commands.Spend.FIRST, NOW_MS * 1000, **OWN),
    "free_bet.grant": commands.GrantFreeBet(7, 100, NOW_MS * 1000, **OWN),
    "free_bet.revoke": commands.RevokeFreeBet(88, **OWN),
    "book.floor": commands.SetFloor(1, -5000, **OWN),
    "archive.begin": commands.OpenArchive(NOW_MS * 1000, **OWN),
}


def message(type_: str, **changes: object) -> dict[str, Any]:
    return {"type": type_, "id": "r1", "key": "k1"} | SOUND[type_] | changes


def one(body: object) -> AnyRequest | Malformed:
    (request,) = decode_frame(json.dumps(body), 1000)
    return request


def command_of(request: AnyRequest, caller: str) -> Keyed:
    """What an operator's conversation makes of it."""
    conversation = Conversation(Limits(), Allowance(0.0))
    conversation.welcome(Identity(int(caller), "operator", 2**40), None, NOW_MS)
    (effect,) = conversation.receive([request], NOW_MS)
    assert isinstance(effect, Submit), effect
    assert isinstance(effect.command, Keyed)
    return effect.command


def leaves(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """The messages of this kind: those of which there are no further kinds."""
    for each in kind.__subclasses__():
        yield from leaves(each) if each.__subclasses__() else (each,)
