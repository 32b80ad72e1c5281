"""`/asyncapi.json`: the socket, described from the types of its messages. Pure.

Source: AsyncAPI 3.0.0. An operation is named from the server's side: it *receives* requests and *sends* what
comes unasked.
"""

from __future__ import annotations

from typing import Any, Final

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
from ws.contracts.schemas import example_of, name_of, ref, schemas, used_by
from ws.v1.routes import ROUTES
from ws.wire.answers import PUSHES, REPLIES, REPLIES_OF, codes_of
from ws.wire.fields import SUBPROTOCOL, Reply, Request
from ws.wire.figures import FiguresFollow
from ws.wire.messages import Auth, BalanceGet, Error, Limits, Ping, Resume
from ws.wire.payouts import PayoutFollow

Json = dict[str, Any]

CHANNEL: Final = "wallet"

_ASKED: Final = frozenset(str(each.__struct_config__.tag) for each in REPLIES_OF)

SUMMARY_OF_REQUEST: Final[dict[type[Request], str]] = {route.request: route.summary for route in ROUTES} | {
    Auth: "say who is asking, where the handshake cannot: in a browser",
    BalanceGet: "the balance of this socket's wallet",
    Resume: "what was missed: each later entry, and from then on pushes",
    Ping: "is anybody there?",
    PayoutFollow: "how far a payout is, now and from now on",
    FiguresFollow: "how the server does, now and each second from now on",
}

SUMMARY_OF_REPLY: Final = {
    "welcome": "who the server takes this socket for, and its bounds",
    "bet.pending": "the bet was taken in; nothing has moved yet",
    "bet.confirmed": "the stake has moved, on disk",
    "bet.rejected": "this bet_id has moved no money",
    "bet.state": "where a bet stands",
    "bet.settled": "the bet is over, and paid",
    "bet.unsettled": "the bet is confirmed again",
    "bet.rolled_back": "the bet is undone, or will be refused when it comes",
    "bet.cashed_out": "a part of the stake, or all of it, is over and paid",
    "balance": "what is in the wallet",
    "wallet.entry": "an entry was posted to the wallet",
    "wallet.moved": "money has moved, or was set aside: the wallet afterwards",
    "wallet.opened": "there is a new wallet",
    "wallets": "all wallets of a person",
    "resumed": "all that was missed has been told",
    "pong": "yes",
    "payout": "where a payout stands",
    "payout.progress": "a payout that this socket follows has moved on",
    "limit.changed": "what a limit is now",
    "limits": "all limits of a wallet",
    "bonus.granted": "the bonus wallet afterwards",
    "free_bet.changed": "what became of a free bet",
    "book.changed": "how far a book may go now",
    "archive": "where an archive stands",
    "receipt": "evidence of a transaction, to keep and to show",
    "head": "the newest block, signed",
    "clock": "whether the time of the books follows the wall clock",
    "circuit": "whether bets are taken",
    "figures": "what the last second has brought",
    "check": "how far a check of the books is, or what it has found",
    "players": "the players that were found",
    "payouts": "a page of payouts",
    "bet.trail": "a bet's way through the ledger",
    "keys": "the keys that have signed blocks",
    "error": "the request was not carried out, or nobody knows: it says nothing about a bet",
}

CLOSE_CODES: Final = {
    1000: "Done.",
    1001: "The server stops: reconnect.",
    1007: "A text frame was no UTF-8.",
    1009: "A frame was too big.",
    1011: "A fault in the server, or no pong came.",
    4400: "Not this protocol: no subprotocol `wallet.v1`, or a binary frame.",
    4401: "Not authenticated, or the token has expired.",
    4408: "No `auth` came within 5 s.",
    4429: "Reading too slowly, or too many messages, fragments or sockets: reconnect and `resume`.",
}
"""Source: PROTOCOL, close codes; `ws.effects.CloseCode`; the others are the WebSocket library's."""


