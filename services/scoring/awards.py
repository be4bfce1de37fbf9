"""From what was settled to what is told of its prizes: the units' figures, and the event `prizes.awarded`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from services.events import ContestPublished, PersonAwarded, PrizesAwarded, Unit, UnitAwarded
from services.events.units import folded, parents_at, successor, trees_of
from services.kit.clock import time_of
from services.scoring.domain import Judged
from services.scoring.headcounts import Headcounts
from services.scoring.prizes import PERSONS, Award, By, Prize, UnitFigure, competing
from services.scoring.publication import Final, Outcome


def figures(
    contest: ContestPublished, day: date, people: Iterable[str], prizes: Iterable[Prize], headcounts: Headcounts
) -> tuple[UnitFigure, ...]:
    """The units that compete for these prizes, as their trees stand on a day: the people of each with its headcount of that day.
    `people` is the unit of each person, who counts there and in all above; a unit that went over into another counts there."""
    units = {unit.code: unit for unit in contest.units}
    there = Counter(people)
    found = []
    for tree, level in dict.fromkeys((prize.tree, prize.level) for prize in prizes):
        parents = parents_at(units, tree or trees_of(contest)[0].id, day)
        for code, within in _competing(units, parents, level, day).items():
            figure = UnitFigure(
                code=code,
                name=units[code].name,
                people=sum(there[each] for each in within),
                headcount=headcounts.people(contest.contest, units, code, day),
                tree=tree,
                level=level,
                within=tuple(within),
            )
            found.append(figure)
    return tuple(found)


def _competing(units: Mapping[str, Unit], parents: Mapping[str, str | None], level: int, day: date) -> dict[str, list[str]]:
    """The units of a level of a tree (0: those below which none stands), each with all within it. What went over into one
    of them counts there, as on the board, though it never stood in this tree itself."""
    within: dict[str, list[str]] = {code: [] for code in parents}
    depth: dict[str, int] = {}
    above: set[str] = set()
    for code, parent in parents.items():
        stands = not folded(units[code], day)
        depth[code] = (depth[parent] if parent else 0) + stands
        path = list(_up(parents, code))
        above.update(path[1:] if stands else ())
        for each in path:
            within[each].append(code)
    for code in units:
        after = successor(units, code, day)
        if after in parents and (code not in parents or after not in _up(parents, code)):
            for each in _up(parents, after):
                within[each].append(code)
    return {
        code: members
        for code, members in within.items()
        if not folded(units[code], day) and (depth[code] == level if level else code not in above)
    }


def _up(parents: Mapping[str, str | None], code: str) -> Iterator[str]:
    """A unit, and those above it."""
    at: str | None = code
    while at is not None:
        yield at
        at = parents[at]


def latest_units(judged: Iterable[Judged]) -> dict[str, str]:
    """The unit in which each person counts: that of their latest valid attempt."""
    valid = sorted((each for each in judged if each.verdict == "valid"), key=lambda each: (each.received, each.n))
    return {each.participant: each.unit for each in valid}


def uncounted(unit_prizes: Iterable[Prize], figures: Sequence[UnitFigure]) -> tuple[str, ...]:
    """The units with people that could not compete by rate, where that was asked for: nobody knows their headcount."""
    asked = [prize for prize in unit_prizes if prize.by == "rate"]
    found = (figure for prize in asked for figure in competing(figures, prize))
    return tuple(dict.fromkeys(figure.code for figure in found if figure.people and figure.headcount is None))


def awarded(final: Final, outcome: Outcome) -> PrizesAwarded:
    """The event that tells who won what in a round."""
    rows = {row.participant: row for row in final.rows}
    held = {(judged.participant, judged.n): judged for judged in final.judged}
    drawn = {(each.ladder, lot.id) for each in outcome.minutes for lot in each.order}
    persons = []
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
    return PrizesAwarded(
        time=final.finalised_at,
        contest=final.plan.contest,
        round=final.plan.id,
        persons=tuple(persons),
        units=units_awarded(final.unit_prizes, final.units, outcome.awards),
        revision=final.revision,
    )


def units_awarded(
    unit_prizes: Iterable[Prize], figures: Sequence[UnitFigure], awards: Iterable[Award]
) -> tuple[UnitAwarded, ...]:
    """The prizes of units as they are told."""
    by = {prize.ladder: prize.by or "people" for prize in unit_prizes}
    held = {(prize.ladder, each.code): _figure(each, prize.by) for prize in unit_prizes for each in competing(figures, prize)}
    return tuple(
        UnitAwarded(prize=each.prize, unit=each.winner, by=by[each.ladder], figure=held[each.ladder, each.winner])
        for each in awards
        if each.ladder in by
    )


def _figure(figure: UnitFigure, by: By | None) -> float:
    """People, or a rate in percent with one decimal: never more than all."""
    if by != "rate" or not figure.headcount:
        return figure.people
    return min(100.0, round(100 * figure.people / figure.headcount, 1))
