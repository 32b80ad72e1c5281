"""A mass payout whose server is killed with SIGKILL in its middle pays every winner once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import payouts
from bench.beside import look


@pytest.mark.long
def test_a_payout_killed_in_the_middle_pays_every_winner_once(tmp_path: Path) -> None:
    winners = 5_000
    shown = payouts.measure(tmp_path, winners, seconds=0)
    assert winners // 4 <= shown["items_at_kill"] < winners
    assert (shown["paid_once"], shown["clearing_minor"], shown["reconcile"]) == (winners, 0, "ok")


@pytest.mark.long
def test_the_audit_of_a_payout_finds_a_winner_who_was_not_paid(tmp_path: Path) -> None:
    payouts.measure(tmp_path, 2_000, seconds=0)
    ((payout_id,),) = look(tmp_path / "payout.db", "SELECT id FROM payouts", {})
    with pytest.raises(RuntimeError, match=r"paid \(2000, 2000, 250, 250\) of 2001"):
        payouts.audit(tmp_path / "payout.db", payout_id, 2_001)
