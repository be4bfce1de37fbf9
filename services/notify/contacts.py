"""Who looks after a unit, who reads the digests, and the rosters of units: what people enter about other people."""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from bson import Binary

from services.kit.store import FACTS, find_ids, store_errors
from services.notify.campaigns import Address
from services.notify.roster import RosterPerson

if TYPE_CHECKING:
    from services.kit.store import Collection, Database

_IN_ONE = 500
_people = msgspec.msgpack.Decoder(list[RosterPerson])


class Reader(msgspec.Struct, frozen=True):
    """Somebody who gets a contest's digests (nơi nhận)."""

    email: str
    name: str
    period: Literal["day", "week"]


class Kept(NamedTuple):
    """What is known of a roster without opening it."""

    unit: str
    people: int
    at: datetime
    by: str


class Contacts:
    """The contacts of units and the readers of digests. All methods raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._contacts = database["contacts"].with_options(write_concern=FACTS)
        self._readers = database["readers"].with_options(write_concern=FACTS)

    async def of_units(self, contest: str, units: Names[str]) -> dict[str, list[Address]]:
        """The contacts entered for these units, by unit."""
        found: dict[str, list[Address]] = {}
        ids = [f"{contest}/{unit}" for unit in units]
        for at in range(0, len(ids), _IN_ONE):
            held = await find_ids(self._contacts, ids[at : at + _IN_ONE])
            found |= {d["unit"]: msgspec.convert(d["people"], list[Address]) for d in held.values() if d["people"]}
        return found

    async def put(self, contest: str, unit: str, people: Sequence[Address]) -> None:
        """The contacts of a unit from now on."""
        document = {"contest": contest, "unit": unit, "people": [msgspec.to_builtins(person) for person in people]}
        await _put(self._contacts, f"{contest}/{unit}", document)

    async def readers(self, contest: str) -> list[Reader]:
        """Who reads the digests of a contest."""
        held = (await find_ids(self._readers, [contest])).get(contest)
        return msgspec.convert(held["readers"], list[Reader]) if held else []

    async def put_readers(self, contest: str, readers: Sequence[Reader]) -> None:
        """Who reads them from now on."""
        await _put(self._readers, contest, {"readers": [msgspec.to_builtins(reader) for reader in readers]})


class Rosters:
    """Rosters by contest and unit, and the file of each unit that was tried last. All methods raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._rosters = database["rosters"].with_options(write_concern=FACTS)
        self._tried = database["rosters_tried"].with_options(write_concern=FACTS)

    async def kept(self, contest: str) -> dict[str, Kept]:
        """The rosters of a contest without their people, by unit."""
        fields = {"unit": 1, "count": 1, "at": 1, "by": 1}
        with store_errors():
            return {d["unit"]: _kept(d) async for d in self._rosters.find({"contest": contest}, fields)}

    async def find(self, contest: str, unit: str) -> tuple[Kept, list[RosterPerson]] | None:
        """A unit's roster."""
        held = (await find_ids(self._rosters, [f"{contest}/{unit}"])).get(f"{contest}/{unit}")
        return (_kept(held), _people.decode(held["people"])) if held else None

    async def put(self, contest: str, unit: str, people: Sequence[RosterPerson], by: str, at: datetime) -> None:
        """A unit's roster from now on."""
        document = {"contest": contest, "unit": unit, "count": len(people), "at": at, "by": by, "people": _packed(people)}
        await _put(self._rosters, f"{contest}/{unit}", document)
        await self._drop(self._tried, f"{contest}/{unit}")

    async def delete(self, contest: str, unit: str) -> None:
        """Forgets a unit's roster."""
        await self._drop(self._rosters, f"{contest}/{unit}")
        await self._drop(self._tried, f"{contest}/{unit}")

    async def delete_of(self, contest: str) -> None:
        """Forgets all rosters of a contest."""
        with store_errors():
            await self._rosters.delete_many({"contest": contest})
            await self._tried.delete_many({"contest": contest})

    async def keep_tried(self, contest: str, unit: str, digest: str, people: Sequence[RosterPerson]) -> None:
        """Keeps a file that was tried and is good, until it is imported or another one is tried."""
        document = {"contest": contest, "digest": digest, "people": _packed(people)}
        await _put(self._tried, f"{contest}/{unit}", document)

    async def tried(self, contest: str, unit: str, digest: str) -> list[RosterPerson] | None:
        """The people of the file that was tried last, if it is this one."""
        held = (await find_ids(self._tried, [f"{contest}/{unit}"])).get(f"{contest}/{unit}")
        return _people.decode(held["people"]) if held and held["digest"] == digest else None

    async def _drop(self, collection: Collection, id: str) -> None:
        with store_errors():
            await collection.delete_many({"_id": id})


def _packed(people: Sequence[RosterPerson]) -> Binary:
    return Binary(msgspec.msgpack.encode(people))


def _kept(document: dict[str, Any]) -> Kept:
    return Kept(document["unit"], document["count"], document["at"], document["by"])


async def _put(collection: Collection, id: str, document: dict[str, Any]) -> None:
    with store_errors():
        await collection.update_one({"_id": id}, {"$set": document}, upsert=True)
