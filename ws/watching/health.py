"""Health over HTTP: is the process alive, and may it be sent bets? Source: PROTOCOL, `/health/live`,
`/health/ready`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from batcher.batcher import Batcher
from batcher.breaker import State
from batcher.nonces import NonceGuard
from batcher.steady import ClockStatus
from ws.rates.rates import Rates
from ws.watching.house import House
from ws.watching.sizes import Disk

Report = dict[str, Any]

NEEDED: Mapping[str, frozenset[str]] = {
    "storage": frozenset({"failed"}),
    "disk": frozenset({"full"}),
    "breaker": frozenset({State.OPEN.value}),
    "queue": frozenset({"stopping"}),
}
"""Without which no bets are taken, and what each says then. The others only degrade the server."""


def health_routes(house: House) -> list[Route]:
    """The two routes. Live: the loop answers. Ready: 503 while bets would be refused, and why."""

    async def live(request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"})

    async def ready(request: Request) -> JSONResponse:
        parts: dict[str, Report] = {
            "storage": _storage(house.batcher),
            "disk": _disk(house.gauge.disk()),
            "breaker": _breaker(house.batcher),
            # Money never depends on nonces, so a store that is away degrades the server and does not stop it.
            "nonces": _nonces(house.guard),
            "rates": _rates(house.rates),
            "clock": _clock(house.batcher.books_clock.status()),
            "self_check": house.self_check.health(),
            "heads": {"status": "off"} if house.heads is None else house.heads.health(),
            "beside": house.beside.health(),  # bets are sound without it, so it leaves the server ready
            "queue": _queue(house.batcher),
        }
        why = list(_why_not(parts))
        report = {"status": "not ready" if why else "ready", "why": why, **parts}
        return JSONResponse(report, status_code=503 if why else 200)

    return [Route("/health/live", live), Route("/health/ready", ready)]


def _why_not(parts: Mapping[str, Report]) -> Iterator[str]:
    """Why no bets are taken: each part that they need, and its reason."""
    for name, fatal in NEEDED.items():
        status = parts[name]["status"]
        if status in fatal:
            yield f"{name}: {parts[name].get('why') or status}"


def _storage(batcher: Batcher) -> Report:
    return {"status": "ok"} if batcher.failure is None else {"status": "failed", "why": batcher.failure}


def _disk(disk: Disk | None) -> Report:
    if disk is None:
        return {"status": "unknown", "why": "the disk does not tell how much room it has"}
    report: Report = {"status": disk.status, "free_bytes": disk.free, "total_bytes": disk.total}
    if disk.status != "ok":
        report["why"] = f"{disk.free:,} of {disk.total:,} bytes are free"
    return report


def _breaker(batcher: Batcher) -> Report:
    breaker = batcher.breaker_status()
    return {
        "status": breaker.state.value,
        "why": breaker.reason.value if breaker.reason else None,
        "stable_for_another_ms": breaker.remaining_us // 1000,
    }


def _queue(batcher: Batcher) -> Report:
    report: Report = {
        "status": "stopping" if batcher.is_stopping else "ok",
        "waiting": batcher.queue_length(),
        "oldest_ms": batcher.oldest_wait_us() // 1000,
        "stopping": batcher.is_stopping,
    }
    if batcher.is_stopping:
        report["why"] = "the server is stopping"
    elif batcher.oldest_wait_us() > batcher.limits.target_us:
        report |= {"status": "late", "why": "commands wait longer than they should; bets may be shed"}
    return report


def _clock(status: ClockStatus) -> Report:
    # Bets go on by the time of the books, so a wall clock that has jumped does not make the server unready.
    if status.since_us is None:
        return {"status": "sure"}
    return {
        "status": "unsure",
        "why": "the wall clock and the time of the books are apart",
        "jumped_ms": status.jumped_us // 1000,
        "since_at": status.since_us // 1000,
    }


def _rates(rates: Rates) -> Report:
    why = rates.health()
    return {"status": "ok"} if why is None else {"status": "degraded", "why": why}


def _nonces(guard: NonceGuard) -> Report:
    why = guard.health()
    if why is None:
        return {"status": "ok"}
    report: Report = {"status": "degraded", "why": why}
    breaker = guard.status()
    if breaker is not None:
        report |= {
            "breaker": breaker.state.value,
            "stable_for_another_ms": breaker.remaining_us // 1000,
        }
    return report
