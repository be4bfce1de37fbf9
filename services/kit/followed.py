"""A small compacted topic, read whole before a process is ready and followed from then on (design §4.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.kit.bus import Bus, Record


class Followed:
    """Applies every record of a topic, without a group: each process knows all of it."""

    def __init__(self, bus: Bus, topic: str, apply: Callable[[Record], None]) -> None:
        self._bus, self._topic, self._apply = bus, topic, apply
        self._after: dict[int, int] = {}

    async def start(self) -> None:
        """Returns when all that the topic holds now has been applied."""
        for record in await self._bus.read(self._topic):
            self._take(record)

    async def run(self, stop: Callable[[], bool]) -> None:
        """Applies what comes, until `stop()`."""
        changes = self._bus.follow(self._topic, self._after).__aiter__()
        waiting: asyncio.Future[object] | None = None
        while not stop():
            waiting = waiting or asyncio.ensure_future(changes.__anext__())
            done, _ = await asyncio.wait({waiting}, timeout=0.2)
            if done:
                for record in waiting.result():  # type: ignore[attr-defined]
                    self._take(record)
                waiting = None
        if waiting:
            waiting.cancel()

    def _take(self, record: Record) -> None:
        self._apply(record)
        self._after[record.partition] = record.offset
