"""Who may do what: one table, for both doors. Pure.

A request is known here by the `type` of its message, or by the name that its HTTP route has where there is no
such message. Each role either may not at all, or has a reach: his own wallet with what belongs to it, or
anybody's. A service account has a role like everybody else, and scopes that narrow it.
`docs/roles.md` shows the table, as a test has found it on a running server.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from ws.effects import Identity


class Reach(Enum):
    """Whose wallets a role may do something with."""

    OWN = "own"
    """His own, which he need not name."""
    ANY = "any"
    """Anybody's, and the house's."""


class Rule(NamedTuple):
    """Who may do one thing. A role that `reach` does not name may not, and hears `words`."""

    reach: Mapping[str, Reach]
    scopes: tuple[str, ...]
    """A service account needs one of them; none: it needs nothing."""
    words: str


_HOUSE: Final = {"operator": Reach.ANY, "admin": Reach.ANY}
_READERS: Final = {**_HOUSE, "auditor": Reach.ANY}
_EVERYBODY: Final = {**_READERS, "player": Reach.ANY}
_OWNER: Final = {"player": Reach.OWN}

_NOT_PLAYERS: Final = "for operators and auditors only"
_NO_WALLET: Final = "this role has no wallet"


def _operators(*scopes: str) -> Rule:
    return Rule(_HOUSE, scopes, "for operators only")


def _readers(*scopes: str) -> Rule:
    return Rule(_READERS, scopes, _NOT_PLAYERS)


def _players_and_readers(*scopes: str) -> Rule:
    return Rule(_READERS | _OWNER, scopes, _NOT_PLAYERS)


def _everybody(*scopes: str) -> Rule:
    return Rule(_EVERYBODY, scopes, "")


MANAGE: Final = "staff.manage"
"""Say who may act for the house: `/v1/admin`, which has no messages."""

RULES: Final[dict[str, Rule]] = {
    "auth": _everybody(),  # with a token: that tells who it is
    "ping": _everybody(),
    "circuit.get": _everybody("read", "bets"),
    "head.get": _everybody("read"),
    "keys.get": _everybody("read"),
    "block.get": _everybody("read"),
    "bet.place": Rule(_HOUSE | _OWNER, ("bets",), "this role may not place bets"),
    "bet.get": _players_and_readers("read", "bets"),
    "bet.trail": _players_and_readers("read", "bets"),
    "bet.settle": _operators("bets"),
    "bet.unsettle": _operators("bets"),
    "bet.rollback": _operators("bets"),
    "bet.cashout": _operators("bets"),  # nor the player himself: whoever asks names the price
    "balance.get": Rule(_OWNER, ("read",), _NO_WALLET),
    "resume": Rule(_OWNER, ("read",), _NO_WALLET),
    "wallet.get": _players_and_readers("read"),
    "wallet.entries": _players_and_readers("read"),
    "wallet.bets": _players_and_readers("read"),
    "wallet.list": _players_and_readers("read", "wallets"),
    "receipt.get": _players_and_readers("read"),
    "wallet.deposit": _operators("money"),
    "wallet.withdraw": _operators("money"),
    # A player's own: only his wallet gives, and only players' wallets get (PROTOCOL, "HTTP /v1").
    "wallet.transfer": Rule(_HOUSE | _OWNER, ("money",), "for operators only"),
    "wallet.hold": _operators("money"),
    "hold.capture": _operators("money"),
    "hold.release": _operators("money"),
    "payout.make": _operators("payouts"),
    "payout.open": _operators("payouts"),
    "payout.add": _operators("payouts"),
    "payout.start": _operators("payouts"),
    "payout.resolve": _operators("payouts"),
    "payout.get": _readers("read", "payouts"),
    "payout.follow": _readers("read", "payouts"),
    "payout.list": _readers("read", "payouts"),
    "limit.get": _players_and_readers("read", "wallets"),
    "limit.set": Rule(_HOUSE | _OWNER, ("wallets",), "this role may not change limits"),
    "limit.exclude": Rule(_HOUSE | _OWNER, ("wallets",), "this role may not change limits"),
    "wallet.open": _operators("wallets"),
    "wallet.status": _operators("wallets"),
    "book.floor": _operators("wallets"),
    "bonus.grant": _operators("bonus"),
    "free_bet.grant": _operators("bonus"),
    "free_bet.revoke": _operators("bonus"),
    "archive.begin": _operators("upkeep"),
    "archive.get": _readers("read", "upkeep"),
    "figures.follow": _readers("read", "upkeep"),
    "check.begin": _readers("upkeep"),
    "check.get": _readers("read", "upkeep"),
    "player.find": _readers("read"),
    "clock.get": _readers("read", "upkeep"),
    "clock.confirm": _operators("upkeep"),
    "audit_log.get": Rule({"auditor": Reach.ANY, "admin": Reach.ANY}, ("read",), "for auditors only"),
    MANAGE: Rule({"admin": Reach.ANY}, (), "for admins only"),
}
"""The table."""


def reach_of(identity: Identity, name: str) -> Reach | None:
    """How far he may go with this; None: not at all, see `why_not`."""
    rule = RULES[name]
    if identity.scopes is not None and rule.scopes and identity.scopes.isdisjoint(rule.scopes):
        return None
    return rule.reach.get(identity.role)


def why_not(identity: Identity, name: str) -> str:
    """What somebody hears who may not do this."""
    rule = RULES[name]
    if identity.role in rule.reach:
        return f"this key is not for that; it would need the scope {' or '.join(rule.scopes)}"
    return rule.words
