"""Health over HTTP: is the process alive, and may it be sent bets? Source: PROTOCOL, `/health/live`,
`/health/ready`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from batcher.batcher import Batcher
from batcher.breaker import State
from batcher.nonces import NonceGuard
from batcher.steady import ClockStatus
from ws.beside import Beside
from ws.self_check import SelfCheck


def health_routes(batcher: Batcher, guard: NonceGuard, self_check: SelfCheck, beside: Beside) -> list[Route]:
    """The two routes. Live: the loop answers. Ready: 503 while bets would be refused, and why."""

    async def live(request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"})

    async def ready(request: Request) -> JSONResponse:
        breaker = batcher.breaker_status()
        is_ready = batcher.failure is None and breaker.state is not State.OPEN and not batcher.is_stopping
        report = {
            "status": "ready" if is_ready else "not ready",
            "storage": {"status": "ok"}
            if batcher.failure is None
            else {"status": "failed", "why": batcher.failure},
            "breaker": {
                "status": breaker.state.value,
                "why": breaker.reason.value if breaker.reason else None,
                "stable_for_another_ms": breaker.remaining_us // 1000,
            },
            # Money never depends on nonces, so a store that is away degrades the server and does not stop it.
            "nonces": _nonces(guard),
            "clock": _clock(batcher.books_clock.status()),
            "self_check": self_check.health(),
            "beside": beside.health(),  # bets are sound without it, so it leaves the server ready
            "queue": {"waiting": batcher.queue_length(), "stopping": batcher.is_stopping},
        }
        return JSONResponse(report, status_code=200 if is_ready else 503)

    return [Route("/health/live", live), Route("/health/ready", ready)]


def _clock(status: ClockStatus) -> dict[str, object]:
    # Bets go on by the time of the books, so a wall clock that has jumped does not make the server unready.
    if status.since_us is None:
        return {"status": "sure"}
    return {
        "status": "unsure",
        "jumped_ms": status.jumped_us // 1000,
        "since_at": status.since_us // 1000,
    }


def _nonces(guard: NonceGuard) -> dict[str, str | int]:
    why = guard.health()
    if why is None:
        return {"status": "ok"}
    report: dict[str, str | int] = {"status": "degraded", "why": why}
    breaker = guard.status()
    if breaker is not None:
        report |= {
            "breaker": breaker.state.value,
            "stable_for_another_ms": breaker.remaining_us // 1000,
        }
    return report
