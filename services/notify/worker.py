"""Takes people and verdicts in, partition by partition, and puts messages into the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from services.events import ContestBook, ParticipantErased, decode
from services.events.base import UnknownEvent
from services.kit.bus import DONE, Outcome, Record, Reject, Subscription, Transient
from services.kit.cloudevents import type_of
from services.kit.derived import TOUCHED, Derived
from services.kit.runtime import Runtime
from services.notify.handlers import Known, State, messages, relevant
from services.notify.members import Members
from services.notify.notices import NOTICES
from services.notify.people import BUCKETS
from services.notify.store import Outbox, snapshots, views

GROUP = "notify"
TOPICS = ("participants", "scores")
SUBSCRIPTIONS = (Subscription(GROUP, TOPICS), NOTICES, Subscription("", ("contests",)))

log = structlog.get_logger(__name__)


class NotifyWorker:
    """A `services.kit.bus.Consumer`. Messages are facts before the state changes, so that a batch can be tried again."""

    def __init__(self, runtime: Runtime, book: ContestBook, outbox: Outbox) -> None:
        self._runtime, self._book, self._outbox = runtime, book, outbox
        self._members = Members(runtime.store)
        self._changed: dict[int, set[int]] = {}
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

    async def write_members(self, stop: Callable[[], bool]) -> None:
        """Writes the buckets of people that have changed, until `stop()`."""
        clock, pace = self._runtime.clock, self._runtime.settings.snapshot_s
        while not stop():
            began = clock.monotonic()
            try:
                await self.write_changed()
            except Transient as error:
                log.warning("members.store_down", error=str(error))
            # A tenth of the time at most: what pages read may be a minute old, submissions may not wait.
            until = began + max(pace, 9 * (clock.monotonic() - began))
            while not stop() and clock.monotonic() < until:  # noqa: ASYNC110 (`stop` is no event)
                await asyncio.sleep(0.2)

    async def write_changed(self) -> None:
        """Writes the buckets of people that have changed since they were written last. Raises StoreDown."""
        for partition, changed in list(self._changed.items()):
            owned = self.derived.owned.get(partition)
            if owned is None or not changed:
                continue
            offsets = {topic: offset for topic, offset in owned.offsets.items() if topic != TOUCHED}
            people: dict[int, list[tuple[str, bytes]]] = {bucket: [] for bucket in changed}
            for id, packed in owned.state.people.items():
                if packed and packed[0] in people:
                    people[packed[0]].append((id, packed))
            left = set(changed)
            changed.clear()  # from here on it collects what changes while we write
            try:
                for bucket, found in people.items():
                    # One that another owner has written later stays on the list until we know as much.
                    if await self._members.write(partition, bucket, offsets, found):
                        left.discard(bucket)
            finally:
                changed |= left

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        start = await self.derived.load(partitions)
        # What the last owner had not written yet of what is in the snapshot, nobody else will.
        self._changed |= {p: set(range(BUCKETS)) for p in partitions}
        return start

    async def revoked(self, partitions: Collection[int]) -> None:
        self.derived.drop(partitions)
        for p in partitions:
            self._changed.pop(p, None)

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
            self._changed.setdefault(record.partition, set()).update(state.take(reading))
        return DONE


def _read(record: Record) -> Known | Reject | None:
    try:
        return relevant(decode(type_of(record.headers), record.value))
    except UnknownEvent:
        return None
    except msgspec.DecodeError as error:
        return Reject(str(error))
