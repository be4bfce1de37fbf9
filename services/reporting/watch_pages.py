"""Who lags and who is to be commended, for organisers: the list, what was done about it, and what is told on schedule."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.events import ContestBook, ContestPublished
from services.events.units import trees_of
from services.kit.clock import Clock
from services.kit.console import Account
from services.kit.i18n import show_time
from services.kit.problems import Problem
from services.kit.sheets import harmless
from services.kit.web import render
from services.kit.web.console import Organiser, OrganiserForm, audited, needs
from services.reporting.measures import Measure, Measures
from services.reporting.reminders import Reminded, Reminders
from services.reporting.report.desk import MOST_UNITS
from services.reporting.selection import select
from services.reporting.turnout import Shape
from services.reporting.watch import Judged, Lagging, Rules, Situation, depths, is_within, judge
from services.reporting.watching import Watch, WatchSettings

REASONS = {"target": "dưới chỉ tiêu", "average": "dưới bình quân", "silent": "không có lượt mới"}
"""Why a unit lags, in words."""

WEEKDAYS = ("Thứ Hai", "Thứ Ba", "Thứ Tư", "Thứ Năm", "Thứ Sáu", "Thứ Bảy", "Chủ nhật")

TEXTS = ("tree", "level", "target", "silent_days", "hours", "weekday", "digest_hour")
"""The fields of the settings that are always there."""

GRACE = timedelta(minutes=1)
"""After the full hour its figures are cut."""

MOST_REMINDED = 500
"""Units that one campaign of reminders is begun with, the worst first: they travel in an address."""

Watcher = Annotated[Account, Depends(needs("city", "district", "reader"))]
Code = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: `at` is the cut-off, `root` the unit within which the list lies, None for all."""

    contest: ContestPublished
    rules: Rules
    category: str
    at: datetime
    root: str | None

    def link(self, page: str = "/lagging") -> str:
        """The same question elsewhere."""
        chosen = {
            "tree": self.rules.tree, "level": str(self.rules.level), "category": self.category,
            "as_of": self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ"), "unit": self.root or "",
        }  # fmt: skip
        query = urlencode({name: value for name, value in chosen.items() if value})
        return f"/console/turnout/{self.contest.contest}{page}?{query}"


