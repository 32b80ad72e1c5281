"""How often somebody may be wrong about a password, and which log-ins are remembered as ended."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from engine.people import ACCESS_LIFE_S
from ws.asking.ended import REMEMBERED_S, Ended
from ws.people.lockout import ANYWHERE_S, FAILURES_ANYWHERE, FAILURES_HERE, HERE_S, Lockout
from ws.people.routes import address_of


def fail(lockout: Lockout, name: str, address: str, now_s: float, times: int = 1) -> None:
    for _ in range(times):
        assert lockout.begin(name, address, now_s) is None
        lockout.end(name, address, now_s, failed=True)


def test_five_failures_lock_a_name_out_at_an_address_for_a_quarter_of_an_hour() -> None:
    lockout = Lockout()
    fail(lockout, "alice", "here", 0, FAILURES_HERE - 1)
    fail(lockout, "alice", "here", 100)
    assert lockout.begin("alice", "here", 100) == HERE_S - 100
    assert lockout.begin("alice", "here", HERE_S - 1) == 1
    fail(lockout, "alice", "here", HERE_S)  # the first four have gone out of the window together
    assert lockout.begin("alice", "there", 100) is None
    assert lockout.begin("bob", "here", 100) is None


def test_fifty_failures_from_anywhere_lock_a_name_out_for_an_hour() -> None:
    lockout = Lockout()
    for number in range(FAILURES_ANYWHERE):
        fail(lockout, "alice", f"address {number}", number)
    assert lockout.begin("alice", "a new one", 100) == ANYWHERE_S - 100
    assert lockout.begin("alice", "a new one", ANYWHERE_S) is None


def test_whoever_was_right_somewhere_is_not_locked_out_there_by_strangers() -> None:
    """Ten addresses could keep anybody out for ever, wherever he asked from."""
    lockout = Lockout()
    lockout.knew("alice", "home")
    for number in range(FAILURES_ANYWHERE):
        fail(lockout, "alice", f"address {number}", number)
    assert lockout.begin("alice", "home", 100) is None
    assert lockout.begin("alice", "elsewhere", 100) == ANYWHERE_S - 100
    lockout.end("alice", "home", 100, failed=False)
    fail(lockout, "alice", "home", 100, FAILURES_HERE)
    assert lockout.begin("alice", "home", 100) == HERE_S, "who sits there may guess no more than elsewhere"


def test_places_are_bounded_and_the_one_that_was_right_last_stays() -> None:
    lockout = Lockout(known_max=2)
    for name in ("alice", "bob", "alice", "carol"):
        lockout.knew(name, "home")
    for name in ("alice", "bob"):
        for number in range(FAILURES_ANYWHERE):
            fail(lockout, name, f"address {number}", 0)
    assert lockout.begin("alice", "home", 0) is None
    assert lockout.begin("bob", "home", 0) == ANYWHERE_S


def test_what_is_being_checked_counts_as_if_it_had_failed() -> None:
    """Else a hundred guesses at once would all be let through before the first has failed."""
    lockout = Lockout()
    assert [lockout.begin("alice", "here", 0) for _ in range(FAILURES_HERE)] == [None] * FAILURES_HERE
    wait_s = lockout.begin("alice", "here", 0)
    assert wait_s is not None
    assert wait_s <= 1, "nothing has failed yet"
    lockout.end("alice", "here", 0, failed=False)
    assert lockout.begin("alice", "here", 0) is None


def test_what_has_gone_out_of_the_window_does_not_count_beside_what_is_being_checked() -> None:
    lockout = Lockout()
    fail(lockout, "alice", "here", 0, FAILURES_HERE - 1)
    for _ in range(FAILURES_HERE):
        assert lockout.begin("alice", "here", HERE_S) is None
    assert lockout.begin("alice", "here", HERE_S) is not None


def test_right_passwords_leave_nothing_behind() -> None:
    lockout = Lockout()
    for _ in range(1000):
        assert lockout.begin("alice", "here", 0) is None
        lockout.end("alice", "here", 0, failed=False)
    assert len(lockout) == 0


def test_a_strangers_list_of_names_is_bounded_and_goes_with_time() -> None:
    lockout = Lockout(names_max=100)
    for number in range(1000):
        fail(lockout, f"name {number}", "here", number / 1000)
    assert len(lockout) == 100
    fail(lockout, "alice", "here", 1 + ANYWHERE_S)
    assert len(lockout) == 2


def test_who_failed_last_is_forgotten_last() -> None:
    """Else a stranger's list of names would let him guess on at the one that he is after."""
    lockout = Lockout(names_max=4)
    fail(lockout, "alice", "here", 0)
    fail(lockout, "bob", "here", 1)
    fail(lockout, "alice", "here", 2, FAILURES_HERE - 1)
    fail(lockout, "carol", "here", 3)
    assert lockout.begin("alice", "here", 3) is not None
    assert lockout.begin("bob", "here", 3) is None


def test_of_a_name_no_more_is_kept_than_locks_it_out_however_long_it_goes_on() -> None:
    lockout = Lockout()
    for number in range(1000):
        fail(lockout, "alice", "here", number * HERE_S)
    assert {*map(len, lockout._failures.values())} <= {FAILURES_HERE, FAILURES_ANYWHERE}


def test_what_has_ended_is_remembered_as_long_as_a_token_lives() -> None:
    ended = Ended()
    ended.add("l1", 0, 50)
    ended.add("l2", ACCESS_LIFE_S, 50 + ACCESS_LIFE_S)
    assert ("l1" in ended, "l2" in ended, "l3" in ended) == (True, True, False)
    ended.add("l3", REMEMBERED_S, 50 + REMEMBERED_S)
    assert ("l1" in ended, "l2" in ended, len(ended)) == (False, True, 2)


@pytest.mark.parametrize("jumped_s", [86_400, -86_400])
def test_what_has_ended_is_not_forgotten_for_a_clock_that_jumps_and_comes_back(jumped_s: int) -> None:
    ended = Ended()
    ended.add("l1", 0, 0)
    ended.add("l2", 1 + jumped_s, 1)
    ended.add("l3", REMEMBERED_S - 1, REMEMBERED_S - 1)
    assert "l1" in ended
    ended.add("l4", REMEMBERED_S, REMEMBERED_S)
    assert "l1" not in ended


def test_a_house_is_one_place_however_many_addresses_it_has() -> None:
    """Of IPv6 everybody has 2^64 (ws/rates/addresses.py): else the name would soon be locked for all."""
    from_house = {address_of(asked_from(f"2001:db8:0:7::{n:x}")) for n in range(1, 60)}
    assert len(from_house) == 1
    assert address_of(asked_from("2001:db8:0:8::1")) not in from_house


def asked_from(address: str) -> Request:
    return Request({"type": "http", "client": (address, 4711), "headers": []})
