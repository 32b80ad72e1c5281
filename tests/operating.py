"""What an operator's socket sends in the tests of the wire: each message under a new key, unless told."""

from __future__ import annotations

import itertools

from harness.wire import Wire
from tests.server_fixture import Json

_keys = itertools.count(1)


def new_key() -> str:
    return f"k{next(_keys)}"


async def move(wire: Wire, type_: str, **fields: object) -> Json:
    """The answer to a message, under a new key unless told."""
    return await wire.ask({"type": type_, "key": new_key()} | fields)


def refused(answer: Json, code: str, words: str = "") -> bool:
    """Whether it is an `error` of this code, and says so."""
    is_error = (answer["type"], answer.get("code")) == ("error", code)
    return is_error and str(answer["message"]).startswith(words)
