"""What quiz keeps: contests with their banks, papers, participants, starts; each inserted once under its id and never edited.

A command (register, start) writes its fact and the event that tells of it as one *intent*: a document of the bulk that the
command went with, written first. Once facts and events are out, the intent is deleted, lazily; a sweeper does again what a
crash left behind (design §4.8). One intent a bulk costs the store far less than an outbox field with its index in each fact.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import structlog

from services.kit.batcher import Batcher
from services.kit.bus import Transient
from services.kit.clock import Clock
from services.kit.runtime import Runtime
from services.kit.store import FACTS, LOOSE, find_ids, insert_facts, store_errors
from services.quiz.handlers import event_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from services.kit.store import Database

Fact = dict[str, Any]

log = structlog.get_logger(__name__)

LEFT_BEHIND = timedelta(seconds=15)
"""An intent this old belongs to nobody who still works on it."""


class QuizStore:
    """`tell` publishes the events of facts, given as (collection, fact)."""

    def __init__(self, database: Database, tell: Callable[[Sequence[tuple[str, Fact]]], Awaitable[None]], clock: Clock) -> None:
        self.contests = database["contests"]
        self.papers = database["papers"]
        self._database, self._tell, self._clock = database, tell, clock
        self._intents = database["intents"].with_options(write_concern=FACTS)
        self._done: list[str] = []
        self._process, self._numbers = uuid.uuid4().hex, count()
        self._commands: Batcher[tuple[str, Fact], bool] = Batcher(self._write, most=500, bound=20_000)

    async def add(self, collection: str, fact: Fact) -> bool:
        """Inserts a fact and publishes its event; False where its `_id` was there already, and nothing changed.

        Raises StoreDown or BusDown: then it may or may not have happened, and will be whole once the sweeper has passed.
        """
        return await self._commands.submit((collection, fact))

    async def facts(self, collection: str, ids: Sequence[str]) -> dict[str, Fact]:
        """The facts of these ids that exist, by id. Raises StoreDown."""
        return await find_ids(self._database[collection], ids)

    async def _write(self, commands: Sequence[tuple[str, Fact]]) -> Sequence[bool]:
        intent = f"{self._process}/{next(self._numbers)}"
        with store_errors():
            await self._intents.insert_one({"_id": intent, "at": self._clock.now(), "facts": [list(c) for c in commands]})
        known = await self._insert(commands)
        # Of two commands for one id in this bulk, the first made the fact.
        seen: set[tuple[str, str]] = set(known)
        fresh = []
        for collection, fact in commands:
            fresh.append((collection, fact["_id"]) not in seen)
            seen.add((collection, fact["_id"]))
        await self._tell([command for command, new in zip(commands, fresh, strict=True) if new])
        self._done.append(intent)
        return fresh

    async def _insert(self, commands: Sequence[tuple[str, Fact]]) -> set[tuple[str, str]]:
        known: set[tuple[str, str]] = set()
        for name in {collection for collection, _ in commands}:
            facts = {fact["_id"]: fact for collection, fact in reversed(commands) if collection == name}
            known |= {(name, id) for id in await insert_facts(self._database[name], list(facts.values()))}
        return known

    async def forget_done(self, stop: Callable[[], bool]) -> None:
        """Deletes intents that are done with, every second, until `stop()`."""
        while not stop():
            await asyncio.sleep(1)
            await self._delete_done()
        await self._delete_done()

    async def _delete_done(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        try:
            with store_errors():
                await self._intents.with_options(write_concern=LOOSE).delete_many({"_id": {"$in": done}})
        except Transient:
            self._done += done

    async def sweep(self, now: datetime) -> int:
        """Does again what a crash left behind: inserts the facts, tells of those that stand. Returns how many intents."""
        with store_errors():
            left = [intent async for intent in self._intents.find({})]
        swept = [intent for intent in left if intent["at"] < now - LEFT_BEHIND]
        for intent in swept:
            commands = [(collection, fact) for collection, fact in intent["facts"]]
            await self._insert(commands)
            for collection in {collection for collection, _ in commands}:
                standing = await self.facts(collection, [fact["_id"] for name, fact in commands if name == collection])
                await self._tell([(collection, fact) for fact in standing.values()])
            with store_errors():
                await self._intents.delete_one({"_id": intent["_id"]})
            log.info("intents.swept", facts=len(commands))
        return len(swept)


def store_of(runtime: Runtime) -> QuizStore:
    """The store of this installation, which tells the bus of its facts."""

    async def tell(facts: Sequence[tuple[str, Fact]]) -> None:
        await runtime.bus.publish([runtime.outgoing(event_of(collection, fact)) for collection, fact in facts])

    return QuizStore(runtime.store, tell, runtime.clock)
