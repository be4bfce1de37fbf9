"""How a paper is graded, which submission of an attempt stands, and how people are ranked.

Pure: no framework, no driver, no wire class. Times are microseconds since the epoch. A partition's state packs an attempt into 61
bytes: 2.1 million of them in Python objects would fill gigabytes.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

Verdict = Literal["valid", "late", "disqualified"]
Counting = Literal["best", "first", "last"]

GRACE = 2_000_000
"""How long after the deadline a submission may still arrive, in microseconds."""

MINUTE = 60_000_000
DIGEST_SIZE = 16
MOST = 2**53
"""No prediction and no time is larger: what stores and browsers hold exactly."""

_VERDICTS: tuple[Verdict, ...] = ("valid", "late", "disqualified")
PART = re.compile(r"\([A-Z]+\)|[A-Z-]")
"""The answer to one question: a letter, a blank, or a group."""

_ANSWERS = re.compile(rf"(?:{PART.pattern})*")
_PACKED = struct.Struct("<HHBHHHHHHHqqq16sH")
_UNASKED = -1


class Unfit(ValueError):
    """Answers that cannot belong to the paper."""


def _split(answers: str) -> Sequence[str]:
    if not _ANSWERS.fullmatch(answers):
        raise Unfit("the answers are no sequence of letters, blanks and groups")
    if "(" not in answers:
        return answers
    return ["".join(sorted(set(part.strip("()")))) for part in PART.findall(answers)]


_split_key = lru_cache(maxsize=1 << 14)(_split)


def grade(answers: str, key: str) -> tuple[int, int]:
    """How many answers are right, of how many. Position by position; groups such as `(AC)` compare as sets, `-` is never right.
    Raises Unfit."""
    given, right = _split(answers), _split_key(key)
    if len(given) != len(right):
        raise Unfit(f"{len(given)} answers to {len(right)} questions")
    return sum(a == b != "-" for a, b in zip(given, right, strict=True)), len(right)


def verdict(started: int, received: int, minutes: int, closes: int) -> Verdict:
    """Whether a submission came in time: the deadline is `minutes` after the start, or the closing of the round before that."""
    return "late" if received > min(started + minutes * MINUTE, closes) + GRACE else "valid"


class Judged(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The judgement on one submission. `rules` is the revision of the round's plan that it was judged by, `ruling` that of a
    person's decision on the attempt (0 where there is none), `extra` the minutes that the person had been given."""

    participant: str
    round: str
    n: int
    unit: str
    categories: tuple[str, ...]
    started: int
    received: int
    digest: bytes
    prediction: int | None
    verdict: Verdict
    correct: int
    total: int
    key_version: int
    rules: int
    revision: int = 0
    ruling: int = 0
    extra: int = 0

    @property
    def attempt(self) -> str:
        return f"{self.participant}:{self.round}:{self.n}"

    @property
    def elapsed_ms(self) -> int:
        return (self.received - self.started) // 1000

    @property
    def submission(self) -> tuple[int, bytes]:
        """Of several submissions of an attempt the one with the smallest of these counts."""
        return self.received, self.digest

    def under(self, other: Judged) -> Judged:
        """This judgement with the ruling of another on the same attempt, where that is later."""
        if other.ruling <= self.ruling:
            return self
        verdict = other.verdict if "disqualified" in (other.verdict, self.verdict) else self.verdict
        return msgspec.structs.replace(self, verdict=verdict, ruling=other.ruling)

    def outdoes(self, held: Judged) -> bool:
        """Whether this judgement is to replace the one held: an earlier submission does, and newer rules that judge otherwise."""
        if self.submission != held.submission:
            return self.submission < held.submission
        if (self.verdict, self.correct, self.total) == (held.verdict, held.correct, held.total):
            return False
        return (self.ruling, self.rules, self.key_version) > (held.ruling, held.rules, held.key_version)


class Person(msgspec.Struct, array_like=True, gc=False):
    """A participant: the masked name, the revision it came with (-1 while it has not come), the packed attempts, a digest
    that is the same for phone numbers of one block of a hundred, and one of the e-mail address (empty: none is known)."""

    revision: int = -1
    name: str = ""
    attempts: bytes = b""
    block: bytes = b""
    email: bytes = b""


class Mark(msgspec.Struct, array_like=True):
    """Under which plan and version of the key a partition has judged a round, the offset of the last submission that changed a
    verdict of it, and how many changes something else has brought."""

    closes: int
    rules: int
    changed: int = -1
    key: int = 0
    anew: int = 0


