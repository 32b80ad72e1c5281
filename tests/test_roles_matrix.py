"""Every message and every route, asked by every role and by nobody, for the asker's own wallet and for
another player's, on a running server: what comes of it is `docs/roles.md`.

Each cell is held against the table that the server asks (`ws/asking/roles.py`), and what matters most against
a list written by hand, so that a table that is wrong is noticed. What is forbidden leaves the file as it was.

To write the page anew: `python tests/test_roles_matrix.py`
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import Mock

import httpx
import pytest

from engine.people import SCOPES
from harness.wire import connect, new_bet_id, now_ms
from tests.asking import BY_NAME, ask, bearing, code_of, new_key
from tests.server_fixture import Json, RawSocket, World, mint, running
from ws.asking.roles import MANAGE, RULES
from ws.people.staff_routes import staff_routes
from ws.v1.routes import ONLY_ON_THE_SOCKET
from ws.wire.messages import TYPES

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "roles.md"
ROLES: Final = ("player", "operator", "auditor", "admin")
REFUSALS: Final = {"FORBIDDEN", "UNAUTHORIZED"}
NAMES: Final = [name for name in RULES if name not in ("auth", MANAGE)]
"""Not `auth`, which is how somebody says who he is."""

BY_HAND: Final = {
    # player, operator, auditor, admin
    "bet.place": ("own", "any", "–", "any"),
    "bet.get": ("own", "any", "any", "any"),
    "bet.settle": ("–", "any", "–", "any"),
    "bet.unsettle": ("–", "any", "–", "any"),
    "bet.rollback": ("–", "any", "–", "any"),
    "bet.cashout": ("–", "any", "–", "any"),
    "audit_log.get": ("–", "–", "any", "any"),
    "wallet.get": ("own", "any", "any", "any"),
    "wallet.entries": ("own", "any", "any", "any"),
    "wallet.bets": ("own", "any", "any", "any"),
    "wallet.list": ("own", "any", "any", "any"),
    "receipt.get": ("own", "any", "any", "any"),
    "wallet.deposit": ("–", "any", "–", "any"),
    "wallet.withdraw": ("–", "any", "–", "any"),
    "wallet.transfer": ("own", "any", "–", "any"),
    "wallet.hold": ("–", "any", "–", "any"),
    "hold.capture": ("–", "any", "–", "any"),
    "hold.release": ("–", "any", "–", "any"),
    "payout.make": ("–", "any", "–", "any"),
    "payout.open": ("–", "any", "–", "any"),
    "payout.add": ("–", "any", "–", "any"),
    "payout.start": ("–", "any", "–", "any"),
    "payout.resolve": ("–", "any", "–", "any"),
    "payout.get": ("–", "any", "any", "any"),
    "limit.set": ("own", "any", "–", "any"),
    "limit.exclude": ("own", "any", "–", "any"),
    "bonus.grant": ("–", "any", "–", "any"),
    "free_bet.grant": ("–", "any", "–", "any"),
    "book.floor": ("–", "any", "–", "any"),
    "wallet.open": ("–", "any", "–", "any"),
    "wallet.status": ("–", "any", "–", "any"),
    "clock.confirm": ("–", "any", "–", "any"),
    "archive.begin": ("–", "any", "–", "any"),
    "figures.follow": ("–", "any", "any", "any"),
    "check.begin": ("–", "any", "any", "any"),
    "check.get": ("–", "any", "any", "any"),
    "player.find": ("–", "any", "any", "any"),
    "payout.list": ("–", "any", "any", "any"),
    "bet.trail": ("own", "any", "any", "any"),
    "keys.get": ("any", "any", "any", "any"),
}


class Holder(NamedTuple):
    """A player, and what the server keeps of his."""

    user_id: int
    token: str
    bet_id: str
    transaction_id: int
    hold_id: int
    free_bet_id: int


class Table(NamedTuple):
    """A server, the player who asks, another one, and a payout that waits."""

    world: World
    http: httpx.Client
    player: Holder
    other: Holder
    payout_id: int

    def token(self, role: str) -> str:
        return self.player.token if role == "player" else mint(1, role)

    def fields(self, name: str, role: str, *, own: bool) -> dict[str, Any]:
        """A sound request, about the asking player's things or another's. A player does not name himself."""
        about, peer = (self.player, self.other) if own else (self.other, self.player)
        whose = {} if own and role == "player" else {"user_id": about.user_id}
        named = {"user_id": about.user_id}
        bet = {"stake": 1, "bet_id": new_bet_id(), "nonce": new_bet_id(), "sent_at": now_ms()}
        items = [{"user_id": about.user_id, "amount": 1}]
        legs = [{"user_id": about.user_id, "amount": -1}, {"user_id": peer.user_id, "amount": 1}]
        known: dict[str, dict[str, Any]] = {
            "bet.place": whose | bet,
            "bet.get": {"bet_id": about.bet_id},
            "bet.settle": {"bet_id": about.bet_id, "result": "lost"},
            "bet.unsettle": {"bet_id": about.bet_id},
            "bet.rollback": {"bet_id": about.bet_id},
            "bet.cashout": {"bet_id": about.bet_id, "stake": 1, "payout": 1},
            "resume": {"from_seq": 0},
            "wallet.get": whose,
            "wallet.entries": whose,
            "wallet.bets": whose,
            "wallet.list": whose,
            "receipt.get": {"transaction_id": about.transaction_id},
            "wallet.deposit": named | {"amount": 1},
            "wallet.withdraw": named | {"amount": 1},
            "wallet.transfer": {"legs": legs},
            "wallet.hold": named | {"amount": 1},
            "hold.capture": {"hold_id": about.hold_id},
            "hold.release": {"hold_id": about.hold_id},
            "payout.make": {"currency": "EUR", "items": items},
            "payout.open": {"currency": "EUR"},
            "payout.add": {"payout_id": self.payout_id, "first": 0, "items": items},
            "payout.start": {"payout_id": self.payout_id, "items": 1, "total": 1},
            "payout.resolve": {"payout_id": self.payout_id, "number": 0},
            "payout.get": {"payout_id": self.payout_id},
            "payout.follow": {"payout_id": self.payout_id},
            "limit.get": whose,
            "limit.set": whose | {"kind": "stake", "period": "day", "amount": 1_000_000},
            "limit.exclude": whose | {"until": now_ms() + 60_000},
            "wallet.open": {"currency": "EUR"},
            "wallet.status": named | {"status": "open"},
            "bonus.grant": named | {"amount": 1, "spend": "last"},
            "free_bet.grant": named | {"amount": 1},
            "free_bet.revoke": {"free_bet_id": about.free_bet_id},
            "book.floor": {"user_id": 1, "floor": -(2**62)},
            "archive.begin": {"before": 1},
            "block.get": {"block": 1},
            "bet.trail": {"bet_id": about.bet_id},
            "check.begin": {"check": "reconcile"},
            "check.get": {"check": "reconcile"},
            "player.find": {"text": str(about.user_id)},
        }
        return known.get(name, {})

    def ledger(self) -> list[tuple[Any, ...]]:
        """All that a command can leave behind, in a few numbers; once the server has paid what is started."""
        until_s = time.monotonic() + 10
        while self.world.query("SELECT 1 FROM payouts WHERE state = 'paying'"):
            assert time.monotonic() < until_s, "a payout does not end"
        return self.world.query(
            """
            SELECT (SELECT count(*) FROM transactions), (SELECT count(*) FROM transaction_ledger),
                   (SELECT count(*) FROM refusals), count(*), sum(version), sum(balance), sum(held)
            FROM users WHERE kind = 'player'
            """
        )


@contextlib.contextmanager
def laid(folder: Path) -> Iterator[Table]:
    with (
        running(folder, players=2) as world,
        httpx.Client(base_url=world.server.http, trust_env=False) as http,
    ):

        def done(name: str, **fields: Any) -> Json:
            answer = ask(http, name, fields, token=world.operator)
            assert answer.status_code == 201, answer.text
            return answer.json()  # type: ignore[no-any-return]

        def holder() -> Holder:
            user_id, token = world.player()
            bet = done("bet.place", user_id=user_id, bet_id=new_bet_id(), stake=10)
            hold = done("wallet.hold", user_id=user_id, amount=5)
            free = done("free_bet.grant", user_id=user_id, amount=5)
            return Holder(
                user_id, token, bet["bet_id"], bet["transaction_id"], hold["hold_id"], free["free_bet_id"]
            )

        yield Table(world, http, holder(), holder(), done("payout.open", currency="EUR")["payout_id"])
        world.assert_sound()


class Cell(NamedTuple):
    """What one door says to one role about one request: `OK` or a code, for his own and for another's."""

    own: str
    other: str

    def __str__(self) -> str:
        """`–`, `own` or `any`."""
        if self.own in REFUSALS:
            return "–"
        # That there is such a bet or transaction of somebody else's is not told either.
        is_hidden = self.other == "NOT_FOUND" and self.own != "NOT_FOUND"
        return "own" if self.other in REFUSALS or is_hidden else "any"


