"""Cases that are programs of their own, run in rounds like the others: each prints one JSON object.

They measure what no client on the wire can: the engine in process, ledgers of many sizes, and other stores.
A program that fails, or whose figures lack something, fails its case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from bench.processes import ask
from bench.stand import Figures, Stand
from bench.table import Results, Row, mid, per_s

WITHIN_S = 600.0
LEDGER_WITHIN_S = 3_600.0  # ten million entries are to be written first
POSTGRES_CLIENTS = 32
LEDGER_FIGURES = (
    "bets_per_s", "reference_per_s", "ratio", "startup_s", "startup_after_kill_s", "file_mib",
)  # fmt: skip


def run(module: str, arguments: Sequence[object], stand: Stand, keys: set[str], within_s: float) -> Figures:
    """Run `python -m module` in an empty folder and return its figures.

    Raises `RuntimeError` if it fails or if a key of `keys` is not among them.
    """
    with stand.folder() as folder:
        given = ["--folder", str(folder), *map(str, arguments), "--seconds", str(ceil(stand.seconds))]
        figures = ask(module, given, within_s)
    if missing := sorted(keys - figures.keys()):
        raise RuntimeError(f"python -m {module}: its figures lack {', '.join(missing)}")
    return figures


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine in process, and one hot player, beside bare `executemany` into the same tables."""

    batch: int
    players: int
    ratio_min: float = 0.6
    hot_ratio_min: float = 0.9
    goal_per_s: float = 117_000  # what TigerBeetle gives a Python client in batches of 1,000
    rounds_max: int | None = None

    @property
    def name(self) -> str:
        return f"engine-{self.batch}"

    def measure(self, stand: Stand) -> Figures:
        keys = {"bets_per_s", "bare_per_s", "hot_player_per_s", "ratio", "hot_ratio"}
        arguments = ["--batch", self.batch, "--players", self.players]
        return {"engine": run("bench.engine", arguments, stand, keys, WITHIN_S)}

    def faults(self, round_: Figures) -> list[str]:
        return []

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        bets_per_s, ratio = mid(rounds, "engine", "bets_per_s"), mid(rounds, "engine", "ratio")
        hot_ratio = mid(rounds, "engine", "hot_ratio")
        return [
            Row(
                case=f"engine in process, batches of {self.batch:,}, {self.players:,} players",
                measured=per_s(bets_per_s),
                beside=per_s(mid(rounds, "engine", "bare_per_s"), "bare"),
                figure=f"{ratio:.2f}",
                target=f"≥ {self.ratio_min}, goal {per_s(self.goal_per_s)}",
                met=ratio >= self.ratio_min,
                goal_met=bets_per_s >= self.goal_per_s,
            ),
            Row(
                case=f"one hot player, batches of {self.batch:,}",
                measured=per_s(mid(rounds, "engine", "hot_player_per_s")),
                beside=per_s(bets_per_s),
                figure=f"{hot_ratio:.2f}",
                target=f"≥ {self.hot_ratio_min} of many players",
                met=hot_ratio >= self.hot_ratio_min,
            ),
        ]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The engine on ledgers that are long already, and how long it takes to start on them."""

    sizes: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    versions: tuple[int, ...] = (7, 4)
    ratio_min: float = 0.9
    startup_max_s: float = 2.0
    rounds_max: int | None = 1  # minutes are spent on writing ten million entries, twice

    @property
    def name(self) -> str:
        return "ledger"

    def measure(self, stand: Stand) -> Figures:
        arguments = ["--sizes", *self.sizes, "--version", *self.versions]
        figures = run("bench.ledger", arguments, stand, {"sizes"}, LEDGER_WITHIN_S)
        wanted = {"entries", "version", *LEDGER_FIGURES}
        if missing := {name for point in figures["sizes"] for name in wanted - point.keys()}:
            raise RuntimeError(f"python -m bench.ledger: its sizes lack {', '.join(sorted(missing))}")
        return {"ledger": figures}

    def faults(self, round_: Figures) -> list[str]:
        measured = {(each["entries"], each["version"]) for each in round_["ledger"]["sizes"]}
        wanted = {(entries, version) for entries in self.sizes for version in self.versions}
        return [
            f"no figures of {entries:,} entries with version {version}"
            for entries, version in sorted(wanted - measured)
        ]

    def medians(self, rounds: Sequence[Figures]) -> list[Figures]:
        """One object for each version and size; shorter ledgers come first."""
        points: dict[tuple[int, int], list[Figures]] = {}
        for each in rounds:
            for point in each["ledger"]["sizes"]:
                points.setdefault((point["version"], point["entries"]), []).append(point)
        return [
            {"entries": entries, "version": version} | {name: mid(found, name) for name in LEDGER_FIGURES}
            for (version, entries), found in sorted(points.items())
        ]

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        points = self.medians(rounds)
        return [
            self._row(point) for version in self.versions for point in points if point["version"] == version
        ]

    def _row(self, point: Figures) -> Row:
        is_judged = point["version"] == self.versions[0]  # the others are for comparison
        startup_s = point["startup_s"], point["startup_after_kill_s"]
        is_met = point["ratio"] >= self.ratio_min and max(startup_s) < self.startup_max_s
        return Row(
            case=f"ledger of {point['entries']:,} entries, bet_id of version {point['version']}",
            measured=per_s(point["bets_per_s"]),
            beside=per_s(point["reference_per_s"]),
            figure=f"{point['ratio']:.2f}, start-up {startup_s[0]:.2f} s",
            target=f"≥ {self.ratio_min} of the shortest, start-up < {self.startup_max_s:g} s"
            if is_judged
            else "",
            met=is_met if is_judged else None,
            detail=f"start-up after kill -9 {startup_s[1]:.2f} s; {point['file_mib']:,.0f} MiB",
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """Where the CPU time of one bet goes, by the profiler; it has no ceiling and no target."""

    connections: int
    in_flight: int
    rounds_max: int | None = 1  # a profile is not the more true for being repeated

    @property
    def name(self) -> str:
        return f"budget-{self.connections}x{self.in_flight}"

    def measure(self, stand: Stand) -> Figures:
        shape = f"{self.connections}x{self.in_flight}"
        given = ["--json", "--shape", shape, "--nonces", stand.nonces, "--seconds", str(ceil(stand.seconds))]
        return {"budget": ask("bench.budget", given, WITHIN_S)}

    def faults(self, round_: Figures) -> list[str]:
        return []

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        figures = rounds[0]["budget"]
        held = ", ".join(f"{thread} {share:.0%}" for thread, share in figures["gil"].items())
        return [
            Row(
                case=f"CPU of a bet, {self.connections} connections × {self.in_flight} in flight",
                measured=f"{figures['us_per_bet']:.1f} µs",
                detail=f"interpreter lock held by: {held}",
            )
        ]


@dataclass(frozen=True, slots=True)
class Rate:
    """Where another case's rate is found in its rounds."""

    case: str
    path: tuple[str, ...]

    def times(self, per_s_here: float, results: Results) -> tuple[float, float] | None:
        """The rate, and how many times `per_s_here` it is; None if that case was not measured."""
        rounds = results.get(self.case)
        if not rounds or not per_s_here:
            return None
        there = mid(rounds, *self.path)
        return there, there / per_s_here


