"""From rounds to one table: medians, and the ratio to the echo that ran right before.

Pure: figures in, text out.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

DRIVER_BOUND_CORES = 0.9  # one thread that does nothing else is at its end a little below one core
NOISE_CORES = 0.1  # what strangers may use of the machine before a figure is doubtful

COLUMNS = (
    ("case", "{}"),
    ("echo/s", "{:,.0f}"),
    ("bets/s", "{:,.0f}"),
    ("ratio", "{:.2f}"),
    ("p50 ms", "{:.1f}"),
    ("p99 ms", "{:.1f}"),
    ("server", "{:.2f}"),
    ("driver", "{:.2f}"),
    ("redis", "{:.2f}"),
    ("others", "{:.2f}"),
    ("echo server", "{:.2f}"),
    ("echo driver", "{:.2f}"),
)


@dataclass(frozen=True, slots=True)
class Round:
    """Echo and wallet, one after the other in the same shape; each as `bench.driver` reports it."""

    echo: dict[str, Any]
    wallet: dict[str, Any]

    @property
    def ratio(self) -> float:
        """Bets for each echo. 0 when nothing was echoed."""
        return float(self.wallet["per_s"] / self.echo["per_s"]) if self.echo["per_s"] else 0.0


def medians(rounds: list[Round]) -> dict[str, float | None]:
    """The figures of a case. The ratio is the median of the rounds' ratios: a slow drift cancels out."""

    def of(figure: str, part: str, name: str | None = None) -> float | None:
        seen = [getattr(each, figure)[part] for each in rounds]
        values = [value if name is None else value.get(name) for value in seen]
        return None if None in values else median(values)

    latency_ms = {
        quantile: None if (us := of("wallet", "latency_us", quantile)) is None else us / 1_000
        for quantile in ("p50", "p99")
    }
    return {
        "echo/s": of("echo", "per_s"),
        "bets/s": of("wallet", "per_s"),
        "ratio": median(each.ratio for each in rounds),
        "p50 ms": latency_ms["p50"],
        "p99 ms": latency_ms["p99"],
        "server": of("wallet", "cores", "server"),
        "driver": of("wallet", "cores", "driver"),
        "redis": of("wallet", "cores", "redis"),
        "others": of("wallet", "cores", "others"),
        "echo server": of("echo", "cores", "server"),
        "echo driver": of("echo", "cores", "driver"),
    }


def render(cases: dict[str, list[Round]]) -> str:
    """The table, and under it what a reader must know before believing it."""
    rows = [[name for name, _ in COLUMNS]]
    for case, rounds in cases.items():
        figures: dict[str, Any] = {"case": case, **medians(rounds)}
        rows.append(["–" if figures[name] is None else form.format(figures[name]) for name, form in COLUMNS])
    first, *rest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([case.ljust(first), *map(str.rjust, cells, rest)])  # text to the left, figures to the right
        for case, *cells in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    legend = (
        "Medians. From `server` on: cores in use during the wallet's runs, and at the end during the echo's."
    )
    return "\n".join([*lines, legend, *doubts(cases)])


def doubts(cases: dict[str, list[Round]]) -> list[str]:
    """A line for each round whose figure says less about the server than about the driver or the machine."""
    lines = []
    for case, rounds in cases.items():
        for number, each in enumerate(rounds, 1):
            for name, figures in (("echo", each.echo), ("wallet", each.wallet)):
                cores = figures["cores"]
                if cores["driver"] >= DRIVER_BOUND_CORES:
                    lines.append(f"{case}, round {number}: the driver was the bottleneck of {name}")
                if cores["others"] > NOISE_CORES:
                    lines.append(
                        f"{case}, round {number}: others used {cores['others']:.2f} cores beside {name}"
                    )
    return lines


def faults(figures: dict[str, Any]) -> list[str]:
    """Why one measurement does not count: whatever was not simply confirmed."""
    found = [f"{name}: {figures[name]}" for name in ("refused", "other", "lost") if figures[name]]
    found += [f"{name}: {figures[name]}" for name in ("unanswered", "unknown_ids") if figures[name]]
    return found if figures["answered"] else [*found, "nothing was answered"]