Cells = Mapping[tuple[str, str, str], Cell]
"""By name, door (`http` or `ws`) and role."""


def walk(table: Table) -> Cells:
    """Each cell; and what is refused moves nothing."""
    return _over_http(table) | asyncio.run(_over_sockets(table))


def _over_http(table: Table) -> dict[tuple[str, str, str], Cell]:
    cells = {}
    for name in NAMES:
        if name not in BY_NAME:
            continue
        for role in ROLES:
            told = []
            for own in (True, False):
                before = table.ledger()
                fields = table.fields(name, role, own=own)
                answer = ask(table.http, name, fields, token=table.token(role))
                _check(table, name, code_of(answer), before)
                assert (answer.status_code == 403) == (code_of(answer) == "FORBIDDEN")
                told.append(code_of(answer))
            cells[name, "http", role] = Cell(*told)
    return cells


async def _over_sockets(table: Table) -> dict[tuple[str, str, str], Cell]:
    cells = {}
    for role in ROLES:
        async with connect(table.world.server.ws, table.token(role)) as wire:
            for name in NAMES:
                if name not in TYPES:
                    continue
                told = []
                for own in (True, False):
                    before = table.ledger()
                    key = {"key": new_key()} if name in BY_NAME and BY_NAME[name].needs_key else {}
                    request = {"type": name} | key | table.fields(name, role, own=own)
                    answer = await wire.ask(request)
                    code = (
                        str(answer.get("code", "OK")) if answer["type"] in ("error", "bet.rejected") else "OK"
                    )
                    _check(table, name, code, before)
                    told.append(code)
                cells[name, "ws", role] = Cell(*told)
    return cells


