"""Item statistics from running sums are those that the formulas give over all answers at once."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain import grade
from services.scoring.statistics import LETTERS, Answer, Item, Sums, answers_of, doubtful, take

people = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=40)


@given(people)
def test_sums_give_what_the_formulas_give(people: list[list[bool]]) -> None:
    sums: Sums = {}
    for marks in people:
        take(sums, [Answer(f"q{place}", "A" if right else "B", right) for place, right in enumerate(marks)])
    assert set(sums) == ({f"q{place}" for place in range(4)} if people else set())
    for place in range(4 if people else 0):
        item = sums[f"q{place}"]
        rights = [int(marks[place]) for marks in people]
        rests = [sum(marks) - marks[place] for marks in people]
        assert item.facility == pytest.approx(sum(rights) / len(rights))
        expected = correlation(rights, rests)
        assert (item.discrimination is None) == (expected is None)
        if expected is not None:
            assert item.discrimination == pytest.approx(expected)
        assert sum(item.chosen.values()) == item.n == len(people)


def correlation(xs: list[int], ys: list[int]) -> float | None:
    """Pearson's, by its definition."""
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys)
    return None if spread < 1e-12 else sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sqrt(spread)


@given(st.data())
def test_answers_are_brought_back_to_the_questions_own_options(data: st.DataObject) -> None:
    places = data.draw(st.integers(1, 6))
    layout, key, given_, expected = [], "", "", []
    for place in range(places):
        size = data.draw(st.integers(2, 8))
        order = data.draw(st.permutations(range(size)))
        right = data.draw(st.sets(st.sampled_from(range(size)), min_size=1))
        chosen = data.draw(st.sets(st.sampled_from(range(size))))
        layout.append(f"q{place}:{''.join(map(str, order))}")
        key += shown(right, order)
        given_ += shown(chosen, order)
        expected.append(Answer(f"q{place}", "".join(LETTERS[each] for each in sorted(chosen)), chosen == right))
    answers = list(answers_of(given_, key, layout))
    assert answers == expected
    assert grade(given_, key) == (sum(answer.right for answer in answers), places)


def shown(options: set[int], order: list[int]) -> str:
    """Own places of options as a paper that shows them in this order has them."""
    letters = "".join(sorted(LETTERS[order.index(option)] for option in options))
    return "-" if not letters else letters if len(letters) == 1 else f"({letters})"


def test_a_key_that_those_who_know_do_not_choose_is_doubtful() -> None:
    good = Item(n=40, right=20, total=600, squares=9800, right_total=380)
    bad = Item(n=40, right=20, total=600, squares=9800, right_total=220)
    rare = Item(n=40, right=2, total=600, squares=9800, right_total=36)
    few = Item(n=10, right=0, total=150, squares=2300)
    assert doubtful({"good": good, "bad": bad, "rare": rare, "few": few}) == ["bad", "rare"]
