"""Whose standings a row stands in: everybody's, its unit's, and those of all units above it, in every tree as of a day. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.events import ContestPublished, RoundPlan
from services.events.units import parents_at, successor, trees_of
from services.scoring.domain import Row

_INSTANT = timedelta(microseconds=1)


def day_of(contest: ContestPublished, at: datetime) -> date:
    """The day that it is then where the contest is: midnight ends the day before, as on the board."""
    return (at - _INSTANT).astimezone(ZoneInfo(contest.timezone)).date()


def closing_day(contest: ContestPublished, plan: RoundPlan) -> date:
    """The last day of a round."""
    return day_of(contest, plan.closes)


def by_unit(rows: Sequence[Row], contest: ContestPublished, day: date, most: int | None = None) -> dict[str, list[Row]]:
    """The rows of everybody (""), and of each unit with all below it in any of the trees (the first `most` of each). Rows of a
    unit that went over into another count there."""
    units = {unit.code: unit for unit in contest.units}
    trees = [parents_at(units, tree.id, day) for tree in trees_of(contest)]
    codes = {unit: _above(successor(units, unit, day), trees) for unit in {row.unit for row in rows}}
    scopes: dict[str, list[Row]] = {"": list(rows[:most])}
    for row in rows:
        for code in codes[row.unit]:
            held = scopes.setdefault(code, [])
            if most is None or len(held) < most:
                held.append(row)
    return scopes


def _above(code: str, trees: Iterable[Mapping[str, str | None]]) -> set[str]:
    """A unit and all above it in each of the trees."""
    found = {code}
    for parents in trees:
        at = parents.get(code)
        while at is not None:
            found.add(at)
            at = parents[at]
    return found
