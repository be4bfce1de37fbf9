"""A small compacted topic, read whole before a process is ready and followed from then on (design §4.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from services.kit.bus import Bus, Record
from services.kit.deadletters import bury

log = structlog.get_logger(__name__)


class Followed:
    """Applies every record of a topic, without a group: each process knows all of it.

    A record that `apply` cannot read (msgspec.DecodeError) is passed over. Everybody meets it, so only the worker that looks
    after the topic (`buries`) makes a dead letter of it.
    """

    def __init__(self, bus: Bus, topic: str, apply: Callable[[Record], None], *, buries: bool = False) -> None:
        self._bus, self._topic, self._apply, self._buries = bus, topic, apply, buries
        self._after: dict[int, int] = {}

    async def start(self) -> None:
        """Returns when all that the topic holds now has been applied. Raises BusDown."""
        await self._take(await self._bus.read(self._topic))

    async def run(self, stop: Callable[[], bool]) -> None:
        """Applies what comes, until `stop()`."""
        changes = self._bus.follow(self._topic, self._after).__aiter__()
        waiting: asyncio.Future[Sequence[Record]] | None = None
        while not stop():
            waiting = waiting or asyncio.ensure_future(changes.__anext__())
            done, _ = await asyncio.wait({waiting}, timeout=0.2)
            if done:
                await self._take(waiting.result())
                waiting = None
        if waiting:
            waiting.cancel()

    async def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                self._apply(record)
            except msgspec.DecodeError as error:
                log.error("record.unreadable", topic=record.topic, offset=record.offset, error=str(error))
                if self._buries:
                    await bury(self._bus, record, str(error))
            self._after[record.partition] = record.offset
