"""Notices and digests on schedule: at the hours that organisers set, once each, though several workers run and any may die.

The owner of partition 0 decides what there is to tell and stores it under the hour it is for; whatever was stored first stands.
Only then is it published, from what was stored: who takes over after a crash publishes the same events under the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import structlog
from bson import Binary

from services.events import (
    ContestBook,
    DigestReady,
    DigestUnit,
    Event,
    RoundPlan,
    TurnoutLagging,
    TurnoutSilenced,
    decode,
    encode,
)
from services.kit.bus import BusDown, Transient
from services.kit.derived import Derived
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.store import FACTS, insert_facts, store_errors
from services.reporting.cuts import Cut
from services.reporting.domain import State
from services.reporting.turnout import Figure
from services.reporting.watch import Judged, judge
from services.reporting.watching import WEEK, Watch, WatchSettings

Kind = Literal["watch", "day", "week"]

GRACE = timedelta(minutes=2)
"""After the full hour: its cut is asked for by then."""

BACK = timedelta(hours=23)
"""What could not be told for longer than that is left: the next one is due."""

DAY = timedelta(days=1)
SPANS = {"day": DAY, "week": WEEK}
SHOWN = 5
"""Units of a digest's lists."""

_LOOK_S = 10.0

log = structlog.get_logger(__name__)


class Task(NamedTuple):
    """Something to tell as of `at`, a full hour."""

    kind: Kind
    at: datetime


def due(settings: WatchSettings, plans: Sequence[RoundPlan], zone: ZoneInfo, now: datetime) -> list[Task]:
    """The last of each kind that should have been told by now. Notices only while a round is on; digests of times in which one
    was."""
    found: list[Task] = []
    if settings.on and (at := _last(settings.hours, range(7), zone, now)) and any(p.opens < at <= p.closes for p in plans):
        found.append(Task("watch", at))
    for kind, on, days in (("day", settings.daily, range(7)), ("week", settings.weekly, [settings.weekday])):
        at = _last([settings.digest_hour], days, zone, now) if on else None
        if at and any(plan.opens < at and plan.closes > at - SPANS[kind] for plan in plans):
            found.append(Task("day" if kind == "day" else "week", at))
    return found


def _last(hours: Sequence[int], weekdays: Sequence[int], zone: ZoneInfo, now: datetime) -> datetime | None:
    today = now.astimezone(zone).date()
    moments = [
        datetime.combine(day, time(hour), zone)
        for day in (today - DAY, today)
        for hour in hours
        if day.weekday() in weekdays
    ]  # fmt: skip
    return max((at for at in moments if now - BACK < at <= now - GRACE), default=None)


