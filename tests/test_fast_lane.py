"""Two ways in, one order out: bets that are done where they are parsed, and those that wait. Real sockets."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterator

import pytest

from harness.wire import bet, new_bet_id
from tests.server_fixture import (
    CONTINUATION,
    OPENING,
    PING,
    PONG,
    TEXT,
    Json,
    RawSocket,
    World,
    frame,
    of_type,
)


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


@pytest.fixture
def raw(world: World) -> Iterator[RawSocket]:
    """A welcomed socket of a wallet of its own."""
    with RawSocket(world.server.port, token=world.player()[1]) as opened:
        assert [message["type"] for message in opened.read_messages()] == ["welcome"]
        yield opened


def frames(*bodies: Json | list[Json]) -> bytes:
    return b"".join(frame(json.dumps(body)) for body in bodies)


def until(raw: RawSocket, count: int, *last: str) -> list[Json]:
    """All messages up to the `count`-th of these types."""
    messages: list[Json] = []
    while sum(message["type"] in last for message in messages) < count:
        messages += raw.read_messages()
    return messages


def place(id_: str, **fields: object) -> Json:
    return bet(1, id=id_, **fields)


def get(id_: str, bet_id: str) -> Json:
    return {"type": "bet.get", "id": id_, "bet_id": bet_id}


def ping(id_: str) -> Json:
    return {"type": "ping", "id": id_}


# --- order -----------------------------------------------------------------------------------------------


def test_a_bet_does_not_overtake_a_frame_that_waits(raw: RawSocket) -> None:
    """`bet.get` is looked up on another thread; the bet behind it in the same read must not be seen by it."""
    for number in range(20):
        request = place(f"p{number}")
        raw.send(frames(get(f"g{number}", request["bet_id"]), request))
        told = until(raw, 1, "bet.confirmed")
        assert [(message["type"], message["id"]) for message in told] == [
            ("error", f"g{number}"), ("bet.pending", f"p{number}"), ("bet.confirmed", f"p{number}"),
        ]  # fmt: skip
        assert told[0]["code"] == "NOT_FOUND"


def test_a_frame_that_waits_sees_the_bet_before_it(raw: RawSocket) -> None:
    for number in range(20):
        request = place(f"p{number}")
        raw.send(frames(request, get(f"g{number}", request["bet_id"])))
        told = [m for m in until(raw, 2, "bet.confirmed", "bet.state") if m["type"] != "bet.confirmed"]
        assert [(message["type"], message["id"]) for message in told] == [
            ("bet.pending", f"p{number}"), ("bet.state", f"g{number}"),
        ]  # fmt: skip
        assert told[1]["state"] in {"pending", "confirmed"}


def test_bets_wait_behind_a_resume(raw: RawSocket) -> None:
    raw.send(frames([place(f"a{number}") for number in range(900)]))
    until(raw, 900, "bet.confirmed")
    raw.send(frames({"type": "resume", "id": "r", "from_seq": 0}, place("b1"), [place("b2"), place("b3")]))
    told = until(raw, 3, "bet.confirmed")
    order = [message["id"] for message in told if message["type"] in {"resumed", "bet.pending"}]
    assert order == ["r", "b1", "b2", "b3"]
    assert [message["type"] for message in told[:901]] == ["wallet.entry"] * 901


@pytest.mark.parametrize("seed", range(12))
def test_first_replies_come_in_the_order_of_the_requests(raw: RawSocket, seed: int) -> None:
    """And of each bet: pending, then what became of it, and nothing more."""
    chance = random.Random(seed)
    asked: list[Json] = []
    bodies: list[Json | list[Json]] = []
    for _ in range(40):
        some: list[Json] = []
        for _ in range(chance.choice([1, 1, 1, 2, 5, 30])):
            id_ = f"r{len(asked)}"
            some.append(
                place(id_)
                if chance.random() < 0.8
                else chance.choice([ping(id_), get(id_, new_bet_id()), {"type": "balance.get", "id": id_}])
            )
            asked.append(some[-1])
        bodies.append(some[0] if len(some) == 1 else some)
    sent = frames(*bodies)
    while sent:  # in reads that begin and end anywhere
        size = chance.choice([1, 100, 2000, 9000, 50_000])
        raw.send(sent[:size])
        sent = sent[size:]
    told = until(raw, len(asked), "bet.confirmed", "pong", "error", "balance")

    firsts = list(dict.fromkeys(message["id"] for message in told))
    assert firsts == [request["id"] for request in asked], f"{seed=}"
    by_id: dict[str, list[str]] = {}
    for message in told:
        by_id.setdefault(message["id"], []).append(message["type"])
    for request in asked:
        if request["type"] == "bet.place":
            assert by_id[request["id"]] == ["bet.pending", "bet.confirmed"], f"{seed=}"
        else:
            assert len(by_id[request["id"]]) == 1, f"{seed=}"


def test_a_frame_of_bets_and_something_else_is_answered_in_one_frame(raw: RawSocket) -> None:
    raw.send(frames([place("a"), ping("b"), {"type": "no.such", "id": "c"}, place("d")]))
    first = raw.read_messages()
    assert [(message["type"], message["id"]) for message in first] == [
        ("bet.pending", "a"), ("pong", "b"), ("error", "c"), ("bet.pending", "d"),
    ]  # fmt: skip
    assert [message["id"] for message in until(raw, 2, "bet.confirmed")] == ["a", "d"]


def test_a_bet_that_is_no_request_is_refused_in_its_place(raw: RawSocket) -> None:
    bad = place("b") | {"stake": 1.0}
    raw.send(frames(place("a"), bad, place("c"), [place("d"), bad | {"id": "e"}, place("f")]))
    told = until(raw, 4, "bet.confirmed")
    firsts = [message for message in told if message["type"] != "bet.confirmed"]
    assert [message["id"] for message in firsts] == ["a", "b", "c", "d", "e", "f"]
    assert {message["code"] for message in of_type(firsts, "error")} == {"INVALID_REQUEST"}


# --- fragments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_bet_in_fragments_is_a_bet(raw: RawSocket, size: int) -> None:
    """With control frames between the fragments, and characters cut in two."""
    text = json.dumps([place("ü😀", selection="ß→€"), place("b")], ensure_ascii=False).encode()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    sent = frame(pieces[0], TEXT, fin=len(pieces) == 1)
    for number, piece in enumerate(pieces[1:], 2):
        sent += frame(str(number), PING) if number % 50 == 0 else b""
        sent += frame(piece, CONTINUATION, fin=number == len(pieces))
    raw.send(sent + frames(place("c")))
    told: list[Json] = []
    pongs = 0
    while len(of_type(told, "bet.confirmed")) < 3:
        opcode, payload = raw.read_frame()
        pongs += opcode == PONG
        if opcode == TEXT:
            content = json.loads(payload)
            told += content if isinstance(content, list) else [content]
    assert list(dict.fromkeys(message["id"] for message in told)) == ["ü😀", "b", "c"]
    assert pongs == len(pieces) // 50


def test_a_bet_that_is_no_text_ends_the_socket_and_nothing_behind_it_is_done(
    world: World, raw: RawSocket
) -> None:
    before = world.entries()
    raw.send(frame(json.dumps(place("a")).encode()[:-3] + b'\xff"}') + frames(place("b")))
    assert raw.messages_and_close_code() == ([], 1007)
    assert world.entries() == before


# --- before the welcome ----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_message", [False, True], ids=["header", "first message"])
def test_a_bet_sent_before_the_welcome_waits_for_it(world: World, by_message: bool) -> None:
    _, token = world.player()
    early = frames(*[place(f"p{number}") for number in range(5)], [place("q"), ping("r")])
    if by_message:
        early = frames({"type": "auth", "token": token}) + early
    with RawSocket(world.server.port, token=None if by_message else token) as raw:
        raw.send(early)
        told = until(raw, 6, "bet.confirmed")
        assert told[0]["type"] == "welcome"
        firsts = list(dict.fromkeys(message["id"] for message in told[1:]))
        assert firsts == ["p0", "p1", "p2", "p3", "p4", "q", "r"]


def test_a_strangers_bet_ends_his_socket_and_is_not_done(world: World) -> None:
    token = world.player()[1]
    before = world.entries()
    with RawSocket(world.server.port) as raw:
        raw.send(frames(place("a"), {"type": "auth", "token": token}, place("b")))
        told, code = raw.messages_and_close_code()
        assert ([message["code"] for message in told], code) == (["UNAUTHORIZED"], 4401)
    assert world.entries() == before


# --- who reads slowly, and who goes ----------------------------------------------------------------------


def read_to_the_end(raw: RawSocket, answers: int) -> tuple[list[Json], int | None]:
    """Messages until there are so many final answers, or until the server closes, and its code."""
    messages: list[Json] = []
    while (
        sum(message["type"] in {"bet.confirmed", "bet.rejected", "error"} for message in messages) < answers
    ):
        opcode, payload = raw.read_frame()
        if opcode != TEXT:
            return messages, int.from_bytes(payload[:2], "big")
        content = json.loads(payload)
        messages += content if isinstance(content, list) else [content]
    return messages, None


@pytest.mark.parametrize("rounds", [1, 20, 150])
def test_who_stops_reading_has_every_answer_in_the_end_or_is_told_to_come_back(
    world: World, rounds: int
) -> None:
    user_id, token = world.player()
    with RawSocket(world.server.port, token=token, receive_buffer=4096) as slow:
        slow.read_messages()
        slow.socket.settimeout(0.5)
        batches = [[place(f"{number}-{n}") for n in range(500)] for number in range(rounds)]
        sent = 0
        for batch in batches:
            try:
                slow.send(frames(batch))
            except TimeoutError:  # the server reads no more while nobody reads from it
                break
            sent += 1
        slow.socket.settimeout(8)
        messages, code = read_to_the_end(slow, sent * 500)
    seen: dict[str, list[str]] = {}
    for message in messages:
        seen.setdefault(message["id"], []).append(message["type"])
    finals = [types[-1] for types in seen.values()]
    if code is None:
        assert len(finals) == sent * 500
        assert all(types in (["bet.pending", "bet.confirmed"], ["bet.rejected"]) for types in seen.values())
    else:
        assert code == 4429
    paid = world.query("SELECT count(*) FROM bets WHERE user_id = ?", user_id)[0][0]
    assert finals.count("bet.confirmed") <= paid <= rounds * 500


def test_who_does_not_read_what_others_do_in_his_wallet_is_told_to_come_back(world: World) -> None:
    """Less than 1 MB is kept for him. What he missed, `resume` brings without a gap."""
    _, token = world.player()
    with (
        RawSocket(world.server.port, token=token) as bettor,
        RawSocket(world.server.port, token=token, receive_buffer=4096) as listener,
    ):
        bettor.read_messages()
        (welcome,) = listener.read_messages()
        for number in range(10):
            bettor.send(frames([place(f"{number}-{n}") for n in range(1000)]))
            until(bettor, 1000, "bet.confirmed")
        entries, code = listener.messages_and_close_code()
    # Where all of that took long, the connection has been given up, close frame included.
    assert code in {4429, 1006}
    assert len(entries) * 200 < 1_000_000
    with RawSocket(world.server.port, token=token) as again:
        again.read_messages()
        while len(entries) < 10_000:
            again.send(frames({"type": "resume", "id": "r", "from_seq": entries[-1]["seq"]}))
            entries += of_type(until(again, 1, "resumed"), "wallet.entry")
    seqs = [welcome["seq"], *(entry["seq"] for entry in entries)]
    assert [entry["prev_seq"] for entry in entries] == seqs[:-1]
    assert len(entries) == 10_000


def test_the_welcome_comes_first_whatever_happens_in_the_wallet_meanwhile(world: World) -> None:
    _, token = world.player()
    with RawSocket(world.server.port, token=token) as bettor:
        bettor.read_messages()
        for number in range(20):
            bettor.send(b"".join(frames([place(f"{number}-{n}-{i}") for i in range(5)]) for n in range(40)))
            for _ in range(5):
                with RawSocket(world.server.port, token=token) as late:
                    assert late.read_messages()[0]["type"] == "welcome"
            until(bettor, 200, "bet.confirmed")


def test_a_peer_that_goes_in_the_middle_of_a_frame_costs_nobody_anything(
    world: World, raw: RawSocket
) -> None:
    user_id, token = world.player()
    for number in range(30):
        leaver = RawSocket(world.server.port, token=token)
        leaver.read_messages()
        whole = frames([place(f"{number}-{n}") for n in range(20)])
        leaver.send(whole + whole[: secrets.randbelow(len(whole))])
        leaver.reset()
        raw.send(frames(place(f"mine{number}")))
        assert [m["type"] for m in until(raw, 1, "bet.confirmed")] == ["bet.pending", "bet.confirmed"]
    bets = world.query("SELECT count(*), count(DISTINCT transaction_id) FROM bets WHERE user_id = ?", user_id)
    assert bets[0][0] == bets[0][1] <= 600
    ((balance,),) = world.query("SELECT balance FROM users WHERE id = ?", user_id)
    assert balance == OPENING - bets[0][0]
