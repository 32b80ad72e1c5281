"""`solidgreen` as it would be without the time limit and the fallback of its nonce guard: `redis_storm` must
find fault with it, or it tests nothing.
"""

from __future__ import annotations

import sys

import ws.app
from batcher.nonces import NonceGuard
from batcher.redis_nonces import RedisGuard
from cli.main import main
from ws.settings import Settings


def _patient(settings: Settings) -> NonceGuard:
    assert settings.redis_url is not None
    return RedisGuard(settings.redis_url, budget_s=3600)


if __name__ == "__main__":
    ws.app._guard = _patient
    sys.exit(main())
