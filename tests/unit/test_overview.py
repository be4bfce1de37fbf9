"""The city at a glance: every unit has one tile, in a shade that the legend explains; unknown is neither good nor bad."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.events import Unit
from services.events.units import TERRITORY
from services.reporting.overview import STEPS, Overview, overview
from services.reporting.share import Cell
from services.reporting.turnout import Headcount, Table, shape

PARENTS = {"HP": None, "A": "HP", "A1": "A", "A2": "A", "A3": "A", "B": "HP", "B1": "B", "S": "HP"}
NAMES = {"A": "Quận A", "A1": "Phường Đông", "A2": "Phường 2", "A3": "Phường nghề"}
UNITS = {code: Unit(code=code, parent=parent, name=NAMES.get(code, code), kind="") for code, parent in PARENTS.items()}


def table(people: Mapping[str, int], headcounts: Mapping[str, int] | None = None) -> Table:
    cells = {code: Cell(count) for code, count in people.items()}
    day = date(2023, 5, 20)
    return Table(shape(UNITS, TERRITORY.id, day), cells, {c: Headcount(n, day, "") for c, n in (headcounts or {}).items()})


def shades(found: Overview) -> dict[str, str]:
    return {tile.code: tile.shade for group in found.groups for tile in group.tiles}


def test_tiles_stand_below_the_unit_above_them_and_units_without_anything_below_stand_together() -> None:
    found = overview(table({}), "HP")
    assert [(g.head and g.head.code, [t.code for t in g.tiles]) for g in found.groups] == [
        ("A", ["A1", "A2", "A3"]), ("B", ["B1"]), (None, ["S"]),
    ]  # fmt: skip
    assert set(shades(found).values()) == {"none"}
    assert [t.short for t in found.groups[0].tiles] == ["Đông", "Phường 2", "Phường nghề"]
    assert found.groups[2].tiles[0].inner is False


def test_a_rate_has_its_shade_nobody_is_none_and_no_headcount_is_unknown() -> None:
    figures = table({"A1": 199, "A2": 20, "A3": 40, "B1": 7}, {"A1": 1000, "A2": 100, "A3": 40, "S": 9})
    found = overview(figures, "HP")
    assert found.by == "rate"
    assert shades(found) == {"A1": "0", "A2": "1", "A3": "4", "B1": "unknown", "S": "none"}
    assert [(step.low, step.high) for step in found.legend] == [(0, 20), (20, 40), (40, 60), (60, 80), (80, None)]
    assert overview(figures, "HP", "people").by == "people"


def test_without_any_headcount_people_decide() -> None:
    found = overview(table({"A1": 5, "A2": 300}), "HP", "rate")
    assert (found.by, found.has_rates) == ("people", False)
    assert int(shades(found)["A1"]) < int(shades(found)["A2"])


@given(st.dictionaries(st.sampled_from(["A1", "A2", "A3", "B1", "S"]), st.integers(0, 100_000)))
def test_every_unit_lies_in_the_step_that_the_legend_says(people: dict[str, int]) -> None:
    found = overview(table(people), "HP")
    assert sorted(shades(found)) == ["A1", "A2", "A3", "B1", "S"]
    assert len(found.legend) <= STEPS
    legend = {step.shade: step for step in found.legend}
    for group in found.groups:
        for tile in group.tiles:
            if tile.shade == "none":
                assert tile.people == 0
            else:
                step = legend[tile.shade]
                assert step.low <= tile.people <= (step.high or tile.people)
