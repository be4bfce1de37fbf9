"""Turnout in the console: a unit with what lies below it, by category, round and day, in any tree, as of now or of a cut.

An account that is for a subtree sees that and nothing else: a unit is within it where the subtree's top stands above it in the
tree that is shown.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Annotated, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from services.events import Category, ContestBook, ContestPublished, RoundPlan
from services.events.contests import Tree
from services.events.units import trees_of
from services.kit.bus import BusDown, Transient
from services.kit.clock import Clock
from services.kit.console import Account
from services.kit.problems import Problem
from services.kit.sheets import harmless
from services.kit.web import render
from services.kit.web.console import needs
from services.reporting.board import Board
from services.reporting.live import Live
from services.reporting.selection import Selection, select
from services.reporting.tables import CutTables
from services.reporting.turnout import By, Change, Figure, Row, Shape, Table, day_of

WEEK = timedelta(days=7)
DAYS = 14
"""Days of the trend, today included."""

HOURS = 6
"""Full hours that can be chosen from, beside the ends of the last days."""

Viewer = Annotated[Account, Depends(needs("city", "district", "unit", "reader"))]

_Get = Callable[[str, str], Awaitable[Table]]
"""The table of a category and round."""


class Day(NamedTuple):
    """A unit at the end of a day, or now; `figure` is None where no cut was made then. `height` is in percent of the tallest."""

    at: datetime
    figure: Figure | None
    height: int


class Line(NamedTuple):
    """A unit below, and what has changed in a week, where that is known."""

    row: Row
    change: Change | None
    missing: int | None


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a page shows: `at` is the cut-off, None for now. `unit` is None for all there is."""

    asked: Selection
    account: Account
    at: datetime | None
    by: By

    @property
    def contest(self) -> ContestPublished:
        return self.asked.contest

    @property
    def unit(self) -> str | None:
        return self.asked.parent

    def link(self, page: str = "", **changed: str | None) -> str:
        """The same page of something else."""
        default = trees_of(self.contest)[0].id
        chosen: Mapping[str, str | None] = {
            "tree": self.asked.tree if self.asked.tree != default else "",
            "unit": self.unit,
            "category": self.asked.category,
            "round": self.asked.round,
            "as_of": _iso(self.at),
            "by": self.by if self.by != "people" else "",
        } | changed
        query = urlencode({name: value for name, value in chosen.items() if value})
        return f"/console/turnout/{self.contest.contest}{page}" + (f"?{query}" if query else "")


