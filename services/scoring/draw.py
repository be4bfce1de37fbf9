"""A draw among equals that anyone can recompute.

Before the round opens, the SHA-256 of a secret seed is published (`commitment`). After closing the list of the equals is
fixed, each under a label that their receipts hold already, so that who keeps the seed cannot choose labels to suit it. The
order is that of HMAC-SHA-256(seed, hash of the list + beacon + label). The beacon is a public value that nobody knew when the
seed was committed, such as a lottery's result on a day that was named beforehand: with it, not even who keeps the seed can
foresee the draw.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

import msgspec

CONTEXT = b"hoithi draw 1\n"
SEED_SIZE = 32


class Beacon(msgspec.Struct, frozen=True, kw_only=True):
    """A public value: where it is from, as it was announced before, and what it was."""

    source: str
    value: str


class Candidate(NamedTuple):
    """One of several equals. `label` decides; `id` (in the published file: of a person, or a unit's code) only where two have
    the same label."""

    id: str
    label: str


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate drew, hex: the smallest comes first."""

    id: str
    label: str
    lot: str


class Minutes(msgspec.Struct, frozen=True, kw_only=True):
    """The minutes (biên bản) of one draw: among whom, for which places (from 1), and in which order they came out.

    `ladder` is the ladder's id (services/scoring/prizes.py); `list_hash` is hex.
    """

    ladder: str
    rank: int
    first: int
    last: int
    list_hash: str
    order: tuple[Lot, ...]


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """What draws of one round rest on. `seed` stays secret until the list is fixed."""

    seed: bytes
    beacon: Beacon | None = None

    @property
    def commitment(self) -> str:
        """What is published before: SHA-256 of the seed, hex."""
        return commitment(self.seed)

    def draw(self, ladder: str, rank: int, first: int, last: int, candidates: Iterable[Candidate]) -> Minutes:
        """Draws the order of those who share `rank` and compete for the places `first` to `last`, in whatever order they are
        given."""
        listed = sorted(candidates, key=lambda each: (each.label, each.id))
        hashed = list_hash(each.label for each in listed)
        told = hashed + (b"" if self.beacon is None else self.beacon.value.encode()) + b"\n"
        lots = [Lot(id=each.id, label=each.label, lot=self._lot(told, each.label)) for each in listed]
        order = tuple(sorted(lots, key=lambda lot: (lot.lot, lot.id)))
        return Minutes(ladder=ladder, rank=rank, first=first, last=last, list_hash=hashed.hex(), order=order)

    def _lot(self, told: bytes, label: str) -> str:
        return hmac.digest(self.seed, told + label.encode(), "sha256").hex()


def new_seed() -> bytes:
    """A secret seed, to be committed before the round opens."""
    return secrets.token_bytes(SEED_SIZE)


def commitment(seed: bytes) -> str:
    """SHA-256 of a seed, hex: to be published before the round opens."""
    return sha256(CONTEXT + seed).hexdigest()


def list_hash(labels: Iterable[str]) -> bytes:
    """32 bytes that stand for a list of labels, in order of label."""
    return sha256("".join(f"{label}\n" for label in sorted(labels)).encode()).digest()
