"""How often one may ask: what is counted for whom, and what the settings may say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from ws.rates.rates import AMOUNT_MAX, Counted, RateInvalid, RateLimits, Rates, checks_of, rate
from ws.rates.windows import Windows

ALICE, BOB = 1001, 1002
HERE, THERE = "192.0.2.1", "192.0.2.2"
LIMITS = RateLimits(
    address=rate("50/minute"),
    user=rate("20/minute"),
    money=rate("10/minute"),
    login=rate("3/minute"),
    refresh=rate("5/minute"),
)


class Door:
    """Rates on a clock of their own."""

    def __init__(self, limits: RateLimits = LIMITS) -> None:
        self.now_us = 0
        self.rates = Rates(limits, Counted(Windows(lambda: self.now_us)))

    def ask(self, method: str, path: str, address: str = HERE, user_id: int | None = None) -> str | None:
        """The rule that refuses it."""
        refusal = asyncio.run(self.rates.of_request(method, path, address, user_id))
        return None if refusal is None else refusal.rule

    def shake(self, networks: Iterable[str]) -> list[str | None]:
        """Likewise, of a handshake from each."""

        async def each() -> list[str | None]:
            refusals = [await self.rates.of_handshake(network) for network in networks]
            return [None if refusal is None else refusal.rule for refusal in refusals]

        return asyncio.run(each())

    def until_refused(self, method: str, path: str, address: str = HERE, user_id: int | None = None) -> int:
        for count in range(1_000):
            if self.ask(method, path, address, user_id) is not None:
                return count
        raise AssertionError("never refused")


@pytest.mark.parametrize(
    ("method", "path", "user_id", "rules"),
    [
        ("GET", "/v1/wallet", None, ["address"]),
        ("GET", "/v1/wallet", ALICE, ["user", "address"]),
        ("HEAD", "/v1/wallet", ALICE, ["user", "address"]),
        ("POST", "/v1/bets", ALICE, ["money", "user", "address"]),
        ("DELETE", "/v1/anything", ALICE, ["money", "user", "address"]),
        ("POST", "/v1/bets", None, ["money", "address"]),
        ("POST", "/v1/auth/login", None, ["login", "address"]),
        ("POST", "/v1/auth/register", None, ["login", "address"]),
        ("POST", "/v1/auth/token", None, ["login", "address"]),
        ("POST", "/v1/auth/what-is-new", ALICE, ["login", "user", "address"]),
        ("POST", "/v1/auth/refresh", None, ["refresh", "address"]),
        ("POST", "/v1/auth/logout", ALICE, ["refresh", "user", "address"]),
        ("GET", "/nothing", None, ["address"]),
    ],
)
def test_what_is_counted(method: str, path: str, user_id: int | None, rules: list[str]) -> None:
    checks = checks_of(LIMITS, method, path, HERE, user_id)
    assert [check.rule for check in checks] == rules
    expected = {"address": HERE, "login": HERE, "refresh": HERE, "user": str(user_id)}
    for check in checks:
        assert check.item == getattr(LIMITS, check.rule)
        assert check.who == expected.get(check.rule, HERE if user_id is None else str(user_id))


@pytest.mark.parametrize(
    ("method", "path", "user_id", "allowed"),
    [
        ("GET", "/v1/wallet", None, 50),
        ("GET", "/v1/wallet", ALICE, 20),
        ("POST", "/v1/bets", ALICE, 10),
        ("POST", "/v1/bets", None, 10),
        ("POST", "/v1/auth/login", None, 3),
        ("POST", "/v1/auth/refresh", None, 5),
    ],
)
def test_a_flood_ends_at_its_limit_and_comes_back_when_it_was_told(
    method: str, path: str, user_id: int | None, allowed: int
) -> None:
    door = Door()
    assert door.until_refused(method, path, user_id=user_id) == allowed
    refusal = asyncio.run(door.rates.of_request(method, path, HERE, user_id))
    assert refusal is not None
    door.now_us += (refusal.wait_ms - 2) * 1000
    assert door.ask(method, path, user_id=user_id) == refusal.rule
    door.now_us += 2_000
    assert door.ask(method, path, user_id=user_id) is None


def test_a_user_is_counted_wherever_he_asks_from_and_others_are_not_hindered() -> None:
    door = Door()
    for number in range(20):
        assert door.ask("GET", "/v1/wallet", f"192.0.2.{number}", ALICE) is None
    assert door.ask("GET", "/v1/wallet", THERE, ALICE) == "user"
    assert door.ask("GET", "/v1/wallet", THERE, BOB) is None


def test_many_users_of_one_address_share_what_it_has() -> None:
    door = Door()
    assert [door.ask("GET", "/v1/wallet", user_id=2_000 + n) for n in range(51)] == [None] * 50 + ["address"]
    assert door.ask("GET", "/v1/wallet", THERE, 2_000) is None


def test_who_is_refused_log_in_takes_nothing_from_those_who_share_his_address() -> None:
    door = Door()
    for _ in range(500):
        door.ask("POST", "/v1/auth/login")
    assert door.ask("GET", "/v1/wallet", user_id=ALICE) is None
    assert door.until_refused("GET", "/v1/wallet") == 50 - 3 - 1


def test_a_site_of_ipv6_may_ask_as_often_as_sixteen_addresses() -> None:
    """It has 65,536 networks, for nothing from some: each had a whole allowance of log-ins of its own."""
    door = Door()
    site = [f"20010db80001{n:04x}/64" for n in range(100)]
    told = [door.ask("POST", "/v1/auth/login", network) for network in site]
    assert told == [None] * 48 + ["login"] * 52
    assert door.ask("POST", "/v1/auth/login", "20010db800020000/64") is None
    told = [door.ask("POST", "/v1/auth/refresh", network) for network in site]
    assert told == [None] * 80 + ["refresh"] * 20
    assert door.shake(site * 10) == [None] * 800 + ["handshake"] * 200
    assert door.until_refused("POST", "/v1/bets", site[-1]) == 10


def test_handshakes_have_a_count_of_their_own() -> None:
    door = Door()
    assert door.until_refused("GET", "/v1/wallet") == 50
    assert door.shake([HERE] * 51) == [None] * 50 + ["handshake"]
    assert door.shake([THERE]) == [None]


def test_refusals_are_counted_by_rule() -> None:
    door = Door()
    for _ in range(5):
        door.ask("POST", "/v1/auth/login")
    assert door.rates.refused == {"login": 2}


def test_off_means_as_often_as_one_likes() -> None:
    door = Door(RateLimits(None, None, None, None, None))
    for path in ("/v1/auth/login", "/v1/bets"):
        assert [door.ask("POST", path, user_id=ALICE) for _ in range(100)] == [None] * 100
    assert door.shake([HERE]) == [None]
    assert door.rates.health() is None


def test_the_defaults_let_a_load_run_and_two_thousand_clients_that_come_back_in() -> None:
    limits = RateLimits()
    assert limits.address is not None
    assert limits.address.amount / limits.address.get_expiry() >= 400
    door = Door(limits)
    assert door.shake([HERE] * 10_000) == [None] * 10_000


@pytest.mark.parametrize(
    ("text", "amount", "span_s"),
    [
        ("10/second", 10, 1),
        ("600/minute", 600, 60),
        ("5000/hour", 5000, 3600),
        (" 5 per 10 seconds ", 5, 10),
        (f"{AMOUNT_MAX}/minute", AMOUNT_MAX, 60),
    ],
)
def test_a_rate_as_it_is_written(text: str, amount: int, span_s: int) -> None:
    item = rate(text)
    assert item is not None
    assert (item.amount, item.get_expiry()) == (amount, span_s)


@pytest.mark.parametrize("text", ["0", "off", "OFF", " off "])
def test_switched_off(text: str) -> None:
    assert rate(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "10", "ten/minute", "10/", "/minute", "-1/minute", "1.5/second", "10/fortnight"),
        "10/minute\x00",
        *("10/minute; 5/second", "10/minute,5/second", "10/minute|5/second", "0/minute", "10/day"),
        *("5 per 2 hours", "1000001/minute", "١٠/minute", "9" * 5_000 + "/minute"),
        "10 per " + "9" * 5_000 + " seconds",
    ],
)  # fmt: skip
def test_what_is_no_rate_is_said_so(text: str) -> None:
    with pytest.raises(RateInvalid, match=r"expected") as told:
        rate(text)
    assert len(str(told.value)) < 250
