"""The verifier in Python: every receipt of the engine is taken, and none in which anything was changed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import merkle
from engine.blocks import entry_leaf
from engine.records import GENESIS, Entry
from tests.books_open import SIGNING_KEY
from tests.both_verifiers import in_node, in_python
from tests.receipt_vectors import NOT_IN_BLOCK, NOT_IN_TRANSACTION, NOT_JSON, changed
from tests.receipts_in_bulk import measure
from tests.sealed import Draft, Json, Sealed, bet, entry, leaf_of, resealed, text_of
from verifier.check import Refused, check_receipt, climb
from verifier.heads import check_head

KEY = SIGNING_KEY.public_key

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
integers = st.integers(1 - 2**63, 2**63 - 1)
entries = st.builds(
    entry,
    integers,
    integers,
    user_id=integers,
    currency=texts,
    ref_type=texts,
    ref_id=texts,
    prev_id=integers,
)
terms = st.fixed_dictionaries(
    {
        "kind": texts,
        "scope": texts,
        "key": texts,
        "answer": texts,
        "fingerprint": st.binary(min_size=32, max_size=32),
    }
)
drafts = st.builds(Draft, st.lists(entries, max_size=4).map(tuple), terms)
batches = st.lists(drafts, min_size=1, max_size=9)
starts = st.sampled_from([0, 100, 2**31, 2**53 - 2, 2**62])

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["00" * 32, "ab" * 16]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def words(text: str, key: bytes = KEY) -> str | None:
    try:
        check_receipt(text, key)
    except Refused as refused:
        return str(refused)
    return None


def seven() -> Json:
    books = Sealed()
    books.add(*(bet(number) for number in range(1, 8)))
    return books.receipt(4)


def places(inside: Any, *way: Any) -> list[tuple[Any, ...]]:
    """The way to each value in it, those of what holds others too."""
    steps = (
        inside.items() if isinstance(inside, dict) else enumerate(inside) if isinstance(inside, list) else ()
    )
    return [place for name, value in steps for place in [(*way, name), *places(value, *way, name)]]


def at(whole: Any, way: tuple[Any, ...]) -> Any:
    for step in way:
        whole = whole[step]
    return whole


@given(st.lists(batches, min_size=1, max_size=3), starts)
@settings(max_examples=60, deadline=None)
def test_every_receipt_of_any_history_is_taken_and_shows_its_rows(
    history: list[list[Draft]], start: int
) -> None:
    books = Sealed(GENESIS._replace(last_transaction_id=start, last_entry_id=start))
    for batch in history:
        books.add(*batch)

    number = start
    for draft in (draft for batch in history for draft in batch):
        number += 1
        shown = check_receipt(text_of(books.receipt(number)), KEY)
        assert {name: shown["transaction"][name] for name in draft.terms} == draft.terms
        amounts = [(each["amount"], each["balance_after"], each["ref_id"]) for each in shown["entries"]]
        assert amounts == [(e["amount_minor"], e["balance_after_minor"], e["ref_id"]) for e in draft.entries]


@given(st.data(), batches)
@settings(max_examples=300, deadline=None)
def test_any_single_change_is_refused(data: st.DataObject, batch: list[Draft]) -> None:
    books = Sealed()
    books.add(*batch)
    true = books.receipt(data.draw(st.integers(1, len(batch))))
    way = data.draw(st.sampled_from(places(true)))
    holder = at(made := copy.deepcopy(true), way[:-1])
    value: Any = holder[way[-1]]
    match data.draw(st.sampled_from(["replace", "remove", "add", "swap"])):
        case "replace":
            near: list[Any] = (
                [value + 1, value - 1, -value, str(value), float(value)] if isinstance(value, int) else []
            )
            near += (
                [value[1:], value + value[:1], value[::-1]]
                if value and not isinstance(value, (int, dict))
                else []
            )
            holder[way[-1]] = data.draw(st.sampled_from(near) | json_values if near else json_values)
        case "remove" if holder is not made["entries"]:  # any of the entries may be left out of a receipt
            del holder[way[-1]]
        case "add" if isinstance(holder, dict):
            holder[data.draw(st.text().filter(lambda name: name not in holder))] = value
        case "add":
            holder.insert(way[-1], data.draw(st.just(value) | json_values))
        case "swap":
            other = data.draw(st.sampled_from([place for place in places(made) if place[: len(way)] != way]))
            if way[: len(other)] != other:
                holder[way[-1]] = at(made, other)
    shown = made.get("entries")
    left_out = [each for each in true["entries"] if isinstance(shown, list) and each in shown]
    is_other = json.dumps(made) not in (json.dumps(true), json.dumps(true | {"entries": left_out}))

    assert (words(json.dumps(made)) is not None) == is_other


@given(st.text() | json_values.map(json.dumps) | st.dictionaries(st.text(), json_values).map(json.dumps))
def test_garbage_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with pytest.raises(Refused):
        check_receipt(text, KEY)
    with pytest.raises(Refused):
        check_head(text, KEY)
    head = Sealed()
    head.add(bet(1))
    with pytest.raises(Refused):
        check_head(text_of(head.head_json()), KEY, text)


@pytest.mark.parametrize("depth", [*range(900, 1010, 3), 100_000])
@pytest.mark.parametrize("place", ["text", "list"])
def test_deep_nesting_is_refused(depth: int, place: str) -> None:
    nested = "[" * depth + "]" * depth
    text = text_of(seven())

    found = words(text.replace('"EUR"', nested) if place == "text" else nested)

    assert found in (NOT_JSON, "currency is not what stands in its place")


@pytest.mark.parametrize("digits", [16, 17, 19, 400, 4300, 4301, 100_000])
def test_huge_numbers_are_refused(digits: int) -> None:
    found = words(text_of(seven()).replace('"amount":-30', f'"amount":{"9" * digits}'))

    assert found in (NOT_JSON, "amount is not what stands in its place")


# --- false receipts, by hand


def test_a_transaction_is_no_entry_and_an_entry_is_no_transaction() -> None:
    """Both are ten values hashed behind a zero. The second is a text in one, an integer in the other, which
    MessagePack begins with different bytes: no input of a hash is both, whatever the rest holds.
    """
    texts = {msgspec.msgpack.encode("x" * size)[0] for size in (*range(40), 255, 256, 65_535, 65_536)}
    numbers = {msgspec.msgpack.encode(sign << bits)[0] for sign in (1, -1) for bits in range(63)}
    numbers |= {msgspec.msgpack.encode(number)[0] for number in range(-300, 300)}
    assert not texts & numbers
    fixed = {*range(0x80), *range(0xE0, 0x100)}
    assert numbers == fixed | {*range(0xCC, 0xD4)}
    assert texts == {*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB}

    true = seven()
    as_entry = dict(zip(true["entries"][0], true["transaction"].values(), strict=False))
    as_transaction = dict(zip(true["transaction"], true["entries"][0].values(), strict=False))
    assert words(text_of(true | {"entries": [as_entry | {"path": []}]})) is not None
    assert words(text_of(true | {"transaction": as_transaction})) is not None


def test_a_leaf_passed_off_at_another_place_in_the_tree_is_refused() -> None:
    """Every pair of a place and a size of the tree, for each leaf and its true path."""
    leaves = [merkle.leaf(bytes([number])) for number in range(9)]
    for size in range(1, 10):
        root = merkle.root(leaves[:size])
        for index in range(size):
            path = [beside.hex() for beside in merkle.path(leaves[:size], index)]
            taken = [
                (told, count)
                for count in range(-1, 20)
                for told in range(-2, 20)
                if climb(leaves[index], told, count, path) == root
            ]
            assert (index, size) in taken
            # The same path fits trees of other sizes; the size is signed, and there it fits one place only.
            assert [told for told, count in taken if count == size] == [index]


def test_the_root_of_one_tree_is_not_that_of_another() -> None:
    """An entry's tree as the block's, and the block's as an entry's: each root is behind its own field."""
    books = Sealed()
    books.add(bet(1))
    true = books.receipt(1)
    lie = resealed(true)
    lie["block"]["root"], lie["transaction"]["entries_root"] = (
        true["transaction"]["entries_root"],
        true["block"]["root"],
    )
    assert words(text_of(lie)) is not None
    moved = changed(true, "transaction", "id", to=2)
    assert words(text_of(moved)) == NOT_IN_BLOCK
    assert words(text_of(changed(true, "entries", 0, "path", to=true["path"]))) == NOT_IN_TRANSACTION


def test_the_leaves_of_the_tests_are_those_of_the_engine() -> None:
    shown = seven()["entries"][0]
    row = Entry(*(value for name, value in shown.items() if name != "path"))

    assert leaf_of(shown) == entry_leaf(row)


@pytest.mark.long
def test_receipts_of_a_real_file_and_as_many_tampered_with(tmp_path: Path) -> None:
    assert measure(300, 7, tmp_path) == []


@pytest.mark.long
def test_both_verifiers_say_the_same_of_what_is_hardly_json(tmp_path: Path) -> None:
    text = text_of(seven())
    put = (
        "",
        '"',
        "0",
        "-0",
        "1e0",
        "1.",
        "\\",
        "\\u",
        "\\ud800",
        ":",
        ",",
        "{",
        "}",
        "[]",
        "null",
        "\t",
        "\x00",
        "é",
        "9" * 17,
    )
    made = [
        text[:at] + each + text[at + skip :]
        for at in range(0, len(text), 51)
        for each in put
        for skip in (0, 1)
    ]
    vectors = [{"check": "receipt", "text": each} for each in made]

    found, _ = in_node(vectors, KEY.hex(), tmp_path)

    assert found == in_python(vectors, KEY.hex())
