"""Who has registered and who took part, unit by unit, as pages and campaigns read it: each partition's owner writes its people in
buckets by unit, so that a page about one unit reads one small document a partition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Collection as Names
from typing import TYPE_CHECKING

from bson import Binary

from services.events.topics import PARTITIONS
from services.kit.bus import partition_of
from services.kit.store import LOOSE, find_ids, store_errors
from services.notify.people import Member, Person, bucket_of, read_bucket, write_bucket

if TYPE_CHECKING:
    from services.kit.store import Database

_IN_ONE = PARTITIONS
"""Documents read at once."""


class Members:
    """The buckets. All methods raise StoreDown. Who writes remembers the offsets of what they wrote last."""

    def __init__(self, database: Database) -> None:
        # Loose writes: what a crash of the store loses is written again by the partition's next owner.
        self._buckets = database["members"].with_options(write_concern=LOOSE)
        self._held: dict[str, dict[str, int] | None] = {}

    async def write(self, partition: int, bucket: int, offsets: Mapping[str, int], people: Sequence[tuple[str, bytes]]) -> bool:
        """Writes a bucket as of these offsets; False where the stored one knows something later (another owner's)."""
        id = f"{partition}/{bucket}"
        if id not in self._held:
            found = (await find_ids(self._buckets, [id], {"offsets": 1})).get(id)
            self._held[id] = found["offsets"] if found else None
        before, after = self._held.pop(id), dict(offsets)
        document = {"offsets": after, "body": Binary(write_bucket(people))}
        if any(offsets.get(topic, 0) < offset for topic, offset in (before or {}).items()):
            return False
        with store_errors():
            if before is not None:
                written = (await self._buckets.update_one({"_id": id, "offsets": before}, {"$set": document})).matched_count == 1
            elif people:
                result = await self._buckets.update_one({"_id": id}, {"$setOnInsert": document}, upsert=True)
                written = result.upserted_id is not None
            else:
                return True
        if written:
            self._held[id] = after
        return written

    async def of_units(self, contest: str, units: Names[str]) -> AsyncIterator[Member]:
        """The people who belong to these units of a contest."""
        buckets = {bucket_of(contest, unit) for unit in units}
        ids = [f"{partition}/{bucket}" for bucket in sorted(buckets) for partition in range(PARTITIONS)]
        wanted = set(units)
        for at in range(0, len(ids), _IN_ONE):
            for document in (await find_ids(self._buckets, ids[at : at + _IN_ONE])).values():
                for member in read_bucket(bytes(document["body"])):
                    if member.person.contest == contest and member.person.unit in wanted:
                        yield member

    async def find(self, participant: str, contest: str, unit: str) -> Person | None:
        """One person, where the unit is the one that they belong to."""
        id = f"{partition_of(participant, PARTITIONS)}/{bucket_of(contest, unit)}"
        held = (await find_ids(self._buckets, [id])).get(id)
        members = read_bucket(bytes(held["body"])) if held else []
        return next((member.person for member in members if member.id == participant), None)
