"""Prizes: never more than there are, none below one who has none, ties drawn where they matter; units by exact rates."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from services.kit.web import pages
from services.scoring import publication
from services.scoring.domain import Row
from services.scoring.draw import Beacon, Candidate, Drawing, commitment, new_seed
from services.scoring.prizes import Contender, Ladder, Prize, Undrawn, UnitFigure, conclude, persons, ties, units

DRAWING = Drawing(seed=b"s" * 32)
prizes_of = st.lists(
    st.builds(Prize, name=st.sampled_from(["Nhất", "Nhì", "Ba", "Khuyến khích"]), count=st.integers(1, 4)), max_size=4
).map(tuple)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    sizes = draw(st.lists(st.integers(1, 5), max_size=6))
    contenders, place = [], 1
    for size in sizes:
        contenders += [Contender(f"p{place + i}", place, f"{1000 + place + i}") for i in range(size)]
        place += size
    return Ladder(id="persons", prizes=draw(prizes_of), contenders=tuple(draw(st.permutations(contenders))))


@given(ladders())
def test_winners_are_the_first_and_no_prize_is_given_twice(ladder: Ladder) -> None:
    awards, _ = conclude(ladder, DRAWING)
    there = [prize.name for prize in ladder.prizes for _ in range(prize.count)]
    assert [award.prize for award in awards] == there[: len(ladder.contenders)]
    assert [award.place for award in awards] == list(range(1, len(awards) + 1))
    winners = [award.winner for award in awards]
    assert len(set(winners)) == len(winners)
    ranks = {each.id: each.rank for each in ladder.contenders}
    assert [ranks[winner] for winner in winners] == sorted(ranks[winner] for winner in winners)
    others = [rank for id, rank in ranks.items() if id not in winners]
    assert all(award.rank <= rank for award in awards for rank in others)


@given(ladders(), st.randoms())
def test_the_order_of_contenders_changes_nothing(ladder: Ladder, rng: object) -> None:
    contenders = list(ladder.contenders)
    rng.shuffle(contenders)  # type: ignore[attr-defined]
    other = Ladder(id=ladder.id, prizes=ladder.prizes, contenders=tuple(contenders))
    assert conclude(other, DRAWING) == conclude(ladder, DRAWING)


@given(ladders())
def test_a_draw_is_needed_exactly_where_the_order_of_equals_would_change_a_prize(ladder: Ladder) -> None:
    steps = [prize.name for prize in ladder.prizes for _ in range(prize.count)]
    needed = []
    ordered = sorted(ladder.contenders, key=lambda each: each.rank)
    for rank, group in itertools.groupby(enumerate(ordered), key=lambda each: each[1].rank):
        won = {steps[at] if at < len(steps) else None for at, _ in group}
        if len(won) > 1:
            needed.append(rank)
    assert [tie.rank for tie in ties(ladder)] == needed
    if needed:
        with pytest.raises(Undrawn):
            conclude(ladder, None)
    else:
        assert conclude(ladder, None) == conclude(ladder, DRAWING)


def test_equals_within_one_prize_need_no_draw() -> None:
    three = tuple(Contender(id, 1, id) for id in "abc")
    assert ties(Ladder(id="persons", prizes=(Prize(name="Ba", count=3),), contenders=three)) == []
    (tie,) = ties(Ladder(id="persons", prizes=(Prize(name="Ba", count=2),), contenders=three))
    assert (tie.rank, tie.first, tie.last, len(tie.members)) == (1, 1, 3, 3)


def test_who_is_excluded_wins_nothing_and_the_next_one_does() -> None:
    rows = [Row(place, id, 1, "Tên", "HP", 20, 1000, None) for place, id in enumerate("abc", 1)]
    ladder = persons(rows, (Prize(name="Nhất", count=1),), {"a"}, lambda row: (row.participant, "1"))
    awards, _ = conclude(ladder, None)
    assert [(award.winner, award.rank, award.place) for award in awards] == [("b", 2, 1)]


def test_the_ladder_of_people_ends_behind_the_last_who_could_win() -> None:
    ranks = [1, 2, 3, 3, 3, 6]
    rows = [Row(rank, f"p{place}", 1, "Tên", "HP", 20, 1000, None) for place, rank in enumerate(ranks)]
    ladder = persons(rows, (Prize(name="Nhất", count=3),), {"p0"}, lambda row: (row.participant, row.participant))
    assert [each.id for each in ladder.contenders] == ["p1", "p2", "p3", "p4"]
    assert [(tie.rank, len(tie.members)) for tie in ties(ladder)] == [(3, 3)]
    assert persons(rows, (), set(), lambda row: ("", "")).contenders == ()


def unit(code: str, people: int, headcount: int | None) -> UnitFigure:
    return UnitFigure(code=code, name=f"Phường {code}", people=people, headcount=headcount)


def test_units_without_a_headcount_never_win_by_rate_but_may_by_people() -> None:
    figures = [unit("a", 500, None), unit("b", 10, 100), unit("c", 9, 9), unit("d", 0, 50)]
    by_rate, by_people = units(
        figures, [Prize(name="Tỷ lệ", count=9, by="rate", least=10), Prize(name="Số người", count=9, by="people")]
    )
    assert [award.winner for award in conclude(by_rate, None)[0]] == ["b"]
    assert [award.winner for award in conclude(by_people, None)[0]] == ["a", "b", "c"]


def test_a_rate_above_one_counts_as_one_and_people_decide() -> None:
    figures = [unit("a", 30, 10), unit("b", 200, 200), unit("c", 199, 200)]
    (ladder,) = units(figures, [Prize(name="Tỷ lệ", count=3, by="rate")])
    assert [award.winner for award in conclude(ladder, None)[0]] == ["b", "a", "c"]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 60)), max_size=8))
def test_units_by_rate_stand_in_the_order_of_exact_fractions(values: list[tuple[int, int]]) -> None:
    figures = [unit(str(number), *each) for number, each in enumerate(values)]
    (ladder,) = units(figures, [Prize(name="Tỷ lệ", count=8, by="rate")])
    awards, _ = conclude(ladder, DRAWING)
    rates = [min(Fraction(*values[int(award.winner)]), Fraction(1)) for award in awards]
    assert rates == sorted(rates, reverse=True)
    assert len(awards) == len(values)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=8, unique=True), st.booleans())
def test_a_draw_is_what_its_description_says(pairs: list[tuple[str, str]], with_beacon: bool) -> None:
    beacon = Beacon(source="Xổ số miền Bắc", value="48210") if with_beacon else None
    drawing = Drawing(seed=b"s" * 32, beacon=beacon)
    minutes = drawing.draw("persons", 1, 1, len(pairs), [Candidate(*pair) for pair in pairs])
    listed = hashlib.sha256("".join(label + "\n" for label in sorted(label for _, label in pairs)).encode()).digest()
    told = listed + (b"48210" if with_beacon else b"") + b"\n"
    lots = sorted((hmac.new(b"s" * 32, told + label.encode(), "sha256").hexdigest(), id) for id, label in pairs)
    assert [(lot.lot, lot.id) for lot in minutes.order] == lots
    assert minutes.list_hash == listed.hex()


def test_every_order_comes_out_of_some_seed() -> None:
    seen = {
        tuple(lot.id for lot in Drawing(seed=bytes([n]) * 32).draw("x", 1, 1, 3, [Candidate(c, c) for c in "abc"]).order)
        for n in range(60)
    }
    assert seen == set(itertools.permutations("abc"))


def test_a_commitment_is_the_hash_of_its_seed() -> None:
    seed = new_seed()
    assert len(seed) == 32
    assert commitment(seed) == hashlib.sha256(b"hoithi draw 1\n" + seed).hexdigest() == Drawing(seed=seed).commitment
    assert new_seed() != seed


def test_the_minutes_are_shown_in_both_languages() -> None:
    drawing = Drawing(seed=b"s" * 32, beacon=Beacon(source="Xổ số miền Bắc", value="<48210>"))
    minutes = [drawing.draw(ladder, 3, 2, 3, [Candidate(c, c) for c in "ab"]) for ladder in ("persons", "units by rate >= 0")]
    draws = publication.Draws(
        commitment=drawing.commitment,
        committed_at=datetime(2023, 5, 19, tzinfo=UTC),
        seed=drawing.seed.hex(),
        beacon=drawing.beacon,
        minutes=minutes,
    )
    request = Request({"type": "http", "headers": [(b"accept-language", b"en")], "query_string": b"", "path": "/"})
    shown = pages.render(request, "draw_minutes.html", draws=draws, names={"a": "Nguyễn V*** A***"}, timezone="Asia/Ho_Chi_Minh")
    text = bytes(shown.body).decode()
    assert "2 share rank 3" in text
    assert "Nguyễn V*** A***" in text
    assert "&lt;48210&gt;" in text
    assert minutes[0].list_hash in text
