"""A nonce guard in Redis, which a restart of this process does not make forget. The only importer of `redis`.

A whole batch is one round trip: one Lua script that does `SET sg:nonce:{user}:{nonce} {bet_id} NX PX 90000`
for each claim and, where the key is there already, compares the `bet_id` that it holds. One Redis (6.2 or
later, or a compatible server), not a cluster: the keys of a batch live in many slots.

A nonce takes about 190 bytes of Redis for its 90 s: 4.5 million of them, 0.9 GB.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from batcher.lateness import Lateness
from batcher.nonces import LIFE_S, Claim, NonceStoreAway, Verdict

BUDGET_S = 0.15
"""How long a batch waits for Redis, connecting included. A bet waits for the claim that is under way when it
comes, and then for its own: with `NONCE_LIMITS.commit_upper_us` for the former, 250 ms (docs/adr/0021)."""

# The batch travels as one MessagePack array [key, bet_id, key, bet_id, ...] and comes back as one letter a
# claim. Measured for 1,000 claims on loopback, ms of wall time / ms of this process's CPU: MessagePack 1.8 /
# 0.24, JSON 1.9 / 0.26, lines of text 2.0 / 0.25, an argument each 3.2 / 1.64 (redis-py packs each one in
# Python). For 5,000 claims: 10.7 / 1.0, 11.4 / 1.3, 17.1 / 1.3, 17.7 / 8.6. The keys are built here because
# Lua would write a user_id of 15 digits as 1e+14, and two users would share a key.
SCRIPT = b"""
local claims, life_ms, verdicts = cmsgpack.unpack(ARGV[1]), ARGV[2], {}
local call = redis.call
for i = 1, #claims, 2 do
  local verdict = 'F'
  if not call('SET', claims[i], claims[i + 1], 'NX', 'PX', life_ms)
    and call('GET', claims[i]) ~= claims[i + 1] then verdict = 'R' end
  verdicts[#verdicts + 1] = verdict
end
return table.concat(verdicts)
"""

VERDICTS = {ord("F"): Verdict.FRESH, ord("R"): Verdict.REUSED}


class RedisGuard:
    """Remembers nonces in Redis; `NonceStoreAway` when Redis cannot be asked, or not be trusted.

    Connects with the first batch and again after every loss. Each new connection reads the eviction policy
    first: a Redis that may evict could forget a nonce before its time, so it is refused until it says
    `noeviction`.
    """

    def __init__(self, url: str, life_s: float = LIFE_S, budget_s: float = BUDGET_S) -> None:
        """`url` is `redis://`, `rediss://` or `unix://`; another, or an odd option, raises `ValueError`."""
        options: dict[str, Any] = dict(parse_url(url))
        connection_class = options.pop("connection_class", Connection)
        # No time-out of redis-py's own on reads: claim() has one deadline for the whole of its round trips.
        options |= {
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": budget_s,
            "driver_info": None,
        }
        try:
            self._connection = connection_class(**options)
        except TypeError as fault:
            raise ValueError(f"the Redis URL has an option that redis-py does not know: {fault}") from None
        self._life_ms = round(life_s * 1000)
        self._budget_s = budget_s
        self._one_at_a_time = asyncio.Lock()  # replies come in the order of the commands
        self._script_sha = b""
        self._reason: str | None = None

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """One verdict for each claim, in order, in one round trip. Never SHED.

        Raises `NonceStoreAway` after at most `budget_s`. Redis may have recorded the claims even then, which
        does no harm: a retry brings the same `bet_id`.
        """
        return await self._verdicts(claims) if claims else []

    async def reach(self) -> None:
        """Have the script judge nothing. Raises `NonceStoreAway` after at most `budget_s`."""
        await self._verdicts(())

    async def _verdicts(self, claims: Sequence[Claim]) -> list[Verdict]:
        flat: list[str] = []
        for claim in claims:
            flat += (f"sg:nonce:{claim.user_id}:{claim.nonce}", claim.bet_id)
        batch = msgspec.msgpack.encode(flat)
        try:
            async with asyncio.timeout(self._budget_s) as limit:
                with Lateness(limit):  # a loop that is busy must not look like a Redis that is away
                    async with self._one_at_a_time:
                        letters = await self._run(batch, len(claims))
        except NonceStoreAway as fault:
            self._reason = str(fault)
            raise
        except Exception as fault:  # of a reply that is none, the driver makes ValueError and others
            away = away_because(fault, self._budget_s)
            self._reason = str(away)
            raise away from fault
        self._reason = None
        return [VERDICTS[letter] for letter in letters]

    def health(self) -> str | None:
        """Why the last batch went unanswered; None if it was answered."""
        return self._reason

    def status(self) -> None:
        """No breaker here."""

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)

    async def _run(self, batch: bytes, count: int) -> bytes:
        """Run the script; one letter a claim. On a new connection if there is none or the old one was cut."""
        try:
            letters = await self._evaluate_or_reconnect(batch)
            if len(letters) != count or letters.strip(b"FR"):
                raise InvalidResponse(f"{letters[:20]!r} for {count} claims")
        except BaseException:  # cancelled or timed out too
            # What is still to come on this connection would be taken for the next batch's verdicts; and half
            # a handshake is no connection, the next batch would skip the check of the policy.
            await self._connection.disconnect(nowait=True)
            raise
        return letters

    async def _evaluate_or_reconnect(self, batch: bytes) -> bytes:
        if self._connection.is_connected:
            try:
                return await self._evaluate(batch)
            except RedisConnectionError:
                # Restarted, or tired of an idle client: no outage if it takes a new connection at once.
                await self._connection.disconnect(nowait=True)
        await self._connect()
        return await self._evaluate(batch)

    async def _evaluate(self, batch: bytes) -> bytes:
        try:
            return await self._ask(b"EVALSHA", self._script_sha, 0, batch, self._life_ms)
        except NoScriptError:  # somebody flushed the scripts; EVAL loads it again
            return await self._ask(b"EVAL", SCRIPT, 0, batch, self._life_ms)

    async def _connect(self) -> None:
        await self._connection.connect()
        policy = re.search(rb"maxmemory_policy:([\w-]+)", await self._ask(b"INFO", b"memory"))
        if policy is None or policy[1] != b"noeviction":
            told = policy[1].decode() if policy else "unknown"
            cause = f"maxmemory-policy is {told}, so it could forget a nonce"
            raise NonceStoreAway("Redis, connect", cause, "set maxmemory-policy to noeviction")
        self._script_sha = await self._ask(b"SCRIPT LOAD", SCRIPT)

    async def _ask(self, *command: bytes | int) -> bytes:
        """One command; each that is sent here is answered by a string."""
        try:
            await self._connection.send_command(*command)
        except (RuntimeError, AttributeError, TypeError) as fault:
            # A transport that was reset while idle: uvloop says RuntimeError; the writelines of asyncio trips
            # over what is gone, in Python 3.12 and 3.13 (https://github.com/python/cpython/issues/136234).
            raise RedisConnectionError("the connection was reset") from fault
        reply = await self._connection.read_response()
        if not isinstance(reply, bytes):
            raise InvalidResponse(f"{reply!r:.40}")
        return reply


def away_because(fault: Exception, budget_s: float) -> NonceStoreAway:
    """Wrap a driver's error, with a hint for whoever reads `/health/ready`."""
    cause = str(fault).rstrip(".")
    match fault:
        case TimeoutError() | RedisTimeoutError():
            cause = f"no answer within {budget_s * 1000:.0f} ms"
            hint = "is it reachable, and is it overloaded?"
        case AuthenticationError():
            hint = "check the user and the password in the URL"
        case InvalidResponse() | ValueError() | TypeError() | RecursionError():
            cause = f"its reply makes no sense ({cause[:80]})"
            hint = "is it Redis that answers at this address, and does a proxy rewrite the replies?"
        case NoPermissionError():
            hint = "the user needs EVALSHA, EVAL, SCRIPT, INFO, and SET and GET on sg:nonce:*"
        case RedisConnectionError() | OSError():
            hint = "is it running, and is the URL right?"
        case _ if "maxmemory" in cause:
            cause, hint = "it is full", "raise maxmemory: 4.5 million nonces take about 0.9 GB"
        case _:
            hint = "see Redis's log"
    return NonceStoreAway("Redis", cause, hint)
