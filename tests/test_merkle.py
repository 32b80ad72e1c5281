"""The trees: against splitting as RFC 6962 writes it down, for every size up to one that has every shape."""

from __future__ import annotations

from hashlib import sha256

import pytest

from engine import merkle

SIZES = range(70)
LEAVES = [merkle.leaf(number.to_bytes(2)) for number in SIZES]


def by_splitting(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = max(1 << power for power in range(10) if 1 << power < len(leaves))
    above = by_splitting(leaves[:split]) + by_splitting(leaves[split:])
    return sha256(b"\x01" + above).digest()


def path_by_splitting(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    split = max(1 << power for power in range(10) if 1 << power < len(leaves))
    if index < split:
        return [*path_by_splitting(leaves[:split], index), by_splitting(leaves[split:])]
    return [*path_by_splitting(leaves[split:], index - split), by_splitting(leaves[:split])]


def test_known_answers() -> None:
    """Of the tests that RFC 6962's first implementation came with: leaves of 0, 1 and 2 bytes."""
    assert merkle.EMPTY.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    empty, zero = merkle.leaf(b""), merkle.leaf(b"\x00")
    assert empty.hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    both = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert merkle.node(empty, zero).hex() == merkle.root([empty, zero]).hex() == both


@pytest.mark.parametrize("size", SIZES)
def test_root_and_paths_are_those_of_splitting(size: int) -> None:
    leaves = LEAVES[:size]

    assert merkle.root(leaves) == by_splitting(leaves)
    assert [merkle.path(leaves, index) for index in range(size)] == [
        path_by_splitting(leaves, index) for index in range(size)
    ]


def test_a_tree_that_grows_is_known_by_its_peaks() -> None:
    peaks: tuple[bytes, ...] = ()
    last: dict[int, bytes] = {}  # the last peak behind each leaf
    for size in SIZES:
        assert merkle.root_of_peaks(peaks) == by_splitting(LEAVES[:size])
        assert [last[end] for end in merkle.peak_ends(size)] == list(peaks)
        grown = merkle.Grown(lambda number: LEAVES[number - 1], last.__getitem__)
        assert [grown.path(index, size) for index in range(size)] == [
            path_by_splitting(LEAVES[:size], index) for index in range(size)
        ]
        peaks = merkle.grown(peaks, size, LEAVES[size])
        last[size + 1] = peaks[-1]


def test_a_path_takes_few_look_ups() -> None:
    looks: list[int] = []

    def look(number: int) -> bytes:
        looks.append(number)
        return bytes(32)

    size = 10**9 + 7
    path = merkle.Grown(look, look).path(123_456_789, size)

    assert len(path) <= size.bit_length()
    assert len(looks) <= size.bit_length() ** 2


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_path_of_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError):
        merkle.path(LEAVES[:3], index)
    with pytest.raises(IndexError):
        merkle.Grown(lambda _: b"", lambda _: b"").path(index, 3)
