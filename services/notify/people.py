"""The people of a contest as reminders and rosters need them: where they belong, how to reach them, in which rounds they took
part. Pure. Names are kept without diacritics: they serve to find somebody again, and nothing shows them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

BUCKETS = 64
"""The people of a partition are read by pages in so many parts, by unit: a page about one unit reads one part of each."""


class Mark(NamedTuple):
    """The verdict on an attempt; the highest revision stands."""

    round: str
    n: int
    revision: int
    valid: bool


class Person(msgspec.Struct, array_like=True):
    """A registered person. `phone` is E.164, `name` folded; `code` is the one their unit's roster gave them, folded."""

    contest: str
    unit: str
    language: str
    email: str
    phone: str
    name: str
    code: str
    categories: tuple[str, ...]
    revision: int = 0
    marks: tuple[Mark, ...] = ()

    def took_part(self, round: str | None) -> bool:
        """Whether they have a valid attempt in the round, or in any (None)."""
        return any(mark.valid and round in (None, mark.round) for mark in self.marks)

    def judge(self, mark: Mark) -> bool:
        """Takes in a verdict; False where that changed nothing."""
        others = []
        for held in self.marks:
            if held.n != mark.n or held.round != mark.round:
                others.append(held)
            elif held.revision >= mark.revision:
                return False
        self.marks = tuple(sorted([*others, mark])) if others else (mark,)
        return True


class Member(NamedTuple):
    """A person with their id."""

    id: str
    person: Person


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Person)
_body = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


def bucket_of(contest: str, unit: str) -> int:
    """Which part the people of a unit are in."""
    return blake2b(f"{contest}|{unit}".encode(), digest_size=1).digest()[0] % BUCKETS


def pack(person: Person) -> bytes:
    """A person in few bytes: 700,000 of them lie in one worker's memory. The first byte is the bucket."""
    return bytes((bucket_of(person.contest, person.unit),)) + _encoder.encode(person)


def judged(packed: bytes, mark: Mark) -> bytes:
    """A packed person with one more verdict."""
    person = unpack(packed)
    return packed[:1] + _encoder.encode(person) if person.judge(mark) else packed


def unpack(packed: bytes) -> Person:
    """The reverse of `pack`."""
    return _decoder.decode(memoryview(packed)[1:])


def write_bucket(people: Sequence[tuple[str, bytes]]) -> bytes:
    """People with their ids, packed, as one body."""
    return msgspec.msgpack.encode(people)


def read_bucket(body: bytes) -> list[Member]:
    """The reverse of `write_bucket`."""
    return [Member(id, unpack(packed)) for id, packed in _body.decode(body)]
