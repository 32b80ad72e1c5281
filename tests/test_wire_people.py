"""Register, log in, refresh, log out over HTTP, and what becomes of the sockets; with real restarts."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from harness.process import Server
from harness.wire import SocketClosed, bet, connect
from tests.server_fixture import World, mint, running
from ws.people.routes import people_routes
from ws.people.staff_routes import staff_routes
from ws.v1.endpoints import v1_routes

HORSE = "correct horse"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(Path(tmp_path_factory.mktemp("people")), players=8) as this:
        yield this
        this.assert_sound()


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.http, trust_env=False, timeout=10)


@pytest.fixture
def http(world: World) -> Iterator[httpx.Client]:
    with client(world.server) as opened:
        yield opened


def register(http: httpx.Client, name: str, **more: object) -> Json:
    answer = http.post("/v1/auth/register", json={"username": name, "password": HORSE, **more})
    assert answer.status_code == 201, answer.text
    told: Json = answer.json()
    return told


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()["code"]


def test_who_registers_bets_with_his_token_once_he_has_money(world: World, http: httpx.Client) -> None:
    told = register(http, "Alice")
    names = {
        "user_id",
        "role",
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
    }
    assert told.keys() == names
    assert (told["role"], told["token_type"], told["expires_in"]) == ("player", "Bearer", 900)

    async def scenario() -> None:
        async with connect(world.server.ws, told["access_token"]) as alice:
            assert (alice.welcome["user_id"], alice.welcome["balance"]) == (told["user_id"], 0)
            assert (await alice.ask(bet(5)))["code"] == "INSUFFICIENT_FUNDS"
            async with connect(world.server.ws, world.operator) as operator:
                deposit = {
                    "type": "wallet.deposit",
                    "user_id": told["user_id"],
                    "amount": 100,
                    "key": "first",
                }
                assert (await operator.ask(deposit))["type"] != "error"
            assert (await alice.ask(bet(5)))["type"] == "bet.confirmed"

    asyncio.run(scenario())
    assert code_of(http.post("/v1/auth/register", json={"username": "ALICE", "password": HORSE})) == (
        409,
        "IDEMPOTENCY_CONFLICT",
    )


def test_a_log_in_is_refreshed_until_a_token_is_used_twice(world: World, http: httpx.Client) -> None:
    register(http, "bella")
    told = http.post("/v1/auth/login", json={"username": "Bella", "password": HORSE}).json()

    def refresh(token: str) -> httpx.Response:
        return http.post("/v1/auth/refresh", json={"refresh_token": token})

    async def scenario() -> None:
        async with connect(world.server.ws, told["access_token"]) as socket:
            second = await asyncio.to_thread(refresh, told["refresh_token"])
            again = await asyncio.to_thread(refresh, told["refresh_token"])
            assert second.json()["refresh_token"] == again.json()["refresh_token"]
            await asyncio.to_thread(refresh, second.json()["refresh_token"])
            at_s = time.monotonic()
            assert code_of(await asyncio.to_thread(refresh, told["refresh_token"])) == (401, "UNAUTHORIZED")
            assert await socket.close_code() == 4401
            assert time.monotonic() - at_s < 1

    asyncio.run(scenario())
    assert code_of(refresh("sgr_nonsense")) == (401, "UNAUTHORIZED")
    assert "was used twice" in world.log()


@pytest.mark.parametrize("in_flight", [0, 200])
def test_a_log_out_closes_the_sockets_of_that_log_in_and_loses_no_answer(
    world: World, http: httpx.Client, in_flight: int
) -> None:
    name = f"carol{in_flight}"
    first = register(http, name)
    other = http.post("/v1/auth/login", json={"username": name, "password": HORSE}).json()
    user_id = first["user_id"]

    async def scenario() -> None:
        async with (
            connect(world.server.ws, world.operator) as operator,
            connect(world.server.ws, first["access_token"]) as here,
            connect(world.server.ws, first["access_token"], by_message=True) as here_too,
            connect(world.server.ws, other["access_token"]) as elsewhere,
        ):
            deposit = {"type": "wallet.deposit", "user_id": user_id, "amount": 10**6, "key": name}
            assert (await operator.ask(deposit))["type"] != "error"
            bets = await here.send(*(bet(1) for _ in range(in_flight))) if in_flight else []
            at_s = time.monotonic()
            gone = await asyncio.to_thread(
                http.post, "/v1/auth/logout", headers=bearer(first["access_token"])
            )
            assert gone.status_code == 204
            assert await here.close_code() == 4401
            assert await here_too.close_code() == 4401
            assert time.monotonic() - at_s < 1
            told = await asyncio.gather(*(each.answer() for each in bets), return_exceptions=True)
            confirmed = [each for each in told if isinstance(each, dict) and each["type"] == "bet.confirmed"]
            rows = world.query("SELECT count(*) FROM bets WHERE user_id = ?", user_id)
            assert rows == [(len(confirmed),)], "what was committed was told"
            assert len(confirmed) + sum(isinstance(each, SocketClosed) for each in told) == in_flight
            assert (await elsewhere.ask({"type": "ping"}))["type"] == "pong"
            with pytest.raises(SocketClosed) as refused:
                async with connect(world.server.ws, first["access_token"]):
                    pass
            assert refused.value.code == 4401

    asyncio.run(scenario())
    again = http.post("/v1/auth/logout", headers=bearer(first["access_token"]))
    assert code_of(again) == (401, "UNAUTHORIZED")
    assert again.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    refresh = http.post("/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert code_of(refresh) == (401, "UNAUTHORIZED")


def test_who_guesses_is_locked_out_for_a_known_and_for_an_unknown_name(http: httpx.Client) -> None:
    register(http, "dora")
    answers = {}
    for name in ("dora", "nobody"):
        guess = {"username": name, "password": "wrong horse"}
        answers[name] = [http.post("/v1/auth/login", json=guess) for _ in range(6)]
    for told in answers.values():
        assert [code_of(each) for each in told[:5]] == [(401, "UNAUTHORIZED")] * 5
        assert code_of(told[5]) == (429, "RATE_LIMITED")
        assert 890 <= int(told[5].headers["retry-after"]) <= 900
    assert answers["dora"][0].json() == answers["nobody"][0].json()
    right = http.post("/v1/auth/login", json={"username": "dora", "password": HORSE})
    assert code_of(right) == (429, "RATE_LIMITED")


def test_a_browser_keeps_its_refresh_token_in_a_cookie(world: World, http: httpx.Client) -> None:
    answer = http.post("/v1/auth/register", json={"username": "emma", "password": HORSE, "cookie": True})
    assert "refresh_token" not in answer.json()
    given = answer.headers["set-cookie"].lower()
    assert given.startswith("sg_refresh=sgr_")
    for word in ("httponly", "samesite=strict", "path=/v1/auth", "max-age=2592000"):
        assert word in given
    assert "secure" not in given, "by http, to this machine"
    elsewhere = http.post(
        "/v1/auth/login",
        json={"username": "emma", "password": HORSE, "cookie": True},
        headers={"Host": "wallet.example"},
    )
    assert "secure" in elsewhere.headers["set-cookie"].lower()
    for host, is_secure in {
        "localhost:1": False,
        "[::1]:80": False,
        "127.0.0.1.evil.example": True,
        "[": True,
    }.items():
        told = http.post(
            "/v1/auth/login",
            json={"username": "emma", "password": HORSE, "cookie": True},
            headers={"Host": host},
        )
        assert ("secure" in told.headers["set-cookie"].lower()) == is_secure, host

    http.cookies = httpx.Cookies()
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    forced = http.post("/v1/auth/refresh", headers=cookie)
    assert code_of(forced) == (415, "INVALID_REQUEST"), "as another page could send it, without asking"
    form = http.post("/v1/auth/refresh", headers=cookie | {"Content-Type": "text/plain"}, content="{}")
    assert code_of(form) == (415, "INVALID_REQUEST")
    script = http.post("/v1/auth/refresh", headers=cookie, json={"refresh_token": ""})
    assert code_of(script) == (401, "UNAUTHORIZED"), "or it would be told what the cookie hides"
    tossed = {"Cookie": f"{cookie['Cookie']}; sg_refresh=sgr_of_another"}
    for each in (tossed, {"Cookie": "; ".join(reversed(tossed["Cookie"].split("; ")))}):
        two = http.post("/v1/auth/refresh", headers=each, json={})
        assert code_of(two) == (401, "UNAUTHORIZED"), "one of them was set by another host of the domain"
    refreshed = http.post("/v1/auth/refresh", headers=cookie, json={})
    assert "refresh_token" not in refreshed.json()
    assert refreshed.headers["set-cookie"].partition(";")[0] != cookie["Cookie"]
    by_now = http.post("/v1/auth/login", json={"username": "emma", "password": HORSE, "cookie": True})
    http.cookies = httpx.Cookies()
    cookie = {"Cookie": by_now.headers["set-cookie"].partition(";")[0]}
    gone = http.post("/v1/auth/logout", headers=cookie | bearer(refreshed.json()["access_token"]), json={})
    assert gone.status_code == 204
    assert "max-age=0" in gone.headers["set-cookie"].lower()
    http.cookies = httpx.Cookies()
    copied = http.post("/v1/auth/refresh", headers=cookie, json={})
    assert code_of(copied) == (401, "UNAUTHORIZED"), "what the browser has forgotten is good for nobody"


def test_a_service_account_acts_until_it_is_revoked(world: World, http: httpx.Client) -> None:
    admin = bearer(mint(1, "admin"))
    made = http.post(
        "/v1/admin/keys", json={"name": "partner", "role": "operator", "scopes": ["bets"]}, headers=admin
    )
    assert made.status_code == 201
    told = http.post("/v1/auth/token", json={"key": made.json()["key"]}).json()
    assert told["role"] == "operator"
    assert told["scope"] == "bets"
    assert "refresh_token" not in told
    (listed,) = http.get("/v1/admin/keys", headers=admin).json()["accounts"]
    assert (listed["name"], listed["scopes"], listed["keys"][0]["good"]) == ("partner", ["bets"], True)
    assert made.json()["key"] not in json.dumps(listed)

    async def scenario() -> None:
        async with connect(world.server.ws, told["access_token"]) as socket:
            assert socket.welcome["user_id"] == told["user_id"] == listed["user_id"]
            settle = {"type": "bet.settle", "key": "partner-1", "bet_id": bet(1)["bet_id"], "result": "lost"}
            assert (await socket.ask(settle))["code"] == "NOT_FOUND"
            at_s = time.monotonic()
            gone = await asyncio.to_thread(http.delete, "/v1/admin/keys/partner", headers=admin)
            assert gone.status_code == 204
            assert await socket.close_code() == 4401
            assert time.monotonic() - at_s < 1

    asyncio.run(scenario())
    assert code_of(http.post("/v1/auth/token", json={"key": made.json()["key"]})) == (401, "UNAUTHORIZED")
    assert code_of(http.delete("/v1/admin/keys/partner", headers=admin)) == (404, "NOT_FOUND")
    asked = {"actor": told["user_id"]}
    (deed,) = http.get("/v1/audit-log", params=asked, headers=bearer(world.auditor)).json()["items"]
    assert (deed["name"], deed["action"], deed["outcome"]) == ("partner", "bet.settle", "NOT_FOUND")


def test_only_admins_without_bounds_say_who_may_act(http: httpx.Client) -> None:
    body = {"username": "mallory", "password": HORSE, "role": "admin"}
    for role in ("player", "operator", "auditor"):
        for method, path in (
            ("GET", "staff"),
            ("POST", "staff"),
            ("GET", "keys"),
            ("DELETE", "keys/partner"),
        ):
            asked = http.request(
                method,
                f"/v1/admin/{path}",
                headers=bearer(mint(1, role)),
                json=body if method == "POST" else None,
            )
            assert code_of(asked) == (403, "FORBIDDEN"), (role, method, path)
    bounded = bearer(mint(1, "admin", scope="read"))
    assert code_of(http.post("/v1/admin/staff", headers=bounded, json=body)) == (403, "FORBIDDEN")
    assert code_of(http.get("/v1/admin/staff")) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/admin/keys", {"name": "backdoor", "role": "admin"}),
        ("/v1/deposits", {"user_id": 7, "amount": 5, "key": "held"}),
        ("/v1/clock/confirm", {}),
    ],
)
@pytest.mark.parametrize("ends", ["removed", "logged-out"])
def test_who_was_let_out_while_he_sends_does_nothing_more(
    world: World, http: httpx.Client, path: str, body: Json, ends: str
) -> None:
    """His token is looked at with the head of a request, and the body may take ten seconds."""
    admin = bearer(mint(1, "admin"))
    name = f"mallory{path.replace('/', '-')}-{ends}"
    made = http.post(
        "/v1/admin/staff", headers=admin, json={"username": name, "password": HORSE, "role": "admin"}
    )
    assert made.status_code == 201
    told = http.post("/v1/auth/login", json={"username": name, "password": HORSE}).json()
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {told['access_token']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    before = world.entries()
    with socket.create_connection(("127.0.0.1", world.server.port), timeout=10) as held:
        held.sendall(head.encode() + content[:-1])
        # Behind it on the same loop: by its answer the head has been looked at.
        assert http.get("/v1/clock", headers=bearer(told["access_token"])).status_code == 200
        if ends == "removed":
            gone = http.delete(f"/v1/admin/staff/{name}", headers=admin)
        else:
            gone = http.post("/v1/auth/logout", headers=bearer(told["access_token"]), json={})
        assert gone.status_code == 204
        held.sendall(content[-1:])
        answer = held.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert world.entries() == before
    assert "backdoor" not in http.get("/v1/admin/keys", headers=admin).text


HOSTILE: list[tuple[str, bytes]] = [
    ("login", b""),
    ("login", b"null"),
    ("login", b"[]"),
    ("login", b"{"),
    ("login", b'{"username":"x"}'),
    ("login", b'{"username":1,"password":"y"}'),
    ("login", b'{"username":"x","password":null}'),
    ("login", b'{"username":"x","password":"y","admin":true}'),
    ("login", b'{"username":"x","username":"alice","password":"y"}'),
    ("login", b'{"username":"' + b"x" * 257 + b'","password":"y"}'),
    ("login", b'{"username":"x","password":"' + b"y" * 2000 + b'"}'),
    ("login", b'{"username":"\xff","password":"y"}'),
    ("login", '{"username":"x","password":"y"}'.encode("utf-16")),
    ("login", b"[" * 8000),
    ("login", b'{"username":"x","password":"y","cookie":1}'),
    ("register", b'{"username":"x","password":"correct horse"}'),
    ("register", b'{"username":"has space","password":"correct horse"}'),
    ("register", b'{"username":"hostile","password":"short"}'),
    ("register", b'{"username":"hostile","password":"correct\\u0000horse"}'),
    ("register", b'{"username":"hostile","password":"correct horse","currency":"eur"}'),
    ("register", b'{"username":"hostile","password":"correct horse","role":"admin"}'),
    ("register", b'{"username":"hostile","password":"correct horse","user_id":1}'),
    ("refresh", b'{"refresh_token":1}'),
    ("refresh", b'{"refresh_token":"' + b"x" * 300 + b'"}'),
    ("token", b'{"key":["sg_"]}'),
    ("token", b"{}"),
]


@pytest.mark.parametrize(("route", "body"), HOSTILE)
def test_what_is_no_request_is_a_problem_and_changes_nothing(
    world: World, http: httpx.Client, route: str, body: bytes
) -> None:
    before = world.query("SELECT (SELECT count(*) FROM credentials), (SELECT count(*) FROM transactions)")
    answer = http.post(f"/v1/auth/{route}", content=body, headers={"Content-Type": "application/json"})
    assert code_of(answer) == (400, "INVALID_REQUEST"), answer.text
    assert (
        world.query("SELECT (SELECT count(*) FROM credentials), (SELECT count(*) FROM transactions)")
        == before
    )


def test_there_is_one_way_to_say_that_a_body_cannot_be_read(http: httpx.Client) -> None:
    """At the door to log-ins as at any other: `tests/test_v1_hostile.py`."""
    as_json, as_text = {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}
    admin = bearer(mint(1, "admin"))
    media_type = 415, "Content-Type: expected application/json"
    for content, headers, said in (
        (b"{}", as_text, media_type),
        (b"{}", {}, media_type),
        (b"{", as_json, (400, "not JSON: Input data was truncated")),
        (b"[]", as_json, (400, "Expected `object`, got `array`")),
    ):
        for answer in (
            http.post("/v1/auth/login", content=content, headers=headers),
            http.post("/v1/admin/keys", content=content, headers=headers | admin),
            http.put("/v1/books/1/floor", content=content, headers=headers | admin),
        ):
            assert (answer.status_code, answer.json()["detail"]) == said
    for content, said in (
        (b'{"username":"x","password":"y","username":"z"}', (400, "username: there twice")),
        (b'{"username":"x","password":"' + b"y" * 8192 + b'"}', (413, "a body may have 8192 bytes")),
    ):
        answer = http.post("/v1/auth/login", content=content, headers=as_json)
        assert (answer.status_code, answer.json()["detail"]) == said


EACH_ROUTE = [
    (method, re.sub(r"{\w+}", "1", route.path))
    for route in [*people_routes(Mock()), *staff_routes(Mock(), Mock()), *v1_routes(Mock())]
    for method in sorted((route.methods or set()) - {"HEAD"})
]
LETS_IN: dict[str, Json] = {
    "/v1/auth/login": {"username": "stranger", "password": HORSE},
    "/v1/auth/refresh": {"refresh_token": "sgr_nonsense"},
    "/v1/auth/token": {"key": "sg_nonsense"},
}
INVALID = 'Bearer error="invalid_token", error_description="the token %s"'
CHALLENGES = {
    "none": ([], "Bearer"),
    "of another kind": ([("Authorization", "Basic YTpi")], "Bearer"),
    "two": ([("Authorization", "Bearer a"), ("Authorization", "Bearer b")], "Bearer"),
    "nonsense": ([("Authorization", "Bearer nonsense")], INVALID % "is not valid"),
    "expired": ([("Authorization", f"Bearer {mint(1, 'admin', life_s=-60)}")], INVALID % "has expired"),
}


@pytest.mark.parametrize("token", CHALLENGES)
def test_every_route_says_in_the_same_words_how_to_be_let_in(http: httpx.Client, token: str) -> None:
    headers, challenge = CHALLENGES[token]
    assert len(EACH_ROUTE) > 50
    told = set()
    for method, path in EACH_ROUTE:
        if path == "/v1/auth/register":  # nobody is turned away for who he is
            continue
        body = {} if method in ("GET", "DELETE") else {"json": LETS_IN.get(path, {})}
        answer = http.request(method, path, headers=headers, **body)
        assert code_of(answer) == (401, "UNAUTHORIZED"), (method, path)
        # Who comes to be let in shows something else than a token.
        wanted = "Bearer" if path in LETS_IN else challenge
        assert answer.headers["www-authenticate"] == wanted, (method, path)
        if path not in LETS_IN:
            told.add(answer.text)
    assert len(told) == 1


@pytest.mark.parametrize("name", [r"\ud800\ud800\ud800", r"\u0000abc", "ab", "a b", "🎰🎰🎰"])
def test_a_name_that_cannot_be_is_nobodys(http: httpx.Client, name: str) -> None:
    body = f'{{"username":"{name}","password":"wrong horse"}}'.encode()
    answer = http.post("/v1/auth/login", content=body, headers={"Content-Type": "application/json"})
    assert code_of(answer)[0] in (400, 401), answer.text


def test_a_currency_without_books_is_refused(http: httpx.Client) -> None:
    asked = {"username": "frida", "password": HORSE, "currency": "USD"}
    assert code_of(http.post("/v1/auth/register", json=asked)) == (422, "CURRENCY_MISMATCH")
    assert register(http, "frida", currency="EUR")["role"] == "player"


@pytest.mark.long
def test_a_restart_keeps_who_is_logged_in_and_who_is_not(tmp_path: Path) -> None:
    with running(tmp_path, players=1) as world:
        with client(world.server) as http:
            stays, leaves = register(http, "stays"), register(http, "leaves")
            assert http.post("/v1/auth/logout", headers=bearer(leaves["access_token"])).status_code == 204
        world.server.kill()
        with Server(world.server.db) as restarted, client(restarted) as http:

            async def scenario() -> None:
                async with connect(restarted.ws, stays["access_token"]) as socket:
                    assert socket.welcome["user_id"] == stays["user_id"]
                with pytest.raises(SocketClosed) as refused:
                    async with connect(restarted.ws, leaves["access_token"]):
                        pass
                assert refused.value.code == 4401

            asyncio.run(scenario())
            body = {"refresh_token": leaves["refresh_token"]}
            assert code_of(http.post("/v1/auth/refresh", json=body)) == (401, "UNAUTHORIZED")
            body = {"refresh_token": stays["refresh_token"]}
            assert http.post("/v1/auth/refresh", json=body).status_code == 200
            assert (
                http.post("/v1/auth/login", json={"username": "leaves", "password": HORSE}).status_code == 200
            )


@pytest.mark.long
def test_registration_is_switched_off_by_a_setting(tmp_path: Path) -> None:
    with running(tmp_path, players=1) as world:
        world.server.stop()
        with Server(world.server.db, settings={"registration": "off"}) as closed, client(closed) as http:
            asked = http.post("/v1/auth/register", json={"username": "alice", "password": HORSE})
            assert code_of(asked) == (403, "FORBIDDEN")


@pytest.mark.long
def test_who_is_killed_between_wallet_and_password_finishes_with_the_next_try(tmp_path: Path) -> None:
    with running(tmp_path, players=1) as world:
        world.server.stop()
        asked = {"username": "alice", "password": HORSE}
        with (
            Server(world.server.db, module="tests.broken.dies_behind_the_wallet") as dies,
            client(dies) as http,
        ):
            with pytest.raises(httpx.TransportError):
                http.post("/v1/auth/register", json=asked)
            assert dies.process is not None
            assert dies.process.wait(10) == -9
        wallets = "SELECT count(*) FROM transactions WHERE kind = 'WALLET'"
        assert world.query(wallets) == [(1,)]
        with Server(world.server.db) as again, client(again) as http:
            told = http.post("/v1/auth/register", json=asked)
            assert told.status_code == 201
            assert world.query(wallets) == [(1,)], "and no second one"
            assert world.query("SELECT user_id FROM credentials") == [(told.json()["user_id"],)]


@pytest.mark.long
def test_a_thousand_who_refresh_one_token_over_fifty_connections_get_one_successor(
    world: World, http: httpx.Client
) -> None:
    token = register(http, "greta")["refresh_token"]

    async def twenty() -> list[httpx.Response]:
        body = {"refresh_token": token}
        async with httpx.AsyncClient(
            base_url=world.server.http, trust_env=False, verify=False, timeout=60
        ) as one:
            return [await one.post("/v1/auth/refresh", json=body) for _ in range(20)]

    async def scenario() -> list[httpx.Response]:
        return [each for told in await asyncio.gather(*(twenty() for _ in range(50))) for each in told]

    answers = asyncio.run(scenario())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    tokens = """
        SELECT count(*), sum(used_at IS NULL) FROM refresh_tokens
        WHERE login_id = (SELECT max(id) FROM logins WHERE user_id =
                          (SELECT user_id FROM credentials WHERE username = 'greta'))
    """
    assert world.query(tokens) == [(2, 1)]
