"""The types of the client in JavaScript, for TypeScript: made here, and held to be what is committed.

    make client-types      writes them anew

`messages.d.ts` comes from the types that the server decodes the wire with, by way of `/asyncapi.json`.
Against it TypeScript checks the client's sources, strictly, and of their JSDoc it makes the other `.d.ts`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ws.contracts.asyncapi import asyncapi

CLIENT = Path(__file__).resolve().parent.parent / "clients/javascript"
TSC = CLIENT / "node_modules/.bin/tsc"
MESSAGES = "messages.d.ts"
FIRST = "solidgreen.d.ts"
WIDTH = 110
FURTHER = "\n    | "
NAMES = {"Error": "ErrorReply"}
"""Of schemas whose name means something else in JavaScript."""
HEAD = """\
// The messages of `wallet.v1`, made by tests/client_types.py from the types that the server itself uses.
"""

Json = dict[str, Any]


def messages_for_typescript() -> str:
    """All requests and replies as interfaces, their unions, and which replies a request has."""
    contract = asyncapi()
    schemas: dict[str, Json] = contract["components"]["schemas"]
    name_of = {tag: _name(each["payload"]) for tag, each in contract["components"]["messages"].items()}
    summaries = {name_of[tag]: each["summary"] for tag, each in contract["components"]["messages"].items()}
    asked = {tag: each for tag, each in contract["operations"].items() if each["action"] == "receive"}
    shown = [name for name in schemas if name not in ("RequestFrame", "ReplyFrame")]
    return "\n".join(
        [
            HEAD,
            *(_declared(NAMES.get(name, name), schemas[name], summaries) for name in shown),
            "/** Why a request was refused. The list may grow. */",
            'export type Code = ErrorReply["code"];\n',
            _union("Request", "Whatever a client may send.", [name_of[tag] for tag in asked]),
            _union(
                "Reply", "Whatever a server sends.", [name_of[tag] for tag in name_of if tag not in asked]
            ),
            "/** What answers a request of each `type`, beside `error`. */",
            "export interface Replies {",
            *(f'  "{tag}": {" | ".join(_replies(each, name_of))};' for tag, each in asked.items()),
            "}\n",
        ]
    )


def _replies(operation: Json, name_of: dict[str, str]) -> list[str]:
    tags = [each["$ref"].rpartition("/")[2] for each in operation["reply"]["messages"]]
    return [name_of[tag] for tag in tags if tag != "error"]


def _declared(name: str, schema: Json, summaries: dict[str, str]) -> str:
    words = _comment(schema.get("description") or summaries.get(name, ""), "")
    if "properties" not in schema:
        return f"{words}export type {name} = {_type(schema)};\n"
    fields = (_field(field, its, field in schema["required"]) for field, its in schema["properties"].items())
    return f"{words}export interface {name} {{\n{''.join(fields)}}}\n"


def _field(name: str, schema: Json, is_required: bool) -> str:
    words = "" if name == "type" else _comment(schema["description"], "  ")
    line = f"  {name}{'' if is_required else '?'}: {_type(schema)};\n"
    if len(line) > WIDTH:
        line = line.replace(": ", f":{FURTHER}", 1).replace(" | ", FURTHER)
    return words + line


def _type(schema: Json) -> str:
    """Of a field. Bounds and patterns are the server's to check."""
    match schema:
        case {"enum": values}:
            return " | ".join(f'"{value}"' for value in values)
        case {"$ref": _}:
            return _name(schema)
        case {"allOf": [one]}:
            return _type(one)
        case {"anyOf": several}:
            return " | ".join(map(_type, several))
        case {"type": "array", "items": items}:
            return f"Array<{_type(items)}>"
        case {"type": "object"}:
            return "{[field: string]: unknown}"
        case {"type": ("integer" | "number")}:
            return "number"
        case {"type": ("string" | "boolean" | "null") as kind}:
            return str(kind)
    raise AssertionError(f"how is this written in TypeScript? {schema}")


def _union(name: str, words: str, members: list[str]) -> str:
    return f"/** {words} */\nexport type {name} =\n  | " + "\n  | ".join(members) + ";\n"


def _comment(words: str, indent: str) -> str:
    if len(f"{indent}/** {words} */") <= WIDTH:
        return f"{indent}/** {words} */\n" if words else ""
    start = f"{indent} * "
    lines = textwrap.wrap(words, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)
    return "\n".join([f"{indent}/**", *lines, f"{indent} */\n"])


def _name(reference: Json) -> str:
    name = str(reference["$ref"]).rpartition("/")[2]
    return NAMES.get(name, name)


def tsc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """TypeScript on the project in `folder`."""
    assert TSC.exists(), "there is no TypeScript: make clients/javascript/node_modules/.package-lock.json"
    return subprocess.run(
        [TSC, *arguments], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )


def declared(folder: Path) -> dict[str, str]:
    """Every `.d.ts` that users need, by name, made in `folder`, which is empty. Raises `ValueError` where the
    sources are not sound."""
    # In a folder of their own: beside the sources, the committed ones would be taken at their word.
    for source in [
        *CLIENT.glob("*.js"),
        *(CLIENT / name for name in ("types.d.ts", "tsconfig.json", "package.json")),
    ]:
        shutil.copy(source, folder)
    (folder / MESSAGES).write_text(messages_for_typescript(), encoding="utf-8")
    done = tsc(folder, "--noEmit", "false", "--declaration", "--emitDeclarationOnly")
    if done.returncode:
        raise ValueError(done.stdout + done.stderr)
    made = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.d.ts")}
    return {name: made[name] for name in sorted(_needed(FIRST, made))}


def _needed(first: str, made: dict[str, str]) -> set[str]:
    needed, waiting = set[str](), [first]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _named_in(made[name])
    return needed


def _named_in(text: str) -> Iterator[str]:
    for name in re.findall(r"""(?:from |import\()["']\./(\w+)\.js["']""", text):
        yield f"{name}.d.ts"


def committed() -> dict[str, str]:
    """Every `.d.ts` that is there, by name."""
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(CLIENT.glob("*.d.ts"))}


def write(folder: Path) -> None:
    """Make them, and put them where they belong."""
    made = declared(folder)
    for name in committed().keys() - made.keys():
        (CLIENT / name).unlink()
    for name, text in made.items():
        (CLIENT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            write(Path(folder))
        except ValueError as unsound:
            sys.exit(str(unsound))
