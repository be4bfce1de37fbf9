"""The figures of a contest as of a time, counted from the packed attempts of a partition: that partition's share of a cut.

The same facts give the same share, whatever their order.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from services.reporting.domain import ALL, PACKED, SUBMITTED, VERDICTS, State

OUTCOMES = ("submitted", "valid", "late", "disqualified")
"""What may have become of an attempt that was handed in by the time of a cut."""


class Cell(NamedTuple):
    """Figures of a unit and category. `people`: once each, in the unit of their latest valid attempt; `attempts`: valid ones,
    where they were made; `perfect`: those of the people who have a valid attempt without a mistake; `correct` of `total`: right
    answers of the valid attempts; `excluded`: attempts that were late or disqualified."""

    people: int = 0
    attempts: int = 0
    perfect: int = 0
    correct: int = 0
    total: int = 0
    excluded: int = 0


NOTHING = Cell()


class Scope(msgspec.Struct, frozen=True, array_like=True):
    """The figures of a round or of a whole contest: `cells[category][unit]`, category "" being everybody, units as they were
    stamped on the attempts, not rolled up; `outcomes` as named in `OUTCOMES`; `last[unit]`: when its latest valid attempt was
    received, in microseconds since the epoch. Nothing that is zero stands in it."""

    cells: dict[str, dict[str, Cell]] = {}
    outcomes: dict[str, int] = {}
    last: dict[str, int] = {}

    @property
    def size(self) -> int:
        """How many cells it has."""
        return sum(map(len, self.cells.values()))

    @property
    def whole(self) -> Cell:
        """Everybody, everywhere."""
        return reduce(added, self.cells.get("", {}).values(), NOTHING)


def added(one: Cell, other: Cell) -> Cell:
    """The sum of cells whose people are different ones."""
    a, b, c, d, e, f = one
    g, h, i, j, k, m = other
    return Cell(a + g, b + h, c + i, d + j, e + k, f + m)


def joined(scopes: Iterable[Scope]) -> Scope:
    """The sum of scopes. A person is in one of them only."""
    cells: dict[str, dict[str, Cell]] = {}
    outcomes: dict[str, int] = {}
    last: dict[str, int] = {}
    for scope in scopes:
        for category, units in scope.cells.items():
            mine = cells.setdefault(category, {})
            for unit, cell in units.items():
                held = mine.get(unit)
                mine[unit] = added(held, cell) if held else cell
        for outcome, count in scope.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        for unit, at in scope.last.items():
            last[unit] = max(at, last.get(unit, 0))
    return Scope(cells, outcomes, last)


Place = tuple[int, int, int]
"""A scope, a unit and a set of categories, by their numbers."""

_WHOLE = -1
"""The scope that is the whole contest. Its people and perfect papers are counted, all else is the sum of its rounds."""

_PEOPLE, _ATTEMPTS, _PERFECT, _CORRECT, _TOTAL, _EXCLUDED = range(len(NOTHING))
_LAST = len(NOTHING)
_VALID = VERDICTS.index("valid")


class Share:
    """What one partition adds to a cut. `rounds` are all rounds of the contest, `until` the cut-off in microseconds, inclusive;
    `since` is where the period of the cut begins, exclusive, so that periods that follow each other share no attempt.

    `awaited` counts attempts that were handed in by then and have no verdict yet.
    """

    def __init__(self, state: State, rounds: Collection[str], until: int, since: int = -1) -> None:
        self._state, self._until, self._since = state, until, since
        self._names = ("", *rounds)
        self._rounds = {state.names[round]: round for round in rounds if round in state.names}
        self._rows: dict[Place, list[int]] = {}
        self._outcomes: dict[tuple[int, int], int] = {}
        self.awaited = 0
        for packed in state.people.values():
            self._person(packed)

    def scopes(self) -> dict[str, Scope]:
        """The figures by round; those of the whole contest under ""."""
        names = list(self._state.names)
        rounds = {name: self._scope(number, names) for number, name in self._rounds.items()}
        whole = [self._scope(_WHOLE, names), *rounds.values()]
        # People of one round may be people of another: the contest has its own.
        bare = [whole[0], *(Scope(_without_people(each.cells), each.outcomes, each.last) for each in whole[1:])]
        return {name: rounds.get(name, Scope()) for name in self._names} | {"": joined(bare)}

    def _person(self, packed: bytes) -> None:
        # Fields by position and one row an attempt: this runs for every attempt of the city, every hour.
        latest: dict[int, tuple[int, str, int, int, int]] = {}
        perfect: set[int] = set()
        for round, n, marks, _, unit, categories, at, correct, total in PACKED.iter_unpack(packed):
            if not self._since < at <= self._until or round not in self._rounds:
                continue
            verdict = marks & 3
            if marks & SUBMITTED:
                self._outcome(round, SUBMITTED)
                self.awaited += not verdict
            if not verdict:
                continue
            self._outcome(round, verdict)
            row = self._row((round, unit, categories))
            if verdict != _VALID:
                row[_EXCLUDED] += 1
                continue
            row[_ATTEMPTS] += 1
            row[_CORRECT] += correct
            row[_TOTAL] += total
            row[_LAST] = max(row[_LAST], at)
            # The round's name decides between equals: its number depends on which fact came first.
            mine = at, self._rounds[round], n, unit, categories
            latest[round] = max(mine, latest.get(round, mine))
            if correct == total > 0:
                perfect.add(round)
        for round, (_, _, _, unit, categories) in latest.items():
            self._stand((round, unit, categories), round in perfect)
        if latest:
            _, _, _, unit, categories = max(latest.values())
            self._stand((_WHOLE, unit, categories), bool(perfect))

    def _stand(self, place: Place, perfect: bool) -> None:
        row = self._row(place)
        row[_PEOPLE] += 1
        row[_PERFECT] += perfect

    def _row(self, place: Place) -> list[int]:
        row = self._rows.get(place)
        if row is None:
            row = self._rows[place] = [0] * (len(NOTHING) + 1)
        return row

    def _outcome(self, round: int, outcome: int) -> None:
        self._outcomes[round, outcome] = self._outcomes.get((round, outcome), 0) + 1

    def _scope(self, number: int, names: list[str]) -> Scope:
        cells: dict[str, dict[str, Cell]] = {}
        last: dict[str, int] = {}
        for (scope, unit, categories), row in self._rows.items():
            if scope == number:
                for category in (ALL, *self._state.sets[categories]):
                    units = cells.setdefault(names[category], {})
                    units[names[unit]] = added(units.get(names[unit], NOTHING), Cell(*row[:_LAST]))
                if row[_ATTEMPTS]:
                    last[names[unit]] = max(row[_LAST], last.get(names[unit], 0))
        words = {SUBMITTED: "submitted"} | {VERDICTS.index(word): word for word in VERDICTS if word}
        outcomes = {words[outcome]: count for (round, outcome), count in self._outcomes.items() if round == number}
        return Scope(cells, outcomes, last)


def _without_people(cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, dict[str, Cell]]:
    return {
        category: {unit: cell._replace(people=0, perfect=0) for unit, cell in units.items()} for category, units in cells.items()
    }


class Packed(msgspec.Struct, frozen=True):
    """Scopes by name as they are stored; the digest is that of their figures."""

    digest: str
    body: bytes


def pack(scopes: Mapping[str, Scope]) -> Packed:
    """The same for the same figures."""
    body = msgspec.msgpack.encode(scopes, order="sorted")
    return Packed(blake2b(body, digest_size=16).hexdigest(), zlib.compress(body))


def unpack(body: bytes) -> dict[str, Scope]:
    """The reverse of `pack`."""
    return msgspec.msgpack.decode(zlib.decompress(body), type=dict[str, Scope])
