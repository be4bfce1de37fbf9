"""Papers and attempts: what a blueprint asks for is what is drawn, keys fit what is shown, and a start has one meaning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.quiz.domain import (
    LETTERS,
    Open,
    Question,
    Running,
    Spent,
    Start,
    attempt_id,
    check_answers,
    deadline,
    draw,
    next_attempt,
    paper_code,
    parse_attempt_id,
)  # fmt: skip

NOW = datetime(2026, 5, 19, 13, 0, tzinfo=UTC)
CLOSES = NOW + timedelta(hours=1)
BLUEPRINT = {"A": 2, "*": 3, "B": 1}


def question(number: int, topic: str, options: int, right: set[int]) -> Question:
    texts = tuple(f"q{number} option {place}" for place in range(options))
    return Question(f"q{number}", topic, f"Question {number}?", texts, frozenset(right))


@st.composite
def banks(draw: st.DrawFn) -> list[Question]:
    """Enough of each topic for BLUEPRINT, of all numbers of options."""
    topics = ["A"] * 3 + ["B"] * 2 + ["C"] * 2 + ["D"] * 2 + draw(st.lists(st.sampled_from("ABCD"), max_size=6))
    bank = []
    for number, topic in enumerate(topics):
        options = draw(st.integers(2, 8))
        right = draw(st.sets(st.integers(0, options - 1), min_size=1, max_size=options - 1))
        bank.append(question(number, topic, options, right))
    return bank


def parts(key: str) -> list[str]:
    """A key's answers: a letter each, or a group."""
    found, at = [], 0
    while at < len(key):
        end = key.index(")", at) + 1 if key[at] == "(" else at + 1
        found.append(key[at:end])
        at = end
    return found


@given(banks(), st.integers(0, 2**32), st.integers(1, 12))
def test_papers_hold_what_the_blueprint_asks_for(bank: list[Question], seed: int, codes: int) -> None:
    papers = draw(bank, BLUEPRINT, codes, Random(seed))
    assert [paper.code for paper in papers] == [f"{n:03d}" for n in range(1, codes + 1)]
    topic_of = {q.id: q.topic for q in bank}
    for paper in papers:
        ids = [q.id for q in paper.questions]
        assert len(set(ids)) == len(ids) == 6
        topics = [topic_of[id] for id in ids]
        assert (topics.count("A"), topics.count("B")) == (2, 1)


@given(banks(), st.integers(0, 2**32))
def test_a_key_names_the_right_options_as_the_paper_shows_them(bank: list[Question], seed: int) -> None:
    by_id = {q.id: q for q in bank}
    for paper in draw(bank, BLUEPRINT, 4, Random(seed)):
        for shown, part in zip(paper.questions, parts(paper.key), strict=True):
            source = by_id[shown.id]
            assert shown.text == source.text
            assert sorted(shown.options) == sorted(source.options)
            letters = part.strip("()")
            assert list(letters) == sorted(letters)
            assert {shown.options[LETTERS.index(letter)] for letter in letters} == {source.options[i] for i in source.right}
            assert shown.several == part.startswith("(") == (len(source.right) > 1)


@given(banks(), st.integers(0, 2**32))
def test_a_key_fits_the_shape_of_its_paper(bank: list[Question], seed: int) -> None:
    for paper in draw(bank, BLUEPRINT, 4, Random(seed)):
        marks = [LETTERS[len(q.options) - 1] if q.several else str(len(q.options)) for q in paper.questions]
        assert paper.shape == "".join(marks)
        assert check_answers(paper.key, paper.shape) is None
        assert check_answers("-" * len(paper.shape), paper.shape) is None


@given(banks(), st.integers(0, 2**32))
def test_the_same_seed_draws_the_same_papers(bank: list[Question], seed: int) -> None:
    assert draw(bank, BLUEPRINT, 5, Random(seed)) == draw(bank, BLUEPRINT, 5, Random(seed))


def test_questions_and_options_are_shuffled_from_code_to_code() -> None:
    bank = [question(n, "A", 4, {0}) for n in range(10)]
    papers = draw(bank, {"A": 10}, 20, Random(1))
    assert len({tuple(q.id for q in paper.questions) for paper in papers}) == 20
    assert set("".join(paper.key for paper in papers)) == set("ABCD")
    topics = [question(n, "AB"[n % 2], 2, {0}) for n in range(10)]
    mixed = draw(topics, {"A": 5, "B": 5}, 5, Random(1))
    assert any(int(q.id[1:]) % 2 for paper in mixed for q in paper.questions[:5])


def test_codes_past_999_have_four_digits_and_stay_apart() -> None:
    papers = draw([question(0, "A", 2, {0})], {"A": 1}, 1001, Random(1))
    assert papers[-1].code == "1001"
    assert len({paper.code for paper in papers}) == 1001


@pytest.mark.parametrize("blueprint", [{"A": 3}, {"A": 2, "*": 2}, {"E": 1}])
def test_a_bank_that_is_too_small_is_refused(blueprint: dict[str, int]) -> None:
    bank = [question(1, "A", 2, {0}), question(2, "A", 2, {0}), question(3, "B", 2, {0})]
    with pytest.raises(ValueError, match="wanted"):
        draw(bank, blueprint, 1, Random(1))


