"""What a report tells beside its figures: who won what, headcounts, who was reminded, what units did. Gathered once a cut."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from services.events import ContestBook, ContestPublished, PrizesAwarded, decode
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.kit.problems import Problem
from services.reporting.headcounts import Headcounts
from services.reporting.measures import Measures
from services.reporting.reminders import Reminders
from services.reporting.report.inputs import Measured, Reminded, Sources
from services.reporting.report.jobs import Request
from services.reporting.turnout import day_of
from services.reporting.watching import Watch


class Known:
    """Follows the prizes; knows where the rest is."""

    def __init__(self, book: ContestBook, headcounts: Headcounts, reminders: Reminders, measures: Measures, watch: Watch) -> None:
        self._book, self._headcounts, self._watch = book, headcounts, watch
        self._reminders, self._measures = reminders, measures
        self._awards: dict[str, dict[str, PrizesAwarded]] = {}

    def read_result(self, record: Record) -> None:
        """Takes in a record of the topic `results`: only prizes are looked at. Raises msgspec.DecodeError."""
        if type_of(record.headers) != PrizesAwarded.type:
            return
        event = decode(PrizesAwarded.type, record.value)
        if isinstance(event, PrizesAwarded):
            self._awards.setdefault(event.contest, {})[event.id] = event

    async def gather(self, request: Request) -> Sources:
        """All that is known of a contest now, and had happened by the cut-off. Raises Problem 404, StoreDown."""
        contest = self._book.contests.get(request.contest)
        if contest is None:
            raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
        awards = self._awards.get(request.contest, {})
        units = [unit.code for unit in contest.units]
        reminded = await self._reminders.of(request.contest, units, ZoneInfo(contest.timezone), request.as_of)
        return Sources(
            contest=contest,
            rounds=tuple(self._book.rounds(request.contest)),
            headcounts=tuple(self._headcounts.of(request.contest)),
            awards=tuple(awards[id] for id in sorted(awards)),
            reminders={unit: Reminded(each.times, each.last) for unit, each in sorted(reminded.items())},
            measures=await self._measured(contest, request.as_of),
            rules=(await self._watch.settings(request.contest)).rules,
        )

    async def _measured(self, contest: ContestPublished, as_of: datetime) -> dict[str, Measured]:
        """What each unit did last, and how much it did: of what was done, and noted, by then."""
        found: dict[str, Measured] = {}
        day = day_of(as_of, contest.timezone).isoformat()
        for unit, measure in await self._measures.every(contest.contest):
            if measure.day > day or measure.at > as_of:
                continue
            held = found.get(unit)
            found[unit] = Measured(held.count + 1, held.last, held.text) if held else Measured(1, measure.day, measure.text)
        return dict(sorted(found.items()))
