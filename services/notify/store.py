"""The outbox: every message is a document under an id that its cause decides, and its state moves from waiting to an end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from services.kit.store import FACTS, insert_facts, store_errors
from services.notify.domain import STATES, wait_after

if TYPE_CHECKING:
    from services.kit.store import Collection, Database

CLAIM = timedelta(minutes=2)
"""Who claimed a message this long ago and said nothing since has died."""

COUNTED = 1000
"""Counts go this far: the one-machine store counts by looking at each."""


def snapshots(database: Database) -> Collection:
    """The whole state of each partition."""
    return database["snapshots"]


def views(database: Database) -> Collection:
    """Notify shows nothing of its partitions; the documents hold their offsets alone."""
    return database["views"]


class Outbox:
    """Messages are few (most people give no address), so one index over state and time pays for itself."""

    def __init__(self, database: Database) -> None:
        self._messages = database["messages"].with_options(write_concern=FACTS)

    async def prepare(self) -> None:
        """Makes the index. Raises StoreDown."""
        with store_errors():
            await self._messages.create_index([("state", 1), ("due", 1)])

    async def add(self, messages: Sequence[dict[str, Any]]) -> None:
        """Adds messages; one that is there already stays as it is. Raises StoreDown."""
        await insert_facts(self._messages, messages)

    async def waiting(self, now: datetime, limit: int) -> list[dict[str, Any]]:
        """Messages that are due. Raises StoreDown."""
        with store_errors():
            return [m async for m in self._messages.find({"state": "waiting", "due": {"$lte": now}}).limit(limit)]

    async def claim(self, id: str, now: datetime) -> bool:
        """Marks a waiting message as being sent, durably; False where another was faster. Raises StoreDown."""
        return await self._move(id, ["waiting"], {"state": "sending", "due": now})

    async def ended(self, id: str, state: str, reason: str = "") -> None:
        """Notes how sending ended. Raises StoreDown."""
        await self._move(id, ["sending"], {"state": state, "reason": reason})

    async def put_off(self, id: str, now: datetime, tries: int, reason: str) -> None:
        """Lets a message wait for a later try. Raises StoreDown."""
        due = now + wait_after(tries)
        await self._move(id, ["sending"], {"state": "waiting", "due": due, "tries": tries + 1, "reason": reason})

    async def send_again(self, id: str, now: datetime) -> bool:
        """A person's decision on a message that failed or whose fate is unknown. Raises StoreDown."""
        return await self._move(id, ["failed", "uncertain"], {"state": "waiting", "due": now})

    async def find_lost(self, now: datetime) -> None:
        """What was being sent by a process that died may have arrived: a person decides. Raises StoreDown."""
        with store_errors():
            await self._messages.update_many(
                {"state": "sending", "due": {"$lt": now - CLAIM}},
                {"$set": {"state": "uncertain", "reason": "interrupted"}},
            )

    async def erase(self, participants: Sequence[str]) -> None:
        """Forgets the addresses of people who were erased. Raises StoreDown."""
        with store_errors():
            await self._messages.update_many(
                {"participant": {"$in": list(participants)}}, {"$set": {"email": "", "state": "failed", "reason": "erased"}}
            )

    async def counts(self) -> dict[str, int]:
        """How many messages are in each state, up to COUNTED. Raises StoreDown."""
        with store_errors():
            return {state: await self._messages.count_documents({"state": state}, limit=COUNTED) for state in STATES}

    async def page(self, state: str, skip: int, limit: int) -> list[dict[str, Any]]:
        """Messages of a state, the newest first. Raises StoreDown."""
        with store_errors():
            found = self._messages.find({"state": state}).sort("due", -1).skip(skip).limit(limit)
            return [message async for message in found]

    async def of_attempt(self, attempt: str, revisions: Sequence[str]) -> list[dict[str, Any]]:
        """The messages about one attempt. Raises StoreDown."""
        with store_errors():
            return [m async for m in self._messages.find({"_id": {"$in": list(revisions)}}, {"email": 0})]

    async def _move(self, id: str, states: Sequence[str], change: dict[str, Any]) -> bool:
        with store_errors():
            result = await self._messages.update_one({"_id": id, "state": {"$in": list(states)}}, {"$set": change})
        return bool(result.matched_count)
