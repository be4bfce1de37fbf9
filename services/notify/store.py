"""The outbox: every message is a document under an id that its cause decides, and its state moves from waiting to an end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from collections.abc import Collection as Names
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from services.kit.store import FACTS, find_ids, insert_facts, store_errors
from services.notify.domain import STATES, Result, wait_after

if TYPE_CHECKING:
    from services.kit.store import Collection, Database

CLAIM = timedelta(minutes=2)
"""Who claimed a message this long ago and said nothing since has died."""

FORGOTTEN: dict[str, Any] = {"to": "", "text": "", "optout": "", "values": {}, "keys": []}
"""What is left of whom a message went to and what it said."""

ENDED = [state for state in STATES if state not in ("waiting", "sending")]

COUNTED = 1000
"""Counts go this far: the one-machine store counts by looking at each."""

LOGGED = ("channel", "units", "state", "reason", "tries", "due")

_IN_ONE = 1000


def snapshots(database: Database) -> Collection:
    """The whole state of each partition. (`snapshots` held less of each person; without one, the log is read anew.)"""
    return database["partitions"]


def views(database: Database) -> Collection:
    """Pages read people from `members`; these documents hold the partitions' offsets alone."""
    return database["views"]


class Outbox:
    """Messages are few beside attempts, so an index over state, channel and time pays for itself.

    A message that may have arrived carries `doubt` from then on, whatever becomes of it.
    """

    def __init__(self, database: Database) -> None:
        self._messages = database["messages"].with_options(write_concern=FACTS)

    async def prepare(self) -> None:
        """Makes the indexes. Raises StoreDown."""
        with store_errors():
            await self._messages.create_index([("state", 1), ("channel", 1), ("due", 1)])
            await self._messages.create_index([("campaign", 1), ("state", 1)])

    async def add(self, messages: Sequence[dict[str, Any]]) -> int:
        """Adds messages; one that is there already stays as it is. Returns how many were new. Raises StoreDown."""
        known = 0
        for at in range(0, len(messages), _IN_ONE):
            known += len(await insert_facts(self._messages, messages[at : at + _IN_ONE]))
        return len(messages) - known

    async def waiting(self, channel: str, now: datetime, limit: int) -> list[dict[str, Any]]:
        """Messages of a channel that are due. Raises StoreDown."""
        wanted = {"state": "waiting", "channel": channel, "due": {"$lte": now}}
        with store_errors():
            return [m async for m in self._messages.find(wanted).limit(limit)]

    async def claim(self, id: str, now: datetime) -> bool:
        """Marks a waiting message as being sent, durably; False where another was faster. Raises StoreDown."""
        return await self._move(id, ["waiting"], {"state": "sending", "due": now})

    async def ended(self, id: str, state: str, reason: str = "") -> None:
        """Notes how sending ended. Raises StoreDown."""
        doubt = {"doubt": True} if state == "uncertain" else {}
        await self._move(id, ["sending"], {"state": state, "reason": reason, **doubt})

    async def skip(self, id: str, reason: str) -> None:
        """A waiting message will not be sent, for good. Raises StoreDown."""
        await self._move(id, ["waiting"], {"state": "skipped", "reason": reason})

    async def postpone(self, id: str, due: datetime) -> None:
        """A waiting message waits on, for a reason that is no fault. Raises StoreDown."""
        await self._move(id, ["waiting"], {"due": due})

    async def put_off(self, id: str, now: datetime, tries: int, result: Result) -> None:
        """Lets a message wait for a later try, no sooner than the gateway asks. Raises StoreDown."""
        due = now + max(wait_after(tries), result.after or timedelta())
        doubt = {"doubt": True} if result.doubt else {}
        await self._move(id, ["sending"], {"state": "waiting", "due": due, "tries": tries + 1, "reason": result.reason, **doubt})

    async def send_again(self, id: str, now: datetime) -> bool:
        """A person's decision on a message that failed or whose fate is unknown. Raises StoreDown."""
        return await self._move(id, ["failed", "uncertain"], {"state": "waiting", "due": now})

    async def give_up(self, id: str) -> bool:
        """A person's decision that a message whose fate is unknown is left so. Raises StoreDown."""
        return await self._move(id, ["uncertain"], {"state": "failed", "reason": "given up"})

    async def find_lost(self, now: datetime, repeatable: Names[str] = ()) -> None:
        """What was being sent by a process that died may have arrived: a person decides; on channels that take the same message
        twice for one (`repeatable`) it is sent again. Raises StoreDown."""
        lost = {"state": "sending", "due": {"$lt": now - CLAIM}}
        with store_errors():
            again = {"state": "waiting", "doubt": True}
            await self._messages.update_many({**lost, "channel": {"$in": list(repeatable)}}, {"$set": again})
            await self._messages.update_many(lost, {"$set": {"state": "uncertain", "reason": "interrupted", "doubt": True}})

    async def unsent(self, ids: Names[str]) -> set[str]:
        """Which of these surely never went out, and never will. Raises StoreDown."""
        wanted, found = list(dict.fromkeys(ids)), set[str]()
        for at in range(0, len(wanted), _IN_ONE):
            held = await find_ids(self._messages, wanted[at : at + _IN_ONE], {"state": 1, "doubt": 1})
            found |= {id for id, message in held.items() if message["state"] == "skipped" and not message.get("doubt")}
        return found

    async def erase(self, participants: Sequence[str]) -> None:
        """Forgets the addresses of people who were erased; what waits is not sent. Raises StoreDown."""
        theirs = {"participant": {"$in": list(participants)}}
        waiting = {**theirs, "state": {"$in": ["waiting", "uncertain"]}}
        with store_errors():
            await self._messages.update_many(waiting, {"$set": {"state": "failed", "reason": "erased"}})
            await self._messages.update_many(theirs, {"$set": FORGOTTEN})

    async def forget_roster(self, campaigns: Sequence[str], unit: str) -> None:
        """Forgets the people of a unit's roster in the messages of these campaigns; what waits is not sent. Raises StoreDown."""
        theirs = {"campaign": {"$in": list(campaigns)}, "rosters": unit}
        await self._drop(theirs, "roster deleted")
        await self._forget(theirs)

    async def forget(self, contest: str, since: datetime) -> None:
        """Forgets whom the messages of a contest went to and what they said; what was due at `since` and waits still is not sent.
        What became of each stays. Raises StoreDown."""
        await self._drop({"contest": contest, "due": {"$lt": since}}, "too late")
        await self._forget({"contest": contest, "state": {"$in": ENDED}})

    async def cancel(self, campaign: str) -> None:
        """What waits of a campaign is not sent. Raises StoreDown."""
        await self._drop({"campaign": campaign}, "cancelled")

    async def _drop(self, which: dict[str, Any], reason: str) -> None:
        with store_errors():
            await self._messages.update_many({**which, "state": "waiting"}, {"$set": {"state": "skipped", "reason": reason}})

    async def _forget(self, which: dict[str, Any]) -> None:
        found = True
        while found:  # a pass over what is being changed may miss some: the last one finds none
            found, some = False, list[str]()
            with store_errors():
                async for message in self._messages.find({**which, "to": {"$ne": ""}}, {"_id": 1}):
                    found = True
                    some.append(message["_id"])
                    if len(some) == _IN_ONE:
                        await self._blank(which, some)
                        some = []
            await self._blank(which, some)

    async def _blank(self, which: dict[str, Any], ids: Sequence[str]) -> None:
        with store_errors():
            await self._messages.update_many({**which, "_id": {"$in": list(ids)}}, {"$set": FORGOTTEN})

    async def at_work(self, campaign: str) -> bool:
        """Whether anything of a campaign waits or is being sent. Raises StoreDown."""
        with store_errors():
            for state in ("waiting", "sending", "waiting"):  # one may fall back to waiting between two looks
                if await self._messages.find_one({"campaign": campaign, "state": state}, {"_id": 1}):
                    return True
        return False

    async def counts(self, campaign: str | None = None, limit: int = COUNTED) -> dict[str, int]:
        """How many messages (of a campaign) are in each state, up to `limit` (0: without one). Raises StoreDown."""
        of = {} if campaign is None else {"campaign": campaign}
        more: dict[str, Any] = {"limit": limit} if limit else {}
        with store_errors():
            return {state: await self._messages.count_documents({**of, "state": state}, **more) for state in STATES}

    async def page(self, state: str, skip: int, limit: int, campaign: str | None = None) -> list[dict[str, Any]]:
        """Messages of a state (and a campaign), the newest first. Raises StoreDown."""
        of = {} if campaign is None else {"campaign": campaign}
        with store_errors():
            found = self._messages.find({**of, "state": state}).sort("due", -1).skip(skip).limit(limit)
            return [message async for message in found]

    async def of_campaign(self, campaign: str) -> AsyncIterator[dict[str, Any]]:
        """All messages of a campaign, one after another, with what the delivery log tells and no more. Raises StoreDown."""
        with store_errors():
            async for message in self._messages.find({"campaign": campaign}, dict.fromkeys(LOGGED, 1)):
                yield message

    async def of_attempt(self, attempt: str, revisions: Sequence[str]) -> list[dict[str, Any]]:
        """The messages about one attempt. Raises StoreDown."""
        with store_errors():
            return [m async for m in self._messages.find({"_id": {"$in": list(revisions)}}, {"to": 0})]

    async def _move(self, id: str, states: Sequence[str], change: dict[str, Any]) -> bool:
        with store_errors():
            result = await self._messages.update_one({"_id": id, "state": {"$in": list(states)}}, {"$set": change})
        return bool(result.matched_count)
