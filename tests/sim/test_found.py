"""What the simulator has found, reduced to a few steps each.

Seeds change their meaning whenever the plan of a world changes, so what they found is kept here as a story.
"""

from __future__ import annotations

import json

from tests.sim.stage import BET_ID, Stage


def test_a_rollback_that_fails_ends_the_taking_of_money_for_all_to_see(stage: Stage) -> None:
    """Until a restart every command heard CIRCUIT_OPEN, while the circuit was closed and all was well."""
    link = stage.connect()
    rolled_back = 0
    while not stage.weather.struck["rollback fails"]:
        rolled_back += 1
        with stage.struck_by("disk full", "rollback fails"):
            stage.bet(link, BET_ID[:-4] + f"{rolled_back:04d}")
            stage.until(lambda: stage.last("bet.rejected") is not None)
        stage.heard_by_client.clear()
    stage.bet(link, BET_ID[:-4] + "9999")
    stage.until(lambda: stage.last("bet.rejected") is not None)
    assert stage.server.batcher.failure is not None


def test_a_socket_that_is_closed_behind_a_slow_read_costs_no_turns(stage: Stage) -> None:
    """Each turn of the loop closed it again, until the read was over: a whole processor for nothing."""
    link = stage.connect(life_s=2)
    with stage.struck_by("read slow"):
        while not stage.closed:
            link.send(json.dumps({"type": "resume", "id": f"r{stage.scheduler.now_us}", "from_seq": 0}))
            before = stage.scheduler.turns
            stage.scheduler.run_until(stage.scheduler.now_us + 50_000)
            assert stage.scheduler.turns - before < 200
