"""Derived state per partition (design §4.6): kept in memory, written as documents that hold the offset at which they are true.

For each partition number there are two documents. The *snapshot* is the whole state, written every few seconds; a new owner
loads it and replays the log from its offset. The *view* is the little that pages read, written a few times a second. Each write
applies only where the document still holds the offsets that this owner last read or wrote: of two owners, one wins, and the
loser learns it (Fenced). Readers add the partitions up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Collection as Partitions
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import structlog
from bson import Binary

from services.kit.bus import Fenced, Record, Transient
from services.kit.clock import Clock
from services.kit.store import LOOSE, store_errors

if TYPE_CHECKING:
    from services.kit.store import Collection

S = TypeVar("S")

log = structlog.get_logger(__name__)

TOUCHED = "(touched)"
"""Stands among the offsets of a partition and counts changes of its state that no record brought: the guard sees those too."""


@dataclass(slots=True)
class Owned(Generic[S]):
    """The state of one partition number, and the next offset of each topic that it has taken in."""

    state: S
    offsets: dict[str, int] = field(default_factory=dict)
    snapshot_at: dict[str, int] | None = None
    view_at: dict[str, int] | None = None


class Derived(Generic[S]):
    """The states of the partitions that this worker owns, made of these topics. `new` makes an empty one, `view` what pages
    read of it."""

    def __init__(
        self,
        snapshots: Collection,
        views: Collection,
        type: type[S],
        new: Callable[[], S],
        view: Callable[[S], bytes],
        topics: Sequence[str],
        clock: Clock,
    ) -> None:
        # Loose writes: after a crash of the store an older snapshot only means a longer replay.
        self._snapshots = snapshots.with_options(write_concern=LOOSE)
        self._views = views.with_options(write_concern=LOOSE)
        self._new, self._view, self._topics, self._clock = new, view, topics, clock
        self._decoder = msgspec.msgpack.Decoder(type)
        self.owned: dict[int, Owned[S]] = {}
        self.fenced: set[int] = set()

    async def load(self, partitions: Partitions[int]) -> dict[tuple[str, int], int]:
        """Takes partitions over: the state as of their snapshots. Returns where to read on, per (topic, partition): from the
        beginning where no snapshot was written yet, whatever the group has committed."""
        start: dict[tuple[str, int], int] = {}
        for p in partitions:
            with store_errors():
                snapshot = await self._snapshots.find_one({"_id": p})
                view = await self._views.find_one({"_id": p}, {"offsets": 1})
            if snapshot is None:
                owned = Owned(self._new())
            else:
                owned = Owned(self._decoder.decode(snapshot["body"]), dict(snapshot["offsets"]), dict(snapshot["offsets"]))
            owned.view_at = dict(view["offsets"]) if view else None
            self.owned[p] = owned
            self.fenced.discard(p)
            start |= {(topic, p): owned.offsets.get(topic, 0) for topic in self._topics}
        return start

    def begin(self, partitions: Partitions[int]) -> None:
        """Takes partitions over with nothing in them, whatever is stored."""
        self.owned |= {p: Owned(self._new()) for p in partitions}

    def drop(self, partitions: Partitions[int]) -> None:
        """Forgets partitions, with what was not written of them."""
        for p in partitions:
            self.owned.pop(p, None)
            self.fenced.discard(p)

    def check(self) -> None:
        """Raises Fenced where another owner has written what is ours (a replay, say): we go on from what that one wrote."""
        if self.fenced:
            raise Fenced(f"partitions {sorted(self.fenced)}")

    def take(self, record: Record) -> S | None:
        """The state that a record is to be applied to, or None where it has been already. Raises Fenced."""
        if record.partition in self.fenced:
            raise Fenced(f"partition {record.partition}")
        owned = self.owned[record.partition]
        if record.offset < owned.offsets.get(record.topic, 0):
            return None
        owned.offsets[record.topic] = record.offset + 1
        return owned.state

    def touch(self, partition: int) -> None:
        """Says that a state was changed by something else than a record (a round's new plan), so that it will be written."""
        offsets = self.owned[partition].offsets
        offsets[TOUCHED] = offsets.get(TOUCHED, 0) + 1

    async def write_views(self) -> None:
        """Writes the views of all partitions that have changed. Raises StoreDown."""
        for p, owned in list(self.owned.items()):
            if owned.offsets != (owned.view_at or {}) and _newer(owned.offsets, owned.view_at):
                body, offsets = self._view(owned.state), dict(owned.offsets)
                if await self._replace(self._views, p, body, offsets, owned.view_at):
                    owned.view_at = offsets
                else:
                    self._fence(p)

    async def write_snapshots(self) -> None:
        """Writes the whole state of all partitions that have changed. Raises StoreDown."""
        for p, owned in list(self.owned.items()):
            if owned.offsets != (owned.snapshot_at or {}):
                body, offsets = msgspec.msgpack.encode(owned.state), dict(owned.offsets)
                if await self._replace(self._snapshots, p, body, offsets, owned.snapshot_at):
                    owned.snapshot_at = offsets
                else:
                    self._fence(p)
                await asyncio.sleep(0)

    def _fence(self, partition: int) -> None:
        log.warning("derived.fenced", partition=partition)
        self.fenced.add(partition)

    async def put_in_place(self) -> None:
        """Writes all states over those that are stored, whoever owns them: an owner learns it at its next write (Fenced) and
        goes on from here. Raises StoreDown."""
        for p, owned in self.owned.items():
            for documents, body in (
                (self._snapshots, msgspec.msgpack.encode(owned.state)),
                (self._views, self._view(owned.state)),
            ):
                with store_errors():
                    held = await documents.find_one({"_id": p}, {"offsets": 1})
                    touched = (held["offsets"].get(TOUCHED, 0) if held else 0) + 1
                    document = {"offsets": {**owned.offsets, TOUCHED: touched}, "body": Binary(body)}
                    await documents.update_one({"_id": p}, {"$set": document}, upsert=True)

    async def run(self, stop: Callable[[], bool], view_s: float, snapshot_s: float) -> None:
        """Writes views and snapshots at their pace until `stop()`, then once more. A store that is away is waited for."""
        due = self._clock.monotonic() + snapshot_s
        while not stop():
            began = self._clock.monotonic()
            try:
                await self.write_views()
                if began >= due:
                    await self.write_snapshots()
                    due = self._clock.monotonic() + snapshot_s
            except Transient as error:
                log.warning("derived.store_down", error=str(error))
            # A store that is slow to take the views gets three quarters of the time for others.
            until = began + max(view_s, 4 * (self._clock.monotonic() - began))
            while not stop() and self._clock.monotonic() < until:  # noqa: ASYNC110 (`stop` is no event)
                await asyncio.sleep(min(view_s, 0.2))
        await self.write_views()
        await self.write_snapshots()

    async def _replace(
        self, documents: Collection, p: int, body: bytes, offsets: dict[str, int], held: dict[str, int] | None
    ) -> bool:
        """Writes one document where it still holds `held`; False where another owner has written since."""
        document: dict[str, Any] = {"offsets": offsets, "body": Binary(body)}
        with store_errors():
            if held is None:
                result = await documents.update_one({"_id": p}, {"$setOnInsert": document}, upsert=True)
                return result.upserted_id is not None
            result = await documents.update_one({"_id": p, "offsets": held}, {"$set": document})
            return result.matched_count == 1


def _newer(offsets: dict[str, int], held: dict[str, int] | None) -> bool:
    # While a new owner replays from an older snapshot, the view in the store is ahead of it and must not go back.
    return held is None or all(offsets.get(topic, 0) >= offset for topic, offset in held.items())