class WatchPages:
    """`/console/turnout/{contest}/lagging` and its settings."""

    def __init__(self, book: ContestBook, watch: Watch, reminders: Reminders, measures: Measures, clock: Clock) -> None:
        self._book, self._watch, self._reminders, self._measures, self._clock = book, watch, reminders, measures, clock
        self.router = APIRouter(prefix="/console/turnout/{contest}", include_in_schema=False)
        self.router.add_api_route("/lagging", self.lagging)
        self.router.add_api_route("/lagging.csv", self.export)
        self.router.add_api_route("/watch", self.settings)
        self.router.add_api_route("/watch", self.save, methods=["POST"])

    async def lagging(
        self, request: Request, account: Watcher, contest: str, tree: Code = "", level: int | None = None, category: Code = "",
        as_of: Code = "", unit: Code = "",
    ) -> Response:  # fmt: skip
        """The units that lag, the worst first, and those to be commended."""
        question = await self._question(account, contest, tree, level, category, as_of, unit)
        situation = await self._situation(question)
        judged = self._judged(question, situation, account)
        units = [row.unit.code for row in judged.lagging]
        shape = situation.table.shape
        return render(
            request,
            "lagging.html",
            q=question,
            judged=judged,
            reasons=REASONS,
            reminded=await self._reminded(question, units),
            measures=await self._measures.latest(contest, units),
            above=lambda code: _above(shape, code),
            trees=trees_of(question.contest),
            levels=levels(shape, account.subtree),
            hours=self._hours(question),
            root=shape.units[question.root] if question.root else None,
            units=units,
            reminders=_reminders(question, judged.lagging[:MOST_REMINDED]),
            most_reminded=MOST_REMINDED,
            most_named=MOST_UNITS,
            csv=question.link("/lagging.csv"),
            settings=await self._watch.settings(contest),
        )

    async def export(
        self, account: Watcher, contest: str, tree: Code = "", level: int | None = None, category: Code = "", as_of: Code = "",
        unit: Code = "",
    ) -> Response:  # fmt: skip
        """The list as CSV."""
        question = await self._question(account, contest, tree, level, category, as_of, unit)
        situation = await self._situation(question)
        judged = self._judged(question, situation, account)
        units = [row.unit.code for row in judged.lagging]
        reminded, measures = await self._reminded(question, units), await self._measures.latest(contest, units)
        name = f"can-don-doc-{contest}-{question.at.astimezone(ZoneInfo(question.contest.timezone)):%Y%m%d-%H%M}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(
            _csv(question, situation, judged, reminded, measures), media_type="text/csv; charset=utf-8", headers=headers
        )

    async def settings(self, request: Request, _: Organiser, contest: str) -> Response:
        """What is watched for, and when it is told."""
        asked = select(self._book, contest)
        return self._settings(request, asked.contest, values_of(await self._watch.settings(contest)), None)

    async def save(self, request: Request, form: OrganiserForm, contest: str) -> Response:
        """Sets it."""
        asked = select(self._book, contest)
        try:
            settings = settings_of(form, asked.contest)
        except Problem as problem:
            typed: dict[str, Any] = dict.fromkeys(TEXTS, "") | {name: str(value) for name, value in form.items()}
            typed |= {"categories": form.getlist("categories")}
            return self._settings(request, asked.contest, typed, problem)
        await self._watch.save(contest, settings)
        await audited(request, "watch.changed", contest, **msgspec.to_builtins(settings))
        return RedirectResponse(f"/console/turnout/{contest}/watch", 303)

    def _settings(
        self, request: Request, contest: ContestPublished, values: Mapping[str, Any], problem: Problem | None
    ) -> Response:
        return render(
            request,
            "watch_settings.html",
            problem.status if problem else 200,
            contest=contest,
            values=values,
            problem=problem,
            trees=trees_of(contest),
            levels=levels(self._shape(contest, str(values.get("tree", "")))),
            weekdays=WEEKDAYS,
        )

    # -- what is asked

    async def _question(
        self, account: Account, contest: str, tree: str, level: int | None, category: str, as_of: str, unit: str
    ) -> Question:
        asked = select(self._book, contest, unit or account.subtree or "", category, "", tree)
        rules = (await self._watch.settings(contest)).rules
        rules = msgspec.structs.replace(rules, tree=tree or rules.tree, level=rules.level if level is None else level)
        return Question(asked.contest, rules, category, self._time(asked.contest, as_of), asked.parent)

    def _time(self, contest: ContestPublished, text: str) -> datetime:
        """The cut-off that is asked for, else the latest that there can be. Raises Problem 422."""
        if text:
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                at = datetime.min
            if at.tzinfo is None:
                raise Problem(422, "cut-off", "Thời điểm chốt số liệu không đúng dạng.", field="as_of")
            return at
        plans = self._book.rounds(contest.contest)
        latest = (self._clock.now() - GRACE).replace(minute=0, second=0, microsecond=0)
        if plans and latest > plans[-1].closes:  # nothing moves any more: one cut is enough
            end = plans[-1].closes
            return end.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1 if end.minute or end.second else 0)
        return latest

    async def _situation(self, question: Question) -> Situation:
        cut = await self._watch.cuts.wait(question.contest.contest, question.at)
        return await self._watch.situation(cut, question.rules, question.category)

    def _judged(self, question: Question, situation: Situation, account: Account) -> Judged:
        """Raises Problem 403 for what lies outside of the account's subtree."""
        subtree, shape = account.subtree, situation.table.shape
        if subtree is not None and subtree not in {above.code for above in shape.path(question.root)}:
            raise Problem(403, "subtree", "Tài khoản của bạn chỉ xem được đơn vị mình phụ trách.", field="unit")
        return judge(question.rules, situation, question.root)

    async def _reminded(self, question: Question, units: Sequence[str]) -> Mapping[str, Reminded]:
        return await self._reminders.of(question.contest.contest, units, ZoneInfo(question.contest.timezone))

    def _hours(self, question: Question) -> list[datetime]:
        """Cut-offs to choose from: the last hours, and the same hour of the last days."""
        latest = self._time(question.contest, "")
        plans = self._book.rounds(question.contest.contest)
        found = {latest - timedelta(hours=n) for n in range(6)} | {latest - timedelta(days=n) for n in range(8)} | {question.at}
        return sorted((at for at in found if plans and at >= plans[0].opens), reverse=True)

    def _shape(self, contest: ContestPublished, tree: str) -> Shape:
        today = self._clock.now().astimezone(ZoneInfo(contest.timezone)).date()
        trees = [each.id for each in trees_of(contest)]
        return self._watch.shape(contest.contest, tree if tree in trees else trees[0], today)


def _reminders(question: Question, rows: Sequence[Lagging]) -> str:
    """The form of a reminder to these units. Figures go along as code:people:headcount:days, those of everybody alone."""
    asked = {"contest": question.contest.contest, "units": ",".join(row.unit.code for row in rows)}
    if not question.category:
        figures = [
            f"{row.unit.code}:{row.figure.people}:{row.figure.headcount or ''}:{row.silent if row.wanted is None else ''}"
            for row in rows
        ]
        at = question.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
        asked = {"contest": question.contest.contest, "figures": ",".join(figures), "as_of": at}
    return f"/console/reminders/new?{urlencode(asked, safe=':,')}"


def levels(shape: Shape, within: str | None = None) -> list[tuple[int, int, str]]:
    """The levels of a tree that somebody may choose: number, how many units, the name of one of them."""
    found: dict[int, list[str]] = {}
    for code, deep in depths(shape).items():
        if within is None or is_within(shape, code, within):
            found.setdefault(deep, []).append(code)
    return [(deep, len(codes), shape.units[codes[0]].name) for deep, codes in sorted(found.items())]


