"""The session as a state machine: what goes in, what comes out, and in which state it leaves the session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.commands import Exclude, PlaceBet, SetLimit
from engine.outcomes import Accepted, Code, Rejected, Wallet
from engine.snapshots import WalletState
from ws.effects import Authenticate, Close, CloseCode, Effect, Identity, Look, Submit
from ws.protocol import Conversation, State
from ws.wire.allowance import Allowance
from ws.wire.limits import LimitGet
from ws.wire.messages import (
    BalanceGet,
    BetConfirmed,
    BetGet,
    BetPending,
    BetRejected,
    Error,
    Limits,
    Pong,
    Resume,
)
from ws.wire.receipts import HeadGet, ReceiptGet
from ws.wire.wallets import WalletList

BET_ID = "0199a5f0-1111-7222-8333-444455556666"
NOW_MS = 1_760_000_000_000
WALLET = WalletState(42, "EUR", "open", 1000, 10, 990, 917)


def bet(id_: str = "r1", **fields: object) -> dict[str, object]:
    sound = {"bet_id": BET_ID, "stake": 250, "nonce": "12345678", "sent_at": NOW_MS}
    return {"type": "bet.place", "id": id_} | sound | fields


def opened(role: str = "player", limits: Limits | None = None) -> Conversation:
    conversation = Conversation(limits or Limits(), Allowance(0.0))
    conversation.welcome(Identity(42, role, 2**40), WALLET if role == "player" else None, NOW_MS)
    return conversation


def hear(conversation: Conversation, *requests: object) -> list[Effect]:
    content = requests[0] if len(requests) == 1 else list(requests)
    return list(conversation.receive_text(json.dumps(content), NOW_MS))


def codes(effects: list[Effect]) -> list[str | CloseCode]:
    return [effect.code for effect in effects if isinstance(effect, Error | Close)]


AUTH = {"type": "auth", "token": "t"}
PING = {"type": "ping", "id": "p"}


def test_a_stranger_may_authenticate_and_is_welcome() -> None:
    stranger = Conversation(Limits(), Allowance(0.0))
    assert hear(stranger, AUTH) == [Authenticate("t")]
    assert stranger.state is State.STRANGER
    welcome = stranger.welcome(Identity(42, "player", 2**40), WALLET, NOW_MS)
    assert (welcome.user_id, welcome.role, welcome.server_time) == (42, "player", NOW_MS)
    assert (welcome.currency, welcome.balance, welcome.held, welcome.available, welcome.seq) == (
        "EUR",
        1000,
        10,
        990,
        917,
    )
    assert stranger.state is State.OPEN


@pytest.mark.parametrize(
    ("frame", "code", "id_"),
    [
        (PING, "UNAUTHORIZED", "p"),
        (bet(), "UNAUTHORIZED", "r1"),
        ([AUTH, AUTH], "UNAUTHORIZED", None),
        ([AUTH, PING], "UNAUTHORIZED", None),
        ([PING, AUTH], "UNAUTHORIZED", None),
        ({"type": "auth"}, "INVALID_REQUEST", None),
        ({"type": "auth", "token": ""}, "INVALID_REQUEST", None),
        ({"type": "auth", "token": "t" * 4097, "id": "a"}, "INVALID_REQUEST", "a"),
        ({"type": "auth", "token": "t", "role": "admin"}, "INVALID_REQUEST", None),
        ([], "INVALID_REQUEST", None),
        (7, "INVALID_REQUEST", None),
    ],
)
def test_a_stranger_who_does_anything_else_is_shown_out(frame: object, code: str, id_: str | None) -> None:
    stranger = Conversation(Limits(), Allowance(0.0))
    complaint, close = hear(stranger, frame)
    assert isinstance(complaint, Error)
    assert (complaint.code, complaint.id) == (code, id_)
    assert isinstance(close, Close)
    assert close.code is CloseCode.NOT_AUTHENTICATED
    assert stranger.state is State.CLOSED


def test_who_is_welcome_already_need_not_authenticate() -> None:
    conversation = opened()
    assert codes(hear(conversation, AUTH | {"id": "a"})) == ["INVALID_REQUEST"]
    assert conversation.state is State.OPEN


@pytest.mark.parametrize("role", ["player", "operator", "auditor", "admin"])
def test_reading_is_looked_up_for_who_may(role: str) -> None:
    frames: list[dict[str, Any]] = [
        {"type": "bet.get", "bet_id": BET_ID},
        {"type": "balance.get"},
        {"type": "resume", "from_seq": 9},
    ]
    effects = hear(opened(role), *({"id": "r"} | frame for frame in frames))
    assert effects[0] == Look(BetGet("r", BET_ID))
    if role == "player":
        assert effects[1:] == [Look(BalanceGet("r")), Look(Resume("r", 9))]
    else:  # there is no wallet of theirs
        assert codes(effects) == ["FORBIDDEN", "FORBIDDEN"]


def test_a_ping_is_answered_with_the_time() -> None:
    assert hear(opened(), PING) == [Pong("p", NOW_MS)]


@pytest.mark.parametrize(
    ("role", "user_id", "expected"),
    [
        ("player", None, 42),
        ("player", 7, "FORBIDDEN"),
        ("player", 42, "FORBIDDEN"),
        ("operator", 7, 7),
        ("admin", 7, 7),
        ("operator", None, "INVALID_REQUEST"),
        ("auditor", None, "FORBIDDEN"),
        ("auditor", 7, "FORBIDDEN"),
    ],
)
def test_whose_money_a_role_may_stake(role: str, user_id: int | None, expected: int | str) -> None:
    effects = hear(opened(role), bet(**({} if user_id is None else {"user_id": user_id})))
    if isinstance(expected, str):
        assert codes(effects) == [expected]
        assert len(effects) == 1
    else:
        pending, submit = effects
        assert pending == BetPending("r1", BET_ID)
        assert isinstance(submit, Submit)
        assert (submit.request_id, submit.command.user_id, submit.objection) == ("r1", expected, None)


def test_effects_come_in_the_order_of_the_requests_around_a_bad_one() -> None:
    effects = hear(opened(), bet("a"), {"type": "ping", "id": 7}, {"type": "bet.get", "id": "c"}, PING)
    kinds = [type(effect) for effect in effects]
    assert kinds == [BetPending, Submit, Error, Error, Pong]
    assert [effect.id for effect in effects if isinstance(effect, Error)] == [None, "c"]


def test_bets_beyond_the_limit_in_flight_are_only_looked_up() -> None:
    conversation = opened(limits=Limits(in_flight=2))
    effects = hear(conversation, bet("a"), bet("b"), bet("c"))
    assert [type(effect) for effect in effects] == [BetPending, Submit, BetPending, Submit, Submit]
    submitted = [effect for effect in effects if isinstance(effect, Submit)]
    assert [submit.objection for submit in submitted] == [None, None, Code.RATE_LIMITED]
    # Each answer makes room for one; the one that was over the limit holds no place once it is answered.
    for submit in submitted[1:]:
        conversation.answered(submit.request_id, submit.command, Rejected(Code.RATE_LIMITED))
    assert [type(effect) for effect in hear(conversation, bet("d"))] == [BetPending, Submit]
    assert [type(effect) for effect in hear(conversation, bet("e"))] == [Submit]


def test_an_outcome_becomes_the_answer_to_its_request() -> None:
    conversation = opened()
    submit = hear(conversation, bet("a"))[1]
    assert isinstance(submit, Submit)
    assert isinstance(submit.command, PlaceBet)
    accepted = Accepted(88, 4, Wallet(918, 750, 0, 750))
    assert isinstance(conversation.answered("a", submit.command, accepted), BetConfirmed)
    assert isinstance(
        conversation.answered("a", submit.command, Rejected(Code.INSUFFICIENT_FUNDS)), BetRejected
    )
    assert isinstance(conversation.answered("a", submit.command, Rejected(Code.STALE_REQUEST)), Error)


@pytest.mark.parametrize("state", ["stranger", "open"])
def test_a_binary_frame_ends_it(state: str) -> None:
    conversation = Conversation(Limits(), Allowance(0.0)) if state == "stranger" else opened()
    (close,) = conversation.receive_bytes()
    assert isinstance(close, Close)
    assert close.code is CloseCode.NOT_THIS_PROTOCOL
    assert conversation.state is State.CLOSED


@pytest.mark.parametrize("frame", [AUTH, PING, bet(), [], 7])
def test_a_closed_session_does_nothing_more(frame: object) -> None:
    conversation = opened()
    assert codes(list(conversation.close(CloseCode.STOPPING, "bye"))) == [CloseCode.STOPPING]
    assert hear(conversation, frame) == []
    assert list(conversation.receive_bytes()) == []
    assert list(conversation.close(CloseCode.FAULT, "again")) == []


@pytest.mark.parametrize(
    ("role", "user_id", "expected"),
    [
        ("player", None, 42),
        ("player", 42, "FORBIDDEN"),
        ("player", 7, "FORBIDDEN"),
        ("operator", 7, 7),
        ("admin", 7, 7),
        ("operator", None, "INVALID_REQUEST"),
        ("admin", None, "INVALID_REQUEST"),
        ("auditor", 7, "FORBIDDEN"),
        ("auditor", None, "FORBIDDEN"),
    ],
)
@pytest.mark.parametrize(
    "request_",
    [
        {"type": "limit.set", "kind": "stake", "period": "day", "amount": 5},
        {"type": "limit.exclude", "until": NOW_MS},
    ],
    ids=lambda request: request["type"],
)
def test_whose_limit_it_is(
    role: str, user_id: int | None, expected: int | str, request_: dict[str, object]
) -> None:
    whose = {} if user_id is None else {"user_id": user_id}
    (effect,) = hear(opened(role), request_ | {"id": "r", "key": "k"} | whose)
    if isinstance(expected, int):
        assert isinstance(effect, Submit)
        assert isinstance(effect.command, SetLimit | Exclude)
        assert (effect.command.user_id, effect.command.caller) == (expected, "42")
    else:
        assert codes([effect]) == [expected]


OWN: dict[str, LimitGet | WalletList] = {"limit.get": LimitGet("r", 42), "wallet.list": WalletList("r", 42)}


@pytest.mark.parametrize("type_", ["payout.get", "payout.follow", "archive.get", *OWN])
@pytest.mark.parametrize("role", ["player", "operator", "auditor", "admin"])
def test_payouts_limits_wallets_and_archives_are_looked_up_for_who_may(role: str, type_: str) -> None:
    number = "user_id" if type_ in OWN else "archive_id" if type_ == "archive.get" else "payout_id"
    whose: dict[str, object] = {number: 7}
    (effect,) = hear(opened(role), {"type": type_, "id": "r"} | whose)
    if role == "player":
        assert codes([effect]) == ["FORBIDDEN"]
    else:
        assert isinstance(effect, Look)
    if type_ in OWN:
        (own,) = hear(opened(role), {"type": type_, "id": "r"})
        assert own == Look(OWN[type_]) if role == "player" else codes([own]) == ["INVALID_REQUEST"]


@pytest.mark.parametrize("role", ["player", "operator", "auditor", "admin"])
def test_a_player_gets_receipts_of_his_own_and_others_of_whomever_they_name(role: str) -> None:
    request = {"type": "receipt.get", "id": "r", "transaction_id": 88}
    own, named, head = hear(
        opened(role), [request, request | {"user_id": 7}, {"type": "head.get", "id": "r"}]
    )

    assert own == Look(ReceiptGet("r", 88, 42 if role == "player" else None))
    if role == "player":
        assert codes([named]) == ["FORBIDDEN"]
    else:
        assert named == Look(ReceiptGet("r", 88, 7))
    assert head == Look(HeadGet("r"))


# --- a token that expires --------------------------------------------------------------------------------


def outcome_of(submitted: Effect, conversation: Conversation) -> None:
    assert isinstance(submitted, Submit)
    conversation.answered(submitted.request_id, submitted.command, Rejected(Code.INSUFFICIENT_FUNDS))


def test_a_token_that_expires_with_nothing_in_flight_ends_the_session() -> None:
    conversation = opened()
    (close,) = conversation.expire()
    assert isinstance(close, Close)
    assert close.code is CloseCode.NOT_AUTHENTICATED
    assert conversation.state is State.CLOSED
    assert conversation.expire() == []


def test_a_token_that_expires_waits_for_what_is_in_flight_and_takes_nothing_more() -> None:
    conversation = opened()
    submitted = [effect for effect in hear(conversation, bet("a"), bet("b")) if isinstance(effect, Submit)]
    assert conversation.expire() == []
    assert conversation.state is State.EXPIRED
    assert codes(hear(conversation, bet("c"), PING)) == ["UNAUTHORIZED", "UNAUTHORIZED"]
    assert codes(hear(conversation, AUTH | {"id": "again"})) == ["UNAUTHORIZED"]
    outcome_of(submitted[0], conversation)
    assert not conversation.is_done
    outcome_of(submitted[1], conversation)
    assert conversation.is_done
    assert codes(conversation.expire()) == [CloseCode.NOT_AUTHENTICATED]
    assert hear(conversation, PING) == []


def test_a_token_that_has_expired_does_not_wait_for_ever() -> None:
    conversation = opened()
    hear(conversation, bet("a"))
    assert conversation.expire() == []
    assert codes(conversation.expire()) == [CloseCode.NOT_AUTHENTICATED]
