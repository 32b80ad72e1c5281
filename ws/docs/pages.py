"""The pages at `/docs`: both contracts for people, as HTML that needs nothing from elsewhere. Pure.

They are made from the documents themselves, so that they cannot say anything else. Without scripts; usable by
keyboard, by ear, and on a phone, where the contents stand below the text.
"""

from __future__ import annotations

from typing import Any, Final

from ws.contracts.preface import TITLE, WHAT_IT_IS
from ws.docs.html import Html, element, join, prose
from ws.docs.http_page import contents_of_http, http
from ws.docs.parts import codes
from ws.docs.socket_page import contents_of_socket, socket

Json = dict[str, Any]

STYLE_PATH: Final = "/docs/style.css"

ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%23128a4a'/%3E%3C/svg%3E"
)
"""A solid green dot."""

_PAGES: Final = {"/docs": "Start", "/docs/socket": "Socket", "/docs/http": "HTTP"}


def pages(asyncapi: Json, openapi: Json) -> dict[str, str]:
    """Each page, by its path."""
    return {
        "/docs": _page("/docs", TITLE, _start(asyncapi), _contents_of_start()),
        "/docs/socket": _page("/docs/socket", "The socket", socket(asyncapi), contents_of_socket(asyncapi)),
        "/docs/http": _page("/docs/http", "HTTP", http(openapi), contents_of_http(openapi)),
    }


def _page(path: str, title: str, main: Html, contents: Html) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title if title == TITLE else f"{title} · {TITLE}"),
        element("link", rel="icon", href=ICON),
        element("link", rel="stylesheet", href=STYLE_PATH),
    )
    body = element(
        "body",
        element("a", "Skip to the text", href="#text", class_="skip"),
        _header(path),
        element("main", element("h1", title), main, id="text", tabindex="-1"),
        element("nav", element("h2", "Contents"), contents, id="contents", aria_label="On this page"),
    )
    return f"<!doctype html>{element('html', head, body, lang='en')}\n"


def _header(path: str) -> Html:
    links = [
        element("a", name, href=each, **({"aria_current": "page"} if each == path else {}))
        for each, name in _PAGES.items()
    ]
    to_contents = element("a", "Contents", href="#contents", class_="to-contents")
    return element(
        "header",
        element("span", TITLE, class_="brand"),
        element("nav", *links, aria_label="Pages"),
        to_contents,
    )


def _start(asyncapi: Json) -> Html:
    text = asyncapi["info"]["description"].removeprefix(WHAT_IT_IS).strip()
    return join(
        element("p", WHAT_IT_IS, class_="lead"),
        element("h2", "Two doors", id="doors"),
        element(
            "ul",
            element(
                "li",
                element("a", "The socket", href="/docs/socket"),
                " is for players and for whoever places many bets: answers come as they are there, and what "
                "else happens to the wallet is pushed. Its contract: ",
                element("a", "/asyncapi.json", href="/asyncapi.json"),
                ".",
            ),
            element(
                "li",
                element("a", "HTTP", href="/docs/http"),
                " is for servers: the same commands, one request each. Its contract: ",
                element("a", "/openapi.json", href="/openapi.json"),
                ".",
            ),
        ),
        element("h2", "What both have in common", id="conventions"),
        element("p", prose(text)),
        element("h2", "A bet’s life", id="life"),
        element(
            "p",
            prose(
                "`pending` until it is decided, then `confirmed` or `rejected`. A confirmed bet is settled "
                "as `won`, `lost` or `void`, is `cashed_out` or `rolled_back`; a settled one may be "
                "unsettled, and is confirmed again. A retry sends the same `bet_id`: it is never paid twice."
            ),
        ),
        element("h2", "Codes", id="codes"),
        element("p", "In order of precedence: the first that applies is the answer."),
        codes(asyncapi["x-codes"]),
    )


def _contents_of_start() -> Html:
    named = {
        "doors": "Two doors",
        "conventions": "What both have in common",
        "life": "A bet’s life",
        "codes": "Codes",
    }
    return element("ul", *(element("li", element("a", name, href=f"#{at}")) for at, name in named.items()))
