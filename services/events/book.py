"""The contests as their events tell them: what every service knows of rounds, units and categories."""

from __future__ import annotations

from datetime import datetime

from services.events.base import Event, UnknownEvent, decode
from services.events.contests import ContestPublished, RoundChanged, RoundPlan, RoundState, Unit


class ContestBook:
    """The last word on each contest and round, in whatever order the events come: the highest revision stands."""

    def __init__(self) -> None:
        self.contests: dict[str, ContestPublished] = {}
        self._rounds: dict[str, RoundPlan] = {}
        self._units: dict[str, dict[str, Unit]] = {}

    def read(self, type: str, body: bytes) -> None:
        """Takes in a record of the topic `contests`. A type that only a newer version knows passes."""
        try:
            self.apply(decode(type, body))
        except UnknownEvent:
            return

    def apply(self, event: Event) -> None:
        """Takes in an event of the topic `contests`; others are none of its business."""
        if isinstance(event, ContestPublished):
            known = self.contests.get(event.contest)
            if known is None or event.revision >= known.revision:
                self.contests[event.contest] = event
                self._units[event.contest] = {unit.code: unit for unit in event.units}
            for plan in event.rounds:
                self._take(plan)
        elif isinstance(event, RoundChanged):
            self._take(event.round)

    def _take(self, plan: RoundPlan) -> None:
        known = self._rounds.get(plan.id)
        if known is None or plan.revision >= known.revision:
            self._rounds[plan.id] = plan

    def round(self, id: str) -> RoundPlan | None:
        """The round as it is now, or None."""
        return self._rounds.get(id)

    def rounds(self, contest: str) -> list[RoundPlan]:
        """The rounds of a contest in order of opening."""
        return sorted((r for r in self._rounds.values() if r.contest == contest), key=lambda r: (r.opens, r.id))

    def units(self, contest: str) -> dict[str, Unit]:
        """The units of a contest by code, parents before children."""
        return self._units.get(contest, {})


def state_at(plan: RoundPlan, now: datetime) -> RoundState:
    """The state of a round by the clock: its opening and closing take effect on time, whenever their events come."""
    if plan.state == "final" or now >= plan.closes:
        return "final" if plan.state == "final" else "closed"
    if now < plan.opens:
        return "upcoming"
    return "paused" if plan.state == "paused" else "open"
