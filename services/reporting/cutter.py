"""Makes cuts: counts the shares of the partitions that this worker owns, adds them up; asks for a cut every hour of a round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from services.events import ContestBook
from services.kit.bus import BusDown, Transient
from services.kit.clock import us_of
from services.kit.derived import Derived
from services.kit.runtime import Runtime
from services.reporting.counting import Counting
from services.reporting.cuts import Cuts, Open
from services.reporting.domain import State

GRACE = timedelta(minutes=1)
"""After the full hour: for what was received before it and is still on its way."""

PATIENCE = timedelta(minutes=5)
"""So long after its cut-off a cut waits for the verdicts on what was handed in by then."""

HOUR = timedelta(hours=1)
BACK = 24
"""Hours that are looked back for a cut that nobody asked for, while no worker ran."""

_LOOK_S = 1.0
_AGAIN_S = 3.0

log = structlog.get_logger(__name__)


class Cutter:
    """`derived` holds the partitions that this worker owns; `counting` does the arithmetic."""

    def __init__(self, runtime: Runtime, book: ContestBook, derived: Derived[State], counting: Counting) -> None:
        self._bus, self._clock, self._book, self._derived = runtime.bus, runtime.clock, book, derived
        self._cuts, self._counting = Cuts(runtime.store, runtime.bus, book, runtime.clock), counting
        self._there: set[tuple[str, datetime]] = set()
        self._due: dict[str, float] = {}

    async def run(self, stop: Callable[[], bool]) -> None:
        """Makes what is asked for, until `stop()`."""
        while not stop():
            try:
                await self.turn()
            except (Transient, BusDown) as error:
                log.warning("cuts.put_off", error=str(error))
            await asyncio.sleep(_LOOK_S)

    async def turn(self) -> None:
        """Looks once at every cut in the making; then at the clock."""
        if self._derived.owned and not await self.make() and 0 in self._derived.owned:
            await self.ask()

    async def make(self) -> bool:
        """Does what there is to do for the cuts in the making; whether there are any."""
        opened = await self._cuts.opened()
        for cut in opened:
            await self._count(cut, self._derived.owned.keys() - await self._cuts.shares_there(cut))
            if 0 in self._derived.owned:
                await self._finish(cut)
        return bool(opened)

    async def ask(self) -> None:
        """Asks for the cut of the last full hour in which a round was open, or of the last before it that is missing: one at a
        time, so that people who ask for others need not wait for all of them."""
        last = (self._clock.now() - GRACE).replace(minute=0, second=0, microsecond=0)
        hours = [last - n * HOUR for n in range(BACK)]
        self._there = {(contest, at) for contest, at in self._there if at >= hours[-1]}
        for contest in self._book.contests:
            plans = self._book.rounds(contest)
            due = [at for at in hours if any(plan.opens <= at < plan.closes + HOUR for plan in plans)]
            unsure = [at for at in due if (contest, at) not in self._there]
            there = await self._cuts.made(contest, unsure)
            self._there |= {(contest, at) for at in there}
            missing = [at for at in unsure if at not in there]
            if missing:
                await self._cuts.ask(contest, missing[0])
                return

    async def _count(self, cut: Open, partitions: Iterable[int]) -> None:
        """Writes the shares of those partitions whose state has taken in what the cut asks for."""
        began = self._clock.monotonic()
        states = {p: state for p in partitions if (state := self._ready(cut, p)) and began >= self._due.get(f"{cut.id}/{p}", 0.0)}
        if not states:
            return
        rounds = [plan.id for plan in self._book.rounds(cut.contest)]
        counted = await self._counting.count(states, rounds, us_of(cut.at), -1 if cut.since is None else us_of(cut.since))
        patient = self._clock.now() < cut.at + PATIENCE
        for p, each in counted.items():
            self._due.pop(f"{cut.id}/{p}", None)
            if each.awaited and patient:
                # Counting over and over must not cost more than a tenth of a processor's time.
                self._due[f"{cut.id}/{p}"] = began + max(_AGAIN_S, 10 * (self._clock.monotonic() - began))
        await self._cuts.put_shares(cut, {p: each.share for p, each in counted.items() if not (each.awaited and patient)})

    def _ready(self, cut: Open, partition: int) -> State | None:
        owned = self._derived.owned.get(partition)
        if owned is None or any(owned.offsets.get(topic, 0) < ends[partition] for topic, ends in cut.ends.items()):
            return None
        return owned.state

    async def _finish(self, cut: Open) -> None:
        """Adds the shares up once all are there. Another that has been as far already made the same."""
        if len(await self._cuts.shares_there(cut)) < len(cut.parts):
            return
        shares = await self._cuts.shares(cut)
        if len(shares) < len(cut.parts):  # a store that died in between may have lost some: they are counted again
            return
        await self._cuts.put(cut, await self._counting.add_up(shares))
        await self._cuts.close(cut)
        log.info("cut.made", id=cut.id, contest=cut.contest, seconds=(self._clock.now() - cut.asked_at).total_seconds())
