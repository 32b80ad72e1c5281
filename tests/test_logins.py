"""Credentials, log-ins and refresh tokens as rows of the real schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from engine import logins, service_keys
from engine.archives import TABLES
from engine.logins import NameTaken, NoSuchName
from engine.people import (
    GRACE_US,
    LOGIN_LIFE_S,
    SERVICE_ID_BASE,
    STAFF_ID_BASE,
    USED_KEPT_US,
    Presented,
    hash_of,
    successor_of,
)
from tests.books import SCHEMA

NOW_US = 1_800_000_000_000_000
LIFE_US = LOGIN_LIFE_S * 1_000_000
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"
FIRST = b"\x01" * 32


@pytest.fixture
def file() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(f"PRAGMA foreign_keys = ON; {SCHEMA}")
    logins.add_player(connection, 7, "alice", HASH, NOW_US)
    yield connection
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def show(file: sqlite3.Connection, token: bytes, now_us: int = NOW_US) -> tuple[Presented, bytes]:
    """What it meant, and the token that takes its place."""
    successor = successor_of("secret", token)
    return logins.rotate(file, hash_of(token), hash_of(successor), now_us).meaning, successor


def ends(file: sqlite3.Connection) -> list[tuple[int, str | None]]:
    return file.execute("SELECT id, why FROM logins ORDER BY id").fetchall()


def test_a_token_brings_the_next_and_a_lost_reply_the_same_again(file: sqlite3.Connection) -> None:
    logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    meaning, second = show(file, FIRST)
    assert meaning is Presented.GOOD
    assert show(file, FIRST, NOW_US + GRACE_US) == (Presented.AGAIN, second)
    meaning, third = show(file, second, NOW_US + GRACE_US)
    assert meaning is Presented.GOOD
    assert third not in (FIRST, second)
    assert ends(file) == [(1, None)]


def test_a_token_whose_successor_was_used_ends_the_family_even_at_once(file: sqlite3.Connection) -> None:
    logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    _, second = show(file, FIRST)
    _, third = show(file, second)
    assert show(file, FIRST)[0] is Presented.REUSED
    assert ends(file) == [(1, "reused")]
    assert {show(file, token)[0] for token in (FIRST, second, third)} == {Presented.OVER}


def test_a_token_that_is_shown_again_too_late_ends_its_family_alone(file: sqlite3.Connection) -> None:
    logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    other = b"\x02" * 32
    logins.begin_login(file, 7, hash_of(other), NOW_US)
    show(file, FIRST)
    assert show(file, FIRST, NOW_US + GRACE_US + 1)[0] is Presented.REUSED
    assert ends(file) == [(1, "reused"), (2, None)]
    assert show(file, other)[0] is Presented.GOOD


def test_a_log_in_is_over_in_the_end_however_often_it_is_refreshed(file: sqlite3.Connection) -> None:
    logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    _, second = show(file, FIRST, NOW_US + LIFE_US - 1)
    assert show(file, second, NOW_US + LIFE_US)[0] is Presented.OVER


def test_a_log_in_ends_once_and_keeps_why(file: sqlite3.Connection) -> None:
    """Two log-outs at once, or a log-out of what was reused: no error, and the first word stands."""
    login = logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    told = [logins.end_login(file, login, why, NOW_US) for why in ("reused", "logout")]
    assert (told, ends(file)) == ([True, False], [(login, "reused")])


def test_at_any_time_one_token_of_a_log_in_is_good_and_only_one(file: sqlite3.Connection) -> None:
    random = Random(7)
    logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    known, now_us = [FIRST], NOW_US
    for _ in range(300):
        now_us += random.choice([0, 1, GRACE_US // 2])
        meaning, successor = show(file, random.choice([known[-1]] * 9 + known[-3:]), now_us)
        if meaning is Presented.GOOD:
            known.append(successor)
        if meaning is Presented.REUSED:
            assert ends(file)[-1][1] == "reused"
            known = [random.randbytes(32)]
            logins.begin_login(file, 7, hash_of(known[0]), now_us)
        good = file.execute(
            "SELECT login_id FROM refresh_tokens WHERE used_at IS NULL GROUP BY 1 HAVING count(*) <> 1"
        )
        assert good.fetchall() == []
    assert len(ends(file)) > 3, "the walk has never met a reuse"


def test_used_tokens_are_forgotten_after_a_week_and_the_good_one_is_not(file: sqlite3.Connection) -> None:
    logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    _, second = show(file, FIRST)
    _, third = show(file, second, NOW_US + USED_KEPT_US + 1)
    assert file.execute("SELECT count(*) FROM refresh_tokens").fetchone() == (2,)
    assert show(file, FIRST, NOW_US + USED_KEPT_US + 2)[0] is Presented.UNKNOWN
    assert show(file, third, NOW_US + USED_KEPT_US + 3)[0] is Presented.GOOD


def test_a_refresh_takes_no_longer_however_many_were_before_it(file: sqlite3.Connection) -> None:
    """Bets wait behind it, and somebody may refresh for a week as often as he may."""
    logins.begin_login(file, 7, hash_of(FIRST), NOW_US)
    many = 20_000
    file.executemany(
        "INSERT INTO refresh_tokens (hash, login_id, issued_at, used_at, successor) VALUES (?, 1, ?, ?, ?)",
        [(hash_of(n.to_bytes(32, "big")), NOW_US, NOW_US + n, bytes(32)) for n in range(many)],
    )
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    file.set_progress_handler(step, 100)
    _, second = show(file, FIRST, NOW_US + USED_KEPT_US // 2)
    assert steps < 20, "nothing is old yet"
    show(file, second, NOW_US + 2 * USED_KEPT_US)
    file.set_progress_handler(None, 0)
    assert steps < 40, "all of it is"
    (left,) = file.execute("SELECT count(*) FROM refresh_tokens").fetchone()
    assert left == many + 3 - logins.OVER_A_REFRESH


def test_log_ins_that_are_over_do_not_pile_up(file: sqlite3.Connection) -> None:
    for number in range(100):
        token = number.to_bytes(32, "big")
        logins.begin_login(file, 7, hash_of(token), NOW_US + number * LIFE_US // 10)
        show(file, token, NOW_US + number * LIFE_US // 10)
    assert file.execute("SELECT count(*) FROM logins").fetchone()[0] <= 11
    assert file.execute("SELECT count(*) FROM refresh_tokens").fetchone()[0] <= 22


def test_staff_are_numbered_in_a_row_and_no_number_comes_twice(file: sqlite3.Connection) -> None:
    assert logins.add_staff(file, "anna", "operator", HASH, NOW_US) == STAFF_ID_BASE
    assert logins.add_staff(file, "bert", "auditor", HASH, NOW_US) == STAFF_ID_BASE + 1
    logins.remove_staff(file, "bert", NOW_US)
    assert logins.add_staff(file, "cleo", "admin", HASH, NOW_US) == STAFF_ID_BASE + 2
    for taken in ("alice", "anna", "bert"):
        with pytest.raises(NameTaken):
            logins.add_staff(file, taken, "operator", HASH, NOW_US)
    removed = {member.username for member in logins.list_staff(file) if member.removed_us is not None}
    assert removed == {"bert"}


def test_what_is_done_to_staff_ends_all_their_log_ins_and_nobody_elses(file: sqlite3.Connection) -> None:
    user_id = logins.add_staff(file, "anna", "operator", HASH, NOW_US)
    for number in range(3):
        logins.begin_login(file, user_id, hash_of(bytes([number])), NOW_US)
    logins.begin_login(file, 7, hash_of(b"x"), NOW_US)
    assert logins.set_staff_password(file, "anna", HASH + "b", NOW_US + 1) == ["l1", "l2", "l3"]
    logins.begin_login(file, user_id, hash_of(b"y"), NOW_US + 2)
    assert logins.remove_staff(file, "anna", NOW_US + 3) == ["l5"]
    assert ends(file) == [(1, "password"), (2, "password"), (3, "password"), (4, None), (5, "removed")]
    assert logins.ended_since(file, NOW_US + 2) == [("l5", NOW_US + 3)]
    for gone in ("anna", "alice", "nobody"):  # a player is none of the staff
        with pytest.raises(NoSuchName):
            logins.remove_staff(file, gone, NOW_US)


def test_keys_are_rotated_with_and_without_grace_and_revoked(file: sqlite3.Connection) -> None:
    account_id = service_keys.create_account(file, "partner", "operator", "bets money", NOW_US)
    assert account_id == SERVICE_ID_BASE
    service_keys.add_key(file, account_id, hash_of(b"1"), "sg_1", NOW_US)
    assert service_keys.rotate_key(file, "partner", hash_of(b"2"), "sg_2", 60, NOW_US) == []

    def good(now_us: int) -> list[bytes]:
        return [key for key in (b"1", b"2", b"3") if service_keys.shown_key(file, hash_of(key), now_us)]

    assert good(NOW_US + 59) == [b"1", b"2"]
    assert good(NOW_US + 60) == [b"2"]
    shown = service_keys.shown_key(file, hash_of(b"1"), NOW_US)
    assert shown is not None
    assert (shown.role, shown.scopes, shown.expires_us) == ("operator", "bets money", NOW_US + 60)
    assert service_keys.rotate_key(file, "partner", hash_of(b"3"), "sg_3", 0, NOW_US) == ["k1", "k2"]
    assert good(NOW_US) == [b"3"]
    assert service_keys.revoke_account(file, "partner", NOW_US + 1) == ["k3"]
    assert good(NOW_US + 1) == []
    assert sorted(service_keys.revoked_since(file, NOW_US)) == [
        ("k1", NOW_US),
        ("k2", NOW_US),
        ("k3", NOW_US + 1),
    ]
    with pytest.raises(NoSuchName):
        service_keys.rotate_key(file, "partner", hash_of(b"4"), "sg_4", 0, NOW_US)
    with pytest.raises(NameTaken):
        service_keys.create_account(file, "partner", "operator", None, NOW_US)
    ((account, keys),) = service_keys.list_accounts(file)
    assert (account.revoked_us, [key.prefix for key in keys]) == (NOW_US + 1, ["sg_1", "sg_2", "sg_3"])


def test_a_grace_is_for_what_was_good_and_brings_no_revoked_key_back(file: sqlite3.Connection) -> None:
    account = service_keys.create_account(file, "partner", "operator", None, NOW_US)
    service_keys.add_key(file, account, hash_of(b"1"), "sg_1", NOW_US)
    service_keys.rotate_key(file, "partner", hash_of(b"2"), "sg_2", 0, NOW_US)
    service_keys.rotate_key(file, "partner", hash_of(b"3"), "sg_3", 1000, NOW_US)
    good = [service_keys.shown_key(file, hash_of(key), NOW_US + 1) is not None for key in (b"1", b"2", b"3")]
    assert good == [False, True, True]


def test_a_grace_never_lengthens_an_earlier_one(file: sqlite3.Connection) -> None:
    account_id = service_keys.create_account(file, "partner", "operator", None, NOW_US)
    service_keys.add_key(file, account_id, hash_of(b"1"), "sg_1", NOW_US)
    service_keys.rotate_key(file, "partner", hash_of(b"2"), "sg_2", 60, NOW_US)
    service_keys.rotate_key(file, "partner", hash_of(b"3"), "sg_3", 6000, NOW_US)
    assert service_keys.shown_key(file, hash_of(b"1"), NOW_US + 60) is None
    assert service_keys.shown_key(file, hash_of(b"2"), NOW_US + 60) is not None


def test_no_archive_has_anybodys_secrets() -> None:
    """They are copied table by table, and these are none of them."""
    for table in ("credentials", "logins", "refresh_tokens", "service_accounts", "service_keys"):
        assert table in SCHEMA
        assert table not in TABLES


def test_the_upgrade_makes_what_a_new_file_has() -> None:
    step = Path(__file__).resolve().parent.parent / "upgrades" / "0003_who_may_log_in.sql"
    assert step.read_text(encoding="utf-8") in SCHEMA