def values_of(settings: WatchSettings) -> dict[str, Any]:
    """The settings as the form shows them: a box that is not ticked is not there."""
    rules = settings.rules
    ticked = {"below_average": rules.below_average, "by_round": rules.by_round, "on": settings.on, "daily": settings.daily,
              "weekly": settings.weekly}  # fmt: skip
    return {
        "tree": rules.tree,
        "level": str(rules.level),
        "target": "" if rules.target is None else f"{rules.target:g}".replace(".", ","),
        "silent_days": str(rules.silent_days),
        "hours": ", ".join(map(str, settings.hours)),
        "categories": settings.categories,
        "weekday": str(settings.weekday),
        "digest_hour": str(settings.digest_hour),
    } | {name: "on" for name, on in ticked.items() if on}


def settings_of(form: FormData, contest: ContestPublished) -> WatchSettings:
    """The settings that a form holds. Raises Problem 422, naming the field."""
    trees = {tree.id for tree in trees_of(contest)}
    tree = str(form.get("tree", ""))
    if tree and tree not in trees:
        raise Problem(422, "tree", "Không có hệ thống đơn vị này trong cuộc thi.", field="tree")
    categories = tuple(str(each) for each in form.getlist("categories"))
    if not set(categories) <= {"", *(each.id for each in contest.categories)} or not categories:
        raise Problem(422, "category", "Hãy chọn ít nhất một đối tượng của cuộc thi.", field="categories")
    target = str(form.get("target", "")).strip().replace(",", ".")
    rules = Rules(
        tree=tree,
        level=_whole(form, "level", 0, 20),
        target=_percent(target) if target else None,
        below_average="below_average" in form,
        silent_days=_whole(form, "silent_days", 0, 60),
        by_round="by_round" in form,
    )
    return WatchSettings(
        rules=rules,
        categories=categories,
        on="on" in form,
        hours=_hours(str(form.get("hours", ""))),
        daily="daily" in form,
        weekly="weekly" in form,
        digest_hour=_whole(form, "digest_hour", 0, 23),
        weekday=_whole(form, "weekday", 0, 6),
    )


def _whole(form: FormData, field: str, least: int, most: int) -> int:
    text = str(form.get(field, "")).strip()
    if not text.isdecimal() or not least <= int(text) <= most:
        raise Problem(422, "number", "Hãy nhập một số từ {least} đến {most}.", field=field, least=least, most=most)
    return int(text)


def _percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= 100:
        raise Problem(422, "number", "Chỉ tiêu là một tỷ lệ trên 0 và không quá 100 %.", field="target")
    return number


def _hours(text: str) -> tuple[int, ...]:
    words = text.replace(",", " ").replace(";", " ").split()
    if not 1 <= len(words) <= 6 or not all(word.isdecimal() and int(word) <= 23 for word in words):
        raise Problem(422, "hours", "Hãy ghi từ một đến sáu giờ tròn trong ngày, ví dụ: 7, 17.", field="hours")
    return tuple(sorted({int(word) for word in words}))


HEAD = (
    "TT", "Mã đơn vị", "Đơn vị", "Cấp trên", "Tổng số thuộc diện", "Số người dự thi", "Tỷ lệ (%)", "Bình quân chung (%)",
    "Chỉ tiêu (%)", "Còn thiếu", "Số lượt", "Số ngày không có lượt mới", "Lý do", "Số lần đã nhắc", "Ngày nhắc gần nhất",
    "Biện pháp",
)  # fmt: skip


def _csv(
    question: Question, situation: Situation, judged: Judged, reminded: Mapping[str, Reminded], measures: Mapping[str, Measure]
) -> str:
    """With a byte order mark, or Excel would not see that it is UTF-8."""
    text, shape, zone = io.StringIO(), situation.table.shape, question.contest.timezone
    writer = csv.writer(text)
    writer.writerow(HEAD)
    for n, row in enumerate(judged.lagging, 1):
        told = reminded.get(row.unit.code)
        cells: list[Any] = [
            n, row.unit.code, row.unit.name, _above(shape, row.unit.code), row.figure.headcount, row.figure.people,
            _one(row.figure.rate), _one(judged.average), _one(judged.target), row.missing, row.figure.attempts, row.silent,
            _said(row), told.times if told else 0, show_time(told.last, "vi", zone) if told else "",
            measures[row.unit.code].text if row.unit.code in measures else "",
        ]  # fmt: skip
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return "\ufeff" + text.getvalue()


def _above(shape: Shape, code: str) -> str:
    """The name of the unit above."""
    parent = shape.parents[code]
    return shape.units[parent].name if parent is not None else ""


def _one(number: float | None) -> str:
    return "" if number is None else f"{number:.1f}".replace(".", ",")


def _said(row: Lagging) -> str:
    return "; ".join(REASONS[reason] for reason in row.reasons)
