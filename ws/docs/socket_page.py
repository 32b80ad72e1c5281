"""The page of the socket, from `/asyncapi.json`. Pure."""

from __future__ import annotations

from typing import Any, Final

from ws.docs.html import Html, code, element, join, prose
from ws.docs.parts import codes, example, fields, line, referred, types, who_may

Json = dict[str, Any]

_GROUPS: Final = {
    "Session": ("auth", "ping", "resume", "balance"),
    "Bets": ("bet",),
    "Money": ("wallet", "hold"),
    "Payouts": ("payout",),
    "Limits": ("limit",),
    "Bonus money and free bets": ("bonus", "free_bet"),
    "Evidence": ("receipt", "head", "keys"),
    "House": ("book", "archive", "clock", "circuit", "figures", "check", "player"),
}
"""Requests by what stands before the dot of their type."""

_LIMITS: Final = {
    "frame_bytes": "A frame has at most {:,} bytes.",
    "frame_messages": "A frame has at most {:,} messages.",
    "in_flight": "At most {:,} commands of one socket wait for their answer; one more is `RATE_LIMITED`.",
    "nonce_window_ms": "A nonce is remembered for {:,} ms.",
    "deadline_ms": "A bet waits for at most {:,} ms to be executed; then it is `TIMED_OUT`.",
    "messages_per_s": "One socket may send {:,} messages a second, and five seconds’ worth at once.",
}


def socket(document: Json) -> Html:
    """The text of the page."""
    channel = document["channels"]["wallet"]
    return join(
        element("p", prose(channel["description"]), class_="lead"),
        element("h2", "Connecting", id="connecting"),
        element("p", prose("`wss://…/ws`, and say who is asking:")),
        element(
            "ul",
            *(
                element("li", prose(scheme["description"]))
                for scheme in document["components"]["securitySchemes"].values()
            ),
        ),
        element("h3", "Bounds", id="bounds"),
        _pairs({name: _LIMITS[name].format(value) for name, value in document["x-limits"].items()}),
        element("h3", "Close codes", id="close-codes"),
        _pairs(document["x-close-codes"]),
        element("h2", "Requests", id="requests"),
        *(
            join(
                element("h3", group, id=f"group-{at}"),
                *(_request(document, name) for name in _requests(document, prefixes)),
            )
            for at, (group, prefixes) in enumerate(_GROUPS.items())
        ),
        element("h2", "Replies and pushes", id="replies"),
        *(_reply(document, name) for name in _replies(document)),
        element("h2", "Types", id="types"),
        types(document["components"]["schemas"], _shown(document)),
        element("h2", "Codes", id="codes"),
        codes(document["x-codes"]),
    )


def contents_of_socket(document: Json) -> Html:
    """What is on the page."""
    groups = [
        element(
            "li",
            element("a", group, href=f"#group-{at}"),
            element("ul", *(_entry(name) for name in _requests(document, prefixes))),
        )
        for at, (group, prefixes) in enumerate(_GROUPS.items())
    ]
    return element(
        "ul",
        element("li", element("a", "Connecting", href="#connecting")),
        element("li", element("a", "Close codes", href="#close-codes")),
        *groups,
        element(
            "li",
            element("a", "Replies and pushes", href="#replies"),
            element("ul", *(_entry(name) for name in _replies(document))),
        ),
        element("li", element("a", "Types", href="#types")),
        element("li", element("a", "Codes", href="#codes")),
    )


def _requests(document: Json, prefixes: tuple[str, ...]) -> list[str]:
    return [
        name
        for name, operation in document["operations"].items()
        if operation["action"] == "receive" and name.partition(".")[0] in prefixes
    ]


def _replies(document: Json) -> list[str]:
    return [name for name in document["components"]["messages"] if name not in document["operations"]]


def _entry(name: str) -> Html:
    return element("li", element("a", code(name), href=f"#{name}"))


def _request(document: Json, name: str) -> Html:
    operation = document["operations"][name]
    replies = [referred(each) for each in operation["reply"]["messages"]]
    told = [
        *who_may(operation),
        line("Answered by", [element("a", code(each), href=f"#{each}") for each in replies]),
        line("Codes", [element("a", code(each), href=f"#code-{each}") for each in operation["x-codes"]]),
    ]
    return _message(document, name, told, "h4", with_required=True)


def _reply(document: Json, name: str) -> Html:
    is_pushed = f"push.{name}" in document["operations"]
    told = [element("p", "Also comes unasked.", class_="quiet")] if is_pushed else []
    return _message(document, name, told, "h3", with_required=False)


def _message(document: Json, name: str, told: list[Html], heading: str, *, with_required: bool) -> Html:
    message = document["components"]["messages"][name]
    schema = document["components"]["schemas"][referred(message["payload"])]
    description = [element("p", prose(message["description"]))] if "description" in message else []
    return element(
        "section",
        element(heading, element("a", code(name), href=f"#{name}"), id=name),
        element("p", prose(message["summary"]), class_="summary"),
        *description,
        fields(schema, with_required=with_required),
        *told,
        example(message["examples"][0]["payload"], f"Example of {name}"),
        class_="message",
    )


def _pairs(pairs: dict[str, str]) -> Html:
    return element(
        "dl",
        *(
            element("div", element("dt", code(key)), element("dd", prose(value)))
            for key, value in pairs.items()
        ),
        class_="pairs",
    )


def _shown(document: Json) -> set[str]:
    """Schemas that are messages, shown as such, and frames, of which the text tells."""
    messages = document["components"]["messages"].values()
    return {referred(each["payload"]) for each in messages}
