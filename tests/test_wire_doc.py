"""docs/wire.md shows every request as it decodes and every reply as it is encoded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from operator_messages import SOUND, one

from ws.archives import ArchiveGet
from ws.circuit import CircuitGet
from ws.clock import ClockConfirm, ClockGet
from ws.fields import Reply, Request
from ws.limits import LimitGet
from ws.messages import BetPlace
from ws.operators import Move
from ws.payouts import PayoutFollow, PayoutGet
from ws.receipts import HeadGet, ReceiptGet
from ws.wallets import WalletList

PAGE = Path(__file__).resolve().parent.parent / "docs/wire.md"


def documented() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests and the replies of the page's two blocks."""
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    requests, replies = ([json.loads(line) for line in block.splitlines()] for block in blocks)
    return requests, replies


def test_the_page_shows_every_message_as_it_decodes() -> None:
    requests, _ = documented()
    others: dict[str, type[Request]] = {
        "payout.get": PayoutGet, "payout.follow": PayoutFollow, "limit.get": LimitGet,
        "wallet.list": WalletList, "bet.place": BetPlace, "receipt.get": ReceiptGet, "head.get": HeadGet,
        "archive.get": ArchiveGet, "clock.get": ClockGet, "clock.confirm": ClockConfirm,
        "circuit.get": CircuitGet,
    }  # fmt: skip
    assert {request["type"] for request in requests} == SOUND.keys() | others.keys()
    wrong = [each for each in requests if not isinstance(one(each), others.get(each["type"], Move))]
    assert wrong == []


def test_the_page_shows_every_reply_as_it_is_encoded() -> None:
    _, replies = documented()
    kinds = {each.__struct_config__.tag: each for each in all_replies(Reply)}
    assert {reply["type"] for reply in replies} == {
        "bet.settled", "bet.unsettled", "bet.rolled_back", "bet.cashed_out", "wallet.moved", "error",
        "wallet.entry", "payout", "payout.progress", "limit.changed", "limits", "wallet.opened", "wallets",
        "bonus.granted", "free_bet.changed", "bet.confirmed", "book.changed", "receipt", "head", "archive",
        "clock",
        "circuit",
    }  # fmt: skip
    for reply in replies:
        names = [field for field in reply if field != "type"]
        known = kinds[reply["type"]].__struct_fields__
        assert names == [name for name in known if name in names], reply


def test_the_page_names_every_field_of_every_message() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    for type_, fields in SOUND.items():
        assert {*re.findall(r"`(\w+)`", rows[type_])} >= fields.keys(), type_


def all_replies(kind: type[Reply]) -> Iterator[type[Reply]]:
    for each in kind.__subclasses__():
        yield each
        yield from all_replies(each)
