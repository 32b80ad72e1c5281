"""The shape of the house, read from the imports: arrows run one way, and pure modules stay pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("cli", "ws", "batcher", "engine")  # each may import those after it
DOORS = (  # modules and rooms of `ws`: each may import those after it
    *("app", "application", "server", "watching", "pages", "docs", "contracts", "people", "v1", "sockets"),
    *("protocol", "asking", "transport", "http", "auth", "codec", "effects", "strict_json"),
    *("tls", "beside", "settings", "rates", "client", "wire"),
)
OUTSIDE = ("harness", "bench", "demo", "tests", "locustfile")  # speak the wire; no room imports them
PURE = {
    *("batcher.breaker", "batcher.copies", "batcher.policy", "batcher.steady"),
    *("batcher.undecided",),
    *("engine.actors", "engine.archive_checks", "engine.archived_keys", "engine.blocks"),
    *("engine.bonus", "engine.bonus_checks", "engine.checks", "engine.commands"),
    *("engine.counterparties", "engine.decide"),
    *("engine.decide.answers", "engine.decide.archive", "engine.decide.bets"),
    *("engine.decide.bonus", "engine.decide.books", "engine.decide.cash", "engine.decide.holds"),
    *("engine.decide.limits", "engine.decide.payouts", "engine.decide.place"),
    *("engine.decide.shares",),
    *("engine.deeds", "engine.errors", "engine.floor_checks", "engine.histograms"),
    *("engine.hold_checks", "engine.leg_checks", "engine.life_checks", "engine.lifecycle"),
    *("engine.limits", "engine.merkle", "engine.money", "engine.now", "engine.origin"),
    *("engine.outcomes", "engine.payout_checks", "engine.people", "engine.records"),
    *("engine.snapshots", "engine.subjects", "engine.view", "engine.warm"),
    *("ws.asking.actors", "ws.asking.ended", "ws.asking.intents", "ws.asking.roles"),
    *("ws.client.errors", "ws.client.state", "ws.client.view", "ws.client.wire"),
    *("ws.codec",),
    *("ws.contracts.asyncapi", "ws.contracts.examples", "ws.contracts.meanings", "ws.contracts.openapi"),
    *("ws.contracts.plain_operations", "ws.contracts.plain_routes", "ws.contracts.preface"),
    *("ws.contracts.refusals", "ws.contracts.schemas", "ws.contracts.special_meanings"),
    *("ws.contracts.tags",),
    *("ws.docs.html", "ws.docs.http_page", "ws.docs.pages", "ws.docs.parts", "ws.docs.socket_page"),
    *("ws.effects",),
    *("ws.http.headers", "ws.http.problems", "ws.http.trace_parent"),
    *("ws.people.lockout", "ws.people.messages", "ws.people.pace"),
    *("ws.protocol",),
    *("ws.rates.addresses",),
    *("ws.sockets.expiries",),
    *("ws.strict_json",),
    *("ws.transport.shares",),
    *("ws.v1.requests", "ws.v1.routes"),
    *("ws.wire.allowance", "ws.wire.answers", "ws.wire.archives", "ws.wire.books"),
    *("ws.wire.checks", "ws.wire.circuit", "ws.wire.clock", "ws.wire.fields", "ws.wire.figures"),
    *("ws.wire.limits", "ws.wire.messages", "ws.wire.players", "ws.wire.signers", "ws.wire.trails"),
    *("ws.wire.operators", "ws.wire.outcomes", "ws.wire.payouts", "ws.wire.reads", "ws.wire.receipts"),
    *("ws.wire.wallets",),
}
NOT_PURE = {
    *(
        "asyncio",
        "threading",
        "concurrent",
        "time",
        "datetime",
        "random",
        "secrets",
        "uuid",
        "logging",
        "os",
        "io",
    ),
    *(
        "sqlite3",
        "aiosqlite",
        "redis",
        "socket",
        "subprocess",
        "pathlib",
        "starlette",
        "uvicorn",
        "websockets",
    ),
}
ONLY_IMPORTER = {
    "aiosqlite": {"engine.store"},
    "argon2": {"ws.people.password_process", "ws.people.passwords"},
    "cryptography": {"engine.keys", "verifier.check", "ws.tls"},
    "redis": {"batcher.redis_nonces"},
    "limits": {"cli.values", "ws.rates.rates", "ws.rates.windows", "ws.rates.in_redis"},
    "jwt": {"ws.auth"},
    "opentelemetry": {"ws.watching.traces"},
    "prometheus_client": {"ws.watching.metrics"},
    "structlog": {"ws.watching.logs"},
}
# The engine measured in its own process; every other load comes through the door.
IN_PROCESS = {
    ROOT / "bench" / name
    for name in (
        "engine.py",
        "bare.py",
        "bets.py",
        "fill_wal.py",
        "ledger.py",
        "old_books.py",
        "one_by_one.py",
    )
}
MAY_OPEN_THE_STORE = {"ws.app", "cli.archive", "cli.operate", "cli.people"}
SECOND_LOOK_LINES = 500
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            assert node.module is not None
            room = ROOT.joinpath(*node.module.split("."))
            for alias in node.names:  # of a room, its modules; of a module, what is in it
                yield f"{node.module}.{alias.name}" if (room / f"{alias.name}.py").exists() else node.module


def by_name(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=name_of)


@by_name(MODULES)
def test_arrows_run_one_way(path: Path) -> None:
    room = ROOMS.index(name_of(path).split(".")[0])
    above = set(ROOMS[:room]) | set(OUTSIDE)
    assert not {name for name in imports_of(path) if name.split(".")[0] in above}


@by_name([path for path in MODULES if name_of(path).startswith("ws.")])
def test_arrows_between_the_doors_rooms_run_one_way(path: Path) -> None:
    here = name_of(path).split(".")[1]
    for name in imports_of(path):
        if name.startswith("ws."):
            there = name.split(".")[1]
            assert there == here or DOORS.index(there) > DOORS.index(here), f"{here} may not know {there}"


@by_name([path for path in MODULES if name_of(path) in PURE])
def test_a_pure_module_imports_only_pure_ones(path: Path) -> None:
    for name in imports_of(path):
        top = name.split(".")[0]
        assert top not in NOT_PURE, f"{name} has a clock, chance or I/O"
        assert top not in ROOMS or name in PURE, f"{name} is not pure"


def test_every_pure_module_exists() -> None:
    assert {name_of(path) for path in MODULES} >= PURE


@by_name(MODULES)
def test_a_driver_has_one_importer(path: Path) -> None:
    for name in imports_of(path):
        importers = ONLY_IMPORTER.get(name.split(".")[0])
        assert importers is None or name_of(path) in importers


@by_name(MODULES)
def test_only_the_composition_root_and_the_command_line_open_the_store(path: Path) -> None:
    if "Store.open(" in path.read_text(encoding="utf-8"):
        assert name_of(path) in MAY_OPEN_THE_STORE


@by_name([path for path in MODULES if not name_of(path).startswith("ws.client")])
def test_the_server_needs_nothing_of_the_client(path: Path) -> None:
    assert not {name for name in imports_of(path) if name.startswith("ws.client")}


@by_name(sorted((ROOT / "verifier").glob("*.py")))
def test_the_verifier_needs_nothing_of_the_house(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports_of(path)}
    assert tops <= {"__future__", "cryptography", "hashlib", "json", "re", "struct", "typing", "verifier"}


def test_only_the_command_line_knows_the_verifier() -> None:
    users = {
        name_of(path) for path in MODULES if any(name.startswith("verifier") for name in imports_of(path))
    }
    assert users == {"cli.evidence", "cli.verify"}


@pytest.mark.parametrize(
    "outside", [ROOT / "harness", ROOT / "bench", ROOT / "tests/crash", ROOT / "locustfile.py"]
)
def test_load_and_crash_runs_speak_only_the_wire(outside: Path) -> None:
    for path in sorted({*outside.rglob("*.py")} - IN_PROCESS) if outside.is_dir() else [outside]:
        assert not {name for name in imports_of(path) if name.split(".")[0] in ROOMS}, path


@by_name(sorted((ROOT / "demo").glob("*.py")))
def test_the_demo_is_an_outsider_with_the_client(path: Path) -> None:
    of_rooms = {name for name in imports_of(path) if name.split(".")[0] in ROOMS}
    assert {name for name in of_rooms if not name.startswith(("ws.client", "ws.wire"))} == set()


def test_there_are_no_circles() -> None:
    graph = {name_of(path): set(imports_of(path)) for path in MODULES}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name in graph and name not in finished:
            for imported in graph[name]:
                visit(imported, (*trail, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


@by_name([*MODULES, ROOT / "locustfile.py"])
def test_a_module_holds_one_idea(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    # One file on purpose: readers copy it whole.
    limit = 700 if path.name == "locustfile.py" else SECOND_LOOK_LINES
    assert lines <= limit, f"{lines} lines deserve a second look"
