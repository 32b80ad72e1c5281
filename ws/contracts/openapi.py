"""`/openapi.json`: HTTP, described from the table of routes and the types of their messages. Pure.

Source: OpenAPI 3.1.1, whose schemas are JSON Schema 2020-12. What is not in the table of `/v1` is in
`ws/contracts/plain_routes.py`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from ws.contracts.meanings import LEFT_OUT
from ws.contracts.plain_operations import IF_NONE_MATCH, cache_headers, not_modified, plain_operation
from ws.contracts.plain_routes import PLAIN_ROUTES
from ws.contracts.preface import (
    BEARER,
    CONVENTIONS,
    TITLE,
    VERSION,
    WHAT_IT_IS,
    WHO_IS_ASKING,
    codes,
    roles,
    scopes,
)
from ws.contracts.refusals import REJECTED_BET, refusals, rejected_bet
from ws.contracts.schemas import example_of, meaning_of, name_of, ref, schemas, used_by
from ws.contracts.tags import TAGS, operation_id, tag_of
from ws.http.problems import MEDIA_TYPE
from ws.v1.routes import IDEMPOTENCY_KEY, NOT_SENT, ROUTES, Field, Route, Where
from ws.wire.answers import codes_of
from ws.wire.messages import BetPlace

Json = dict[str, Any]

KEY_PATTERN: Final = "^[!-~]([ -~]*[!-~])?$"


def openapi() -> Json:
    """The contract of HTTP."""
    known = schemas()
    known[REJECTED_BET] = rejected_bet(known)
    problems: dict[str, Json] = {}
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known, problems)
    for plain in PLAIN_ROUTES:
        paths.setdefault(plain.path, {})[plain.method.lower()] = plain_operation(plain, known, problems)
    bodies = {
        f"{name_of(route.request)}Body": _body(route, known)
        for route in ROUTES
        if any(field.where is Where.BODY for field in _fields(route))
    }
    replies = {name: _over_http(name, known) for name in known}
    described = used_by([paths, problems], replies | bodies)
    used_tags = {tag for path in paths.values() for each in path.values() for tag in each["tags"]}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": f"{TITLE}: HTTP",
            "version": VERSION,
            "summary": WHAT_IT_IS,
            "description": (
                f"{CONVENTIONS} Errors are `{MEDIA_TYPE}` (RFC 9457) with a stable `type` and `code`. Each "
                "answer names its request in `X-Request-Id`, by the name that came with it or a new one."
            ),
        },
        "servers": [{"url": "/", "description": "Whoever serves this document."}],
        "security": [{BEARER: []}],
        "tags": [
            {"name": name, "description": description}
            for name, description in TAGS.values()
            if name in used_tags
        ],
        "paths": paths,
        "components": {
            "schemas": described,
            "responses": dict(sorted(problems.items())),
            "securitySchemes": {
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": WHO_IS_ASKING,
                }
            },
        },
        "x-codes": codes(),
    }


def _operation(route: Route, known: dict[str, Json], problems: dict[str, Json]) -> Json:
    """`problems`: where a response goes that other routes may share."""
    operation: Json = {
        "operationId": operation_id(route.name),
        "summary": route.summary,
        "tags": [tag_of(route.path)],
        "x-roles": roles(route.name),
        "x-scopes": scopes(route.name),
    }
    if "description" in known[name_of(route.request)]:
        operation["description"] = known[name_of(route.request)]["description"]
    parameters = [*_parameters(route, known)]
    if parameters:
        operation["parameters"] = parameters
    if any(field.where is Where.BODY for field in _fields(route)):
        operation["requestBody"] = _request_body(route, known)
    responses = _successes(route, known)
    schema = REJECTED_BET if route.request is BetPlace else "Problem"
    for status, name, refusal in refusals(codes_of(route.request), schema, has_body=route.has_body):
        problems[name] = refusal
        responses[str(status.value)] = {"$ref": f"#/components/responses/{name}"}
    return operation | {"responses": dict(sorted(responses.items()))}


def _parameters(route: Route, known: dict[str, Json]) -> list[Json]:
    properties = known[name_of(route.request)]["properties"]
    found = []
    for field in _fields(route):
        if field.where in (Where.PATH, Where.QUERY):
            its = dict(properties[field.name])
            parameter = {
                "name": field.name,
                "in": field.where.value,
                "required": field.is_required,
                "description": its.pop("description"),
                "schema": _without_null(its),
            }
            example = meaning_of(route.request, name_of(route.request), field.name).example
            if example is not LEFT_OUT:
                parameter["example"] = example
            found.append(parameter)
    if route.moves_money:
        found.append(_key(route))
    if route.method == "GET":
        found.append(IF_NONE_MATCH)
    return found


def _key(route: Route) -> Json:
    words = "The same key is the same command, for ever: send it again after a lost answer."
    if route.request is BetPlace:
        words = (
            "A bet is known by its `bet_id`, which may stand here in place of the body. Any other key beside"
            " a `bet_id` is at most the bet's nonce: keep the `bet_id` for retries."
        )
    else:
        words += " Characters that are not ASCII: in the body instead, as `key`."
    return {
        "name": IDEMPOTENCY_KEY,
        "in": "header",
        "required": route.needs_key,
        "description": words,
        "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": KEY_PATTERN},
        "example": meaning_of(None, "", "bet_id" if route.request is BetPlace else "key").example,
    }


def _request_body(route: Route, known: dict[str, Json]) -> Json:
    body = _body(route, known)
    shown = example_of(name_of(route.request), known)
    return {
        "required": bool(body["required"]),
        "content": {
            "application/json": {
                "schema": ref(f"{name_of(route.request)}Body"),
                "example": {
                    name: shown[name]
                    for name in body["properties"]
                    # What the server fills in is better left to it.
                    if name in shown and name not in route.may_lack - {"bet_id"}
                },
            }
        },
    }


def _body(route: Route, known: dict[str, Json]) -> Json:
    schema = known[name_of(route.request)]
    names = [field.name for field in _fields(route) if field.where is Where.BODY]
    needed = [field.name for field in _fields(route) if field.where is Where.BODY and field.is_required]
    return {
        "title": f"{schema['title']}Body",
        "type": "object",
        "properties": {name: schema["properties"][name] for name in names},
        "required": needed,
        "additionalProperties": False,
    }


def _successes(route: Route, known: dict[str, Json]) -> Json:
    name = name_of(route.reply)
    content = {
        "application/json": {
            "schema": ref(route.reply),
            "example": {key: value for key, value in example_of(name, known).items() if key != "id"},
        }
    }
    if route.moves_money:
        links = _links(name, known)
        return {
            "201": {"description": "It is done.", "content": content} | ({"links": links} if links else {}),
            "200": {"description": "It was done before: the first answer, `replayed`.", "content": content},
        }
    if route.method != "GET":
        return {"200": {"description": "It is done.", "content": content}}
    return {
        "200": {"description": "As it is now.", "headers": cache_headers(), "content": content},
        "304": not_modified(),
    }


def _links(reply: str, known: dict[str, Json]) -> Json:
    """What can be asked next about what a reply names: all routes whose path has a field of it."""
    told = {*known[reply]["properties"]} - NOT_SENT
    return {
        operation_id(route.name): {
            "operationId": operation_id(route.name),
            "parameters": {field: f"$response.body#/{field}" for field in sorted(in_path)},
        }
        for route in ROUTES
        if (in_path := {each.name for each in _fields(route) if each.where is Where.PATH}) and in_path <= told
    }


def _over_http(name: str, known: dict[str, Json]) -> Json:
    """A reply's schema without the `id` that it has on the socket only."""
    schema = known[name]
    if name not in _REPLIES:
        return schema
    return schema | {
        "properties": {field: its for field, its in schema["properties"].items() if field != "id"},
        "required": [field for field in schema["required"] if field != "id"],
    }


_REPLIES: Final = frozenset(name_of(route.reply) for route in ROUTES)


@cache
def _fields(route: Route) -> tuple[Field, ...]:
    """Where each field comes from: asked often, and looked up in the types only once."""
    return tuple(route.fields())


def _without_null(its: Json) -> Json:
    """The same of what is written in a URL, which is there or not, and never null."""
    choices = [each for each in its.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) != 1:
        return its
    (choice,) = choices
    return {**choice, **{key: value for key, value in its.items() if key not in ("anyOf", "default")}}
