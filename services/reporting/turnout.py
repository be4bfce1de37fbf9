"""Turnout: figures rolled up a dated tree, measured against headcounts, ranked. Pure; the same for live figures and for a cut.

Every person is stamped with one unit and counts once in each unit above it. A unit that has gone over into another counts there
and is not listed. Unknown stays unknown: no headcount, no rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, reduce
from math import ceil
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from services.events import Unit
from services.events.units import parents_at, parents_first, successor
from services.reporting.share import NOTHING, Cell, added

By = Literal["people", "rate"]

_INSTANT = timedelta(microseconds=1)


class Headcount(NamedTuple):
    """How many people belong to a unit (tổng số thuộc diện), as of a day; `source` is empty where it is the sum of the units
    below, and the day then the oldest of theirs."""

    people: int
    as_of: date
    source: str


class Figure(NamedTuple):
    """A unit with all below it. `headcount` is None where it is not known; then there is no rate."""

    people: int
    attempts: int
    perfect: int
    correct: int
    total: int
    excluded: int
    headcount: int | None

    @property
    def rate(self) -> float | None:
        """People per headcount, in percent."""
        return percent(self.people, self.headcount)

    @property
    def per_person(self) -> float | None:
        """Valid attempts a person."""
        return self.attempts / self.people if self.people else None

    @property
    def accuracy(self) -> float | None:
        """Right answers of the valid attempts, in percent."""
        return percent(self.correct, self.total)

    def missing(self, target: float | None) -> int | None:
        """How many people are missing to a target in percent of the headcount; None where either is not known."""
        if target is None or self.headcount is None:
            return None
        return max(0, ceil(target * self.headcount / 100) - self.people)

    def since(self, before: Figure) -> Change:
        """What has changed since earlier figures of the same unit."""
        known = self.rate is not None and before.rate is not None
        rate = (self.rate or 0.0) - (before.rate or 0.0) if known else None
        return Change(self.people - before.people, self.attempts - before.attempts, rate)


class Change(NamedTuple):
    """A trend: people and attempts more (or fewer), and by how many percentage points the rate has moved."""

    people: int
    attempts: int
    rate: float | None


class Row(NamedTuple):
    """A unit among its siblings. Equals share a rank; by rate, who has none has no rank either."""

    unit: Unit
    figure: Figure
    rank: int | None


@dataclass(frozen=True)
class Shape:
    """A tree of units on a day. `parents` holds the listed units, parents before children; `stands` says for every unit of the
    tree which listed one its figures count with (mostly itself)."""

    units: Mapping[str, Unit]
    parents: Mapping[str, str | None]
    stands: Mapping[str, str]

    @cached_property
    def children(self) -> Mapping[str | None, list[str]]:
        """The listed units right below each unit; below None, the top of the tree."""
        found: dict[str | None, list[str]] = {}
        for code, parent in self.parents.items():
            found.setdefault(parent, []).append(code)
        return found

    def path(self, code: str | None) -> list[Unit]:
        """A unit and those above it, the top first."""
        path: list[Unit] = []
        while code is not None and code in self.parents:
            path.insert(0, self.units[code])
            code = self.parents[code]
        return path


def day_of(at: datetime, timezone: str) -> date:
    """The day that figures as of `at` belong to: midnight ends the day before."""
    return (at - _INSTANT).astimezone(ZoneInfo(timezone)).date()


def shape(units: Mapping[str, Unit], tree: str, day: date) -> Shape:
    """The tree as it stands on that day."""
    above = parents_at(units, tree, day)
    stands = {code: _standing(units, above, code, day) for code in units}
    found: dict[str, str | None] = {}
    for code in above:
        if stands[code] == code:
            parent = above[code]
            # Below a unit that is no more: below the one that it went into.
            while parent is not None and stands[parent] == code:
                parent = above[parent]
            found[code] = None if parent is None else stands[parent]
    return Shape(units, parents_first(found), {code: to for code, to in stands.items() if to is not None and to in found})


def _standing(units: Mapping[str, Unit], above: Mapping[str, object], code: str, day: date) -> str | None:
    """The unit of the tree that a unit's figures count with; None where there is none."""
    after = successor(units, code, day)
    if after in above and successor(units, after, day) == after:
        return after
    return code if code in above else None


