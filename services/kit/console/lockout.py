"""Wrong passwords and codes are counted by account (and by browser, where that knows the account), never by address."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from services.kit.clock import Clock
from services.kit.problems import Problem
from services.kit.store import FACTS, insert_facts, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

FREE = 5
"""So many tries in a row are free."""

FIRST, LONGEST = timedelta(seconds=30), timedelta(minutes=15)
FORGET_SECONDS = 24 * 3600


def delay(failures: int) -> timedelta:
    """How long an account is locked after so many wrong tries in a row: it doubles, up to a bound."""
    if failures < FREE:
        return timedelta()
    return min(FIRST * (1 << min(failures - FREE, 10)), LONGEST)


class Lockout:
    """Counts tries in the store, for accounts that exist and for those that do not: both are locked alike.

    A try is counted before it is looked at, so that a hundred at once are a hundred tries.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._tries, self._clock = database["tries"].with_options(write_concern=FACTS), clock

    async def count(self, key: str) -> int:
        """Takes a try, and returns how many there were in a row, this one included. Raises Problem 429 while locked."""
        while True:
            now = self._clock.now()
            with store_errors():
                found = await self._tries.find_one({"_id": key})
            if found is None:
                await self._forget_the_old()
                await insert_facts(self._tries, [{"_id": key, "failures": 0, "until": now, "seen": now}])
                continue
            if found["until"] > now:
                raise _locked(found["until"], now)
            failures = found["failures"] + 1
            with store_errors():
                done = await self._tries.update_one(
                    {"_id": key, "failures": found["failures"], "until": found["until"]},
                    {"$set": {"failures": failures, "until": now + delay(failures), "seen": now}},
                )
            if done.matched_count:
                return int(failures)

    async def _forget_the_old(self) -> None:
        # Here and not at the start: a web process serves participants while the store is away.
        with store_errors():
            await self._tries.create_index("seen", expireAfterSeconds=FORGET_SECONDS)

    async def clear(self, key: str) -> None:
        """The try was right: the count begins anew."""
        with store_errors():
            await self._tries.update_one({"_id": key}, {"$set": {"failures": 0, "until": self._clock.now()}})


def _locked(until: datetime, now: datetime) -> Problem:
    seconds = max(1, round((until - now).total_seconds()))
    return Problem(
        429,
        "locked",
        "Sai quá nhiều lần. Hãy thử lại sau {seconds} giây.",
        headers={"Retry-After": str(seconds)},
        seconds=seconds,
    )
