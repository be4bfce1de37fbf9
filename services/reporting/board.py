"""What the board shows, ready in memory: the partitions added up, rolled up a tree, ranked.

Adding up happens when a view has changed, rolling up at the first question about a category and round after that; every other
question is a look-up. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from services.events import ContestBook
from services.events.units import trees_of
from services.kit.clock import Clock
from services.reporting.domain import Figures
from services.reporting.share import Cell
from services.reporting.tables import Tables
from services.reporting.turnout import Table, day_of

K = TypeVar("K")

OUTCOMES = ("started", "submitted", "valid", "late", "disqualified")
"""What may have become of an attempt; `started` and `submitted` go before a verdict."""


class Hour(NamedTuple):
    """Valid attempts of an hour, and people whose first one was among them."""

    begin: datetime
    attempts: int
    newcomers: int


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
    """The read model of one process. `book` gives contests and rounds, `tables` puts figures, trees and headcounts together."""

    def __init__(self, book: ContestBook, tables: Tables, clock: Clock) -> None:
        self._book, self._all, self._clock = book, tables, clock
        self._parts: dict[int, _Part] = {}
        self._sums: dict[str, Sums] = {}
        self._stale: set[str] = set()
        self._tables: dict[tuple[str, str, str, str], tuple[tuple[date, int, int], Table]] = {}
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

    def table(self, contest: str, tree: str = "", category: str = "", round: str = "") -> Table:
        """The turnout as of now, in a tree as it stands today; without one, in the contest's first. People and attempts alone are
        counted of its cells."""
        plan = self._book.contests[contest]
        tree, day = tree or trees_of(plan)[0].id, day_of(self._clock.now(), plan.timezone)
        key, stamp = (contest, tree, category, round), (day, plan.revision, self._all.headcounts.revision)
        held = self._tables.get(key)
        if held is None or held[0] != stamp:
            cells = self._cells(contest, category, round)
            held = self._tables[key] = stamp, self._all.of(contest, cells, tree, category, day)
        return held[1]

    def _cells(self, contest: str, category: str, round: str) -> dict[str, Cell]:
        attempts: dict[str, int] = {}
        for sums in self._scopes(contest, round):
            _add(attempts, sums.attempts.get(category, {}))
        people = self._sums.get(round or contest, Sums()).people.get(category, {})
        return {unit: Cell(people.get(unit, 0), attempts.get(unit, 0)) for unit in people.keys() | attempts.keys()}

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


def _add(total: dict[K, int], counts: Mapping[K, int]) -> None:
    for key, count in counts.items():
        total[key] = total.get(key, 0) + count
