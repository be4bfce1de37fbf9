"""What is shown to a person before a round is ranked: the same cases for the same attempts in any order, and nothing ordinary."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.scoring.anomalies import Case, Limits, Sight, Watch

ORDINARY = Sight(
    attempt="an:r:1", participant="an", elapsed_ms=300_000, correct=15, total=20, answers=b"1", faults=5, device="", block=b""
)


def seen(*sights: Sight, limits: Limits | None = None) -> list[Case]:
    watch = Watch(limits or Limits())
    for sight in sights:
        watch.see(sight)
    return watch.cases()


def people(count: int, **changes: object) -> list[Sight]:
    """So many people, alike in these things only."""
    return [
        replace(ORDINARY, attempt=f"p{n}:r:1", participant=f"p{n}", answers=bytes([n]), **changes)  # type: ignore[arg-type]
        if "answers" not in changes
        else replace(ORDINARY, attempt=f"p{n}:r:1", participant=f"p{n}", **changes)  # type: ignore[arg-type]
        for n in range(count)
    ]


def test_an_ordinary_round_has_no_case() -> None:
    assert seen(*people(200)) == []


def test_who_is_faster_than_reading_is_a_case_and_a_blind_guesser_is_none() -> None:
    (case,) = seen(replace(ORDINARY, elapsed_ms=20_000, correct=20))
    assert (case.kind, case.attempts, case.figure) == ("too_fast", ("an:r:1",), 1000)
    assert seen(replace(ORDINARY, elapsed_ms=20_000, correct=5)) == []
    assert seen(replace(ORDINARY, elapsed_ms=20_000, correct=20), limits=Limits(pace_ms=0)) == []


def test_six_people_with_one_device_are_a_case_and_six_attempts_of_one_person_are_none() -> None:
    (case,) = seen(*people(6, device="d"), *people(5, device="e"))
    assert (case.kind, case.figure, len(case.attempts)) == ("shared_device", 6, 6)
    assert seen(*(replace(ORDINARY, attempt=f"an:r:{n}", device="d", answers=bytes([n])) for n in range(9))) == []


def test_the_same_faults_are_a_case_and_the_same_right_answers_are_none() -> None:
    (case,) = seen(*people(6, answers=b"same"))
    assert case.kind == "identical_answers"
    assert seen(*people(60, answers=b"same", faults=2)) == []


def test_phone_numbers_in_a_row_are_a_case() -> None:
    (case,) = seen(*people(7, block=b"09"))
    assert (case.kind, case.figure) == ("phone_block", 7)


@given(st.permutations([*people(7, device="d"), *people(6, answers=b"x"), replace(ORDINARY, elapsed_ms=1)]))
def test_in_any_order_the_same_cases_under_the_same_ids(sights: list[Sight]) -> None:
    usual = sorted(sights, key=lambda sight: sight.attempt)
    assert [(case.id, case) for case in seen(*sights)] == [(case.id, case) for case in seen(*usual)]
