"""What reporting has noticed or made, for those who act on it: no person is named."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

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


class TurnoutSilenced(NoticeEvent, frozen=True, kw_only=True):
    """No valid attempt has come from a unit, nor from any below it, for `days` days before `as_of`. `last` is the hour of the
    last one, None where there was never one."""

    type: ClassVar[str] = PREFIX + "turnout.silenced.v1"

    unit: str
    as_of: Moment
    days: int
    people: int
    last: Moment | None = None

    @property
    def id(self) -> str:
        return f"{self.contest}/{self.unit}/silent/{rfc3339(self.as_of)}"


class DigestUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit in a digest, all below it included. `rate` is a percentage, None where the headcount is not known."""

    unit: str
    name: str
    people: int
    attempts: int
    rate: float | None = None


class DigestReady(NoticeEvent, frozen=True, kw_only=True):
    """What a day or a week has brought: figures up to `as_of`, what was new since `since`, the best and the lagging units."""

    type: ClassVar[str] = PREFIX + "digest.ready.v1"

    period: Literal["day", "week"]
    since: Moment
    as_of: Moment
    people: int
    attempts: int
    new_people: int
    new_attempts: int
    rate: float | None
    best: tuple[DigestUnit, ...]
    lagging: tuple[DigestUnit, ...]

    @property
    def id(self) -> str:
        return f"{self.contest}/{self.period}/{rfc3339(self.as_of)}"


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
