"""The unit trees of a contest as organisers change them: who stands below whom in which tree and when; merges, moves, ends.

Days are ISO 8601 texts, which sort as they follow one another; "" means without a beginning or an end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from services.events.contests import Placement, Tree, Unit
from services.events.units import TERRITORY

Kind = Literal["merge", "move", "close", "reopen"]
FIRST, LAST = "", "9999-12-31"


class Refused(ValueError):
    """A change that cannot be. `column` names what is wrong of it; `message` is a sentence of the catalogue."""

    def __init__(self, column: str, message: str, **values: Any) -> None:
        super().__init__(message)
        self.column, self.message, self.values = column, message, values


@dataclass(frozen=True)
class Change:
    """From `day` on, `unit` counts with `to` (merge), stands below `to` in `tree` (move; "" at the top), or is no more (close).

    `reopen` takes an end back. An empty `tree` is the first one.
    """

    day: str
    kind: Kind
    unit: str
    to: str = ""
    tree: str = ""


@dataclass(frozen=True)
class Place:
    """Below `parent` ("" at the top) from `since` up to but without `until`."""

    parent: str
    since: str = ""
    until: str = ""

    @property
    def end(self) -> str:
        return self.until or LAST


@dataclass(frozen=True)
class Fault:
    """What is wrong with a unit; `tree` is "" where it is none of one tree."""

    code: str
    tree: str
    column: str
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A unit without its places."""

    name: str
    kind: str
    ended: str = ""
    merged_into: str = ""

    @property
    def end(self) -> str:
        return self.ended or LAST


