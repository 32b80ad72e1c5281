"""The plain routes of HTTP as operations of `/openapi.json`. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.outcomes import Code
from ws.contracts.meanings import MEANINGS
from ws.contracts.plain_routes import Answer, PlainRoute
from ws.contracts.refusals import refusals
from ws.contracts.schemas import example_of, name_of, ref
from ws.contracts.tags import operation_id, tag_of

Json = dict[str, Any]

REFRESH_COOKIE: Final[Json] = {
    "name": "sg_refresh",
    "in": "cookie",
    "required": False,
    "description": (
        "The refresh token, as a browser keeps it: read where the body has none, and only beside the media "
        "type `application/json`, also of an empty body."
    ),
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
}

IF_NONE_MATCH: Final[Json] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "An `ETag` of before: 304 if nothing has changed since.",
    "schema": {"type": "string"},
}


def plain_operation(route: PlainRoute, known: dict[str, Json], problems: dict[str, Json]) -> Json:
    """The operation of a plain route. `problems`: where a response goes that other routes may share."""
    operation: Json = {
        "operationId": operation_id(route.name),
        "summary": route.summary,
        "tags": [tag_of(route.path)],
        "parameters": [
            *(_in_path(name) for name in re.findall(r"{(\w+)}", route.path)),
            *([REFRESH_COOKIE] if route.takes_cookie else []),
            *([IF_NONE_MATCH] if route.is_fixed else []),
        ],
    }
    if not operation["parameters"]:
        del operation["parameters"]
    if route.body is not None:
        name = name_of(route.body)
        content = {"schema": ref(route.body), "example": example_of(name, known)}
        operation["requestBody"] = {
            "required": not route.may_be_empty,
            "content": {"application/json": content},
        }
    responses = {str(status): _answer(answer, known) for status, answer in route.answers.items()}
    if route.is_fixed:
        responses["200"]["headers"] = cache_headers()
        responses["304"] = not_modified()
    may = [code for code in Code if code in route.codes]
    for status, name, refusal in refusals(may, "Problem", has_body=route.body is not None):
        problems[name] = refusal
        responses[str(status.value)] = {"$ref": f"#/components/responses/{name}"}
    operation["responses"] = dict(sorted(responses.items()))
    if route.roles:
        return operation | {"x-roles": dict.fromkeys(route.roles, "any")}
    return operation if route.is_any_role else operation | {"security": []}


def not_modified() -> Json:
    """The answer to an `ETag` that is still right."""
    return {"description": "As the `ETag` of `If-None-Match` says.", "headers": cache_headers()}


def cache_headers() -> Json:
    """How what is read is asked for again."""
    return {
        "ETag": {
            "description": "Changes with the answer.",
            "required": True,
            "schema": {"type": "string", "pattern": '^"[0-9a-f]+"$'},
        },
        "Cache-Control": {
            "description": "Whether to ask again.",
            "required": True,
            "schema": {"type": "string"},
        },
    }


def _answer(answer: Answer, known: dict[str, Json]) -> Json:
    told = _content(answer, known)
    if answer.cookie is not None:
        told["headers"] = {"Set-Cookie": {"description": answer.cookie, "schema": {"type": "string"}}}
    return told


def _content(answer: Answer, known: dict[str, Json]) -> Json:
    if answer.content is None:
        return {"description": answer.words}
    if not isinstance(answer.content, type):
        return {"description": answer.words, "content": {answer.media_type: {"schema": answer.content}}}
    schema = ref(answer.content)
    example: Json = example_of(name_of(answer.content), known)
    if answer.list_of is not None:
        listed = {answer.list_of: {"type": "array", "items": schema}}
        schema = {"type": "object", "properties": listed, "required": [answer.list_of]}
        example = {answer.list_of: [example]}
    content = {answer.media_type: {"schema": schema, "example": example}}
    return {"description": answer.words, "content": content}


def _in_path(name: str) -> Json:
    meaning = MEANINGS[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": meaning.words,
        "schema": {"type": "string", "minLength": 1},
        "example": meaning.example,
    }
