"""Both contracts: sound by their official schemas, whole, and as they are pinned in `docs/`.

python tests/test_contracts.py      writes docs/asyncapi.json and docs/openapi.json anew
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft7Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.applications import Starlette

from engine.outcomes import Code
from tests.json_schema import Ecma, validator
from ws.application import application
from ws.beside.tasks import Beside
from ws.contracts.asyncapi import CLOSE_CODES, asyncapi
from ws.contracts.examples import EXAMPLES
from ws.contracts.meanings import MEANINGS
from ws.contracts.openapi import openapi
from ws.contracts.schemas import schemas
from ws.contracts.special_meanings import SPECIAL_MEANINGS
from ws.docs.routes import contract_routes
from ws.effects import CloseCode
from ws.http.problems import STATUS
from ws.pages.files import served
from ws.people.routes import COOKIE, people_routes
from ws.people.staff_routes import staff_routes
from ws.v1.routes import ROUTES
from ws.wire.fields import SUBPROTOCOL

Json = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parent.parent
OFFICIAL: Final = json.loads((ROOT / "tests/vendor/asyncapi-3.0.0.json").read_text(encoding="utf-8"))
ASYNCAPI: Final = asyncapi()
OPENAPI: Final = openapi()
SERVED: Final = contract_routes()
BOTH: Final = {"asyncapi": ASYNCAPI, "openapi": OPENAPI}

UNDESCRIBED: Final = {"/docs/style.css", "/docs/socket", "/docs/http", "/ws"} | {
    each.path for each in served()
}
"""Parts of a page that is described, the socket, which is the other contract's, and the pages for people."""


def everything_in(part: Any) -> Iterator[Json]:
    """Every object in a document."""
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from everything_in(each)


def pinned(document: Json) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


# --- as documents ----------------------------------------------------------------------------------------


def test_the_socket_is_described_as_asyncapi_wants_it() -> None:
    checks = Draft7Validator(OFFICIAL)
    assert [error.message for error in checks.iter_errors(ASYNCAPI)] == []
    broken = copy.deepcopy(ASYNCAPI)
    broken["operations"]["ping"]["action"] = "answer"
    assert not checks.is_valid(broken)


def test_http_is_described_as_openapi_wants_it() -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(OPENAPI).iter_errors()] == []
    broken = copy.deepcopy(OPENAPI)
    broken["paths"]["/v1/bets"]["post"]["responses"] = []
    assert not OpenAPIV31SpecValidator(broken).is_valid()


@pytest.mark.parametrize("document", BOTH.values(), ids=BOTH)
def test_every_reference_leads_somewhere(document: Json) -> None:
    refs = {each["$ref"] for each in everything_in(document) if isinstance(each.get("$ref"), str)}
    assert len(refs) > 50
    for ref in refs:
        at: Any = document
        for step in ref.removeprefix("#/").split("/"):
            at = at[step]


@pytest.mark.parametrize("document", BOTH.values(), ids=BOTH)
def test_nothing_is_described_that_nobody_refers_to(document: Json) -> None:
    text = json.dumps(document)
    unused = [name for name in document["components"]["schemas"] if text.count(f'schemas/{name}"') == 0]
    assert set(unused) <= {"RequestFrame", "ReplyFrame"}


def test_what_fields_mean_is_said_of_fields_that_there_are() -> None:
    known = schemas()
    fields = {field for schema in known.values() for field in schema.get("properties", ())}
    assert MEANINGS.keys() <= fields
    bases = {"BetMoved": "BetSettled"}
    for name, field in SPECIAL_MEANINGS:
        assert field in known[bases.get(name, name)]["properties"], (name, field)
    for name, example in EXAMPLES.items():
        assert example.keys() <= known[name]["properties"].keys(), name


@pytest.mark.parametrize("name", ["asyncapi", "openapi"])
def test_a_change_of_the_contract_shows(name: str) -> None:
    path = ROOT / "docs" / f"{name}.json"
    assert path.read_text(encoding="utf-8") == pinned(BOTH[name]), (
        "the contract has changed: python tests/test_contracts.py, and look at what that changes"
    )


# --- what they say ---------------------------------------------------------------------------------------


def test_examples_of_messages_are_valid() -> None:
    for message in ASYNCAPI["components"]["messages"].values():
        name = message["payload"]["$ref"].rpartition("/")[2]
        for example in message["examples"]:
            validator(ASYNCAPI, name).validate(example["payload"])


def test_examples_of_http_are_valid() -> None:
    seen = 0
    for each in everything_in(OPENAPI):
        if "schema" in each:
            checks = Ecma(each["schema"] | {"components": OPENAPI["components"]})
            examples = [each["example"]] if "example" in each else []
            for example in examples + [named["value"] for named in each.get("examples", {}).values()]:
                checks.validate(example)
                seen += 1
    assert seen > 150


