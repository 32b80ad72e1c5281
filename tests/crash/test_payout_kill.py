"""A mass payout whose server is killed with SIGKILL in its middle pays every winner once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import payouts
from bench.beside import look

WINNERS = 5_000


@pytest.mark.long
def test_a_payout_killed_in_the_middle_pays_every_winner_once(tmp_path: Path) -> None:
    shown = payouts.measure(tmp_path, WINNERS, seconds=0)
    assert WINNERS // 4 <= shown["items_at_kill"] < WINNERS
    assert (shown["paid_once"], shown["clearing_minor"], shown["reconcile"]) == (WINNERS, 0, "ok")

    # And the audit finds a winner who was not paid.
    ((payout_id,),) = look(tmp_path / "payout.db", "SELECT id FROM payouts", {})
    with pytest.raises(RuntimeError, match=r"paid \(5000, 5000, 250, 250\) of 5001"):
        payouts.audit(tmp_path / "payout.db", payout_id, WINNERS + 1)
