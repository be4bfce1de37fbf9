"""Reports in the console: asked for, watched while they are made, fetched; and what a unit's papers say of it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.events.units import trees_of
from services.kit.clock import Clock
from services.kit.console.accounts import Account, Role
from services.kit.problems import Problem
from services.kit.web import render
from services.kit.web.console import audited, needs, needs_form
from services.reporting.report.desk import FORMATS, KINDS, Desk
from services.reporting.report.figures import Form
from services.reporting.report.jobs import FileGone, Job, floor_hour
from services.reporting.report_api import answer

Reader = Annotated[Account, Depends(needs("city", "district", "unit", "reader"))]
ReaderForm = Annotated[FormData, Depends(needs_form("city", "district", "unit", "reader"))]
WRITES: tuple[Role, ...] = ("city", "district")
Writer = Annotated[Account, Depends(needs(*WRITES))]
WriterForm = Annotated[FormData, Depends(needs_form(*WRITES))]

PHASES = {
    "asked": "Đang chờ",
    "cut": "Đang chốt số liệu",
    "rendering": "Đang lập tệp",
    "ready": "Đã xong",
    "failed": "Không lập được",
    "cancelled": "Đã hủy",
}
STYLES = {
    "state": "Cơ quan nhà nước (Nghị định 30/2020/NĐ-CP)",
    "party": "Cơ quan Đảng (Hướng dẫn 36-HD/VPTW)",
}
RANKINGS = {"people": "Theo số người dự thi", "rate": "Theo tỷ lệ người dự thi"}
FIELDS = ("kind", "format", "unit", "tree", "as_of", "from", "units")
SHOWN = 100
"""Jobs on a page, and units that a field suggests: five times as many."""
LONGEST = 300
MOST_LINES = 30


class ReportPages:
    """`/console/reports/…`."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk, self._clock = desk, clock
        self.router = APIRouter(prefix="/console/reports", include_in_schema=False)
        get, post = self.router.get, self.router.post
        get("")(self.contests)
        get("/{contest}")(self.reports)
        post("/{contest}")(self.ask)
        get("/{contest}/mau")(self.settings)
        post("/{contest}/mau")(self.save)
        get("/{contest}/{job}/tai-ve")(self.fetch)
        post("/{contest}/{job}/huy")(self.cancel)
        post("/{contest}/{job}/lam-lai")(self.again)

    async def contests(self, request: Request, _: Reader) -> Response:
        """All contests; where there is one, its reports."""
        contests = sorted(self._desk.book.contests.values(), key=lambda contest: contest.title)
        if len(contests) == 1:
            return RedirectResponse(f"/console/reports/{contests[0].contest}", 303)
        return render(request, "report_contests.html", contests=contests)

    async def reports(self, request: Request, account: Reader, contest: str) -> Response:
        """The form, and what was asked for so far."""
        return await self._page(request, account, contest, {})

    async def ask(self, request: Request, account: Reader, form: ReaderForm, contest: str) -> Response:
        """Asks for a report. Faults show beside the form."""
        values = {name: str(value).strip() for name, value in form.items() if isinstance(value, str)}
        try:
            wanted = await self._desk.request(account, values | {"contest": contest})
            job, new = await self._desk.jobs.ask(wanted, account.id)
        except Problem as problem:
            return await self._page(request, account, contest, values, problem)
        if new:
            details = {"kind": wanted.kind, "format": wanted.format, "unit": wanted.unit, "as_of": wanted.as_of.isoformat()}
            await audited(request, "report.asked", job.id, contest=contest, **details)
        return RedirectResponse(f"/console/reports/{contest}#b{job.id}", 303)

    async def _page(
        self, request: Request, account: Account, contest: str, values: dict[str, str], problem: Problem | None = None
    ) -> Response:
        found = self._desk.contest(contest)
        units = self._desk.book.units(contest)
        jobs = await self._desk.listed(account, contest, SHOWN)
        latest = floor_hour(self._clock.now() - timedelta(minutes=1)).astimezone(ZoneInfo(found.timezone))
        own = account.subtree if account.subtree in units else ""
        return render(
            request,
            "reports.html",
            problem.status if problem else 200,
            contest=found,
            jobs=jobs,
            busy=any(job.open for job in jobs),
            units=units,
            suggested=self._desk.units(account, contest)[: 5 * SHOWN],
            trees=trees_of(found),
            values=dict.fromkeys(FIELDS, "") | {"unit": own, "as_of": f"{latest:%Y-%m-%dT%H:%M}"} | values,
            problem=problem,
            kinds=KINDS,
            formats=FORMATS,
            phases=PHASES,
            writes=account.role in WRITES,
            me=account.id,
        )

    async def fetch(self, request: Request, account: Reader, contest: str, job: str) -> Response:
        """The file; where it is gone, the page on which one sees it made again."""
        found = await self._desk.job(account, job)
        if found.phase != "ready":
            raise Problem(409, "report", "Báo cáo chưa xong. Xin đợi thêm.")
        try:
            file = await answer(self._desk, found)
        except FileGone:
            return RedirectResponse(f"/console/reports/{contest}#b{job}", 303)
        await audited(request, "report.fetched", job)
        return file

    async def _changed(self, account: Account, job: str) -> Job:
        """A job that the account may stop or have made again: its own, or one of its units where it writes. Raises Problem 403 or
        404."""
        found = await self._desk.job(account, job)
        if account.role not in WRITES and found.by != account.id:
            raise Problem(403, "role", "Tài khoản của bạn không có quyền làm việc này.")
        return found

    async def cancel(self, request: Request, account: Reader, _: ReaderForm, contest: str, job: str) -> Response:
        """Stops a report that is being made."""
        await self._changed(account, job)
        if await self._desk.jobs.cancel(job):
            await audited(request, "report.cancelled", job)
        return RedirectResponse(f"/console/reports/{contest}#b{job}", 303)

    async def again(self, request: Request, account: Reader, _: ReaderForm, contest: str, job: str) -> Response:
        """Makes one anew that failed or was cancelled."""
        found = await self._changed(account, job)
        if (await self._desk.jobs.ask(found.request, account.id))[1]:
            await audited(request, "report.asked", job)
        return RedirectResponse(f"/console/reports/{contest}#b{job}", 303)

    async def settings(self, request: Request, account: Writer, contest: str, unit: str = "") -> Response:
        """What the papers of a unit say of it."""
        found = self._desk.contest(contest)
        unit = self._desk.unit(account, contest, unit)
        return self._settings(request, contest, unit, values_of(await self._desk.form(found, unit)))

    async def save(self, request: Request, account: Writer, form: WriterForm, contest: str, unit: str = "") -> Response:
        """Keeps it."""
        self._desk.contest(contest)
        unit = self._desk.unit(account, contest, unit)
        values = values_of(Form()) | {name: value for name, value in form.items() if isinstance(value, str)}
        try:
            kept = form_of(values)
        except Problem as problem:
            return self._settings(request, contest, unit, values, problem)
        await self._desk.forms.put(contest, unit, kept)
        await audited(request, "report.form", contest, unit=unit)
        return RedirectResponse(f"/console/reports/{contest}", 303)

    def _settings(
        self, request: Request, contest: str, unit: str, values: dict[str, Any], problem: Problem | None = None
    ) -> Response:
        units = self._desk.book.units(contest)
        return render(
            request,
            "report_form.html",
            422 if problem else 200,
            contest=self._desk.contest(contest),
            unit=units[unit] if unit else None,
            values=values,
            problem=problem,
            styles=STYLES,
            rankings=RANKINGS,
        )