def rolled_up(shape: Shape, cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Each listed unit with all below it, where there is anything; under "" everybody, units outside of this tree included."""
    total: dict[str, Cell] = {}
    for code, cell in cells.items():
        to = shape.stands.get(code)
        if to is not None:
            held = total.get(to)
            total[to] = added(held, cell) if held else cell
    # Parents stand before children: backwards, each has got all of its own when it is passed on.
    for code in reversed(list(shape.parents)):
        parent = shape.parents[code]
        cell = total.get(code, NOTHING)
        if parent is not None and cell != NOTHING:
            held = total.get(parent)
            total[parent] = added(held, cell) if held else cell
    total[""] = reduce(added, cells.values(), NOTHING)
    return total


class Table:
    """The turnout of a contest (or round) and category in one tree on one day."""

    def __init__(self, shape: Shape, cells: Mapping[str, Cell], headcounts: Mapping[str, Headcount]) -> None:
        self.shape, self.headcounts = shape, headcounts
        self.cells = rolled_up(shape, cells)
        self._rows: dict[tuple[str | None, By], list[Row]] = {}
        self._ranks: dict[tuple[str | None, By], dict[str, int | None]] = {}

    def figure(self, code: str | None) -> Figure:
        """A unit with all below it; None is everybody."""
        headcount = self.headcounts.get(code) if code else self._top
        return Figure(*self.cells.get(code or "", NOTHING), headcount.people if headcount else None)

    @cached_property
    def _top(self) -> Headcount | None:
        return summed(self.headcounts.get(code) for code in self.shape.children.get(None, []))

    def rows(self, parent: str | None, by: By = "people") -> list[Row]:
        """The units right below a unit, or the top of the tree, best first: by people, attempts and name, or by rate and name."""
        rows = self._rows.get((parent, by))
        if rows is None:
            listed = [(self.shape.units[code], self.figure(code)) for code in self.shape.children.get(parent, [])]
            rows = self._rows[parent, by] = ranked(listed, by)
        return rows

    def rank(self, code: str, by: By = "people") -> int | None:
        """The place of a unit among its siblings."""
        key = self.shape.parents[code], by
        if key not in self._ranks:
            self._ranks[key] = {row.unit.code: row.rank for row in self.rows(*key)}
        return self._ranks[key][code]

    def average(self, parent: str | None) -> float | None:
        """The common average (bình quân chung) below a unit, in percent: people per headcount of the children that have one."""
        known = [row.figure for row in self.rows(parent) if row.figure.headcount is not None]
        return percent(sum(f.people for f in known), sum(f.headcount or 0 for f in known))


def ranked(listed: list[tuple[Unit, Figure]], by: By) -> list[Row]:
    """Units in order, with their ranks."""
    ordered = sorted(listed, key=_most_people if by == "people" else _best_rate)
    rows: list[Row] = []
    place: object = None
    for position, (unit, figure) in enumerate(ordered, 1):
        mine: object = (figure.people, figure.attempts) if by == "people" else figure.rate
        rank = rows[-1].rank if rows and mine == place else position
        rows.append(Row(unit, figure, None if mine is None else rank))
        place = mine
    return rows


def _most_people(row: tuple[Unit, Figure]) -> tuple[int, int, str, str]:
    unit, figure = row
    return -figure.people, -figure.attempts, unit.name, unit.code


def _best_rate(row: tuple[Unit, Figure]) -> tuple[bool, float, str, str]:
    unit, figure = row
    return figure.rate is None, -(figure.rate or 0.0), unit.name, unit.code


def percent(part: int, whole: int | None) -> float | None:
    """None where there is no whole, or nothing in it."""
    return 100 * part / whole if whole else None


def summed(parts: Iterable[Headcount | None]) -> Headcount | None:
    """The headcount of all together; None where there is none, or one of them is not known."""
    found = list(parts)
    known = [headcount for headcount in found if headcount is not None]
    if not known or len(known) < len(found):
        return None
    return Headcount(sum(h.people for h in known), min(h.as_of for h in known), "")
