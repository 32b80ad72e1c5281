"""The pages as they are served: what is sent, under which policy, and that nothing is missing."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from starlette.applications import Starlette

from ws.pages.files import PAGES, served
from ws.pages.routes import POLICY, page_routes

ROOT = Path(__file__).resolve().parent.parent
FILES = {path: file for path, file, _ in served()}
SCRIPTS = {path: file for path, file in FILES.items() if path.endswith(("js", "mjs"))}
IMPORTS = re.compile(r"""^(?:import|export)\b[^;"]*?"([^"]+)";""", re.MULTILINE)
ON_DEMAND = re.compile(r"""=> import\("([^"]+)"\)""")

each_page = pytest.mark.parametrize("path", PAGES)


class Markup(HTMLParser):
    """What a page refers to, and what of it a policy would forbid."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        had = {name: value or "" for name, value in attrs}
        self.inline += [name for name in had if name == "style" or name.startswith("on")]
        link = had.get("src") or (had.get("href") if tag == "link" else None)
        if link and not link.startswith("data:"):
            self.links.append((had.get("rel", tag), link))

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


def imported(path: str, found: re.Pattern[str] = IMPORTS) -> set[str]:
    """The paths of the modules that this one imports."""
    text = SCRIPTS[path].read_text(encoding="utf-8")
    return {urljoin(path, name) for name in found.findall(text)}


def closure(paths: set[str]) -> set[str]:
    """These modules and all that they import."""
    found: set[str] = set()
    while new := paths - found:
        found |= new
        paths = set().union(*map(imported, new))
    return found


def answers(*paths: str, **headers: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=Starlette(routes=page_routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def test_each_file_is_served_as_it_is_and_as_what_it_is() -> None:
    for answer, (path, file) in zip(answers(*FILES), FILES.items(), strict=True):
        assert answer.content == file.read_bytes(), path
        assert answer.headers["cache-control"] == "no-cache"
        kind = "text/javascript" if path in SCRIPTS else "text/css" if path.endswith("css") else "text/html"
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    (again,) = answers("/", **{"If-None-Match": answers("/")[0].headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_client_and_the_verifier_are_served_from_where_they_are_kept() -> None:
    for file in (ROOT / "clients/javascript").glob("*.js"):
        assert FILES[f"/web/client/{file.name}"] == file
    assert FILES["/web/verifier/check.mjs"] == ROOT / "verifier/check.mjs"
    assert not [path for path in FILES if path.endswith(".d.ts") or "node_modules" in path]


@each_page
def test_a_page_lets_in_nothing_but_files_of_this_server(path: str) -> None:
    (answer,) = answers(path)
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    page = Markup(answer.text)
    assert page.inline == []
    assert {link for _, link in page.links} <= FILES.keys()


def test_each_module_that_is_imported_is_served() -> None:
    for path in SCRIPTS:
        assert imported(path) | imported(path, ON_DEMAND) <= FILES.keys(), path


@each_page
def test_what_a_page_begins_with_is_asked_for_at_once(path: str) -> None:
    """Not module after module, each a way to the server and back."""
    page = Markup(FILES[path].read_text(encoding="utf-8"))
    begun = {link for kind, link in page.links if kind == "script"}
    ahead = {link for kind, link in page.links if kind == "modulepreload"}
    assert closure(begun) - begun <= ahead
    assert ahead <= closure(ahead | begun)


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.startswith("/web/") and "/client/" not in path]
)
def test_text_never_becomes_markup_or_a_program(path: str) -> None:
    text = FILES[path].read_text(encoding="utf-8")
    assert not re.search(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function)", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "nothing comes from elsewhere"
    assert "url(" not in text
