"""The tables of replies and codes are whole, and say of each command what the engine does."""

from __future__ import annotations

from typing import get_args

import pytest

from engine.commands import PlaceBet
from engine.outcomes import Code
from tests.operator_messages import OWN, SOUND, leaves, one
from tests.test_precedence import CASES
from ws.v1.routes import ROUTES
from ws.wire.answers import AT_THE_DOOR, OF_COMMANDS, REFUSALS_OF, REPLIES, REPLIES_OF, codes_of
from ws.wire.fields import Reply, Request
from ws.wire.messages import AnyRequest, BetPlace
from ws.wire.operators import Move
from ws.wire.reads import AuditLog, Bets, Entries, WalletShown

ONLY_OVER_HTTP = {WalletShown, Entries, Bets, AuditLog}
OF_REPLAYS = {Code.BET_ROLLED_BACK, Code.BET_CLOSED}
"""Of a bet: it is known, or archived. `test_precedence` asks for bets that are not."""


def test_every_request_and_every_reply_has_its_place() -> None:
    assert {*REPLIES_OF} == {*get_args(AnyRequest)}
    assert {*REPLIES} | ONLY_OVER_HTTP == {*leaves(Reply)}
    assert {*REFUSALS_OF} == {*get_args(AnyRequest), *(route.request for route in ROUTES)}


def test_both_doors_answer_alike() -> None:
    for route in ROUTES:
        if route.request in REPLIES_OF:
            assert route.reply in REPLIES_OF[route.request]


def test_every_code_is_told_to_somebody() -> None:
    assert {code for request in REFUSALS_OF for code in codes_of(request)} == {*Code}


@pytest.mark.parametrize(
    "request_", [each for each in REFUSALS_OF if issubclass(each, Move) or each is BetPlace]
)
def test_a_command_is_refused_for_what_the_engine_refuses_it_for(request_: type[Request]) -> None:
    kind: type
    if request_ is BetPlace:
        kind = PlaceBet
    else:
        type_ = str(request_.__struct_config__.tag)
        sound = one({"type": type_, "id": "r1", "key": OWN["key"], **SOUND[type_]})
        assert isinstance(sound, Move)
        kind = type(sound.to_command(OWN["caller"]))
    engines = {code for case in CASES.values() if type(case.command) is kind for code in case.spoils}
    told = REFUSALS_OF[request_] - (OF_REPLAYS | {Code.NONCE_REUSED} if request_ is BetPlace else set())
    assert engines, "the engine is not asked"
    assert engines - AT_THE_DOOR - OF_COMMANDS == told - AT_THE_DOOR - OF_COMMANDS
