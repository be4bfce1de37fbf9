"""Turnout rolled up dated trees, measured against headcounts, ranked: people add up in any tree, unknown stays unknown."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import ContestBook, ContestPublished, HeadcountApproved, Placement, Unit
from services.reporting.headcounts import Headcounts
from services.reporting.share import Cell, added
from services.reporting.turnout import Change, Figure, Headcount, Shape, Table, day_of, rolled_up, shape

NOW = datetime(2023, 5, 20, 12, tzinfo=UTC)
BEFORE, DAY = date(2023, 5, 31), date(2023, 6, 1)
PLACES = (Placement(tree="territory", parent="C"),)


def unit(code: str, parent: str | None, *places: Placement, ended: str | None = None, into: str | None = None) -> Unit:
    return Unit(code=code, parent=parent, name=f"Đơn vị {code}", kind="", placements=places, ended=ended, merged_into=into)


def units(*several: Unit) -> dict[str, Unit]:
    return {each.code: each for each in several}


CITY = units(
    unit("C", None),
    unit("D", "C"),
    unit("E", "C"),
    unit("D1", "D"),
    unit("D2", "D", ended="2023-06-01", into="D1"),
    unit("D21", "D2"),
    unit("E1", "E", Placement(tree="territory", parent="E"), Placement(tree="party", parent="P")),
    unit("P", None, Placement(tree="party", parent=None)),
)


def at(day: date, tree: str = "territory") -> Shape:
    return shape(CITY, tree, day)


def test_a_merged_unit_counts_with_its_successor_and_what_stood_below_it_stands_below_that() -> None:
    cells = {"D1": Cell(people=5), "D2": Cell(people=3), "D21": Cell(people=1)}
    assert at(BEFORE).children["D"] == ["D1", "D2"]
    assert rolled_up(at(BEFORE), cells)["D1"].people == 5
    after = at(DAY)
    assert (after.children["D"], after.children["D1"]) == (["D1"], ["D21"])
    assert {code: cell.people for code, cell in rolled_up(after, cells).items()} == {"": 9, "C": 9, "D": 9, "D1": 9, "D21": 1}


def test_another_tree_counts_those_who_are_in_it() -> None:
    cells = {"D1": Cell(people=5), "E1": Cell(people=3)}
    assert {code: cell.people for code, cell in rolled_up(at(DAY, "party"), cells).items()} == {"": 8, "P": 3, "E1": 3}


def table(**people: int) -> Table:
    heads = {"D": Headcount(100, DAY, "s"), "E": Headcount(10, DAY, "s")}
    return Table(at(DAY), {code: Cell(people=n, attempts=2 * n) for code, n in people.items()}, heads)


def test_ranks_by_people_and_by_rate() -> None:
    found = table(D1=50, E1=6)
    assert [(row.unit.code, row.rank) for row in found.rows("C")] == [("D", 1), ("E", 2)]
    assert [(row.unit.code, row.rank, row.figure.rate) for row in found.rows("C", "rate")] == [("E", 1, 60.0), ("D", 2, 50.0)]
    assert found.rank("E", "rate") == 1
    assert found.average("C") == pytest.approx(100 * 56 / 110)
    assert found.figure("D").per_person == 2.0


def test_units_that_are_level_share_a_rank_and_without_a_headcount_there_is_no_rank_by_rate() -> None:
    found = table(D1=10, E1=1)
    assert [row.rank for row in found.rows("C", "rate")] == [1, 1]
    (only,) = found.rows("D", "rate")
    assert (only.unit.code, only.rank, only.figure.rate, only.figure.headcount) == ("D1", None, None, None)
    assert only.figure.people == 10
    assert found.average("D") is None


def test_what_is_missing_to_a_target_and_what_has_changed() -> None:
    now, before = Figure(50, 80, 0, 0, 0, 0, 99), Figure(40, 60, 0, 0, 0, 0, 100)
    assert (now.missing(80.5), now.missing(50), now.missing(None)) == (30, 0, None)
    assert now.since(before) == Change(10, 20, pytest.approx(100 * 50 / 99 - 40))
    assert now.since(before._replace(headcount=None)).rate is None


def test_midnight_ends_the_day_before() -> None:
    zone = "Asia/Ho_Chi_Minh"
    assert day_of(datetime(2023, 5, 31, 17, tzinfo=UTC), zone) == BEFORE
    assert day_of(datetime(2023, 5, 31, 18, tzinfo=UTC), zone) == DAY


# -- any tree

CODES = [f"U{n}" for n in range(7)]
codes = st.sampled_from(CODES)
ANY = st.fixed_dictionaries({code: st.tuples(st.none() | codes, st.none() | codes, st.booleans()) for code in CODES})


@given(ANY, st.lists(st.tuples(codes, st.integers(1, 9)), max_size=12))
def test_people_add_up_in_any_tree(drawn: dict[str, tuple[str | None, str | None, bool]], stamped: list[tuple[str, int]]) -> None:
    city = units(*(unit(c, p, ended="2023-06-01" if e else None, into=into) for c, (p, into, e) in drawn.items()))
    made = shape(city, "territory", DAY)
    cells: dict[str, Cell] = {}
    for code, people in stamped:
        cells[code] = added(cells.get(code, Cell()), Cell(people=people))
    total = rolled_up(made, cells)
    everybody = sum(people for _, people in stamped)
    assert total[""].people == everybody
    # Everybody stands below the top once, and every unit is what stamped it and the sum of what is below it.
    assert sum(total.get(code, Cell()).people for code in made.children.get(None, [])) == everybody
    for code in made.parents:
        stamped_here = sum(people for stamp, people in stamped if made.stands[stamp] == code)
        below = sum(total.get(child, Cell()).people for child in made.children.get(code, []))
        assert total.get(code, Cell()).people == stamped_here + below


# -- headcounts


def book() -> ContestBook:
    found = ContestBook()
    found.apply(
        ContestPublished(
            time=NOW, contest="hp", title="", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(), categories=(),
            units=tuple(CITY.values()), rounds=(),
        )
    )  # fmt: skip
    return found


def approved(
    unit: str, people: int | None, as_of: str = "2023-05-01", revision: int = 0, category: str = ""
) -> HeadcountApproved:
    return HeadcountApproved(
        time=NOW, contest="hp", unit=unit, category=category, as_of=as_of, people=people, source="Sở", revision=revision
    )


def known(day: date, *events: HeadcountApproved) -> dict[str, int]:
    heads = Headcounts(book())
    for event in events:
        heads.apply(event)
    return {code: head.people for code, head in heads.table("hp", "territory", "", day).items()}


def test_a_superior_has_the_sum_of_those_below_where_all_are_known() -> None:
    below = [approved("D1", 10), approved("D2", 20)]
    assert known(BEFORE, *below) == {"D1": 10, "D2": 20, "D": 30}
    assert known(BEFORE, *below, approved("E1", 5)) == {"D1": 10, "D2": 20, "D": 30, "E1": 5, "E": 5, "C": 35}
    assert known(BEFORE, *below, approved("D", 50))["D"] == 50


def test_the_latest_day_that_was_reached_stands_and_of_it_the_highest_revision() -> None:
    older, newer, later = approved("D1", 10), approved("D1", 12, "2023-05-20"), approved("D1", 99, "2023-12-01")
    for events in ([older, newer, later], [later, newer, older]):
        assert known(BEFORE, *events)["D1"] == 12
    mended = [approved("D1", 13, "2023-05-20", revision=1), newer, older]
    assert known(BEFORE, *mended)["D1"] == 13
    assert known(BEFORE, *mended, approved("D1", None, "2023-05-20", revision=2))["D1"] == 10


def test_a_unit_that_took_another_in_needs_the_headcount_of_both_until_it_is_counted_anew() -> None:
    own = approved("D1", 10)
    assert known(BEFORE, own)["D1"] == 10
    assert "D1" not in known(DAY, own), "the people of D2 are not known"
    assert known(DAY, own, approved("D2", 20))["D1"] == 30
    assert known(DAY, own, approved("D2", 20), approved("D1", 28, "2023-06-01"))["D1"] == 28


def test_categories_are_counted_apart() -> None:
    heads = Headcounts(book())
    heads.apply(approved("D1", 7, category="hoc-sinh"))
    assert heads.at("hp", "D1", "", DAY) is None
    assert heads.at("hp", "D1", "hoc-sinh", BEFORE) == Headcount(7, date(2023, 5, 1), "Sở")
