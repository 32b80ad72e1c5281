"""From an HTTP request to the message of the wire that it stands for: path, query, headers, body. Pure.

Strict as the socket is: unknown fields are refused by name. So is what is there twice, since of two values
different readers take different ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from msgspec.inspect import IntType, UnionType, type_info

from ws.codec import Malformed, is_bet_id, read_request
from ws.strict_json import EXPECTED_TYPE, NAME_CHARS_MAX, NotStrict, decode, is_json, refuse_twice
from ws.v1.routes import IDEMPOTENCY_KEY, NOT_SENT, Field, Route, Where
from ws.wire.fields import EXPECTED, Request
from ws.wire.messages import BetPlace

KEY_WORDS: Final = f"{IDEMPOTENCY_KEY}: expected this header, of 1 to 64 ASCII characters"
"""The header is a Latin-1 text to some and UTF-8 to others (RFC 9110, section 5.5): other characters go into
the body, as `key`."""

NO_ID: Final = "-"
"""The `id` of a request that has none: replies over HTTP do not show it."""


NONCE_CHARS_MIN: Final = 8
"""Of a nonce (PROTOCOL); a key may be shorter."""


class Parts(NamedTuple):
    """What of an HTTP request counts. `query` and `keys` (the values of `Idempotency-Key`) as they came, in
    order and with what is there twice; `now_ms`: wall clock."""

    path: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    keys: Sequence[str]
    content_type: str
    body: bytes
    now_ms: int


class Unread(NamedTuple):
    """It is no request of this route: INVALID_REQUEST with this status, and why."""

    message: str
    status: HTTPStatus = HTTPStatus.BAD_REQUEST


class Shape(NamedTuple):
    """A route as requests are read by it: the names of its fields by where they come from."""

    route: Route
    path: frozenset[str]
    query: frozenset[str]
    body: frozenset[str]
    integers: frozenset[str]


def shape_of(route: Route) -> Shape:
    """The shape of a route, to be made once."""
    fields = list(route.fields())
    return Shape(
        route,
        _names(fields, Where.PATH),
        _names(fields, Where.QUERY),
        _names(fields, Where.BODY, Where.KEY),
        frozenset(field.name for field in fields if _is_integer(field.kind)),
    )


def read(shape: Shape, parts: Parts) -> Request | Unread:
    """The request, or why there is none. Nothing that a client sends raises."""
    try:
        return _read(shape, parts)
    except NotStrict as error:
        return Unread(str(error))


def _read(shape: Shape, parts: Parts) -> Request | Unread:
    found = _from_body(shape, parts) if shape.route.has_body else {}
    if isinstance(found, Unread):
        return found
    for name, text in parts.query:
        if name not in shape.query:
            return Unread(f"{_shown(name)}: unknown parameter")
        if name in found:
            return Unread(f"{name}: there twice")
        found[name] = _value(shape, name, text)
    for name, text in parts.path.items():
        found[name] = _value(shape, name, text)
    wrong = _keyed(shape.route, parts, found)
    if wrong is not None:
        return Unread(wrong)
    request = read_request(shape.route.request, {**found, "id": NO_ID})
    if isinstance(request, Malformed):
        return Unread(request.message)
    # Last, where a body has few objects: this is a call for each of them.
    if parts.body and shape.route.has_body:
        refuse_twice(parts.body)
    return request


def _from_body(shape: Shape, parts: Parts) -> dict[str, Any] | Unread:
    if not parts.body:
        return {}
    if not is_json(parts.content_type):
        return Unread(EXPECTED_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body: dict[str, Any] = decode(parts.body, dict)
    for name in body:
        if name in shape.path:
            return Unread(f"{name}: it stands in the path")
        if name in NOT_SENT or name not in shape.body:
            return Unread(f"{_shown(name)}: unknown field")
    return body


def _keyed(route: Route, parts: Parts, found: dict[str, Any]) -> str | None:
    """Puts the idempotency key where it belongs; what is wrong with it."""
    if not route.moves_money:
        return None
    if len(parts.keys) > 1:
        return f"{IDEMPOTENCY_KEY}: there twice"
    key = parts.keys[0] if parts.keys else None
    if key is not None and not _is_key(key):
        return KEY_WORDS
    if route.request is BetPlace:
        return _keyed_bet(parts, found, key)
    if key is None:
        return None if "key" in found else f"{KEY_WORDS}; or key in the body"
    if found.setdefault("key", key) != key:
        return f"{IDEMPOTENCY_KEY}: not the same as key in the body"
    return None


def _keyed_bet(parts: Parts, found: dict[str, Any], key: str | None) -> str | None:
    if "bet_id" not in found:
        if key is None or not is_bet_id(key):
            return f"bet_id: expected {EXPECTED['bet_id']}; or the same as the header {IDEMPOTENCY_KEY}"
        found["bet_id"] = key
    found.setdefault("nonce", key if key is not None and len(key) >= NONCE_CHARS_MIN else found["bet_id"])
    found.setdefault("sent_at", parts.now_ms)
    return None


def _value(shape: Shape, name: str, text: str) -> str | int:
    """A parameter as JSON would have it; a text where an integer belongs is left to be refused."""
    return int(text) if name in shape.integers and _is_decimal(text) else text


def _names(fields: Iterable[Field], *where: Where) -> frozenset[str]:
    return frozenset(field.name for field in fields if field.where in where)


def _is_integer(kind: Any) -> bool:
    info = type_info(kind)
    return any(isinstance(each, IntType) for each in (info.types if isinstance(info, UnionType) else (info,)))


def _shown(name: str) -> str:
    return name[:NAME_CHARS_MAX]


_is_decimal = re.compile(r"0|-?[1-9][0-9]{0,17}").fullmatch
_is_key = re.compile(r"[\x20-\x7e]{1,64}").fullmatch
