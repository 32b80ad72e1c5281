"""Merkle trees over rows and over blocks, as RFC 6962 has them (section 2.1). Pure.

A tree over n leaves splits at the largest power of two below n. Leaves and nodes are hashed behind different
first bytes, so that nobody can pass a node off as a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

LEAF: Final = b"\x00"
NODE: Final = b"\x01"

EMPTY: Final = sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(LEAF + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of what stands above two hashes."""
    return sha256(NODE + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over the hashes of leaves."""
    if not leaves:
        return EMPTY
    # Level by level, and a last one without a neighbour goes up as it is: the same tree as by splitting.
    level = list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        each = iter(level)
        level = [sha256(NODE + left + right).digest() for left, right in zip(each, each, strict=False)] + odd
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes beside the way from the leaf `index` (from 0) up to the root, lowest first: with the leaf
    they give the root. Raises `IndexError` for a leaf that is not there.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    beside = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            beside.append(level[sibling])
        odd = level[-1:] if len(level) % 2 else []
        each = iter(level)
        level = [node(left, right) for left, right in zip(each, each, strict=False)] + odd
        index //= 2
    return beside


# --- a tree that grows: the roots of its largest whole subtrees, left to right, are all that it needs ------


def grown(peaks: tuple[bytes, ...], size: int, added: bytes) -> tuple[bytes, ...]:
    """The peaks of a tree of `size` leaves once the leaf hash `added` stands behind them.

    The last of them is the root of the largest whole subtree that ends with this leaf.
    """
    merged = list(peaks)
    while size & 1:
        added = node(merged.pop(), added)
        size >>= 1
    return (*merged, added)


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """The root of the tree that has these peaks."""
    if not peaks:
        return EMPTY
    *others, found = peaks
    for peak in reversed(others):
        found = node(peak, found)
    return found


def peak_ends(size: int) -> list[int]:
    """How many leaves there are up to the end of each peak of a tree of `size` leaves, left to right."""
    ends, end = [], 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            end += 1 << height
            ends.append(end)
    return ends


class Grown:
    """A tree of which each leaf's hash and the last peak behind each leaf are kept somewhere: enough to prove
    any leaf with as many look-ups as the square of the tree's height.
    """

    def __init__(self, leaf_at: Callable[[int], bytes], peak_at: Callable[[int], bytes]) -> None:
        """`leaf_at(n)` and `peak_at(n)`: the hash of leaf n (from 1), and the last peak when it was added."""
        self._leaf_at = leaf_at
        self._peak_at = peak_at

    def path(self, index: int, size: int) -> list[bytes]:
        """As `path`, of leaf `index` (from 0) in the tree of the first `size` leaves."""
        if not 0 <= index < size:
            raise IndexError(f"leaf {index} of {size}")
        beside: list[bytes] = []
        start = 0
        while size - start > 1:
            split = start + _largest_power_below(size - start)
            if index < split:
                beside.append(self._root(split, size))
                size = split
            else:
                beside.append(self._root(start, split))
                start = split
        return beside[::-1]

    def _root(self, start: int, end: int) -> bytes:
        """The root over the leaves behind `start` up to `end`, a range that the splitting makes."""
        size = end - start
        if size & (size - 1):
            split = start + _largest_power_below(size)
            return node(self._root(start, split), self._root(split, end))
        if end & -end == size:
            return self._peak_at(end)
        # It ends inside a larger whole subtree's right edge: climb from its last leaf.
        found, width = self._leaf_at(end), 1
        while width < size:
            found = node(self._peak_at(end - width), found)
            width *= 2
        return found


def _largest_power_below(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1
