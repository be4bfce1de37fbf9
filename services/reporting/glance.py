"""What portal and overview look at: the live turnout of a contest in the tree of today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.events import ContestBook, ContestPublished, RoundPlan
from services.reporting.board import Board
from services.reporting.live import Live
from services.reporting.selection import Selection, select
from services.reporting.turnout import Figure, Table


@dataclass(frozen=True, slots=True)
class Glance:
    """A contest at `as_of`."""

    contest: ContestPublished
    as_of: datetime
    rounds: Sequence[RoundPlan]
    table: Table

    @property
    def day(self) -> date:
        """Today, where the contest is."""
        return self.as_of.astimezone(ZoneInfo(self.contest.timezone)).date()

    @property
    def total(self) -> Figure:
        """Everybody, units outside of this tree included."""
        return self.table.figure(None)

    @property
    def root(self) -> str | None:
        """The only unit at the top (the city), None where there are several."""
        tops = self.table.shape.children.get(None, [])
        return tops[0] if len(tops) == 1 else None


class Glances:
    """Looks at the live board."""

    def __init__(self, book: ContestBook, board: Board, live: Live) -> None:
        self._book, self._board, self._live = book, board, live

    def asked(self, contest: str, parent: str = "", category: str = "", round: str = "", tree: str = "") -> Selection:
        """What these name. Raises Problem for what there is not."""
        return select(self._book, contest, parent, category, round, tree)

    async def of(self, contest: str, tree: str = "", category: str = "", round: str = "") -> Glance:
        """The figures now. Raises Problem for what there is not, StoreDown."""
        asked = self.asked(contest, "", category, round, tree)
        as_of = await self._live.fresh()
        table = self._board.table(contest, asked.tree, category, round)
        return Glance(asked.contest, as_of, self._book.rounds(contest), table)