class TurnoutPages:
    """`/console/turnout` and what lies below it."""

    def __init__(self, book: ContestBook, board: Board, cuts: CutTables, live: Live, clock: Clock) -> None:
        self._book, self._board, self._cuts, self._live, self._clock = book, board, cuts, live, clock
        self.router = APIRouter(prefix="/console/turnout", include_in_schema=False)
        self.router.add_api_route("", self.contests)
        self.router.add_api_route("/{contest}", self.contest)
        self.router.add_api_route("/{contest}/so-lieu.csv", self.export)

    async def contests(self, request: Request, _: Viewer) -> Response:
        """The contests that there are; where there is one only, that one."""
        contests = sorted(self._book.contests.values(), key=lambda c: c.time, reverse=True)
        if len(contests) == 1:
            return RedirectResponse(f"/console/turnout/{contests[0].contest}", 303)
        return render(request, "turnouts.html", contests=contests)

    async def contest(
        self,
        request: Request,
        account: Viewer,
        contest: str,
        tree: Annotated[str, Query()] = "",
        unit: Annotated[str, Query()] = "",
        category: Annotated[str, Query()] = "",
        round: Annotated[str, Query()] = "",
        as_of: Annotated[str, Query()] = "",
        by: Annotated[By, Query()] = "people",
    ) -> Response:
        """A unit: its figures, its place, by category, by round, by day, and the units below it."""
        question = self._question(account, contest, tree, unit, category, round, as_of, by)
        asked = question.asked
        get, shown_at = await self._source(question)
        table = await get(asked.category, asked.round)
        question = self._within(question, table.shape)
        before = await self._before(question)
        return render(
            request,
            "turnout.html",
            q=question,
            as_of=shown_at,
            trees=self._trees(question.contest, account.subtree),
            rounds=self._book.rounds(contest),
            hours=self._hours(question),
            path=self._path(question, table.shape),
            figure=table.figure(question.unit),
            rank=table.rank(question.unit, by) if question.unit else None,
            siblings=len(table.rows(table.shape.parents[question.unit])) if question.unit else 0,
            average=table.average(table.shape.parents[question.unit] if question.unit else None),
            change=_change(table, before, question.unit),
            before_at=self._week_before(question),
            target=_target(question.contest, asked.category),
            categories=[(each, await get(each.id, asked.round)) for each in question.contest.categories],
            by_round=[(each, await get(asked.category, each.id)) for each in self._book.rounds(contest)],
            lines=_lines(table, before, question),
            below=table.shape.children,
            days=await self._days(question, table),
        )

    async def export(
        self,
        account: Viewer,
        contest: str,
        tree: Annotated[str, Query()] = "",
        unit: Annotated[str, Query()] = "",
        as_of: Annotated[str, Query()] = "",
    ) -> Response:
        """Unit × category × round as CSV: every unit from the chosen one down that has people, attempts or a headcount."""
        question = self._question(account, contest, tree, unit, "", "", as_of, "people")
        get, shown_at = await self._source(question)
        question = self._within(question, (await get("", "")).shape)
        everything = Category(id="", name="Tất cả đối tượng")
        tables = [
            (round, category, await get(category.id, round.id if round else ""))
            for round in (None, *self._book.rounds(contest))
            for category in (everything, *question.contest.categories)
        ]
        name = f"so-lieu-{contest}-{shown_at.astimezone(ZoneInfo(question.contest.timezone)):%Y%m%d-%H%M}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingResponse(_csv(question.unit, tables), media_type="text/csv; charset=utf-8", headers=headers)

    # -- what is asked

    def _question(
        self, account: Account, contest: str, tree: str, unit: str, category: str, round: str, as_of: str, by: By
    ) -> Question:
        asked = select(self._book, contest, unit or account.subtree or "", category, round, tree)
        trees = self._trees(asked.contest, account.subtree)
        if not tree and trees:
            asked = replace(asked, tree=trees[0].id)
        return Question(asked=asked, account=account, at=_time(as_of), by=by)

    def _within(self, question: Question, shape: Shape) -> Question:
        """Raises Problem 403 where the account may not see the unit, 404 where the unit is not in this tree (any more)."""
        subtree, unit = question.account.subtree, question.unit
        if unit is not None and unit not in shape.parents:
            after = shape.stands.get(unit)
            if subtree is None or unit == subtree:
                detail = "Đơn vị này đã nhập vào đơn vị khác." if after else "Đơn vị này không có trong hệ thống đơn vị đã chọn."
                raise Problem(404, "unit", detail, field="unit")
        if subtree is not None and subtree not in {above.code for above in shape.path(unit)}:
            raise Problem(403, "subtree", "Tài khoản của bạn chỉ xem được đơn vị mình phụ trách.", field="unit")
        return question

    def _path(self, question: Question, shape: Shape) -> Sequence[tuple[str | None, str]]:
        """The way down to the unit from as far up as the account may see."""
        path: list[tuple[str | None, str]] = [(each.code, each.name) for each in shape.path(question.unit)]
        codes = [code for code, _ in path]
        if question.account.subtree is not None:
            return path[codes.index(question.account.subtree) :]
        return [(None, question.contest.title), *path]

    def _trees(self, contest: ContestPublished, subtree: str | None) -> list[Tree]:
        """The trees of a contest that a subtree stands in."""
        day = day_of(self._clock.now(), contest.timezone)
        return [
            tree
            for tree in trees_of(contest)
            if subtree is None or subtree in self._cuts.tables.shape(contest.contest, tree.id, day).parents
        ]

    async def _source(self, question: Question) -> tuple[_Get, datetime]:
        """Where tables come from, and of when they are. Raises Problem 503 while a cut is being made."""
        contest, tree = question.contest.contest, question.asked.tree
        if question.at is not None:
            return partial(self._cuts.table, contest, question.at, tree), question.at
        as_of = await self._live.fresh()

        async def get(category: str, round: str) -> Table:
            return self._board.table(contest, tree, category, round)

        return get, as_of

    # -- comparisons

    def _now(self, question: Question) -> datetime:
        """The cut-off; for now, the last full hour."""
        return question.at or self._clock.now().replace(minute=0, second=0, microsecond=0)

    def _opened(self, question: Question) -> datetime | None:
        plans = self._book.rounds(question.contest.contest)
        return plans[0].opens if plans else None

    def _week_before(self, question: Question) -> datetime | None:
        """The cut-off that figures are compared with, unless the contest had not begun."""
        at, opened = self._now(question) - WEEK, self._opened(question)
        return at if opened is not None and at >= opened else None

    async def _before(self, question: Question) -> Table | None:
        at = self._week_before(question)
        return await self._cut(question, at) if at is not None else None

    async def _cut(self, question: Question, at: datetime) -> Table | None:
        """A table as of a cut, if it is made; else it is asked for, so that it will be there the next time."""
        asked = question.asked
        table = await self._cuts.made(asked.contest.contest, at, asked.tree, asked.category, asked.round)
        if table is None:
            with suppress(Problem, Transient, BusDown):
                await self._cuts.cuts.ask(asked.contest.contest, at)
        return table

    async def _days(self, question: Question, table: Table) -> list[Day]:
        """The unit at the end of each of the last days, and as of what is shown."""
        found: list[tuple[datetime, Figure | None]] = []
        for at in self._midnights(question, self._now(question)):
            then = await self._cut(question, at)
            known = then is not None and (question.unit is None or question.unit in then.shape.parents)
            found.append((at, then.figure(question.unit) if then is not None and known else None))
        found.append((question.at or self._clock.now(), table.figure(question.unit)))
        most = max([figure.people for _, figure in found if figure], default=0) or 1
        return [Day(at, figure, -(-100 * figure.people // most) if figure else 0) for at, figure in found]

    def _midnights(self, question: Question, end: datetime) -> list[datetime]:
        """The ends of the last days before `end` on which the contest ran, the first one first."""
        zone, opened = ZoneInfo(question.contest.timezone), self._opened(question)
        days = [end.astimezone(zone).date() - timedelta(days=back) for back in range(DAYS)]
        ends = [datetime.combine(day, time(), zone) for day in reversed(days)]
        return [at for at in ends if opened is not None and opened <= at < end]

    def _hours(self, question: Question) -> list[datetime]:
        """Cut-offs to choose from, the latest first."""
        now, opened = self._clock.now().replace(minute=0, second=0, microsecond=0), self._opened(question)
        recent = {now - timedelta(hours=back) for back in range(HOURS)} | set(self._midnights(question, now))
        chosen = {question.at} if question.at else set[datetime]()
        return sorted({at for at in recent if opened is not None and at >= opened} | chosen, reverse=True)


def _lines(table: Table, before: Table | None, question: Question) -> list[Line]:
    target = _target(question.contest, question.asked.category)
    return [
        Line(row, _change(table, before, row.unit.code), row.figure.missing(target))
        for row in table.rows(question.unit, question.by)
    ]


def _change(table: Table, before: Table | None, unit: str | None) -> Change | None:
    """What has changed of a unit; None where it was not there then, or nobody knows."""
    if before is None or (unit is not None and unit not in before.shape.parents):
        return None
    return table.figure(unit).since(before.figure(unit))


def _target(contest: ContestPublished, category: str) -> float | None:
    return next((each.target for each in contest.categories if each.id == category), None)


def _time(text: str) -> datetime | None:
    """Raises Problem 422 for what is no time with an offset."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.min
    if at.tzinfo is None:
        raise Problem(422, "cut-off", "Thời điểm chốt số liệu không đúng dạng.", field="as_of")
    return at


def _iso(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ") if at else ""


HEAD = (
    "Mã đơn vị", "Đơn vị", "Cấp trên", "Vòng thi", "Đối tượng", "Tổng số thuộc diện", "Số người dự thi", "Tỷ lệ (%)", "Số lượt",
)  # fmt: skip


def _csv(unit: str | None, tables: Sequence[tuple[RoundPlan | None, Category, Table]]) -> Iterator[str]:
    """The lines of the export; with a byte order mark, or Excel would not see that it is UTF-8."""
    yield "\ufeff" + _line(HEAD)
    for round, category, table in tables:
        shape = table.shape
        for code in shape.parents:
            figure = table.figure(code)
            if (figure.people or figure.attempts or figure.headcount is not None) and (
                unit is None or unit in _above(shape, code)
            ):
                rate = "" if figure.rate is None else f"{figure.rate:.1f}".replace(".", ",")
                headcount = "" if figure.headcount is None else figure.headcount
                names = (code, shape.units[code].name, shape.parents[code] or "", round.name if round else "", category.name)
                yield _line((*map(harmless, names), headcount, figure.people, rate, figure.attempts))


def _above(shape: Shape, code: str | None) -> Iterator[str]:
    while code is not None:
        yield code
        code = shape.parents[code]


def _line(cells: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
