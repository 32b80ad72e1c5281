"""`solidgreen` with a fault that the fuzzer must find: the one that `TEST_FAULT` names."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route

import ws.application
import ws.codec
import ws.protocol
import ws.sockets.session
from cli.main import main
from ws.auth import TokenRefused
from ws.codec import Malformed
from ws.effects import Identity
from ws.transport.websocket_door import WebSocketDoor
from ws.wire.messages import AnyRequest

LEAKED_BYTES: Final = 64 * 1024


def raises() -> None:
    """A control character is more than the codec can take."""
    sound: Callable[[str], Any] = ws.codec._has_control

    def has_control(text: str) -> Any:
        if "\x7f" in text:
            raise LookupError("no such character")
        return sound(text)

    ws.codec._has_control = has_control  # type: ignore[assignment]


def is_lenient() -> None:
    """`"amount": "7"` is 7, and `true` is 1."""
    ws.codec._ONE = msgspec.json.Decoder(AnyRequest, strict=False)
    ws.codec._MANY = msgspec.json.Decoder(list[AnyRequest], strict=False)


def is_silent() -> None:
    """Who sends an array has no answer to what is malformed in it without an id."""
    sound = ws.protocol.decode_frame  # type: ignore[attr-defined]

    def decode_frame(text: str, frame_messages: int) -> Any:
        requests = sound(text, frame_messages)
        told = [each for each in requests if not isinstance(each, Malformed) or each.id is not None]
        return told or requests

    ws.protocol.decode_frame = decode_frame  # type: ignore[attr-defined]


def trusts() -> None:
    """Whoever has a bad token is taken for a player."""
    checked = ws.sockets.session.identify  # type: ignore[attr-defined]

    def identify(secret: str, token: str, ended: Container[str] = frozenset()) -> Identity:
        try:
            return checked(secret, token, ended)
        except TokenRefused:
            return Identity(7, "player", 2**40)

    ws.sockets.session.identify = identify  # type: ignore[attr-defined]


def leaks() -> None:
    """Something of each connection is kept for ever."""
    kept: list[bytearray] = []
    lost = WebSocketDoor.connection_lost

    def connection_lost(self: WebSocketDoor, exc: Exception | None) -> None:
        kept.append(bytearray(b"x" * LEAKED_BYTES))
        lost(self, exc)

    WebSocketDoor.connection_lost = connection_lost  # type: ignore[method-assign]


def fails() -> None:
    """A route answers 500."""
    routes = ws.application.health_routes  # type: ignore[attr-defined]

    async def failing(request: Request) -> Any:
        raise LookupError("no such thing")

    ws.application.health_routes = lambda *given: [*routes(*given), Route("/no/such", failing)]  # type: ignore[attr-defined]


FAULTS: Final = {each.__name__: each for each in (raises, is_lenient, is_silent, trusts, leaks, fails)}


if __name__ == "__main__":
    FAULTS[os.environ["TEST_FAULT"]]()
    sys.exit(main())
