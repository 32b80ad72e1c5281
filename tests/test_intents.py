"""Who may do what, without sockets: the scopes of a service account, and whose wallet a request is about.

What each role may is asked of a running server: `test_roles_matrix.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.commands import Keyed, Transfer, fingerprint
from engine.outcomes import Code
from engine.people import SCOPES, STAFF_ROLES
from tests.asking import EVERY
from tests.operator_messages import BET_ID, NOW_MS
from ws.asking.intents import NAMES, Refused, authorised, staked_from, stakes_own
from ws.asking.roles import RULES, Reach, reach_of, why_not
from ws.codec import read_request
from ws.effects import ROLES, Identity, Look, Looked
from ws.wire.fields import Request
from ws.wire.messages import BetPlace
from ws.wire.operators import Move, WalletTransfer

KINDS = {name: kind for kind, name in NAMES.items()}


def sound(name: str) -> Request:
    kind = KINDS[name]
    key = {"key": "k"} if issubclass(kind, Move) else {}
    fields = (EVERY | {"payout.follow": {"payout_id": 88}, "resume": {"from_seq": 0}}).get(name, {})
    request = read_request(kind, {"id": "r"} | key | fields)
    assert isinstance(request, kind), request
    return request


def may(identity: Identity, name: str) -> bool:
    request = sound(name)
    if isinstance(request, BetPlace):
        return not isinstance(staked_from(identity, request), Refused)
    assert isinstance(request, Move | Looked)
    return not isinstance(authorised(identity, request), Refused)


ASKED = [name for name in KINDS if name not in ("auth", "ping")]


def test_every_rule_speaks_of_known_roles_and_scopes() -> None:
    for name, rule in RULES.items():
        assert rule.reach.keys() <= ROLES
        assert {*rule.scopes} <= {*SCOPES}
        assert rule.words or rule.reach.keys() == ROLES, name
        for role, reach in rule.reach.items():
            assert reach is Reach.ANY or role == "player", "nobody else has a wallet"
    assert {scope for rule in RULES.values() for scope in rule.scopes} == {*SCOPES}


@pytest.mark.parametrize("role", STAFF_ROLES)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_does_what_its_scope_says_and_nothing_else(scope: str, role: str) -> None:
    key = Identity(2**50, role, 2**40, scopes=frozenset({scope}))
    allowed = {name for name in ASKED if may(key, name)}
    everything = {name for name in ASKED if may(key._replace(scopes=None), name)}
    assert allowed == {name for name in everything if scope in RULES[name].scopes}
    assert allowed < everything or (role, scope) == ("auditor", "read")


def test_what_matters_most_of_the_scopes_is_as_it_was_written_by_hand() -> None:
    moving = {name for name in ASKED if issubclass(KINDS[name], Move | BetPlace)}

    def moved_by(*scopes: str) -> set[str]:
        key = Identity(2**50, "operator", 2**40, scopes=frozenset(scopes))
        return {name for name in moving if may(key, name)}

    assert moved_by("bets") == {"bet.place", "bet.settle", "bet.unsettle", "bet.rollback", "bet.cashout"}
    assert moved_by("money") == {
        *("wallet.deposit", "wallet.withdraw", "wallet.transfer"),
        *("wallet.hold", "hold.capture", "hold.release"),
    }
    assert moved_by("payouts") == {name for name in moving if name.startswith("payout.")}
    assert moved_by("bonus") == {"bonus.grant", "free_bet.grant", "free_bet.revoke"}
    assert moved_by("upkeep") == {"archive.begin"}
    for role in ("operator", "auditor"):  # a process and a deed: a key that may only read has none made
        assert not may(Identity(2**50, role, 2**40, scopes=frozenset({"read"})), "check.begin")
        assert may(Identity(2**50, role, 2**40, scopes=frozenset({"upkeep"})), "check.begin")
    assert moved_by("read") == moved_by() == set()
    assert moved_by(*SCOPES) == moving


def test_scopes_give_nothing_that_the_role_has_not() -> None:
    for role in ROLES:
        for name in RULES:
            wide = Identity(42, role, 2**40, scopes=frozenset(SCOPES))
            assert reach_of(wide, name) is reach_of(wide._replace(scopes=None), name)


def test_who_may_not_hears_why() -> None:
    key = Identity(2**50, "operator", 2**40, scopes=frozenset({"bets"}))
    assert why_not(key, "wallet.deposit") == "this key is not for that; it would need the scope money"
    assert why_not(key, "payout.get") == "this key is not for that; it would need the scope read or payouts"
    assert why_not(Identity(42, "auditor", 2**40), "wallet.deposit") == "for operators only"


def test_a_player_with_scopes_places_his_own_bets_only_with_the_right_one() -> None:
    player = Identity(42, "player", 2**40)
    bet = BetPlace("r", BET_ID, 1, "12345678", NOW_MS)
    assert (stakes_own(player), staked_from(player, bet)) == (True, 42)
    reader = player._replace(scopes=frozenset({"read"}))
    assert not stakes_own(reader)
    refused = staked_from(reader, bet)
    assert isinstance(refused, Refused)
    assert refused.code is Code.FORBIDDEN


OWN = sorted(name for name in ASKED if RULES[name].reach.get("player") is Reach.OWN)
NAMING = [name for name in OWN if "user_id" in KINDS[name].__struct_fields__]
"""What a player may do with his own wallet, and an operator with one that he names."""


@pytest.mark.parametrize("name", NAMING)
@pytest.mark.parametrize("named", [7, 42])
def test_a_player_names_nobody_s_wallet_and_has_his_own(name: str, named: int) -> None:
    def intended(role: str, user_id: int | None) -> Any:
        request = msgspec.structs.replace(sound(name), user_id=user_id)
        if isinstance(request, BetPlace):
            return staked_from(Identity(42, role, 2**40), request)
        assert isinstance(request, Move | Looked)
        return authorised(Identity(42, role, 2**40), request)

    def whose(intent: Any) -> int:
        about = intent.request if isinstance(intent, Look) else intent
        return int(about if isinstance(about, int) else about.user_id)

    refused = intended("player", named)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.message.partition(":")[0]) == (Code.FORBIDDEN, "user_id")
    assert whose(intended("player", None)) == 42
    assert whose(intended("operator", named)) == named


@pytest.mark.parametrize(
    ("legs", "where"),
    [
        ([(42, -5, "TRANSFER"), (7, 5, "TRANSFER")], None),
        ([(7, 5, "TRANSFER"), (42, -3, "TRANSFER"), (42, -2, "TRANSFER")], None),
        ([(7, -5, "TRANSFER"), (42, 5, "TRANSFER")], "legs[0].user_id"),
        ([(42, 5, "TRANSFER"), (42, -5, "TRANSFER")], "legs[0].user_id"),
        ([(42, -5, "TRANSFER"), (7, 5, "FEE")], "legs[1].name"),
        ([(42, -5, "TAX"), (7, 5, "TRANSFER")], "legs[0].name"),
    ],
)
def test_out_of_whose_wallet_a_player_transfers(legs: list[tuple[int, int, str]], where: str | None) -> None:
    fields: dict[str, Any] = {
        "id": "r",
        "key": "k",
        "legs": [{"user_id": user_id, "amount": amount, "name": name} for user_id, amount, name in legs],
    }
    request = read_request(WalletTransfer, fields)
    assert isinstance(request, WalletTransfer)
    intent = authorised(Identity(42, "player", 2**40), request)
    if where is None:
        assert isinstance(intent, Transfer)
        assert (intent.among_players, intent.caller) == (True, "42")
    else:
        assert isinstance(intent, Refused)
        assert (intent.code, intent.message.partition(":")[0]) == (Code.FORBIDDEN, where)
    by_operator = authorised(Identity(42, "operator", 2**40), request)
    assert isinstance(by_operator, Transfer)
    assert not by_operator.among_players


def test_who_asks_is_no_part_of_what_was_asked() -> None:
    """Else a transfer of before this field would be another one when it is sent again."""
    request = sound("wallet.transfer")
    assert isinstance(request, WalletTransfer)
    command = request.to_command("42")
    assert fingerprint(command) == fingerprint(msgspec.structs.replace(command, among_players=True))


@pytest.mark.parametrize("name", sorted(ASKED))
def test_what_is_allowed_becomes_a_command_or_a_look(name: str) -> None:
    request = sound(name)
    if isinstance(request, BetPlace):
        return
    assert isinstance(request, Move | Looked)
    role = {"balance.get": "player", "resume": "player", "audit_log.get": "auditor"}.get(name, "operator")
    intent = authorised(Identity(42, role, 2**40), request)
    assert isinstance(intent, Keyed if isinstance(request, Move) else Look)
    assert not isinstance(intent, Keyed) or intent.caller == "42", "his keys are his own"
