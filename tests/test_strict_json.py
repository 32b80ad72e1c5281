"""Strict JSON: what is refused, and in which words; what is taken means the same to another reader."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from ws.strict_json import NAME_CHARS_MAX, NotStrict, decode, is_json, read, refuse_twice


class Stake(msgspec.Struct, forbid_unknown_fields=True):
    amount: int
    game: str = ""


NEVER: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON: "),
    "half": (b'{"a":', "not JSON: "),
    "more than one": (b"{}{}", "not JSON: "),
    "a comma too many": (b'{"a":1,}', "not JSON: "),
    "NaN": (b'{"a":NaN}', "not JSON: "),
    "Infinity": (b'{"a":-Infinity}', "not JSON: "),
    "no UTF-8": (b'{"a":"\xff"}', "not JSON: "),
    "UTF-8 that is too long": (b'{"a":"\xc0\xaf"}', "not JSON: "),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not JSON: "),
    "UTF-16 without a mark": ('{"a":1}'.encode("utf-16-le"), "not JSON: "),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}', "not JSON: "),
    "a lone surrogate": (b'{"a":"\\ud800"}', "not JSON: "),
    "a bare control character": (b'{"a":"x\ny"}', "not JSON: "),
    "NUL": (b'{"a":1}\x00', "not JSON: "),
    "deep": (b'{"a":' + b"[" * 100_000, "not JSON: nested too deeply"),
    "deep and closed": (b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "not JSON: nested too deeply"),
    "a long integer": (b'{"a":' + b"9" * 5_000 + b"}", "Integer value out of range"),
    "a large number": (b'{"a":1e999}', "Number out of range"),
    "a list": (b"[]", "Expected `object`, got `array`"),
    "null": (b"null", "Expected `object`, got `null`"),
    "a name twice": (b'{"a":1,"b":2,"a":1}', "a: there twice"),
    "a name twice within": (b'{"a":[{"b":{"c":1,"c":1}}]}', "c: there twice"),
    "a name twice, written otherwise": (b'{"amount":1,"\\u0061mount":2}', "amount: there twice"),
    "the empty name": (b'{"":1,"":2}', ": there twice"),
    "a long name": (b'{"%b":1,"%b":2}' % ((b"x" * 999,) * 2), "x" * NAME_CHARS_MAX + ": there twice"),
}


@pytest.mark.parametrize("what", NEVER)
def test_what_is_not_strict_is_refused_in_words_that_may_be_shown(what: str) -> None:
    text, words = NEVER[what]
    with pytest.raises(NotStrict) as refused:
        read(text, dict)
    assert str(refused.value).startswith(words)
    assert len(str(refused.value)) < 200, "what was sent is not told back"


def test_what_is_of_the_kind_is_read() -> None:
    assert read(b' {"game":"\xc3\x9f","amount":7} ', Stake) == Stake(7, "\u00df")
    for wrong in (b"{}", b'{"amount":1.0}', b'{"amount":1,"more":1}', b'{"amount":1,"game":null}'):
        with pytest.raises(NotStrict):
            read(wrong, Stake)


def test_names_are_looked_at_last() -> None:
    """It is a call for each object: a kind that does not fit is refused before."""
    assert decode(b'{"amount":1,"amount":2}', Stake).amount in (1, 2)
    with pytest.raises(NotStrict, match="Expected `int`"):
        read(b'{"amount":1,"amount":"2"}', Stake)


def test_so_deep_that_only_the_second_reader_minds() -> None:
    with pytest.raises(NotStrict, match="nested too deeply"):
        refuse_twice(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize(
    ("content_type", "is_said"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON ;x=y", True),
        ("", False),
        ("text/json", False),
        ("application/jsonx", False),
        ("application/json-patch+json", False),
        ("text/plain; application/json", False),
        ("application/json, text/plain", False),
    ],
)
def test_a_body_is_json_by_its_media_type(content_type: str, is_said: bool) -> None:
    assert is_json(content_type) is is_said


PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"a"', b'"b"', b'"\\u0061"', b'"', b"\\", b'{"a":1}'),
    *(b'"a":1,', b'"b":{},', b'"c":[],', b',"a":0', b',"\\u0061":0', b',"e":null'),
    *(b"1", b"-0", b"1.5", b"1e5", b"01", b"-", b"9007199254740993", b"18446744073709551616", b"NaN"),
    *(b" ", b"\n", b"\x00", b"\x7f", b"\xff", b"\xc3\xa9", b"\\ud83d", b"\\ude00", b"\xef\xbb\xbf", b"null"),
]  # fmt: skip


def made_up(rng: random.Random) -> bytes:
    """Something that is JSON, or nearly."""

    def value(depth: int) -> Any:
        kind = rng.randrange(8 if depth < 3 else 5)
        if kind < 5:
            return (rng.randrange(-9, 9), rng.random(), None, True, "é\u2028\U0001f600"[: rng.randrange(4)])[
                kind
            ]
        if kind == 5:
            return [value(depth + 1) for _ in range(rng.randrange(4))]
        return {rng.choice("abcdef"): value(depth + 1) for _ in range(rng.randrange(4))}

    text = json.dumps({"a": value(0), "b": value(0)}, ensure_ascii=rng.random() < 0.5).encode()
    for _ in range(rng.randrange(3)):
        at, until = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        text = text[:at] + rng.choice(PIECES) + text[rng.choice((at, until)) :]
    return text


def test_what_is_taken_means_the_same_to_another_reader() -> None:
    rng = random.Random(7)
    taken = twice = 0
    for _ in range(10_000):
        text = made_up(rng)
        try:
            decoded = read(text, dict)
        except NotStrict as error:
            twice += "there twice" in str(error)
            continue
        taken += 1
        counts: list[int] = []

        def names(pairs: list[tuple[str, Any]], counts: list[int] = counts) -> dict[str, Any]:
            counts.append(len(pairs))
            return dict(pairs)

        assert json.loads(text.decode(), object_pairs_hook=names) == decoded, text
        assert sum(counts) == text_names(decoded), text
    assert taken > 3_000, "it has to be nearly JSON, and often is"
    assert twice > 10, "and says something twice now and then"


def text_names(decoded: Any) -> int:
    """How many names there are in all objects."""
    if isinstance(decoded, dict):
        return len(decoded) + sum(text_names(each) for each in decoded.values())
    return sum(text_names(each) for each in decoded) if isinstance(decoded, list) else 0
