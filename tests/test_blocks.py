"""Format 1: known answers, a second implementation made from docs/evidence.md, and what a change does."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.blocks import FORMAT, Block, hash_of, root_of, seal
from engine.commands import KINDS, Deposit, PlaceBet, fingerprint, fingerprint_bet
from engine.decide import decide
from engine.records import GENESIS, Entry, Head, Transaction
from tests.books_open import ALICE, BOB, NOW_US, SIGNER, SIGNING_KEY, account, deposit, place, play, view_of
from tests.books_open import seed as seed_file

REPOSITORY = Path(__file__).resolve().parent.parent
EVIDENCE = (REPOSITORY / "docs" / "evidence.md").read_text(encoding="utf-8")

# Not to change once files are out there, sealed with these. Computed from the page, not by the engine.
DEPOSIT_FINGERPRINT = "b2451ad300f8d494fcd580430b9c245511d354ce4ae44c0dfc0a9853fa3c0b68"
BET_FINGERPRINT = "212a465d2d9f2d53c667d97e2f7471f0a4b56866c9760404fb7d7aeaba4713f3"
ROOT = "d3e4d159de8b76dfd4708259c465a893d8692e0f9981446db4bae59913a234da"
HASH = "2b3b3c985baaabed2581194581c81a838aa7fc2cba473c75a3ab979c49bae126"
SIGNATURE = (
    "930ad5789dc7464f701055651ac3334b13feee6f2be231a35fe67dbbc6a61f75"
    "b3d21990df0c27d93270853b6d236c1377e440ca392dbf851b81e472438f1d08"
)

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


# The second implementation: from the page and the specification of MessagePack, with nothing of the engine
# but its records. Each form by its first byte, and how many bytes the integer, length or count then takes.
UNSIGNED = ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8))
SIGNED = ((0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8))
BLOB = ((0xC4, 1), (0xC5, 2), (0xC6, 4))
TEXT = ((0xD9, 1), (0xDA, 2), (0xDB, 4))
ARRAY = ((0xDC, 2), (0xDD, 4))


def shortest(number: int, forms: tuple[tuple[int, int], ...]) -> bytes:
    for first, size in forms:
        with contextlib.suppress(OverflowError):
            return bytes([first]) + number.to_bytes(size, "big", signed=number < 0)
    raise OverflowError(number)


def packed(value: object) -> bytes:
    match value:
        case None:
            return b"\xc0"
        case int() if -32 <= value <= 127:
            return value.to_bytes(1, "big", signed=value < 0)
        case int():
            return shortest(value, SIGNED if value < 0 else UNSIGNED)
        case bytes():
            return shortest(len(value), BLOB) + value
        case str():
            raw = value.encode()
            return (bytes([0xA0 + len(raw)]) if len(raw) <= 31 else shortest(len(raw), TEXT)) + raw
        case tuple() | list():
            head = bytes([0x90 + len(value)]) if len(value) <= 15 else shortest(len(value), ARRAY)
            return head + b"".join(map(packed, value))
        case _:
            raise TypeError(value)


def page_tree(leaves: list[bytes]) -> bytes:
    """By splitting, as the page has it; the engine goes level by level."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return sha256(b"\x01" + page_tree(leaves[:split]) + page_tree(leaves[split:])).digest()


def page_leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def page_rows(
    first_entry_id: int,
    transactions: Iterable[tuple[object, ...]],
    entries: Iterable[tuple[object, ...]],
) -> list[bytes]:
    """What the leaves of a block are hashes of."""
    posted, rows = list(entries), []
    for transaction in transactions:
        own = [entry for entry in posted if entry[7] == transaction[0]]
        tree = page_tree([page_leaf(packed(entry)) for entry in own])
        rows.append(packed([*transaction, first_entry_id, len(own), tree]))
        first_entry_id += len(own)
    return rows


def page_root(
    first_entry_id: int,
    transactions: Iterable[tuple[object, ...]],
    entries: Iterable[tuple[object, ...]],
) -> bytes:
    return page_tree([page_leaf(row) for row in page_rows(first_entry_id, transactions, entries)])


def page_header(row: Block) -> bytes:
    ranges = [row.first_transaction_id, row.last_transaction_id, row.first_entry_id, row.last_entry_id]
    numbers = [row.format, row.id, *ranges, row.at_us]
    fixed = b"".join(number.to_bytes(8, "big", signed=True) for number in numbers)
    return b"SGBLOCK\0" + fixed + row.prev_hash + row.history + row.root + row.key_id


def page_hash(row: Block) -> bytes:
    return sha256(page_header(row)).digest()