def _check(table: Table, name: str, code: str, before: list[tuple[Any, ...]]) -> None:
    if name not in ("payout.add", "payout.start"):  # which fit a payout once
        assert code not in ("INVALID_REQUEST", "INTERNAL"), (name, code, "the matrix asks soundly")
    if code in REFUSALS:
        assert table.ledger() == before, name


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with laid(tmp_path_factory.mktemp("roles")) as one:
        yield one


@pytest.fixture(scope="module")
def cells(table: Table) -> Cells:
    return walk(table)


def test_every_message_and_every_route_has_a_rule() -> None:
    assert {*TYPES} | {*BY_NAME} | {MANAGE} == {*RULES}
    assert {*TYPES} - {*BY_NAME} == ONLY_ON_THE_SOCKET


@pytest.mark.parametrize("name", NAMES)
def test_each_role_may_what_the_table_says_by_both_doors(cells: Cells, name: str) -> None:
    said = {role: reach.value for role, reach in RULES[name].reach.items()}
    doors = [door for door, known in (("http", BY_NAME), ("ws", TYPES)) if name in known]
    assert doors
    for door in doors:
        for role in ROLES:
            found = str(cells[name, door, role])
            # Without anything of a player's in the request, his own and another's are the same.
            assert found == said.get(role, "–") or (name in OF_THE_SOCKET and found == "any"), (door, role)


OF_THE_SOCKET: Final = {"balance.get", "resume"}
"""About the socket's own wallet: another's cannot be named."""


@pytest.mark.parametrize("name", BY_HAND)
def test_what_matters_most_is_as_it_was_written_by_hand(cells: Cells, name: str) -> None:
    for door in ("http", "ws"):
        if (name, door, "player") in cells:
            assert tuple(str(cells[name, door, role]) for role in ROLES) == BY_HAND[name], door


