"""A small compacted topic, read whole before a process is ready and followed from then on (design §4.9)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from services.kit.bus import Bus, BusDown, Record
from services.kit.cloudevents import type_of
from services.kit.deadletters import bury

log = structlog.get_logger(__name__)

_PATIENCE = 3.0
"""How many seconds a process that has a copy waits for the bus before it starts from that."""


def events(read: Callable[[str, bytes], None]) -> Callable[[Record], None]:
    """Takes records in by what `read` makes of an event's type and body."""

    def apply(record: Record) -> None:
        read(type_of(record.headers), record.value)

    return apply


class Followed:
    """Applies every record of a topic, without a group: each process knows all of it.

    A record that `apply` cannot read (msgspec.DecodeError) is passed over. Everybody meets it, so only the worker that looks
    after the topic (`buries`) makes a dead letter of it. With a `copy` (a file) a process can start while the bus is away.
    """

    def __init__(
        self, bus: Bus, topic: str, apply: Callable[[Record], None], *, buries: bool = False, copy: Path | None = None
    ) -> None:
        self._bus, self._topic, self._apply, self._buries, self._copy = bus, topic, apply, buries, copy
        self._after: dict[int, int] = {}
        self._last: dict[str, Record] = {}

    async def start(self) -> None:
        """Returns when all that the topic holds now has been applied. Raises BusDown where there is no copy of it."""
        if self._copy is None:
            async for records in self._bus.batches(self._topic):  # piece by piece: results are larger than memory likes
                await self._take(records)
            return
        if not self._copy.exists():
            await self._take(await self._bus.read(self._topic))
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                records = await self._bus.read(self._topic)
        except (BusDown, TimeoutError) as error:
            log.warning("followed.from_copy", topic=self._topic, error=str(error))
            records = msgspec.msgpack.decode(self._copy.read_bytes(), type=list[Record])
        await self._take(records)

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
                self._last[record.key] = record
            except msgspec.DecodeError as error:
                log.error("record.unreadable", topic=record.topic, offset=record.offset, error=str(error))
                if self._buries:
                    await bury(self._bus, record, str(error))
            self._after[record.partition] = record.offset
        if records and self._copy is not None:
            self._write_copy(self._copy)

    def _write_copy(self, path: Path) -> None:
        kept = sorted(self._last.values(), key=lambda record: (record.partition, record.offset))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.{id(self)}")
        temporary.write_bytes(msgspec.msgpack.encode(kept))
        temporary.replace(path)
