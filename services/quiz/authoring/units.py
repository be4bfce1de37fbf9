"""The units of a contest from a file: `units.csv`, `trees.csv`, `changes.csv`, or the same in Excel. A dry run first; then all of
it, or nothing. And single changes, looked at before they are made. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from services.events import Unit
from services.events.contests import Tree
from services.events.units import TERRITORY
from services.kit.faults import Fault, Faults
from services.kit.problems import Problem
from services.kit.sheets import as_csv, csv_lines
from services.quiz.authoring.drafts import slug
from services.quiz.unit_files import CHANGES, TREES, UNITS, UnitFiles
from services.quiz.unit_trees import Change, Forest, Refused

MOST = 20_000

COLUMNS = {
    UNITS: ("name", "code", "parent", "kind", "tree"),
    TREES: ("tree", "code", "parent", "since", "until"),
    CHANGES: ("date", "change", "unit", "to", "tree"),
}
"""What a dry run shows of a row."""


@dataclass(frozen=True)
class UnitRow:
    """A row of the file with its verdict: no faults, or what is wrong."""

    line: int
    code: str
    cells: Sequence[str]
    faults: Sequence[Fault]


@dataclass(frozen=True)
class UnitSheet:
    """What a file holds (`kind` is its name in a contest directory), its text as CSV, and the units that come of it. `faults` are
    those of no row; `before` is how many units there were."""

    kind: str
    text: str
    units: Sequence[Unit]
    rows: Sequence[UnitRow]
    faults: Sequence[Fault]
    before: int

    @property
    def digest(self) -> str:
        """Names this text."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()

    @property
    def good(self) -> bool:
        """Whether it may be taken, whole."""
        return not self.faults and not any(row.faults for row in self.rows)


def read(data: bytes, trees: Sequence[Tree] = (), held: Sequence[Unit] = (), published: Collection[str] = ()) -> UnitSheet:
    """Reads a file on top of the units `held`; `published` are codes that must not go, for people have registered under them.
    Raises Problem 413, 422."""
    return read_text(as_csv(data), trees, held, published)


def read_text(text: str, trees: Sequence[Tree] = (), held: Sequence[Unit] = (), published: Collection[str] = ()) -> UnitSheet:
    """The same of a CSV that is text already. Its columns say which of the files it is."""
    faults, kind = Faults(), _kind(text)
    files = UnitFiles({kind: text}, trees, faults, held)
    kept = {unit.code for unit in files.units}
    for code in sorted(set(published) - kept):
        faults.add(kind, None, "code", "Đơn vị {code} đã công bố nên không bỏ được; có thể kết thúc từ một ngày.", code=code)
    if len(files.units) > MOST:
        faults.add(kind, None, None, "Nhiều nhất {most} đơn vị.", most=MOST)
    by_line: dict[int | None, list[Fault]] = {}
    for fault in faults.found:
        by_line.setdefault(fault.row, []).append(fault)
    rows = [
        UnitRow(
            line, cells.get("code") or cells.get("unit", ""), [cells.get(c, "") for c in COLUMNS[kind]], by_line.pop(line, [])
        )
        for line, cells in files.rows[kind]
    ]
    return UnitSheet(kind, text, files.units, rows, [fault for group in by_line.values() for fault in group], len(held))


def _kind(text: str) -> str:
    """The file that has these columns; `units.csv` where none fits better."""
    head = next((set(map(str.lower, cells)) for _, cells in csv_lines(text, lambda _, __: None)), set())
    return CHANGES if "change" in head else TREES if {"tree", "code"} <= head and "name" not in head else UNITS


def named_trees(names: Sequence[str], known: Sequence[Tree]) -> tuple[Tree, ...]:
    """Trees of these names. A name that is known keeps its id; the territory has its own. Raises Problem 422."""
    ids = {tree.name: tree.id for tree in [*known, TERRITORY]}
    found: dict[str, Tree] = {}
    for name in names:
        id = ids.get(name) or slug(name, [*ids.values(), *found])
        if id in found:
            raise Problem(422, "trees", "Cây “{tree}” có hai lần.", field="trees", tree=name)
        found[id] = Tree(id=id, name=name)
    return tuple(found.values())


@dataclass(frozen=True)
class Outlook:
    """What a change would do: the units afterwards, the unit it is about, where it goes, and who goes along."""

    change: Change
    units: Sequence[Unit]
    unit: Unit
    to: Unit | None
    along: Sequence[Unit]


def outlook(change: Change, trees: Sequence[Tree], held: Sequence[Unit]) -> Outlook:
    """Tries a change. Raises Problem 422."""
    forest, by_code = Forest(trees, held), {unit.code: unit for unit in held}
    try:
        along = forest.apply(change)
    except Refused as refused:
        raise Problem(422, "unit-change", refused.message, field=refused.column, **refused.values) from refused
    for fault in forest.faults():
        raise Problem(422, "unit-change", fault.message, field="to", **fault.values)
    return Outlook(change, forest.units(), by_code[change.unit], by_code.get(change.to), [by_code[code] for code in along])
