"""Holds what a real server says on a socket against `/asyncapi.json`, in every test that talks to one.

Each new shape of a message is looked at once: its type, its fields, its code, and what it answers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from harness.wire import Wire
from tests.json_schema import validator
from ws.contracts.asyncapi import asyncapi, tag
from ws.wire.answers import REPLIES_OF

Json = dict[str, Any]

ASYNCAPI: Final = asyncapi()
ANSWERED_BY: Final = {
    tag(request): {tag(reply) for reply in replies} for request, replies in REPLIES_OF.items()
}
PUSHED: Final = {name.removeprefix("push.") for name in ASYNCAPI["operations"] if name.startswith("push.")}


class Foreign(AssertionError):
    """The server has said something that the contract does not."""


@cache
def _of_type(type_: str) -> tuple[Any, frozenset[str]]:
    """The validator of a message, and its fields."""
    messages = ASYNCAPI["components"]["messages"]
    message = messages.get(f"{type_}.reply", messages.get(type_))  # the latter may be its request
    if message is None:
        raise Foreign(f"no message {type_}")
    name = message["payload"]["$ref"].rpartition("/")[2]
    schema = ASYNCAPI["components"]["schemas"][name]
    return validator(ASYNCAPI, name), frozenset(schema["properties"])


def look_at(message: Json, request: Json | None) -> None:
    """Raise `Foreign` unless the contract knows such a message, as an answer to `request` or as a push."""
    type_ = str(message.get("type"))
    checks, fields = _of_type(type_)
    for error in checks.iter_errors(message):
        raise Foreign(f"{type_}: {error.message} at {[*error.absolute_path]}: {message}")
    if unknown := message.keys() - fields:
        raise Foreign(f"{type_}: the contract has no {sorted(unknown)}")
    if request is None:
        if type_ not in PUSHED and "id" not in message:
            raise Foreign(f"{type_} is not pushed")
        return
    asked = request.get("type")
    operation = ASYNCAPI["operations"].get(asked) if isinstance(asked, str) else None
    if operation is None:
        if (type_, message.get("code")) != ("error", "INVALID_REQUEST"):
            raise Foreign(f"{asked} is answered by {message}")
        return
    if type_ != "error" and type_ not in ANSWERED_BY[str(asked)]:
        raise Foreign(f"{asked} is answered by {type_}")
    if type_ in ("error", "bet.rejected") and message["code"] not in operation["x-codes"]:
        raise Foreign(f"{asked} is answered by {message['code']}: {message['message']}")


@contextlib.contextmanager
def witnessed() -> Iterator[set[tuple[object, ...]]]:
    """While this lasts, whatever a `Wire` hears is looked at. Yields what was heard, by shape."""
    seen: set[tuple[object, ...]] = set()
    sort = Wire._sort

    def heard(wire: Wire, message: Json) -> None:
        exchange = wire._exchanges.get(message.get("id") or "")
        request = None if exchange is None else exchange.request
        asked = None if request is None else request.get("type")
        shape = (
            str(asked),
            message.get("type"),
            frozenset(message),
            message.get("code"),
            message.get("state"),
        )
        if shape not in seen:
            look_at(message, request)
            seen.add(shape)
        sort(wire, message)

    Wire._sort = heard  # type: ignore[assignment]
    try:
        yield seen
    finally:
        Wire._sort = sort  # type: ignore[method-assign]
