"""docs/wire.md shows every request as it decodes and every reply as it is encoded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

from tests.operator_messages import SOUND, leaves, one
from ws.wire.fields import Reply, Request
from ws.wire.messages import AnyRequest

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "wire.md").read_text(encoding="utf-8")
REQUESTS: dict[str, type[Request]] = {each.__struct_config__.tag: each for each in get_args(AnyRequest)}
REPLIES = {each.__struct_config__.tag: each for each in leaves(Reply)}


def documented() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests and the replies of the page's two blocks."""
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    requests, replies = ([json.loads(line) for line in block.splitlines()] for block in blocks)
    return requests, replies


def elsewhere() -> set[str]:
    """The types that docs/protocol.md shows, requests in a table: spoken from the first day. And the replies
    that only HTTP has."""
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    http = (DOCS / "http.md").read_text(encoding="utf-8")
    return {
        *re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE),
        *re.findall(r'"type":"([a-z_.]+)"', page + http),
    }


def test_the_page_shows_every_message_as_it_decodes() -> None:
    requests, _ = documented()
    shown = {request["type"] for request in requests}
    assert REQUESTS.keys() - elsewhere() <= shown <= REQUESTS.keys()
    wrong = [each for each in requests if type(one(each)) is not REQUESTS[each["type"]]]
    assert wrong == []


def test_the_page_shows_every_reply_as_it_is_encoded() -> None:
    _, replies = documented()
    shown = {reply["type"] for reply in replies}
    assert REPLIES.keys() - elsewhere() <= shown <= REPLIES.keys()
    for reply in replies:
        names = [field for field in reply if field != "type"]
        known = REPLIES[reply["type"]].__struct_fields__
        assert names == [name for name in known if name in names], reply


def test_the_page_names_every_field_of_every_message() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", PAGE, re.MULTILINE))
    for type_, fields in SOUND.items():
        assert {*re.findall(r"`(\w+)`", rows[type_])} >= fields.keys(), type_
