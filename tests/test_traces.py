"""Spans as a collector gets them: of a made-up batch, and from a real server by OTLP over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from batcher.jobs import Answered, Job
from engine.commands import Command, Deposit
from engine.outcomes import Accepted, Code, Outcome, Rejected
from harness.process import Server, solidgreen
from harness.wire import bet as bet_message
from harness.wire import connect, new_bet_id
from tests.asking import bearing
from tests.batches import bet
from tests.books_open import ALICE
from tests.books_open import seed as seed_books
from tests.command import seed, well
from tests.server_fixture import mint
from tests.test_v1_door import door_of
from ws.settings import SettingInvalid
from ws.watching.traces import PATH, Traces, endpoint_of

URL = "http://127.0.0.1:9"
WALL_NS = 1_800_000_000_000_000_000
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DONE = Accepted(1, 1, None)


@contextlib.contextmanager
def tracing(ratio: float = 1.0, chance: Any = random.random) -> Iterator[tuple[Traces, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    traces = Traces(
        URL, ratio, exporter=exporter, chance=chance, clock=lambda: 10**9, wall_clock=lambda: WALL_NS
    )
    try:
        yield traces, exporter
    finally:
        traces.stop()


def batch(*asked: tuple[Command, Outcome], asker: Any = None) -> Answered:
    jobs = [
        Job(
            command,
            None,
            asker=asker,
            request_id="r",
            arrived_us=100,
            is_bet=not isinstance(command, Deposit),
        )
        for command, _ in asked
    ]
    return Answered(jobs, [outcome for _, outcome in asked], 300, 400, 5_400, 5_500)


def spans_of(traces: Traces, exporter: InMemorySpanExporter) -> Any:
    traces._provider.force_flush()
    return exporter.get_finished_spans()


def test_a_span_lasts_from_the_frame_to_the_answer_and_names_no_user() -> None:
    with tracing() as (traces, exporter):
        deposit = Deposit(7, 5, key="k", caller="7")
        traces.answered(batch((bet(1), DONE), (deposit, Rejected(Code.OVERLOADED))))
        first, second = spans_of(traces, exporter)
    offset_ns = WALL_NS - 10**9
    assert (first.start_time, first.end_time) == (offset_ns + 100_000, offset_ns + 5_500_000)
    assert dict(first.attributes) == {
        "solidgreen.command": "bet",
        "solidgreen.outcome": "accepted",
        "solidgreen.bet_id": bet(1).bet_id,
        "solidgreen.batch_size": 2,
        "solidgreen.queue_wait_ms": 0.3,
        "solidgreen.commit_ms": 5.0,
    }
    assert [(each.name, each.timestamp - offset_ns) for each in first.events] == [
        ("batch closed", 300_000),
        ("committed", 5_400_000),
    ]
    assert dict(second.attributes) == {
        "solidgreen.command": "deposit",
        "solidgreen.outcome": "OVERLOADED",
        "solidgreen.batch_size": 2,
        "solidgreen.queue_wait_ms": 0.3,
        "solidgreen.commit_ms": 5.0,
    }
    assert (first.name, second.name) == ("bet", "command")


def test_the_trace_of_a_handshake_goes_on() -> None:
    with tracing() as (traces, exporter):
        traces.answered(batch((bet(1), DONE), asker=SimpleNamespace(traceparent=PARENT)))
        traces.answered(batch((bet(2), DONE), asker=SimpleNamespace(traceparent="nonsense")))
        known, unknown = spans_of(traces, exporter)
    assert f"{known.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{known.parent.span_id:016x}" == PARENT.split("-")[2]
    assert unknown.parent is None


def test_the_trace_of_an_http_request_goes_on(tmp_path: Path) -> None:
    """Of any command; a span each, in the order of the requests."""
    books = seed_books(tmp_path / "books.db", 1000)
    unkept = PARENT[:-2] + "00"
    given = [[PARENT], [], [unkept], ["nonsense"], [PARENT.upper()], [PARENT, PARENT], ["x" * 60_000]]

    async def run(traces: Traces) -> None:
        async with door_of(books, traced=traces.answered) as (batcher, http):
            batcher.start()
            for each in given:
                headers = [*bearing(mint(ALICE)).items(), *(("traceparent", one) for one in each)]
                body: dict[str, Any] = {"stake": 1, "bet_id": new_bet_id()}
                assert (await http.post("/v1/bets", headers=headers, json=body)).status_code == 201
            headers = [*bearing(mint(1, "operator")).items(), ("traceparent", PARENT)]
            body = {"user_id": ALICE, "amount": 5, "key": "k"}
            assert (await http.post("/v1/deposits", headers=headers, json=body)).status_code == 201

    with tracing() as (traces, exporter):
        asyncio.run(run(traces))
        first, *others, last = spans_of(traces, exporter)
    for span in (first, last):
        assert f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
        assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]
    assert (first.name, last.attributes["solidgreen.command"]) == ("bet", "deposit")
    # One less than the others that were asked: a trace that is not kept has no span here either.
    assert [span.parent for span in others] == [None] * (len(given) - 2)


@pytest.mark.parametrize(("ratio", "size", "traced"), [(0.0, 100, 0), (1.0, 100, 100), (0.5, 2, 1)])
def test_a_share_of_the_commands_is_traced(ratio: float, size: int, traced: int) -> None:
    with tracing(ratio) as (traces, exporter):
        traces.answered(batch(*[(bet(number), DONE) for number in range(size)]))
        assert len(spans_of(traces, exporter)) == traced


def test_also_where_batches_are_small_it_is_that_share() -> None:
    with tracing(0.1, chance=random.Random(5).random) as (traces, exporter):
        for number in range(2000):
            traces.answered(batch((bet(number), DONE)))
        assert 150 < len(spans_of(traces, exporter)) < 250


def test_what_goes_wrong_with_a_span_is_logged_and_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with tracing() as (traces, _):
        traces.answered(batch((bet(1), DONE))._replace(outcomes=[]))
    assert [record.getMessage() for record in caplog.records] == ["a batch could not be traced"]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1:4318", f"http://127.0.0.1:4318{PATH}"),
        ("http://127.0.0.1:4318/", f"http://127.0.0.1:4318{PATH}"),
        ("https://collector.example/own/way", "https://collector.example/own/way"),
    ],
)
def test_the_path_of_a_collector_need_not_be_said(url: str, endpoint: str) -> None:
    assert endpoint_of(url) == endpoint


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:4318", "ftp://host", "http://", "http://host:port", "http://[::1"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(SettingInvalid, match="expected an http"):
        endpoint_of(url)


@pytest.mark.long
def test_without_the_packages_the_server_says_what_to_install(tmp_path: Path) -> None:
    """As after `pip install solidgreen`: the import of `opentelemetry` fails in the server's process."""
    seed(tmp_path / "wallet.db", players=1)
    (tmp_path / "without.py").write_text(
        "import sys\nsys.modules['opentelemetry'] = None\nfrom cli.main import main\nsys.exit(main())\n"
    )
    sys.path.insert(0, str(tmp_path))
    asked = ("serve", "--db", str(tmp_path / "wallet.db"), "--port", "0", "--traces", URL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parent.parent}")
        said = solidgreen(*asked, module="without", check=False)
    sys.path.remove(str(tmp_path))
    assert said.returncode == 2
    assert said.stderr.startswith("solidgreen serve: traces need opentelemetry")
    assert "pip install 'solidgreen[traces]'" in said.stderr


