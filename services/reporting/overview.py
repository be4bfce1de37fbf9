"""The city at a glance: a tile for every unit, grouped by the unit above, in one of a few colours that a legend explains.

Colours go by rate where headcounts are known, else by people. Nobody and unknown are classes of their own: a unit whose headcount
is not known is neither good nor bad.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from services.events import Unit
from services.reporting.turnout import By, Figure, Table

STEPS = 5
RATES = (0.0, 20.0, 40.0, 60.0, 80.0)
"""Where each step of a rate begins, in percent."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One unit. `shade` is "0" (pale) to "4" (deep), "none" for nobody yet, "unknown" without a headcount."""

    code: str
    name: str
    short: str
    people: int
    rate: float | None
    shade: str
    inner: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The tiles of the units right below `head`, which is named above them; None for units that have nothing below."""

    head: Tile | None
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """An entry of the legend: from `low` up to `high` (None: without an end), in percent or people."""

    shade: str
    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the template shows."""

    by: By
    legend: tuple[Step, ...]
    groups: tuple[Group, ...]
    has_rates: bool


def overview(table: Table, root: str | None, by: By | None = None) -> Overview:
    """The units two levels below `root` (None: the top of the tree), grouped by those between, in the order of the tree."""
    below = table.shape.children
    heads = below.get(root, [])
    leaves = [code for head in heads for code in below.get(head, [head])]
    figures = {code: table.figure(code) for code in {*heads, *leaves}}
    has_rates = any(figure.rate is not None for figure in figures.values())
    by = by if by and (by == "people" or has_rates) else ("rate" if has_rates else "people")
    starts = RATES if by == "rate" else _starts([figures[code].people for code in leaves])
    tiles = {code: _tile(table.shape.units[code], figure, by, starts, code in below) for code, figure in figures.items()}
    groups = [Group(tiles[head], _shortened([tiles[code] for code in below[head]])) for head in heads if head in below]
    alone = _shortened([tiles[head] for head in heads if head not in below])
    if alone:
        groups.append(Group(None, alone))
    return Overview(by, _legend(by, starts), tuple(groups), has_rates)


def _tile(unit: Unit, figure: Figure, by: By, starts: Sequence[float], inner: bool) -> Tile:
    people, rate = figure.people, figure.rate
    measure = rate if by == "rate" else people
    if people == 0:
        shade = "none"
    elif measure is None:
        shade = "unknown"
    else:
        shade = str(max((step for step, low in enumerate(starts) if measure >= low), default=0))
    return Tile(unit.code, unit.name, unit.name, people, rate, shade, inner)


def _starts(people: Sequence[int]) -> list[float]:
    """Where each step begins, so that about as many units lie in each; fewer steps where few differ."""
    counts = sorted(count for count in people if count > 0)
    if not counts:
        return [1]
    quantiles = {_rounded(counts[len(counts) * step // STEPS]) for step in range(1, STEPS)}
    return [1, *sorted(quantile for quantile in quantiles if quantile > 1)]


def _rounded(number: int) -> int:
    """To two figures: a legend is read, not measured with."""
    scale: int = 10 ** max(0, len(str(number)) - 2)
    return number // scale * scale


def _legend(by: By, starts: Sequence[float]) -> tuple[Step, ...]:
    ends = [high if by == "rate" else high - 1 for _, high in pairwise(starts)]
    highs: list[float | None] = [*ends, None]
    return tuple(Step(str(n), low, high) for n, (low, high) in enumerate(zip(starts, highs, strict=True)))


def _shortened(tiles: Sequence[Tile]) -> tuple[Tile, ...]:
    """Without the first word where others of the group begin with the same: the group says "Phường" once for
    all. Only a name may be left over: neither the "2" of "Phường 2" nor half a word such as "Thị trấn"."""
    firsts = Counter(tile.name.partition(" ")[0] for tile in tiles)
    return tuple(
        replace(tile, short=rest) if firsts[first] > 1 and rest[:1].isupper() else tile
        for tile in tiles
        for first, _, rest in [tile.name.partition(" ")]
    )
