"""Who has registered and who took part, unit by unit, as pages and campaigns read it: each partition's owner writes its people in
buckets by unit, so that a page about one unit reads one small document a partition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Collection as Names
from typing import TYPE_CHECKING, Any

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
    """The buckets. All methods raise StoreDown."""

    def __init__(self, database: Database) -> None:
        # Loose writes: what a crash of the store loses is written again by the partition's next owner.
        self._buckets = database["members"].with_options(write_concern=LOOSE)

    async def write(self, partition: int, bucket: int, offsets: Mapping[str, int], people: Sequence[tuple[str, bytes]]) -> bool:
        """Writes a bucket as of these offsets; False where the stored one knows something later (another owner's)."""
        id = f"{partition}/{bucket}"
        with store_errors():
            held = await self._buckets.find_one({"_id": id}, {"offsets": 1})
        before: dict[str, int] = held["offsets"] if held else {}
        if any(offsets.get(topic, 0) < offset for topic, offset in before.items()):
            return False
        if held is None and not people:
            return True
        document: dict[str, Any] = {"offsets": dict(offsets), "body": Binary(write_bucket(people))}
        with store_errors():
            if held is None:
                await self._buckets.update_one({"_id": id}, {"$setOnInsert": document}, upsert=True)
                return bool(await self._buckets.find_one({"_id": id, "offsets": document["offsets"]}, {"offsets": 1}))
            result = await self._buckets.update_one({"_id": id, "offsets": before}, {"$set": document})
        return bool(result.matched_count)

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
