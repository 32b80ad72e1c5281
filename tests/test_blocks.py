"""Format 1: known answers, a second implementation made from docs/evidence.md, and what a change does."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest
from books_open import ALICE, NOW_US, account, deposit, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.blocks import FORMAT, Block, entry_bytes, hash_of, root_of, seal, transaction_bytes
from engine.commands import Deposit, PlaceBet, fingerprint_bet, fingerprint_deposit
from engine.decide import decide
from engine.view import GENESIS, Entry, Head, Transaction

EVIDENCE = (Path(__file__).resolve().parent.parent / "docs" / "evidence.md").read_text(encoding="utf-8")

# Never to change: files out there are sealed with these. They were computed from the page, not by the engine.
DEPOSIT_FINGERPRINT = "8f2f004a704d0c1a26554dd622e114e3d4e6bb41cea9f3ba7d297d4f57e4bbd5"
BET_FINGERPRINT = "d4621b8fc53fa3a55d33df5691f6f87192a93bc8e10e9c858d45eb99c3e18b21"
ROOT = "179aea9d47ac6dbb4e377e7494e98fdefdcfe718b04726d5ee91b88575d2c9d6"
HASH = "36b40eeba8b425acc63de2833409ed2863c29f139e893062c3a707410f2c69a9"

WELCOME = deposit("welcome", 1000, caller="cli")
BET = PlaceBet(
    "0199c1e0-7c00-7000-8000-000000000001",
    ALICE,
    250,
    "a-nonce-that-does-not-count",
    NOW_US,
    game="dice",
    round="",
    selection="größer 3",
    odds_milli=2500,
)


# The second implementation: from the page alone, with nothing of the engine but its records.
def i64(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def packed(numbers: list[int], *texts: str | bytes) -> bytes:
    """The numbers, then (as the page lists them) the lengths of the texts, then the texts."""
    raw = [text.encode() if isinstance(text, str) else text for text in texts]
    return b"".join([*map(i64, numbers), *(u32(len(text)) for text in raw), *raw])


def page_transaction(row: Transaction, entries: list[Entry]) -> bytes:
    texts = [row.kind, row.scope, row.key, row.fingerprint, row.answer]
    numbers = i64(row.id) + i64(row.block_id) + u32(len(entries))
    return numbers + packed([], *texts) + b"".join(map(page_entry, entries))


def page_entry(row: Entry) -> bytes:
    numbers = [row.id, row.user_id, row.amount_minor, row.balance_after_minor, row.prev_id]
    return packed(numbers, row.currency, row.ref_type, row.ref_id)


def page_root(transactions: list[Transaction], entries: list[Entry]) -> bytes:
    own = [[entry for entry in entries if entry.transaction_id == row.id] for row in transactions]
    return sha256(b"".join(map(page_transaction, transactions, own))).digest()


def page_hash(row: Block) -> bytes:
    ranges = [row.first_transaction_id, row.last_transaction_id, row.first_entry_id, row.last_entry_id]
    numbers = [row.format, row.id, *ranges, row.at_us]
    return sha256(b"SGBLOCK\0" + b"".join(map(i64, numbers)) + row.prev_hash + row.root).digest()


def page_fingerprint(bet: PlaceBet, currency: str) -> bytes:
    texts = [currency, bet.game, bet.round, bet.selection]
    lengths = [b"\xff\xff\xff\xff" if text is None else u32(len(text.encode())) for text in texts]
    numbers = [i64(bet.user_id), i64(bet.stake_minor), i64(bet.odds_milli or 0)]
    return sha256(b"".join([b"B", *numbers, *lengths, *[(text or "").encode() for text in texts]])).digest()


def example() -> tuple[Block, list[Transaction], list[Entry]]:
    """The block that docs/evidence.md takes apart, made by the engine."""
    view = view_of(account(ALICE))
    decide(view, WELCOME, NOW_US)
    decide(view, BET, NOW_US)
    block = seal(view.head, view.at_us, view.new_transactions, view.new_entries)
    return block, view.new_transactions, view.new_entries


def test_known_answers() -> None:
    block, _, _ = example()

    assert fingerprint_deposit(WELCOME, "EUR").hex() == DEPOSIT_FINGERPRINT
    assert fingerprint_bet(BET, "EUR").hex() == BET_FINGERPRINT
    assert block == Block(1, 1, 1, 2, 1, 4, bytes.fromhex(ROOT), bytes(32), bytes.fromhex(HASH), NOW_US)


def test_the_page_shows_the_bytes_that_the_engine_hashes() -> None:
    shown = {
        name: bytes.fromhex("".join(line.split()[0] for line in lines.splitlines()))
        for name, lines in re.findall(r"```bytes (\S+)\n(.*?)```", EVIDENCE, re.DOTALL)
    }
    results = {
        name: bytes.fromhex(digest)
        for table in re.findall(r"```sha256\n(.*?)```", EVIDENCE, re.DOTALL)
        for digest, name in map(str.split, table.splitlines())
    }
    block, transactions, entries = example()
    rows = {f"transaction-{row.id}": transaction_bytes(row, 2) for row in transactions}
    rows |= {f"entry-{row.id}": entry_bytes(row) for row in entries}

    assert {name: shown[name] for name in rows} == rows
    in_order = ["transaction-1", "entry-1", "entry-2", "transaction-2", "entry-3", "entry-4"]
    assert sha256(b"".join(shown[name] for name in in_order)).digest() == results["root"] == block.root
    assert sha256(shown["header"]).digest() == results["hash"] == block.hash
    for name, transaction in zip(("deposit", "bet"), transactions, strict=True):
        assert sha256(shown[f"{name}-fingerprint-input"]).digest() == transaction.fingerprint
        assert results[f"{name}-fingerprint"] == transaction.fingerprint
    assert {name: digest.hex() for name, digest in results.items()} == {
        "deposit-fingerprint": DEPOSIT_FINGERPRINT,
        "bet-fingerprint": BET_FINGERPRINT,
        "root": ROOT,
        "hash": HASH,
    }
    assert shown.keys() == {*rows, "header", "deposit-fingerprint-input", "bet-fingerprint-input"}
    assert f"({sum(len(shown[name]) for name in in_order)} bytes)" in EVIDENCE


def test_the_offsets_on_the_page_are_where_the_fields_begin() -> None:
    """Each table of offsets, read back: a field begins where the one before it ends."""
    sizes = {"i64": 8, "u32": 4, "1 byte": 1, "8 bytes": 8, "hash": 32}
    tables = re.findall(r"\| offset \| type \| what \|\n\|[-: |]+\|\n((?:\|.*\n)+)", EVIDENCE)
    assert len(tables) == 5
    for table in tables:
        at = 0
        for offset, kind in re.findall(r"^\| (\d+) \| ([^|]+?) \|", table, re.MULTILINE):
            assert int(offset) == at, table
            at += sizes.get(kind, 0)


i64s = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
hashes = st.binary(min_size=32, max_size=32)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Head, list[Transaction], list[Entry]]:
    """A batch of transactions with none to three entries each, after some head."""
    first, last_entry_id = draw(st.integers(0, 2**40)), draw(st.integers(0, 2**40))
    head = Head(draw(st.integers(0, 2**40)), draw(hashes), draw(st.integers(0, 2**60)), first, last_entry_id)
    transactions, entries = [], []
    for id_ in range(first + 1, first + 1 + draw(st.integers(1, 4))):
        strings = [draw(texts) for _ in range(4)]
        row = Transaction(id_, *strings[:3], draw(hashes), strings[3], head.block_id + 1)
        transactions.append(row)
        for _ in range(draw(st.integers(0, 3))):
            last_entry_id += 1
            numbers, words = [draw(i64s) for _ in range(4)], [draw(texts) for _ in range(3)]
            user_id, amount, after, prev = numbers
            entries.append(
                Entry(
                    last_entry_id, user_id, words[0], amount, after, *words[1:], id_, head.block_id + 1, prev
                )
            )
    return head, transactions, entries


@settings(max_examples=150, deadline=None)
@given(batches(), st.integers(0, 1000))
def test_a_second_implementation_agrees(
    batch: tuple[Head, list[Transaction], list[Entry]], later_us: int
) -> None:
    head, transactions, entries = batch

    block = seal(head, head.at_us + later_us, transactions, entries)

    assert block.root == page_root(transactions, entries)
    assert block.hash == page_hash(block)
    assert (block.id, block.format, block.prev_hash) == (head.block_id + 1, FORMAT, head.hash)
    assert (block.first_transaction_id, block.last_transaction_id) == (
        transactions[0].id,
        transactions[-1].id,
    )
    assert block.first_entry_id == head.last_entry_id + 1
    assert block.last_entry_id == head.last_entry_id + len(entries)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        PlaceBet,
        texts,
        i64s,
        i64s,
        texts,
        i64s,
        game=st.none() | texts,
        round=st.none() | texts,
        selection=st.none() | texts,
        odds_milli=st.none() | st.integers(1000, 2**40),
    ),
    texts,
)
def test_a_second_implementation_agrees_on_fingerprints(bet: PlaceBet, currency: str) -> None:
    assert fingerprint_bet(bet, currency) == page_fingerprint(bet, currency)
    asked = Deposit(bet.bet_id, bet.user_id, bet.stake_minor, bet.nonce)
    numbers = i64(bet.user_id) + i64(bet.stake_minor)
    assert fingerprint_deposit(asked, currency) == sha256(b"D" + numbers + packed([], currency)).digest()


def _changed(value: int | str | bytes) -> int | str | bytes:
    if isinstance(value, int):
        return value + 1
    return value + "x" if isinstance(value, str) else bytes([value[0] ^ 1]) + value[1:]


@pytest.mark.parametrize("field", [field for field in Block._fields if field != "hash"])
def test_any_change_of_the_header_changes_the_hash(field: str) -> None:
    block, _, _ = example()

    assert hash_of(block._replace(**{field: _changed(getattr(block, field))})) != block.hash


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("field", Transaction._fields)
def test_any_change_of_a_transaction_changes_the_root(field: str, number: int) -> None:
    block, transactions, entries = example()
    row = transactions[number]
    transactions[number] = row._replace(**{field: _changed(getattr(row, field))})

    if field == "id":  # its entries are then of a transaction that is not there
        with pytest.raises(AssertionError):
            root_of(transactions, entries)
    else:
        assert root_of(transactions, entries) != block.root


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    "field", [field for field in Entry._fields if field not in ("transaction_id", "block_id")]
)
def test_any_change_of_an_entry_changes_the_root(field: str, number: int) -> None:
    block, transactions, entries = example()
    row = entries[number]
    entries[number] = row._replace(**{field: _changed(getattr(row, field))})

    assert root_of(transactions, entries) != block.root


def test_an_entry_moved_to_the_next_transaction_changes_the_root() -> None:
    block, transactions, entries = example()
    entries[1] = entries[1]._replace(transaction_id=2)

    assert root_of(transactions, entries) != block.root


def test_bytes_moved_from_one_text_to_the_next_change_the_root() -> None:
    block, transactions, entries = example()
    transactions[0] = transactions[0]._replace(kind="DEPOSI", scope="Tcli:deposit")

    assert root_of(transactions, entries) != block.root


@pytest.mark.parametrize(
    "head",
    [
        GENESIS._replace(last_transaction_id=1),
        GENESIS._replace(last_entry_id=1),
        GENESIS._replace(at_us=NOW_US + 1),
    ],
    ids=["a hole among the transactions", "a hole among the entries", "time runs back"],
)
def test_what_does_not_follow_the_head_is_not_sealed(head: Head) -> None:
    _, transactions, entries = example()

    with pytest.raises(AssertionError):
        seal(head, NOW_US, transactions, entries)


def test_an_empty_batch_is_not_sealed() -> None:
    with pytest.raises(AssertionError):
        seal(GENESIS, NOW_US, [], [])


def test_an_entry_of_no_transaction_in_the_block_is_not_sealed() -> None:
    _, transactions, entries = example()

    with pytest.raises(AssertionError):
        seal(GENESIS, NOW_US, transactions[:1], entries)
