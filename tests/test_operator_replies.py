"""How what became of an operator's command reads: each outcome, each code, and which field it names."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from engine import commands
from engine.decide import decide
from engine.money import BOOK_FLOOR_MINOR
from engine.outcomes import (
    RETRYABLE,
    Accepted,
    ArchiveTold,
    BetTold,
    BonusTold,
    Code,
    FloorTold,
    FreeBetTold,
    HoldTold,
    Rejected,
    Wallet,
    WalletTold,
)
from engine.records import Entry
from tests.books_open import ALICE, NOW_US, account, place, view_of
from tests.operator_messages import BET_ID, COMMANDS, LEGS, NOW_MS, SOUND, message, one
from ws.wire.fields import Reply
from ws.wire.operators import Move
from ws.wire.outcomes import WORDS, answer, wallet_entry

RECEIVABLE = 6
WALLET = Wallet(918, 99750, 5, 99745)
SHOWN = {"seq": 918, "balance": 99750, "held": 5, "available": 99745}
DONE = {"id": "r1", "transaction_id": 88200, "block": 412, "replayed": False}


def as_json(reply: Reply) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(reply))
    return decoded


@pytest.mark.parametrize(
    ("type_", "reply"),
    [
        ("bet.settle", "bet.settled"),
        ("bet.unsettle", "bet.unsettled"),
        ("bet.rollback", "bet.rolled_back"),
        ("bet.cashout", "bet.cashed_out"),
    ],
)
@pytest.mark.parametrize("wallet", [WALLET, None])
@pytest.mark.parametrize("replayed", [False, True])
def test_what_became_of_a_bet_reads_as_protocol_says(
    type_: str, reply: str, wallet: Wallet | None, replayed: bool
) -> None:
    bet = BetTold(BET_ID, "won", 250, 500, total_minor=600, settled_minor=500, before=88123)
    outcome = Accepted(88200, 412, wallet, replayed, bet=bet)
    told = {"type": reply, "bet_id": BET_ID, "state": "won", "stake": 250, "payout": 500}
    assert as_json(answer("r1", COMMANDS[type_], outcome)) == (
        DONE | told | {"replayed": replayed} | (SHOWN if wallet else {})
    )


@pytest.mark.parametrize(
    "type_", [each for each in SOUND if each.startswith(("wallet.", "hold.")) and each != "wallet.open"]
)
@pytest.mark.parametrize("hold", [HoldTold(88, "open", 60, before=3), HoldTold(88, "captured"), None])
@pytest.mark.parametrize("replayed", [False, True])
def test_what_became_of_a_wallet_shows_it_and_the_hold(
    type_: str, hold: HoldTold | None, replayed: bool
) -> None:
    outcome = Accepted(88200, 412, WALLET, replayed, hold=hold)
    held = {"hold_id": 88, "hold_state": hold.state, "hold_left": hold.left_minor} if hold else {}
    assert as_json(answer("r1", COMMANDS[type_], outcome)) == (
        DONE | SHOWN | held | {"type": "wallet.moved", "replayed": replayed}
    )


@pytest.mark.parametrize("wallet", [WALLET, None])
@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize(
    ("type_", "told", "reply"),
    [
        (
            "wallet.open",
            {"opened": WalletTold(9, 7, "USD")},
            {"type": "wallet.opened", "user_id": 9, "participant_id": 7, "currency": "USD"},
        ),
        (
            "bonus.grant",
            {"bonus": BonusTold(9, "open", "last", NOW_US, before=3)},
            {"type": "bonus.granted", "user_id": 9, "spend": "last", "expires_at": NOW_MS},
        ),
        (
            "bonus.grant",
            {"bonus": BonusTold(9, "open", "first")},
            {"type": "bonus.granted", "user_id": 9, "spend": "first", "expires_at": None},
        ),
        (
            "book.floor",
            {"floor": FloorTold(1, -5000)},
            {"type": "book.changed", "user_id": 1, "floor": -5000},
        ),
        (
            "archive.begin",
            {"archive": ArchiveTold(88, "copying", 310, 60, 120, NOW_US)},
            {
                "type": "archive",
                "archive_id": 88,
                "state": "copying",
                "upto_block": 310,
                "upto_transaction_id": 60,
                "upto_entry_id": 120,
            },
        ),
        *(
            (
                f"free_bet.{verb}",
                {"free_bet": FreeBetTold(88, state, 500, before=3)},
                {"type": "free_bet.changed", "free_bet_id": 88, "state": state, "amount": 500},
            )
            for verb, state in (("grant", "open"), ("revoke", "revoked"))
        ),
    ],
)
def test_what_is_opened_and_granted_is_told(
    type_: str, told: dict[str, Any], reply: dict[str, Any], wallet: Wallet | None, replayed: bool
) -> None:
    """Only a bonus shows a wallet: its own."""
    outcome = Accepted(88200, 412, wallet, replayed, **told)
    seen = SHOWN if wallet is not None and type_ == "bonus.grant" else {}
    assert as_json(answer("r1", COMMANDS[type_], outcome)) == DONE | reply | {"replayed": replayed} | seen


def test_a_bet_that_gives_a_free_bet_back_is_told_as_a_bet() -> None:
    bet = BetTold(BET_ID, "void", 250, 250, total_minor=250, settled_minor=250)
    outcome = Accepted(88200, 412, WALLET, bet=bet, free_bet=FreeBetTold(88, "open", 250, before=3))
    assert as_json(answer("r1", COMMANDS["bet.settle"], outcome))["type"] == "bet.settled"


def test_a_transfer_among_books_shows_no_wallet() -> None:
    assert as_json(answer("r1", COMMANDS["wallet.transfer"], Accepted(88200, 412, None))) == (
        DONE | {"type": "wallet.moved"}
    )


@pytest.mark.parametrize("code", list(Code))
def test_each_code_is_an_error(code: Code) -> None:
    """Also those that reject a bet: a `bet.rejected` would say something about the bet."""
    named = (
        "payout|stake|expires_at|legs|amount|status|first|items|items, total|until|participant_id|currency|"
        "user_id|floor|before"
    )
    for type_ in SOUND:
        told = as_json(answer("r1", COMMANDS[type_], Rejected(code, WALLET, retry_after_us=1001)))
        words = told.pop("message")
        assert words == WORDS[code] or re.match(f"({named}): |this free bet ", words), type_
        assert told == {
            "type": "error", "id": "r1", "code": code.name, "retryable": code in RETRYABLE,
            "retry_after_ms": 2,
        }, type_  # fmt: skip
        assert "retry_after_ms" not in as_json(answer("r1", COMMANDS[type_], Rejected(code))), type_


@pytest.mark.parametrize("code", [Code.IDEMPOTENCY_CONFLICT, Code.BET_CLOSED])
def test_what_is_refused_because_of_an_archive_says_so(code: Code) -> None:
    for type_ in SOUND:
        told = as_json(answer("r1", COMMANDS[type_], Rejected(code, is_archived=True)))
        assert (told["type"], told["code"], told["retryable"]) == ("error", code.name, False), type_
        assert "archived" in told["message"], type_


def test_a_bet_whose_key_is_archived_is_no_rejected_one() -> None:
    """It may have moved money: an `error` says nothing about that, and bet.get does."""
    told = as_json(answer("r1", place(1, 250), Rejected(Code.IDEMPOTENCY_CONFLICT, is_archived=True)))
    assert (told["type"], told["code"]) == ("error", "IDEMPOTENCY_CONFLICT")
    assert "archived" in told["message"]
    assert "bet.get" in told["message"]


def told_by_the_engine(type_: str, **changes: object) -> dict[str, Any]:
    """The answer to a message, of books in which ALICE has 1000, bet 250 of it, and set 100 of it aside."""
    view = view_of(account(ALICE, 1000))
    view.accounts[RECEIVABLE] = account(RECEIVABLE, kind="receivable", floor_minor=BOOK_FLOOR_MINOR)
    view.books["receivable", "EUR"] = RECEIVABLE
    bet = place(1, 250)
    placed = decide(view, bet, NOW_US)
    held = decide(view, commands.PlaceHold(ALICE, 100, key="h", caller="1"), NOW_US)
    assert isinstance(placed, Accepted)
    assert isinstance(held, Accepted)
    assert held.hold is not None
    here = {"bet_id": bet.bet_id, "hold_id": held.hold.id, "user_id": ALICE}
    body = message(type_) | {name: here[name] for name in SOUND[type_] if name in here} | changes
    request = one({name: value for name, value in body.items() if value is not None})
    assert isinstance(request, Move), request
    command = request.to_command(caller="1")
    return as_json(answer("r1", command, decide(view, command, NOW_US)))


@pytest.mark.parametrize(
    ("type_", "changes", "code", "named"),
    [
        ("bet.settle", {"payout": None}, "INVALID_REQUEST", "payout"),
        ("bet.settle", {"result": "void", "payout": 249}, "INVALID_REQUEST", "payout"),
        ("bet.cashout", {"stake": 251}, "INVALID_REQUEST", "stake"),
        ("wallet.hold", {"expires_at": 0}, "INVALID_REQUEST", "expires_at"),
        ("wallet.hold", {"expires_at": NOW_MS}, "INVALID_REQUEST", "expires_at"),
        ("bonus.grant", {"expires_at": 0}, "INVALID_REQUEST", "expires_at"),
        ("bonus.grant", {"expires_at": NOW_MS}, "INVALID_REQUEST", "expires_at"),
        ("free_bet.grant", {"expires_at": NOW_MS}, "INVALID_REQUEST", "expires_at"),
        ("wallet.transfer", {"legs": LEGS[:2]}, "INVALID_REQUEST", "legs"),
        ("wallet.transfer", {"legs": [*LEGS, LEGS[0] | {"amount": 0}]}, "INVALID_REQUEST", "legs"),
        ("hold.capture", {"amount": 101}, "INSUFFICIENT_FUNDS", "amount"),
        ("wallet.status", {"status": "closed"}, "LIMIT_EXCEEDED", "status"),
        ("wallet.open", {"participant_id": RECEIVABLE}, "ACCOUNT_NOT_FOUND", "participant_id"),
        ("wallet.open", {"participant_id": None, "currency": "XAU"}, "CURRENCY_MISMATCH", "currency"),
        ("payout.open", {"currency": "XAU"}, "CURRENCY_MISMATCH", "currency"),
        ("book.floor", {}, "ACCOUNT_NOT_FOUND", "user_id"),
        ("payout.make", {"currency": "XAU"}, "CURRENCY_MISMATCH", "currency"),
    ],
)
def test_what_only_the_books_can_tell_is_told_naming_the_field(
    type_: str, changes: dict[str, object], code: str, named: str
) -> None:
    told = told_by_the_engine(type_, **changes)
    assert (told["type"], told["code"]) == ("error", code)
    assert told["message"].startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("changes", "state", "payout"),
    [
        ({"result": "won", "payout": 0}, "won", 0),
        ({"result": "lost"}, "lost", 500),
        ({"result": "lost", "payout": None}, "lost", 0),
        ({"result": "void", "payout": None}, "void", 250),
        ({"result": "void", "payout": 250}, "void", 250),
    ],
)
def test_a_payout_that_makes_sense_is_paid(changes: dict[str, object], state: str, payout: int) -> None:
    told = told_by_the_engine("bet.settle", **changes)
    assert (told["type"], told["state"], told["payout"]) == ("bet.settled", state, payout)
    assert (told["stake"], told["balance"], told["held"]) == (250, 750 + payout, 100)


@pytest.mark.parametrize(
    ("ref_type", "has_bet"),
    [
        *((kind, True) for kind in ("BET", "WIN", "REFUND", "ROLLBACK", "UNSETTLE", "CASHOUT")),
        *((kind, False) for kind in ("BONUS", "EXPIRY")),
        *(
            (kind, False)
            for kind in ("DEPOSIT", "WITHDRAWAL", "TRANSFER", "FEE", "TAX", "CAPTURE", "RECEIVABLE")
        ),
    ],
)
def test_a_push_names_the_bet_where_there_is_one(ref_type: str, has_bet: bool) -> None:
    entry = Entry(918, 7, "EUR", 500, 1000, ref_type, BET_ID, 88200, 412, 917)
    told = as_json(wallet_entry(entry, NOW_US))
    assert told["kind"] == ref_type
    assert told.get("bet_id") == (BET_ID if has_bet else None)
