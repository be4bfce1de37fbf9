"""What reporting counts, and how: a state that the set of facts decides, whatever their order and however often they come.

*People* (người) count once each, in the unit and categories of their latest valid attempt; *attempts* (lượt) are all valid ones,
where they were made. Both are kept per round; people also per contest, because the same person in two rounds is one person.
The attempts of a contest are the sum of those of its rounds.

Every fact is stored under its attempt first. The figures move by the difference that this made to its person, so that a repeat
moves nothing and nothing is ever counted up blindly. A person's attempts are packed into 27 bytes each: 2.1 million of them in
Python objects would fill a gigabyte.

What the live figures leave out (people with a perfect paper, right answers, the latest attempt of a unit) is counted from the
packed attempts when figures are cut (`services.reporting.share`).
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Literal, NamedTuple, TypeVar

import msgspec

K = TypeVar("K")
Verdict = Literal["valid", "late", "disqualified"]

ALL = 0
"""The name `""`: every category together."""

HOUR = 3_600_000_000
"""Microseconds."""

VERDICTS: tuple[Verdict | None, ...] = (None, "valid", "late", "disqualified")
"""By their numbers, the two low bits of an attempt's marks."""

STARTED, SUBMITTED = 4, 8
"""The other marks."""

PACKED = struct.Struct("<HHBIIHqHH")
"""How the fields of an `Attempt` lie in a person's bytes."""


class Attempt(NamedTuple):
    """What is known of an attempt. `marks` holds the number of its verdict and whether it was started and submitted; `at` is
    when its submission was received, in microseconds: the one that was judged, before that the first. Unit, round and set of
    categories are numbers in the state's tables. `correct` counts right answers of `total`."""

    round: int
    n: int
    marks: int
    revision: int
    unit: int
    categories: int
    at: int
    correct: int
    total: int

    @property
    def verdict(self) -> Verdict | None:
        return VERDICTS[self.marks & 3]

    @property
    def submitted(self) -> bool:
        return bool(self.marks & SUBMITTED)

    @property
    def perfect(self) -> bool:
        return self.correct == self.total > 0


class Figures(msgspec.Struct, array_like=True):
    """The counts of one round or contest: by category and unit, by hour since the epoch, and of what became of attempts.

    `newcomers` counts people in the hour of their first valid attempt. What is zero is left out.
    """

    people: dict[int, dict[int, int]] = {}
    attempts: dict[int, dict[int, int]] = {}
    hours: dict[int, int] = {}
    newcomers: dict[int, int] = {}
    outcomes: dict[str, int] = {}


class State(msgspec.Struct, array_like=True):
    """All of one partition. `names` numbers units, rounds, contests and categories; `sets` numbers combinations of categories;
    `people` holds the packed attempts of each person; `figures` is by round and by contest."""

    names: dict[str, int] = msgspec.field(default_factory=lambda: {"": ALL})
    sets: list[tuple[int, ...]] = []
    people: dict[str, bytes] = {}
    figures: dict[int, Figures] = {}

    def number(self, name: str) -> int:
        """The number of a name, its next one where it is new."""
        return self.names.setdefault(name, len(self.names))

    def set_number(self, categories: tuple[str, ...]) -> int:
        """The number of a combination of categories."""
        wanted = tuple(sorted({self.number(category) for category in categories}))
        try:
            return self.sets.index(wanted)  # there are a few dozens at most
        except ValueError:
            self.sets.append(wanted)
            return len(self.sets) - 1

    def counts(self, scope: int) -> Figures:
        """The figures of a round or contest."""
        found = self.figures.get(scope)
        if found is None:
            found = self.figures[scope] = Figures()
        return found


class Id(NamedTuple):
    """Which attempt. A participant's id is of one contest only."""

    contest: str
    round: str
    participant: str
    n: int


class Judgement(NamedTuple):
    """A verdict on an attempt, and what it rests on. `at` is when the submission was received, in microseconds since the epoch;
    of several judgements the highest `revision` stands."""

    unit: str
    categories: tuple[str, ...]
    at: int
    verdict: Verdict
    revision: int
    correct: int = 0
    total: int = 0


def started(state: State, id: Id) -> None:
    """A paper was handed out."""
    _mark(state, id, STARTED, "started")


