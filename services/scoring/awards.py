"""From a settled round to what is told of its prizes: the units' figures, and the event `prizes.awarded`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from services.events import ContestPublished, PersonAwarded, PrizesAwarded, RoundPlan, UnitAwarded
from services.events.units import folded, parents_at, trees_of
from services.kit.clock import time_of
from services.scoring.domain import Row
from services.scoring.headcounts import Headcounts
from services.scoring.prizes import PERSONS, By, UnitFigure
from services.scoring.publication import Final, Outcome


def figures(contest: ContestPublished, plan: RoundPlan, rows: Sequence[Row], headcounts: Headcounts) -> tuple[UnitFigure, ...]:
    """The units that compete (none stand below them), as the first tree stands on the day of the closing: the people
    of each with its headcount of that day. Who belongs to a unit that went over into another counts there."""
    day = closing_day(contest, plan)
    units = {unit.code: unit for unit in contest.units}
    parents = parents_at(units, trees_of(contest)[0].id, day)
    people = dict.fromkeys(parents, 0)
    for row in rows:
        code: str | None = row.unit
        while code is not None and code in people:
            people[code] += 1
            code = parents[code]
    above = {parent for code, parent in parents.items() if not folded(units[code], day)}
    return tuple(
        UnitFigure(code=code, name=units[code].name, people=count, headcount=headcounts.people(plan.contest, units, code, day))
        for code, count in people.items()
        if code not in above and not folded(units[code], day)
    )


def closing_day(contest: ContestPublished, plan: RoundPlan) -> date:
    """The day on which a round ended, where the contest is."""
    return plan.closes.astimezone(ZoneInfo(contest.timezone)).date()


def uncounted(final: Final) -> tuple[str, ...]:
    """The units with people that could not compete by rate, where that was asked for: nobody knows their headcount."""
    if not any(prize.by == "rate" for prize in final.unit_prizes):
        return ()
    return tuple(figure.code for figure in final.units if figure.people and figure.headcount is None)


def awarded(final: Final, outcome: Outcome) -> PrizesAwarded:
    """The event that tells who won what in a round."""
    rows = {row.participant: row for row in final.rows}
    held = {(judged.participant, judged.n): judged for judged in final.judged}
    figures = {figure.code: figure for figure in final.units}
    drawn = {(each.ladder, lot.id) for each in outcome.minutes for lot in each.order}
    persons, units = [], []
    for award in outcome.awards:
        if award.ladder == PERSONS:
            row = rows[outcome.participants[award.winner]]
            judged = held[row.participant, row.n]
            persons.append(
                PersonAwarded(
                    prize=award.prize,
                    participant=row.participant,
                    name=award.name,
                    unit=row.unit,
                    correct=row.correct,
                    gap=row.gap,
                    received_at=time_of(judged.received),
                    drawn=(PERSONS, award.winner) in drawn,
                    predicted=judged.prediction,
                )
            )
        else:
            by: By = "rate" if award.ladder.startswith("units by rate") else "people"
            units.append(UnitAwarded(prize=award.prize, unit=award.winner, by=by, figure=_figure(figures[award.winner], by)))
    return PrizesAwarded(
        time=final.finalised_at,
        contest=final.plan.contest,
        round=final.plan.id,
        persons=tuple(persons),
        units=tuple(units),
        revision=final.revision,
    )


def _figure(figure: UnitFigure, by: By) -> float:
    """People, or a rate in percent with one decimal: never more than all."""
    if by == "people" or not figure.headcount:
        return figure.people
    return min(100.0, round(100 * figure.people / figure.headcount, 1))
