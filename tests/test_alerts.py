"""The alerts and the dashboard of `deploy/`: `promtool` takes them, each alert fires when it should and only
then, and no figure is asked for that the server does not tell.

`promtool` comes with Debian's package `prometheus`; `.ci/run` installs it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.process import Server, seed
from tests.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "alerts.yml"
TESTS = PROMETHEUS / "alerts_test.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboards/solidgreen.json"
BY_PROMETHEUS = {"up"}
SINCE_THE_SELF_CHECK = {"solidgreen_self_check_findings", "solidgreen_table_rows"}
OVER_TLS = {"solidgreen_certificate_expires_timestamp_seconds"}  # tests/test_wire_tls.py sees it told
NAME = re.compile(r"\b(?:solidgreen|process)_\w+|\bup\b(?=\{)")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program is not None, "promtool is missing: apt-get install prometheus"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)


def alerts(rules: str | None = None) -> dict[str, str]:
    """The rule of each alert, as it is written."""
    rules = rules or RULES.read_text(encoding="utf-8")
    pieces = re.split(r"^ +- alert: (\w+)\n", rules, flags=re.MULTILINE)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def panels() -> list[dict[str, Any]]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Of each panel, as Grafana would send them."""
    for panel in panels():
        for target in panel["targets"]:
            sent = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            yield panel["title"], sent


@pytest.mark.long
def test_prometheus_takes_the_configuration() -> None:
    done = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(alerts())} rules found" in done.stdout


@pytest.mark.long
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    done = promtool("test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("sound", "broken"),
    [("> 0.05", "> 0.07"), ("> 0.05", "> 0.03"), ("> 0.8", "> 0.95"), ("> 0.8", "> 0.6"), ("> 0.9", "> 0.96"),
     ("> 0.9", "> 0.8"), ("> 1\n", "> 2\n"), ("!= 0", "> 0"), ("> 64 *", "> 128 *"), ("[2m]", "[30s]"),
     ('breaker="storage", ', ""), ("for: 10m", "for: 0s"), ("for: 2m", "for: 0s"), ("for: 1m", "for: 0s"),
     ("|OVERLOADED", ""), ("|TIMED_OUT", "|INSUFFICIENT_FUNDS"), (">= 2", ">= 3"), (">= 2", ">= 1"),
     ("> 0.85", "> 0.95"), ("> 0.85", "> 0.7"), ('"5..",', '"...",'), ("[5m])) > 5", "[5m])) > 0"),
     (", route!~\"/health/.*\"", ""), ("(instance, route)", "(instance)"), ("|moving", ""),
     ("for: 2h", "for: 1m"), ("> 36 *", "> 48 *"), ("> 36 *", "> 24 *"),
     ("< 14 *", "< 7 *"), ("< 14 *", "< 30 *"), (">= 3", ">= 2"), (">= 3", ">= 4"),
     ("avg_over_time(solidgreen_queue_oldest_seconds[2m]) > 0.15", "solidgreen_queue_oldest_seconds > 0.3"),
     ("> 0.15", "> 0.1"), ("[10m]", "[2m]"), ("[1h]", "[1m]"), ('"never"} == 1', '"never"} >= 0'),
     ('          solidgreen_self_check{status="findings"} == 1', '          solidgreen_self_check == 2')],
)  # fmt: skip
def test_an_alert_that_is_set_wrongly_is_found(tmp_path: Path, sound: str, broken: str) -> None:
    """The tests of the alerts can fail: at each threshold, on both sides where it has two. Only those of the
    alerts that are changed are run."""
    before = alerts()
    rules = RULES.read_text(encoding="utf-8").replace(sound, broken)
    (tmp_path / RULES.name).write_text(rules, encoding="utf-8")
    changed = {name for name, rule in alerts(rules).items() if rule != before[name]}
    head, *cases = re.split(r'^(?=  - name: ")', TESTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    kept = [case for case in cases if changed.intersection(re.findall(r"alertname: (\w+)", case))]
    assert len(kept) == 2 * len(changed) > 0
    (tmp_path / TESTS.name).write_text(head + "".join(kept), encoding="utf-8")
    assert promtool("test", "rules", tmp_path / TESTS.name).returncode == 1


def test_each_alert_is_tested_both_ways() -> None:
    written = TESTS.read_text(encoding="utf-8")
    for name in alerts():
        shown = re.findall(rf"alertname: {name}\n +eval_time: \w+\n +exp_alerts:( \[\])?\n", written)
        assert sorted(shown) == ["", " []"], name


def test_each_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for name, rule in alerts().items():
        assert re.search(r"severity: (critical|warning)\}", rule), name
        assert re.search(r"summary: \"\S.+\"\n", rule), name
        assert f"runbook_url: docs/runbook.md#{name.lower()}\n" in rule


@pytest.mark.long
def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """Each as a rule that records it."""
    rules = tmp_path / "panels.yml"
    lines = ["groups:", "  - name: panels", "    rules:"]
    for number, (_, expression) in enumerate(expressions()):
        lines += [f"      - record: panel:{number}", f"        expr: {json.dumps(expression)}"]
    rules.write_text("\n".join(lines), encoding="utf-8")
    done = promtool("check", "rules", rules)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(list(expressions()))} rules found" in done.stdout


