"""The plain routes of HTTP, for the contract: those with no message of the wire behind them, which are
identity, health, figures, contracts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from engine.outcomes import Code
from ws.people.messages import (
    AccountShown,
    AddStaff,
    CreateKey,
    ExchangeKey,
    Login,
    NewKey,
    Refresh,
    Register,
    RotateKey,
    SetPassword,
    StaffShown,
    Tokens,
)

Json = dict[str, Any]

JSON: Final = "application/json"
REPORT: Final[Json] = {
    "type": "object",
    "properties": {"status": {"type": "string"}},
    "required": ["status"],
}
DOCUMENT: Final[Json] = {"type": "object"}
TEXT: Final[Json] = {"type": "string"}


class Answer(NamedTuple):
    """What one status of a success says. `content`: a type, or a schema where there is none; None: nothing.
    `list_of`: the name under which the content stands many times. `cookie`: when it sets or ends the cookie
    of the refresh token, in words."""

    words: str
    content: type | Json | None = None
    media_type: str = JSON
    list_of: str | None = None
    cookie: str | None = None


class PlainRoute(NamedTuple):
    """What one method of one path does."""

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[int, Answer]
    body: type | None = None
    may_be_empty: bool = False
    codes: tuple[Code, ...] = ()
    roles: tuple[str, ...] = ()
    """Whose token it wants; none: it wants no token."""
    is_any_role: bool = False
    """It wants a token, whosever it is."""
    takes_cookie: bool = False
    """A cookie may bring the refresh token."""
    is_fixed: bool = False
    """It is asked for again by its `ETag`."""


_ALL: Final = (Code.INVALID_REQUEST, Code.RATE_LIMITED, Code.INTERNAL)
_WRITES: Final = (Code.OUTCOME_UNKNOWN, Code.CIRCUIT_OPEN, Code.OVERLOADED, Code.TIMED_OUT)
_ADMINS: Final = (*_ALL, *_WRITES, Code.UNAUTHORIZED, Code.FORBIDDEN)
_NEW: Final = Answer("A key, in full, this once.", NewKey)
_IF_WANTED: Final = "Where the body says `cookie`: the refresh token, in place of that in the answer."

IDENTITY: Final = (
    PlainRoute(
        "POST",
        "/v1/auth/register",
        "auth.register",
        "become a player with a wallet",
        {201: Answer("He is one, and is logged in.", Tokens, cookie=_IF_WANTED)},
        Register,
        codes=(*_ALL, *_WRITES, Code.FORBIDDEN, Code.IDEMPOTENCY_CONFLICT, Code.CURRENCY_MISMATCH),
    ),
    PlainRoute(
        "POST",
        "/v1/auth/login",
        "auth.login",
        "log in",
        {200: Answer("Whom the server takes him for, and his tokens.", Tokens, cookie=_IF_WANTED)},
        Login,
        codes=(*_ALL, *_WRITES, Code.UNAUTHORIZED),
    ),
    PlainRoute(
        "POST",
        "/v1/auth/refresh",
        "auth.refresh",
        "new tokens for a refresh token, which is good once",
        {
            200: Answer(
                "The next tokens.",
                Tokens,
                cookie="Where a cookie has brought the token: the next one, in place of that in the answer.",
            )
        },
        Refresh,
        may_be_empty=True,
        codes=(*_ALL, *_WRITES, Code.UNAUTHORIZED),
        takes_cookie=True,
    ),
    PlainRoute(
        "POST",
        "/v1/auth/logout",
        "auth.logout",
        "end this log-in, and its sockets",
        {204: Answer("It has ended.", cookie="Where there was a cookie: its end.")},
        Refresh,
        may_be_empty=True,
        codes=(*_ALL, *_WRITES, Code.UNAUTHORIZED),
        is_any_role=True,
    ),
    PlainRoute(
        "POST",
        "/v1/auth/token",
        "auth.token",
        "an access token for the key of a service account",
        {200: Answer("The token; there is no refresh token: show the key again.", Tokens)},
        ExchangeKey,
        codes=(*_ALL, *_WRITES, Code.UNAUTHORIZED),
    ),
    PlainRoute(
        "GET",
        "/v1/admin/staff",
        "staff.list",
        "all staff",
        {200: Answer("Also those who were removed.", StaffShown, list_of="staff")},
        codes=_ADMINS,
        roles=("admin",),
    ),
    PlainRoute(
        "POST",
        "/v1/admin/staff",
        "staff.add",
        "add one of the staff",
        {
            201: Answer(
                "The number of the new one.",
                {
                    "type": "object",
                    "properties": {"user_id": {"type": "integer"}},
                    "required": ["user_id"],
                },
            )
        },
        AddStaff,
        codes=(*_ADMINS, Code.IDEMPOTENCY_CONFLICT),
        roles=("admin",),
    ),
    PlainRoute(
        "DELETE",
        "/v1/admin/staff/{name}",
        "staff.remove",
        "remove one of the staff, and end his log-ins",
        {204: Answer("He is removed.")},
        codes=(*_ADMINS, Code.NOT_FOUND),
        roles=("admin",),
    ),
    PlainRoute(
        "PUT",
        "/v1/admin/staff/{name}/password",
        "staff.set_password",
        "set his password, and end his log-ins",
        {204: Answer("It is set.")},
        SetPassword,
        codes=(*_ADMINS, Code.NOT_FOUND),
        roles=("admin",),
    ),
    PlainRoute(
        "GET",
        "/v1/admin/keys",
        "keys.list",
        "all service accounts and their keys",
        {200: Answer("Keys by how they begin.", AccountShown, list_of="accounts")},
        codes=_ADMINS,
        roles=("admin",),
    ),
    PlainRoute(
        "POST",
        "/v1/admin/keys",
        "keys.create",
        "open a service account with a key",
        {201: _NEW},
        CreateKey,
        codes=(*_ADMINS, Code.IDEMPOTENCY_CONFLICT),
        roles=("admin",),
    ),
    PlainRoute(
        "POST",
        "/v1/admin/keys/{name}/rotate",
        "keys.rotate",
        "a new key for a service account",
        {201: _NEW},
        RotateKey,
        may_be_empty=True,
        codes=(*_ADMINS, Code.NOT_FOUND, Code.IDEMPOTENCY_CONFLICT),
        roles=("admin",),
    ),
    PlainRoute(
        "DELETE",
        "/v1/admin/keys/{name}",
        "keys.revoke",
        "close a service account, and end its keys and tokens",
        {204: Answer("It is closed.")},
        codes=(*_ADMINS, Code.NOT_FOUND),
        roles=("admin",),
    ),
)
"""Source: `ws/people/routes.py`, `ws/people/staff_routes.py`; docs/people.md."""

WATCHING: Final = (
    PlainRoute(
        "GET", "/health/live", "health.live", "is the process alive?", {200: Answer("It is.", REPORT)}
    ),
    PlainRoute(
        "GET",
        "/health/ready",
        "health.ready",
        "may it be sent bets?",
        {
            200: Answer("It may. How each part of it is.", REPORT),
            503: Answer("Bets would be refused now, and why.", REPORT),
        },
    ),
    PlainRoute(
        "GET",
        "/metrics",
        "metrics",
        "figures for Prometheus",
        {200: Answer("In Prometheus' text form.", TEXT, "text/plain")},
    ),
    PlainRoute(
        "GET",
        "/openapi.json",
        "openapi",
        "this contract",
        {200: Answer("OpenAPI 3.1.", DOCUMENT)},
        codes=_ALL,
        is_fixed=True,
    ),
    PlainRoute(
        "GET",
        "/asyncapi.json",
        "asyncapi",
        "the contract of the socket",
        {200: Answer("AsyncAPI 3.0.", DOCUMENT)},
        codes=_ALL,
        is_fixed=True,
    ),
    PlainRoute(
        "GET",
        "/docs",
        "docs",
        "both, for people",
        {200: Answer("A page.", TEXT, "text/html")},
        codes=_ALL,
        is_fixed=True,
    ),
)

PLAIN_ROUTES: Final = (*IDENTITY, *WATCHING)

TYPES: Final[tuple[type, ...]] = (
    *(route.body for route in PLAIN_ROUTES if route.body is not None),
    *(
        each.content
        for route in PLAIN_ROUTES
        for each in route.answers.values()
        if isinstance(each.content, type)
    ),
)
"""The types that these take and answer."""
