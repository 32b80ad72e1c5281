"""The pages at `/docs`: sound HTML, whole, and in need of nothing from elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.applications import Starlette

from ws.contracts.asyncapi import asyncapi
from ws.contracts.openapi import openapi
from ws.docs.html import Html, element, join, prose
from ws.docs.pages import STYLE_PATH, pages
from ws.docs.parts import kind
from ws.docs.routes import contract_routes

ASYNCAPI: Final = asyncapi()
OPENAPI: Final = openapi()
PAGES: Final = pages(ASYNCAPI, OPENAPI)
ROUTES: Final = contract_routes()
EMPTY: Final = {"meta", "link", "wbr"}


class Reader(HTMLParser):
    """Reads a page as strictly as XML is read: what is opened is closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.headings: list[int] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(params=PAGES)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_page_is_sound_html(path: str) -> None:
    page = Reader(PAGES[path])
    assert PAGES[path].startswith('<!doctype html><html lang="en">')
    assert len(page.ids) == len(set(page.ids))
    assert page.names.count("h1") == page.names.count("main") == page.names.count("title") == 1


def test_every_link_leads_somewhere(path: str) -> None:
    page = Reader(PAGES[path])
    served = {route.path for route in ROUTES}
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        elif not link.startswith("data:"):
            assert link in served, link


def test_a_page_needs_no_script_and_nothing_from_elsewhere(path: str) -> None:
    page = Reader(PAGES[path])
    assert not {"script", "style", "iframe", "img", "form"} & {*page.names}
    assert not [name for name in page.attributes if name.startswith("on") or name in ("style", "src")]
    assert not [link for link in page.links if "//" in link and not link.startswith("data:image/svg+xml,")]


def test_headings_go_down_step_by_step(path: str) -> None:
    headings = Reader(PAGES[path]).headings
    steps = [after - before for before, after in itertools.pairwise(headings)]
    assert headings[0] == 1
    assert max(steps) == 1


def test_every_message_and_every_route_has_its_place() -> None:
    socket, http = Reader(PAGES["/docs/socket"]), Reader(PAGES["/docs/http"])
    assert {*ASYNCAPI["components"]["messages"]} <= {*socket.ids}
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            assert operation["operationId"] in http.ids
            assert f"{method.upper()} {path}" in http.text
    for page in (Reader(PAGES["/docs"]), socket, http):
        assert all(f"code-{each['code']}" in page.ids for each in ASYNCAPI["x-codes"])


def test_every_field_is_told_with_what_it_means() -> None:
    text = Reader(PAGES["/docs/socket"]).text
    for message in ASYNCAPI["components"]["messages"].values():
        schema = ASYNCAPI["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
        for name, its in schema["properties"].items():
            assert name == "type" or its["description"].replace("`", "") in text, name


def test_what_is_no_html_is_escaped() -> None:
    assert element("p", '<b> & "', title='"<>') == '<p title="&quot;&lt;&gt;">&lt;b&gt; &amp; "</p>'
    assert join(Html("<br>"), "<br>") == "<br>&lt;br&gt;"
    assert prose("a `<b>` c") == "a <code>&lt;b&gt;</code> c"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1}, "integer, from 1 to 2⁵³ − 1"),
        ({"type": "integer", "minimum": -(2**53 - 1), "maximum": 0}, "integer, from −(2⁵³ − 1) to 0"),
        ({"type": "integer"}, "integer"),
        ({"type": "string", "minLength": 8, "maxLength": 64}, "text, from 8 to 64 characters"),
        ({"type": "string", "maxLength": 64}, "text, at most 64 characters"),
        ({"type": "string", "pattern": "^[A-Z]{3}$"}, "three capital letters"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "true or false or null"),
        ({"enum": ["a", "b"]}, "one of <code>a</code>, <code>b</code>"),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/X"}, "minItems": 2, "maxItems": 100},
            'list of 2 to 100 <a href="#type-X">X</a>',
        ),
    ],
)  # fmt: skip
def test_types_are_told_in_words(schema: dict[str, object], words: str) -> None:
    assert kind(schema) == words


def test_pages_are_served_with_a_policy_that_lets_only_their_style_in() -> None:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=Starlette(routes=ROUTES))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return [await client.get(each) for each in (*PAGES, STYLE_PATH)]

    *answers, style = asyncio.run(ask())
    for answer, text in zip(answers, PAGES.values(), strict=True):
        assert answer.text == text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; img-src data:;")
        assert "script-src" not in policy
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    css = (Path(__file__).resolve().parent.parent / "ws/docs/style.css").read_text(encoding="utf-8")
    assert style.text == css
    assert "url(" not in css
    assert "prefers-color-scheme: dark" in css