def test_the_dashboard_is_one_that_grafana_finds() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert board["uid"] == "solidgreen"
    sources = (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    asked = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert asked == set(re.findall(r"^ +uid: (\w+)", sources, re.MULTILINE))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    taken = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"])
             for y in range(at["y"], at["y"] + at["h"])]  # fmt: skip
    assert len(set(taken)) == len(taken), "two panels lie over each other"


def test_what_is_shown_as_now_is_no_older() -> None:
    """A stat of a range shows whatever was so at some time of it: each state that a breaker was in within the
    hour. And where a state is its name, with a value that is always 1, the name has to be shown."""
    stats = [panel for panel in panels() if panel["type"] == "stat"]
    assert stats
    for panel in stats:
        assert all(target["instant"] and not target["range"] for target in panel["targets"]), panel["title"]
    for title in ("Circuit", "Self-check", "Version"):
        (panel,) = [panel for panel in stats if panel["title"] == title]
        assert panel["options"]["textMode"] == "name"


def test_what_may_be_below_zero_is_shown_there() -> None:
    (clock,) = [panel for panel in panels() if "clock_jumped" in panel["targets"][0]["expr"]]
    assert "min" not in clock["fieldConfig"]["defaults"]


def test_each_panel_shows_one_kind_of_server_only() -> None:
    for title, expression in expressions():
        assert expression.count('instance=~".*"') == len(NAME.findall(expression)), title


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer) -> set[str]:
    """The names of all that a running server tells, one with Redis, so that both breakers are there."""
    db = tmp_path_factory.mktemp("told") / "wallet.db"
    seed(db, 1, 100)
    with (
        Server(db, redis_url=shared_redis.url) as server,
        urllib.request.urlopen(f"{server.http}/metrics", timeout=5) as answer,
    ):
        families = list(text_string_to_metric_families(answer.read().decode()))
    # Of a family without a sample yet, the name that its samples will have.
    counters = {f"{family.name}_total" for family in families if family.type == "counter"}
    histograms = {
        f"{family.name}_{part}"
        for family in families
        if family.type == "histogram"
        for part in ("bucket", "count", "sum")
    }
    return counters | histograms | {family.name for family in families if family.type == "gauge"}


def test_alerts_ask_only_for_what_the_server_tells(told: set[str]) -> None:
    rules = "\n".join(line for line in RULES.read_text().splitlines() if not line.strip().startswith("#"))
    asked = set(NAME.findall(re.sub(r"runbook_url.*|summary.*", "", rules)))
    assert len(asked) > 12
    assert asked - BY_PROMETHEUS - OVER_TLS <= told


def test_the_dashboard_asks_only_for_what_the_server_tells(told: set[str]) -> None:
    asked = {name for _, expression in expressions() for name in NAME.findall(expression)}
    assert asked - BY_PROMETHEUS - SINCE_THE_SELF_CHECK <= told


def test_operations_explains_every_figure(told: set[str]) -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^## Metrics\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`((?:solidgreen|process)_\w+)", row)}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told if name.startswith("solidgreen")}
    ours = {name for name in explained if name.startswith("solidgreen")}
    assert ours - {"solidgreen_self_check_timestamp_seconds"} - SINCE_THE_SELF_CHECK - OVER_TLS == families
    assert explained > {"process_cpu_seconds_total", "process_resident_memory_bytes"}
