"""HTTP `/v1` and clients who mean harm: every route with wrong types, wrong methods, broken bodies, things
that are there twice, ids that are not theirs. Always 4xx with a code, never 5xx, and nothing in the ledger.

An operator asks, who may everything: what is refused here is refused for what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.asking import BY_NAME, EVERY, as_http, bearing, new_key
from tests.server_fixture import RawSocket, World
from ws.v1.endpoints import PARAMETERS_MAX
from ws.v1.routes import IDEMPOTENCY_KEY, ROUTES, Route, Where

NEVER: Final[list[Any]] = [0.5, [], {}, {"a": 1}, [[]], 10**30, -(2**63) - 1, "\x00", "x" * 65, "\u0085"]
"""What is right for no field of any request."""
NEVER_OF_AN_INTEGER: Final[list[Any]] = [1.0, True, "1", "", "7"]
NEVER_IN_A_PATH: Final = (
    *("-1", "1.0", "01", "+1", "1e3", "x", "9" * 40, "true", "null", "%00", "%ff", "%20", "1%20", "%C3%A9"),
    *("%F0%9F%98%80", "%D9%A3", "..%2f..%2fwallet.db", "1;drop", "'", "%22", "0x1", "1_0", "\u00b2"),
)
NEVER_A_BODY: Final[dict[str, bytes]] = {
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "half": b"{",
    "more than one": b"{}{}",
    "words": b"stake=1",
    "a comma too many": b'{"key":"k",}',
    "no quotes": b"{key:1}",
    "NaN": b'{"amount":NaN}',
    "Infinity": b'{"amount":-Infinity}',
    "no UTF-8": b'{"key":"\xff"}',
    "UTF-16": '{"key":"k"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"key":"k"}',
    "a lone surrogate": b'{"key":"\\ud800"}',
    "a bare control character": b'{"key":"a\nb"}',
    "NUL": b'{"key":"k"}\x00',
    "deep": b'{"legs":' + b"[" * 100_000,
    "deep and closed": b'{"legs":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a long integer": b'{"amount":' + b"9" * 5_000 + b"}",
    "an unknown field": b'{"admin":true}',
    "a field of the socket": b'{"id":"r1"}',
    "a type": b'{"type":"bet.place"}',
    "__proto__": b'{"__proto__":{"amount":1}}',
    "the same twice": b'{"key":"a","key":"b"}',
    "the same twice within": b'{"x":{"a":1,"a":2}}',
    "the same twice by another name": b'{"amount":1,"\\u0061mount":2}',
}


@pytest.fixture(scope="module")
def http(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.server.http, trust_env=False, headers=bearing(world.operator)) as client:
        yield client
    world.assert_sound()


@pytest.fixture(autouse=True)
def nothing_in_the_ledger(world: World) -> Iterator[None]:
    def kept() -> list[tuple[Any, ...]]:
        return world.query("SELECT (SELECT count(*) FROM transactions), (SELECT count(*) FROM refusals)")

    before = kept()
    yield
    assert kept() == before


def refusal(answer: httpx.Response) -> str:
    """The code of what must be a 4xx."""
    assert 400 <= answer.status_code < 500, (answer.request.url, answer.status_code, answer.text[:200])
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:200]
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:solidgreen:problem:{problem['code'].lower().replace('_', '-')}"
    assert len(answer.content) < 1000, "a refusal does not repeat what was sent"
    return str(problem["code"])


def key_of(route: Route) -> str | None:
    return new_key() if route.needs_key else None


def of_each(routes: list[Route], *quick: str) -> pytest.MarkDecorator:
    """Each of these routes; all but the `quick` ones, if any are named, only where time is no matter."""
    marks = {True: (), False: (pytest.mark.long,)}
    return pytest.mark.parametrize(
        "route",
        [
            pytest.param(each, marks=marks[not quick or each.name in quick], id=f"{each.method} {each.path}")
            for each in routes
        ],
    )


def test_every_route_is_asked() -> None:
    assert EVERY.keys() == BY_NAME.keys()
    for route in ROUTES:
        assert {field.name for field in route.fields()} - {"key"} == EVERY[route.name].keys()


@of_each([*ROUTES], "bet.place", "wallet.bets", "wallet.transfer", "wallet.withdraw", "book.floor")
def test_a_wrong_value_is_refused_by_the_name_of_its_field(http: httpx.Client, route: Route) -> None:
    for field in route.fields():
        if field.where not in (Where.BODY, Where.QUERY):
            continue
        is_integer = isinstance(EVERY[route.name][field.name], int) and field.kind is not bool
        for value in [*NEVER, *(NEVER_OF_AN_INTEGER if is_integer else ())]:
            fields = EVERY[route.name] | {field.name: value}
            asked = as_http(route, fields, key_of(route))
            if field.where is Where.QUERY:
                if value in (1, "1", "7", [], {}):  # a parameter is a text, and one of nothing is none
                    continue
                if field.name in ("action", "text") and not isinstance(value, str):  # a text of any kind
                    continue
                asked["params"][field.name] = value if isinstance(value, str) else json.dumps(value)
            else:
                asked["content"] = json.dumps(asked.pop("json"), ensure_ascii=False).encode()
                asked.setdefault("headers", {})["Content-Type"] = "application/json"
            answer = http.request(**asked)
            assert refusal(answer) == "INVALID_REQUEST", (field.name, value)
            where, _, words = answer.json()["detail"].partition(": ")
            assert (where.partition("[")[0], words[:9]) == (field.name, "expected "), answer.text


@of_each([route for route in ROUTES if "{" in route.path], "bet.settle", "payout.resolve", "block.get")
def test_a_wrong_id_in_the_path_is_refused(http: httpx.Client, route: Route) -> None:
    for name in [field.name for field in route.fields() if field.where is Where.PATH]:
        for text in NEVER_IN_A_PATH:
            asked = as_http(route, EVERY[route.name], key_of(route))
            asked["url"] = route.path.format(**EVERY[route.name] | {name: text})
            assert refusal(http.request(**asked)) in ("INVALID_REQUEST", "NOT_FOUND"), text


@of_each([route for route in ROUTES if route.has_body], "bet.place", "wallet.transfer", "clock.confirm")
def test_what_is_no_request_is_refused(http: httpx.Client, route: Route) -> None:
    asked = as_http(route, EVERY[route.name], key_of(route))
    del asked["json"]
    headers = asked.pop("headers", {}) | {"Content-Type": "application/json"}
    for what, body in NEVER_A_BODY.items():
        answer = http.request(**asked, content=body, headers=headers)
        assert refusal(answer) == "INVALID_REQUEST", what


@of_each([route for route in ROUTES if route.has_body])
def test_no_field_is_there_twice(http: httpx.Client, route: Route) -> None:
    asked = as_http(route, EVERY[route.name], key_of(route))
    headers = asked.pop("headers", {}) | {"Content-Type": "application/json"}
    body = json.dumps(asked.pop("json"))
    for name in json.loads(body):
        twice = f'{body[:-1]},"{name}":{json.dumps(json.loads(body)[name])}}}'
        answer = http.request(**asked, content=twice.encode(), headers=headers)
        assert refusal(answer) == "INVALID_REQUEST"
        assert answer.json()["detail"] == f"{name}: there twice"


@of_each([route for route in ROUTES if route.has_body], "bet.place", "payout.add")
def test_a_body_of_another_kind_is_415_and_a_huge_one_413(http: httpx.Client, route: Route) -> None:
    asked = as_http(route, EVERY[route.name], key_of(route))
    content = json.dumps(asked.pop("json")).encode() or b"{}"
    key = asked.pop("headers", {})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        answer = http.request(**asked, content=content, headers=key | {"Content-Type": kind})
        assert (answer.status_code, refusal(answer)) == (415, "INVALID_REQUEST")
    huge = content[:-1] + b" " * 300_000 + b"}"
    answer = http.request(**asked, content=huge, headers=key | {"Content-Type": "application/json"})
    assert (answer.status_code, refusal(answer)) == (413, "INVALID_REQUEST")


@of_each([*ROUTES], "wallet.entries", "bet.place", "receipt.get")
def test_a_parameter_that_is_unknown_or_there_twice_is_refused(http: httpx.Client, route: Route) -> None:
    for extra in ("token=abc", "x", "%00=1", "user_id=1&user_id=2", "limit=1&limit=1", "key=k"):
        asked = as_http(route, EVERY[route.name], key_of(route))
        asked.pop("params")
        asked["url"] += f"?{extra}"
        assert refusal(http.request(**asked)) == "INVALID_REQUEST", extra


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
def test_another_method_is_405_and_says_which_are_right(http: httpx.Client, path: str) -> None:
    right = {route.method for route in ROUTES if route.path == path}
    right |= {"HEAD"} if "GET" in right else set()
    url = path.format(**{name: 1 for route in ROUTES for name in EVERY[route.name]})
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - right:
        answer = http.request(method, url)
        if path in ("/v1/blocks/head", "/v1/payouts/open"):  # a block's and a payout's too, of no number
            refusal(answer)
            continue
        assert (answer.status_code, refusal(answer)) == (405, "INVALID_REQUEST"), method
        assert {each.strip() for each in answer.headers["allow"].split(",")} == right


@of_each([route for route in ROUTES if route.needs_key], "wallet.deposit", "limit.set")
def test_nothing_moves_without_one_sound_key(http: httpx.Client, route: Route) -> None:
    asked = as_http(route, EVERY[route.name])
    body = asked["json"]
    for keys in ([], [""], ["x" * 65], ["a", "b"], ["a", "a"], [b"\xc3\xa9"], ["a\tb"]):
        headers = [(IDEMPOTENCY_KEY, key) for key in keys]
        answer = http.request(**asked, headers=headers)
        assert refusal(answer) == "INVALID_REQUEST", keys
        assert answer.json()["detail"].startswith(IDEMPOTENCY_KEY)
    for key in ("other", "", 1, None, "x" * 65):
        answer = http.request(**asked | {"json": body | {"key": key}}, headers={IDEMPOTENCY_KEY: "mine"})
        assert refusal(answer) == "INVALID_REQUEST", key
    for key in ("", 1, None, "x" * 65, "\x00"):
        assert refusal(http.request(**asked | {"json": body | {"key": key}})) == "INVALID_REQUEST", key


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "10.0", "all", "", "9" * 30])
@pytest.mark.parametrize("name", ["wallet.entries", "wallet.bets"])
def test_a_page_has_its_bounds(http: httpx.Client, name: str, limit: str) -> None:
    answer = http.get(BY_NAME[name].path, params={"user_id": "7", "limit": limit})
    assert refusal(answer) == "INVALID_REQUEST"


@pytest.mark.parametrize("cursor", ["0", "2", "999999", str(2**53 - 1)])
def test_a_cursor_that_no_page_gave_is_refused(http: httpx.Client, world: World, cursor: str) -> None:
    """An entry of another account, or none at all: it must not tell which."""
    user_id, _ = world.player()
    answer = http.get("/v1/wallet/bets", params={"user_id": user_id, "before": cursor})
    assert refusal(answer) == "INVALID_REQUEST"


def test_a_token_counts_in_the_header_only_and_once(world: World) -> None:
    token = world.operator
    with httpx.Client(base_url=world.server.http, trust_env=False) as http:
        for headers in (
            [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")],
            [("Authorization", token)],
            [("Authorization", f"Basic {token}")],
            [("Authorization", "Bearer")],
            [("Authorization", "Bearer " + "x" * 10_000)],
            [("Authorization", b"Bearer \xff\xfe")],
            [("Cookie", f"token={token}")],
        ):
            assert refusal(http.get("/v1/circuit", headers=headers)) == "UNAUTHORIZED"
        for query in (f"token={token}", f"access_token={token}"):
            assert refusal(http.get(f"/v1/circuit?{query}")) == "UNAUTHORIZED"


@pytest.mark.parametrize("name", ["wallet.bets", "bet.place"])
def test_parameters_without_number_are_not_looked_at(http: httpx.Client, name: str) -> None:
    """A URL of them took 33 ms of the loop, and whoever has a token may ask a hundred times a second."""
    route = BY_NAME[name]
    for count, detail in (
        (PARAMETERS_MAX, "a: unknown parameter"),
        (PARAMETERS_MAX + 1, f"the query has more than {PARAMETERS_MAX} parameters"),
    ):
        query = "&".join(["a"] * count)
        answer = http.request(route.method, f"{route.path}?{query}", json={} if route.has_body else None)
        assert (refusal(answer), answer.json()["detail"]) == ("INVALID_REQUEST", detail)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/wallet/",
        "/v1//wallet",
        "/v1/bets/",
        "/v1/nothing",
        "/V1/wallet",
    ],
)
def test_no_other_path_is_there(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code in (404, 405), answer.text
    refusal(answer)


def test_who_goes_away_in_the_middle_of_a_body_leaves_nothing(world: World) -> None:
    for _ in range(20):
        with RawSocket(world.server.port, upgrade=False) as client:
            client.send(
                b"POST /v1/deposits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\nIdempotency-Key: k\r\nAuthorization: Bearer "
                + world.operator.encode()
                + b'\r\n\r\n{"user_id":7,'
            )
            client.reset()
    with httpx.Client(base_url=world.server.http, trust_env=False) as http:
        assert http.get("/health/live").status_code == 200
    assert "a request over HTTP failed" not in world.log()