def page_fingerprint(*request: object) -> bytes:
    return sha256(packed(request)).digest()


def example() -> tuple[Block, list[Transaction], list[Entry]]:
    """The block that docs/evidence.md takes apart, made by the engine."""
    view = view_of(account(ALICE))
    decide(view, WELCOME, NOW_US)
    decide(view, BET, NOW_US)
    block = seal(view.head, view.at_us, view.new_transactions, view.new_entries, SIGNER)
    return block, view.new_transactions, view.new_entries


def test_known_answers() -> None:
    block, _, _ = example()

    assert fingerprint(WELCOME).hex() == DEPOSIT_FINGERPRINT
    assert fingerprint_bet(BET, "EUR").hex() == BET_FINGERPRINT
    assert block[:7] == (1, 1, 1, 2, 1, 4, NOW_US)
    assert (block.prev_hash, block.history) == (bytes(32), sha256(b"").digest())
    assert (block.root.hex(), block.hash.hex(), block.signature.hex()) == (ROOT, HASH, SIGNATURE)
    assert (block.key_id, block.peak) == (SIGNER.key_id, page_leaf(block.hash))


def test_the_page_names_every_command_that_has_a_fingerprint() -> None:
    table = re.findall(r"^  \| (`[A-Z`, -]+`) \| (.*) \|$", EVIDENCE, re.MULTILINE)
    terms = {name: what for names, what in table for name in re.findall(r"`([A-Z-]+)`", names)}

    assert terms.keys() == {name.upper() for name in KINDS.values()}
    for kind, name in KINDS.items():
        # Of the fields `key` and `caller` are in no fingerprint, nor who a transfer may be among, which
        # depends on who asks; what explains a term has commas too.
        named = re.sub(r"\(.*?\)|, each an array.*", "", terms[name.upper()])
        terms_of = {*kind.__struct_fields__} - {"key", "caller", "among_players"}
        assert len(named.split(", ")) == len(terms_of), name


def test_a_free_bet_is_a_ninth_term() -> None:
    free = msgspec.structs.replace(BET, free_bet_id=88)
    asked = (BET.user_id, BET.stake_minor, "EUR", BET.game, BET.round, BET.selection, BET.odds_milli)
    terms = ("BET", *asked, 88)

    assert fingerprint_bet(free, "EUR") == sha256(msgspec.msgpack.encode(terms)).digest()


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
    rows = page_rows(1, transactions, entries)
    leaves = {f"entry-{number}": packed(entry) for number, entry in enumerate(entries, 1)}
    leaves |= dict(zip(("deposit", "bet"), rows, strict=True))
    expected = {f"{name}-leaf": page_leaf(row) for name, row in leaves.items()}
    for name, transaction, row in zip(("deposit", "bet"), transactions, rows, strict=True):
        assert sha256(shown[f"{name}-fingerprint-input"]).digest() == transaction.fingerprint
        expected |= {f"{name}-fingerprint": transaction.fingerprint, f"{name}-entries-root": row[-32:]}

    assert {name: shown[name] for name in leaves} == leaves
    assert shown["header"] == page_header(block)
    assert results == expected | {"root": block.root, "hash": block.hash, "peak": block.peak}
    assert shown.keys() == {*leaves, "header", "deposit-fingerprint-input", "bet-fingerprint-input"}
    assert f"{len(shown['header'])} bytes" in EVIDENCE


def test_the_page_shows_a_signature() -> None:
    ((public_key, signature),) = re.findall(r"```ed25519\n(\w+)  public-key\n(\w+)  signature\n```", EVIDENCE)
    block, _, _ = example()

    assert bytes.fromhex(public_key) == SIGNING_KEY.public_key
    assert bytes.fromhex(signature) == block.signature
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(block.signature, page_header(block))
    assert block.key_id == sha256(SIGNING_KEY.public_key).digest()[:16]


def test_the_forms_on_the_page_are_those_of_the_second_implementation() -> None:
    """The last column of the table of forms: a form begins there, and not one value earlier."""
    rows = re.findall(
        r"^\| (integer|text|blob|array), .*\| (−?\d+)(?: \w+)?: `([0-9a-f]+)` \|$", EVIDENCE, re.MULTILINE
    )
    assert len(rows) == 18
    for kind, digits, begins in rows:
        number = int(digits.replace("−", "-"))
        assert packed(sample(kind, number)).hex().startswith(begins)
        if number not in (0, -1) and kind != "blob":
            nearer = number + (1 if number < 0 else -1)
            assert packed(sample(kind, nearer))[:1].hex() != begins[:2]


