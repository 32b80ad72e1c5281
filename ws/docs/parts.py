"""What the pages of both contracts are made of: fields with their types and ranges, types, examples, codes,
and who may ask. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from engine.money import BOOK_FLOOR_MINOR, WIRE_MAX_MINOR
from ws.docs.html import Html, code, element, join, prose
from ws.wire.fields import NO_CONTROLS, UUID

Json = dict[str, Any]

_SAID_BY_PATTERN: Final = {
    UUID["pattern"]: "a UUID in lower case, with hyphens",
    "^[A-Z]{3}$": "three capital letters",
}
"""Patterns that say all about a text."""
_NAMES: Final = {"string": "text", "boolean": "true or false", "object": "object", "null": "null"}


def fields(schema: Json, *, with_required: bool = True) -> Html:
    """The fields of an object, or that it has none. `with_required`: of what clients send; a reply says of
    a field only that it may be absent."""
    properties = {name: its for name, its in schema["properties"].items() if name != "type"}
    if not properties:
        return element("p", "No fields.", class_="quiet")
    required = schema.get("required", [])
    return element(
        "dl",
        *(field(name, its, _need(name in required, with_required)) for name, its in properties.items()),
        class_="fields",
    )


def field(name: str, its: Json, need: str) -> Html:
    """One of them. `need`: whether it has to be there, in words; empty if nothing is to be said."""
    told = element(
        "dt",
        code(name),
        " ",
        element("span", kind(its), class_="kind"),
        *([" ", element("span", need, class_=need.replace(" ", "-"))] if need else []),
    )
    return element("div", told, element("dd", prose(its.get("description", ""))))


def kind(its: Json) -> Html:
    """The type and the range of a value, in words."""
    if "allOf" in its:
        return kind(its["allOf"][0])
    if "anyOf" in its:
        return join(*_between([kind(each) for each in its["anyOf"]], " or "))
    if "$ref" in its:
        name = referred(its)
        return element("a", name, href=f"#type-{name}")
    if "const" in its or "enum" in its:
        values = its.get("enum") or [its["const"]]
        return join(
            "one of " if len(values) > 1 else "", *_between([code(str(each)) for each in values], ", ")
        )
    match its.get("type"):
        case "integer":
            return join("integer", _range(its.get("minimum"), its.get("maximum"), ", from ", ", at most "))
        case "string":
            pattern = its.get("pattern")
            if pattern in _SAID_BY_PATTERN:
                return join(_SAID_BY_PATTERN[pattern])
            span = _range(its.get("minLength"), its.get("maxLength"), ", from ", ", at most ")
            unit = " characters" if span else ""
            return join(
                "text", span, unit, ", no control characters" if pattern == NO_CONTROLS["pattern"] else ""
            )
        case "array":
            span = _range(its.get("minItems"), its.get("maxItems"), " of ", " of at most ")
            return join("list", span or " of", " ", kind(its["items"]))
        case other:
            return join(_NAMES.get(str(other), str(other)))


def example(value: object, label: str) -> Html:
    """JSON to copy. `label`: what it is, for who does not see it."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if len(text) < 72 or "\n" not in text:
        text = json.dumps(value, ensure_ascii=False)
    # Focusable, so that a keyboard can scroll what is wider than the screen.
    return element("pre", element("code", text), tabindex="0", role="region", aria_label=label)


def types(schemas: Json, shown: set[str]) -> Html:
    """The schemas that others are made of, but those that are `shown` elsewhere."""
    return join(
        *(
            element(
                "section",
                element("h3", code(name), id=f"type-{name}"),
                *([element("p", prose(schema["description"]))] if "description" in schema else []),
                fields(schema, with_required=False) if "properties" in schema else element("p", kind(schema)),
            )
            for name, schema in schemas.items()
            if name not in shown and ("properties" in schema or "enum" in schema)
        )
    )


def codes(table: list[Json]) -> Html:
    """What each code means."""
    return element(
        "dl",
        *(
            element(
                "div",
                element(
                    "dt",
                    element("code", each["code"], id=f"code-{each['code']}"),
                    " ",
                    element("span", f"HTTP {each['status']}", class_="kind"),
                    *([" ", element("span", "retryable", class_="retryable")] if each["retryable"] else []),
                ),
                element("dd", prose(f"{each['meaning']}. Of a bet it is told as `{each['of_a_bet']}`.")),
            )
            for each in table
        ),
        class_="fields",
    )


def who_may(operation: Json) -> list[Html]:
    """Which roles may ask for this, and of which scopes a service account needs one. Nothing where a contract
    names none."""
    reach = operation.get("x-roles", {})
    roles = [f"{role} (his own)" if reach[role] == "own" else role for role in reach]
    scopes = operation.get("x-scopes", [])
    lines = [line("For", _chips(roles))] if roles else []
    return [*lines, line("Scopes", _chips(scopes))] if scopes else lines


def line(label: str, parts: list[Html]) -> Html:
    """A label, and what it says."""
    spaced: list[str] = []
    for part in parts:
        spaced += [" ", part]
    return element("p", element("b", f"{label}:"), *spaced, class_="line")


def referred(part: Json) -> str:
    """The name that the `$ref` in a part of a document ends with."""
    return str(part["$ref"].rpartition("/")[2])


def _chips(words: list[str]) -> list[Html]:
    return [element("span", word, class_="chip") for word in words]


def _need(is_required: bool, with_required: bool) -> str:
    if with_required:
        return "required" if is_required else "optional"
    return "" if is_required else "may be absent"


def _range(low: int | None, high: int | None, both: str, only_high: str) -> str:
    if low is not None and high is not None:
        return f"{both}{_number(low)} to {_number(high)}"
    if high is not None:
        return f"{only_high}{_number(high)}"
    return "" if low is None else f"{both}{_number(low)} on"


def _number(value: int) -> str:
    written = {WIRE_MAX_MINOR: "2⁵³ − 1", -WIRE_MAX_MINOR: "−(2⁵³ − 1)", BOOK_FLOOR_MINOR: "−2⁶²"}
    return written.get(value) or f"{value:,}".replace(",", "\u202f").replace("-", "−")


def _between(parts: list[Html], separator: str) -> list[str]:
    told: list[str] = []
    for part in parts:
        told += [separator, part] if told else [part]
    return told
