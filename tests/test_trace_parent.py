"""Which trace a request says that it is a part of: only what has the form is kept."""

from __future__ import annotations

import pytest

from ws.http.trace_parent import trace_parent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("given", [PARENT, f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-ff"])
def test_a_sound_one_is_kept(given: str) -> None:
    assert trace_parent([given]) == given


@pytest.mark.parametrize("more", ["", "-", "-what-comes-after", "-\n" + "x" * 60_000])
def test_of_a_later_version_what_this_one_knows(more: str) -> None:
    assert trace_parent([f"cc-{TRACE}-{SPAN}-01{more}"]) == f"cc-{TRACE}-{SPAN}-01"


BAD = [
    *("", "nonsense", "-", "x" * 60_000, PARENT[:-1], f"{PARENT}-", f"{PARENT}-more", f"{PARENT}0"),
    *(f" {PARENT}", f"{PARENT}\n", f"{PARENT}, {PARENT}", f"00_{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-0x"),
    *(f"ff-{TRACE}-{SPAN}-01", f"0-{TRACE}-{SPAN}-01", f"0g-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01more"),
    *(f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01"),
    *(f"00-{TRACE[1:]}-{SPAN}-01", f"00-{TRACE}-{SPAN}x-01", "\u0660" + PARENT[1:]),
]  # fmt: skip


@pytest.mark.parametrize("given", BAD)
def test_what_is_not_sound_is_as_if_it_were_not_there(given: str) -> None:
    assert trace_parent([given]) is None


def test_of_none_or_two_there_is_none() -> None:
    assert trace_parent([]) is None
    assert trace_parent([PARENT, PARENT]) is None