def submitted(state: State, id: Id, at: int) -> None:
    """A submission was received, at so many microseconds since the epoch."""
    _mark(state, id, SUBMITTED, "submitted", at)


def scored(state: State, id: Id, judgement: Judgement) -> None:
    """A verdict was reached."""
    unit, categories, at, verdict, revision, correct, total = judgement
    round = state.number(id.round)
    before = unpack(state.people.get(id.participant, b""))
    old = _find(before, round, id.n)
    if old.verdict is not None and revision <= old.revision:
        return
    new = Attempt(
        round,
        id.n,
        old.marks & ~3 | VERDICTS.index(verdict),
        revision,
        state.number(unit),
        state.set_number(categories),
        at,
        correct,
        total,
    )
    after = _put(state, id.participant, before, new)
    for outcome, by in ((old.verdict, -1), (verdict, 1)):
        if outcome is not None:
            _add(state.counts(round).outcomes, outcome, by)
    _move_attempt(state, old, -1)
    _move_attempt(state, new, 1)
    for scope, within in ((round, round), (state.number(id.contest), None)):
        _move_person(state, scope, _ordered(state, before, within), _ordered(state, after, within))


def unpack(packed: bytes) -> list[Attempt]:
    """A person's attempts."""
    return [Attempt._make(fields) for fields in PACKED.iter_unpack(packed)]


def view(state: State) -> bytes:
    """What pages read of a state: the names and the figures, without the people."""
    return msgspec.msgpack.encode((list(state.names), state.figures))


def _mark(state: State, id: Id, mark: int, outcome: str, at: int = 0) -> None:
    round = state.number(id.round)
    attempts = unpack(state.people.get(id.participant, b""))
    old = _find(attempts, round, id.n)
    new = old._replace(marks=old.marks | mark)
    if at and old.verdict is None:
        # Two hosts may each have taken one in.
        new = new._replace(at=min(at, old.at or at))
    if new != old:
        _put(state, id.participant, attempts, new)
    if not old.marks & mark:
        _add(state.counts(round).outcomes, outcome, 1)


def _find(attempts: list[Attempt], round: int, n: int) -> Attempt:
    for attempt in attempts:
        if attempt.round == round and attempt.n == n:
            return attempt
    return Attempt(round, n, 0, 0, 0, 0, 0, 0, 0)


def _put(state: State, participant: str, attempts: list[Attempt], new: Attempt) -> list[Attempt]:
    changed = [a for a in attempts if a.round != new.round or a.n != new.n] + [new]
    state.people[participant] = b"".join(PACKED.pack(*attempt) for attempt in changed)
    return changed


def _move_attempt(state: State, attempt: Attempt, by: int) -> None:
    if attempt.verdict == "valid":
        figures = state.counts(attempt.round)
        _add_cells(figures.attempts, attempt, state, by)
        _add(figures.hours, attempt.at // HOUR, by)


def _move_person(state: State, scope: int, before: list[Attempt], after: list[Attempt]) -> None:
    if before and after and before[0] == after[0] and before[-1] == after[-1]:
        return
    figures = state.counts(scope)
    for attempts, by in ((before, -1), (after, 1)):
        if attempts:
            _add_cells(figures.people, attempts[-1], state, by)
            _add(figures.newcomers, attempts[0].at // HOUR, by)


def _ordered(state: State, attempts: list[Attempt], round: int | None) -> list[Attempt]:
    """The valid attempts (of a round), in order of time."""
    valid = sorted((a for a in attempts if a.verdict == "valid" and (round is None or a.round == round)), key=lambda a: a.at)
    if any(a.at == b.at for a, b in pairwise(valid)):
        # The round's name decides: its number depends on which fact came first.
        names = list(state.names)
        valid.sort(key=lambda a: (a.at, names[a.round], a.n))
    return valid


def _add_cells(cells: dict[int, dict[int, int]], attempt: Attempt, state: State, by: int) -> None:
    for category in (ALL, *state.sets[attempt.categories]):
        units = cells.setdefault(category, {})
        _add(units, attempt.unit, by)
        if not units:
            del cells[category]


def _add(counts: dict[K, int], key: K, by: int) -> None:
    total = counts.get(key, 0) + by
    if total:
        counts[key] = total
    else:
        counts.pop(key, None)
