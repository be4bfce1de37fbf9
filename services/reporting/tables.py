"""Puts figures, the tree of their day and the headcounts of that day together, for whoever shows, judges or reports turnout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from services.events import ContestBook
from services.reporting.cuts import Cut
from services.reporting.headcounts import Headcounts
from services.reporting.share import Cell
from services.reporting.turnout import Shape, Table, day_of, shape

_MOST_SHAPES = 100


class Tables:
    """Tables of turnout; the shapes of trees are kept."""

    def __init__(self, book: ContestBook, headcounts: Headcounts) -> None:
        self._book, self.headcounts = book, headcounts
        self._shapes: dict[tuple[str, str, date], tuple[int, Shape]] = {}

    def of(self, contest: str, cells: Mapping[str, Cell], tree: str, category: str, day: date) -> Table:
        """The turnout that these figures of a contest (or round) and category come to in a tree as it stands on that day."""
        return Table(self.shape(contest, tree, day), cells, self.headcounts.table(contest, tree, category, day))

    def of_cut(self, cut: Cut, tree: str, category: str = "", round: str = "") -> Table:
        """The turnout of a round, or with "" of the contest, as of a cut; by the tree and the headcounts of its day."""
        day = day_of(cut.at, self._book.contests[cut.contest].timezone)
        return self.of(cut.contest, cut.scope(round).cells.get(category, {}), tree, category, day)

    def shape(self, contest: str, tree: str, day: date) -> Shape:
        """A tree of a contest on a day."""
        revision, key = self._book.contests[contest].revision, (contest, tree, day)
        held = self._shapes.get(key)
        if held is None or held[0] != revision:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            held = self._shapes[key] = revision, shape(self._book.units(contest), tree, day)
        return held[1]
