"""JSON that two readers cannot read differently: of HTTP requests, and of access tokens. Pure.

Strict is what `msgspec` takes (RFC 8259 in UTF-8; no NaN, no lone surrogate, no number beyond 64 bits), and
beyond it names that stand once in their object. Looking for those costs a call for each object, so whoever
can tell before that a text is not what he wants uses `decode` first, and `refuse_twice` last.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec

EXPECTED_TYPE: Final = "Content-Type: expected application/json"
"""What to say, with status 415, where a body is not said to be JSON."""

NAME_CHARS_MAX: Final = 64
"""How much of a stranger's name is told back to him."""

Kind = TypeVar("Kind")


class NotStrict(ValueError):
    """It is no strict JSON, or not of the kind. The message may be shown to whoever has sent it."""


def is_json(content_type: str) -> bool:
    """Whether this value of `Content-Type` says that a body is JSON; parameters do not count.

    A page of another origin cannot send it without asking first (the Fetch standard, CORS-preflight), and a
    form cannot at all: so neither can have a browser spend a cookie on what is read by this rule.
    """
    return content_type.partition(";")[0].strip().lower() == "application/json"


def read(text: bytes, kind: type[Kind]) -> Kind:
    """The text as a `kind`, with no name twice. Raises `NotStrict`."""
    decoded = decode(text, kind)
    refuse_twice(text)
    return decoded


def decode(text: bytes, kind: type[Kind]) -> Kind:
    """The text as a `kind`; of a name that stands twice, either value. Raises `NotStrict`."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise NotStrict(str(error)) from error
    except RecursionError as error:
        raise NotStrict("not JSON: nested too deeply") from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise NotStrict(f"not JSON: {error}") from error


def refuse_twice(text: bytes) -> None:
    """Raises `NotStrict` where an object has a name twice, of a text that `decode` has taken: of two values,
    different readers take different ones."""
    try:
        json.loads(text.decode(), object_pairs_hook=_once)  # of bytes it would take UTF-16 as well
    except RecursionError as error:
        raise NotStrict("not JSON: nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise NotStrict(f"{name[:NAME_CHARS_MAX]}: there twice")
        seen.add(name)
