"""docs/http.md has every route, with every field that it takes, and shows answers as they are encoded."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.operator_messages import leaves
from ws.http.problems import STATUS, Problem
from ws.v1.routes import OF_A_BET, ROUTES, Route, Where
from ws.wire.fields import Reply

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "http.md").read_text(encoding="utf-8")
REPLIES = {each.__struct_config__.tag: each for each in leaves(Reply)}


def row_of(route: Route) -> str:
    told = (Where.BODY,) if route.has_body else (Where.QUERY,)
    names = [
        f"`{field.name}`" if field.is_required else f"[`{field.name}`]"
        for field in route.fields()
        if field.where in told
    ]
    fields = ", ".join(names) or "–"
    return f"| `{route.method} {route.path}` | {route.summary} | {fields} | `{route.name}` |"


def test_the_page_has_every_route_as_the_table_has_it() -> None:
    assert re.findall(r"^\| `[A-Z]+ /v1.*$", PAGE, re.MULTILINE) == [row_of(route) for route in ROUTES]


def test_the_page_shows_answers_as_they_are_encoded() -> None:
    shown = [
        json.loads(line)
        for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert {"wallet", "wallet.entries", "wallet.bets"} <= {each["type"] for each in shown}
    for each in shown:
        if each["type"].startswith("urn:"):
            known: tuple[str, ...] = (*Problem.__struct_fields__, *OF_A_BET)
        else:
            known = ("type", *REPLIES[each["type"]].__struct_fields__)
        assert [*each] == [name for name in known if name in each and name != "id"]


def test_the_page_names_the_status_of_every_code() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", PAGE, re.MULTILINE)
    told = {name: numbers for numbers, words in rows for name in re.findall(r"`([A-Z_]+)`", words)}
    assert told.keys() == {code.name for code in STATUS}
    for code, status in STATUS.items():
        assert str(status.value) in told[code.name], code
