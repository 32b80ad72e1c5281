"""Spans for OpenTelemetry: of some commands one each, from the frame that brought them to their answer.

Only with `--traces`, and then of a share of the commands: a span is made when its batch has been told, out
of the times that are kept anyway, so that bets that are not traced pay nothing, and the others only after
their answer. No user, wallet or amount is in it. Where the HTTP request, or the socket's handshake, had a W3C
`traceparent` (https://www.w3.org/TR/trace-context/), that trace goes on, unless it says that it is not kept.

The packages are an extra: `pip install 'solidgreen[traces]'`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from batcher.jobs import Answered, Job
from engine.commands import KINDS, PlaceBet
from engine.outcomes import Outcome, Rejected
from ws.settings import SettingInvalid

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger("solidgreen.traces")

PATH: Final = "/v1/traces"
"""Where a collector takes spans (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request)."""

WITHIN_S: Final = 1.0
"""How long a collector may take for a batch of 512 spans."""

STOP_S: Final = 1.5
"""How long a stop waits for the last spans: for one batch that is on its way, and a collector that is well
has all others by then. For one that takes connections and never answers it would be nine batches, a second
each, and the file stays open as long."""

WAITING_MAX: Final = 4096
"""Spans that wait to be sent; beyond it they are dropped, so that a collector that is away costs 4 MB."""


class Traces:
    """Makes spans and sends them, from a thread of the library's own."""

    def __init__(
        self,
        url: str,
        ratio: float,
        *,
        exporter: SpanExporter | None = None,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], int] = time.monotonic_ns,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`url`: of a collector; without a path, `/v1/traces` is meant. `ratio`: of the commands, 0 to 1.
        `clock` is that of `Answered`, but in nanoseconds.

        Raises `SettingInvalid` if the packages are not installed, or the URL is none.
        """
        endpoint = endpoint_of(url)
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise SettingInvalid(
                f"traces need {error.name}, which is not installed: pip install 'solidgreen[traces]'"
            ) from error
        exporter = exporter or OTLPSpanExporter(endpoint=endpoint, timeout=WITHIN_S)
        self._sending = BatchSpanProcessor(
            exporter, max_queue_size=WAITING_MAX, export_timeout_millis=WITHIN_S * 1000
        )
        # Which commands are traced is decided here, for a whole batch at once.
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "solidgreen"}),
            shutdown_on_exit=False,  # `stop` does it, in a time that is bounded
        )
        self._provider.add_span_processor(self._sending)
        self._tracer = self._provider.get_tracer("solidgreen")
        self._propagator = TraceContextTextMapPropagator()
        self._ratio = ratio
        self._chance = chance
        self._clock = clock
        self._wall_clock = wall_clock

    def answered(self, batch: Answered) -> None:
        """Trace some commands of a batch that was told. Never raises: no bet may depend on it."""
        try:
            offset_ns = self._wall_clock() - self._clock()
            for number in self._some_of(len(batch.jobs)):
                self._trace(batch, batch.jobs[number], batch.outcomes[number], offset_ns)
        except Exception:
            log.exception("a batch could not be traced")

    def stop(self) -> None:
        """Send what waits, for `STOP_S` at the most; what is not sent by then is lost. Waits: not to be
        called on the event loop."""
        # The library keeps to no time of its own here, whatever it is given.
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(STOP_S)

    def _some_of(self, size: int) -> list[int]:
        """The numbers of those that are traced; what a fraction of one is left to chance."""
        wanted = self._ratio * size
        count = int(wanted) + (self._chance() < wanted % 1)
        if count >= size:
            return list(range(size))
        return sorted({int(self._chance() * size) for _ in range(count)})

    def _trace(self, batch: Answered, job: Job, outcome: Outcome, offset_ns: int) -> None:
        command = job.command
        is_bet = isinstance(command, PlaceBet)
        told: dict[str, str | int | float] = {
            "solidgreen.command": "bet" if isinstance(command, PlaceBet) else KINDS[type(command)],
            "solidgreen.outcome": outcome.code.name if isinstance(outcome, Rejected) else "accepted",
            "solidgreen.batch_size": len(batch.jobs),
            "solidgreen.queue_wait_ms": (batch.began_us - job.arrived_us) / 1000,
            "solidgreen.commit_ms": (batch.committed_us - batch.began_us) / 1000,
        }
        if isinstance(bet_id := getattr(command, "bet_id", None), str):
            told["solidgreen.bet_id"] = bet_id
        span = self._tracer.start_span(
            "bet" if is_bet else "command",
            context=self._context_of(job),
            start_time=job.arrived_us * 1000 + offset_ns,
            attributes=told,
        )
        span.add_event("batch closed", timestamp=batch.closed_us * 1000 + offset_ns)
        span.add_event("committed", timestamp=batch.committed_us * 1000 + offset_ns)
        span.end(end_time=batch.told_us * 1000 + offset_ns)

    def _context_of(self, job: Job) -> Context | None:
        parent = getattr(job.asker, "traceparent", None)
        return None if parent is None else self._propagator.extract({"traceparent": parent})


def endpoint_of(url: str) -> str:
    """Where spans are posted. Raises `SettingInvalid` if that is no http(s) URL."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good:
        raise SettingInvalid("traces: expected an http(s) URL such as http://127.0.0.1:4318")
    return url if parts.path not in ("", "/") else parts._replace(path=PATH).geturl()
