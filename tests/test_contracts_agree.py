"""What is valid by the contract is what the decoder takes, and the other way round.

Two things JSON Schema cannot say, and the contract says in words: an integer is written without a fraction
(`1.0` is one to JSON Schema), and a text has no lone surrogates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import pytest

from tests.json_schema import validator
from ws.codec import Malformed, decode_frame
from ws.contracts.asyncapi import asyncapi, tag
from ws.contracts.schemas import name_of
from ws.wire.answers import REPLIES_OF

Json = dict[str, Any]

ASYNCAPI: Final = asyncapi()
SCHEMAS: Final = ASYNCAPI["components"]["schemas"]
REQUESTS: Final = {tag(each): name_of(each) for each in REPLIES_OF}
INSTANCES: Final = 15

INTEGERS: Final = [0, -1, 1, 2**53, 2**63, 2**64, -(2**63)]
ODD: Final = [
    None,
    True,
    *INTEGERS,
    0.5,
    "",
    "1",
    "a\n",
    "\x85",
    "é" * 64,
    "é" * 65,
    [],
    {},
    [1],
    {"user_id": 1},
]
CHARACTERS: Final = ["\n", "\x00", "\x7f", "\x9f", "\u2028", "\U0001f7e2", "x", "A"]


def sound(schema: Json, random: Random) -> Any:
    """An instance of a schema, often one at its bounds."""
    if "$ref" in schema:
        return sound(SCHEMAS[schema["$ref"].rpartition("/")[2]], random)
    if "allOf" in schema:
        return sound(schema["allOf"][0], random)
    if "anyOf" in schema:
        return sound(random.choice(schema["anyOf"]), random)
    if "enum" in schema:
        return random.choice(schema["enum"])
    match schema["type"]:
        case "null":
            return None
        case "boolean":
            return random.random() < 0.5
        case "integer":
            low, high = schema["minimum"], schema["maximum"]
            return random.choice([low, high, random.randint(low, high), min(high, low + 1)])
        case "string":
            return text(schema, random)
        case "array":
            size = random.choice([schema["minItems"], schema["minItems"] + 1, min(schema["maxItems"], 5)])
            return [sound(schema["items"], random) for _ in range(size)]
        case "object":
            return {
                name: sound(its, random)
                for name, its in schema["properties"].items()
                if name in schema["required"] or random.random() < 0.5
            }
    raise AssertionError(f"nobody has thought of {schema}")


def text(schema: Json, random: Random) -> str:
    if "{8}-" in (pattern := schema.get("pattern", "")):
        digits = f"{random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if "[A-Z]{3}" in pattern:
        return "".join(random.choices("ABCXYZ", k=3))
    low, high = schema.get("minLength", 0), schema["maxLength"]
    size = random.choice([low, high, random.randint(low, min(high, 80))])
    return "".join(random.choices("abcXYZ 09-_/é€\u2028\U0001f7e2", k=size))


def spoilt(instance: Json, schema: Json) -> Iterator[Json]:
    """The same with something else in one place, which may or may not matter."""
    for name in ("caller", "ID", "", "Type", "type "):
        yield instance | {name: 1}
    for name, its in schema["properties"].items():
        yield {key: value for key, value in instance.items() if key != name}
        if name != "type":  # of which the contract has another schema
            for odd in ODD:
                yield instance | {name: odd}
            yield from ({**instance, name: near} for near in nearby(instance.get(name), its))


def nearby(value: Any, schema: Json) -> Iterator[Any]:
    """What is almost this value, and what is almost beyond its bounds."""
    for its in (schema, *schema.get("anyOf", [])):
        yield from (
            its[bound] + step for bound in ("minimum", "maximum") if bound in its for step in (-1, 0, 1)
        )
    if isinstance(value, str):
        yield from (value[:-1], value.upper(), f" {value}")
        yield from (f"{value[: len(value) // 2]}{odd}{value[len(value) // 2 + 1 :]}" for odd in CHARACTERS)
        yield from (f"{value}{odd}" for odd in CHARACTERS)
    if isinstance(value, list):
        yield from (value[:-1], value + value, [*value[:-1], {**value[-1], "more": 1}])
        for inner in value[-1]:
            yield from ([*value[:-1], {**value[-1], inner: odd}] for odd in ODD)
            yield [*value[:-1], {key: each for key, each in value[-1].items() if key != inner}]


@pytest.mark.parametrize("type_", REQUESTS)
def test_the_decoder_takes_what_the_contract_describes_and_nothing_else(type_: str) -> None:
    schema = SCHEMAS[REQUESTS[type_]]
    checks = validator(ASYNCAPI, REQUESTS[type_])
    random = Random(type_)
    instances = [sound(schema, random) for _ in range(INSTANCES)]
    assert all(map(checks.is_valid, instances)), "the instances are not those of the schema"
    seen: Counter[bool] = Counter()
    for body in (*instances, *spoilt(max(instances, key=len), schema)):
        is_valid = checks.is_valid(body)
        seen[is_valid] += 1
        for frame in {json.dumps(body), json.dumps(body, ensure_ascii=False)}:
            (decoded,) = decode_frame(frame, 1000)
            assert isinstance(decoded, Malformed) is not is_valid, (frame, decoded)
    assert min(seen.values()) > INSTANCES, "all alike"


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("resume", '{"type":"resume","id":"r1","from_seq":1.0}'),
        ("ping", '{"type":"ping","id":"\\ud800"}'),
    ],
)
def test_what_json_schema_cannot_say_is_refused_all_the_same(type_: str, body: str) -> None:
    assert validator(ASYNCAPI, REQUESTS[type_]).is_valid(json.loads(body))
    (decoded,) = decode_frame(body, 1000)
    assert isinstance(decoded, Malformed)


def test_a_frame_is_a_message_or_an_array_of_them() -> None:
    assert SCHEMAS["RequestFrame"]["oneOf"][1]["maxItems"] == 1000
    checks = validator(ASYNCAPI, "RequestFrame")
    ping = {"type": "ping", "id": "r1"}
    assert checks.is_valid(ping)
    assert checks.is_valid([ping] * 3)
    for wrong in ([], [ping, 1], "ping", {**ping, "more": 1}, {"type": "pong", "id": "r1"}):
        assert not checks.is_valid(wrong)
        assert any(isinstance(each, Malformed) for each in decode_frame(json.dumps(wrong), 1000))
