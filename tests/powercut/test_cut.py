"""Cut the power under a real server: what it had acknowledged is there. Needs a C compiler."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.powercut.cut import Recording, cut
from tests.powercut.load import Evidence, record
from tests.powercut.recording import Kind

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # it starts some ten servers

POINTS = 40


def recording_of(folder: Path, server: str, acks: int) -> Recording:
    evidence = Evidence(folder)
    record(evidence, sockets=12, acks=acks, seed="a fixed seed", module=server)
    return Recording(evidence)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recording_of(tmp_path_factory.mktemp("sound"), "tests.broken.small_log", acks=500)


def test_what_was_acknowledged_before_a_power_cut_is_in_the_books_once(
    sound: Recording, tmp_path: Path
) -> None:
    assert sound.vacuous() == []
    shown = list(cut(sound, list(range(POINTS)), "a fixed seed", tmp_path, served_every=30))
    assert [finding for point in shown for finding in point.findings] == []
    assert len(shown) == POINTS
    assert sum(point.unsynced > 0 for point in shown) > POINTS / 2
    assert sum(point.is_served for point in shown) > 0


def test_the_recorder_has_missed_no_call(sound: Recording) -> None:
    assert sound.is_whole()
    holed = copy.copy(sound)
    last = max(at for at, op in enumerate(sound.ops) if op.kind is Kind.WRITE)
    holed.ops = sound.ops[:last] + sound.ops[last + 1 :]
    assert not holed.is_whole()


def test_a_server_that_does_not_sync_each_commit_is_found_out_and_each_point_is_the_same_again(
    tmp_path: Path,
) -> None:
    unsynced = recording_of(tmp_path, "tests.broken.unsynced", acks=100)
    shown = list(cut(unsynced, list(range(20)), "a fixed seed", tmp_path, served_every=1000))
    losing = [point for point in shown if any(finding.check == "lost" for finding in point.findings)]
    assert losing
    again = cut(unsynced, [losing[-1].number], "a fixed seed", tmp_path, served_every=1000)
    assert list(again) == [losing[-1]]


def test_a_server_that_does_not_sync_what_it_found_is_found_out(tmp_path: Path) -> None:
    for attempt in range(4):  # a kill that falls between two syncs leaves nothing to be found; most do not
        folder = tmp_path / str(attempt)
        folder.mkdir()
        credulous = recording_of(folder, "tests.broken.credulous", acks=100)
        after_starts = list(range(4, 150, 5))
        shown = cut(credulous, after_starts, "a fixed seed", folder, served_every=1000)
        if any(finding.check == "lost" for point in shown for finding in point.findings):
            return
    pytest.fail("no recording shows a loss")