def test_examples_of_the_documentation_are_valid() -> None:
    """PROTOCOL's own, as docs/ show them: what other people's clients were written from."""
    seen = set()
    for page in ("protocol.md", "wire.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for block in re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            for message in objects_of(block):
                type_ = message["type"]
                if type_ == "bet.trail" and "transactions" in message:  # the one whose reply is called alike
                    type_ = "bet.trail.reply"
                ref = ASYNCAPI["components"]["messages"][type_]["payload"]["$ref"]
                name = ref.rpartition("/")[2]
                errors = [error.message for error in validator(ASYNCAPI, name).iter_errors(message)]
                assert errors == [], message
                assert message.keys() <= ASYNCAPI["components"]["schemas"][name]["properties"].keys()
                seen.add(message["type"])
    assert len(seen) > 50


def objects_of(block: str) -> Iterator[Json]:
    """The JSON objects that stand one after the other in a text."""
    while block.strip():
        found, end = json.JSONDecoder().raw_decode(block.strip())
        block = block.strip()[end:]
        yield found


def test_every_code_and_every_close_code_is_explained() -> None:
    for document in BOTH.values():
        assert [each["code"] for each in document["x-codes"]] == [code.name for code in Code]
    assert {code.value for code in CloseCode} <= CLOSE_CODES.keys()


def test_the_subprotocol_is_the_one_that_is_asked_for() -> None:
    headers = ASYNCAPI["channels"]["wallet"]["bindings"]["ws"]["headers"]
    assert headers["properties"]["Sec-WebSocket-Protocol"]["const"] == SUBPROTOCOL


def test_every_route_says_how_it_is_refused() -> None:
    for route in ROUTES:
        operation = OPENAPI["paths"][route.path][route.method.lower()]
        statuses = {int(status) for status in operation["responses"]}
        assert statuses >= {400, 401, 403, 429, 500}, route.path
        assert not route.has_body or statuses >= {413, 415}
        assert statuses <= {200, 201, 304, 413, 415} | {status.value for status in STATUS.values()}


def test_the_cookie_of_the_refresh_token_is_described_where_it_is_read_and_set() -> None:
    ways = {path: each["post"] for path, each in OPENAPI["paths"].items() if path.startswith("/v1/auth/")}
    read = {
        path for path, each in ways.items() if "cookie" in {it["in"] for it in each.get("parameters", ())}
    }
    sets = {
        path
        for path, each in ways.items()
        for told in each["responses"].values()
        if "Set-Cookie" in told.get("headers", {})
    }
    assert read == {"/v1/auth/refresh"}
    assert ways["/v1/auth/refresh"]["parameters"][0]["name"] == COOKIE
    assert sets == {f"/v1/auth/{name}" for name in ("register", "login", "refresh", "logout")}


def test_what_is_the_same_for_everybody_says_how_it_is_asked_for_again_and_refused() -> None:
    for path in ("/openapi.json", "/asyncapi.json", "/docs"):
        operation = OPENAPI["paths"][path]["get"]
        assert operation["responses"].keys() == {"200", "304", "400", "429", "500"}
        assert [each["name"] for each in operation["parameters"]] == ["If-None-Match"]
        answer = get(path)
        again = get(path, **{"If-None-Match": answer.headers["etag"]})
        for each in (answer, again):
            told = operation["responses"][str(each.status_code)]["headers"]
            assert all(
                re.search(its["schema"].get("pattern", ""), each.headers[name]) for name, its in told.items()
            )


def test_whatever_moves_money_asks_for_an_idempotency_key() -> None:
    for route in ROUTES:
        parameters = OPENAPI["paths"][route.path][route.method.lower()].get("parameters", [])
        names = {each["name"]: each["required"] for each in parameters}
        assert ("Idempotency-Key" in names) is route.moves_money
        assert names.get("Idempotency-Key", False) is route.needs_key


def test_operations_have_names_of_their_own() -> None:
    names = [each["operationId"] for path in OPENAPI["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
    assert "betPlace" in names


def test_every_path_that_is_served_is_described() -> None:
    parts = SimpleNamespace(path=ROOT / "wallet.db", gauge=None)
    door: Any = SimpleNamespace(store=parts, batcher=parts, hub=parts, limits=parts, identify=None)
    guard: Any = parts
    entrance: Any = SimpleNamespace(routes=lambda: [*people_routes(guard), *staff_routes(guard, guard)])
    given: Json = {"door": door, "beside": Beside(), "origins": frozenset(), "entrance": entrance}
    needed = inspect.signature(application).parameters
    served_by: Any = application(**{name: given.get(name, guard) for name in needed})
    while not hasattr(served_by, "routes"):  # what is around it
        served_by = served_by._app
    paths = {route.path for route in served_by.routes}
    assert paths - UNDESCRIBED == {*OPENAPI["paths"]}


# --- as they are served ----------------------------------------------------------------------------------


def get(path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=Starlette(routes=SERVED))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize(("path", "document"), [("/asyncapi.json", ASYNCAPI), ("/openapi.json", OPENAPI)])
def test_they_are_served_and_told_apart_from_older_ones(path: str, document: Json) -> None:
    answer = get(path)
    assert answer.json() == document
    assert answer.headers["content-type"] == "application/json"
    tag = answer.headers["etag"]
    for known in (tag, f'"older", W/{tag}', "*"):
        again = get(path, **{"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert get(path, **{"If-None-Match": '"older"'}).status_code == 200
    head = get(path, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]
    assert get(path, "POST").status_code == 405


if __name__ == "__main__":
    for file, contract in BOTH.items():
        (ROOT / "docs" / f"{file}.json").write_text(pinned(contract), encoding="utf-8")
