"""A topic that every process knows all of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast
from weakref import WeakSet

from services.kit.bus import Record
from services.kit.followed import Followed


class Piece(list[Record]):
    """A list that can be watched."""

    __hash__ = object.__hash__


class LongTopic:
    """A bus whose topic has many pieces, and which knows how many of them are held at once."""

    def __init__(self) -> None:
        self.held: WeakSet[Piece] = WeakSet()
        self.most = 0

    async def batches(self, topic: str) -> AsyncIterator[Sequence[Record]]:
        for offset in range(50):
            piece = Piece([Record(topic, 0, offset, "key", b"{}", {}, 0)])
            self.held.add(piece)
            self.most = max(self.most, len(self.held))
            yield piece

    async def read(self, topic: str) -> Sequence[Record]:
        pieces = [piece async for piece in self.batches(topic)]
        return [record for piece in pieces for record in piece]


async def test_what_memory_would_not_hold_is_read_piece_by_piece() -> None:
    bus, seen = LongTopic(), list[int]()
    await Followed(cast("Any", bus), "results", lambda record: seen.append(record.offset)).start()
    assert seen == list(range(50))
    assert bus.most < 5
