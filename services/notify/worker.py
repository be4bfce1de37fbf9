"""Takes people and verdicts in, partition by partition, and puts messages into the outbox."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from services.events import ContestBook, ParticipantErased, decode
from services.events.base import UnknownEvent
from services.kit.bus import DONE, Outcome, Record, Reject, Subscription
from services.kit.cloudevents import type_of
from services.kit.derived import Derived
from services.kit.runtime import Runtime
from services.notify.handlers import Known, State, messages, relevant
from services.notify.store import Outbox, snapshots, views

GROUP = "notify"
TOPICS = ("participants", "scores")
SUBSCRIPTIONS = (Subscription(GROUP, TOPICS), Subscription("", ("contests",)))


class NotifyWorker:
    """A `services.kit.bus.Consumer`. Messages are facts before the state changes, so that a batch can be tried again."""

    def __init__(self, runtime: Runtime, book: ContestBook, outbox: Outbox) -> None:
        self._runtime, self._book, self._outbox = runtime, book, outbox
        self.derived: Derived[State] = Derived(
            snapshots(runtime.store), views(runtime.store), State, State, lambda state: b"", TOPICS, runtime.clock
        )

    async def consume(self, stop: Callable[[], bool]) -> None:
        """Works until `stop()`."""
        await self._runtime.bus.consume(TOPICS, GROUP, self, stop)

    async def write(self, stop: Callable[[], bool]) -> None:
        """Writes snapshots until `stop()`."""
        # Nobody reads the views: they may be as slow as the snapshots.
        await self.derived.run(stop, self._runtime.settings.snapshot_s, self._runtime.settings.snapshot_s)

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        return await self.derived.load(partitions)

    async def revoked(self, partitions: Collection[int]) -> None:
        self.derived.drop(partitions)

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        self.derived.check()
        readings = [_read(record) for record in batch]
        by_partition: dict[int, list[Known]] = {}
        for record, reading in zip(batch, readings, strict=True):
            if reading is not None and not isinstance(reading, Reject):
                by_partition.setdefault(record.partition, []).append(reading)
        found = [
            message
            for partition, events in by_partition.items()
            for message in messages(self.derived.owned[partition].state, events, self._book)
        ]
        await self._outbox.add(list({message["_id"]: message for message in found}.values()))
        erased = [r.participant for r in readings if isinstance(r, ParticipantErased)]
        if erased:
            await self._outbox.erase(erased)
        return [self._conclude(record, reading) for record, reading in zip(batch, readings, strict=True)]

    def _conclude(self, record: Record, reading: Known | Reject | None) -> Outcome:
        state = self.derived.take(record)
        if isinstance(reading, Reject):
            return reading
        if state is not None and reading is not None:
            state.take(reading)
        return DONE


def _read(record: Record) -> Known | Reject | None:
    try:
        return relevant(decode(type_of(record.headers), record.value))
    except UnknownEvent:
        return None
    except msgspec.DecodeError as error:
        return Reject(str(error))
