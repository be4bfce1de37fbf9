"""Units as organisers change them: files on top of what there is, merges, moves, ends; and no circle on any day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import Unit
from services.events.contests import Placement, Tree
from services.events.units import parents_at, successor
from services.kit.faults import Faults
from services.kit.problems import Problem
from services.quiz.authoring.units import named_trees, outlook, read_text
from services.quiz.unit_files import CHANGES, TREES, UnitFiles, tables
from services.quiz.unit_trees import Change, Forest, Place, Refused

LAND, SCHOOLS = Tree(id="territory", name="Địa bàn"), Tree(id="giao-duc", name="Giáo dục")
BOTH = (LAND, SCHOOLS)
UNIT_CSV = """\
code,parent,name,kind,tree
HP,,Hải Phòng,city,
A,HP,Quận A,district,
A1,A,Phường A1,ward,
A2,A,Phường A2,ward,
B,HP,Quận B,district,
B1,B,Phường B1,ward,
T1,A,Trường T1,school,
S,,Sở Giáo dục,agency,giao-duc
"""
TREE_CSV = "tree,code,parent,since,until\ngiao-duc,T1,S,,\n"


def built(*held: Unit, **texts: str) -> tuple[list[Unit], list[tuple[str, int | None, str | None]]]:
    """The units that come of files (`units`, `trees`, `changes`), and the places of the faults."""
    faults = Faults()
    files = UnitFiles({f"{name}.csv": text for name, text in texts.items()}, BOTH, faults, held)
    return files.units, [(fault.file, fault.row, fault.column) for fault in faults.found]


def example() -> list[Unit]:
    units, faults = built(units=UNIT_CSV, trees=TREE_CSV)
    assert not faults
    return units


def parents(units: list[Unit], day: str, tree: str = "territory") -> dict[str, str | None]:
    return parents_at({unit.code: unit for unit in units}, tree, date.fromisoformat(day))


def changed(units: list[Unit], *changes: Change) -> list[Unit]:
    forest = Forest(BOTH, units)
    for change in changes:
        forest.apply(change)
    assert not list(forest.faults())
    return forest.units()


def test_units_stand_in_several_trees_and_those_of_one_tree_alone_stay_plain() -> None:
    units = {unit.code: unit for unit in example()}
    assert units["A1"] == Unit(code="A1", parent="A", name="Phường A1", kind="ward")
    assert units["T1"].placements == (Placement(tree="territory", parent="A"), Placement(tree="giao-duc", parent="S"))
    assert (units["S"].parent, units["S"].placements) == (None, (Placement(tree="giao-duc", parent=None),))
    assert parents(list(units.values()), "2025-01-01", "giao-duc") == {"S": None, "T1": "S"}
    assert "S" not in parents(list(units.values()), "2025-01-01")


def test_a_merge_takes_what_is_below_along_and_leaves_the_days_before_as_they_were() -> None:
    units = changed(example(), Change("2025-07-01", "merge", "A", "B"))
    before, after = parents(units, "2025-06-30"), parents(units, "2025-07-01")
    assert (before["A1"], before["T1"], before["A"]) == ("A", "A", "HP")
    assert (after["A1"], after["T1"], after["A"]) == ("B", "B", "B")
    assert parents(units, "2025-07-01", "giao-duc") == {"S": None, "T1": "S"}


def test_a_merge_then_a_move_and_then_another_merge() -> None:
    units = changed(
        example(),
        Change("2025-07-01", "merge", "A1", "A2"),
        Change("2025-08-01", "move", "A2", "B"),
        Change("2025-09-01", "merge", "A2", "B1"),
    )
    by_code = {unit.code: unit for unit in units}
    days = ["2025-06-30", "2025-07-01", "2025-08-01", "2025-09-01"]
    assert [parents(units, day)["A1"] for day in days] == ["A", "A2", "A2", "A2"]
    assert [parents(units, day)["A2"] for day in days] == ["A", "A", "B", "B1"]
    assert [successor(by_code, "A1", date.fromisoformat(day)) for day in days] == ["A1", "A2", "A2", "B1"]


def test_a_unit_that_takes_over_the_one_above_it_comes_up_in_its_place() -> None:
    units = changed(example(), Change("2025-07-01", "merge", "A", "A1"))
    after = parents(units, "2025-07-01")
    assert (after["A1"], after["A2"], after["A"]) == ("HP", "A1", "A1")


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ([Change("2025-07-01", "merge", "A1", "A1")], "to"),
        ([Change("2025-07-01", "merge", "A1", "X")], "to"),
        ([Change("2025-07-01", "merge", "X", "A1")], "unit"),
        ([Change("2025-07-01", "merge", "T1", "A1")], "to"),  # which is not in the tree of schools
        ([Change("2025-07-01", "close", "A")], "unit"),  # others stand below it
        ([Change("2025-07-01", "move", "A1", "B", "no-tree")], "tree"),
        ([Change("2025-07-01", "close", "A1"), Change("2025-08-01", "merge", "A2", "A1")], "to"),
        ([Change("2025-07-01", "close", "A1"), Change("2025-08-01", "move", "A1", "B")], "unit"),
    ],
)
def test_what_cannot_be_is_refused(changes: list[Change], column: str) -> None:
    forest = Forest(BOTH, example())
    for change in changes[:-1]:
        forest.apply(change)
    with pytest.raises(Refused) as refused:
        forest.apply(changes[-1])
    assert refused.value.column == column


def test_the_same_change_again_is_none_and_an_end_can_be_taken_back() -> None:
    merge = Change("2025-07-01", "merge", "A1", "A2")
    once = changed(example(), merge)
    assert changed(once, merge) == once
    assert changed(once, Change("2025-07-01", "reopen", "A1")) == example()


def test_a_move_below_oneself_is_a_circle_on_its_day_and_later() -> None:
    with pytest.raises(Problem) as problem:
        outlook(Change("2025-07-01", "move", "A", "A1"), BOTH, example())
    assert problem.value.detail == "Đơn vị nằm trong một vòng lặp cấp trên."
    tried = outlook(Change("2025-07-01", "merge", "A", "B"), BOTH, example())
    assert ([unit.code for unit in tried.along], tried.unit.code, tried.to and tried.to.code) == (["A1", "A2", "T1"], "A", "B")


def test_files_add_to_what_there_is_and_name_each_fault() -> None:
    units, faults = built(*example(), changes="date,change,unit,to,tree\n01/07/2025,merge,A1,A2,\n2025-08-01,move,T1,,giao-duc\n")
    assert not faults
    assert {unit.code: unit.ended for unit in units if unit.ended} == {"A1": "2025-07-01"}
    assert parents(units, "2025-08-01", "giao-duc")["T1"] is None
    again, faults = built(*units, units=UNIT_CSV.replace("Phường A1", "Phường A Một"))
    assert not faults
    assert next(unit for unit in again if unit.code == "A1").ended == "2025-07-01"
    _, faults = built(
        *example(),
        changes="date,change,unit,to,tree\n31/02/2025,merge,A1,A2,\n2025-07-01,eat,A1,A2,\n2025-07-01,close,A,,\n,close,B1,,\n"
        "2025-07-01,move,A,A1,\n",
    )
    assert [(row, column) for _, row, column in faults] == [
        (2, "date"), (3, "change"), (5, "date"), (4, "unit"), (6, "to"),
    ]  # fmt: skip
    _, faults = built(*example(), trees="tree,code,parent,since,until\ngiao-duc,T1,A,,\nno,T1,,,\ngiao-duc,X,,,\n")
    assert [(row, column) for _, row, column in faults] == [(3, "tree"), (4, "code"), (2, "parent")]
    overlapping = "tree,code,parent,since,until\ngiao-duc,T1,S,,2025-07-01\ngiao-duc,T1,,2025-06-01,\n"
    assert built(*example(), trees=overlapping)[1] == [(TREES, 3, "since")]


def test_a_tree_in_a_file_is_that_of_the_file_whole() -> None:
    units, faults = built(*example(), trees="tree,code,parent\ngiao-duc,B1,S\n")
    assert not faults
    assert parents(units, "2025-01-01", "giao-duc") == {"S": None, "B1": "S"}


def test_a_published_unit_never_goes() -> None:
    sheet = read_text("code,parent,name,kind\nHP,,Hải Phòng,city\n", BOTH, example(), {"HP", "A1"})
    assert not sheet.good
    assert "A1" in str(sheet.faults[0])
    assert read_text("date,change,unit\n2025-07-01,close,A1\n", BOTH, example(), {"A1"}).kind == CHANGES


def test_a_parent_that_ends_leaves_nobody_behind() -> None:
    text = "tree,code,parent,since,until\nterritory,A,HP,,2025-07-01\n"
    assert built(*example(), trees=text)[1] == [(TREES, None, "parent")] * 3


def test_the_names_of_trees_keep_their_ids() -> None:
    trees = named_trees(["Địa bàn", "Giáo dục", "Đảng bộ"], BOTH)
    assert [tree.id for tree in trees] == ["territory", "giao-duc", "dang-bo"]
    with pytest.raises(Problem):
        named_trees(["Giáo dục", "Giáo dục"], BOTH)


DAYS = [(date(2025, 1, 1) + timedelta(days=30 * n)).isoformat() for n in range(6)]
CODES = list("abcdefg")
change_s = st.builds(
    Change,
    st.sampled_from(DAYS),
    st.sampled_from(["merge", "move", "move", "close", "reopen"]),
    st.sampled_from(CODES),
    st.sampled_from(["", *CODES]),
    st.sampled_from(["territory", "giao-duc"]),
)
starts = st.lists(st.sampled_from(["", *CODES]), min_size=len(CODES), max_size=len(CODES))


@given(starts, starts, st.lists(change_s, max_size=8))
def test_whatever_is_taken_has_no_circle_on_any_day_and_survives_its_own_files(
    land: list[str], schools: list[str], changes: list[Change]
) -> None:
    def grown(above: list[str]) -> list[str]:  # each below one that comes before it
        return [parent if parent and CODES.index(parent) < n else "" for n, parent in enumerate(above)]

    units = [Unit(code=code, parent=parent or None, name=code, kind="x") for code, parent in zip(CODES, grown(land), strict=True)]
    forest = Forest(BOTH, units)
    for code, parent in zip(CODES, grown(schools), strict=True):
        forest.put("giao-duc", code, [Place(parent)])
    taken = forest.units()
    for change in changes:
        tried = Forest(BOTH, taken)
        try:
            tried.apply(change)
        except Refused:
            continue
        if not list(tried.faults()):
            taken = tried.units()
    by_code = {unit.code: unit for unit in taken}
    for tree in BOTH:
        for day in ["2024-12-31", *DAYS, "2030-01-01"]:
            above = _raw(taken, tree.id, day)
            for code in above:
                path, at = [], code
                while at:
                    assert at not in path, f"a circle of {path} on {day}"
                    assert at in above, f"{at} is not in {tree.id} on {day}"
                    path.append(at)
                    at = above[at]
            assert parents_at(by_code, tree.id, date.fromisoformat(day)) == {code: up or None for code, up in above.items()}
    faults = Faults()
    again = UnitFiles(dict(tables(BOTH, taken)), BOTH, faults).units
    assert not faults.found
    assert {unit.code: unit for unit in again} == by_code


def _raw(units: list[Unit], tree: str, day: str) -> dict[str, str]:
    """Who stands above whom, as the placements say it, without mending what does not fit."""
    forest = Forest(BOTH, units)
    return {unit.code: above for unit in units if (above := forest.above(tree, unit.code, day)) is not None}
