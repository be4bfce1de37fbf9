"""Puts figures, the tree of their day and the headcounts of that day together, for whoever shows, judges or reports turnout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from services.events import ContestBook
from services.reporting.cuts import Cut, Cuts
from services.reporting.headcounts import Headcounts
from services.reporting.share import Cell
from services.reporting.turnout import Shape, Table, day_of, shape

_MOST_SHAPES = 100
_MOST_TABLES = 100


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

    def stamp(self, contest: str) -> tuple[int, int]:
        """Changes whenever a tree or a headcount of the contest may have."""
        return self._book.contests[contest].revision, self.headcounts.revision

    def shape(self, contest: str, tree: str, day: date) -> Shape:
        """A tree of a contest on a day."""
        revision, key = self._book.contests[contest].revision, (contest, tree, day)
        held = self._shapes.get(key)
        if held is None or held[0] != revision:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            held = self._shapes[key] = revision, shape(self._book.units(contest), tree, day)
        return held[1]


class CutTables:
    """Tables of cuts, as they were last asked for."""

    def __init__(self, cuts: Cuts, tables: Tables) -> None:
        self.cuts, self.tables = cuts, tables
        self._held: dict[tuple[str, datetime, str, str, str], tuple[tuple[int, int], Table]] = {}

    async def table(self, contest: str, at: datetime, tree: str, category: str = "", round: str = "") -> Table:
        """The turnout as of a cut, which is made if need be. Raises Problem 404 or 422, 503 where that takes too long; StoreDown,
        BusDown."""
        return self._kept(contest, at, tree, category, round) or self._keep(
            await self.cuts.wait(contest, at), tree, category, round
        )

    async def made(self, contest: str, at: datetime, tree: str, category: str = "", round: str = "") -> Table | None:
        """The same, or None where there is no such cut. Raises StoreDown."""
        table = self._kept(contest, at, tree, category, round)
        if table is None:
            cut = await self.cuts.get(contest, at)
            table = None if cut is None else self._keep(cut, tree, category, round)
        return table

    def _kept(self, contest: str, at: datetime, tree: str, category: str, round: str) -> Table | None:
        held = self._held.get((contest, at, tree, category, round))
        return held[1] if held and held[0] == self.tables.stamp(contest) else None

    def _keep(self, cut: Cut, tree: str, category: str, round: str) -> Table:
        if len(self._held) >= _MOST_TABLES:
            self._held.clear()
        table = self.tables.of_cut(cut, tree, category, round)
        self._held[cut.contest, cut.at, tree, category, round] = self.tables.stamp(cut.contest), table
        return table
