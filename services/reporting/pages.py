"""The public board as people see it: made on the server, and moved from then on by `static/board.js`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook, RoundPlan, state_at
from services.events.units import trees_of
from services.kit.clock import Clock
from services.kit.web import render
from services.reporting.board import Board, Hour
from services.reporting.live import Live
from services.reporting.selection import Selection, select
from services.reporting.turnout import By

STATES = {
    "upcoming": "Sắp diễn ra",
    "open": "Đang mở",
    "paused": "Tạm dừng",
    "closed": "Đã kết thúc",
    "final": "Đã công bố",
}
"""The state of a round in words."""

HOURS_SHOWN = 24
BAR_HEIGHT = 60


class Bar(NamedTuple):
    """One hour of the chart, in units of its view box: 10 wide, `BAR_HEIGHT` high."""

    hour: Hour
    x: int
    y: int
    height: int


class Pages:
    """`/board` and the board of each contest."""

    def __init__(self, book: ContestBook, board: Board, live: Live, clock: Clock) -> None:
        self._book, self._board, self._live, self._clock = book, board, live, clock
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/board", self.contests)
        self.router.add_api_route("/board/{contest}", self.contest)

    async def contests(self, request: Request) -> Response:
        """The boards that there are; where there is one only, that one."""
        contests = sorted(self._book.contests.values(), key=lambda c: c.time, reverse=True)
        if len(contests) == 1:
            return RedirectResponse(f"/board/{contests[0].contest}", 303)
        return render(request, "boards.html", contests=contests)

    async def contest(
        self,
        request: Request,
        contest: str,
        parent: Annotated[str, Query()] = "",
        category: Annotated[str, Query()] = "",
        round: Annotated[str, Query()] = "",
        tree: Annotated[str, Query()] = "",
        by: By = "people",
    ) -> Response:
        """One contest: the totals of the unit that was chosen, its children ranked, the last hours."""
        asked = select(self._book, contest, parent, category, round, tree)
        as_of = await self._live.fresh()
        table = self._board.table(contest, asked.tree, category, round)
        tops = table.shape.children.get(None, [])
        if asked.parent not in table.shape.parents:
            # A single top (the city) would be a table of one row.
            asked = replace(asked, parent=tops[0] if len(tops) == 1 else None)
        rows = table.rows(asked.parent, by)
        return render(
            request,
            "board.html",
            contest=asked.contest,
            asked=asked,
            by=by,
            as_of=as_of,
            offset=_offset_minutes(as_of, asked.contest.timezone),
            rounds=[(plan, state_at(plan, as_of)) for plan in self._book.rounds(contest)],
            current=self._current(contest),
            states=STATES,
            trees=trees_of(asked.contest),
            path=table.shape.path(asked.parent),
            total=table.figure(asked.parent),
            average=table.average(asked.parent),
            rows=rows,
            most=max([row.figure.people for row in rows], default=1) or 1,
            inner=table.shape.children,
            bars=bars(self._board.hours(contest, asked.round)),
            link=lambda **changed: _link(asked, by, **changed),
        )

    def _current(self, contest: str) -> tuple[RoundPlan, str] | None:
        """The round that is on, else the next one, else the last."""
        now = self._clock.now()
        plans = [(plan, state_at(plan, now)) for plan in self._book.rounds(contest)]
        for wanted in (("open", "paused"), ("upcoming",)):
            for plan, state in plans:
                if state in wanted:
                    return plan, state
        return plans[-1] if plans else None


def bars(hours: Sequence[Hour]) -> list[Bar]:
    """The last hours up to the last one that had an attempt, gaps included."""
    if not hours:
        return []
    found = {hour.begin: hour for hour in hours}
    last = hours[-1].begin
    shown = [last - timedelta(hours=back) for back in reversed(range(HOURS_SHOWN))]
    series = [found.get(begin, Hour(begin, 0, 0)) for begin in shown]
    most = max(hour.attempts for hour in series) or 1
    heights = [-(-hour.attempts * BAR_HEIGHT // most) for hour in series]
    return [
        Bar(hour, 10 * index, BAR_HEIGHT - height, height)
        for index, (hour, height) in enumerate(zip(series, heights, strict=True))
    ]


def _offset_minutes(at: datetime, timezone: str) -> int:
    offset = at.astimezone(ZoneInfo(timezone)).utcoffset()
    return 0 if offset is None else offset // timedelta(minutes=1)


def _link(asked: Selection, by: By, **changed: str | None) -> str:
    """The same board with another unit, category, round or order."""
    default = trees_of(asked.contest)[0].id
    chosen = {
        "tree": "" if asked.tree == default else asked.tree,
        "parent": asked.parent,
        "category": asked.category,
        "round": asked.round,
        "by": "" if by == "people" else by,
    } | changed
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"/board/{asked.contest.contest}" + (f"?{query}" if query else "")
