"""The page of HTTP, from `/openapi.json`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ws.docs.html import Html, code, element, join, prose
from ws.docs.parts import codes, example, field, fields, referred, types, who_may

Json = dict[str, Any]


def http(document: Json) -> Html:
    """The text of the page."""
    schemes = document["components"]["securitySchemes"].values()
    return join(
        element("p", prose(document["info"]["description"]), class_="lead"),
        element("h2", "Who is asking", id="security"),
        *(element("p", prose(scheme["description"])) for scheme in schemes),
        *(
            join(
                element("h2", tag["name"], id=f"tag-{at}"),
                element("p", prose(tag["description"])),
                *(_operation(document, *each) for each in _operations(document, tag["name"])),
            )
            for at, tag in enumerate(document["tags"])
        ),
        element("h2", "Types", id="types"),
        types(document["components"]["schemas"], _bodies(document)),
        element("h2", "Codes", id="codes"),
        codes(document["x-codes"]),
    )


def contents_of_http(document: Json) -> Html:
    """What is on the page."""
    return element(
        "ul",
        element("li", element("a", "Who is asking", href="#security")),
        *(
            element(
                "li",
                element("a", tag["name"], href=f"#tag-{at}"),
                element(
                    "ul",
                    *(
                        element("li", element("a", _title(method, path), href=f"#{operation['operationId']}"))
                        for method, path, operation in _operations(document, tag["name"])
                    ),
                ),
            )
            for at, tag in enumerate(document["tags"])
        ),
        element("li", element("a", "Types", href="#types")),
        element("li", element("a", "Codes", href="#codes")),
    )


def _operations(document: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _title(method: str, path: str) -> Html:
    # Where a line may end.
    parts = [join(element("wbr"), f"/{each}") for each in path.removeprefix("/").split("/")]
    return join(element("span", method, class_=f"method {method.lower()}"), " ", element("code", *parts))


def _bodies(document: Json) -> set[str]:
    return {name for name in document["components"]["schemas"] if name.endswith("Body")}


def _operation(document: Json, method: str, path: str, operation: Json) -> Html:
    parts: list[Html] = [
        element(
            "h3",
            element("a", _title(method, path), href=f"#{operation['operationId']}"),
            id=operation["operationId"],
        ),
        element("p", prose(operation["summary"]), class_="summary"),
    ]
    if "description" in operation:
        parts.append(element("p", prose(operation["description"])))
    parts += _who(operation)
    parts += _asked(document, operation)
    parts.append(element("h4", "Answers"))
    parts.append(
        element("dl", *(_answer(document, *each) for each in operation["responses"].items()), class_="fields")
    )
    for status, response in operation["responses"].items():
        shown = response.get("content", {}).get("application/json", {}).get("example")
        if shown is not None and status in ("200", "201"):
            parts.append(example(shown, f"Example of an answer to {method} {path}"))
            break
    return element("section", *parts, class_="message")


def _who(operation: Json) -> list[Html]:
    if operation.get("security") == []:
        return [element("p", element("b", "For:"), " everybody, without a token", class_="line")]
    return who_may(operation)


def _asked(document: Json, operation: Json) -> list[Html]:
    parts: list[Html] = []
    parameters = operation.get("parameters", [])
    if parameters:
        parts.append(element("h4", "Parameters"))
        parts.append(
            element(
                "dl",
                *(
                    field(
                        each["name"],
                        each["schema"] | {"description": f"{each['description']} In the {each['in']}."},
                        "required" if each["required"] else "optional",
                    )
                    for each in parameters
                ),
                class_="fields",
            )
        )
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        name = referred(content["schema"])
        parts.append(element("h4", "Body"))
        parts.append(fields(document["components"]["schemas"][name]))
        parts.append(example(content["example"], f"Example of a body of {operation['operationId']}"))
    return parts


def _answer(document: Json, status: str, response: Json) -> Html:
    told = response
    if "$ref" in response:
        told = document["components"]["responses"][referred(response)]
    content = told.get("content", {}).get("application/json", {})
    parts: list[str] = [code(status)]
    if "$ref" in content.get("schema", {}):
        name = referred(content["schema"])
        parts += [" ", element("a", name, href=f"#type-{name}", class_="kind")]
    headers = [code(name) for name in told.get("headers", {})]
    for header in headers:
        parts += [" ", element("span", header, class_="kind")]
    return element("div", element("dt", *parts), element("dd", prose(told["description"])))
