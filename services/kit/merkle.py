"""Merkle trees as in RFC 9162: SHA-256, leaves and nodes told apart by their first byte.

Receipts rest on them, and published rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


class BadPath(ValueError):
    """The path does not fit a tree of that size."""


def leaf_of(attempt: str, received_us: int, digest: bytes) -> bytes:
    """The leaf of a submission, 32 bytes: what a receipt proves, and what a published round holds under a seal."""
    return sha256(b"\0%b\n%d\n%b" % (attempt.encode(), received_us, digest)).digest()


class Tree:
    """The Merkle tree over leaves, one or more."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = leaves
        self._levels = [leaves]
        while len(level := self._levels[-1]) > 1:
            above = [sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
            if len(level) % 2:
                above.append(level[-1])
            self._levels.append(above)

    @property
    def root(self) -> bytes:
        """32 bytes that stand for all leaves in their order."""
        return self._levels[-1][0]

    def path(self, index: int) -> bytes:
        """The siblings from a leaf up to the root, 32 bytes each."""
        siblings = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                siblings.append(level[sibling])
            index //= 2
        return b"".join(siblings)


def root_from(leaf: bytes, index: int, size: int, path: bytes) -> bytes:
    """The root that a path leads to. Raises BadPath when the path does not fit a tree of `size` leaves."""
    if not 0 <= index < size or len(path) % 32:
        raise BadPath("path")
    siblings = [path[i : i + 32] for i in range(0, len(path), 32)]
    last, node = size - 1, leaf
    while last:
        if index ^ 1 <= last:
            if not siblings:
                raise BadPath("path")
            sibling = siblings.pop(0)
            node = sha256(b"\1" + (sibling + node if index % 2 else node + sibling)).digest()
        index, last = index // 2, last // 2
    if siblings:
        raise BadPath("path")
    return node