@pytest.mark.parametrize(
    ("answers", "shape", "fault"),
    [
        ("AD-B", "4444", None),
        ("ADEB", "4444", 2),  # E is the fifth of four
        ("AC", "22", 1),
        ("ADB", "4444", 3),  # one too few
        ("ADBCA", "4444", 4),  # one too many
        ("", "4", 0),
        ("a", "4", 0),
        ("A\n", "4", 1),
        ("Á", "4", 0),
        ("(AB)A", "44", 0),  # a group where one is to be chosen
        ("(AC)B", "D4", None),
        ("CB", "D4", None),
        ("-B", "D4", None),
        ("(CA)B", "D4", 0),  # out of order
        ("(AA)B", "D4", 0),
        ("(AE)B", "D4", 0),
        ("()B", "D4", 0),
        ("(ACB", "D4", 0),  # never closed
        ("(ABCDEFGH)", "H", None),
        ("A(BD)D", "2D3", 2),
    ],
)
def test_the_first_fault_of_answers_is_found(answers: str, shape: str, fault: int | None) -> None:
    assert check_answers(answers, shape) == fault


@given(st.text("2345678", min_size=1, max_size=30), st.text("ABCDEFGH-", max_size=32))
def test_single_answers_are_checked_as_a_plain_loop_would(shape: str, answers: str) -> None:
    fits = [letter in "-" + LETTERS[: int(mark)] for letter, mark in zip(answers, shape, strict=False)]
    first = fits.index(False) if False in fits else (None if len(answers) == len(shape) else min(len(answers), len(shape)))
    assert check_answers(answers, shape) == first


@given(
    st.from_regex(r"[a-z2-7]{20}", fullmatch=True), st.from_regex(r"[a-z0-9-]+\.[a-z0-9-]+", fullmatch=True), st.integers(1, 100)
)
def test_an_attempts_id_names_its_parts(participant: str, round: str, n: int) -> None:
    assert attempt_id(participant, round, n) == f"{participant}:{round}:{n}"
    assert parse_attempt_id(attempt_id(participant, round, n)) == (participant, round, n)


@pytest.mark.parametrize("text", ["", "a:b", "a:b:c", "a:b:1:2"])
def test_what_is_no_attempts_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        parse_attempt_id(text)


def test_papers_are_given_alike_on_every_host_and_differ_from_attempt_to_attempt() -> None:
    codes = [f"{n:03d}" for n in range(1, 129)]
    # The very codes: a host of another version must not hand out another paper.
    assert [paper_code("k3vqx7mzt2rwn5hjd4ba", "hp.tuan-1", n, codes) for n in (1, 2, 3)] == ["092", "093", "094"]
    people = [f"{n:020d}" for n in range(3000)]
    for person in people[:50]:
        assert len({paper_code(person, "hp.tuan-1", n, codes[:3]) for n in (1, 2, 3)}) == 3
    given_out = [paper_code(person, "hp.tuan-1", 1, codes) for person in people]
    assert set(given_out) == set(codes)
    assert max(given_out.count(code) for code in codes) < 60  # 23 on average
    assert any(paper_code(person, "hp.tuan-2", 1, codes) != paper_code(person, "hp.tuan-1", 1, codes) for person in people[:5])


def test_a_paper_is_due_after_its_minutes_or_when_the_round_closes() -> None:
    assert deadline(NOW, 15, CLOSES) == NOW + timedelta(minutes=15)
    assert deadline(CLOSES - timedelta(minutes=5), 15, CLOSES) == CLOSES


def ago(n: int, minutes: float) -> Start:
    return Start(n, NOW - timedelta(minutes=minutes), f"{n:03d}")


@pytest.mark.parametrize(
    ("starts", "submitted", "most", "meaning"),
    [
        ([], set(), 3, Open(1)),
        ([ago(1, 5)], set(), 3, Running(ago(1, 5))),
        ([ago(1, 5)], {1}, 3, Open(2)),  # handed in
        ([ago(1, 15)], set(), 3, Open(2)),  # its time is up
        ([ago(1, 14.99)], set(), 3, Running(ago(1, 14.99))),
        ([ago(1, 15)], set(), 1, Spent()),
        ([ago(1, 5)], {1}, 1, Spent()),
        ([ago(1, 5)], set(), 1, Running(ago(1, 5))),  # the last one too goes on
        ([ago(2, 5), ago(1, 30)], {1}, 3, Running(ago(2, 5))),  # in whatever order
        ([ago(1, 30), ago(2, 5)], {2}, 3, Open(3)),
        ([ago(1, 30), ago(2, 20), ago(3, 16)], set(), 3, Spent()),
    ],
)
def test_a_start_runs_on_opens_the_next_or_finds_none_left(
    starts: list[Start], submitted: set[int], most: int, meaning: Running | Open | Spent
) -> None:
    assert next_attempt(starts, submitted, NOW, 15, CLOSES, most) == meaning


def test_no_attempt_runs_past_the_closing() -> None:
    assert next_attempt([ago(1, 5)], set(), NOW, 15, NOW, 3) == Open(2)
    assert next_attempt([ago(1, 5)], set(), NOW, 15, NOW + timedelta(seconds=1), 3) == Running(ago(1, 5))


def test_a_person_gets_each_attempt_once_and_no_more_than_the_limit() -> None:
    for handed_in, most in product((True, False), (1, 2, 5)):
        starts: list[Start] = []
        now = NOW
        while isinstance(meaning := next_attempt(starts, _done(starts, handed_in), now, 15, NOW + timedelta(days=1), most), Open):
            starts.append(Start(meaning.n, now, "001"))
            now += timedelta(minutes=16)
        assert [start.n for start in starts] == list(range(1, most + 1))
        assert meaning == Spent()


def _done(starts: list[Start], handed_in: bool) -> set[int]:
    return {start.n for start in starts} if handed_in else set()
