"""What the board shows, ready in memory: the partitions added up, rolled up the territory tree, ranked.

Adding up happens when a view has changed, rolling up at the first question about a category and round after that; every other
question is a look-up. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from services.events import ContestBook, Unit
from services.reporting.domain import Figures

K = TypeVar("K")

OUTCOMES = ("started", "submitted", "valid", "late", "disqualified")
"""What may have become of an attempt; `started` and `submitted` go before a verdict."""


class Count(NamedTuple):
    """People (người, once each) and valid attempts (lượt)."""

    people: int
    attempts: int


class Hour(NamedTuple):
    """Valid attempts of an hour, and people whose first one was among them."""

    begin: datetime
    attempts: int
    newcomers: int


NOBODY = Count(0, 0)


@dataclass(frozen=True, slots=True)
class Row:
    """A unit on the board, everything below it included. Units that are level share a rank."""

    unit: Unit
    count: Count
    rank: int


@dataclass(slots=True)
class Sums:
    """Figures of a round or contest over all partitions, by category and unit name; category "" is all of them."""

    people: dict[str, dict[str, int]] = field(default_factory=dict)
    attempts: dict[str, dict[str, int]] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)
    newcomers: dict[int, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)

    def add(self, figures: Figures, names: list[str]) -> Iterator[None]:
        """Adds the figures of a partition, whose numbers stand for `names`, in slices of a millisecond or so."""
        for mine, theirs in ((self.people, figures.people), (self.attempts, figures.attempts)):
            for category, units in theirs.items():
                total = mine.setdefault(names[category], {})
                for unit, count in units.items():
                    name = names[unit]
                    total[name] = total.get(name, 0) + count
                yield
        _add(self.hours, figures.hours)
        _add(self.newcomers, figures.newcomers)
        _add(self.outcomes, figures.outcomes)


@dataclass(slots=True)
class _Part:
    """A partition as its view tells it; `figures` are decoded when they are added up."""

    names: list[str]
    figures: dict[int, msgspec.Raw]


class Board:
    """The read model of one process. `book` gives contests, rounds and units."""

    def __init__(self, book: ContestBook) -> None:
        self._book = book
        self._parts: dict[int, _Part] = {}
        self._sums: dict[str, Sums] = {}
        self._stale: set[str] = set()
        self._tables: dict[tuple[str, str, str], tuple[int, dict[str, Count]]] = {}
        self._decoder = msgspec.msgpack.Decoder(tuple[list[str], dict[int, msgspec.Raw]])
        self._figures = msgspec.msgpack.Decoder(Figures)

    def take(self, partition: int, body: bytes) -> None:
        """Takes the view of a partition in; `add_up` makes it count."""
        names, figures = self._decoder.decode(body)
        old = self._parts.get(partition)
        # A worker that replays after a crash may number its names anew.
        same = old is not None and old.names == names[: len(old.names)]
        for scope, raw in figures.items():
            known = old.figures.get(scope) if old and same else None
            if known is None or bytes(known) != bytes(raw):
                self._stale.add(names[scope])
        self._parts[partition] = _Part(names, figures)

    def add_up(self) -> Iterator[None]:
        """Adds up the rounds and contests whose views have changed, slice by slice; what it yields between means nothing."""
        for scope in list(self._stale):
            sums = Sums()
            for part in self._parts.values():
                raw = part.figures.get(part.names.index(scope)) if scope in part.names else None
                if raw is not None:
                    yield from sums.add(self._figures.decode(raw), part.names)
            self._sums[scope] = sums
            self._stale.discard(scope)
            plan = self._book.round(scope)
            contest = plan.contest if plan else scope
            for key in [key for key in self._tables if key[0] == contest]:
                del self._tables[key]

    def _scopes(self, contest: str, round: str) -> list[Sums]:
        """The sums whose attempts make up those of a round, or of all rounds."""
        rounds = [round] if round else [plan.id for plan in self._book.rounds(contest)]
        return [self._sums.get(id, Sums()) for id in rounds]

    def table(self, contest: str, category: str = "", round: str = "") -> Mapping[str, Count]:
        """Every unit that has people or attempts, with all below it; the key "" is everybody."""
        key, revision = (contest, category, round), self._book.contests[contest].revision
        cached = self._tables.get(key)
        if cached is None or cached[0] != revision:
            made: dict[str, int] = {}
            for sums in self._scopes(contest, round):
                _add(made, sums.attempts.get(category, {}))
            attempts = self._rolled_up(contest, made)
            people = self._rolled_up(contest, self._sums.get(round or contest, Sums()).people.get(category, {}))
            table = {code: Count(people.get(code, 0), attempts.get(code, 0)) for code in people.keys() | attempts.keys()}
            cached = self._tables[key] = (revision, table)
        return cached[1]

    def rows(self, contest: str, parent: str | None, category: str = "", round: str = "") -> list[Row]:
        """The children of a unit, or the top of the tree, best first: by people, then attempts, then name."""
        table = self.table(contest, category, round)
        children = [unit for unit in self._book.units(contest).values() if unit.parent == parent]
        counted = sorted(((unit, table.get(unit.code, NOBODY)) for unit in children), key=_best_first)
        rows: list[Row] = []
        for position, (unit, count) in enumerate(counted, 1):
            level = bool(rows) and rows[-1].count == count
            rows.append(Row(unit, count, rows[-1].rank if level else position))
        return rows

    def hours(self, contest: str, round: str = "") -> list[Hour]:
        """The hours that had valid attempts, in order, in the contest's timezone."""
        zone = ZoneInfo(self._book.contests[contest].timezone)
        hours: dict[int, int] = {}
        for sums in self._scopes(contest, round):
            _add(hours, sums.hours)
        newcomers = self._sums.get(round or contest, Sums()).newcomers
        return [
            Hour(datetime.fromtimestamp(hour * 3600, zone), hours.get(hour, 0), newcomers.get(hour, 0))
            for hour in sorted(hours.keys() | newcomers.keys())
        ]

    def outcomes(self, contest: str, round: str = "") -> dict[str, int]:
        """How many attempts came to each of `OUTCOMES`."""
        outcomes = dict.fromkeys(OUTCOMES, 0)
        for sums in self._scopes(contest, round):
            _add(outcomes, sums.outcomes)
        return outcomes

    def _rolled_up(self, contest: str, counts: Mapping[str, int]) -> dict[str, int]:
        total = {**counts, "": sum(counts.values())}
        # Parents stand before children: backwards, each has got all of its own when it is passed on.
        for unit in reversed(self._book.units(contest).values()):
            count = total.get(unit.code)
            if count and unit.parent is not None:
                total[unit.parent] = total.get(unit.parent, 0) + count
        return total


def _best_first(row: tuple[Unit, Count]) -> tuple[int, int, str]:
    unit, count = row
    return -count.people, -count.attempts, unit.name


def _add(total: dict[K, int], counts: Mapping[K, int]) -> None:
    for key, count in counts.items():
        total[key] = total.get(key, 0) + count
