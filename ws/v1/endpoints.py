"""HTTP `/v1`: each route of `ws/v1/routes.py`, served by the commands and the look-ups of the socket.

    HTTP ──▶ who asks ──▶ message ──▶ may he? ──▶ batcher, or a look-up ──▶ reply ──▶ HTTP
             bearer.py    requests.py  intents.py                            replies.py

A client that goes away loses its answer and nothing else: the command goes on, and the same key tells.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from starlette.requests import Request as Asked
from starlette.responses import Response
from starlette.routing import Route as Served

from batcher.jobs import Waiting
from engine.actors import Actor
from engine.commands import Command
from engine.outcomes import Code
from ws.asking.actors import actor_of
from ws.asking.intents import Refused, authorised, staked_from
from ws.asking.lookups import told as looked_up
from ws.codec import to_command
from ws.effects import Identity, Look, Looked
from ws.http.answers import answer as refused
from ws.http.bearer import known, still_known
from ws.http.problems import problem
from ws.http.trace_parent import HEADER as TRACE_PARENT
from ws.http.trace_parent import trace_parent
from ws.sockets.session import Door
from ws.v1.replies import told
from ws.v1.requests import NO_ID, Parts, Shape, Unread, read, shape_of
from ws.v1.routes import IDEMPOTENCY_KEY, ROUTES, Route
from ws.wire.fields import Reply, Request
from ws.wire.messages import BetPlace
from ws.wire.operators import Move
from ws.wire.outcomes import answer
from ws.wire.payouts import PayoutList
from ws.wire.reads import AuditLogGet, BetsGet, EntriesGet
from ws.wire.trails import TrailGet

PARAMETERS_MAX: Final = 32
"""Of a query: no route has more than five. Of those without a value a URL has room for 32,000, which take
33 ms to be read."""


def v1_routes(door: Door) -> list[Served]:
    """The routes of the table, for Starlette."""
    return _Server(door).routes()


class Asking(NamedTuple):
    """Who asks, as whom the audit log knows him, and as a part of which trace, if of any."""

    identity: Identity
    actor: Actor | None
    traceparent: str | None


class _Server:
    """Serves the routes of one door."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._in_flight: Counter[int] = Counter()

    def routes(self) -> list[Served]:
        """One for each path, so that a wrong method hears of all that are right."""
        shapes: dict[str, dict[str, Shape]] = {}
        for route in ROUTES:
            shapes.setdefault(route.path, {})[route.method] = shape_of(route)
        return [
            Served(path, partial(self._serve, by_method), methods=[*by_method])
            for path, by_method in shapes.items()
        ]

    async def _serve(self, by_method: Mapping[str, Shape], asked: Asked) -> Response:
        shape = by_method["GET" if asked.method == "HEAD" else asked.method]
        identity = known(asked.scope)
        if asked.scope["query_string"].count(b"&") >= PARAMETERS_MAX:
            words = f"the query has more than {PARAMETERS_MAX} parameters"
            return refused(problem(Code.INVALID_REQUEST, words))
        message = read(shape, await _parts(shape.route, asked))
        if shape.route.has_body:
            identity = still_known(asked.scope)
        if isinstance(message, Unread):
            return refused(problem(Code.INVALID_REQUEST, message.message, status=message.status))
        actor = actor_of(identity, asked.client, "http")
        trace = trace_parent(asked.headers.getlist(TRACE_PARENT))
        reply = await self._reply(Asking(identity, actor, trace), message)
        if isinstance(reply, Refused):
            return refused(problem(reply.code, reply.message))
        return told(shape.route, reply, asked.headers.get("if-none-match"))

    async def _reply(self, asking: Asking, message: Request) -> Reply | Refused:
        if isinstance(message, BetPlace):
            user_id = staked_from(asking.identity, message)
            if isinstance(user_id, Refused):
                return user_id
            return await self._submit(asking, to_command(message, user_id))
        assert isinstance(message, Move | Looked)
        intent = authorised(asking.identity, message)
        if isinstance(intent, Refused):
            return intent
        if isinstance(intent, Look):
            return await self._look(asking, intent.request)
        return await self._submit(asking, intent)

    async def _look(self, asking: Asking, request: Looked) -> Reply:
        door, (identity, actor, _) = self._door, asking
        # Nobody has all the time of a reader that walks: a wallet's chain, as a `resume` does, the log, a
        # bet's way.
        is_long = isinstance(request, EntriesGet | BetsGet | AuditLogGet | PayoutList | TrailGet)
        turn = door.hub.turn_to_resume(identity.user_id) if is_long else contextlib.nullcontext()
        async with turn:
            (reply,) = await looked_up(door, request, identity, door.miss, actor)
        return reply

    async def _submit(self, asking: Asking, command: Command) -> Reply:
        """What became of a command. It goes on when this is cancelled."""
        user_id = asking.identity.user_id
        self._in_flight[user_id] += 1
        try:
            is_over = self._in_flight[user_id] > self._door.limits.in_flight
            waiting = Waiting(asking.traceparent)
            objection = Code.RATE_LIMITED if is_over else None
            self._door.batcher.submit(command, waiting, NO_ID, objection, asking.actor)
            return answer(NO_ID, command, await waiting.outcome)
        finally:
            self._in_flight[user_id] -= 1
            if not self._in_flight[user_id]:
                del self._in_flight[user_id]


async def _parts(route: Route, asked: Asked) -> Parts:
    return Parts(
        asked.path_params,
        asked.query_params.multi_items(),
        asked.headers.getlist(IDEMPOTENCY_KEY),
        asked.headers.get("content-type", ""),
        await asked.body() if route.has_body else b"",
        time.time_ns() // 1_000_000,
    )
