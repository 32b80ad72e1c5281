"""What lets people and programs in, put together: who has logged in, what has ended, and the routes to it."""

from __future__ import annotations

import time

from starlette.routing import Route

from batcher.asides import Asides
from batcher.clock import wall_us
from ws.people.log_ins import People
from ws.people.passwords import Passwords
from ws.people.routes import people_routes
from ws.people.staff import Staff
from ws.people.staff_routes import staff_routes
from ws.settings import Settings
from ws.sockets.session import Door


class Entrance:
    """Made in the event loop, before anybody is let in; `close` it at the end."""

    def __init__(self, door: Door, settings: Settings) -> None:
        self._door = door

        def bets() -> int:
            return door.batcher.tally.bets

        self._passwords = Passwords(bets)
        asides = Asides(door.store, bets)
        self.people = People(
            door.store,
            asides,
            self._passwords,
            door.batcher.ask,
            settings.jwt_secret,
            self._end,
            registers=settings.registration,
        )
        self.staff = Staff(
            door.store,
            asides,
            self._passwords,
            self._end,
            clock=wall_us,
            books_clock=lambda: door.batcher.books_clock.now().at_us,
        )

    def routes(self) -> list[Route]:
        """All of `/v1/auth` and `/v1/admin`."""
        return [*people_routes(self.people), *staff_routes(self.staff, wall_us)]

    def close(self) -> None:
        """No password is checked any more. Changes that were begun end with the writer's thread."""
        self._passwords.close()

    def _end(self, sid: str) -> None:
        # In this order: whoever comes now is refused, whoever is here is closed.
        self._door.ended.add(sid, time.time(), time.monotonic())
        self._door.hub.end_login(sid)
