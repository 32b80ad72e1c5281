"""Receipts and heads, true and false, that every verifier must judge rightly: verifier/vectors.json."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine import merkle
from engine.keys import SigningKey
from engine.records import GENESIS
from tests.books_open import ALICE, HOUSE, NOW_US, SIGNING_KEY
from tests.sealed import Draft, Json, Sealed, bet, entry, leaf_of, resealed, resigned, text_of

PUBLIC_KEY: Final = SIGNING_KEY.public_key.hex()
OTHER_KEY: Final = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))).public_key.hex()

NOT_JSON: Final = "it is not a JSON object with integers and each name once"
OTHER_SIGNER: Final = "the block is signed with another key"
NOT_SIGNED: Final = "the signature is not that of the block"
NOT_IN_BLOCK: Final = "the transaction is not in the block"
NOT_WITHIN: Final = "the entries of the transaction are not in the block"
NOT_ITS_OWN: Final = "an entry is one of another transaction"
NOT_IN_TRANSACTION: Final = "an entry is not in the transaction"
NOT_IN_ORDER: Final = "an entry is there twice, or before an earlier one"
NOT_IN_HISTORY: Final = "the block that it says it follows is not in its history"
NOT_AFTER: Final = "it does not follow the block that was kept"
NOT_FORMAT_1: Final = "the format is not 1"

Named = Iterator[tuple[str, Any]]


def wrong(name: str) -> str:
    return f"{name} is not what stands in its place"


def expected(whole: Json) -> str:
    return f"expected an object with the fields {', '.join(whole)}"


# --- true ones


def base_of_the_bad() -> Sealed:
    books = Sealed()
    books.add(*(bet(number) for number in range(1, 8)))
    return books


def good_receipts() -> Named:
    yield "what the bad ones are made of", base_of_the_bad().receipt(4)
    for size in (1, 2, 3, 5, 7, 8, 1000):
        books = Sealed()
        books.add(*(bet(number) for number in range(1, size + 1)))
        for number in sorted({1, size // 2, size // 2 + 1, size - 1, size} - {0}):
            yield f"transaction {number} of {size} in its block", books.receipt(number)

    books = Sealed()
    counts = (0, 1, 2, 3, 4, 5, 8, 100)
    several = [Draft(tuple(entry(n, n, 7 + n) for n in range(count))) for count in counts]
    books.add(*several)
    for number, count in enumerate(counts, 1):
        yield f"transaction with {count} entries", books.receipt(number)
        if count > 4:
            for user_id in (7, 7 + count // 2, 6 + count):
                yield f"entry of wallet {user_id} among {count}", books.receipt(number, user_id)

    edges = (
        0,
        31,
        32,
        127,
        128,
        255,
        256,
        2**16,
        2**31,
        2**32,
        2**53 - 2,
        2**53,
        2**53 + 1,
        2**62,
        2**63 - 1,
    )
    numbers = sorted({each * sign + more for each in edges for sign in (1, -1) for more in (0, -1)})
    for amounts in (numbers[index : index + 4] for index in range(0, len(numbers), 4)):
        kept = [each for each in amounts if abs(each) < 2**63]
        books.add(Draft(tuple(entry(each, -each, HOUSE) for each in kept)))
        yield f"house entries of {', '.join(map(str, kept))}", books.receipt(books.head.last_transaction_id)

    far = GENESIS._replace(last_transaction_id=2**53 - 2, last_entry_id=2**53 - 2)
    books = Sealed(far)
    books.add(bet(1), bet(2), bet(3), at_us=2**53 + 1)
    for number in range(2**53 - 1, 2**53 + 2):
        yield f"transaction of the number {number}", books.receipt(number)

    texts = (
        "",
        "größer 3",
        "日本語",
        "🎲",
        "\x00\x7f\u2028\uffff",
        '"\\/\b\n',
        "é" * 15 + "!",
        "é" * 16,
        "a" * 255,
    )
    for text in (*texts, "a" * 256, "ü" * 400):
        books = Sealed()
        books.add(Draft((entry(1, 1, ref_id=text),), {"key": text, "answer": json.dumps({"said": text})}))
        yield f"text of {len(text.encode())} bytes, {text[:4]!a}", books.receipt(1)


def chain(length: int) -> list[Sealed]:
    """The same books after each of so many blocks."""
    grown = []
    for size in range(1, length + 1):
        books = Sealed()
        for number in range(1, size + 1):
            books.add(bet(number), at_us=NOW_US + number)
        grown.append(books)
    return grown


def good_heads(after: list[Sealed]) -> Named:
    for size in (1, 2, 8):
        yield f"head {size} alone", {"text": after[size - 1].head_json()}
    for size, since in ((2, 1), (3, 2), (5, 1), (8, 1), (8, 4), (8, 7), (9, 8), (12, 3), (12, 8), (13, 11)):
        newest = after[size - 1].head_json(since)
        yield f"head {size} that says it follows block {since}", {"text": newest}
        yield f"head {size} after head {since}", {"text": newest, "kept": after[since - 1].head_json()}
    yield "head 5 after a receipt of block 2", {"text": after[4].head_json(2), "kept": after[1].receipt(2)}
    yield "the same head again", {"text": after[4].head_json(), "kept": after[4].head_json(3)}


# --- false ones


def other_value(name: str, value: Any) -> Any:
    """Another value of the same form."""
    if isinstance(value, int):
        return value + 1
    if name in ("fingerprint", "signature", "root", "history", "prev_hash", "key_id", "hash", "entries_root"):
        return ("1" if value[0] == "0" else "0") + value[1:]
    return f"{value}x"


def changed(whole: Json, *place: str | int, to: Any) -> Json:
    """A copy with another value in one place."""
    made = copy.deepcopy(whole)
    inner: Any = made
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = to
    return made


def without(whole: Json, *place: str | int) -> Json:
    made = copy.deepcopy(whole)
    inner: Any = made
    for step in place[:-1]:
        inner = inner[step]
    del inner[place[-1]]
    return made


def bad_receipts() -> Iterator[tuple[str, str, Json]]:
    books = base_of_the_bad()
    true = books.receipt(4)
    yield from values_changed(true)
    yield from forms_changed(true)
    yield from paths_changed(true)
    yield from signed_lies(true, books.receipt(5))


def values_changed(true: Json) -> Iterator[tuple[str, str, Json]]:
    """Each value, and nothing else."""
    for name, value in true["block"].items():
        why = {"format": NOT_FORMAT_1, "key_id": OTHER_SIGNER}.get(name, NOT_SIGNED)
        yield f"block: another {name}", why, changed(true, "block", name, to=other_value(name, value))
    for name, value in true["transaction"].items():
        made = changed(true, "transaction", name, to=other_value(name, value))
        yield f"transaction: another {name}", NOT_IN_BLOCK, made
    for name, value in true["entries"][0].items():
        if name != "path":
            why = NOT_ITS_OWN if name in ("transaction_id", "block_id") else NOT_IN_TRANSACTION
            made = changed(true, "entries", 0, name, to=other_value(name, value))
            yield f"entry: another {name}", why, made
    signature = true["signature"]
    yield "another signature", NOT_SIGNED, true | {"signature": other_value("signature", signature)}
    yield "another format", NOT_FORMAT_1, true | {"format": 2}
    yield "no format", NOT_FORMAT_1, true | {"format": 0}


def forms_changed(true: Json) -> Iterator[tuple[str, str, Json]]:
    """A field too many or too few; another type; another spelling."""
    inner: dict[str, tuple[str | int, ...]] = {
        "receipt": (),
        "block": ("block",),
        "transaction": ("transaction",),
        "entry": ("entries", 1),
    }
    for which, place in inner.items():
        holder: Any = true
        for step in place:
            holder = holder[step]
        yield f"{which}: a field more", expected(holder), changed(true, *place, "note", to="paid")
        for name in (next(iter(holder)), [*holder][-1]):
            yield f"{which}: without {name}", expected(holder), without(true, *place, name)
    to: Any
    for which in ("block", "transaction"):
        for to in ([], None, "block"):
            yield f"{which} is {json.dumps(to)}", wrong(which), true | {which: to}
        yield f"{which} is empty", expected(true[which]), true | {which: {}}
    for to in ({}, None, "", 0):
        yield f"entries are {json.dumps(to)}", wrong("entries"), true | {"entries": to}
        yield f"path is {json.dumps(to)}", wrong("path"), true | {"path": to}
    yield "an entry is null", expected(true["entries"][0]), true | {"entries": [None]}
    amounts: tuple[Any, ...] = (True, None, "-30", "", "0", [], {}, "9007199254740991", "-9007199254740991")
    amounts += (" 9007199254740992", "9007199254740992\n", "09007199254740992", "+9007199254740992")
    amounts += ("9223372036854775808", "-9223372036854775808", "9" * 19, "9" + "٩" * 15)
    amounts += (2**53, -(2**53), 2**64)
    for to in amounts:
        yield f"amount is {json.dumps(to)}", wrong("amount"), changed(true, "entries", 0, "amount", to=to)
    for to in (1, None, False, [], {}, "\ud800", "\udc00\ud800", "a\udfff"):
        yield f"key is {json.dumps(to)}", wrong("key"), changed(true, "transaction", "key", to=to)
    root: str = true["block"]["root"]
    letters = root.upper() if root.upper() != root else "A" * 64
    forms: dict[str, Any] = {
        "in upper case": letters,
        "of an odd length": root[:-1],
        "a byte short": root[:-2],
    }
    forms |= {"a byte long": root + "00", "with 0x": "0x" + root[2:], "with a g": root[:-1] + "g"}
    forms |= {"and a line break": root[:-1] + "\n", "a number": 1, "null": None}
    for name, to in forms.items():
        yield f"root: {name}", wrong("root"), changed(true, "block", "root", to=to)
    yield "signature of 63 bytes", wrong("signature"), true | {"signature": true["signature"][2:]}
    yield "key_id of 32 bytes", wrong("key_id"), changed(true, "block", "key_id", to=root)


def paths_changed(true: Json) -> Iterator[tuple[str, str, Json]]:
    path, short = true["path"], true["entries"][0]["path"]
    for name, other in (
        ("empty", []),
        ("one shorter", path[:-1]),
        ("one longer", [*path, path[0]]),
        ("backwards", path[::-1]),
        ("twice", path + path),
        ("with another hash", [*path[:-1], other_value("hash", path[-1])]),
    ):
        yield f"path {name}", NOT_IN_BLOCK, true | {"path": other}
    yield "path with a number", wrong("path"), true | {"path": [*path[:-1], 7]}
    yield "path with upper-case letters", wrong("path"), true | {"path": ["AB" * 32, *path[1:]]}
    for name, other in (
        ("empty", []),
        ("one longer", short * 2),
        ("of another entry", true["entries"][1]["path"]),
    ):
        yield f"entry: path {name}", NOT_IN_TRANSACTION, changed(true, "entries", 0, "path", to=other)
    one, two = true["entries"]
    yield "entries in another order", NOT_IN_ORDER, true | {"entries": [two, one]}
    yield "an entry twice", NOT_IN_ORDER, true | {"entries": [one, one, two]}


def signed_lies(true: Json, beside: Json) -> Iterator[tuple[str, str, Json]]:
    """What has a good signature, and hashes that fit, is refused all the same if its parts do not fit."""
    other = leaf_of(beside["transaction"])
    first = changed(true, "block", "first_transaction_id", to=4)
    alone = resealed(changed(first, "block", "last_transaction_id", to=4))
    assert alone["path"] == []
    lie = resealed(changed(alone, "transaction", "block_id", to=2))
    yield "transaction of another block", NOT_IN_BLOCK, lie
    over = merkle.node(other, leaf_of(alone["transaction"]))
    lie = resigned(changed(alone, "block", "root", to=over.hex()))
    yield "a path in a tree of one leaf", NOT_IN_BLOCK, lie | {"path": [other.hex()]}
    # Five leaves, and a path that would lead from a sixth to their root.
    lie = changed(alone, "block", "root", to=merkle.node(other, over).hex())
    lie = changed(changed(lie, "block", "first_transaction_id", to=-1), "block", "last_transaction_id", to=3)
    yield "the place behind the last", NOT_IN_BLOCK, resigned(lie | {"path": [other.hex()] * 2})
    for name, place, to in (
        ("before the block", "first_transaction_id", 5),
        ("behind the block", "last_transaction_id", 3),
        ("in a block that says it has more", "last_transaction_id", 5),
    ):
        yield f"transaction {name}", NOT_IN_BLOCK, resigned(changed(alone, "block", place, to=to))
    two = resealed(changed(alone, "block", "last_transaction_id", to=5), other)
    lie = changed(changed(two, "block", "first_transaction_id", to=5), "block", "last_transaction_id", to=6)
    yield "the place before the first", NOT_IN_BLOCK, resigned(lie)
    yield (
        "a block that says it has fewer",
        NOT_IN_BLOCK,
        resigned(changed(two, "block", "last_transaction_id", to=4)),
    )
    yield (
        "the other side of the tree",
        NOT_IN_BLOCK,
        resigned(
            changed(changed(two, "block", "first_transaction_id", to=3), "block", "last_transaction_id", to=4)
        ),
    )
    for name, start, count in (("before", 6, 2), ("behind", 14, 2), ("beyond", 13, 3)):
        lie = changed(alone, "transaction", "first_entry_id", to=start)
        lie = resealed(changed(lie, "transaction", "entries", to=count) | {"entries": []})
        lie = changed(lie, "block", "first_entry_id", to=7)
        yield (
            f"entries {name} those of the block",
            NOT_WITHIN,
            resigned(changed(lie, "block", "last_entry_id", to=14)),
        )
    fewer = resealed(changed(alone, "transaction", "entries", to=-1) | {"entries": []})
    yield "a negative number of entries", NOT_WITHIN, fewer
    for name in ("transaction_id", "block_id"):
        yield (
            f"entry sealed with another {name}",
            NOT_ITS_OWN,
            resealed(changed(alone, "entries", 0, name, to=3)),
        )
    lie = resealed(changed(alone, "transaction", "entries", to=3))
    yield "more entries told than sealed", NOT_IN_TRANSACTION, lie
    lie = resealed(changed(alone, "transaction", "entries", to=1))
    yield "fewer entries told than sealed", NOT_IN_TRANSACTION, lie
    for index, number in ((0, 6), (1, 9)):
        lie = resealed(changed(alone, "entries", index, "id", to=number))
        yield f"entry of the number {number}, outside", NOT_IN_TRANSACTION, lie
    yield "format 2, signed", NOT_FORMAT_1, resigned(changed(alone, "block", "format", to=2)) | {"format": 2}
    yield "a block of format 2, signed", NOT_FORMAT_1, resigned(changed(alone, "block", "format", to=2))
    # A transaction is no entry and an entry is no transaction, though both are ten values behind a zero.
    made = dict(zip(true["entries"][0], [*beside["transaction"].values(), []], strict=True))
    yield "a transaction as an entry", wrong("user_id"), true | {"entries": [made]}
    made = dict(zip(true["transaction"], true["entries"][0].values(), strict=False))
    yield "an entry as a transaction", wrong("kind"), true | {"transaction": made}
    # A node is no leaf: the tree of one leaf whose hash is a node of the true tree.
    node = merkle.node(leaf_of(true["transaction"]), other).hex()
    yield "a node in the place of a path", NOT_IN_BLOCK, true | {"path": [node, *true["path"][1:]]}


def bad_texts() -> Iterator[tuple[str, str, str]]:
    """What is no JSON, or none that all programs read alike."""
    text = text_of(base_of_the_bad().receipt(4))
    for name, other in (
        ("nothing", ""),
        ("a list", "[]"),
        ("a number", "1"),
        ("null", "null"),
        ("two receipts", text * 2),
        ("a receipt cut short", text[:-1]),
        ("a comma at the end", text[:-1] + ",}"),
        ("a byte order mark", "\ufeff" + text),
        ("a comment", "//\n" + text),
        ("the format twice", '{"format":2,' + text[1:]),
        ("the amount twice", text.replace('"amount":-30', '"amount":-99,"amount":-30')),
        ("the amount twice, once escaped", text.replace('"amount":-30', '"amount":-30,"am\\u006funt":-30')),
        ("a fraction", text.replace('"amount":-30', '"amount":-30.0')),
        ("an exponent", text.replace('"amount":-30', '"amount":-3e1')),
        ("not a number", text.replace('"amount":-30', '"amount":NaN')),
        ("infinity", text.replace('"amount":-30', '"amount":-Infinity')),
        ("a zero in front", text.replace('"amount":-30', '"amount":-030')),
        ("a plus", text.replace('"amount":30', '"amount":+30')),
        ("single quotes", text.replace('"', "'")),
        ("a line break in a text", text.replace('"BET"', '"BET\n"')),
        ("an escape that is none", text.replace('"BET"', '"\\x42ET"')),
        ("a non-breaking space", text.replace(",", ",\xa0")),
    ):
        assert other != text
        yield name, NOT_JSON, other


def bad_heads(after: list[Sealed]) -> Iterator[tuple[str, str, Json]]:
    true, kept = after[7].head_json(3), after[2].head_json()
    alone = after[7].head_json()
    for name in ("history", "prev_hash", "root", "id", "at"):
        made = changed(true, "block", name, to=other_value(name, true["block"][name]))
        yield f"another {name}", NOT_SIGNED, {"text": made}
    yield "another format", NOT_FORMAT_1, {"text": true | {"format": 2}}
    yield "another signature", NOT_SIGNED, {"text": true | {"signature": kept["signature"]}}
    yield "a field more", expected(alone), {"text": alone | {"note": "paid"}}
    yield "without its signature", expected(alone), {"text": without(alone, "signature")}
    yield "a receipt", expected(alone), {"text": after[0].receipt(1)}
    to: Any
    follows = true["follows"]
    for to in (None, [], {}, follows | {"at": 1}, without(follows, "hash")):
        name = ", ".join(to) if isinstance(to, dict) else json.dumps(to)
        yield f"follows: {name}", expected(follows), {"text": true | {"follows": to}}
    for name, why, to in (
        ("another block", NOT_IN_HISTORY, follows | {"id": 4}),
        ("block 0", NOT_IN_HISTORY, follows | {"id": 0}),
        ("itself", NOT_IN_HISTORY, follows | {"id": 8}),
        ("another hash", NOT_IN_HISTORY, follows | {"hash": other_value("hash", follows["hash"])}),
        ("a path one shorter", NOT_IN_HISTORY, follows | {"path": follows["path"][:-1]}),
        ("a path one longer", NOT_IN_HISTORY, follows | {"path": [*follows["path"], follows["hash"]]}),
        ("a path backwards", NOT_IN_HISTORY, follows | {"path": follows["path"][::-1]}),
        ("a number in the path", wrong("path"), follows | {"path": [1]}),
        ("an id as a text", wrong("id"), follows | {"id": "3"}),
    ):
        yield f"follows {name}", why, {"text": true | {"follows": to}}
    other = Sealed()
    for number in (1, 2, 3):
        other.add(bet(number + 1), at_us=NOW_US + number)
    yield "no proof for the one that was kept", NOT_AFTER, {"text": alone, "kept": kept}
    yield "a proof for another one", NOT_AFTER, {"text": after[7].head_json(4), "kept": kept}
    yield "a history of other blocks", NOT_AFTER, {"text": true, "kept": other.head_json()}
    yield "another block of the same number", NOT_AFTER, {"text": other.head_json(), "kept": kept}
    yield "an earlier head", NOT_AFTER, {"text": kept, "kept": alone}
    hash_ = after[2].head.hash
    lie = changed(after[1].head_json(1), "block", "history", to=merkle.leaf(hash_).hex())
    lie = resigned(lie | {"follows": {"id": 1, "hash": hash_.hex(), "path": []}})
    yield "the one that was kept, in another place", NOT_AFTER, {"text": lie, "kept": kept}
    yield "kept: not JSON", NOT_JSON, {"text": true, "kept": []}
    yield "kept: without a block", expected(kept["block"]), {"text": true, "kept": {"format": 1}}
    yield "kept: a wrong root", wrong("root"), {"text": true, "kept": changed(kept, "block", "root", to="")}


def all_vectors() -> list[Json]:
    """Each has a name, which `check` it is for, its text; a bad one the words of its refusal too."""
    made: list[Json] = [
        {"name": name, "check": "receipt", "text": text_of(whole)} for name, whole in good_receipts()
    ]
    after = chain(13)
    made += [{"name": name, "check": "head"} | _texts(parts) for name, parts in good_heads(after)]
    made += [
        {"name": name, "check": "receipt", "refused": why, "text": ascii_of(whole)}
        for name, why, whole in bad_receipts()
    ]
    made += [
        {"name": name, "check": "receipt", "refused": why, "text": text} for name, why, text in bad_texts()
    ]
    made += [
        {"name": name, "check": "head", "refused": why} | _texts(parts)
        for name, why, parts in bad_heads(after)
    ]
    other = {"refused": OTHER_SIGNER, "public_key": OTHER_KEY}
    made.append(
        {"name": "another public key", "check": "receipt", "text": text_of(after[0].receipt(1, ALICE))}
        | other
    )
    made.append(
        {"name": "another public key", "check": "head", "text": text_of(after[0].head_json())} | other
    )
    return made


def ascii_of(whole: Json) -> str:
    """With every sign beyond ASCII escaped: a lone surrogate has no other way into a file."""
    return json.dumps(whole, separators=(",", ":"))


def _texts(parts: Json) -> Json:
    return {name: text_of(whole) for name, whole in parts.items()}


def file_text() -> str:
    """verifier/vectors.json, one line a vector."""
    vectors = all_vectors()
    names = Counter((vector["check"], vector["name"]) for vector in vectors)
    assert len(names) == len(vectors), names.most_common(9)
    lines = ",\n".join(json.dumps(shorter(vector, vectors[0]), ensure_ascii=False) for vector in vectors)
    return f'{{"public_key": "{PUBLIC_KEY}", "vectors": [\n{lines}\n]}}\n'


def shorter(vector: Json, base: Json) -> Json:
    """Instead of its text: what to put where into that of `base`, if little of it is another."""
    text, other = vector["text"], base["text"]
    start = alike(text, other)
    end = alike(text[start:][::-1], other[start:][::-1])
    cut = [start, len(other) - end]
    if vector is base or 2 * (len(text) - start - end) > len(text) or not other.isascii():
        return vector
    kept = {name: value for name, value in vector.items() if name != "text"}
    return kept | {"cut": cut, "put": text[start : len(text) - end]}


def alike(one: str, other: str) -> int:
    """How many characters they begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
