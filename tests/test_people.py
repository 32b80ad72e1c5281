"""The rules of who may log in: names, passwords, and what a refresh token means when it is shown."""

from __future__ import annotations

import pytest

from engine.people import (
    GRACE_US,
    SERVICE_ID_BASE,
    STAFF_ID_BASE,
    Family,
    Presented,
    key_of_sid,
    login_of_sid,
    normal_password,
    normal_scopes,
    normal_username,
    presented,
    sid_of_key,
    sid_of_login,
    successor_of,
)

NOW_US = 1_800_000_000_000_000
GOOD = Family(1, 7, "player", NOW_US + 1, has_ended=False, used_us=None, is_successor_good=False)
USED = GOOD._replace(used_us=NOW_US, is_successor_good=True)


@pytest.mark.parametrize(
    ("family", "later_us", "meaning"),
    [
        (None, 0, Presented.UNKNOWN),
        (GOOD, 0, Presented.GOOD),
        (GOOD, 1, Presented.OVER),
        (GOOD._replace(has_ended=True), 0, Presented.OVER),
        (USED._replace(has_ended=True), 0, Presented.OVER),
        (USED._replace(expires_us=NOW_US), 0, Presented.OVER),
        (USED._replace(expires_us=2 * NOW_US), 0, Presented.AGAIN),
        (USED._replace(expires_us=2 * NOW_US), GRACE_US, Presented.AGAIN),
        (USED._replace(expires_us=2 * NOW_US), GRACE_US + 1, Presented.REUSED),
        (USED._replace(expires_us=2 * NOW_US, is_successor_good=False), 0, Presented.REUSED),
        # A wall clock that was set back lengthens no grace.
        (USED._replace(expires_us=2 * NOW_US), -GRACE_US, Presented.AGAIN),
        (USED._replace(expires_us=2 * NOW_US), -GRACE_US - 1, Presented.REUSED),
    ],
)
def test_what_a_token_means(family: Family | None, later_us: int, meaning: Presented) -> None:
    assert presented(family, NOW_US + later_us) is meaning


def test_a_successor_is_the_same_each_time_and_needs_the_secret() -> None:
    token = b"\x07" * 32
    successor = successor_of("secret", token)
    assert len(successor) == 32
    assert successor == successor_of("secret", token)
    others = {successor_of("other", token), successor_of("secret", b"\x08" * 32), token}
    assert successor not in others


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("alice", "alice"),
        ("Alice", "alice"),
        ("ＡＬＩＣＥ", "alice"),  # full width
        ("\U0001f130lice", "alice"),  # a capital only once it is composed: squared A
        ("\u0390aa", "\u0390aa"),  # in three pieces once it is folded: they are put together again
        ("Straße", "strasse"),
        ("e\u0301lodie", "élodie"),
        ("a@b.example", "a@b.example"),
        ("ab", None),
        ("a" * 64, "a" * 64),
        ("a" * 65, None),
        ("ß" * 33, None),  # 66 letters once it is folded
        ("a b c", None),
        ("a/b", None),
        ("a％b？c#d", "a%b?c#d"),
        ("abc\u00a0", None),
        ("abc\x00", None),
        ("ab\u200bc", None),  # a space of no width
        ("ab\ud800", None),
        ("ab\U000e0fff", None),  # unassigned
        ("", None),
        ("anna\ufe0f", None),  # these look like "anna"
        ("an\u034fna", None),
        ("\u3164anna", None),
        ("\uffa0anna", None),
        ("anna\U000e0100", None),
        ("an\u17b4na", None),
        ("an\u180bna", None),
        ("anna\u2800", None),
        ("anna\U0001d159", None),
        ("an\U00016fe4na", None),
    ],
)
def test_a_name_is_kept_in_one_form(given: str, kept: str | None) -> None:
    assert normal_username(given) == kept
    if kept is not None:
        assert normal_username(kept) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("12345678", "12345678"),
        ("1234567", None),
        ("x" * 256, "x" * 256),
        ("x" * 257, None),
        ("Correct Horse", "Correct Horse"),
        ("e\u0301tudiant", "étudiant"),
        ("ﬁ" * 130, None),  # 260 letters once it is decomposed
        ("nul\x00nul\x00", None),
        ("\ud800" * 8, None),
    ],
)
def test_a_password_is_hashed_in_one_form(given: str, kept: str | None) -> None:
    assert normal_password(given) == kept


def test_scopes_are_kept_in_one_form() -> None:
    assert normal_scopes(None) is None
    assert normal_scopes(["money", "bets", "money"]) == "bets money"
    for wrong in ([], ["everything"], ["bets", ""]):
        with pytest.raises(ValueError, match="scopes: expected"):
            normal_scopes(wrong)


def test_numbers_and_sids_are_apart() -> None:
    assert STAFF_ID_BASE < SERVICE_ID_BASE < 2**51
    assert sid_of_login(5) != sid_of_key(5)
    assert (login_of_sid(sid_of_login(5)), login_of_sid(sid_of_key(5)), login_of_sid(None)) == (5, None, None)
    assert (key_of_sid(sid_of_key(5)), key_of_sid(sid_of_login(5)), key_of_sid(None)) == (5, None, None)
