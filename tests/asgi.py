"""An ASGI application, asked without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp, Message

HERE = ("127.0.0.1", 50_000)
PATIENCE_S = 5


class Unfinished(Exception):
    """The answer was begun, and has no end."""


@dataclass(frozen=True)
class Answer:
    """What came back. A header that came twice is joined."""

    status: int
    headers: dict[str, str]
    body: bytes
    read: int
    """How many pieces of the request's body were asked for."""

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def code(self) -> str:
        """Of the problem that it must be."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return str(self.json["code"])


async def ask(
    app: ASGIApp,
    path: str = "/",
    method: str = "GET",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: Iterable[bytes] = (),
    client: tuple[str, int] | None = HERE,
    scheme: str = "http",
) -> Answer:
    """Ask, with these pieces of a body; after them the client is gone, unless nobody reads so far."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "scheme": scheme,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
        "client": client,
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    pieces = [*body] or [b""]
    said: list[Message] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        if read > len(pieces):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces[read - 1], "more_body": read < len(pieces)}

    async def send(message: Message) -> None:
        said.append(message)

    await asyncio.wait_for(app(scope, receive, send), PATIENCE_S)
    start, *rest = said
    assert start["type"] == "http.response.start"
    if not rest or rest[-1].get("more_body", False):
        raise Unfinished
    told: dict[str, str] = {}
    for name, value in start["headers"]:
        key = name.decode()
        told[key] = f"{told[key]}, {value.decode()}" if key in told else value.decode()
    return Answer(start["status"], told, b"".join(part.get("body", b"") for part in rest), read)


def request(
    app: ASGIApp, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Its answer; 500 where it raises."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(ask())


def shake_hands(app: ASGIApp, path: str) -> list[Message]:
    """All that a socket is sent which goes as soon as it has come."""
    came: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}]
    sent: list[Message] = []
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": path,
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }

    async def receive() -> Message:
        return came.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent
