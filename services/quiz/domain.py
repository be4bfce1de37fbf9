"""The rules of papers and attempts: how a paper is drawn, what its answers look like, when an attempt may start and must end.

Pure: no framework, no driver, no wire class. A paper's *shape* says the form of its answers, one character a question: the number
of options as a digit, or the letter of that place (`B` for 2 … `H` for 8) where several options may be chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from random import Random

LETTERS = "ABCDEFGH"
_KEY_PART = re.compile(r"\([A-Z]+\)|[A-Z]")
REST = "*"
"""The blueprint's name for all topics that are left."""


@dataclass(frozen=True)
class Question:
    """A question of the bank. `right` holds the positions of the right options; `difficulty` is "", easy, medium or hard;
    `picture` is the digest of its picture, or "", and `picture_alt` what the picture shows, in words; `explanation` says why the
    right options are right, for after the round."""

    id: str
    topic: str
    text: str
    options: tuple[str, ...]
    right: frozenset[int]
    source: str = ""
    difficulty: str = ""
    picture: str = ""
    picture_alt: str = ""
    explanation: str = ""


@dataclass(frozen=True)
class PaperQuestion:
    """A question as one paper shows it: its options in this paper's order."""

    id: str
    text: str
    options: tuple[str, ...]
    several: bool
    picture: str = ""
    picture_alt: str = ""


def picture_path(digest: str) -> str:
    """Where a picture of the bank is served, for ever."""
    return f"/media/{digest}.webp"


@dataclass(frozen=True)
class Paper:
    """A paper (mã đề). `key` is the right answers in the form of a submission's; `layout` has for each place the question's id,
    and the own places of its options in the order shown, e.g. "q17:2031"."""

    code: str
    questions: tuple[PaperQuestion, ...]
    key: str
    shape: str
    layout: tuple[str, ...]


def draw(bank: Sequence[Question], blueprint: Mapping[str, int], codes: int, rng: Random) -> list[Paper]:
    """Draws `codes` papers by the blueprint (topic → count; `*` from all topics that it does not name). The same bank, blueprint
    and state of `rng` give the same papers. Raises ValueError where the bank is too small."""
    return [_draw_one(bank, blueprint, f"{number:03d}", rng) for number in range(1, codes + 1)]


def draws(topic: str, blueprint: Mapping[str, int]) -> bool:
    """Whether a blueprint takes questions of a topic."""
    return bool(blueprint.get(topic, blueprint.get(REST, 0)))


def _draw_one(bank: Sequence[Question], blueprint: Mapping[str, int], code: str, rng: Random) -> Paper:
    chosen: list[Question] = []
    for topic, count in blueprint.items():
        pool = [q for q in bank if (q.topic not in blueprint if topic == REST else q.topic == topic)]
        if len(pool) < count:
            raise ValueError(f"{topic}: {count} wanted, {len(pool)} there")
        chosen += rng.sample(pool, count)
    rng.shuffle(chosen)
    shown = [_show(question, rng) for question in chosen]
    questions, keys, marks, layout = zip(*shown, strict=True) if shown else ((), (), (), ())
    return Paper(code, questions, "".join(keys), "".join(marks), layout)


def _show(question: Question, rng: Random) -> tuple[PaperQuestion, str, str, str]:
    """A question with its options shuffled, its parts of the key, the shape and the layout."""
    order = rng.sample(range(len(question.options)), len(question.options))
    right = "".join(LETTERS[place] for place, option in enumerate(order) if option in question.right)
    several = len(question.right) > 1
    options = tuple(question.options[option] for option in order)
    mark = LETTERS[len(options) - 1] if several else str(len(options))
    shown = PaperQuestion(question.id, question.text, options, several, question.picture, question.picture_alt)
    return shown, f"({right})" if several else right, mark, f"{question.id}:{''.join(map(str, order))}"


def mended(key: str, layout: Sequence[str], question: str, right: frozenset[int]) -> str:
    """The key of a paper with other right options for one question; where the paper does not hold it, the same key."""
    parts = _KEY_PART.findall(key)
    for at, place in enumerate(layout):
        id, _, order = place.rpartition(":")
        if id == question:
            letters = "".join(letter for letter, option in zip(LETTERS, order, strict=False) if int(option) in right)
            parts[at] = f"({letters})" if len(letters) > 1 else letters
    return "".join(parts)


def check_answers(answers: str, shape: str) -> int | None:
    """The position (from 0) of the first question whose answer does not fit, or None where all do. Too few answers are wrong at
    the first that is missing, too many at the one past the last."""
    if _pattern(shape).fullmatch(answers):
        return None
    at = 0
    for number, mark in enumerate(shape):
        found = re.compile(_part(mark)).match(answers, at)
        if found is None:
            return number
        at = found.end()
    return len(shape)


@lru_cache(maxsize=4096)
def _pattern(shape: str) -> re.Pattern[str]:
    return re.compile("".join(map(_part, shape)))


def _part(mark: str) -> str:
    if mark.isdigit():
        return f"[A-{LETTERS[int(mark) - 1]}-]"
    # A group holds each letter once, in alphabetical order; one letter may stand alone.
    options = "".join(f"{letter}?" for letter in LETTERS[: LETTERS.index(mark) + 1])
    return rf"(?:[A-{mark}-]|\((?!\)){options}\))"


def attempt_id(participant: str, round: str, n: int) -> str:
    """The id of a person's n-th attempt in a round."""
    return f"{participant}:{round}:{n}"


def parse_attempt_id(attempt: str) -> tuple[str, str, int]:
    """Participant, round and n of an attempt. Raises ValueError."""
    participant, round, n = attempt.split(":")
    return participant, round, int(n)


def paper_code(participant: str, round: str, n: int, codes: Sequence[str]) -> str:
    """Which paper an attempt gets: the same on every host, and another for each attempt of a person while there are enough."""
    first = int.from_bytes(blake2b(f"{participant}|{round}".encode(), digest_size=8).digest(), "big")
    return codes[(first + n) % len(codes)]


def deadline(started_at: datetime, minutes: int, closes: datetime) -> datetime:
    """When a paper is to be in."""
    return min(started_at + timedelta(minutes=minutes), closes)


@dataclass(frozen=True)
class Start:
    """An attempt's recorded start."""

    n: int
    started_at: datetime
    paper: str


@dataclass(frozen=True)
class Running:
    """The person has this paper in hand."""

    start: Start


@dataclass(frozen=True)
class Open:
    """The n-th attempt may start."""

    n: int


@dataclass(frozen=True)
class Spent:
    """No attempt is left."""


def next_attempt(
    starts: Sequence[Start], submitted: set[int], now: datetime, minutes: int, closes: datetime, most: int
) -> Running | Open | Spent:
    """What a start means for a person with these starts in the round, of which `submitted` are known to be handed in."""
    last = max(starts, key=lambda start: start.n, default=None)
    if last is None:
        return Open(1) if most else Spent()
    if last.n not in submitted and now < deadline(last.started_at, minutes, closes):
        return Running(last)
    return Open(last.n + 1) if last.n < most else Spent()
