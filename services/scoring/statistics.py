"""Item statistics of a round: how hard each question was and how well it told people apart, from running sums.

Pure. Answers are brought back from the letters of a paper (mã đề) to the question's own options by the paper's layout.

*Facility* is the share of right answers (0 to 1). *Discrimination* is the correlation between being right on the item and the
number of right answers on all others (corrected item-total correlation: S. Henrysson, "Correction of item-total correlations in
item analysis", Psychometrika 28, 1963; for a 0/1 item it is the point-biserial one, Lord & Novick, "Statistical Theories of
Mental Test Scores", 1968, §15.3). From sums over people, with x = 1 for a right answer and t the right answers of the paper:
n, Σx, Σt, Σt², Σxt; the rest score is t - x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import msgspec

from services.scoring.domain import PART

BLANK = "-"
LETTERS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one paper holds at one place: the question, what was chosen in the question's own letters ("" for nothing), whether it
    was right."""

    question: str
    chosen: str
    right: bool


def answers_of(answers: str, key: str, layout: Sequence[str]) -> Iterator[Answer]:
    """The answers to a paper, place by place. `layout` has for each place the question's id and the own places of its options in
    the order shown: "q17:2031" says that A was the third option. The answers fit the paper (the judge has seen to that)."""
    for given, right, place in zip(PART.findall(answers), PART.findall(key), layout, strict=True):
        question, _, order = place.rpartition(":")
        chosen = "" if given == BLANK else "".join(sorted(LETTERS[int(order[LETTERS.index(c)])] for c in given.strip("()")))
        yield Answer(question, chosen, bool(chosen) and set(given.strip("()")) == set(right.strip("()")))


class Item(msgspec.Struct, array_like=True):
    """The running sums of one question; sums of several parts add up field by field."""

    n: int = 0
    right: int = 0
    total: int = 0
    squares: int = 0
    right_total: int = 0
    chosen: dict[str, int] = {}

    def add(self, answer: Answer, total: int) -> None:
        """Takes in one person's answer; `total` counts the right answers of the whole paper."""
        self.n += 1
        self.total += total
        self.squares += total * total
        if answer.right:
            self.right += 1
            self.right_total += total
        self.chosen[answer.chosen] = self.chosen.get(answer.chosen, 0) + 1

    @property
    def facility(self) -> float | None:
        """The share of right answers, or None where nobody had the question."""
        return self.right / self.n if self.n else None

    @property
    def discrimination(self) -> float | None:
        """-1 to 1, or None where it says nothing: all were right, or all wrong, or all had the same rest."""
        rest = self.total - self.right
        squares = self.squares - 2 * self.right_total + self.right
        # n² times the variances and the covariance: whole numbers, so that equal facts give equal figures.
        spread = self.right * (self.n - self.right)
        rest_spread = self.n * squares - rest * rest
        if not spread or not rest_spread:
            return None
        return (self.n * (self.right_total - self.right) - self.right * rest) / sqrt(spread * rest_spread)


Sums = dict[str, Item]
"""The sums of a round by question."""


def take(sums: Sums, answers: Sequence[Answer]) -> None:
    """Adds one paper to the sums of its questions."""
    total = sum(answer.right for answer in answers)
    for answer in answers:
        if answer.question not in sums:
            sums[answer.question] = Item()
        sums[answer.question].add(answer, total)


def doubtful(sums: Mapping[str, Item], least: int = 30) -> list[str]:
    """The questions whose key should be looked at again: those who knew more chose it less (negative discrimination), or hardly
    anybody was right. Only those that at least `least` people had."""
    return sorted(
        question
        for question, item in sums.items()
        if item.n >= least and ((item.discrimination or 0) < 0 or (item.facility or 0) < 0.1)
    )
