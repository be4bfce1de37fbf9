"""Questions that are there twice, or nearly: within a file, and against the bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from rapidfuzz import fuzz, process

from services.quiz.bank.rules import fold
from services.quiz.domain import Question

NEAR = 90
"""Texts at least so alike (of 100, without diacritics) are named."""
SAME_OPTIONS_NEAR = 70
"""The same where all options are the same."""
SHORT = 30
"""A text of no more characters says little by itself."""


def fingerprint(question: Question) -> str:
    """The same for the same question, however its letters are cased and spaced and its options ordered: 12 hexadecimal digits."""
    parts = [_plain(question.text), question.picture, *sorted(map(_plain, question.options))]
    return blake2b("\0".join(parts).encode(), digest_size=6).hexdigest()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .?!:;…")


@dataclass(frozen=True)
class Likeness:
    """Another question like the one asked about: its place in the list of all, and whether it is the same."""

    place: int
    exact: bool


class Twins:
    """Finds, for each question that is added, the one before it that it repeats."""

    def __init__(self, known: Sequence[Question]) -> None:
        self._exact: dict[str, int] = {}
        self._folded: list[str] = []
        self._pictures: list[str] = []
        self._options: list[frozenset[str]] = []
        self._with_options: dict[frozenset[str], list[int]] = {}
        for question in known:
            self.add(question)

    def find(self, question: Question) -> Likeness | None:
        """The question that this one repeats, or nearly."""
        same = self._exact.get(fingerprint(question))
        if same is not None:
            return Likeness(same, exact=True)
        folded, options = fold(question.text), _options(question)
        for place in self._with_options.get(options, ()):
            if self._may_repeat(question, place) and fuzz.ratio(folded, self._folded[place], score_cutoff=SAME_OPTIONS_NEAR):
                return Likeness(place, exact=False)
        hits = process.extract(folded, self._folded, scorer=fuzz.ratio, processor=None, limit=3, score_cutoff=NEAR)
        for _, _, place in hits:
            # A short stem ("Chọn đáp án đúng") over options that are all others is another question.
            if self._may_repeat(question, place) and (len(folded) > SHORT or options & self._options[place]):
                return Likeness(place, exact=False)
        return None

    def _may_repeat(self, question: Question, place: int) -> bool:
        """The same words about another picture are another question."""
        return not question.picture or self._pictures[place] in ("", question.picture)

    def add(self, question: Question) -> None:
        """Makes a question known."""
        self._exact.setdefault(fingerprint(question), len(self._folded))
        self._folded.append(fold(question.text))
        self._pictures.append(question.picture)
        self._options.append(_options(question))
        self._with_options.setdefault(self._options[-1], []).append(len(self._options) - 1)


def _options(question: Question) -> frozenset[str]:
    return frozenset(map(fold, question.options))
