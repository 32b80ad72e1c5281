"""A bet's way through the ledger, for its player and for the staff. Reads beside the writer."""

from __future__ import annotations

from engine.outcomes import Code
from engine.store import Store
from engine.trails import Step, bet_trail
from ws.asking.roles import Reach, reach_of
from ws.effects import Identity
from ws.wire.fields import Reply
from ws.wire.outcomes import error
from ws.wire.trails import Trail, TrailEntry, TrailGet, TrailStep


async def trail(store: Store, request: TrailGet, identity: Identity) -> Reply:
    """Its transactions; of them a player sees his own entries, and of a foreign bet nothing. `bet.get` tells
    also of one that is not decided yet."""
    # It may have been archived, and have many steps: no other reader waits behind it.
    found = await store.read_past(lambda connection: bet_trail(connection, request.bet_id))
    is_for_all = reach_of(identity, "bet.trail") is Reach.ANY
    if found is None or not (is_for_all or found.bet.user_id == identity.user_id):
        return error(request.id, Code.NOT_FOUND)
    bet = found.bet
    return Trail(
        request.id,
        request.bet_id,
        bet.user_id,
        bet.state,
        bet.stake_minor,
        bet.payout_minor,
        [_shown(step, None if is_for_all else identity.user_id) for step in found.steps],
    )


def _shown(step: Step, only: int | None) -> TrailStep:
    return TrailStep(
        step.transaction_id,
        step.kind,
        step.at_us // 1000,
        step.block_id,
        step.hash.hex(),
        [TrailEntry(*each) for each in step.entries if only is None or each.user_id == only],
    )
