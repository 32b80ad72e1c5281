"""HTTP `/v1` as its users see it: a bet's life, money, payouts, lists, what is answered again, what is kept.

All against a running server. What is refused to whom is `test_roles_matrix.py`, what is no request at all
`test_v1_hostile.py`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from harness.wire import connect, new_bet_id, now_ms
from tests.asking import BY_NAME, ask, bearing, code_of, new_key
from tests.server_fixture import OPENING, Json, RawSocket, World


@pytest.fixture(scope="module")
def http(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.server.http, trust_env=False) as client:
        yield client
    world.assert_sound()


class Desk:
    """An operator, who asks over HTTP and expects to be answered."""

    def __init__(self, http: httpx.Client, token: str) -> None:
        self.http = http
        self.token = token

    def done(self, name: str, **fields: Any) -> Json:
        answer = ask(self.http, name, fields, token=self.token)
        assert answer.status_code == (201 if BY_NAME[name].moves_money else 200), answer.text
        told = answer.json()
        assert "id" not in told
        assert told["type"] == BY_NAME[name].reply.__struct_config__.tag
        return told  # type: ignore[no-any-return]

    def refused(self, name: str, code: str, **fields: Any) -> Json:
        answer = ask(self.http, name, fields, token=self.token)
        assert code_of(answer) == code, answer.text
        return answer.json()  # type: ignore[no-any-return]


@pytest.fixture
def desk(world: World, http: httpx.Client) -> Desk:
    return Desk(http, world.operator)


@pytest.fixture
def player(world: World, http: httpx.Client) -> tuple[int, Desk]:
    user_id, token = world.player()
    return user_id, Desk(http, token)


Player = tuple[int, Desk]


# -- what each route does


def test_a_bet_lives_over_http(desk: Desk, player: Player) -> None:
    user_id, own = player
    bet_id = new_bet_id()
    placed = own.done("bet.place", bet_id=bet_id, stake=250, game="derby", odds_milli=2000)
    assert (placed["balance"], placed["replayed"]) == (OPENING - 250, False)
    assert own.done("bet.get", bet_id=bet_id)["state"] == "confirmed"
    assert desk.done("bet.settle", bet_id=bet_id, result="won", payout=500)["balance"] == OPENING + 250
    assert desk.done("bet.unsettle", bet_id=bet_id)["state"] == "confirmed"
    assert desk.done("bet.cashout", bet_id=bet_id, stake=100, payout=130)["state"] == "confirmed"
    assert desk.done("bet.settle", bet_id=bet_id, result="lost")["state"] == "lost"
    other = own.done("bet.place", stake=10, bet_id=new_bet_id())["bet_id"]
    assert desk.done("bet.rollback", bet_id=other, user_id=user_id)["state"] == "rolled_back"
    assert own.done("wallet.get")["balance"] == OPENING - 250 + 130


def test_money_goes_in_out_across_and_aside(desk: Desk, player: Player, world: World) -> None:
    user_id, own = player
    friend, _ = world.player()
    assert desk.done("wallet.deposit", user_id=user_id, amount=500)["balance"] == OPENING + 500
    held = desk.done("wallet.withdraw", user_id=user_id, amount=300, for_approval=True)
    assert desk.done("hold.capture", hold_id=held["hold_id"], amount=100)["hold_left"] == 200
    assert desk.done("hold.release", hold_id=held["hold_id"])["hold_state"] == "released"
    held = desk.done("wallet.hold", user_id=user_id, amount=50, expires_at=now_ms() + 60_000)
    legs = [{"user_id": user_id, "amount": -30}, {"user_id": friend, "amount": 30}]
    assert own.done("wallet.transfer", legs=legs).keys() == {"type", "transaction_id", "block", "replayed"}
    shown = own.done("wallet.get")
    assert (shown["user_id"], shown["balance"], shown["held"]) == (user_id, OPENING + 370, 50)
    assert shown == desk.done("wallet.get", user_id=user_id)


def test_a_payout_is_made_collected_paid_and_looked_at(desk: Desk, player: Player, world: World) -> None:
    user_id, own = player
    item = {"user_id": user_id, "amount": 10}
    assert desk.done("payout.make", currency="EUR", items=[item, item])["state"] == "paid"
    payout = desk.done("payout.open", currency="EUR")["payout_id"]
    desk.done("payout.add", payout_id=payout, first=0, items=[item, item | {"user_id": world.blocked_id}])
    desk.done("payout.start", payout_id=payout, items=2, total=20)
    while (told := desk.done("payout.get", payout_id=payout))["state"] != "paid":
        pass  # it is paid in the background, within milliseconds; the test's time limit ends this
    assert [each["number"] for each in told["in_suspense"]] == [1]
    assert desk.done("payout.get", payout_id=payout, suspended_from=2)["in_suspense"] == []
    assert desk.done("payout.resolve", payout_id=payout, number=1, returns=True)["suspended"] == 0
    assert own.done("wallet.get")["balance"] == OPENING + 30


def test_limits_wallets_bonuses_and_free_bets(desk: Desk, player: Player) -> None:
    user_id, own = player
    changed = own.http.request(
        "PUT",
        "/v1/limits",
        headers=bearing(own.token) | {"Idempotency-Key": "l1"},
        json={"kind": "stake", "period": "day", "amount": 5_000},
    )
    assert (changed.status_code, changed.json()["limit"]["amount"]) == (201, 5_000)
    assert [each["kind"] for each in own.done("limit.get")["limits"]] == ["stake"]
    assert desk.done("limit.get", user_id=user_id)["user_id"] == user_id
    further = desk.done("wallet.open", currency="EUR", participant_id=user_id)["user_id"]
    desk.done("bonus.grant", user_id=further, amount=70, spend="first")
    free = desk.done("free_bet.grant", user_id=user_id, amount=40)["free_bet_id"]
    shown = own.done("wallet.list")
    assert {each["user_id"] for each in shown["wallets"]} >= {user_id, further}
    assert [each["free_bet_id"] for each in shown["free_bets"]] == [free]
    assert desk.done("free_bet.revoke", free_bet_id=free)["state"] == "revoked"
    assert desk.done("wallet.status", user_id=further, status="blocked")["type"] == "wallet.moved"
    desk.done("limit.exclude", user_id=user_id, until=now_ms() + 60_000)
    assert own.refused("bet.place", "LIMIT_EXCEEDED", stake=1, bet_id=new_bet_id())["balance"] == OPENING


def test_evidence_and_the_house(desk: Desk, player: Player, http: httpx.Client) -> None:
    _, own = player
    placed = own.done("bet.place", stake=10, bet_id=new_bet_id())
    receipt = own.done("receipt.get", transaction_id=placed["transaction_id"])["receipt"]
    block = own.done("block.get", block=placed["block"])["head"]["block"]
    assert (receipt["block"], block["id"]) == (block, placed["block"])
    assert own.done("head.get", since=1)["head"]["follows"]["id"] == 1
    own.refused("block.get", "NOT_FOUND", block=10**9)
    own.refused("receipt.get", "NOT_FOUND", transaction_id=10**9)
    assert own.done("circuit.get")["state"] == "closed"
    assert desk.done("clock.get")["state"] == desk.done("clock.confirm")["state"] == "sure"
    assert desk.done("book.floor", user_id=4, floor=-(2**62))["floor"] == -(2**62)
    desk.refused("archive.get", "NOT_FOUND")
    desk.refused("archive.begin", "NOT_FOUND", before=1)
    unknown = {"user_id": 10**9}
    for name in ("wallet.get", "wallet.entries", "wallet.bets", "wallet.list", "limit.get"):
        desk.refused(name, "ACCOUNT_NOT_FOUND", **unknown)


# -- the key


def test_the_same_key_is_answered_again_and_moves_nothing(desk: Desk, player: Player, world: World) -> None:
    user_id, _own = player
    key, fields = new_key(), {"user_id": user_id, "amount": 5}
    first = ask(desk.http, "wallet.deposit", fields, token=desk.token, key=key)
    before = world.entries()
    again = ask(desk.http, "wallet.deposit", fields, token=desk.token, key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"replayed": True}
    other = ask(desk.http, "wallet.deposit", fields | {"amount": 6}, token=desk.token, key=key)
    assert (other.status_code, code_of(other)) == (409, "IDEMPOTENCY_CONFLICT")
    in_body = desk.http.post("/v1/deposits", headers=bearing(desk.token), json=fields | {"key": key})
    assert in_body.json() == again.json()
    both = desk.http.post(
        "/v1/deposits",
        headers=bearing(desk.token) | {"Idempotency-Key": key},
        json=fields | {"key": key},
    )
    assert both.json() == again.json()
    assert world.entries() == before


def test_of_one_key_by_both_doors_at_once_one_moves_money(desk: Desk, player: Player, world: World) -> None:
    user_id, own = player
    fields = {"user_id": user_id, "amount": 5}
    key = new_key()

    async def scenario() -> list[bool]:
        async with (
            connect(world.server.ws, desk.token) as wire,
            httpx.AsyncClient(base_url=world.server.http, trust_env=False) as client,
        ):
            headers = bearing(desk.token) | {"Idempotency-Key": key}
            by_http = [client.post("/v1/deposits", headers=headers, json=fields) for _ in range(10)]
            by_socket = wire.ask_all(*[{"type": "wallet.deposit", "key": key} | fields] * 10)
            answers, told = await asyncio.gather(asyncio.gather(*by_http), by_socket)
            return [each.json()["replayed"] for each in answers] + [each["replayed"] for each in told]

    assert sorted(asyncio.run(scenario())) == [False] + [True] * 19
    assert own.done("wallet.get")["balance"] == OPENING + 5


def post_bet(own: Desk, key: str | None = None, **fields: Any) -> httpx.Response:
    headers = bearing(own.token) | ({} if key is None else {"Idempotency-Key": key})
    return own.http.post("/v1/bets", headers=headers, json=fields)


def test_a_key_that_is_a_uuid_is_the_bet(player: Player) -> None:
    _, own = player
    key = new_bet_id()
    first, again = post_bet(own, key, stake=10), post_bet(own, key, stake=10)
    assert (first.status_code, first.json()["bet_id"]) == (201, key)
    assert (again.status_code, again.json()) == (200, first.json() | {"replayed": True})
    assert (post_bet(own, key, stake=11).status_code, post_bet(own, key.upper(), stake=10).status_code) == (
        409,
        400,
    )
    assert post_bet(own, stake=10).status_code == 400
    assert own.done("bet.get", bet_id=key)["stake"] == 10


def test_a_key_is_the_nonce_of_one_bet(player: Player) -> None:
    _, own = player
    one, two = new_bet_id(), new_bet_id()
    assert post_bet(own, "round-17", bet_id=one, stake=10).status_code == 201
    assert post_bet(own, "round-17", bet_id=one, stake=10).status_code == 200
    reused = post_bet(own, "round-17", bet_id=two, stake=10)
    assert (reused.status_code, code_of(reused)) == (409, "NONCE_REUSED")
    # A header that is no nonce either holds nothing, whoever's it is: not even the id of another bet.
    assert post_bet(own, one, bet_id=two, stake=10, nonce="another-one").status_code == 201
    assert post_bet(own, "round-17", bet_id=two, stake=10, nonce="another-one").status_code == 200
    assert own.done("wallet.get")["balance"] == OPENING - 20


def test_a_bet_by_http_and_by_socket_is_one_bet(world: World, player: Player) -> None:
    _user_id, own = player
    bet = {"bet_id": new_bet_id(), "stake": 10, "nonce": "12345678", "sent_at": now_ms()}

    async def over_a_socket() -> Json:
        async with connect(world.server.ws, own.token) as wire:
            return await wire.ask({"type": "bet.place"} | bet)

    by_socket = asyncio.run(over_a_socket())
    by_http = post_bet(own, **bet)
    assert by_http.json() == {name: by_socket[name] for name in by_socket if name != "id"} | {
        "replayed": True
    }
    stale = post_bet(own, **bet | {"bet_id": new_bet_id(), "nonce": "87654321", "sent_at": 1})
    assert (stale.status_code, code_of(stale)) == (422, "STALE_REQUEST")


def test_a_bet_by_http_is_pushed_to_the_sockets_of_its_wallet(world: World, player: Player) -> None:
    _, own = player

    async def scenario() -> Json:
        async with connect(world.server.ws, own.token) as wire:
            placed = await asyncio.to_thread(post_bet, own, stake=10, bet_id=new_bet_id())
            pushed = await wire.push("wallet.entry")
            assert pushed["seq"] == placed.json()["seq"]
            return pushed

    assert asyncio.run(scenario())["amount"] == -10


def test_who_goes_away_loses_the_answer_and_not_the_bet(world: World, player: Player) -> None:
    _user_id, own = player
    bet_id = new_bet_id()
    body = json.dumps({"bet_id": bet_id, "stake": 10}).encode()
    head = f"POST /v1/bets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

    async def scenario() -> None:
        async with connect(world.server.ws, own.token) as follower:
            with RawSocket(world.server.port, upgrade=False) as client:
                client.send(head.encode() + body)
                client.socket.shutdown(socket.SHUT_RDWR)
            assert (await follower.push("wallet.entry"))["bet_id"] == bet_id  # once it is committed

    asyncio.run(scenario())
    assert own.done("bet.get", bet_id=bet_id)["state"] == "confirmed"


# -- what is read


def test_entries_come_page_by_page_oldest_first(desk: Desk, player: Player) -> None:
    user_id, own = player
    for amount in (1, 2, 3, 4):
        desk.done("wallet.deposit", user_id=user_id, amount=amount)
    found, after = [], 0
    while True:
        page = own.done("wallet.entries", after=after, limit=2)
        assert len(page["items"]) <= 2
        found += page["items"]
        if page["next"] is None:
            break
        after = int(page["next"])
    assert [each["amount"] for each in found] == [OPENING, 1, 2, 3, 4]
    assert [each["prev_seq"] for each in found][1:] == [each["seq"] for each in found][:-1]
    assert own.done("wallet.entries", after=found[-1]["seq"])["items"] == []
    assert own.done("wallet.entries") == desk.done("wallet.entries", user_id=user_id)


def test_bets_come_page_by_page_newest_first(desk: Desk, player: Player) -> None:
    _user_id, own = player
    placed = [own.done("bet.place", stake=n, bet_id=new_bet_id())["bet_id"] for n in range(1, 6)]
    desk.done("bet.settle", bet_id=placed[1], result="won", payout=7)
    found: list[Json] = []
    before: dict[str, int] = {}
    while True:
        page = own.done("wallet.bets", limit=2, **before)
        found += page["items"]
        if page["next"] is None:
            break
        before = {"before": int(page["next"])}
    assert [each["bet_id"] for each in found] == placed[::-1]
    assert (found[-2]["state"], found[-2]["payout"]) == ("won", 7)
    won = own.done("wallet.bets", state="won")
    assert [each["bet_id"] for each in won["items"]] == [placed[1]]
    assert own.done("wallet.bets", state="lost")["items"] == []


def test_what_is_known_already_is_not_sent_again(player: Player) -> None:
    _, own = player
    placed = own.done("bet.place", stake=10, bet_id=new_bet_id())
    paths = ["/v1/wallet", "/v1/wallet/entries", "/v1/wallet/bets", f"/v1/blocks/{placed['block']}"]
    for path in paths:
        first = own.http.get(path, headers=bearing(own.token))
        for known in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
            again = own.http.get(path, headers=bearing(own.token) | {"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        changed = own.http.get(path, headers=bearing(own.token) | {"If-None-Match": '"x"'})
        assert (changed.status_code, changed.content) == (200, first.content)
        lasts = "immutable" if "blocks" in path else "no-cache"
        assert lasts in first.headers["cache-control"]
        assert first.headers["vary"] == "Authorization"
    known = own.http.get("/v1/wallet", headers=bearing(own.token)).headers["etag"]
    own.done("bet.place", stake=10, bet_id=new_bet_id())
    again = own.http.get("/v1/wallet", headers=bearing(own.token) | {"If-None-Match": known})
    assert (again.status_code, again.json()["balance"]) == (200, OPENING - 20)


def test_head_is_get_without_its_body(player: Player) -> None:
    _, own = player
    head, got = (own.http.request(each, "/v1/wallet", headers=bearing(own.token)) for each in ("HEAD", "GET"))
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", got.headers["etag"])


def test_a_refused_bet_is_a_problem_that_tells_the_wallet(player: Player) -> None:
    _, own = player
    bet_id = new_bet_id()
    answer = post_bet(own, bet_id=bet_id, stake=OPENING + 1)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told.pop("detail")
    assert told == {
        "type": "urn:solidgreen:problem:insufficient-funds",
        "title": "Unprocessable Content",
        "status": 422,
        "code": "INSUFFICIENT_FUNDS",
        "retryable": False,
        "bet_id": bet_id,
        "replayed": False,
        "balance": OPENING,
        "held": 0,
        "available": OPENING,
    }
    assert post_bet(own, bet_id=bet_id, stake=OPENING + 1).json()["replayed"] is True