IN_PROCESS = Rate("engine-1000", ("engine", "bets_per_s"))
OVER_THE_WIRE = Rate("whole-path-100x20", ("wallet", "per_s"))


@dataclass(frozen=True, slots=True)
class Other:
    """Another way to keep the same wallet, and how many times faster the batcher is.

    The first of `beside` is the rate that is fair to set beside it; the others go into the detail.
    """

    name: str
    title: str
    module: str
    beside: tuple[Rate, ...]
    arguments: tuple[object, ...] = ()
    rounds_max: int | None = None

    def measure(self, stand: Stand) -> Figures:
        return {"other": run(self.module, self.arguments, stand, {"per_s"}, WITHIN_S)}

    def faults(self, round_: Figures) -> list[str]:
        return []

    def rows(self, rounds: Sequence[Figures], results: Results) -> list[Row]:
        per_s_here = mid(rounds, "other", "per_s")
        faster = [(rate.case, rate.times(per_s_here, results)) for rate in self.beside]
        texts = [
            f"{case} is {found[1]:.1f} times as fast" if found else f"{case} was not measured"
            for case, found in faster
        ]
        if version := rounds[0]["other"].get("version"):
            texts.append(f"version {version}")
        _, first = faster[0]
        return [
            Row(
                case=self.title,
                measured=per_s(per_s_here),
                beside=per_s(first[0]) if first else "",
                figure=f"{first[1]:.1f} times" if first else "",
                detail="; ".join(texts),
            )
        ]


ONE_BY_ONE = Other(
    name="one-by-one",
    title="SQLite, one transaction a bet",
    module="bench.one_by_one",
    beside=(IN_PROCESS, OVER_THE_WIRE),  # it is in process, too
)
POSTGRES = Other(
    name="postgres",
    title=f"PostgreSQL, one transaction a bet, {POSTGRES_CLIENTS} clients",
    module="bench.postgres",
    beside=(OVER_THE_WIRE, IN_PROCESS),  # its clients are processes of their own, too
    arguments=("--clients", POSTGRES_CLIENTS),
)
