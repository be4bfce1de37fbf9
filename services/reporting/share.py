"""The figures of a contest as of a time, counted from the packed attempts of a partition: that partition's share of a cut.

The same facts give the same share, whatever their order. It is counted in slices, so that the worker goes on consuming; a person
is always taken whole, so that nobody counts twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from services.reporting.domain import ALL, Attempt, State, unpack

OUTCOMES = ("submitted", "valid", "late", "disqualified")
"""What may have become of an attempt that was handed in by the time of a cut."""

_SLICE = 400
"""People counted before others get their turn: a millisecond or two."""


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
        return added(self.cells.get("", {}).values())


def added(cells: Iterable[Cell]) -> Cell:
    """The sum of cells whose people are different ones."""
    return Cell(*(sum(column) for column in zip(NOTHING, *cells, strict=True)))


def joined(scopes: Iterable[Scope]) -> Iterator[Scope]:
    """Adds scopes up, one more each time: the last that it yields is the sum of all. A person is in one of them only."""
    cells: dict[str, dict[str, Cell]] = {}
    outcomes: dict[str, int] = {}
    last: dict[str, int] = {}
    for scope in scopes:
        for category, units in scope.cells.items():
            mine = cells.setdefault(category, {})
            for unit, cell in units.items():
                held = mine.get(unit)
                mine[unit] = added((held, cell)) if held else cell
        for outcome, count in scope.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        for unit, at in scope.last.items():
            last[unit] = max(at, last.get(unit, 0))
        yield Scope(cells, outcomes, last)


Place = tuple[int, int, int]
"""A scope, a unit and a set of categories, by their numbers."""


class Share:
    """What one partition adds to a cut. `rounds` are all rounds of the contest, `until` the cut-off in microseconds, inclusive.

    `awaited` counts attempts that were handed in by then and have no verdict yet.
    """

    def __init__(self, state: State, rounds: Collection[str], until: int) -> None:
        self._state, self._until = state, until
        self._names = ("", *rounds)
        self._rounds = {state.names[round]: round for round in rounds if round in state.names}
        self._rows: dict[Place, list[int]] = {}
        self._outcomes: dict[int, dict[str, int]] = {}
        self._last: dict[tuple[int, int], int] = {}
        self.awaited = 0

    def count(self) -> Iterator[None]:
        """Counts everybody, slice by slice."""
        for done, person in enumerate(list(self._state.people), 1):
            self._person(unpack(self._state.people[person]))
            if done % _SLICE == 0:
                yield

    def scopes(self) -> dict[str, Scope]:
        """The figures by round; those of the whole contest under ""."""
        numbers = {"": _WHOLE} | {name: number for number, name in self._rounds.items()}
        return {name: self._scope(numbers[name]) if name in numbers else Scope() for name in self._names}

    def _person(self, attempts: list[Attempt]) -> None:
        valid = [a for a in attempts if a.round in self._rounds and a.at <= self._until and self._attempt(a)]
        if valid:
            self._stand(_WHOLE, valid)
            for round in {attempt.round for attempt in valid}:
                self._stand(round, [attempt for attempt in valid if attempt.round == round])

    def _attempt(self, attempt: Attempt) -> bool:
        """Counts an attempt, for itself; whether it is valid."""
        verdict = attempt.verdict
        if attempt.submitted:
            self._outcome(attempt.round, "submitted")
            self.awaited += verdict is None
        if verdict is None:
            return False
        self._outcome(attempt.round, verdict)
        for scope in (attempt.round, _WHOLE):
            row = self._row(scope, attempt)
            if verdict == "valid":
                row[_ATTEMPTS] += 1
                row[_CORRECT] += attempt.correct
                row[_TOTAL] += attempt.total
                place = scope, attempt.unit
                self._last[place] = max(attempt.at, self._last.get(place, 0))
            else:
                row[_EXCLUDED] += 1
        return verdict == "valid"

    def _stand(self, scope: int, valid: list[Attempt]) -> None:
        """Counts a person in a scope, where the latest of these attempts was made."""
        latest = valid[0] if len(valid) == 1 else max(valid, key=lambda a: (a.at, self._rounds[a.round], a.n))
        row = self._row(scope, latest)
        row[_PEOPLE] += 1
        row[_PERFECT] += any(attempt.perfect for attempt in valid)

    def _row(self, scope: int, attempt: Attempt) -> list[int]:
        place = scope, attempt.unit, attempt.categories
        row = self._rows.get(place)
        if row is None:
            row = self._rows[place] = [0] * len(NOTHING)
        return row

    def _outcome(self, round: int, outcome: str) -> None:
        for scope in (round, _WHOLE):
            counts = self._outcomes.setdefault(scope, {})
            counts[outcome] = counts.get(outcome, 0) + 1

    def _scope(self, number: int) -> Scope:
        names = list(self._state.names)
        cells: dict[str, dict[str, Cell]] = {}
        for (scope, unit, categories), row in self._rows.items():
            if scope == number:
                for category in (ALL, *self._state.sets[categories]):
                    units = cells.setdefault(names[category], {})
                    units[names[unit]] = added((units.get(names[unit], NOTHING), Cell(*row)))
        last = {names[unit]: at for (scope, unit), at in self._last.items() if scope == number}
        return Scope(cells, self._outcomes.get(number, {}), last)


_WHOLE = -1
_PEOPLE, _ATTEMPTS, _PERFECT, _CORRECT, _TOTAL, _EXCLUDED = range(len(NOTHING))


def encode(scopes: Mapping[str, Scope]) -> bytes:
    """Scopes as bytes, the same for the same figures."""
    return msgspec.msgpack.encode(scopes, order="sorted")


def decode(body: bytes) -> dict[str, Scope]:
    """The reverse of `encode`."""
    return msgspec.msgpack.decode(body, type=dict[str, Scope])
