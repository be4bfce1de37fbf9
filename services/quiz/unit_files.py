"""The units of a contest as tables: `units.csv` (who there is), `trees.csv` (who stands where in which tree, from when to when),
`changes.csv` (who merges, moves or ends on which day). They are read on top of the units that there are already."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import cast, get_args

from services.events.contests import Tree, Unit
from services.kit.faults import Faults
from services.kit.sheets import check_filled, read_day, rows
from services.quiz.unit_trees import Change, Forest, Kind, Node, Place, Refused

UNITS, TREES, CHANGES = "units.csv", "trees.csv", "changes.csv"
NEEDED = {
    UNITS: ("code", "parent", "name", "kind"),
    TREES: ("tree", "code", "parent"),
    CHANGES: ("date", "change", "unit"),
}
"""The columns without which a file cannot be read; the others may be left out."""

HEADINGS = {
    "code": "Mã", "parent": "Cấp trên", "name": "Tên", "kind": "Loại", "tree": "Cây", "since": "Từ ngày",
    "until": "Đến trước ngày", "date": "Từ ngày", "change": "Biến động", "unit": "Đơn vị", "to": "Đơn vị nhận",
}  # fmt: skip
"""What columns are called in front of people."""

NAMES = {HEADINGS[column].lower(): column for column in (*NEEDED[UNITS], "tree")}
"""How columns may be called besides: as in the file that organisers fill in."""

Row = tuple[int, dict[str, str]]


class UnitFiles:
    """`texts` by name; a file that is not among them leaves what `held` says of its part, a file that could not be read is None.

    `units.csv` says anew which units there are, and `trees.csv` who stands in the trees that it names; `changes.csv` adds.
    `units` are what comes out; `rows` are a file's rows as they stand, each with its line.
    """

    def __init__(self, texts: Mapping[str, str | None], trees: Sequence[Tree], faults: Faults, held: Sequence[Unit] = ()) -> None:
        self._faults, self._forest = faults, Forest(trees, held)
        self._lines: dict[tuple[str, str], tuple[str, int]] = {}
        self.rows: dict[str, list[Row]] = {
            name: list(rows(name, texts[name], needed, faults, NAMES)) for name, needed in NEEDED.items() if name in texts
        }
        if UNITS in self.rows and texts[UNITS] is not None:
            self._take_units(self.rows[UNITS])
        if TREES in self.rows:
            self._take_places(self.rows[TREES])
        if CHANGES in self.rows:
            self._take_changes(self.rows[CHANGES])
        for fault in self._forest.faults():
            at = self._lines.get((fault.tree, fault.code)) or self._lines.get(("", fault.code))
            file, line = at or (next(iter(self.rows), UNITS), None)
            column = {"code": "unit", "parent": "to"}.get(fault.column, fault.column) if file == CHANGES else fault.column
            faults.add(file, line, column, fault.message, **fault.values)
        self.units = self._forest.units()

    # -- units.csv

    def _take_units(self, given: Sequence[Row]) -> None:
        forest, places = self._forest, {}
        for line, cells in given:
            check_filled(UNITS, line, cells, ("code", "name", "kind"), self._faults)
            code, tree = cells["code"], cells.get("tree", "") or forest.trees[0]
            if code in places:
                self._fault(UNITS, line, "code", "Mã {id} đã có ở dòng {line}.", id=code, line=self._lines["", code][1])
            elif tree not in forest.trees:
                self._fault(UNITS, line, "tree", "Không có cây {tree}.", tree=tree)
            elif code:
                self._lines["", code] = UNITS, line
                places[code] = tree, cells
        for code in forest.nodes.keys() - places.keys():
            forest.drop(code)
        known = dict(forest.nodes)
        forest.nodes = {
            code: _node(known.get(code), cells["name"], cells["kind"]) for code, (_, cells) in places.items()
        }  # as the file has them, in its order
        for code, (tree, cells) in places.items():
            self._place(code, tree, cells["parent"])
        if not places and not any(fault.file == UNITS for fault in self._faults.found):
            self._faults.add(UNITS, None, None, "Không có đơn vị nào.")

    def _place(self, code: str, tree: str, parent: str) -> None:
        held = self._forest.places[tree].get(code, [])
        if len(held) > 1 or any(place.since or place.until for place in held):
            if held[0].parent != parent:
                line = self._lines["", code][1]
                self._fault(
                    UNITS, line, "parent", "Đơn vị có thay đổi theo ngày trong cây này; hãy dùng trees.csv hoặc changes.csv."
                )
            return
        self._forest.put(tree, code, [Place(parent)])

    # -- trees.csv

    def _take_places(self, given: Sequence[Row]) -> None:
        forest, found = self._forest, dict[tuple[str, str], list[Place]]()
        for line, cells in given:
            check_filled(TREES, line, cells, ("tree", "code"), self._faults)
            tree, code = cells["tree"], cells["code"]
            since, until = (self._day(TREES, line, name, cells.get(name, "")) for name in ("since", "until"))
            if tree and tree not in forest.trees:
                self._fault(TREES, line, "tree", "Không có cây {tree}.", tree=tree)
            elif code and code not in forest.nodes:
                self._fault(TREES, line, "code", "Không có đơn vị {unit}.", unit=code)
            elif tree and code:
                self._lines[tree, code] = TREES, line
                found.setdefault((tree, code), []).append(Place(cells["parent"], since, until))
        for tree in {tree for tree, _ in found}:
            for code in [code for code in forest.places[tree] if forest.base(code) != tree and (tree, code) not in found]:
                del forest.places[tree][code]
        for (tree, code), places in found.items():
            forest.put(tree, code, places)

    # -- changes.csv

    def _take_changes(self, given: Sequence[Row]) -> None:
        changes: list[tuple[str, int, Change]] = []
        for line, cells in given:
            check_filled(CHANGES, line, cells, NEEDED[CHANGES], self._faults)
            day, kind = self._day(CHANGES, line, "date", cells["date"]), cells["change"]
            if kind and kind not in get_args(Kind):
                self._fault(CHANGES, line, "change", "Phải là một trong: {words}.", words=", ".join(get_args(Kind)))
            elif day and kind and cells["unit"]:
                change = Change(day, cast("Kind", kind), cells["unit"], cells.get("to", ""), cells.get("tree", ""))
                changes.append((day, line, change))
        for _, of_day in groupby(sorted(changes, key=lambda one: one[:2]), key=lambda one: one[0]):
            self._apply([(line, change) for _, line, change in of_day])

    def _apply(self, changes: Sequence[tuple[int, Change]]) -> None:
        """The changes of one day, which happen at once: what must wait for another is tried again behind it."""
        left = list(changes)
        refusals: dict[int, Refused] = {}
        while left:
            refusals = {}
            for line, change in left:
                try:
                    self._forest.apply(change)
                except Refused as refused:
                    refusals[line] = refused
                else:
                    self._lines |= {(tree, change.unit): (CHANGES, line) for tree in ["", *self._forest.trees]}
            if len(refusals) == len(left):
                break
            left = [(line, change) for line, change in left if line in refusals]
        for line, refusal in refusals.items():
            self._fault(CHANGES, line, refusal.column, refusal.message, **refusal.values)

    def _day(self, file: str, line: int, column: str, text: str) -> str:
        day = read_day(text) if text else ""
        if day is None:
            self._fault(file, line, column, "Không phải ngày, ví dụ 01/07/2025 hoặc 2025-07-01.")
        return day or ""

    def _fault(self, file: str, row: int, column: str, message: str, **values: object) -> None:
        self._faults.add(file, row, column, message, **values)


def _node(known: Node | None, name: str, kind: str) -> Node:
    return Node(name, kind, known.ended, known.merged_into) if known else Node(name, kind)


def tables(trees: Sequence[Tree], units: Iterable[Unit]) -> dict[str, str]:
    """The units as the files that say the same: `units.csv`, and the two others where they have something to say."""
    forest = Forest(trees, units)
    base = {code: forest.base(code) for code in forest.nodes}
    listed: list[Sequence[str]] = []
    places: list[Sequence[str]] = []
    changes: list[Sequence[str]] = []
    for code, node in forest.nodes.items():
        held = forest.places[base[code]].get(code) or [Place("")]
        tree = "" if base[code] == forest.trees[0] else base[code]
        listed.append((code, held[0].parent, node.name, node.kind, tree))
        for tree in forest.trees:
            held = forest.places[tree].get(code, [])
            if tree != base[code] or any(place.since or place.until for place in held):
                places += [(tree, code, place.parent, place.since, place.until) for place in held]
        if node.ended:
            changes.append((node.ended, "merge" if node.merged_into else "close", code, node.merged_into, ""))
    files = {
        UNITS: _csv(("code", "parent", "name", "kind", "tree"), listed),
        TREES: _csv(("tree", "code", "parent", "since", "until"), places),
        CHANGES: _csv(("date", "change", "unit", "to", "tree"), changes),
    }
    return {name: text for name, text in files.items() if name == UNITS or text.count("\n") > 1}


def _csv(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([head, *lines])
    return out.getvalue()
