"""`/openapi.json`: HTTP, described from the table of routes and the types of their messages. Pure.

Source: OpenAPI 3.1.1, whose schemas are JSON Schema 2020-12. What is not in the table of `/v1` is in
`ws/contracts/others.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

from engine.outcomes import Code
from ws.contracts.common import (
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
from ws.contracts.fields import FIELDS, LEFT_OUT
from ws.contracts.others import OTHERS, Answer, Other
from ws.contracts.schemas import example_of, field_of, name_of, ref, schemas, used_by
from ws.http.problems import MEDIA_TYPE, STATUS, problem
from ws.v1.routes import IDEMPOTENCY_KEY, NOT_SENT, ROUTES, Field, Route, Where
from ws.wire.answers import codes_of
from ws.wire.messages import BetPlace, BetRejected

Json = dict[str, Any]

TAGS: Final = {
    "wallet": ("Wallet", "What is in a wallet, and what has moved."),
    "bets": ("Bets", "A bet's life."),
    "money": ("Money", "In, out, across, aside."),
    "payouts": ("Payouts", "To many winners, and how far that is."),
    "evidence": ("Evidence", "Receipts and signed blocks."),
    "limits": ("Limits", "What a player allows himself."),
    "wallets": ("Wallets", "Of a person; bonus money and free bets."),
    "house": ("House", "Books, archives, the clock, the circuit, the audit log."),
    "identity": ("Identity", "Who is asking."),
    "watching": ("Watching", "For machines that watch, and people who read."),
}
_TAG_OF: Final = {
    **dict.fromkeys(("deposits", "withdrawals", "transfers", "holds"), "money"),
    **dict.fromkeys(("receipts", "blocks"), "evidence"),
    **dict.fromkeys(("bonuses", "free-bets"), "wallets"),
    **dict.fromkeys(("auth", "admin"), "identity"),
    **dict.fromkeys(("books", "archives", "clock", "circuit", "audit-log"), "house"),
}

KEY_PATTERN: Final = "^[!-~]([ -~]*[!-~])?$"

OF_A_BODY: Final = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Content-Type: expected application/json",
}
"""Where HTTP has a finer status for an INVALID_REQUEST."""

_TOLD_OF_A_REJECTED_BET: Final = ("bet_id", "replayed", "balance", "held", "available")


def openapi() -> Json:
    """The contract of HTTP."""
    known = schemas()
    known["RejectedBet"] = _rejected_bet(known)
    problems: dict[str, Json] = {}
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known, problems)
    for other in OTHERS:
        paths.setdefault(other.path, {})[other.method.lower()] = _other(other, known, problems)
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
                f"{CONVENTIONS} Errors are `{MEDIA_TYPE}` (RFC 9457) with a stable `type` and `code`."
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


def operation_id(name: str) -> str:
    """The stable name of an operation, for clients that are generated: `bet.place` is `betPlace`."""
    first, *others = re.split(r"[._]", name)
    return first + "".join(each.capitalize() for each in others)


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
    schema = "RejectedBet" if route.request is BetPlace else "Problem"
    for status, name, problem_ in _problems(codes_of(route.request), schema, has_body=route.has_body):
        problems[name] = problem_
        responses[str(status.value)] = {"$ref": f"#/components/responses/{name}"}
    return operation | {"responses": dict(sorted(responses.items()))}


def tag_of(path: str) -> str:
    """Which group a path belongs to."""
    parts = path.split("/")
    segment = parts[2] if parts[1] == "v1" else "watching"
    return TAGS[_TAG_OF.get(segment, segment)][0]


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
            example = field_of(route.request, name_of(route.request), field.name).example
            if example is not LEFT_OUT:
                parameter["example"] = example
            found.append(parameter)
    if route.moves_money:
        found.append(_key(route))
    if route.method == "GET":
        found.append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "An `ETag` of before: 304 if nothing has changed since.",
                "schema": {"type": "string"},
            }
        )
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
        "example": field_of(None, "", "bet_id" if route.request is BetPlace else "key").example,
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
        "200": {"description": "As it is now.", "headers": _cache_headers(), "content": content},
        "304": {"description": "As the `ETag` of `If-None-Match` says.", "headers": _cache_headers()},
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


def _cache_headers() -> Json:
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


def _problems(may: Iterable[Code], schema: str, *, has_body: bool) -> Iterator[tuple[HTTPStatus, str, Json]]:
    """How something may be refused: the status, a name for the response, and the response."""
    by_status: dict[HTTPStatus, list[Code]] = {}
    for code in may:
        by_status.setdefault(STATUS[code], []).append(code)
    for status, found in by_status.items():
        name = ".".join([str(status.value), *(code.name.lower() for code in found)])
        if schema != "Problem":
            name += ".bet"
        yield status, name, _problem(status, found, schema)
    if has_body:
        for status, words in OF_A_BODY.items():
            told = _problem(status, [Code.INVALID_REQUEST], "Problem", words)
            yield status, f"{status.value}.invalid_request", told


def _problem(status: HTTPStatus, codes_: list[Code], schema: str, words: str | None = None) -> Json:
    told = {code: problem(code, words, status=status) for code in codes_}
    response: Json = {
        "description": "; ".join(f"`{code.name}`: {each.detail}" for code, each in told.items()) + ".",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [ref(schema)],
                    "properties": {
                        "status": {"const": status.value},
                        "code": {"enum": [code.name for code in codes_]},
                    },
                },
                "examples": {code.name: {"value": msgspec.to_builtins(each)} for code, each in told.items()},
            }
        },
    }
    headers = _headers_of(status)
    return response | ({"headers": headers} if headers else {})


def _headers_of(status: HTTPStatus) -> Json:
    if status is HTTPStatus.UNAUTHORIZED:
        words = "Says that a bearer token is wanted, and what is wrong with this one (RFC 6750)."
        return {"WWW-Authenticate": {"description": words, "required": True, "schema": {"type": "string"}}}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        words = "When to come back, in seconds, where that is known."
        return {"Retry-After": {"description": words, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return {}


def _rejected_bet(known: dict[str, Json]) -> Json:
    """A problem of a bet, which also tells what `bet.rejected` does."""
    more = known[name_of(BetRejected)]["properties"]
    properties = known["Problem"]["properties"] | {name: more[name] for name in _TOLD_OF_A_REJECTED_BET}
    return known["Problem"] | {"title": "RejectedBet", "properties": properties}


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


def _other(other: Other, known: dict[str, Json], problems: dict[str, Json]) -> Json:
    """As `_operation`."""
    operation: Json = {
        "operationId": operation_id(other.name),
        "summary": other.summary,
        "tags": [tag_of(other.path)],
        "parameters": [_in_path(name) for name in re.findall(r"{(\w+)}", other.path)],
    }
    if not operation["parameters"]:
        del operation["parameters"]
    if other.body is not None:
        name = name_of(other.body)
        content = {"schema": ref(other.body), "example": example_of(name, known)}
        operation["requestBody"] = {
            "required": not other.may_be_empty,
            "content": {"application/json": content},
        }
    responses = {str(status): _answer(answer, known) for status, answer in other.answers.items()}
    may = [code for code in Code if code in other.codes]
    for status, name, problem_ in _problems(may, "Problem", has_body=other.body is not None):
        problems[name] = problem_
        responses[str(status.value)] = {"$ref": f"#/components/responses/{name}"}
    operation["responses"] = dict(sorted(responses.items()))
    if other.roles:
        return operation | {"x-roles": dict.fromkeys(other.roles, "any")}
    return operation if other.is_any_role else operation | {"security": []}


def _answer(answer: Answer, known: dict[str, Json]) -> Json:
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
    field = FIELDS[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": field.meaning,
        "schema": {"type": "string", "minLength": 1},
        "example": field.example,
    }
