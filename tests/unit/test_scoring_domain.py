"""Grading, deadlines, masks, the packed state, and rankings that no order of arrival changes."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain import GRACE, MINUTE, Entry, Judged, State, Unfit, grade, mask, perfect, standings, verdict

RANKING = ("correct desc", "prediction_gap asc", "elapsed asc", "received_at asc")


@pytest.mark.parametrize(
    ("answers", "key", "correct"),
    [
        ("ABCD", "ABCD", 4),
        ("AB-D", "ABCD", 3),
        ("----", "ABCD", 0),
        ("A(AC)CD", "A(AC)CD", 4),
        ("A(CA)CD", "A(AC)CD", 4),
        ("AACD", "A(AC)CD", 3),
        ("A(A)CD", "AACD", 4),
        ("A(ABC)CD", "A(AC)CD", 3),
    ],
)
def test_answers_are_compared_place_by_place_and_groups_as_sets(answers: str, key: str, correct: int) -> None:
    assert grade(answers, key) == (correct, 4)


@pytest.mark.parametrize("answers", ["", "ABC", "ABCDA", "ab(c", "AB()D", "A(ACD", "ABCĐ", "AB D"])
def test_answers_that_do_not_fit_the_key_are_refused(answers: str) -> None:
    with pytest.raises(Unfit):
        grade(answers, "ABCD")


@pytest.mark.parametrize(
    ("received", "closes", "expected"),
    [
        (15 * MINUTE + GRACE, 60 * MINUTE, "valid"),
        (15 * MINUTE + GRACE + 1, 60 * MINUTE, "late"),
        (10 * MINUTE + GRACE, 10 * MINUTE, "valid"),
        (10 * MINUTE + GRACE + 1, 10 * MINUTE, "late"),
    ],
)
def test_the_deadline_is_the_end_of_the_minutes_or_of_the_round(received: int, closes: int, expected: str) -> None:
    assert verdict(0, received, 15, closes) == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Nguyễn Văn An", "Nguyễn V*** A***"),
        ("  Đỗ   Ánh ", "Đỗ Á***"),
        ("Nguye\u0302\u0303n A\u0301nh", "Nguyễn Á***"),
        ("Bình", "B***"),
        ("", ""),
    ],
)
def test_a_masked_name_keeps_the_family_name_and_first_letters(name: str, shown: str) -> None:
    assert mask(name) == shown


people = st.sampled_from(["an", "binh", "chi", "dung"])
judgements = st.builds(
    Judged,
    participant=people,
    round=st.sampled_from(["r1", "r2"]),
    n=st.integers(1, 3),
    unit=st.sampled_from(["u1", "u2", "r1"]),
    categories=st.sampled_from([(), ("a",), ("a", "b"), ("b", "a")]),
    started=st.integers(0, 2**50),
    received=st.integers(0, 2**50),
    digest=st.binary(min_size=16, max_size=16),
    prediction=st.none() | st.integers(0, 2**53 - 1),
    verdict=st.sampled_from(["valid", "late", "disqualified"]),
    correct=st.integers(0, 300),
    total=st.integers(0, 300),
    key_version=st.integers(0, 9),
    rules=st.integers(0, 9),
    revision=st.integers(0, 9),
)


@given(st.lists(judgements))
def test_a_state_gives_back_what_was_put_also_from_a_snapshot(puts: list[Judged]) -> None:
    state, expected = State(), {}
    for at, judged in enumerate(puts):
        state.mark(judged.round, 0, 0, 1)
        state.put(judged, at)
        expected[judged.attempt] = judged
    for each in (state, msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)):
        assert {judged.attempt: judged for round in ("r1", "r2") for judged, _ in each.judged(round)} == expected
        for judged in expected.values():
            assert each.find(judged.participant, judged.round, judged.n) == judged


def test_a_repeat_leaves_no_mark_and_a_change_does() -> None:
    state = State()
    judged = Judged(
        participant="an", round="r1", n=1, unit="u1", categories=(), started=0, received=5, digest=bytes(16), prediction=None,
        verdict="valid", correct=1, total=2, key_version=1, rules=0,
    )  # fmt: skip
    mark = state.mark("r1", 100, 0, 1)
    state.put(judged, 7)
    state.put(judged, 9)
    assert mark.changed == 7
    state.put(msgspec.structs.replace(judged, received=4), 10)
    assert mark.changed == 10


entries = st.lists(
    st.builds(
        Entry,
        participant=people,
        n=st.integers(1, 3),
        name=st.just("N***"),
        unit=st.just("u1"),
        correct=st.integers(0, 2),
        total=st.just(2),
        elapsed_ms=st.integers(0, 2),
        received=st.integers(0, 2),
        prediction=st.none() | st.integers(0, 3),
    ),
    unique_by=lambda entry: (entry.participant, entry.n),
)
rankings = st.lists(st.sampled_from([*RANKING, "elapsed desc", "correct asc"]), max_size=4)


@given(entries, st.sampled_from(["best", "first", "last"]), rankings, st.data())
def test_the_same_attempts_in_any_order_give_the_same_standings(found, counting, ranking, data) -> None:  # type: ignore[no-untyped-def]
    rows = standings(found, counting, ranking, perfect(found))
    shuffled = data.draw(st.permutations(found))
    assert standings(shuffled, counting, ranking, perfect(shuffled)) == rows
    assert sorted(row.participant for row in rows) == sorted({entry.participant for entry in found})
    assert all(row.rank == position or row.rank == before.rank for position, (before, row) in enumerate(pairwise(rows), 2))


@given(entries)
def test_the_best_attempt_counts_and_nobody_below_is_better(found: list[Entry]) -> None:
    figure = perfect(found)
    rows = standings(found, "best", RANKING, figure)
    keys = [(-row.correct, row.gap if row.gap is not None else 10**9, row.elapsed_ms) for row in rows]
    assert keys == sorted(keys)
    for row in rows:
        assert row.correct == max(entry.correct for entry in found if entry.participant == row.participant)


def test_first_and_last_go_by_the_number_of_the_attempt() -> None:
    found = [Entry("an", n, "", "u1", correct, 20, 1, 1, None) for n, correct in ((1, 5), (2, 20), (3, 7))]
    picked = {counting: standings(found, counting, RANKING, 0)[0].n for counting in ("best", "first", "last")}
    assert picked == {"best": 2, "first": 1, "last": 3}


def test_equals_share_a_rank_and_the_next_one_is_as_far_down_as_it_stands() -> None:
    found = [Entry(who, 1, "", "u1", correct, 20, 1, 1, None) for who, correct in (("c", 5), ("a", 9), ("b", 9), ("d", 4))]
    assert [(row.rank, row.participant) for row in standings(found, "best", ("correct desc",), 0)] == [
        (1, "a"), (1, "b"), (3, "c"), (4, "d")
    ]  # fmt: skip


def test_the_predicted_figure_counts_people_and_who_predicted_nothing_comes_last() -> None:
    found = [
        Entry("a", 1, "", "u", 2, 2, 9, 9, 4), Entry("a", 2, "", "u", 2, 2, 9, 9, 4),
        Entry("b", 1, "", "u", 2, 2, 9, 9, 3), Entry("c", 1, "", "u", 2, 2, 1, 1, None),
    ]  # fmt: skip
    assert perfect(found) == 3
    rows = standings(found, "best", RANKING, 3)
    assert [(row.participant, row.gap) for row in rows] == [("b", 0), ("a", 1), ("c", None)]


@pytest.mark.parametrize("words", ["luck desc", "correct", "correct down"])
def test_a_criterion_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="criterion"):
        standings([], "best", (words,), 0)
