"""The unit trees on a day: moves and merges take effect from their day on, in every tree, and nothing ever goes round."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.events import Placement, Unit
from services.events.units import folded, parents_at, successor

BEFORE, DAY, AFTER = date(2023, 5, 31), date(2023, 6, 1), date(2023, 6, 2)


def unit(code: str, parent: str | None, *places: Placement, ended: str | None = None, into: str | None = None) -> Unit:
    return Unit(code=code, parent=parent, name=code, kind="ward", placements=places, ended=ended, merged_into=into)


def units(*several: Unit) -> dict[str, Unit]:
    return {each.code: each for each in several}


def test_without_placements_there_is_the_territory_alone() -> None:
    city = units(unit("W", "D"), unit("D", "C"), unit("C", None))
    assert list(parents_at(city, "territory", DAY).items()) == [("C", None), ("D", "C"), ("W", "D")]
    assert parents_at(city, "party", DAY) == {}


def test_a_merged_ward_counts_below_the_other_from_its_day_on_in_every_tree() -> None:
    places = (Placement(tree="territory", parent="C"), Placement(tree="party", parent=None))
    city = units(unit("C", None), unit("A", "C", *places, ended="2023-06-01", into="B"), unit("B", "C"))
    assert parents_at(city, "territory", BEFORE)["A"] == "C"
    assert parents_at(city, "territory", DAY)["A"] == "B"
    assert [folded(city["A"], day) for day in (BEFORE, DAY, AFTER)] == [False, True, True]
    assert [successor(city, "A", day) for day in (BEFORE, DAY)] == ["A", "B"]
    assert parents_at(city, "party", AFTER) == {"A": None}, "B is no part of the party's tree, so A is its own top there"


def test_a_unit_moves_on_a_day_and_may_stand_in_several_trees() -> None:
    moved = unit(
        "S", "D",
        Placement(tree="territory", parent="D", until="2023-06-01"),
        Placement(tree="territory", parent="E", since="2023-06-01"),
        Placement(tree="education", parent="Sở"),
    )  # fmt: skip
    city = units(unit("D", None), unit("E", None), unit("Sở", None, Placement(tree="education", parent=None)), moved)
    assert parents_at(city, "territory", BEFORE)["S"] == "D"
    assert parents_at(city, "territory", DAY)["S"] == "E"
    assert parents_at(city, "education", DAY) == {"Sở": None, "S": "Sở"}


codes = st.sampled_from("ABCDE")


@given(st.dictionaries(codes, st.tuples(st.none() | codes, st.none() | codes, st.booleans())))
def test_parents_stand_before_children_and_nothing_goes_round(drawn: dict[str, tuple[str | None, str | None, bool]]) -> None:
    city = units(
        *(unit(code, parent, ended="2023-06-01" if ended else None, into=into) for code, (parent, into, ended) in drawn.items())
    )
    parents = parents_at(city, "territory", DAY)
    assert parents.keys() == city.keys()
    seen: set[str] = set()
    for code, parent in parents.items():
        assert parent is None or parent in seen
        seen.add(code)
    for code in city:
        assert successor(city, code, DAY) in codes_of(city)


def codes_of(city: dict[str, Unit]) -> set[str]:
    return city.keys() | {unit.merged_into for unit in city.values() if unit.merged_into}