def sample(kind: str, number: int) -> object:
    """The integer, or a text, blob or array of that length."""
    one_long: dict[str, Any] = {"text": "x", "blob": b"x", "array": [None]}
    return number if kind == "integer" else one_long[kind] * number


def test_the_columns_on_the_page_are_those_of_the_tables() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((REPOSITORY / "schema.sql").read_text(encoding="utf-8"))
        for table in ("transactions", "transaction_ledger"):
            (listed,) = re.findall(
                rf"all columns of `{table}`, \d+ values:\n(.*?)(?:;|\.\n)", EVIDENCE, re.DOTALL
            )
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            assert re.findall(r"`(\w+)`", listed) == columns
            assert f"`{table}`, {len(columns)} values:" in EVIDENCE


def test_the_page_is_enough_to_check_a_file(tmp_path: Path) -> None:
    """Its queries, and the second implementation, over a file that the store wrote."""
    path = seed_file(tmp_path / "books.db", 1000, 500)
    terms = {"game": "dice", "round": "", "selection": "größer 3", "odds_milli": 2500}
    play(path, [place(1, 200, **terms), place(2, 100, BOB)], [place(3, 300)])
    (queries,) = re.findall(r"```sql\n(.*?)```", EVIDENCE, re.DOTALL)
    all_blocks, its_transactions, its_entries = queries.split(";\n")[:3]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        before, history = bytes(32), []
        blocks = connection.execute(all_blocks).fetchall()
        assert len(blocks) == 3
        for row in blocks:
            transactions = [tuple(each) for each in connection.execute(its_transactions, dict(row))]
            entries = [tuple(each) for each in connection.execute(its_entries, dict(row))]
            assert page_root(row["first_entry_id"], transactions, entries) == row["root"]
            assert page_hash(Block(*row)) == row["hash"]
            assert row["prev_hash"] == before
            assert row["history"] == page_tree(history)
            before = row["hash"]
            history.append(page_leaf(before))
            width = row["id"] & -row["id"]
            assert row["peak"] == page_tree(history[-width:])
        for bet in connection.execute(
            "SELECT user_id, stake, b.currency, game, round, selection, odds_milli, fingerprint "
            "FROM bets b JOIN transactions t ON t.id = b.transaction_id"
        ):
            assert page_fingerprint("BET", *tuple(bet)[:-1]) == bet["fingerprint"]


def test_the_offsets_on_the_page_are_where_the_fields_begin() -> None:
    """The table of the header, read back: a field begins where the one before it ends."""
    sizes = {"i64": 8, "8 bytes": 8, "16 bytes": 16, "32 bytes": 32}
    at = 0
    for offset, kind in re.findall(r"^\| (\d+) \| ([^|]+?) \|", EVIDENCE, re.MULTILINE):
        assert int(offset) == at
        at += sizes[kind]
    assert at == 176


def sized(size: int, letter: str) -> str:
    """A text of `size` bytes, made of `letter` as far as it goes."""
    times, rest = divmod(size, len(letter.encode()))
    return letter * times + "x" * rest


# Where one form gives way to the next, on both sides, beside whatever else comes up.
LENGTHS = [31, 32, 255, 256, 65535, 65536]
BOUNDS = [
    sign * 2**bits + by for bits in (5, 7, 8, 15, 16, 31, 32, 63) for sign in (1, -1) for by in (-1, 0, 1)
]
i64s = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([n for n in BOUNDS if -(2**63) <= n < 2**63])
characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=40) | st.builds(sized, st.sampled_from(LENGTHS), characters)
hashes = st.binary(min_size=32, max_size=32)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Head, list[Transaction], list[Entry]]:
    """A batch of transactions with none to three entries each, after some head."""
    first, last_entry_id = draw(st.integers(0, 2**40)), draw(st.integers(0, 2**40))
    number = draw(st.integers(0, 2) | st.just(2**40))
    peaks = tuple(draw(hashes) for _ in range(number.bit_count()))
    head = Head(number, draw(hashes), draw(st.integers(0, 2**60)), first, last_entry_id, peaks)
    transactions, entries = [], []
    for id_ in range(first + 1, first + 1 + draw(st.integers(1, 4))):
        strings = [draw(texts) for _ in range(4)]
        row = Transaction(id_, *strings[:3], draw(hashes), strings[3], head.block_id + 1)  # type: ignore[call-arg]
        transactions.append(row)
        for _ in range(draw(st.integers(0, 3))):
            last_entry_id += 1
            user_id, amount, after, prev = (draw(i64s) for _ in range(4))
            currency, *words = (draw(texts) for _ in range(3))
            entries.append(
                Entry(  # type: ignore[call-arg]
                    last_entry_id, user_id, currency, amount, after, *words, id_, head.block_id + 1, prev
                )
            )
    return head, transactions, entries


