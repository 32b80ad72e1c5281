"""How often one may ask over HTTP: by address, by user, and by what is asked for. Source: PROTOCOL,
`RATE_LIMITED`.

Each rule counts in sliding windows (`ws/rates/windows.py`) with the library `limits`. A request that is
refused is counted by none of the rules that come after the one that refused it, nor by that one: who goes on
hammering is let in as often as who waits. The messages of a WebSocket have an allowance of their own
(`ws/wire/allowance.py`); here only its handshake is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from ws.rates.addresses import site_around
from ws.rates.windows import wait_ms

OFF: Final = frozenset({"0", "off"})

WINDOW_S_MAX: Final = 3600
"""A counter is kept for two windows, and a start forgets it: a limit by the day would be neither cheap nor
true."""

AMOUNT_MAX: Final = 1_000_000

SEPARATORS: Final = frozenset(",;|")
"""Of the library, between several rates, of which it would take the first without a word."""

AUTH: Final = "/v1/auth/"
REFRESHES: Final = frozenset({"/v1/auth/refresh", "/v1/auth/logout"})
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class RateInvalid(ValueError):
    """This text is no rate. The message is for whoever wrote it."""


def rate(text: str) -> RateLimitItem | None:
    """What `text` allows, such as `10/minute` or `50 per 10 seconds`; None where it says `off` or `0`. Raises
    `RateInvalid`.
    """
    if text.strip().lower() in OFF:
        return None
    try:
        if SEPARATORS & set(text):
            raise ValueError
        item = parse(text)
    except ValueError:
        raise RateInvalid(
            f"expected a rate such as 10/second, 600/minute or 5000/hour, or off, not {text[:40]!r}"
        ) from None
    if not (0 < item.amount <= AMOUNT_MAX and 0 < item.get_expiry() <= WINDOW_S_MAX):
        raise RateInvalid(f"expected 1 to {AMOUNT_MAX} in at most an hour, or off, not {text[:40]!r}")
    return item


class DEFAULTS:
    """The rates unless others are set, as they are written. Why these: docs/limits.md."""

    ADDRESS: Final = "30000/minute"
    USER: Final = "6000/minute"
    MONEY: Final = "3000/minute"
    LOGIN: Final = "10/minute"
    REFRESH: Final = "60/minute"


RULES: Final = ("address", "handshake", "user", "money", "login", "refresh")
"""All that are counted, by name: see `checks_of`, and `Rates.of_handshake`."""


SITE_NETWORKS: Final = 16
"""A /48 of IPv6 may ask as often as so many addresses, of the 65,536 networks that it has: it may be a campus
with many people, and it may be one stranger's, who was given it for nothing."""


class RateLimits(NamedTuple):
    """How often each may be done; None: as often as one likes."""

    address: RateLimitItem | None = rate(DEFAULTS.ADDRESS)
    """Requests of one address, and beside them as many handshakes."""
    user: RateLimitItem | None = rate(DEFAULTS.USER)
    """Requests with one user's token, from wherever."""
    money: RateLimitItem | None = rate(DEFAULTS.MONEY)
    """Of those, the ones that may change something; where nobody is known, of one address."""
    login: RateLimitItem | None = rate(DEFAULTS.LOGIN)
    """Log-ins, registrations and whatever else takes a password or a key, of one address."""
    refresh: RateLimitItem | None = rate(DEFAULTS.REFRESH)
    """Refreshes and log-outs, of one address."""


class Check(NamedTuple):
    """One count that has to be below its limit. `who` and the rule's name are the key."""

    rule: str
    item: RateLimitItem
    who: str


class Refusal(NamedTuple):
    """Not now. `rule`: by which count; `wait_ms`: until one more fits."""

    rule: str
    wait_ms: int


class Counts(Protocol):
    """Where hits are counted."""

    async def count(self, checks: Sequence[Check]) -> Refusal | None:
        """Count a hit for each check, in order, up to the first that is not below its limit.

        Raises nothing that is not a bug.
        """
        ...

    def health(self) -> str | None:
        """None when all is well, else one sentence."""
        ...

    async def close(self) -> None:
        """Let go of sockets and tasks."""
        ...


class Counted:
    """The counts in one storage of the library."""

    def __init__(self, storage: MemoryStorage | RedisStorage) -> None:
        self._storage = storage
        self._strategy = SlidingWindowCounterRateLimiter(storage)

    async def count(self, checks: Sequence[Check]) -> Refusal | None:
        """Count a hit for each check, in order, up to the first that is not below its limit.

        Raises what the storage raises.
        """
        for rule, item, who in checks:
            if not await self._strategy.hit(item, rule, who):
                span_s = item.get_expiry()
                seen = await self._storage.get_sliding_window(item.key_for(rule, who), span_s)
                return Refusal(rule, wait_ms(item.amount, span_s, *seen))
        return None

    def health(self) -> str | None:
        """Well: there is nothing here that could be away."""
        return None

    async def close(self) -> None:
        """Nothing is open."""


class Rates:
    """Whether a request may be answered now."""

    def __init__(self, limits: RateLimits, counts: Counts) -> None:
        self._limits = limits
        self._counts = counts
        self.refused: Counter[str] = Counter()
        """How many were refused since the start, by rule."""

    async def of_request(
        self, method: str, path: str, address: str, user_id: int | None = None
    ) -> Refusal | None:
        """Count a request of `address` (`ws.rates.addresses.network_of`), and of `user_id` where a token says
        so; None: go on.
        """
        return await self._count(checks_of(self._limits, method, path, address, user_id))

    async def of_handshake(self, address: str) -> Refusal | None:
        """Count a WebSocket's handshake; None: go on."""
        checks: list[Check] = []
        _add_of_address(checks, "handshake", self._limits.address, address)
        return await self._count(checks) if checks else None

    def health(self) -> str | None:
        """None when all is well, else why requests are counted elsewhere than they should be."""
        return self._counts.health()

    async def close(self) -> None:
        """Let go of sockets and tasks."""
        await self._counts.close()

    async def _count(self, checks: Sequence[Check]) -> Refusal | None:
        refusal = await self._counts.count(checks)
        if refusal is not None:
            self.refused[refusal.rule] += 1
        return refusal


def checks_of(limits: RateLimits, method: str, path: str, address: str, user_id: int | None) -> list[Check]:
    """What is counted of a request, the narrowest first: who is refused there takes nothing from those who
    share his address.

    Whatever is under `/v1/auth/` and is not known to be harmless counts as a log-in: a route that is new
    there is strict.
    """
    checks: list[Check] = []
    if method not in READS:
        if path in REFRESHES:
            _add_of_address(checks, "refresh", limits.refresh, address)
        elif path.startswith(AUTH):
            _add_of_address(checks, "login", limits.login, address)
        elif user_id is None:
            _add_of_address(checks, "money", limits.money, address)
        else:
            _add(checks, "money", limits.money, str(user_id))
    if user_id is not None:
        _add(checks, "user", limits.user, str(user_id))
    _add_of_address(checks, "address", limits.address, address)
    return checks


def _add_of_address(checks: list[Check], rule: str, item: RateLimitItem | None, address: str) -> None:
    _add(checks, rule, item, address)
    site = site_around(address)
    if site is not None and item is not None:
        _add(checks, rule, _of_site(item), site)


@lru_cache(maxsize=16)  # of the rules
def _of_site(item: RateLimitItem) -> RateLimitItem:
    return type(item)(item.amount * SITE_NETWORKS, item.multiples)


def _add(checks: list[Check], rule: str, item: RateLimitItem | None, who: str) -> None:
    if item is not None:
        checks.append(Check(rule, item, who))
