"""Units as people meet them: as they stand today, and found as they are typed, without diacritics, in any case, with a slip of
the finger; best first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from zoneinfo import ZoneInfo

import msgspec
from rapidfuzz import fuzz, process

from services.events import ContestBook, ContestPublished, Unit
from services.events.units import folded, parents_at, successor, trees_of
from services.kit.clock import Clock
from services.kit.names import fold
from services.kit.runtime import UnitName

FUZZY_FROM = 75
"""A likeness below this (of 100) is another name."""


@dataclass(frozen=True)
class Hit:
    """A unit as the list shows it; `path` names it from the level below the root downwards."""

    code: str
    name: str
    path: str


@dataclass(frozen=True)
class _Entry:
    hit: Hit
    name: str
    path: str


class UnitIndex:
    """An index over units, of which those in `paths` are found: each by its own name, or by the names on its path."""

    def __init__(self, units: Iterable[Unit], paths: Mapping[str, str] | None = None) -> None:
        listed = list(units)
        known = _paths(listed) if paths is None else paths
        self._entries = [_entry(unit, known[unit.code]) for unit in listed if unit.code in known]
        self._names = [entry.name for entry in self._entries]

    def search(self, query: str, limit: int = 20) -> list[Hit]:
        """The units that a query may mean. An empty one means the first of all."""
        wanted = fold(query)
        if not wanted:
            return [entry.hit for entry in self._entries[:limit]]
        ranked = [(rank, place) for place, entry in enumerate(self._entries) if (rank := _rank(wanted, entry)) is not None]
        best = [self._entries[place].hit for _, place in sorted(ranked)[:limit]]
        return best or self._fuzzy(wanted, limit)

    def _fuzzy(self, wanted: str, limit: int) -> list[Hit]:
        found = process.extract(wanted, self._names, scorer=fuzz.WRatio, limit=limit, score_cutoff=FUZZY_FROM)
        return [self._entries[place].hit for _, _, place in found]


class UnitsToday:
    """The units of a contest on a day: who stands below whom, what has gone over into what, and how they are found."""

    def __init__(self, contest: ContestPublished, units: Mapping[str, Unit], day: date) -> None:
        self.units, self.day, self._trees = units, day, trees_of(contest)

    @cached_property
    def parents(self) -> dict[str, dict[str, str | None]]:
        """Who stands above each unit, by tree, the first tree first."""
        return {tree.id: parents_at(self.units, tree.id, self.day) for tree in self._trees}

    @cached_property
    def above(self) -> dict[str, str | None]:
        """Who stands above each unit, in the first tree that has it."""
        found: dict[str, str | None] = dict.fromkeys(self.units)
        for parents in reversed(self.parents.values()):
            found |= parents
        return found

    @cached_property
    def paths(self) -> dict[str, str]:
        """The names from the level below the root down to each unit, in the first tree that has it."""
        return _paths([msgspec.structs.replace(unit, parent=self.above[code]) for code, unit in self.units.items()])

    @cached_property
    def index(self) -> UnitIndex:
        """Finds what there is today."""
        standing = {code: path for code, path in self.paths.items() if not folded(self.units[code], self.day)}
        return UnitIndex(self.units.values(), standing)

    def standing(self, code: str) -> Unit | None:
        """The unit that stands for a code today; None where there is none."""
        unit = self.units.get(successor(self.units, code, self.day))
        return None if unit is None or folded(unit, self.day) else unit

    def upwards(self, code: str) -> list[str]:
        """A unit and all above it, in any tree."""
        found = [code]
        for at in found:
            found += [up for parents in self.parents.values() if (up := parents.get(at)) is not None and up not in found]
        return found


class UnitDays:
    """The units of every contest today, made at first use and again on the next day or when the contest is published anew."""

    def __init__(self, book: ContestBook, clock: Clock) -> None:
        self._book, self._clock = book, clock
        self._made: dict[str, tuple[int, UnitsToday]] = {}

    def of(self, contest: str) -> UnitsToday:
        """Those of a contest that the book has."""
        published = self._book.contests[contest]
        day = self._clock.now().astimezone(ZoneInfo(published.timezone)).date()
        made = self._made.get(contest)
        if made is None or made[0] != published.revision or made[1].day != day:
            today = UnitsToday(published, self._book.units(contest), day)
            made = self._made[contest] = (published.revision, today)
        return made[1]

    def names(self) -> dict[str, UnitName]:
        """The units of all contests, as the console's accounts know them."""
        days = [self.of(contest) for contest in self._book.contests]
        return {code: UnitName(unit.name, day.above[code]) for day in days for code, unit in day.units.items()}


def _paths(units: Sequence[Unit]) -> dict[str, str]:
    """The names from the level below the root down to each unit."""
    by_code = {unit.code: unit for unit in units}
    return {unit.code: " › ".join(_path(unit, by_code)) for unit in units}


def _path(unit: Unit, by_code: Mapping[str, Unit]) -> list[str]:
    names, at = [unit.name], unit
    while at.parent is not None and at.parent in by_code:
        at = by_code[at.parent]
        if at.parent is not None:
            names.insert(0, at.name)
    return names


def _entry(unit: Unit, path: str) -> _Entry:
    return _Entry(Hit(unit.code, unit.name, path), fold(unit.name), fold(path))


def _rank(wanted: str, entry: _Entry) -> int | None:
    """How well a unit fits, 0 best; None where it does not."""
    name = entry.name
    if wanted in name:
        if name.startswith(wanted):
            return 0 if name == wanted else 1
        if " " + wanted in name:
            # People leave out "Phường" and "Quận": what ends the name is the name proper, whole.
            return 2 if name.endswith(" " + wanted) else 3
        return 4
    return 5 if all(word in entry.path for word in wanted.split()) else None
