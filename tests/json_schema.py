"""JSON Schema as the contracts mean it: patterns are of ECMA-262, in which `$` is the end of the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

Json = dict[str, Any]


def _pattern(validator: Validator, pattern: str, instance: object, schema: Json) -> Iterator[Exception]:
    del validator, schema
    if isinstance(instance, str) and not _compiled(pattern).search(instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Python's own `$` would let a line feed follow.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern))


Ecma = jsonschema.validators.extend(Draft202012Validator, {"pattern": _pattern})


def validator(document: Json, name: str) -> Validator:
    """What is valid by the schema `name` of a contract."""
    return Ecma({"$ref": f"#/components/schemas/{name}", "components": document["components"]})
