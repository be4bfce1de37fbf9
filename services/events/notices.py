"""What reporting has noticed or made, for those who act on it: no person is named."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event, Moment, rfc3339


class NoticeEvent(Event, frozen=True, kw_only=True):
    """What these events have in common."""

    topic: ClassVar[str] = "notices"

    contest: str

    @property
    def key(self) -> str:
        return self.contest


class TurnoutLagging(NoticeEvent, frozen=True, kw_only=True):
    """A unit lies below its target, or below the average, at `as_of`. Rates are percentages; `headcount` is as of then."""

    type: ClassVar[str] = PREFIX + "turnout.lagging.v1"

    unit: str
    as_of: Moment
    people: int
    headcount: int
    rate: float
    wanted: float
    round: str | None = None
    category: str | None = None

    @property
    def id(self) -> str:
        return f"{self.contest}/{self.round or ''}/{self.unit}/{self.category or ''}/{rfc3339(self.as_of)}"


class ReportReady(NoticeEvent, frozen=True, kw_only=True):
    """A report has been made. `report` is its id, `kind` and `format` say where to fetch it."""

    type: ClassVar[str] = PREFIX + "report.ready.v1"

    report: str
    kind: str
    format: str
    as_of: Moment

    @property
    def id(self) -> str:
        return self.report