class Collector(BaseHTTPRequestHandler):
    """Takes spans, as a collector does."""

    heard: Queue[tuple[str, ExportTraceServiceRequest]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.put((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *given: object) -> None:
        pass


@contextlib.contextmanager
def collecting() -> Iterator[tuple[str, Queue[tuple[str, ExportTraceServiceRequest]]]]:
    heard: Queue[tuple[str, ExportTraceServiceRequest]] = Queue()
    handler = type("Handler", (Collector,), {"heard": heard})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.long
def test_a_collector_hears_of_a_bet_also_of_the_last_before_a_stop(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    (player,) = seed(db, players=1)
    with collecting() as (url, heard):
        with Server(db, settings={"traces": url, "trace_ratio": "1"}) as server:
            sent = bet_message(1)

            async def play() -> None:
                async with connect(server.ws, player["token"], headers={"traceparent": PARENT}) as wire:
                    assert (await wire.ask(sent))["type"] == "bet.confirmed"

            asyncio.run(play())
            assert server.stop() == 0
        path, request = heard.get(timeout=10)
    assert path == PATH
    (of_resource,) = request.resource_spans
    named = {each.key: each.value.string_value for each in of_resource.resource.attributes}
    assert named["service.name"] == "solidgreen"
    (span,) = [span for spans in of_resource.scope_spans for span in spans.spans]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    told = {each.key: each.value.string_value for each in span.attributes}
    assert told["solidgreen.bet_id"] == sent["bet_id"]
    assert player["token"] not in str(request)


def test_a_collector_that_takes_everything_and_never_answers_holds_up_no_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file is closed behind it, and nobody can bet before the next start."""
    monkeypatch.setattr("ws.watching.traces.STOP_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        traces = Traces(f"http://127.0.0.1:{mute.getsockname()[1]}", 1.0)
        traces.answered(batch(*[(bet(number), DONE) for number in range(1200)]))  # three batches of spans
        began = time.monotonic()
        traces.stop()
        assert time.monotonic() - began < 0.9  # of one batch alone it takes WITHIN_S


@pytest.mark.long
def test_a_collector_that_is_away_keeps_nobody_from_betting_or_stopping(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    (player,) = seed(db, players=1)
    with Server(db, settings={"traces": URL, "trace_ratio": "1"}) as server:

        async def play() -> None:
            async with connect(server.ws, player["token"]) as wire:
                assert (await wire.ask(bet_message(1)))["type"] == "bet.confirmed"

        asyncio.run(play())
        assert server.stop() == 0
    assert well("reconcile", db=str(db)).status == 0