class Herald:
    """`derived` holds the partitions that this worker owns."""

    def __init__(self, runtime: Runtime, book: ContestBook, derived: Derived[State], watch: Watch) -> None:
        self._runtime, self._book, self._derived, self._watch = runtime, book, derived, watch
        self._plans = runtime.store["told"].with_options(write_concern=FACTS)
        self._told: set[str] = set()

    async def run(self, stop: Callable[[], bool]) -> None:
        """Tells what is due, until `stop()`."""
        clock, looked = self._runtime.clock, 0.0
        while not stop():
            if clock.monotonic() >= looked:
                looked = clock.monotonic() + _LOOK_S
                try:
                    await self.turn()
                except (Transient, BusDown) as error:
                    log.warning("notices.put_off", error=str(error))
            await asyncio.sleep(0.2)

    async def turn(self) -> None:
        """Looks once at the clock. Raises StoreDown, BusDown."""
        if 0 not in self._derived.owned:
            return
        now = self._runtime.clock.now()
        for contest in list(self._book.contests.values()):
            settings = await self._watch.settings(contest.contest)
            plans, zone = self._book.rounds(contest.contest), ZoneInfo(contest.timezone)
            for task in due(settings, plans, zone, now):
                try:
                    await self._do(contest.contest, settings, task, plans)
                except Problem as problem:  # its cut cannot be asked for now
                    log.warning("notices.put_off", contest=contest.contest, kind=task.kind, error=problem.code)

    async def _do(self, contest: str, settings: WatchSettings, task: Task, plans: Sequence[RoundPlan]) -> None:
        id = f"{contest}/{task.kind}/{task.at.timestamp():.0f}"
        if id in self._told:
            return
        with store_errors():
            plan = await self._plans.find_one({"_id": id})
        if plan is None:
            events = await self._decided(contest, settings, task, plans)
            if events is None:
                return
            body = msgspec.msgpack.encode([(event.type, encode(event)) for event in events])
            await insert_facts(self._plans, [{"_id": id, "told": False, "body": Binary(body)}])
            with store_errors():
                plan = await self._plans.find_one({"_id": id})
        if plan is not None and not plan["told"]:
            stored = [decode(type, event) for type, event in msgspec.msgpack.decode(plan["body"], type=list[tuple[str, bytes]])]
            await self._runtime.bus.publish([self._runtime.outgoing(event) for event in stored])
            with store_errors():
                await self._plans.update_one({"_id": id}, {"$set": {"told": True}})
            log.info("notices.told", contest=contest, kind=task.kind, at=task.at.isoformat(), events=len(stored))
        self._told.add(id)

    async def _decided(self, contest: str, settings: WatchSettings, task: Task, plans: Sequence[RoundPlan]) -> list[Event] | None:
        """What there is to tell; None while the figures are still being cut."""
        cut = await self._cut(contest, task.at)
        if cut is None:
            return None
        if task.kind == "watch":
            return await self._notices(cut, settings)
        since = task.at - SPANS[task.kind]
        earlier = await self._cut(contest, since) if since >= plans[0].opens else Cut(contest, since, since, {})
        return None if earlier is None else [await self._digest(cut, earlier, settings, task.kind)]

    async def _cut(self, contest: str, at: datetime) -> Cut | None:
        cut = await self._watch.cuts.get(contest, at)
        if cut is None:
            await self._watch.cuts.ask(contest, at)
        return cut

    async def _notices(self, cut: Cut, settings: WatchSettings) -> list[Event]:
        plan = self._watch.round_at(self._book.rounds(cut.contest), cut.at) if settings.rules.by_round else None
        found: list[Event] = []
        for category in settings.categories:
            judged = judge(settings.rules, await self._watch.situation(cut, settings.rules, category))
            found += notices(cut, judged, self._runtime.clock.now(), category, plan.id if plan else None)
        return found

    async def _digest(self, cut: Cut, earlier: Cut, settings: WatchSettings, period: Literal["day", "week"]) -> DigestReady:
        situation = await self._watch.situation(cut, settings.rules, "")
        judged, total = judge(settings.rules, situation), situation.table.figure(None)
        now, before = cut.scope().whole, earlier.scope().whole
        # Who is silent at a high rate has nearly everybody there.
        low = [row for row in judged.lagging if row.wanted is not None or row.figure.rate is None]
        return DigestReady(
            time=self._runtime.clock.now(),
            contest=cut.contest,
            period=period,
            since=earlier.at,
            as_of=cut.at,
            people=now.people,
            attempts=now.attempts,
            new_people=now.people - before.people,
            new_attempts=now.attempts - before.attempts,
            rate=total.rate,
            best=tuple(_shown(row.unit.code, row.unit.name, row.figure) for row in judged.best[:SHOWN]),
            lagging=tuple(_shown(row.unit.code, row.unit.name, row.figure) for row in low[:SHOWN]),
        )


def notices(cut: Cut, judged: Judged, now: datetime, category: str, round: str | None) -> list[Event]:
    """One event for each unit that lags, and one for each that is silent (of everybody alone: who is silent is so in each
    category)."""
    found: list[Event] = []
    for row in judged.lagging:
        figure, unit = row.figure, row.unit.code
        if row.wanted is not None and figure.headcount is not None and figure.rate is not None:
            found.append(
                TurnoutLagging(
                    time=now, contest=cut.contest, unit=unit, as_of=cut.at, people=figure.people, headcount=figure.headcount,
                    rate=figure.rate, wanted=row.wanted, round=round, category=category or None,
                )
            )  # fmt: skip
        if "silent" in row.reasons and row.silent is not None and not category:
            found.append(
                TurnoutSilenced(
                    time=now, contest=cut.contest, unit=unit, as_of=cut.at, days=row.silent, people=figure.people, last=row.last
                )
            )  # fmt: skip
    return found


def _shown(code: str, name: str, figure: Figure) -> DigestUnit:
    return DigestUnit(unit=code, name=name, people=figure.people, attempts=figure.attempts, rate=figure.rate)
