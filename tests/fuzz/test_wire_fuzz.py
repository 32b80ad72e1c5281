"""Malformed input leaves nothing behind; and a server on which it does leave something is found out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.outcomes import Code
from tests.fuzz.broken_server import FAULTS
from tests.fuzz.cases import case, is_barred
from tests.fuzz.shapes import MISSING, SHAPES, Things, breaks, broken, doomed, live
from tests.fuzz.wire_fuzz import fuzz, vacuous
from ws.asking.roles import RULES
from ws.codec import Malformed, decode_frame, encode_frame
from ws.wire.operators import Move
from ws.wire.outcomes import error

NOW_MS = 1_766_000_000_000
THINGS = Things(8, 9, "0197a000-0000-7000-8000-00000000f022", hold_id=5, payout_id=6, free_bet_id=7)
SEED = "a fixed seed"
FEW = range(2_000)


@pytest.mark.parametrize("type_", SHAPES)
def test_what_is_barred_for_an_auditor_is_what_his_role_may_not(type_: str) -> None:
    """Else the fuzzer waits for a refusal that never comes; with few cases it would seldom be seen."""
    may_not = type_ == "auth" or "auditor" not in RULES[type_].reach  # he is welcome already
    has_no_wallet = type_ in ("balance.get", "resume")
    assert is_barred(type_, "auditor") == (may_not and not has_no_wallet)


@pytest.mark.parametrize("type_", SHAPES)
def test_what_is_broken_was_sound_before(type_: str) -> None:
    """A message that is refused for two reasons would hide that one of them is overlooked."""
    shape, chance = SHAPES[type_], Random(type_)
    message = live(shape, THINGS, NOW_MS, chance)
    for sound in (message, doomed(shape, chance)):
        (request,) = decode_frame(json.dumps(sound), 1000)
        assert not isinstance(request, Malformed), request
    ways = [
        (path, value) for path, value in breaks(shape, message) if value is not MISSING or path[0] in message
    ]
    assert len(ways) > 12
    for path, value in ways:
        (request,) = decode_frame(json.dumps(broken(message, path, value)), 1000)
        assert isinstance(request, Malformed), (path, value)


FIELDS = sorted({field.name for shape in SHAPES.values() for field in shape.fields})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)
NEAR = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8).flatmap(
    lambda fields: st.sampled_from([*SHAPES]).map(lambda type_: {"type": type_} | fields)
)


@settings(max_examples=200, deadline=None)
@given(st.text() | (VALUES | NEAR | st.lists(NEAR, max_size=4)).map(json.dumps))
def test_whatever_the_text_it_is_decoded_and_what_is_wrong_can_be_told(text: str) -> None:
    decoded = decode_frame(text, 1000)
    assert decoded
    for each in decoded:
        if isinstance(each, Malformed):
            told = json.loads(encode_frame([error(each.id, Code.INVALID_REQUEST, each.message)]))
            assert len(told["message"]) < 1000
        elif isinstance(each, Move):
            each.to_command(caller="1")


def test_a_case_is_made_of_its_seed_and_number_alone() -> None:
    first = [case(SEED, number, THINGS, NOW_MS) for number in range(300)]
    assert first == [case(SEED, number, THINGS, NOW_MS) for number in range(300)]
    other = [case("another", number, THINGS, NOW_MS) for number in range(300)]
    assert sum(a == b for a, b in zip(first, other, strict=True)) < 10


@pytest.mark.long
@pytest.mark.timeout(300)
def test_nothing_comes_of_what_is_malformed(tmp_path: Path) -> None:
    shown = fuzz(tmp_path, SEED, FEW)
    assert shown.finding is None, (shown.finding, shown.group)
    assert vacuous(shown) == []
    assert shown.cases == len(FEW)


BROKEN = "tests.fuzz.broken_server"

SAID = {
    "raises": "the server's log: .*LookupError: no such character",
    "is_lenient": "the books have changed: |messages that are surely wrong had",
    "is_silent": "messages that are surely wrong had",
    "trusts": "a stranger was welcomed",
    "leaks": "memory has grown by",
    "fails": "LookupError: no such thing|HTTP 500",
}


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_server_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setenv("TEST_FAULT", fault)
    shown = fuzz(tmp_path, SEED, FEW, BROKEN)
    assert shown.finding is not None
    assert re.search(SAID[fault], shown.finding, re.DOTALL), shown.finding


@pytest.mark.long
def test_a_finding_is_narrowed_down_to_a_case_that_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FAULT", "is_lenient")
    folders = [tmp_path / name for name in ("all", "alone", "again")]
    for folder in folders:
        folder.mkdir()
    shown = fuzz(folders[0], SEED, FEW, BROKEN)
    alone = fuzz(folders[1], SEED, shown.group, BROKEN, per_socket=1)
    assert len(alone.group) == 1
    again = fuzz(folders[2], SEED, alone.group, BROKEN)
    assert (again.finding, again.group) == (alone.finding, alone.group)
