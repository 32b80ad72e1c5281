"""The shape of the house, read from the imports: arrows run one way, and pure modules stay pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("cli", "ws", "batcher", "engine")  # each may import those after it
OUTSIDE = ("harness", "bench", "tests", "locustfile")  # speak the wire; no room imports them
PURE = {
    *(
        "engine.actors",
        "engine.deeds",
        "engine.money",
        "engine.commands",
        "engine.outcomes",
        "engine.people",
        "engine.records",
        "engine.view",
        "engine.now",
    ),
    *("engine.blocks", "engine.histograms", "engine.merkle"),
    *(
        "engine.archived_keys",
        "engine.decide",
        "engine.decide.answers",
        "engine.decide.place",
        "engine.decide.bets",
    ),
    *(
        "engine.decide.archive",
        "engine.decide.books",
        "engine.decide.cash",
        "engine.decide.holds",
        "engine.decide.limits",
        "engine.decide.payouts",
    ),
    *(
        "engine.decide.bonus",
        "engine.decide.shares",
        "engine.bonus",
        "engine.subjects",
        "engine.lifecycle",
        "engine.limits",
    ),
    *("engine.errors", "engine.checks", "engine.snapshots", "engine.warm", "engine.counterparties"),
    *("engine.leg_checks", "engine.life_checks", "engine.hold_checks", "engine.payout_checks"),
    *("engine.bonus_checks", "engine.floor_checks", "engine.archive_checks", "engine.origin"),
    *("batcher.policy", "batcher.breaker", "batcher.steady", "batcher.undecided", "batcher.copies"),
    *(
        "ws.actors",
        "ws.addresses",
        "ws.allowance",
        "ws.answers",
        "ws.archives",
        "ws.contracts_common",
        "ws.contracts_examples",
        "ws.contracts_fields",
        "ws.contracts_http",
        "ws.contracts_others",
        "ws.contracts_schemas",
        "ws.contracts_ws",
        "ws.docs_html",
        "ws.docs_http",
        "ws.docs_pages",
        "ws.docs_schema",
        "ws.docs_socket",
        "ws.books",
        "ws.clock",
        "ws.circuit",
        "ws.ended",
        "ws.expiries",
        "ws.fields",
        "ws.lockout",
        "ws.messages",
        "ws.operators",
        "ws.people_messages",
        "ws.payouts",
        "ws.problems",
        "ws.intents",
        "ws.reads",
        "ws.roles",
        "ws.routes",
        "ws.v1_requests",
        "ws.limits",
        "ws.receipts",
        "ws.shell_headers",
        "ws.wallets",
        "ws.client_errors",
        "ws.client_state",
        "ws.client_view",
        "ws.client_wire",
        "ws.codec",
        "ws.effects",
        "ws.protocol",
    ),
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
    "argon2": {"ws.password_process", "ws.passwords"},
    "cryptography": {"engine.keys", "verifier.check", "ws.tls"},
    "redis": {"batcher.redis_nonces"},
    "limits": {"cli.values", "ws.rates", "ws.rate_windows", "ws.rates_in_redis"},
    "jwt": {"ws.auth"},
    "opentelemetry": {"ws.traces"},
    "prometheus_client": {"ws.metrics"},
    "structlog": {"ws.logs"},
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
            if node.module in ROOMS:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def by_name(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=name_of)


@by_name(MODULES)
def test_arrows_run_one_way(path: Path) -> None:
    room = ROOMS.index(name_of(path).split(".")[0])
    above = set(ROOMS[:room]) | set(OUTSIDE)
    assert not {name for name in imports_of(path) if name.split(".")[0] in above}


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
