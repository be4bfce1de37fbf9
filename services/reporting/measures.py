"""What units do to mobilise people (biện pháp): a day, a text, perhaps a picture. Each unit's in one document."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from bson import Binary

from services.kit.pictures import digest_of
from services.kit.problems import Problem
from services.kit.store import FACTS, StoreDown, find_ids, insert_facts, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

_TRIES, _CHUNK = 20, 500
MOST = 500
"""Measures of one unit."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """`day` is ISO 8601; `picture` the digest of its picture, "" without; `by` the account that noted it."""

    id: str
    day: str
    text: str
    by: str
    at: datetime
    picture: str = ""


_decoder = msgspec.json.Decoder(tuple[Measure, ...])


class Measures:
    """All calls raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._units = database["measures"].with_options(write_concern=FACTS)
        self._pictures = database["measure_pictures"].with_options(write_concern=FACTS)

    async def of(self, contest: str, unit: str) -> tuple[Measure, ...]:
        """A unit's measures, the newest first."""
        found = await self._read(contest, [unit])
        return _newest(found.get(unit, (-1, ()))[1])

    async def latest(self, contest: str, units: Iterable[str]) -> dict[str, Measure]:
        """The last measure of each of these units that has noted any."""
        found = await self._read(contest, units)
        return {unit: _newest(measures)[0] for unit, (_, measures) in found.items() if measures}

    async def every(self, contest: str) -> list[tuple[str, Measure]]:
        """All measures of a contest, each with its unit, the newest first."""
        with store_errors():
            documents = [d async for d in self._units.find({"contest": contest})]
        found = [(d["unit"], measure) for d in documents for measure in _decoder.decode(d["body"])]
        return sorted(found, key=lambda one: (one[1].day, one[1].at), reverse=True)

    async def recent(self, contest: str, most: int) -> list[tuple[str, Measure]]:
        """The last measures of a contest, each with its unit."""
        return (await self.every(contest))[:most]

    async def add(self, contest: str, unit: str, measure: Measure, picture: bytes = b"") -> Measure:
        """Notes a measure, with a picture that is small already. Raises Problem 409 where the unit has noted too many."""
        if picture:
            measure = msgspec.structs.replace(measure, picture=digest_of(picture))
            fact = {"_id": f"{contest}/{unit}/{measure.picture}", "body": Binary(picture)}
            await insert_facts(self._pictures, [fact])
        await self._change(contest, unit, lambda held: (*(m for m in held if m.id != measure.id), measure))
        return measure

    async def remove(self, contest: str, unit: str, id: str) -> None:
        """Takes a measure back."""
        await self._change(contest, unit, lambda held: tuple(m for m in held if m.id != id))

    async def picture(self, contest: str, unit: str, digest: str) -> bytes | None:
        """A picture that the unit has uploaded."""
        with store_errors():
            found = await self._pictures.find_one({"_id": f"{contest}/{unit}/{digest}"})
        return bytes(found["body"]) if found else None

    async def _change(self, contest: str, unit: str, change: Any) -> None:
        for _ in range(_TRIES):
            revision, held = (await self._read(contest, [unit])).get(unit, (-1, ()))
            new = change(held)
            if len(new) > MOST:
                raise Problem(409, "too-many", "Đơn vị đã ghi quá nhiều biện pháp.", field="text")
            id, body = f"{contest}/{unit}", Binary(msgspec.json.encode(new))
            if revision < 0:
                document = {"_id": id, "contest": contest, "unit": unit, "revision": 0, "body": body}
                if not await insert_facts(self._units, [document]):
                    return
                continue
            with store_errors():
                done = await self._units.update_one(
                    {"_id": id, "revision": revision}, {"$set": {"revision": revision + 1, "body": body}}
                )
            if done.matched_count == 1:
                return
        raise StoreDown(f"the measures of {unit} change all the time")

    async def _read(self, contest: str, units: Iterable[str]) -> dict[str, tuple[int, tuple[Measure, ...]]]:
        ids = [f"{contest}/{unit}" for unit in units]
        found: dict[str, dict[str, Any]] = {}
        for begin in range(0, len(ids), _CHUNK):
            found |= await find_ids(self._units, ids[begin : begin + _CHUNK])
        return {d["unit"]: (d["revision"], _decoder.decode(d["body"])) for d in found.values()}


def _newest(measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
    return tuple(sorted(measures, key=lambda measure: (measure.day, measure.at), reverse=True))
