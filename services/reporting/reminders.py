"""Reminders counted: how often each unit was urged on, and when last. Kept for good, though the topic forgets after a month.

A unit has one document, with a field for each message that arrived: its name is made of the message's id, its value is when. So a
repeat changes nothing, of two tellings of a message the earlier one stands, and no count is ever moved blindly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from services.events import Event, MessageDelivered, decode
from services.events.base import UnknownEvent
from services.kit.bus import DONE, Bus, Outcome, Record, Reject, Subscription
from services.kit.clock import time_of, us_of
from services.kit.cloudevents import type_of
from services.kit.store import FACTS, find_ids, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

SUBSCRIPTION = Subscription("reporting-reminders", ("deliveries",))


class Reminded(NamedTuple):
    """What a unit got: `times` are days on which at least one reminder arrived, `messages` all that did, `last` is the latest."""

    times: int
    messages: int
    last: datetime


class Reminders:
    """The collection `reminders`."""

    def __init__(self, database: Database) -> None:
        self._units = database["reminders"].with_options(write_concern=FACTS)

    async def take(self, events: Sequence[MessageDelivered]) -> None:
        """Notes the reminders among these. Raises StoreDown; then any part may have been noted, and all may be again."""
        fields: dict[str, dict[str, int]] = {}
        for event in events:
            if event.purpose == "reminder" and event.unit is not None:
                noted, name = fields.setdefault(_id(event.contest, event.unit), {}), _name(event.message)
                noted[name] = min(us_of(event.time), noted.get(name, us_of(event.time)))
        with store_errors():
            for id, noted in fields.items():
                await self._units.update_one({"_id": id}, {"$min": noted}, upsert=True)

    async def of(
        self, contest: str, units: Iterable[str], zone: tzinfo = UTC, until: datetime | None = None
    ) -> dict[str, Reminded]:
        """Those of the units that were reminded (by a time), by code; a day is one in `zone`. Raises StoreDown."""
        codes = {_id(contest, unit): unit for unit in units}
        found = await find_ids(self._units, codes)
        end = math.inf if until is None else us_of(until)
        moments = {id: [us for name, us in unit.items() if name != "_id" and us <= end] for id, unit in found.items()}
        return {codes[id]: _reminded(mine, zone) for id, mine in moments.items() if mine}


class RemindersWorker:
    """A `services.kit.bus.Consumer` without a state of its own: what it takes is written before the commit."""

    def __init__(self, bus: Bus, reminders: Reminders) -> None:
        self._bus, self._reminders = bus, reminders

    async def consume(self, stop: Callable[[], bool]) -> None:
        """Works until `stop()`."""
        await self._bus.consume(SUBSCRIPTION.topics, SUBSCRIPTION.group, self, stop)

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        return {}

    async def revoked(self, partitions: Collection[int]) -> None:
        """Nothing is held."""

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        readings = [_read(record) for record in batch]
        await self._reminders.take([reading for reading in readings if isinstance(reading, MessageDelivered)])
        return [reading if isinstance(reading, Reject) else DONE for reading in readings]


def _read(record: Record) -> Event | Reject | None:
    try:
        return decode(type_of(record.headers), record.value)
    except UnknownEvent:
        return None
    except msgspec.DecodeError as error:
        return Reject(str(error))


def _reminded(moments: Sequence[int], zone: tzinfo) -> Reminded:
    times = [time_of(us).astimezone(zone) for us in moments]
    return Reminded(len({time.date() for time in times}), len(times), max(times))


def _id(contest: str, unit: str) -> str:
    return f"{contest}/{unit}"


def _name(message: str) -> str:
    return "m" + blake2b(message.encode(), digest_size=9).hexdigest()
