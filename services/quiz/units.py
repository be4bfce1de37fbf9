"""Finds units as people type them: without diacritics, in any case, with a slip of the finger; best first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from anyascii import anyascii
from rapidfuzz import fuzz, process

from services.events import ContestBook, Unit

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


def fold(text: str) -> str:
    """Letters without diacritics, in lower case, with single spaces ("Kiến An" → "kien an")."""
    return " ".join(anyascii(text).lower().split())


class UnitIndex:
    """An index over the units of one contest; a few thousand are searched in milliseconds."""

    def __init__(self, units: Iterable[Unit]) -> None:
        by_code = {unit.code: unit for unit in units}
        self._entries = [_entry(unit, by_code) for unit in by_code.values()]
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


class UnitIndexes:
    """The search index of each contest's units, built at first use and again when the contest is published anew."""

    def __init__(self, book: ContestBook) -> None:
        self._book = book
        self._built: dict[str, tuple[int, UnitIndex]] = {}

    def of(self, contest: str) -> UnitIndex:
        """The index of a contest that the book has."""
        revision = self._book.contests[contest].revision
        built = self._built.get(contest)
        if built is None or built[0] != revision:
            built = self._built[contest] = (revision, UnitIndex(self._book.units(contest).values()))
        return built[1]


def _entry(unit: Unit, by_code: dict[str, Unit]) -> _Entry:
    names, at = [unit.name], unit
    while at.parent is not None:
        at = by_code[at.parent]
        if at.parent is not None:
            names.append(at.name)
    path = " › ".join(reversed(names))
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
