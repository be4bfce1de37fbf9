"""What portal and overview look at: the live figures of a contest's units, rolled up the tree of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.events import ContestBook, ContestPublished, RoundPlan, Unit
from services.events.units import folded, parents_at, trees_of
from services.reporting.board import Board
from services.reporting.live import Live
from services.reporting.selection import select


@dataclass(frozen=True, slots=True)
class Figure:
    """A unit with all below it. `rate` is a percentage, None where the headcount is not known."""

    people: int
    attempts: int
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """A contest at `as_of`. `parents` are those of today without the units that are no more; the figure of "" is everybody's."""

    contest: ContestPublished
    as_of: datetime
    units: Mapping[str, Unit]
    parents: Mapping[str, str | None]
    figures: Mapping[str, Figure]
    rounds: Sequence[RoundPlan]

    @property
    def day(self) -> date:
        """Today, where the contest is."""
        return self.as_of.astimezone(ZoneInfo(self.contest.timezone)).date()

    @property
    def total(self) -> Figure:
        """Everybody."""
        return self.figure(None)

    def figure(self, unit: str | None) -> Figure:
        """A unit's figures; None is everybody."""
        return self.figures.get(unit or "", Figure(0, 0))

    def path(self, unit: str | None) -> list[Unit]:
        """A unit and those above it, the top first."""
        path: list[Unit] = []
        while unit is not None:
            path.insert(0, self.units[unit])
            unit = self.parents[unit]
        return path

    @property
    def root(self) -> str | None:
        """The only unit at the top (the city), None where there are several."""
        tops = [code for code, parent in self.parents.items() if parent is None]
        return tops[0] if len(tops) == 1 else None

    def below(self, parent: str | None) -> list[str]:
        """The units right below one."""
        return [code for code, above in self.parents.items() if above == parent]


class Glances:
    """Looks at the live board."""

    def __init__(self, book: ContestBook, board: Board, live: Live) -> None:
        self._book, self._board, self._live = book, board, live

    async def of(self, contest: str, tree: str = "", category: str = "", round: str = "") -> Glance:
        """The figures now. Raises Problem for what there is not, StoreDown."""
        asked = select(self._book, contest, "", category, round)
        as_of = await self._live.fresh()
        units, day = self._book.units(contest), as_of.astimezone(ZoneInfo(asked.contest.timezone)).date()
        parents = parents_at(units, tree or trees_of(asked.contest)[0].id, day)
        figures = {
            code: Figure(count.people, count.attempts) for code, count in self._board.table(contest, category, round).items()
        }
        shown = {code: parent for code, parent in parents.items() if not folded(units[code], day)}
        return Glance(asked.contest, as_of, units, shown, figures, self._book.rounds(contest))
