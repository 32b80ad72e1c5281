"""The disk of the simulator: what becomes of a COMMIT, and what time it takes others."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

from tests.sim.disk import Writing, failing
from tests.sim.ending import Over
from tests.sim.evidence import Finding
from tests.sim.loop import Abort
from tests.sim.stage import BET_ID, Stage


def test_a_late_commit_is_not_seen_until_the_file_is_opened_anew(stage: Stage) -> None:
    link = stage.connect()
    before = len(stage.commits)
    with stage.struck_by("unknown commit: late"):
        stage.bet(link, BET_ID)
        stage.until(lambda: stage.last("error") is not None)
    error = stage.last("error")
    assert error is not None
    assert error["code"] == "OUTCOME_UNKNOWN"
    assert len(stage.commits) == before
    count = "SELECT COUNT(*) FROM transaction_ledger WHERE ref_type = 'BET'"
    with contextlib.closing(sqlite3.connect(stage.disk.path)) as reader:
        assert reader.execute(count).fetchone() == (0,)
    stage.server.kill()
    stage.disk.power_off()
    assert len(stage.commits) == before + 1
    with contextlib.closing(sqlite3.connect(stage.disk.path)) as reader:
        assert reader.execute(count).fetchone() == (2,)


def test_a_late_commit_never_was_once_somebody_has_written_over_it(stage: Stage) -> None:
    writer = next(each for each in stage.disk._open if isinstance(each, Writing))
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE users SET status = 'blocked' WHERE id = 7")
    with stage.struck_by("unknown commit: late"), pytest.raises(sqlite3.OperationalError):
        writer.execute("COMMIT")
    writer.execute("ROLLBACK")
    writer.execute("BEGIN IMMEDIATE")
    assert writer.execute("SELECT status FROM users WHERE id = 7").fetchone() == ("open",)


def test_time_passes_for_others_while_a_commit_hangs(stage: Stage) -> None:
    link = stage.connect()
    with stage.struck_by("commit hangs"):
        stage.bet(link, BET_ID)
        link.send(json.dumps({"type": "balance.get", "id": "b"}))
        stage.until(lambda: stage.last("balance") is not None)
        balance = stage.last("balance")
        assert balance is not None
        assert balance["balance"] == 2_000  # as it was before
        assert balance["is_writing"]


@pytest.mark.parametrize("what", [Finding, Over])
def test_what_comes_up_while_a_commit_hangs_is_no_fault_of_the_disk(
    stage: Stage, what: type[BaseException]
) -> None:
    """The end of a world was taken for one, in seed 70128: nobody ran any more, and it did not end."""

    def comes_up() -> None:
        raise what

    link = stage.connect()
    with stage.struck_by("commit hangs"):
        stage.bet(link, BET_ID)
        stage.scheduler.after(1_000_000, comes_up)
        with pytest.raises(what):
            stage.until(lambda: False)


def test_a_checkpoint_that_fails_ends_the_taking_of_money(stage: Stage) -> None:
    """The kernel may have dropped what it could not write: docs/adr/0018."""
    link = stage.connect()
    stage.bet(link, BET_ID)
    stage.until(lambda: stage.last("bet.confirmed") is not None)
    with stage.struck_by("checkpoint fails"):  # the log keeper asks for one within 6 s
        stage.until(lambda: stage.server.batcher.failure is not None, 7_000_000)
    stage.bet(link, BET_ID[:-1] + "2")
    stage.until(lambda: stage.last("bet.rejected") is not None)


def test_a_full_disk_refuses_for_now(stage: Stage) -> None:
    link = stage.connect()
    with stage.struck_by("no room"):
        stage.bet(link, BET_ID)
        stage.until(lambda: stage.last("bet.rejected") is not None)
    refused = stage.last("bet.rejected")
    assert refused is not None
    assert (refused["code"], refused["retryable"]) == ("OVERLOADED", True)
    stage.bet(link, BET_ID)
    stage.until(lambda: stage.last("bet.confirmed") is not None)


def test_whoever_writes_to_a_disk_that_has_failed_is_found_out(stage: Stage) -> None:
    writer = next(each for each in stage.disk._open if isinstance(each, Writing))
    with stage.struck_by("checkpoint fails"), pytest.raises(sqlite3.OperationalError):
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(Abort, match="has failed"):
        stage.scheduler.turn()


def test_errors_have_sqlites_codes() -> None:
    assert failing((sqlite3.SQLITE_FULL, "full")).sqlite_errorcode == sqlite3.SQLITE_FULL


def test_a_late_look_has_seen_the_file_as_it_was(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And others commit before it is told: what it denies may be so by then."""
    monkeypatch.setattr("tests.sim.seams.READ_SLOW_US", (500_000, 500_000))
    link, other = stage.connect(), stage.connect()
    stage.until(lambda: [each["type"] for each in stage.heard_by_client] == ["welcome"] * 2)
    with stage.struck_by("look late"):
        link.send(json.dumps({"type": "balance.get", "id": "b"}))
        stage.until(lambda: stage.weather.struck["look late"] > 0)
    stage.bet(other, BET_ID)
    stage.until(lambda: stage.last("bet.confirmed") is not None)
    assert stage.last("balance") is None
    stage.until(lambda: stage.last("balance") is not None)
    balance = stage.last("balance")
    assert balance is not None
    assert balance["balance"] == 2_000


def test_what_threads_have_done_is_heard_in_that_order(stage: Stage) -> None:
    done_us, heard_us = [], []
    for at_us in range(0, 2_000, 20):
        stage.scheduler.run_until(stage.scheduler.now_us + 20)
        done_us.append(at_us)
        heard_us.append(stage.disk.back_us())
    assert heard_us == sorted(heard_us)
