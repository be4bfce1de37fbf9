"""Prizes as data: who wins what, for persons by rank and for units by rate or people, and which ties have to be drawn.

A *ladder* is an order of contenders and the prizes that its first places bring. Pure: the same contenders in any order give
the same awards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Literal, NamedTuple

import msgspec

from services.scoring.domain import Row
from services.scoring.draw import Candidate, Drawing, Minutes

By = Literal["rate", "people"]
PERSONS = "persons"


class Prize(msgspec.Struct, frozen=True, kw_only=True):
    """So many prizes (giải) of a name. Of units' prizes `by` says what ranks them, and `least` the headcount below which a unit
    does not compete; a unit whose headcount is unknown never competes by rate. `tree` is where the units stand (empty: the
    contest's first tree), `level` how deep: 1 is the top; 0 means all below which no other stands."""

    name: str
    count: int
    by: By | None = None
    least: int = 0
    tree: str = ""
    level: int = 0

    @property
    def ladder(self) -> str:
        """The id of the ladder of units that this prize is on."""
        where = (f" in {self.tree}" if self.tree else "") + (f" at {self.level}" if self.level else "")
        return f"units by {self.by or 'people'} >= {self.least}{where}"


class UnitFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A unit that competes: its people who took part, and how many it has (None: chưa có số liệu). It competes for the prizes of
    its `tree` and `level`; `within` are the units whose people count in it, itself among them."""

    code: str
    name: str
    people: int
    headcount: int | None
    tree: str = ""
    level: int = 0
    within: tuple[str, ...] = ()


class Contender(NamedTuple):
    """One who competes on a ladder. Equals share a rank; `label` is what a draw among them goes by."""

    id: str
    rank: int
    label: str


class Award(msgspec.Struct, frozen=True, kw_only=True):
    """A prize and who won it: `place` counts from 1 along the ladder, `rank` is the winner's among all contenders. `name` is
    what everyone may see of the winner."""

    ladder: str
    prize: str
    place: int
    winner: str
    rank: int
    name: str = ""


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """`id` names it in minutes: "persons", or "units by rate >= 50"."""

    id: str
    prizes: tuple[Prize, ...]
    contenders: tuple[Contender, ...]


def persons(
    rows: Iterable[Row], prizes: Sequence[Prize], excluded: Collection[str], label: Callable[[Row], tuple[str, str]]
) -> Ladder:
    """The ladder of people, as long as its prizes reach, equals included: `rows` in order of rank, `label` gives a row's id and
    label in the published file. Those excluded (participant ids: organisers' accounts) keep their rank and win nothing."""
    places = sum(prize.count for prize in prizes)
    contenders: list[Contender] = []
    for row in rows:
        if len(contenders) >= places and (not contenders or row.rank != contenders[-1].rank):
            break
        if row.participant not in excluded:
            id, text = label(row)
            contenders.append(Contender(id, row.rank, text))
    return Ladder(id=PERSONS, prizes=tuple(prizes), contenders=tuple(contenders))


def units(figures: Iterable[UnitFigure], prizes: Iterable[Prize]) -> list[Ladder]:
    """The ladders of units: prizes that are ranked the same way form one. By rate the exact fraction counts, at most one, then
    people; by people the people. A unit without a participant competes for nothing."""
    ladders: dict[str, list[Prize]] = {}
    for prize in prizes:
        ladders.setdefault(prize.ladder, []).append(prize)
    known = list(figures)
    return [
        Ladder(id=id, prizes=tuple(members), contenders=tuple(_ranked(competing(known, members[0]), members[0])))
        for id, members in ladders.items()
    ]


def competing(figures: Iterable[UnitFigure], prize: Prize) -> list[UnitFigure]:
    """The figures of the units that a prize is for."""
    return [figure for figure in figures if (figure.tree, figure.level) == (prize.tree, prize.level)]


def _ranked(figures: Iterable[UnitFigure], prize: Prize) -> Iterator[Contender]:
    by, least = prize.by or "people", prize.least
    values = {figure.code: _value(figure, by) for figure in figures if figure.people > 0 and _competes(figure, by, least)}
    rank, last = 0, None
    for position, (code, value) in enumerate(sorted(values.items(), key=lambda item: item[1], reverse=True), 1):
        rank, last = (rank if value == last else position), value
        yield Contender(code, rank, code)


def _competes(figure: UnitFigure, by: By, least: int) -> bool:
    if figure.headcount is None:
        return by == "people" and least == 0
    return figure.headcount >= max(least, 1 if by == "rate" else 0)


def _value(figure: UnitFigure, by: By) -> tuple[Fraction | int, ...]:
    if by == "people" or not figure.headcount:
        return (figure.people,)
    return min(Fraction(figure.people, figure.headcount), Fraction(1)), figure.people


class Undrawn(ValueError):
    """A tie that a prize depends on has not been drawn."""


class Tie(NamedTuple):
    """Equals for whom the place matters: they compete for `first` to `last` (from 1), places past the last prize among them."""

    rank: int
    first: int
    last: int
    members: tuple[Contender, ...]


def ties(ladder: Ladder) -> list[Tie]:
    """The ties that a prize depends on, in order: their members would win different prizes, or some would win none."""
    steps = _steps(ladder.prizes)
    found, place = [], 1
    for rank, members in _groups(ladder.contenders):
        if place > len(steps):
            break
        last = place + len(members) - 1
        won = {steps[at - 1] if at <= len(steps) else None for at in range(place, min(last, len(steps) + 1) + 1)}
        if len(won) > 1:
            found.append(Tie(rank, place, last, members))
        place = last + 1
    return found


def conclude(ladder: Ladder, drawing: Drawing | None) -> tuple[list[Award], list[Minutes]]:
    """The awards of a ladder, in order of place, and the minutes of the draws that they took. Raises Undrawn where one is needed
    and there is nothing to draw with."""
    minutes = []
    for tie in ties(ladder):
        if drawing is None:
            raise Undrawn(f"{ladder.id}: {len(tie.members)} share rank {tie.rank}")
        candidates = [Candidate(each.id, each.label) for each in tie.members]
        minutes.append(drawing.draw(ladder.id, tie.rank, tie.first, tie.last, candidates))
    drawn = {lot.id: at for each in minutes for at, lot in enumerate(each.order)}
    steps = _steps(ladder.prizes)
    ordered = sorted(ladder.contenders, key=lambda each: (each.rank, drawn.get(each.id, 0), each.id))
    awards = [
        Award(ladder=ladder.id, prize=steps[at], place=at + 1, winner=each.id, rank=each.rank)
        for at, each in enumerate(ordered[: len(steps)])
    ]
    return awards, minutes


def _steps(prizes: Iterable[Prize]) -> list[str]:
    """The name of the prize that each place brings."""
    return [prize.name for prize in prizes for _ in range(prize.count)]


def _groups(contenders: Iterable[Contender]) -> Iterator[tuple[int, tuple[Contender, ...]]]:
    for rank, members in groupby(sorted(contenders, key=lambda each: (each.rank, each.id)), key=lambda each: each.rank):
        yield rank, tuple(members)