class Forest:
    """Units, and their places in each tree, each list in order of time. `trees` are those of the contest, the first one first."""

    def __init__(self, trees: Sequence[Tree], units: Iterable[Unit] = ()) -> None:
        self.trees = [tree.id for tree in trees] or [TERRITORY.id]
        self.nodes: dict[str, Node] = {}
        self.places: dict[str, dict[str, list[Place]]] = {tree: {} for tree in self.trees}
        for unit in units:
            self.nodes[unit.code] = Node(unit.name, unit.kind, unit.ended or "", unit.merged_into or "")
            for placed in unit.placements or (Placement(tree=TERRITORY.id, parent=unit.parent),):
                place = Place(placed.parent or "", placed.since or "", placed.until or "")
                self.places.setdefault(placed.tree, {}).setdefault(unit.code, []).append(place)

    def base(self, code: str) -> str:
        """The tree that a unit is listed in: the first in which it has a place."""
        return next((tree for tree in self.trees if code in self.places[tree]), self.trees[0])

    def put(self, tree: str, code: str, places: Iterable[Place]) -> None:
        """These are the unit's places in the tree."""
        self.places[tree][code] = sorted(places, key=lambda place: (place.since, place.end))

    def drop(self, code: str) -> None:
        """The unit was never there."""
        self.nodes.pop(code, None)
        for places in self.places.values():
            places.pop(code, None)

    def units(self) -> list[Unit]:
        """The units as everyone is told of them, those of the first tree behind the ones above them."""
        return parents_first([self._unit(code, node) for code, node in self.nodes.items()])

    def _unit(self, code: str, node: Node) -> Unit:
        held = [(tree, place) for tree in self.trees for place in self.places[tree].get(code, ())]
        territory = [place for tree, place in held if tree == TERRITORY.id]
        plain = held == [(TERRITORY.id, Place(territory[0].parent if territory else ""))]
        told = () if plain else tuple(
            Placement(tree=tree, parent=place.parent or None, since=place.since or None, until=place.until or None)
            for tree, place in held
        )  # fmt: skip
        parent = territory[0].parent if territory else ""
        return Unit(
            code=code, parent=parent or None, name=node.name, kind=node.kind, placements=told,
            ended=node.ended or None, merged_into=node.merged_into or None,
        )  # fmt: skip

    # -- changes

    def apply(self, change: Change) -> list[str]:
        """Makes a change; one that was made already is none. Returns the units below that went along. Raises Refused."""
        node = self.nodes.get(change.unit)
        if node is None:
            raise Refused("unit", "Không có đơn vị {unit}.", unit=change.unit)
        if change.to and change.to not in self.nodes:
            raise Refused("to", "Không có đơn vị {unit}.", unit=change.to)
        if change.tree and change.tree not in self.trees:
            raise Refused("tree", "Không có cây {tree}.", tree=change.tree)
        if change.kind == "reopen":
            self.nodes[change.unit] = replace(node, ended="", merged_into="")
            return []
        if change.kind != "move" and node.ended == change.day and node.merged_into == change.to:
            return []
        if node.ended:
            raise Refused("unit", "Đơn vị {unit} đã kết thúc từ ngày {day}.", unit=change.unit, day=shown(node.ended))
        if change.kind == "move":
            self._move(change.unit, change.tree or self.trees[0], change.to, change.day)
            return []
        return self._merge(change) if change.kind == "merge" else self._close(change)

    def _merge(self, change: Change) -> list[str]:
        if not change.to or change.to == change.unit:
            raise Refused("to", "Hãy chọn đơn vị nhận, khác đơn vị được nhập.")
        if self._gone(change.to, change.day):
            ended = shown(self.nodes[change.to].ended)
            raise Refused("to", "Đơn vị {unit} đã kết thúc từ ngày {day}.", unit=change.to, day=ended)
        for tree in self.trees:
            if self.above(tree, change.unit, change.day) is not None and self.above(tree, change.to, change.day) is None:
                raise Refused("to", "Đơn vị {unit} không đứng trong cây {tree}.", unit=change.to, tree=tree)
        moved, taker = [], self._standing(change.to, change.day)
        for tree, child, since in self._children(change.unit, change.day):
            own = self.above(tree, change.unit, since) or ""
            self._move(child, tree, own if child == taker else taker, since)
            moved.append(child)
        self._end(change)
        return list(dict.fromkeys(moved))

    def _end(self, change: Change) -> None:
        """From the day on the unit is no more: what was planned for later falls away."""
        day = change.day
        self.nodes[change.unit] = replace(self.nodes[change.unit], ended=day, merged_into=change.to)
        for held in self.places.values():
            places = [replace(p, until="") if p.end >= day else p for p in held.get(change.unit, ()) if p.since < day]
            if places:
                held[change.unit] = places
            else:
                held.pop(change.unit, None)

    def _gone(self, code: str, day: str) -> bool:
        """Whether a unit can take nothing over any more on that day. One that is merged on the same day passes it on."""
        node = self.nodes[code]
        return node.end < day or (node.end == day and not node.merged_into)

    def _standing(self, code: str, day: str) -> str:
        seen = {code}
        while (node := self.nodes[code]).end <= day and node.merged_into in self.nodes and node.merged_into not in seen:
            seen.add(code := node.merged_into)
        return code

    def _close(self, change: Change) -> list[str]:
        if below := [child for _, child, _ in self._children(change.unit, change.day)]:
            raise Refused(
                "unit", "Đơn vị {unit} còn đơn vị trực thuộc ({below}). Hãy chuyển đi trước.", unit=change.unit, below=below[0]
            )
        self._end(replace(change, to=""))
        return []

    def _children(self, code: str, day: str) -> list[tuple[str, str, str]]:
        """Who stands below a unit on that day or later: tree, unit, from when (that day at the earliest)."""
        return [
            (tree, child, max(place.since, day))
            for tree, held in self.places.items()
            for child, places in held.items()
            for place in places
            if place.parent == code and place.end > day and self.nodes[child].end > max(place.since, day)
        ]

    def _move(self, code: str, tree: str, parent: str, day: str) -> None:
        """From the day on below `parent`, up to the next place that was planned."""
        held = self.places[tree].get(code, [])
        before = [replace(place, until=min(place.end, day)) for place in held if place.since < day]
        after = [place for place in held if place.since > day]
        own = next((place.end for place in held if place.since <= day < place.end), after[0].since if after else LAST)
        if before and before[-1].until == day and before[-1].parent == parent:
            day = before.pop().since
        until = "" if own == LAST else own
        self.put(tree, code, [*before, Place(parent, day, until), *after])

    # -- looking

    def above(self, tree: str, code: str, day: str) -> str | None:
        """Who stands above a unit on that day: "" at the top, None where it is not in the tree."""
        node = self.nodes[code]
        places = self.places[tree].get(code)
        if not places:
            return None
        if node.ended and node.ended <= day and node.merged_into:
            return node.merged_into
        return next((place.parent for place in places if place.since <= day < place.end), None)

    def faults(self) -> Iterator[Fault]:
        """All that is wrong: days out of order, parents that are not there, merges into what is gone, circles on any day."""
        circled: set[tuple[str, str]] = set()
        for tree, held in self.places.items():
            circled |= {(tree, code) for code in self._circles(tree)}
            for code, places in held.items():
                yield from self._faults_of(tree, code, places, (tree, code) in circled)
        for code, node in self.nodes.items():
            if node.merged_into and node.merged_into not in self.nodes:
                yield Fault(code, "", "code", "Không có đơn vị {unit}.", {"unit": node.merged_into})
            elif node.merged_into and self._gone(node.merged_into, node.ended):
                values = {"unit": node.merged_into, "day": shown(self.nodes[node.merged_into].ended)}
                yield Fault(code, "", "to", "Đơn vị {unit} đã kết thúc từ ngày {day}.", values)

    def _faults_of(self, tree: str, code: str, places: Sequence[Place], circled: bool) -> Iterator[Fault]:
        before = ""
        for place in places:
            if place.end <= place.since or place.since < before:
                yield Fault(code, tree, "since", "Các ngày của đơn vị trong cây này không nối tiếp nhau.")
                return
            before = place.end
            wrong = self._parent_fault(tree, code, place)
            if wrong is not None:
                yield wrong
            elif circled:
                yield Fault(code, tree, "parent", "Đơn vị nằm trong một vòng lặp cấp trên.")
                circled = False

    def _parent_fault(self, tree: str, code: str, place: Place) -> Fault | None:
        parent = place.parent
        if not parent:
            return None
        if parent not in self.nodes:
            return Fault(code, tree, "parent", "Không có đơn vị cấp trên {parent}.", {"parent": parent})
        day, until = place.since, min(place.end, self.nodes[code].end)
        for held in self.places[tree].get(parent, ()):
            if held.since <= day:
                day = max(day, min(held.end, self.nodes[parent].end))
        if day >= until:
            return None
        values = {"parent": parent, "tree": tree, "day": shown(day)}
        if day == FIRST:
            return Fault(code, tree, "parent", "Đơn vị cấp trên {parent} không đứng trong cây {tree}.", values)
        return Fault(code, tree, "parent", "Từ ngày {day}, đơn vị cấp trên {parent} không đứng trong cây {tree}.", values)

    def _circles(self, tree: str) -> set[str]:
        """Units that stand above themselves on some day. A circle closes on a day on which something begins."""
        begins: dict[str, set[str]] = {}
        for code, places in self.places[tree].items():
            for day in [place.since for place in places] + [self.nodes[code].ended or FIRST]:
                begins.setdefault(day, set()).add(code)
        return {code for day, codes in begins.items() for code in codes if self._above_itself(tree, code, day)}

    def _above_itself(self, tree: str, code: str, day: str) -> bool:
        seen: set[str] = set()
        at = self.above(tree, code, day)
        while at and at in self.nodes and at not in seen and at != code:
            seen.add(at)
            at = self.above(tree, at, day)
        return at == code


def parents_first(units: Sequence[Unit]) -> list[Unit]:
    """The units, each behind the one above it in the territory; what has none above it that is there stays in its order."""
    codes = {unit.code for unit in units}
    placed: dict[str, Unit] = {}
    left = {unit.code: unit for unit in units}
    while left:
        ready = [unit for unit in left.values() if unit.parent is None or unit.parent in placed or unit.parent not in codes]
        for unit in ready or list(left.values()):  # of a circle, which is refused elsewhere, all at once
            placed[unit.code] = left.pop(unit.code)
    return list(placed.values())


def shown(day: str) -> str:
    """A day as people write it: "01/07/2025"."""
    return "/".join(reversed(day.split("-")))