@settings(max_examples=150, deadline=None)
@given(batches(), st.integers(0, 1000))
def test_a_second_implementation_agrees(
    batch: tuple[Head, list[Transaction], list[Entry]], later_us: int
) -> None:
    head, transactions, entries = batch

    block = seal(head, head.at_us + later_us, transactions, entries, SIGNER)

    assert block.root == page_root(block.first_entry_id, transactions, entries)
    assert block.hash == page_hash(block)
    assert (block.id, block.format, block.prev_hash) == (head.block_id + 1, FORMAT, head.hash)
    assert block.history == page_tree(list(head.peaks))
    assert (block.first_transaction_id, block.last_transaction_id) == (
        transactions[0].id,
        transactions[-1].id,
    )
    assert block.first_entry_id == head.last_entry_id + 1
    assert block.last_entry_id == head.last_entry_id + len(entries)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 1000])
def test_a_second_implementation_agrees_on_many_rows(count: int) -> None:
    _, transactions, entries = example()
    alone = [transactions[0]._replace(id=number) for number in range(1, count + 1)]
    crowd = [entries[0]._replace(id=number) for number in range(1, count + 1)]

    for rows in ((alone, entries[:2] if count else []), (transactions[:1], crowd)):
        assert root_of(1, *rows) == page_root(1, *rows)


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
        odds_milli=st.none() | i64s,
    ),
    texts,
)
def test_a_second_implementation_agrees_on_fingerprints(bet: PlaceBet, currency: str) -> None:
    terms = (bet.user_id, bet.stake_minor, currency, bet.game, bet.round, bet.selection, bet.odds_milli)
    assert fingerprint_bet(bet, currency) == page_fingerprint("BET", *terms)

    asked = Deposit(bet.user_id, bet.stake_minor, key=bet.bet_id, caller=bet.nonce)
    expected = page_fingerprint("DEPOSIT", bet.user_id, bet.stake_minor)
    assert fingerprint(asked) == expected


def _changed(value: int | str | bytes) -> int | str | bytes:
    if isinstance(value, int):
        return value + 1
    return value + "x" if isinstance(value, str) else bytes([value[0] ^ 1]) + value[1:]


@pytest.mark.parametrize("field", Block._fields[: Block._fields.index("hash")])
def test_any_change_of_the_header_changes_the_hash(field: str) -> None:
    block, _, _ = example()

    assert hash_of(block._replace(**{field: _changed(getattr(block, field))})) != block.hash


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("field", Transaction._fields)
def test_any_change_of_a_transaction_changes_the_root(field: str, number: int) -> None:
    block, transactions, entries = example()
    row = transactions[number]
    transactions[number] = row._replace(**{field: _changed(getattr(row, field))})

    assert root_of(1, transactions, entries) != block.root


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("field", Entry._fields)
def test_any_change_of_an_entry_changes_the_root(field: str, number: int) -> None:
    block, transactions, entries = example()
    row = entries[number]
    entries[number] = row._replace(**{field: _changed(getattr(row, field))})

    assert root_of(1, transactions, entries) != block.root


def test_bytes_moved_from_one_text_to_the_next_change_the_root() -> None:
    block, transactions, entries = example()
    transactions[0] = transactions[0]._replace(kind="DEPOSI", scope="Tcli:deposit")

    assert root_of(1, transactions, entries) != block.root


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
        seal(head, NOW_US, transactions, entries, SIGNER)


def test_an_empty_batch_is_not_sealed() -> None:
    with pytest.raises(AssertionError):
        seal(GENESIS, NOW_US, [], [], SIGNER)


@pytest.mark.parametrize(("number", "transaction_id"), [(0, 0), (-1, 3)], ids=["first", "last"])
def test_an_entry_of_a_transaction_outside_of_the_block_is_not_sealed(
    number: int, transaction_id: int
) -> None:
    _, transactions, entries = example()
    entries[number] = entries[number]._replace(transaction_id=transaction_id)

    with pytest.raises(AssertionError):
        seal(GENESIS, NOW_US, transactions, entries, SIGNER)


def test_a_block_may_have_no_entries() -> None:
    _, transactions, _ = example()

    block = seal(GENESIS, NOW_US, transactions, [], SIGNER)

    assert (block.first_entry_id, block.last_entry_id) == (1, 0)
