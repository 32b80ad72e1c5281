"""The routes of log-in, `/v1/auth/…`. Bodies and answers: `ws/people/messages.py`; what they mean:
docs/people.md.

Browsers may keep the refresh token in a cookie. What another page could do with it is bounded three times:
the cookie is SameSite=Strict, so requests that another site causes come without it; it is read only beside
the media type `application/json`, for which a browser asks first; and a refresh that was forced would tell
the new tokens to nobody but this origin. Log-out needs the access token as well, which no browser sends by
itself.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import BatchRefused, CommitUnknown, LookTooLong, StoreFault
from engine.outcomes import Code
from ws.http.answers import answer
from ws.http.bearer import known
from ws.http.bodies import expect_json, read_body
from ws.http.problems import problem
from ws.people.log_ins import People
from ws.people.messages import ExchangeKey, Login, Refresh, Register, Tokens
from ws.people.passwords import TooManyPasswords
from ws.people.secrets_shown import NO_TOKEN, LoggedIn, PeopleRefused
from ws.rates.addresses import network_of

log = logging.getLogger("solidgreen.people")

COOKIE: Final = "sg_refresh"
COOKIE_PATH: Final = "/v1/auth"
BUSY_S: Final = 1.0
"""When whoever met a storm may come back."""

Endpoint = Callable[[Request], Awaitable[Response]]


def people_routes(people: People) -> list[Route]:
    """The routes."""

    @answering
    async def register(request: Request) -> Response:
        asked = await read_body(request, Register)
        told = await people.register(asked.username, asked.password, asked.currency, address_of(request))
        return _told(request, told, 201, in_cookie=asked.cookie)

    @answering
    async def log_in(request: Request) -> Response:
        asked = await read_body(request, Login)
        told = await people.log_in(asked.username, asked.password, address_of(request))
        return _told(request, told, 200, in_cookie=asked.cookie)

    @answering
    async def refresh(request: Request) -> Response:
        asked = await read_body(request, Refresh)
        # What came by the cookie goes by the cookie: else any script could have it told.
        in_cookie = asked.refresh_token is None
        token = _cookie_of(request) if in_cookie else asked.refresh_token
        if token is None:
            raise PeopleRefused(Code.UNAUTHORIZED, NO_TOKEN)
        if in_cookie:
            expect_json(request)  # also without a body, as a form of another page may come
        return _told(request, await people.refresh(token), 200, in_cookie=in_cookie)

    @answering
    async def log_out(request: Request) -> Response:
        identity = known(request.scope)
        asked = await read_body(request, Refresh)
        # The browser is told to forget the cookie: so nobody else may go on with what is in it.
        await people.log_out(identity, asked.refresh_token, _cookie_of(request))
        gone = Response(status_code=204)
        if COOKIE in request.cookies:
            _set_cookie(request, gone, "", 0)
        return gone

    @answering
    async def exchange_key(request: Request) -> Response:
        asked = await read_body(request, ExchangeKey)
        return _told(request, await people.exchange_key(asked.key), 200, in_cookie=False)

    endpoints = {
        "register": register,
        "login": log_in,
        "refresh": refresh,
        "logout": log_out,
        "token": exchange_key,
    }
    return [Route(f"/v1/auth/{name}", endpoint, methods=["POST"]) for name, endpoint in endpoints.items()]


def answering(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with a problem for an answer where it raises what people's routes do."""

    @functools.wraps(endpoint)
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except PeopleRefused as error:
            return _refusal(error.code, error.words, error.retry_after_s)
        except TooManyPasswords as error:
            return _refusal(Code.OVERLOADED, str(error), BUSY_S)
        except LookTooLong as error:
            return _refusal(Code.TIMED_OUT, str(error), BUSY_S)
        except StoreFault as error:
            return _refusal(*_fault(error))

    return answered


def _fault(error: StoreFault) -> tuple[Code, str, float | None]:
    """What a fault of the storage is to whoever asked; the log has the rest."""
    if isinstance(error, CommitUnknown):
        if error.has_begun:
            return Code.OUTCOME_UNKNOWN, "the storage failed: it may have been done, and may not", None
        return Code.CIRCUIT_OPEN, "the storage failed: nothing is written until a restart", None
    if isinstance(error, BatchRefused):
        return Code.OVERLOADED, "the storage does not take it now; try again", BUSY_S
    log.error("a change of who may act failed", exc_info=error)
    return Code.INTERNAL, "an error in the server", None


def _refusal(code: Code, words: str, retry_after_s: float | None = None) -> Response:
    later_ms = UNSET if retry_after_s is None else math.ceil(retry_after_s * 1000)
    return answer(problem(code, words, later_ms))


def shown(content: Any, status: int = 200) -> Response:
    """What was asked for, as JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def address_of(request: Request) -> str:
    """Whence it comes, as it is counted elsewhere: see `ws/rates/addresses.py`."""
    return network_of(None if request.client is None else request.client.host)


def _told(request: Request, told: LoggedIn, status: int, *, in_cookie: bool) -> Response:
    in_body = told.refresh_token is not None and not in_cookie
    response = shown(
        Tokens(
            told.user_id,
            told.role,
            told.access_token,
            told.access_life_s,
            UNSET if told.refresh_life_s is None else told.refresh_life_s,
            told.refresh_token if in_body and told.refresh_token is not None else UNSET,
            UNSET if told.scope is None else told.scope,
        ),
        status,
    )
    if in_cookie and told.refresh_token is not None and told.refresh_life_s is not None:
        _set_cookie(request, response, told.refresh_token, told.refresh_life_s)
    return response


def _set_cookie(request: Request, response: Response, token: str, life_s: int) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=life_s,
        path=COOKIE_PATH,
        secure=not _is_tried_at_home(request),
        httponly=True,
        samesite="strict",
    )


def _cookie_of(request: Request) -> str | None:
    """The refresh token of the cookie; None: there is none, or there are two. Then one may be another's:
    another host of the same domain can set it (RFC 6265, section 8.6), and so have people act, and pay in, as
    another."""
    named = f"{COOKIE}="
    values = [
        each.strip().removeprefix(named)
        for header in request.headers.getlist("cookie")
        for each in header.split(";")
        if each.strip().startswith(named)
    ]
    return values[0] if len(values) == 1 else None


def _is_tried_at_home(request: Request) -> bool:
    """Whether it came by http to this very machine: a browser would not keep a Secure cookie from there."""
    host = request.headers.get("host", "")  # not `request.url`, which raises for some that are none
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        is_here = ip_address(name).is_loopback
    except ValueError:
        is_here = name == "localhost"
    return is_here and request.scope["scheme"] == "http"