LINES = ("addressees", "recipients", "letter_recipients")
TEXTS = ("superior", "issuer", "place", "symbol", "letter_symbol", "behalf", "signer_title", "signer")


def values_of(form: Form) -> dict[str, Any]:
    """A form as its page has it."""
    lines = {name: "\n".join(getattr(form, name)) for name in LINES}
    texts = {name: getattr(form, name) for name in TEXTS}
    deadline = form.deadline.isoformat() if form.deadline else ""
    return texts | lines | {"style": form.style, "ranking": form.ranking, "deadline": deadline}


def form_of(values: dict[str, str]) -> Form:
    """What a page has sent. Raises Problem 422."""
    texts = {name: " ".join(values.get(name, "").split()) for name in TEXTS}
    lines = {name: tuple(filter(None, (" ".join(line.split()) for line in values.get(name, "").splitlines()))) for name in LINES}
    longest = texts | {name: max(each, key=len, default="") for name, each in lines.items()}
    for name, found in longest.items():
        if len(found) > LONGEST or len(lines.get(name, ())) > MOST_LINES:
            fault = "Nhiều nhất {most} ký tự một dòng, {lines} dòng."
            raise Problem(422, "too-long", fault, field=name, most=LONGEST, lines=MOST_LINES)
    if not texts["issuer"]:
        raise Problem(422, "issuer", "Hãy ghi tên cơ quan ban hành.", field="issuer")
    try:
        deadline = date.fromisoformat(values["deadline"]) if values.get("deadline") else None
    except ValueError:
        raise Problem(422, "deadline", "Ngày không đúng.", field="deadline") from None
    style, ranking = values.get("style", ""), values.get("ranking", "")
    kept: dict[str, Any] = texts | lines
    return Form(
        **kept,
        deadline=deadline,
        style="party" if style == "party" else "state",
        ranking="rate" if ranking == "rate" else "people",
    )
