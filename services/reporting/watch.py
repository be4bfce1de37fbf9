"""Who lags and who is to be commended (đôn đốc, biểu dương): rules over the figures of a cut. Pure.

A unit lags where its rate lies below the target, or below the common average (bình quân chung) of the units judged with it, or
where no valid attempt has come from it, nor from any below it, for some days. Where the headcount is not known there is no rate:
only silence can be told then, and the unit counts as unknown, neither as lagging nor as good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

import msgspec

from services.events import Unit
from services.kit.clock import time_of
from services.reporting.turnout import Figure, Shape, Table, percent

Reason = Literal["target", "average", "silent"]

LOWEST = 0
"""The level of the units that have nothing below them; 1 are those at the top of the tree, 2 those right below, and so on."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What an organiser wants to be told of.

    `target` is a percentage that takes the place of the categories' own ones. `silent_days` of 0: silence is no reason.
    `tree` "" is the contest's first one. `by_round`: rates are those of the round that is on, not of the whole contest.
    """

    tree: str = ""
    level: int = LOWEST
    target: float | None = None
    below_average: bool = True
    silent_days: int = 3
    by_round: bool = False
    commended: int = 10


@dataclass(frozen=True, slots=True)
class Lagging:
    """A unit that lags, and why. `wanted` is the highest rate that it missed, `missing` how many people it lacks to that; None
    where no rate is the reason. `silent` is whole days without an attempt, None where that is not watched."""

    unit: Unit
    figure: Figure
    reasons: tuple[Reason, ...]
    wanted: float | None
    missing: int | None
    last: datetime | None
    silent: int | None


@dataclass(frozen=True, slots=True)
class Commended:
    """A unit to be commended (biểu dương). `growth` is by how many percentage points its rate rose, None where not known."""

    unit: Unit
    figure: Figure
    growth: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say. `average` and `target` are percentages; `watched` units were judged, the rate of `unknown` of them is
    not known. Lists begin with the worst, or with the best."""

    lagging: tuple[Lagging, ...]
    best: tuple[Commended, ...]
    growing: tuple[Commended, ...]
    average: float | None
    target: float | None
    watched: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the rules look at: figures as of `at`; those of a week before, if there are any; the latest attempt of each unit, not
    rolled up, in microseconds; when the contest (or the round, where rates are a round's) began; the category's target."""

    at: datetime
    table: Table
    before: Table | None
    last: Mapping[str, int]
    opened: datetime
    target: float | None


def judge(rules: Rules, situation: Situation, within: str | None = None) -> Judged:
    """Applies the rules to the units of their level; lists those that are `within` a unit (None: all), against the average of
    all."""
    table = situation.table
    watched = level(table.shape, rules.level)
    figures = {code: table.figure(code) for code in watched}
    known = [figure for figure in figures.values() if figure.headcount]
    average = percent(sum(figure.people for figure in known), sum(figure.headcount or 0 for figure in known))
    target = situation.target if rules.target is None else rules.target
    last = rolled_up(table.shape, situation.last)
    shown = [code for code in watched if within is None or is_within(table.shape, code, within)]
    lagging = [
        row
        for code in shown
        if (row := _lagging(rules, situation, table.shape.units[code], figures[code], last.get(code), average, target))
    ]
    best, growing = _commended(rules, situation, {code: figures[code] for code in shown}, average)
    return Judged(
        tuple(sorted(lagging, key=_worst_first)),
        best,
        growing,
        average,
        target,
        len(shown),
        sum(figures[code].rate is None for code in shown),
    )


def _lagging(
    rules: Rules,
    situation: Situation,
    unit: Unit,
    figure: Figure,
    last: datetime | None,
    average: float | None,
    target: float | None,
) -> Lagging | None:
    reasons: list[Reason] = []
    missed: list[float] = []
    # Where more came than were counted, an average may lie above 100 %: nobody is asked for more than all.
    common = min(average, 100.0) if average is not None and rules.below_average else None
    for reason, wanted in (("target", target), ("average", common)):
        if wanted is not None and figure.rate is not None and figure.rate < wanted:
            reasons.append("target" if reason == "target" else "average")
            missed.append(wanted)
    silent = None
    if rules.silent_days:
        silent = max(0, (situation.at - max(last or situation.opened, situation.opened)) // timedelta(days=1))
        if silent >= rules.silent_days:
            reasons.append("silent")
    if not reasons:
        return None
    wanted = max(missed, default=None)
    missing = None if wanted is None or figure.headcount is None else ceil(wanted * figure.headcount / 100) - figure.people
    return Lagging(unit, figure, tuple(reasons), wanted, missing, last, silent)


def _worst_first(row: Lagging) -> tuple[bool, float, int, str, str]:
    rate = row.figure.rate
    return rate is None, rate or 0.0, -(row.silent or 0), row.unit.name, row.unit.code


def _commended(
    rules: Rules, situation: Situation, figures: Mapping[str, Figure], average: float | None
) -> tuple[tuple[Commended, ...], tuple[Commended, ...]]:
    """The best by rate, none of them below the average; those whose rate has risen most since a week before."""
    rows = [_row(situation, code, figure) for code, figure in figures.items() if figure.rate is not None and figure.people]
    best = [row for row in rows if average is None or (row.figure.rate or 0.0) >= average]
    growing = [row for row in rows if row.growth is not None and row.growth > 0]
    best.sort(key=lambda row: (-(row.figure.rate or 0.0), -row.figure.people, row.unit.name, row.unit.code))
    growing.sort(key=lambda row: (-(row.growth or 0.0), -row.figure.people, row.unit.name, row.unit.code))
    return tuple(best[: rules.commended]), tuple(growing[: rules.commended])


def _row(situation: Situation, code: str, figure: Figure) -> Commended:
    growth = figure.since(situation.before.figure(code)).rate if situation.before is not None else None
    return Commended(situation.table.shape.units[code], figure, growth)


def level(shape: Shape, level: int) -> Sequence[str]:
    """The units of a level of the tree, in its order."""
    if level == LOWEST:
        return [code for code in shape.parents if not shape.children.get(code)]
    return [code for code, deep in depths(shape).items() if deep == level]


def depths(shape: Shape) -> dict[str, int]:
    """How deep each unit stands: 1 at the top."""
    found: dict[str, int] = {}
    for code, parent in shape.parents.items():  # parents stand before children
        found[code] = found[parent] + 1 if parent is not None else 1
    return found


def is_within(shape: Shape, code: str | None, root: str) -> bool:
    """Whether a unit is `root` or stands below it."""
    while code is not None and code != root:
        code = shape.parents.get(code)
    return code == root


def rolled_up(shape: Shape, last: Mapping[str, int]) -> dict[str, datetime]:
    """The latest attempt of each listed unit, all below it included."""
    found: dict[str, int] = {}
    for code, us in last.items():
        to = shape.stands.get(code)
        if to is not None:
            found[to] = max(us, found.get(to, 0))
    for code in reversed(list(shape.parents)):
        parent = shape.parents[code]
        if parent is not None and code in found:
            found[parent] = max(found[code], found.get(parent, 0))
    return {code: time_of(us) for code, us in found.items()}
