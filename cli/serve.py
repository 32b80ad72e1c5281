"""The command `serve`: the whole server, until a signal."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace

import uvloop

from batcher.breaker import BreakerLimits
from batcher.nonces import NONCE_LIMITS
from engine.files import check_is_ours
from ws import app
from ws.rates.rates import RateLimits
from ws.settings import Settings, jwt_secret, mistyped, variable
from ws.watching.noise import Hushed

log = logging.getLogger("solidgreen")


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal."""
    _quiet_libraries()
    for each in mistyped():
        log.warning("a variable of the environment changes nothing: %s", each)
    check_is_ours(options.db, writing=True)  # before a secret is made beside a file that does not exist
    settings = Settings(
        db=options.db,
        jwt_secret=jwt_secret(options.db, create=True, given=variable("jwt_secret")),
        host=options.host,
        port=options.port,
        redis_url=options.redis_url,
        signing_key=options.signing_key,
        tls_certificate=options.tls_certificate,
        tls_key=options.tls_key,
        self_check_s=options.self_check_s,
        heads=options.heads,
        sockets_per_user=options.sockets_per_user,
        registration=options.registration,
        access_log=options.access_log,
        traces=options.traces,
        trace_ratio=options.trace_ratio,
        origins=options.origins,
        breaker=BreakerLimits(
            commit_upper_us=options.breaker_commit_ms * 1000,
            queue_upper_us=options.breaker_queue_ms * 1000,
            stable_us=options.breaker_stable_ms * 1000,
        ),
        nonce_breaker=replace(NONCE_LIMITS, stable_us=options.nonce_stable_ms * 1000),
        rates=RateLimits(
            address=options.rate_address,
            user=options.rate_user,
            money=options.rate_money,
            login=options.rate_login,
            refresh=options.rate_refresh,
        ),
        rates_in_redis=options.rate_limits_in == "redis",
        trusted_proxies=options.trusted_proxies,
    )
    return uvloop.run(app.serve(settings))


def _quiet_libraries() -> None:
    """uvicorn logs each socket at level info, and whatever is wrong with what a stranger sends."""
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.WARNING)
    logger.addFilter(Hushed())