def asyncapi() -> Json:
    """The contract of `/ws`."""
    known = schemas()
    requests: list[type[Request] | type[Reply]] = [*REPLIES_OF]
    messages = {key_of(each): _message(each, known) for each in [*requests, *REPLIES]}
    frames = {"RequestFrame": _frame(tuple(REPLIES_OF)), "ReplyFrame": _frame(REPLIES)}
    frames["RequestFrame"]["oneOf"][1]["maxItems"] = Limits().frame_messages
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"{TITLE}: the socket",
            "version": VERSION,
            "description": f"{WHAT_IT_IS} {CONVENTIONS}",
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": _server("127.0.0.1:8000", "ws", "What `make run` serves."),
            "public": _server("{host}", "wss", "Behind TLS.")
            | {"variables": {"host": {"description": "Where it is served.", "default": "localhost"}}},
        },
        "channels": {
            CHANNEL: {
                "address": "/ws",
                "title": "The socket of a wallet, an operator or an auditor",
                "description": (
                    f"Subprotocol `{SUBPROTOCOL}`. A text frame holds one message, or an array of them: a "
                    "bad one does not void the others. A foreign `Origin` gets HTTP 403."
                ),
                "servers": [{"$ref": "#/servers/local"}, {"$ref": "#/servers/public"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": _handshake()},
            }
        },
        "operations": {tag(each): _request(each) for each in REPLIES_OF}
        | {f"push.{tag(each)}": _push(each) for each in PUSHES},
        "components": {
            "messages": messages,
            "schemas": used_by([messages, frames], known) | frames,
            "correlationIds": {
                "id": {
                    "description": "A reply carries the `id` of its request.",
                    "location": "$message.payload#/id",
                }
            },
            "securitySchemes": {
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": f"{WHO_IS_ASKING} On the handshake.",
                },
                "firstMessage": {
                    "type": "apiKey",
                    "in": "password",
                    "description": "The same token in a first message `auth`, alone in a frame, within 5 s.",
                },
            },
        },
        "x-codes": codes(),
        "x-close-codes": {str(code): words for code, words in CLOSE_CODES.items()},
        "x-limits": {name: getattr(Limits(), name) for name in Limits.__struct_fields__},
    }


def tag(message: type[Request] | type[Reply]) -> str:
    """The `type` of a message, as it is written."""
    return str(message.__struct_config__.tag)


def key_of(message: type[Request] | type[Reply]) -> str:
    """What a message is called among all: its `type`, but for a reply of the same `type` as its request."""
    is_taken = issubclass(message, Reply) and tag(message) in _ASKED
    return f"{tag(message)}.reply" if is_taken else tag(message)


def _server(host: str, protocol: str, description: str) -> Json:
    schemes = [{"$ref": f"#/components/securitySchemes/{name}"} for name in (BEARER, "firstMessage")]
    return {"host": host, "protocol": protocol, "description": description, "security": schemes}


def _handshake() -> Json:
    return {
        "method": "GET",
        "headers": {
            "type": "object",
            "properties": {
                "Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL},
                "Authorization": {"type": "string", "description": WHO_IS_ASKING},
                "Origin": {"type": "string", "description": "The server's own, or one that it was told of."},
            },
            "required": ["Sec-WebSocket-Protocol"],
        },
        "bindingVersion": "0.1.0",
    }


def _message(each: type[Request] | type[Reply], known: dict[str, Json]) -> Json:
    name = name_of(each)
    summary = SUMMARY_OF_REQUEST[each] if issubclass(each, Request) else SUMMARY_OF_REPLY[tag(each)]
    message = {
        "name": tag(each),
        "title": tag(each),
        "summary": summary,
        "payload": ref(each),
        "examples": [{"payload": example_of(name, known)}],
    }
    if "id" in known[name]["properties"]:
        message["correlationId"] = {"$ref": "#/components/correlationIds/id"}
    if "description" in known[name]:
        message["description"] = known[name]["description"]
    return message


def _request(each: type[Request]) -> Json:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "summary": SUMMARY_OF_REQUEST[each],
        "messages": [_in_channel(each)],
        "reply": {
            "channel": {"$ref": f"#/channels/{CHANNEL}"},
            "messages": [*map(_in_channel, REPLIES_OF[each]), _in_channel(Error)],
        },
        "x-roles": roles(tag(each)),
        "x-scopes": scopes(tag(each)),
        "x-codes": [code.name for code in codes_of(each)],
    }


def _push(each: type[Reply]) -> Json:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "summary": SUMMARY_OF_REPLY[tag(each)],
        "messages": [_in_channel(each)],
    }


def _in_channel(each: type[Request] | type[Reply]) -> Json:
    return {"$ref": f"#/channels/{CHANNEL}/messages/{key_of(each)}"}


def _frame(messages: tuple[type, ...]) -> Json:
    one = {"oneOf": [ref(each) for each in messages]}
    return {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]}
