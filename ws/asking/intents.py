"""From who asks and what for to what is to be done, or why not: what both doors decide alike. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple, get_args

import msgspec

from engine.commands import Keyed, Transfer
from engine.outcomes import Code
from ws.asking.roles import Reach, reach_of, why_not
from ws.effects import Identity, Look, Looked
from ws.wire.fields import Request
from ws.wire.limits import LimitExclude, LimitGet, LimitSet
from ws.wire.messages import AnyRequest, BetPlace
from ws.wire.operators import Move, WalletTransfer
from ws.wire.reads import BetsGet, EntriesGet, WalletGet
from ws.wire.receipts import ReceiptGet
from ws.wire.wallets import WalletList

WHOSE_WORDS: Final = "user_id: whose wallet? an operator must say"


class Refused(NamedTuple):
    """It is not to be done: INVALID_REQUEST or FORBIDDEN, and why."""

    code: Code
    message: str


def authorised(identity: Identity, request: Move | Looked) -> Keyed | Look | Refused:
    """What becomes of any request but a bet. Fills in whose wallet it is about where that is the asker's."""
    name = NAMES[type(request)]
    reach = reach_of(identity, name)
    if reach is None:
        return Refused(Code.FORBIDDEN, why_not(identity, name))
    match request:
        case LimitSet() | LimitExclude() | LimitGet() | WalletList() | WalletGet() | EntriesGet() | BetsGet():
            whose = _whose(identity, reach, request.user_id)
            if isinstance(whose, Refused):
                return whose
            request.user_id = whose
        case ReceiptGet() if reach is Reach.OWN:
            if request.user_id is not None:
                return Refused(Code.FORBIDDEN, "user_id: for operators and auditors only")
            request.user_id = identity.user_id
        case WalletTransfer() if reach is Reach.OWN:
            return _own_transfer(identity, request)
    if isinstance(request, Move):
        return request.to_command(caller=identity.caller)
    return Look(request)


def stakes_own(identity: Identity) -> bool:
    """Whether he places bets from his own wallet, and from no other."""
    return reach_of(identity, NAMES[BetPlace]) is Reach.OWN


def staked_from(identity: Identity, request: BetPlace) -> int | Refused:
    """The wallet that a bet is placed from."""
    reach = reach_of(identity, NAMES[BetPlace])
    if reach is None:
        return Refused(Code.FORBIDDEN, why_not(identity, NAMES[BetPlace]))
    return _whose(identity, reach, request.user_id)


def _whose(identity: Identity, reach: Reach, user_id: int | None) -> int | Refused:
    """The wallet that a request is about; or why it may not be."""
    if reach is Reach.OWN:
        if user_id is None:
            return identity.user_id
        return Refused(Code.FORBIDDEN, "user_id: for operators only")
    return Refused(Code.INVALID_REQUEST, WHOSE_WORDS) if user_id is None else user_id


def _own_transfer(identity: Identity, request: WalletTransfer) -> Transfer | Refused:
    """Whether the others are players' wallets is for the books to tell (`decide.cash.transfer`)."""
    for at, leg in enumerate(request.legs):
        # One that gets before it gives would have an entry, and a receipt, of money that was never there.
        if (leg.amount < 0) is not (leg.user_id == identity.user_id):
            return Refused(Code.FORBIDDEN, f"legs[{at}].user_id: your own wallet gives, and no other")
        if leg.name != "TRANSFER":
            return Refused(Code.FORBIDDEN, f"legs[{at}].name: for operators only")
    command = request.to_command(caller=identity.caller)
    return msgspec.structs.replace(command, among_players=True)


NAMES: Final[dict[type[Request], str]] = {
    each: str(each.__struct_config__.tag) for each in {*get_args(AnyRequest), *get_args(Looked)}
}
"""How `roles.RULES` names each request."""
