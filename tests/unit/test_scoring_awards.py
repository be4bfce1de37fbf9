"""Units by rate: the headcount of the day of the closing, the tree of that day, and what the prizes' event tells of it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import ContestPublished, HeadcountApproved, Unit, encode
from services.events.contests import Placement, Tree
from services.reporting import turnout
from services.scoring import awards, publication
from services.scoring.domain import Judged, Verdict
from services.scoring.headcounts import Headcounts
from services.scoring.prizes import Prize
from services.scoring.scopes import closing_day
from tests.scoring_house import CONTEST, NOW, PLAN
from tests.unit.published_round import final_round

BY_PEOPLE = (Prize(name="Tập thể", count=1, by="people"),)
DAY = date(2026, 11, 25)  # of PLAN's closing, in Hải Phòng


def approved(unit: str, as_of: str, people: int | None, revision: int = 0, category: str = "") -> HeadcountApproved:
    return HeadcountApproved(
        time=NOW, contest="thi", unit=unit, category=category, as_of=as_of, people=people, source="UBND", revision=revision
    )


def counts(*events: HeadcountApproved) -> Headcounts:
    headcounts = Headcounts()
    for event in events:
        headcounts.read(event.type, encode(event))
    return headcounts


@pytest.mark.parametrize(
    ("events", "people"),
    [
        ([], None),
        ([approved("A", "2026-11-01", 100)], 100),
        ([approved("A", "2026-11-01", 100), approved("A", "2026-11-25", 120)], 120),
        ([approved("A", "2026-11-01", 100), approved("A", "2026-11-26", 120)], 100),
        ([approved("A", "2026-11-26", 120)], None),
        ([approved("A", "2026-11-01", 100), approved("A", "2026-11-01", 90, 1)], 90),
        ([approved("A", "2026-10-01", 80), approved("A", "2026-11-01", 100), approved("A", "2026-11-01", None, 1)], 80),
        ([approved("A", "2026-11-01", 55, category="giao-vien")], None),
        ([approved("B", "2026-11-01", 55)], None),
    ],
)
def test_the_newest_entry_of_the_day_counts(events: list[HeadcountApproved], people: int | None) -> None:
    assert counts(*events).people("thi", {}, "A", DAY) == people


@given(st.lists(st.tuples(st.sampled_from(["2026-10-01", "2026-11-01"]), st.integers(0, 3)), unique=True).flatmap(
    lambda held: st.tuples(st.just(held), st.permutations(held))))  # fmt: skip
def test_headcounts_do_not_depend_on_the_order_of_the_facts(orders: tuple[list[tuple[str, int]], list[tuple[str, int]]]) -> None:
    one, other = ([approved("A", day, 10 * n, n) for day, n in order] for order in orders)
    assert counts(*one).people("thi", {}, "A", DAY) == counts(*other).people("thi", {}, "A", DAY)


def contest(*units: Unit) -> ContestPublished:
    return msgspec.structs.replace(CONTEST, units=(Unit(code="HP", parent=None, name="Hải Phòng", kind="city"), *units))


def ward(code: str, **more: str) -> Unit:
    return Unit(code=code, parent="HP", name=f"Phường {code}", kind="ward", **more)  # type: ignore[arg-type]


def test_a_unit_that_was_merged_counts_with_the_one_it_went_into() -> None:
    merged = contest(ward("A"), ward("B", ended="2026-11-20", merged_into="A"), ward("C", ended="2026-12-01", merged_into="A"))
    known = counts(approved("A", "2026-11-20", 4), approved("B", "2026-01-01", 2))
    found = awards.figures(merged, DAY, ["A", "B", "B", "C", "gone"], BY_PEOPLE, known)
    assert {each.code: (each.people, each.headcount) for each in found} == {"A": (3, 4), "C": (1, None)}


@pytest.mark.parametrize(
    ("entries", "people"),
    [
        ([approved("A", "2026-11-01", 40), approved("B", "2026-01-01", 20)], 60),
        ([approved("A", "2026-11-01", 40)], None),
        ([approved("A", "2026-11-20", 55), approved("B", "2026-01-01", 20)], 55),
    ],
)
def test_a_headcount_from_before_a_merge_lacks_who_came_with_it(entries: list[HeadcountApproved], people: int | None) -> None:
    merged = contest(ward("A"), ward("B", ended="2026-11-20", merged_into="A"))
    (found,) = awards.figures(merged, DAY, ["A", "B"], BY_PEOPLE, counts(*entries))
    assert (found.people, found.headcount) == (2, people)


def test_a_prize_names_its_tree_and_level_and_people_of_an_inner_unit_count_there_and_above() -> None:
    trees = (Tree(id="territory", name="Địa bàn"), Tree(id="school", name="Trường"))

    def placed(code: str, territory: str, school: str | None) -> Unit:
        places = (Placement(tree="territory", parent=territory), *([Placement(tree="school", parent=school)] if school else []))
        return Unit(code=code, parent=territory, name=code, kind="unit", placements=places)

    head = Unit(
        code="GD", parent="HP", name="Sở", kind="office",
        placements=(Placement(tree="territory", parent="HP"), Placement(tree="school", parent=None)),
    )  # fmt: skip
    units = msgspec.structs.replace(
        contest(
            ward("A"),Unit(code="A1", parent="A", name="Tổ 1", kind="group"), head,
                placed("S1", "A", "GD"), placed("S2", "GD", "GD")),
        trees=trees,
    )  # fmt: skip
    people = ["A", "A1", "A1", "S1", "GD", "S2", "S2", "HP"]

    def found(**place: str | int) -> dict[str, int]:
        prize = msgspec.structs.replace(BY_PEOPLE[0], **place)
        return {each.code: each.people for each in awards.figures(units, DAY, people, [prize], counts())}

    assert found() == {"A1": 2, "S1": 1, "S2": 2}
    assert found(level=2) == {"A": 4, "GD": 3}
    assert found(level=1) == {"HP": 8}
    assert found(tree="school") == {"S1": 1, "S2": 2}
    assert found(tree="school", level=1) == {"GD": 4}
    assert found(level=9) == {}


@pytest.mark.parametrize("to", ["B", "M"])
def test_a_merged_unit_counts_in_trees_that_it_never_stood_in(to: str) -> None:
    """A stood in the territory alone and went into B, of the schools too, at once or by way of M."""
    trees = (Tree(id="territory", name="Địa bàn"), Tree(id="school", name="Trường"))
    both = (Placement(tree="territory", parent="HP"), Placement(tree="school", parent="GD"))
    units = msgspec.structs.replace(
        contest(
            Unit(code="GD", parent=None, name="Sở", kind="office", placements=(Placement(tree="school", parent=None),)),
            Unit(code="B", parent="HP", name="B", kind="school", placements=both),
            ward("A", ended="2026-11-20", merged_into=to),
            ward("M", ended="2026-11-21", merged_into="B"),
        ),
        trees=trees,
    )
    for level, code in (0, "B"), (1, "GD"):
        prize = msgspec.structs.replace(BY_PEOPLE[0], tree="school", level=level)
        (found,) = awards.figures(units, DAY, ["A", "A", "B"], [prize], counts())
        assert (found.code, found.people) == (code, 3)
        assert len(found.within) == len(set(found.within))


def test_midnight_ends_the_day_before() -> None:
    midnight = msgspec.structs.replace(PLAN, closes=datetime(2026, 11, 25, 17, tzinfo=UTC))
    assert closing_day(CONTEST, midnight) == DAY
    assert turnout.day_of(midnight.closes, CONTEST.timezone) == DAY


def test_a_unit_below_a_merged_one_is_counted_once() -> None:
    below = Unit(code="B1", parent="B", name="Tổ", kind="group")
    merged = contest(ward("A"), ward("B", ended="2026-11-20", merged_into="A"), below)
    found = awards.figures(merged, DAY, ["A", "B", "B1"], BY_PEOPLE, counts())
    assert {each.code: each.people for each in found} == {"B1": 1}


def test_people_count_in_the_unit_of_their_latest_valid_attempt() -> None:
    judged = [
        judged_at("an", 1, "A", 10), judged_at("an", 2, "B", 20), judged_at("an", 3, "C", 30, "late"), judged_at("ba", 1, "C", 5),
    ]  # fmt: skip
    assert awards.latest_units(reversed(judged)) == {"an": "B", "ba": "C"}


def judged_at(who: str, n: int, unit: str, received: int, verdict: Verdict = "valid") -> Judged:
    return Judged(
        participant=who, round=PLAN.id, n=n, unit=unit, categories=(), started=0, received=received, digest=bytes(16),
        prediction=None, verdict=verdict, correct=9, total=20, key_version=1, rules=0,
    )  # fmt: skip


def test_the_event_names_winners_by_participant_and_units_by_their_figure() -> None:
    final = final_round(300)
    outcome = publication.conclude(final)
    told = awards.awarded(final, outcome)
    assert len(told.persons) + len(told.units) == len(outcome.awards)
    first = told.persons[0]
    assert (first.participant, first.name, first.prize) == (final.rows[0].participant, "Nguyễn Thị Ánh Nguyệt", "Giải Nhất")
    assert not {person.participant for person in told.persons} & final.excluded.keys()
    judged = {(each.participant, each.n): each for each in final.judged}
    by = {row.participant: row for row in final.rows}
    for person in told.persons:
        row = by[person.participant]
        assert (person.correct, person.gap, person.unit) == (row.correct, row.gap, row.unit)
        assert person.predicted == judged[row.participant, row.n].prediction
        assert person.received_at
        assert round(person.received_at.timestamp() * 1e6) == judged[row.participant, row.n].received
    drawn = {outcome.participants[lot.id] for each in outcome.minutes if each.ladder == "persons" for lot in each.order}
    assert {person.participant for person in told.persons if person.drawn} == drawn & {p.participant for p in told.persons}
    assert drawn
    rates = [unit.figure for unit in told.units if unit.by == "rate"]
    assert rates == sorted(rates, reverse=True)
    assert all(0 < rate <= 100 for rate in rates)
    figures = {figure.code: figure.people for figure in final.units}
    assert all(unit.figure == figures[unit.unit] for unit in told.units if unit.by == "people")
    assert told.id == f"{final.plan.id}/awards/0"


def test_units_without_a_headcount_are_named_where_a_prize_goes_by_rate() -> None:
    final = final_round(300)
    (unknown,) = [figure.code for figure in final.units if figure.headcount is None]
    assert awards.uncounted(final.unit_prizes, final.units) == (unknown,)
    assert awards.uncounted(BY_PEOPLE, final.units) == ()