class Ruling(msgspec.Struct, frozen=True, array_like=True):
    """The last word of a person on an attempt."""

    revision: int
    disqualified: bool


UNRULED = Ruling(0, False)


class State(msgspec.Struct, array_like=True):
    """All of one partition. `names` numbers units, rounds and categories; `sets` numbers combinations of categories. A ruling,
    by attempt, may be here before what it is about."""

    names: dict[str, int] = {}
    sets: list[tuple[int, ...]] = []
    people: dict[str, Person] = {}
    rounds: dict[str, Mark] = {}
    rulings: dict[str, Ruling] = {}

    def mark(self, round: str, closes: int, rules: int, key: int) -> Mark:
        """The plan by which this partition judges a round: the one it met first, until all of the round is judged anew."""
        return self.rounds.setdefault(round, Mark(closes, rules, key=key))

    def meet(self, participant: str, revision: int, name: str, block: bytes = b"", email: bytes = b"") -> None:
        """Takes a masked name in, and the digests of phone number and e-mail; the highest revision stands."""
        person = self._person(participant)
        if revision > person.revision:
            person.revision, person.name, person.block, person.email = revision, name, block, email

    def find(self, participant: str, round: str, n: int) -> Judged | None:
        """What stands for an attempt."""
        person, number = self.people.get(participant), self.names.get(round)
        if person is not None and number is not None:
            for fields in _PACKED.iter_unpack(person.attempts):
                if fields[0] == number and fields[1] == n:
                    return self._unpacked(participant, fields, list(self.names))
        return None

    def ruling(self, attempt: str) -> Ruling:
        """What a person has said of an attempt."""
        return self.rulings.get(attempt, UNRULED)

    def rule(self, attempt: str, ruling: Ruling) -> None:
        """Takes a ruling in; the highest revision stands."""
        if ruling.revision > self.ruling(attempt).revision:
            self.rulings[attempt] = ruling

    def put(self, judged: Judged, at: int | None) -> None:
        """Lets a judgement stand, of a round that has its mark. `at` is the offset of the submission that brought it, None where
        something else did. Repeats change nothing."""
        if judged.ruling:
            self.rule(judged.attempt, Ruling(judged.ruling, judged.verdict == "disqualified"))
        person = self._person(judged.participant)
        new = self._packed(judged)
        others = [new]
        for start in range(0, len(person.attempts), _PACKED.size):
            old = person.attempts[start : start + _PACKED.size]
            if old == new:
                return
            if old[:4] != new[:4]:
                others.append(old)
        person.attempts = b"".join(sorted(others))
        mark = self.rounds[judged.round]
        if at is None:
            mark.anew += 1
        else:
            mark.changed = max(mark.changed, at)

    def judged(self, round: str) -> Iterator[tuple[Judged, str]]:
        """What stands for every attempt of a round, with the person's masked name."""
        number, names = self.names.get(round), list(self.names)
        for participant, person in self.people.items():
            for fields in _PACKED.iter_unpack(person.attempts):
                if fields[0] == number:
                    yield self._unpacked(participant, fields, names), person.name

    def holders(self, round: str, emails: Collection[bytes]) -> Iterator[tuple[str, Person]]:
        """The people with an attempt in a round whose e-mail has one of these digests."""
        number = self.names.get(round)
        for participant, person in self.people.items():
            if person.email in emails and any(fields[0] == number for fields in _PACKED.iter_unpack(person.attempts)):
                yield participant, person

    def _person(self, participant: str) -> Person:
        person = self.people.get(participant)
        if person is None:
            person = self.people[participant] = Person()
        return person

    def _number(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def _set_number(self, categories: Sequence[str]) -> int:
        wanted = tuple(self._number(category) for category in categories)
        try:
            return self.sets.index(wanted)  # there are a few dozens at most
        except ValueError:
            self.sets.append(wanted)
            return len(self.sets) - 1

    def _packed(self, judged: Judged) -> bytes:
        return _PACKED.pack(
            self._number(judged.round),
            judged.n,
            _VERDICTS.index(judged.verdict),
            judged.revision,
            judged.correct,
            judged.total,
            self._number(judged.unit),
            self._set_number(judged.categories),
            judged.key_version,
            judged.rules,
            _UNASKED if judged.prediction is None else judged.prediction,
            judged.started,
            judged.received,
            judged.digest,
            judged.extra,
        )

    def _unpacked(self, participant: str, fields: tuple[Any, ...], names: Sequence[str]) -> Judged:
        round, n, verdict, revision, correct, total, unit, categories, key_version, rules, prediction = fields[:11]
        *times, digest, extra = fields[11:]
        return Judged(
            participant=participant,
            round=names[round],
            n=n,
            unit=names[unit],
            categories=tuple(names[number] for number in self.sets[categories]),
            started=times[0],
            received=times[1],
            digest=digest,
            prediction=None if prediction == _UNASKED else prediction,
            verdict=_VERDICTS[verdict],
            correct=correct,
            total=total,
            key_version=key_version,
            rules=rules,
            revision=revision,
            ruling=self.ruling(f"{participant}:{names[round]}:{n}").revision if self.rulings else 0,
            extra=extra,
        )


def mask(name: str) -> str:
    """A name as everyone may see it: the family name, and the first letter of each other: "Nguyễn T*** H***". A single name keeps
    its first letter only."""
    words = unicodedata.normalize("NFC", name).split()
    shown = words[:1] if len(words) > 1 else []
    return " ".join(shown + [f"{word[0]}***" for word in words[len(shown) :]])


class Entry(NamedTuple):
    """A valid attempt that may count in a ranking."""

    participant: str
    n: int
    name: str
    unit: str
    correct: int
    total: int
    elapsed_ms: int
    received: int
    prediction: int | None


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One person's place. Those whom no criterion tells apart share a rank and stand in order of participant."""

    rank: int
    participant: str
    n: int
    name: str
    unit: str
    correct: int
    elapsed_ms: int
    gap: int | None


class Tally(NamedTuple):
    """The figures of a round. `perfect` counts people with a valid attempt without a fault: what was to be predicted."""

    attempts: int
    valid: int
    perfect: int


Criterion = Callable[[Entry, int], int]

_CRITERIA: dict[str, Criterion] = {
    "correct": lambda entry, _: entry.correct,
    "prediction_gap": lambda entry, perfect: MOST if entry.prediction is None else abs(entry.prediction - perfect),
    "elapsed": lambda entry, _: entry.elapsed_ms,
    "received_at": lambda entry, _: entry.received,
}


def perfect(entries: Iterable[Entry]) -> int:
    """How many people have a perfect valid attempt."""
    return len({entry.participant for entry in entries if entry.correct == entry.total})


def standings(entries: Iterable[Entry], counting: Counting, ranking: Sequence[str], perfect: int) -> list[Row]:
    """The people in order of rank, each by the attempt of theirs that counts. The same entries in any order
    give the same rows. Raises ValueError for a criterion that is none."""
    key = _key(ranking, perfect)
    standing: dict[str, tuple[tuple[int, ...], Entry]] = {}
    for entry in entries:
        held, candidate = standing.get(entry.participant), (key(entry), entry)
        if held is None or _counts_before(candidate, held, counting):
            standing[entry.participant] = candidate
    ordered = sorted(standing.values(), key=lambda each: (each[0], each[1].participant))
    rows: list[Row] = []
    last: tuple[int, ...] | None = None
    for position, (value, entry) in enumerate(ordered, 1):
        rank = rows[-1].rank if value == last else position
        last = value
        gap = None if entry.prediction is None else abs(entry.prediction - perfect)
        rows.append(Row(rank, entry.participant, entry.n, entry.name, entry.unit, entry.correct, entry.elapsed_ms, gap))
    return rows


def _counts_before(one: tuple[tuple[int, ...], Entry], other: tuple[tuple[int, ...], Entry], counting: Counting) -> bool:
    if counting == "best":
        return (one[0], one[1].n) < (other[0], other[1].n)
    return one[1].n < other[1].n if counting == "first" else one[1].n > other[1].n


def _key(ranking: Sequence[str], perfect: int) -> Callable[[Entry], tuple[int, ...]]:
    signed: list[tuple[Criterion, int]] = []
    for words in ranking:
        name, _, direction = words.partition(" ")
        if name not in _CRITERIA or direction not in ("asc", "desc"):
            raise ValueError(f"no criterion of a ranking: {words!r}")
        signed.append((_CRITERIA[name], 1 if direction == "asc" else -1))
    return lambda entry: tuple(sign * criterion(entry, perfect) for criterion, sign in signed)