def test_all_that_moves_money_is_in_the_list_by_hand_or_harmless() -> None:
    assert {route.name for route in BY_NAME.values() if route.moves_money} - BY_HAND.keys() == {
        "free_bet.revoke"
    }


@pytest.mark.parametrize("name", BY_NAME)
def test_nobody_is_told_nothing_over_http(table: Table, name: str) -> None:
    before = table.ledger()
    for token in (
        None,
        "nonsense",
        mint(table.player.user_id, life_s=-1),
        mint(1, "operator", key="another"),
    ):
        answer = ask(table.http, name, table.fields(name, "operator", own=True), token=token)
        assert (answer.status_code, code_of(answer)) == (401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert table.ledger() == before


@pytest.mark.parametrize("name", [name for name in NAMES if name in TYPES])
def test_nobody_is_told_nothing_over_a_socket(table: Table, name: str) -> None:
    before = table.ledger()
    with RawSocket(table.world.server.port) as stranger:
        request = {"type": name, "id": "r"} | table.fields(name, "operator", own=True)
        key = {"key": new_key()} if name in BY_NAME and BY_NAME[name].needs_key else {}
        stranger.send_frame(httpx.Request("POST", "http://x", json=request | key).content)
        messages, code = stranger.messages_and_close_code()
    assert ([each["code"] for each in messages], code) == (["UNAUTHORIZED"], 4401)
    assert table.ledger() == before


# -- what has no message: who may act for the house

ADMIN: Final = [
    (method, each.path.format(name="nobody"))
    for each in staff_routes(Mock(), Mock())
    for method in sorted(each.methods or ())
    if method != "HEAD"
]


def test_only_an_admin_says_who_may_act_for_the_house(table: Table) -> None:
    assert len(ADMIN) >= 8
    for method, path in ADMIN:
        body = {} if method == "GET" else {"json": {}}
        for role in ROLES:
            answer = table.http.request(method, path, headers=bearing(table.token(role)), **body)
            is_allowed = role in RULES[MANAGE].reach
            assert (answer.status_code == 403) is not is_allowed, (method, path, role)
        bounded = mint(1, "admin", scope=" ".join(SCOPES))
        assert table.http.request(method, path, headers=bearing(bounded), **body).status_code == 403
        assert table.http.request(method, path, **body).status_code == 401
    listed = table.http.get("/v1/admin/staff", headers=bearing(table.token("admin")))
    assert listed.json() == {"staff": []}, "and nothing has come of all that"


# -- the page


def page_of(cells: Cells) -> str:
    lines = ["| message | route | player | operator | auditor | admin | scopes |", "| --- " * 7 + "|"]
    for name in NAMES:
        route = BY_NAME.get(name)
        where = "–" if route is None else f"`{route.method} {route.path}`"
        door = "http" if route is not None else "ws"
        reach = [_as_told(name, str(cells[name, door, role])) for role in ROLES]
        scopes = " ".join(f"`{scope}`" for scope in RULES[name].scopes) or "none"
        message = f"`{name}`" if name in TYPES else f"({name})"
        lines.append("| " + " | ".join([message, where, *reach, scopes]) + " |")
    reach = ["any" if role in RULES[MANAGE].reach else "–" for role in ROLES]
    lines.append(
        "| " + " | ".join([f"({MANAGE})", "all of `/v1/admin`", *reach, "no key with scopes"]) + " |"
    )
    return "\n".join(lines)


def _as_told(name: str, cell: str) -> str:
    return "own" if name in OF_THE_SOCKET and cell == "any" else cell


MARKED: Final = re.compile(r"(<!-- generated: roles -->\n)(.*?)(\n<!-- end: roles -->)", re.DOTALL)


def test_the_page_says_what_the_server_does(cells: Cells) -> None:
    found = MARKED.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[2] == page_of(cells), "write it anew: python tests/test_roles_matrix.py"


def rewrite() -> None:
    """Put what a server does now between the markers."""
    with tempfile.TemporaryDirectory() as folder, laid(Path(folder)) as table:
        made = page_of(walk(table))
    text, count = MARKED.subn(lambda found: found[1] + made + found[3], PAGE.read_text(encoding="utf-8"))
    assert count == 1
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
