"""What has happened to the rounds of a contest, kept for good: the topic `contests` remembers the last word alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import structlog

from services.events import RoundClosed, RoundExtended, RoundOpened, RoundPaused, decode
from services.events.base import UnknownEvent
from services.kit.bus import Record, Transient
from services.kit.clock import time_of
from services.kit.cloudevents import type_of
from services.kit.store import insert_facts, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

What = Literal["opened", "paused", "extended", "closed", "published"]
_WHAT: dict[type, What] = {RoundOpened: "opened", RoundPaused: "paused", RoundExtended: "extended", RoundClosed: "closed"}


log = structlog.get_logger(__name__)


class Happening(NamedTuple):
    """`closes` is when the round was to close from then on. `id` is the event's."""

    id: str
    round: str
    what: What
    at: datetime
    closes: datetime


class Chronicle:
    """The collection `chronicle`, a few facts a round. Who follows the topic lets it `hear` each record; `run` writes."""

    def __init__(self, database: Database) -> None:
        self._facts = database["chronicle"]
        self._heard: dict[str, dict[str, Any]] = {}

    def hear(self, record: Record) -> None:
        """Takes a record of the topic `contests` in. Raises msgspec.DecodeError."""
        try:
            event = decode(type_of(record.headers), record.value)
        except UnknownEvent:
            return
        if isinstance(event, RoundOpened | RoundPaused | RoundExtended | RoundClosed):
            final = event.round.state == "final"
            self._heard[event.id] = {
                "_id": event.id,
                "contest": event.round.contest,
                "round": event.round.id,
                "what": "published" if final else _WHAT[type(event)],
                # The event of a publication bears the time of the closing, so that every worker gives it the same.
                "at": time_of(record.timestamp * 1000) if final else event.time,
                "closes": event.round.closes,
            }

    async def write(self) -> None:
        """Makes facts of what was heard. Raises StoreDown."""
        heard = list(self._heard.values())
        await insert_facts(self._facts, heard)
        for fact in heard:
            self._heard.pop(fact["_id"])

    async def run(self, stop: Callable[[], bool]) -> None:
        """Writes until `stop()`."""
        while not stop():
            try:
                await self.write()
            except Transient as error:
                log.warning("chronicle.store_down", error=str(error))
            await asyncio.sleep(0.5)

    async def of(self, contest: str) -> list[Happening]:
        """What has happened, the latest first. Raises StoreDown."""
        with store_errors():
            found = [d async for d in self._facts.find({"contest": contest})]
        happenings = [Happening(d["_id"], d["round"], d["what"], d["at"], d["closes"]) for d in found]
        return sorted(happenings, key=lambda each: (each.at, each.id), reverse=True)
