"""JSON Schemas of the very types that decode and encode the wire, with what their fields mean. Pure.

The same schemas serve OpenAPI 3.1 (JSON Schema 2020-12) and AsyncAPI 3.0 (draft 7): what the two read
differently is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from ws.contracts.examples import EXAMPLES
from ws.contracts.meanings import LEFT_OUT, MEANINGS, Meaning
from ws.contracts.plain_routes import TYPES as PLAIN_TYPES
from ws.contracts.special_meanings import SPECIAL_MEANINGS
from ws.http.problems import Problem
from ws.v1.routes import ROUTES
from ws.wire import limits, messages, reads, wallets
from ws.wire.answers import REPLIES, REPLIES_OF

Json = dict[str, Any]

_PREFIX: Final = "#/components/schemas/"

NAMES: Final[dict[type, str]] = {
    messages.Limits: "Bounds",
    limits.Limits: "Limits",
    reads.WalletShown: "Wallet",
    wallets.WalletShown: "WalletShown",
}
"""Of types that share their name with another one."""

TYPES: Final[tuple[type, ...]] = tuple(
    dict.fromkeys(
        [
            *REPLIES_OF,
            *REPLIES,
            *(each for route in ROUTES for each in (route.request, route.reply)),
            *PLAIN_TYPES,
            Problem,
        ]
    )
)
"""Whatever either contract describes. The types that these are made of follow from them."""

_PYTHONS_END: Final = r"(?![\s\S])"
"""How a pattern of this house says that the text ends: `$` would let a line feed follow, in Python. In JSON
Schema (ECMA-262) it does not, and it is understood also where there is no look-ahead."""


def name_of(type_: type) -> str:
    """The name that a type's schema has."""
    return NAMES.get(type_, type_.__qualname__)


def ref(type_: type | str) -> Json:
    """A reference to a type's schema."""
    return {"$ref": _PREFIX + (type_ if isinstance(type_, str) else name_of(type_))}


def schemas() -> dict[str, Json]:
    """The schema of every type, by name."""
    _, components = msgspec.json.schema_components(TYPES, ref_template=_PREFIX + "{name}")
    # Where two types share a name, msgspec puts the module before it.
    renamed = {f"{each.__module__}.{each.__qualname__}": name for each, name in NAMES.items()}
    by_name = {name_of(each): each for each in TYPES}
    described = {}
    for key, schema in components.items():
        name = renamed.get(key, key)
        described[name] = _described(name, by_name.get(name), _sound(schema, renamed))
    return dict(sorted(described.items()))


def used_by(document: object, known: dict[str, Json]) -> dict[str, Json]:
    """Of `known`, what `document` refers to, and what that refers to."""
    found: dict[str, Json] = {}
    waiting = [document]
    while waiting:
        for name in _names_in(waiting.pop()):
            if name not in found:
                found[name] = known[name]
                waiting.append(known[name])
    return dict(sorted(found.items()))


def example_of(name: str, known: dict[str, Json]) -> Json:
    """An instance of the schema `name`: what is required, and what is worth showing."""
    schema = known[name]
    shown: Json = {}
    for field, its in schema["properties"].items():
        example = _example(field, its, known)
        if example is LEFT_OUT:
            assert field not in schema["required"] or field in EXAMPLES.get(name, ()), (name, field)
        else:
            shown[field] = example
    return shown | EXAMPLES.get(name, {})


def meaning_of(type_: type | None, name: str, field: str) -> Meaning:
    """What a field of the schema `name` means. Raises `KeyError`, at the start, where nobody has said it."""
    for each in (name, *(name_of(base) for base in (type_.__mro__ if type_ else ()))):
        if (each, field) in SPECIAL_MEANINGS:
            return SPECIAL_MEANINGS[each, field]
    if field not in MEANINGS:
        raise KeyError(f"ws/contracts/meanings.py: what does the field {field!r} of {name!r} mean?")
    return MEANINGS[field]


def _described(name: str, type_: type | None, schema: Json) -> Json:
    if "properties" not in schema:
        return schema
    properties = {}
    for field, its in schema["properties"].items():
        says = meaning_of(type_, name, field)
        # In draft 7 nothing counts beside a reference.
        said = {"allOf": [its]} if "$ref" in its else dict(its)
        if says.values is not None and its == {"type": "string"}:
            said["enum"] = list(says.values)
        said["description"] = says.words
        if says.example is not LEFT_OUT:
            said["examples"] = [says.example]
        properties[field] = said
    return schema | {"properties": properties}


def _sound(part: Any, renamed: dict[str, str]) -> Any:
    """A copy in the words of JSON Schema, with the names of this house."""
    if isinstance(part, list):
        return [_sound(each, renamed) for each in part]
    if not isinstance(part, dict):
        return part
    copy = {key: _sound(value, renamed) for key, value in part.items()}
    if "$ref" in copy:
        name = copy["$ref"].removeprefix(_PREFIX)
        copy["$ref"] = _PREFIX + renamed.get(name, name)
    if isinstance(copy.get("description"), str):  # a docstring, in lines as long as those of the source
        copy["description"] = " ".join(copy["description"].split())
    if isinstance(copy.get("pattern"), str):
        copy["pattern"] = copy["pattern"].replace(_PYTHONS_END, "$")
    return copy


def _example(field: str, its: Json, known: dict[str, Json]) -> Any:
    if "allOf" in its:
        return _example(field, its["allOf"][0] | {key: its[key] for key in its if key != "allOf"}, known)
    if "$ref" in its and "properties" in known[name := its["$ref"].removeprefix(_PREFIX)]:
        return example_of(name, known)
    if its.get("type") == "array" and "$ref" in its["items"]:
        item = example_of(its["items"]["$ref"].removeprefix(_PREFIX), known)
        return [item] * max(1, its.get("minItems", 1))
    if len(its.get("enum", ())) == 1:
        return its["enum"][0]
    return its["examples"][0] if "examples" in its else LEFT_OUT


def _names_in(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str) and part["$ref"].startswith(_PREFIX):
            yield part["$ref"].removeprefix(_PREFIX)
        parts: Iterable[object] = part.values()
    else:
        parts = part if isinstance(part, list) else ()
    for each in parts:
        yield from _names_in(each)
