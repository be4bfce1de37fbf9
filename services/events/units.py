"""The unit trees on a given day: who stands below whom, and what has gone over into what.

Trees are dated (units merge and move), so a figure as of a day is rolled up by the tree of that day. A unit that was merged
stands below the one it went into, from that day on and in every tree: its figures count there, and lists leave it out (`folded`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from services.events.contests import ContestPublished, Tree, Unit

TERRITORY = Tree(id="territory", name="Địa bàn")
"""The tree of a contest that names none, and of units without placements."""


def trees_of(contest: ContestPublished) -> tuple[Tree, ...]:
    """The trees of a contest, the first one being what is shown first."""
    return contest.trees or (TERRITORY,)


def folded(unit: Unit, day: date) -> bool:
    """Whether a unit is no more on that day: figures of it count with the one it went into."""
    return unit.ended is not None and date.fromisoformat(unit.ended) <= day


def successor(units: Mapping[str, Unit], code: str, day: date) -> str:
    """The unit that stands for `code` on that day: itself, or the one that it has gone over into, however many steps on."""
    seen = {code}
    while (unit := units.get(code)) and folded(unit, day) and unit.merged_into and unit.merged_into not in seen:
        code = unit.merged_into
        seen.add(code)
    return code


def parents_at(units: Mapping[str, Unit], tree: str, day: date) -> dict[str, str | None]:
    """The parent of every unit of a tree on that day, None at the top; parents before children, folded units included.

    A unit whose parent is not in the tree stands at the top; of a circle, whoever comes first does.
    """
    found: dict[str, str | None] = {}
    for unit in units.values():
        above = _above(unit, tree, day)
        if above is not None:
            found[unit.code] = above or None
    return parents_first(found)


def _above(unit: Unit, tree: str, day: date) -> str | None:
    """The code above, "" at the top, None where the unit is not in the tree."""
    in_tree = [place for place in unit.placements if place.tree == tree] if unit.placements else None
    if in_tree == [] or (in_tree is None and tree != TERRITORY.id):
        return None
    if folded(unit, day) and unit.merged_into:
        return unit.merged_into
    if in_tree is None:
        return unit.parent or ""
    for place in in_tree:
        if (place.since is None or date.fromisoformat(place.since) <= day) and (
            place.until is None or day < date.fromisoformat(place.until)
        ):
            return place.parent or ""
    return None


def parents_first(parents: Mapping[str, str | None]) -> dict[str, str | None]:
    """The same tree, parents before children. A parent that is not in it is none; of a circle, whoever comes first is the top."""
    ordered: dict[str, str | None] = {}
    for code in parents:
        path: list[str] = []
        at: str | None = code
        while at is not None and at not in ordered and at not in path:
            path.append(at)
            above = parents.get(at)
            at = above if above in parents else None
        for each in reversed(path):
            above = parents[each]
            ordered[each] = above if above in ordered else None
    return ordered
